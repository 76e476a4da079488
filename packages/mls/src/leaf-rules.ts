import { ERRORS, type Instant, LIMITS, type Result, reject, sameBytes } from '@norc/protocol/base';
import type { MemberIdentity, MlsOptions } from './engine.ts';
import {
  type Extension,
  extensionTypeToNumber,
  type KeyPackage,
  type LeafNode,
  verifyKeyPackage,
  verifyLeafNodeSignature,
  verifyLeafNodeSignatureKeyPackage,
} from './library.ts';
import {
  CERTIFICATES_MAX,
  EXTENSION_CONVERSATION,
  EXTENSION_LAST_RESORT,
  LIFETIME_SKEW_SECONDS,
  SIGNATURE_KEY_BYTES,
} from './profile.ts';
import type { MlsSuite } from './suite.ts';

const DAY_SECONDS = 86_400;
export const LIFETIME_SECONDS_MAX = LIMITS.keyPackageDaysMax * DAY_SECONDS + LIFETIME_SKEW_SECONDS;

const OK: Result<void> = { ok: true, value: undefined };

/** RFC 9420 section 7.3 and the profile, without signature and credential: what a leaf must look like. */
export function checkLeaf(suite: MlsSuite, leaf: LeafNode): Result<void> {
  // Nobody could seal to a key that is none: one such leaf would keep everybody from committing.
  if (!suite.kem.isPublicKey(leaf.hpkePublicKey)) return reject('malformed', 'leaf: encryption key');
  if (leaf.signaturePublicKey.length !== SIGNATURE_KEY_BYTES) return reject('malformed', 'leaf: signature key');
  const { versions, ciphersuites, credentials, extensions } = leaf.capabilities;
  if (!versions.includes('mls10')) return reject('malformed', 'leaf: capabilities lack the version');
  if (!ciphersuites.includes(suite.name)) return reject('malformed', 'leaf: capabilities lack the suite');
  if (!credentials.includes('x509')) return reject('malformed', 'leaf: capabilities lack the credential type');
  if (!extensions.includes(EXTENSION_CONVERSATION)) {
    return reject('malformed', 'leaf: capabilities lack the conversation extension');
  }
  for (const { extensionType } of leaf.extensions) {
    if (!extensions.includes(extensionTypeToNumber(extensionType))) {
      return reject('malformed', 'leaf: extension not in its capabilities');
    }
  }
  return checkCertificates(leaf);
}

function checkCertificates(leaf: LeafNode): Result<void> {
  if (leaf.credential.credentialType !== 'x509') return reject('credential_invalid', 'credential type');
  const { certificates } = leaf.credential;
  if (certificates.length < 1 || certificates.length > CERTIFICATES_MAX) {
    return reject('credential_invalid', 'number of certificates');
  }
  if (certificates.some((document) => document.length > LIMITS.documentBytesMax)) {
    return reject('credential_invalid', 'certificate is too large');
  }
  return OK;
}

export function certificatesOf(leaf: LeafNode): readonly Uint8Array[] {
  return leaf.credential.credentialType === 'x509' ? leaf.credential.certificates : [];
}

/** Same kind, same documents: nothing new to verify. */
export function sameCredential(a: LeafNode, b: LeafNode): boolean {
  const left = certificatesOf(a);
  const right = certificatesOf(b);
  return (
    sameBytes(a.signaturePublicKey, b.signaturePublicKey) &&
    left.length === right.length &&
    left.every((document, i) => sameBytes(document, right[i] ?? new Uint8Array(0)))
  );
}

/**
 * Asks the verifier who a leaf is. A refusal is `credential_invalid`, unless the
 * verifier's code says that it may pass later (its trust data is stale, say).
 */
export async function identify(options: MlsOptions, leaf: LeafNode): Promise<Result<MemberIdentity>> {
  const verdict = await options.verifyCredential(certificatesOf(leaf), leaf.signaturePublicKey, options.clock.now());
  if (verdict.ok || ERRORS[verdict.error.code].retryable) return verdict;
  return reject('credential_invalid', `${verdict.error.code}: ${verdict.error.detail}`);
}

/** Signature of a leaf that is already in a tree. */
export function leafSignatureValid(
  suite: MlsSuite,
  leaf: LeafNode,
  groupId: Uint8Array,
  leafIndex: number,
): Promise<boolean> {
  return leaf.leafNodeSource === 'key_package'
    ? verifyLeafNodeSignatureKeyPackage(leaf, suite.impl.signature)
    : verifyLeafNodeSignature(leaf, groupId, leafIndex, suite.impl.signature);
}

/** RFC 9420 section 10.1 and the profile; signature included, credential not. */
export async function checkKeyPackage(
  suite: MlsSuite,
  keyPackage: KeyPackage,
  lifetime: { readonly now: Instant; readonly lateMs: number },
): Promise<Result<void>> {
  if (keyPackage.version !== 'mls10') return reject('malformed', 'KeyPackage: version');
  if (keyPackage.cipherSuite !== suite.name) return reject('malformed', 'KeyPackage: suite');
  if (!suite.kem.isPublicKey(keyPackage.initKey)) return reject('malformed', 'KeyPackage: init key');
  const leaf = keyPackage.leafNode;
  if (leaf.leafNodeSource !== 'key_package') return reject('malformed', 'KeyPackage: leaf source');
  if (sameBytes(keyPackage.initKey, leaf.hpkePublicKey))
    return reject('malformed', 'KeyPackage: init key is the leaf key');
  if (!keyPackage.extensions.every(isLastResort)) return reject('malformed', 'KeyPackage: extension');
  const shape = checkLeaf(suite, leaf);
  if (!shape.ok) return shape;
  const dates = checkLifetime(leaf, lifetime);
  if (!dates.ok) return dates;
  if (!(await verifyLeafNodeSignatureKeyPackage(leaf, suite.impl.signature))) {
    return reject('signature_invalid', 'KeyPackage: leaf');
  }
  if (!(await verifyKeyPackage(keyPackage, suite.impl.signature))) return reject('signature_invalid', 'KeyPackage');
  return OK;
}

export function isLastResort(extension: Extension): boolean {
  return extension.extensionType === EXTENSION_LAST_RESORT && extension.extensionData.length === 0;
}

/**
 * The library takes any lifetime, up to 146 billion years, and reads the machine's
 * clock. `lateMs` is for those that process a commit long after it was made.
 */
function checkLifetime(
  leaf: LeafNode,
  { now, lateMs }: { readonly now: Instant; readonly lateMs: number },
): Result<void> {
  if (leaf.leafNodeSource !== 'key_package') return OK;
  const { notBefore, notAfter } = leaf.lifetime;
  const range = checkLifetimeRange(leaf);
  if (!range.ok) return range;
  const nowSeconds = BigInt(Math.floor(now / 1000));
  if (notBefore > nowSeconds) return reject('malformed', 'KeyPackage: lifetime has not begun');
  if (notAfter + BigInt(Math.floor(lateMs / 1000)) < nowSeconds)
    return reject('malformed', 'KeyPackage: lifetime is over');
  return OK;
}

export function checkLifetimeRange(leaf: LeafNode): Result<void> {
  if (leaf.leafNodeSource !== 'key_package') return OK;
  const { notBefore, notAfter } = leaf.lifetime;
  if (notAfter < notBefore || notAfter - notBefore > BigInt(LIFETIME_SECONDS_MAX)) {
    return reject('malformed', 'KeyPackage: lifetime is too long');
  }
  return OK;
}
