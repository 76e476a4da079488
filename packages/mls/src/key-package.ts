import { instant, LIMITS, type Result, reject } from '@norc/protocol/base';
import type { KeyPackageInfo, KeyPackageLifetime, MlsOptions, OwnIdentity, OwnKeyPackage } from './engine.ts';
import { checkKeyPackage, identify, isLastResort, LIFETIME_SECONDS_MAX } from './leaf-rules.ts';
import {
  type Capabilities,
  type Credential,
  generateKeyPackageWithKey,
  type KeyPackage,
  makeKeyPackageRef,
} from './library.ts';
import { decodeKeyPackage, encodeKeyPackage } from './messages.ts';
import { EXTENSION_CONVERSATION, EXTENSION_LAST_RESORT, LIFETIME_SKEW_SECONDS } from './profile.ts';
import type { MlsSuite } from './suite.ts';
import { readAll, TlsWriter } from './tls.ts';

const DAY_MS = 86_400_000;
const SECRET_VERSION = 1;

/** A KeyPackage with the private keys that belong to it. */
export interface KeyPackageSecret {
  readonly keyPackage: KeyPackage;
  readonly initPrivateKey: Uint8Array;
  readonly leafPrivateKey: Uint8Array;
}

export function credentialOf(certificates: readonly Uint8Array[]): Credential {
  return { credentialType: 'x509', certificates: certificates.map((document) => document.slice()) };
}

function capabilitiesOf(suite: MlsSuite): Capabilities {
  return {
    versions: ['mls10'],
    ciphersuites: [suite.name],
    extensions: [EXTENSION_LAST_RESORT, EXTENSION_CONVERSATION],
    proposals: [],
    credentials: ['x509'],
  };
}

export interface KeyPackageRequest {
  readonly identity: OwnIdentity;
  readonly lastResort: boolean;
  readonly lifetime?: KeyPackageLifetime;
}

export async function generateKeyPackage(
  suite: MlsSuite,
  options: MlsOptions,
  { identity, lastResort, lifetime }: KeyPackageRequest,
): Promise<KeyPackageSecret> {
  const extensions = lastResort ? [{ extensionType: EXTENSION_LAST_RESORT, extensionData: new Uint8Array(0) }] : [];
  const { publicPackage, privatePackage } = await generateKeyPackageWithKey(
    credentialOf(identity.certificates),
    capabilitiesOf(suite),
    lifetimeSeconds(options, lifetime),
    extensions,
    { signKey: identity.signPrivateKey, publicKey: identity.publicKey },
    suite.impl,
  );
  const { initPrivateKey, hpkePrivateKey } = privatePackage;
  return { keyPackage: publicPackage, initPrivateKey, leafPrivateKey: hpkePrivateKey };
}

/** By default from an hour ago (a slow clock) for as long as the limit allows. */
function lifetimeSeconds(options: MlsOptions, lifetime: KeyPackageLifetime | undefined) {
  const now = options.clock.now();
  const begin = Math.floor((lifetime?.notBefore ?? now - LIFETIME_SKEW_SECONDS * 1000) / 1000);
  const end = Math.floor((lifetime?.notAfter ?? now + LIMITS.keyPackageDaysMax * DAY_MS) / 1000);
  if (end < begin || end - begin > LIFETIME_SECONDS_MAX) throw new RangeError('KeyPackage lifetime is over the limit');
  return { notBefore: BigInt(begin), notAfter: BigInt(end) };
}

export async function createKeyPackage(
  suite: MlsSuite,
  options: MlsOptions,
  request: KeyPackageRequest,
): Promise<OwnKeyPackage> {
  const made = await generateKeyPackage(suite, options, request);
  const keyPackage = encodeKeyPackage(made.keyPackage);
  const ref = await makeKeyPackageRef(made.keyPackage, suite.impl.hash);
  const secret = new TlsWriter(keyPackage.length + 128)
    .uint8(SECRET_VERSION)
    .vector(made.initPrivateKey)
    .vector(made.leafPrivateKey)
    .vector(keyPackage)
    .finish();
  suite.kem.erase(made.initPrivateKey);
  suite.kem.erase(made.leafPrivateKey);
  return { keyPackage, ref, secret };
}

/** Throws RangeError for bytes that `createKeyPackage` did not make. */
export function openKeyPackageSecret(secret: Uint8Array): KeyPackageSecret {
  const parts = readAll(secret, 'KeyPackage secret', (reader) => ({
    version: reader.uint8(),
    initPrivateKey: reader.vector().slice(),
    leafPrivateKey: reader.vector().slice(),
    keyPackage: reader.vector(),
  }));
  if (!parts.ok || parts.value.version !== SECRET_VERSION) throw new RangeError('not a KeyPackage secret');
  const keyPackage = decodeKeyPackage(parts.value.keyPackage);
  if (!keyPackage.ok) throw new RangeError('not a KeyPackage secret');
  const { initPrivateKey, leafPrivateKey } = parts.value;
  return { keyPackage: keyPackage.value, initPrivateKey, leafPrivateKey };
}

/** Errors: malformed and its kin, signature_invalid, credential_invalid. */
export async function verifyKeyPackageMessage(
  suite: MlsSuite,
  options: MlsOptions,
  bytes: Uint8Array,
): Promise<Result<KeyPackageInfo>> {
  const decoded = decodeKeyPackage(bytes);
  if (!decoded.ok) return decoded;
  const keyPackage = decoded.value;
  const valid = await checkKeyPackage(suite, keyPackage, { now: options.clock.now(), lateMs: 0 });
  if (!valid.ok) return valid;
  const identity = await identify(options, keyPackage.leafNode);
  if (!identity.ok) return identity;
  const { leafNode } = keyPackage;
  if (leafNode.leafNodeSource !== 'key_package') return reject('malformed', 'KeyPackage: leaf source');
  return {
    ok: true,
    value: {
      ref: await makeKeyPackageRef(keyPackage, suite.impl.hash),
      identity: identity.value,
      signaturePublicKey: leafNode.signaturePublicKey,
      lastResort: keyPackage.extensions.some(isLastResort),
      notAfter: instant(Number(leafNode.lifetime.notAfter) * 1000),
    },
  };
}
