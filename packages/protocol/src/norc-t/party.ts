import { type Instant, LIMITS, ok, type Result, reject, sameBytes } from '../base/index.ts';
import type {
  Crypto,
  DocumentKind,
  PinnedOrg,
  ServerKeyUsage,
  SignedDocument,
  VerifiedDocument,
  VerifiedServerCertificate,
} from '../crypto/index.ts';
import { parseDocument, verifyDocument, verifyServerCertificate } from '../crypto/index.ts';
import { bytes, domain, fixedBytes, type Infer, list, struct } from '../wire/index.ts';

/** Server keys that one organisation names at a time. */
export const SERVER_CERTIFICATES_MAX = 4;
/** Room for an ML-DSA-65 key and signature. */
export const SERVER_CERTIFICATE_BYTES_MAX = 12288;

/**
 * One side of a trust relation, complete: with the root key pinned, nothing else is
 * needed to check what this organisation signed.
 */
export const partySchema = struct({
  domain: domain(),
  /** Ed25519 organisation root key. */
  root_key: fixedBytes(32),
  /** Server certificates in canonical JSON, each signed by the root key. */
  server_certificates: list(bytes(SERVER_CERTIFICATE_BYTES_MAX), SERVER_CERTIFICATES_MAX),
});
export type Party = Infer<typeof partySchema>;

export function samePartyKey(party: Party, pinned: PinnedOrg): boolean {
  return party.domain === pinned.org && sameBytes(party.root_key, pinned.rootKey);
}

/**
 * The keys that a party may use for `usage` at `now`: those of its server certificates,
 * and of newer ones learned since, that chain to its root key. Empty when there is none.
 */
export function keysOf(
  crypto: Crypto,
  party: Party,
  usage: ServerKeyUsage,
  now: Instant,
  newer: readonly Uint8Array[] = [],
): readonly VerifiedServerCertificate[] {
  const pinned = { org: party.domain, rootKey: party.root_key };
  const keys: VerifiedServerCertificate[] = [];
  for (const certificate of [...party.server_certificates, ...newer]) {
    const checked = verifyServerCertificate(crypto, certificate, { pinned, usage, now });
    if (checked.ok) keys.push(checked.value);
  }
  return keys;
}

/** A document together with the certificate of the key that signed it. */
export interface SignedBy<T> {
  readonly document: VerifiedDocument<T>;
  /** Of the certificates for the signing key, the one that ends last. */
  readonly signer: VerifiedServerCertificate;
}

/**
 * Checks that a document carries a signature by one of these keys.
 * Errors: certificate_expired when no key is in date, signature_invalid.
 */
export function verifyBy<T>(
  crypto: Crypto,
  document: SignedDocument<T>,
  keys: readonly VerifiedServerCertificate[],
): Result<SignedBy<T>> {
  if (keys.length === 0) return reject('certificate_expired', 'no trust key of the signer is certified and in date');
  let best: SignedBy<T> | undefined;
  for (const signer of keys) {
    const signed = verifyDocument(crypto, document, signer.publicKey);
    if (!signed.ok) continue;
    if (best === undefined || signer.notAfter > best.signer.notAfter) best = { document: signed.value, signer };
  }
  return best === undefined ? reject('signature_invalid', `signature of ${document.kind.type}`) : ok(best);
}

/** Parses a document and checks that one of these keys signed it. Errors: of `parseDocument` and `verifyBy`. */
export function openDocument<T>(
  crypto: Crypto,
  kind: DocumentKind<T>,
  input: Uint8Array,
  keys: readonly VerifiedServerCertificate[],
): Result<SignedBy<T>> {
  const parsed = parseDocument(kind, input);
  return parsed.ok ? verifyBy(crypto, parsed.value, keys) : parsed;
}

/** A whole document, of any kind, as a field of another. */
export const documentBytes = bytes(LIMITS.documentBytesMax);
