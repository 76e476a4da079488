import { type Instant, LIMITS, ok, type Result, reject, sameBytes } from '../base/index.ts';
import type {
  Crypto,
  DocumentKind,
  DocumentSignature,
  PinnedOrg,
  ServerKeyUsage,
  SignedDocument,
  Verified,
  VerifiedDocument,
  VerifiedServerCertificate,
} from '../crypto/index.ts';
import {
  checkPostQuantumSignature,
  documentHash,
  keyId,
  ML_DSA_65_PUBLIC_KEY_BYTES,
  parseDocument,
  rootKeysOf,
  verifyDocument,
  verifyPostQuantumKey,
  verifyServerCertificate,
} from '../crypto/index.ts';
import {
  bytes,
  decodeBody,
  domain,
  encodeBody,
  fixedBytes,
  type Infer,
  list,
  optional,
  struct,
} from '../wire/index.ts';

/** Server keys that one organisation names at a time. */
export const SERVER_CERTIFICATES_MAX = 4;
/** Room for an ML-DSA-65 key and the signatures of two pairs of root keys, while one pair replaces the other: about 12,500 bytes. */
export const SERVER_CERTIFICATE_BYTES_MAX = 16384;
/** Sixteen officers' keys and two signatures. */
export const RECOVERY_SET_BYTES_MAX = 8192;

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
  /** ML-DSA-65 organisation root key, where the organisation has one. */
  root_pq_key: optional(fixedBytes(ML_DSA_65_PUBLIC_KEY_BYTES)),
  /** The `recovery_set` in canonical JSON: who may replace a lost root key (spec/root-rotation). */
  recovery: optional(bytes(RECOVERY_SET_BYTES_MAX)),
});
export type Party = Infer<typeof partySchema>;

/** Canonical JSON of a party, as it stands in documents. */
export function encodeParty(party: Party): Uint8Array {
  return encodeBody(partySchema, party, 'json');
}

/** Errors: those of `decodeBody`. */
export function decodeParty(bytes: Uint8Array): Result<Party> {
  return decodeBody(partySchema, bytes, 'json');
}

export function samePartyKey(party: Party, pinned: PinnedOrg): boolean {
  return party.domain === pinned.org && rootKeysOf(pinned).some((key) => sameBytes(party.root_key, key));
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

/** Evidence of a valid ML-DSA-65 signature on a document. Made by `verifyPostQuantum` alone. */
export type PostQuantumSignature = Verified<{
  /** `documentHash` of the document. */
  readonly document: Uint8Array;
  /** ML-DSA-65 root key that the chain ends in. The caller compares it with what it pinned. */
  readonly rootPqKey: Uint8Array;
  /** ML-DSA-65 server key that signed. */
  readonly publicKey: Uint8Array;
  /** When the certificate of that key ends. */
  readonly notAfter: Instant;
}>;

/**
 * The second, post-quantum signature of a trust document [TRUST-7]: an ML-DSA-65 signature by a
 * server key that one of the party's certificates names (usage `trust`, in date, signed by
 * `party.root_key`), and that certificate carries an ML-DSA-65 signature by `party.root_pq_key`.
 * It stands beside the Ed25519 signature, which `verifyBy` checks, and does not replace it.
 *
 * The chain ends in the key that `party` names: the caller must have pinned it, through the
 * domain's `pq=` (`findDomainProof`) or an earlier trust certificate (`checkPinnedPostQuantum`).
 * Errors: evidence_rejected (the party shows no post-quantum root key), certificate_invalid (no
 * key of the party is certified by both roots and in date), signature_invalid.
 */
export function verifyPostQuantum(
  crypto: Crypto,
  document: SignedDocument<unknown>,
  party: Party,
  now: Instant,
  newer: readonly Uint8Array[] = [],
): Result<PostQuantumSignature> {
  const { root_pq_key: rootPqKey } = party;
  if (rootPqKey === undefined) return reject('evidence_rejected', 'the organisation shows no post-quantum root key');
  let certified = false;
  for (const certificate of keysOf(crypto, party, 'trust', now, newer)) {
    const publicKey = verifyPostQuantumKey(crypto, certificate, rootPqKey);
    if (!publicKey.ok) continue;
    certified = true;
    if (!checkPostQuantumSignature(crypto, document, publicKey.value).ok) continue;
    const { notAfter } = certificate;
    const found = { document: documentHash(crypto, document), rootPqKey, publicKey: publicKey.value, notAfter };
    return ok(found as unknown as PostQuantumSignature); // both signatures of the chain were checked just now
  }
  if (certified) return reject('signature_invalid', `post-quantum signature of ${document.kind.type}`);
  return reject('certificate_invalid', 'no post-quantum key of the organisation is certified and in date');
}

/** Those of a document's signatures that keys of the party made, of either kind, and that verify. */
export function signaturesBy(
  crypto: Crypto,
  document: SignedDocument<unknown>,
  party: Party,
  now: Instant,
): readonly DocumentSignature[] {
  const keys = keysOf(crypto, party, 'trust', now);
  const { root_pq_key: root } = party;
  const second = keys.flatMap((certificate) => {
    const key = root === undefined ? undefined : verifyPostQuantumKey(crypto, certificate, root);
    return key?.ok === true ? [key.value] : [];
  });
  const classical = keys.filter(({ publicKey }) => verifyDocument(crypto, document, publicKey).ok);
  const postQuantum = second.filter((key) => checkPostQuantumSignature(crypto, document, key).ok);
  const made = new Set([
    ...classical.map(({ publicKey }) => `ed25519 ${keyId(crypto, publicKey)}`),
    ...postQuantum.map((key) => `ml-dsa-65 ${keyId(crypto, key)}`),
  ]);
  return document.signatures.filter(({ algorithm, key_id }) => made.has(`${algorithm} ${key_id}`));
}

/**
 * Whether a party still shows the post-quantum root key that was pinned for it [TRUST-8]. Without
 * a pin, every party passes: the first certificate that names one pins it.
 * Errors: downgrade_refused (it shows none any more), certificate_invalid (another one).
 */
export function checkPinnedPostQuantum(party: Party, pinned: Uint8Array | undefined): Result<undefined> {
  if (pinned === undefined) return ok(undefined);
  if (party.root_pq_key === undefined) return reject('downgrade_refused', 'post-quantum root key left out');
  if (sameBytes(party.root_pq_key, pinned)) return ok(undefined);
  return reject('certificate_invalid', 'post-quantum root key');
}

/** A whole document, of any kind, as a field of another. */
export const documentBytes = bytes(LIMITS.documentBytesMax);
