import type { MemberIdentity, VerifyCredential, VerifyHub } from '@norc/mls';
import {
  concatBytes,
  type Domain,
  type Instant,
  instant,
  ok,
  type Result,
  reject,
  sameBytes,
  toHex,
} from '@norc/protocol/base';
import {
  type Crypto,
  DEVICE_CERTIFICATE,
  parseDocument,
  SERVER_CERTIFICATE,
  verifyDeviceCertificate,
} from '@norc/protocol/crypto';
import { hubCertificate, verifyHubKey } from '@norc/protocol/norc-f';
import type { TrustAnchors } from './anchors.ts';
import { checkingTime } from './clock-skew.ts';

/** Verdicts that are kept: a device is in many conversations, and its chain costs two signatures. */
const VERDICTS_MAX = 4096;

interface Verdict {
  readonly identity: MemberIdentity;
  readonly rootKey: Uint8Array;
  readonly notAfter: Instant;
}

/**
 * Who may be a member (spec/mls-profile section 6): a device whose certificate chains
 * to the root key pinned for its organisation, is in date, and certifies this very key.
 * `no_route` when the root key could not be asked for: that may pass, and refuses nobody.
 */
export function credentialVerifier(crypto: Crypto, anchors: TrustAnchors): VerifyCredential {
  const verdicts = new Map<string, Verdict>();
  return async (certificates, signaturePublicKey, now) => {
    const [certificate, issuer, ...rest] = certificates;
    if (certificate === undefined || issuer === undefined || rest.length > 0) {
      return reject('credential_invalid', 'a credential is a device certificate and its issuer');
    }
    const parsed = parseDocument(DEVICE_CERTIFICATE, certificate);
    if (!parsed.ok) return parsed;
    const server = parseDocument(SERVER_CERTIFICATE, issuer);
    if (!server.ok) return server;
    const pinned = await anchors.pinned(parsed.value.body.org);
    if (!pinned.ok) return pinned;
    const name = toHex(
      crypto.blake3(concatBytes(crypto.blake3(certificate), crypto.blake3(issuer), signaturePublicKey)),
    );
    const known = verdicts.get(name);
    if (known !== undefined && now < known.notAfter && sameBytes(known.rootKey, pinned.value.rootKey)) {
      return ok(known.identity);
    }
    const at = checkingTime(now, parsed.value.body.not_before, server.value.body.not_before);
    const verified = verifyDeviceCertificate(crypto, { certificate, issuer }, { pinned: pinned.value, now: at });
    if (!verified.ok) return verified;
    const { deviceId, user, org, publicKey } = verified.value;
    if (!sameBytes(publicKey, signaturePublicKey)) return reject('credential_invalid', 'certificate of another key');
    const identity = { deviceId, user, org };
    const notAfter = instant(Math.min(verified.value.notAfter, verified.value.issuer.notAfter));
    remember(verdicts, name, { identity, rootKey: pinned.value.rootKey, notAfter });
    return ok(identity);
  };
}

function remember(verdicts: Map<string, Verdict>, name: string, verdict: Verdict): void {
  verdicts.delete(name);
  verdicts.set(name, verdict);
  const [oldest] = verdicts.keys();
  if (verdicts.size > VERDICTS_MAX && oldest !== undefined) verdicts.delete(oldest);
}

/** Whose server may propose removals: a server key of the hub, certified by the root key pinned for it. */
export function hubVerifier(crypto: Crypto, anchors: TrustAnchors): VerifyHub {
  return async (certificates, signaturePublicKey, now): Promise<Result<Domain>> => {
    const parsed = hubCertificate(certificates);
    if (!parsed.ok) return parsed;
    const { org, not_before: begins } = parsed.value.body;
    const pinned = await anchors.pinned(org);
    if (!pinned.ok) return pinned;
    const at = checkingTime(now, begins);
    return verifyHubKey(crypto, certificates, signaturePublicKey, { pinned: pinned.value, now: at });
  };
}
