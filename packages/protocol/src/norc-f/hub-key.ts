import { type Domain, type Instant, instant, ok, type Result, reject, sameBytes } from '../base/index.ts';
import {
  type Crypto,
  type PinnedOrg,
  parseDocument,
  SERVER_CERTIFICATE,
  verifyServerCertificate,
} from '../crypto/index.ts';

/** The credential of a hub in an MLS group's `external_senders`: exactly its server certificate. */
export function hubCertificate(certificates: readonly Uint8Array[]) {
  const [certificate, ...rest] = certificates;
  if (certificate === undefined || rest.length > 0) return reject('credential_invalid', 'a hub has one certificate');
  return parseDocument(SERVER_CERTIFICATE, certificate);
}

/**
 * Whose key may propose removals in a group (spec/mls-profile section 4): a server key of the
 * organisation, certified by its pinned root key for usage `server`. A certificate that is over
 * still counts, since the group cannot name another key: all that it gives is a proposal to
 * remove, which only the hub can put into the log [MLS-31].
 * Errors: credential_invalid, and those of `verifyServerCertificate`.
 */
export function verifyHubKey(
  crypto: Crypto,
  certificates: readonly Uint8Array[],
  publicKey: Uint8Array,
  { pinned, now }: { readonly pinned: PinnedOrg; readonly now: Instant },
): Result<Domain> {
  const parsed = hubCertificate(certificates);
  if (!parsed.ok) return parsed;
  const at = instant(Math.min(now, parsed.value.body.not_after - 1));
  const verified = verifyServerCertificate(crypto, parsed.value, { pinned, usage: 'server', now: at });
  if (!verified.ok) return verified;
  return sameBytes(verified.value.publicKey, publicKey)
    ? ok(verified.value.org)
    : reject('credential_invalid', 'certificate of another key');
}
