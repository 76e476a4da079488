import { createPrivateKey, type KeyObject } from 'node:crypto';
import { sameBytes } from '@norc/protocol/base';
import { blake3 } from './blake3.ts';

export type RawPrivateKeyType = 'ed25519' | 'x25519' | 'ml-kem-768' | 'ml-dsa-65';

interface Entry {
  readonly type: RawPrivateKeyType;
  readonly digest: Uint8Array;
  readonly key: KeyObject;
}

/**
 * Importing a private key costs as much as using it (30 us for X25519 and Ed25519,
 * 93 us for an ML-KEM or ML-DSA seed, which runs key generation again), so the imported form
 * stays with the caller's bytes: as long as they live, and no longer, which bounds
 * the cache and keeps forward secrecy. The digest notices bytes that were zeroed or
 * used again for another key. Public keys import in 2 us and are not kept.
 */
const imported = new WeakMap<Uint8Array, Entry>();

export function privateKeyObject(type: RawPrivateKeyType, bytes: Uint8Array): KeyObject {
  const digest = blake3(bytes);
  const known = imported.get(bytes);
  if (known !== undefined && known.type === type && sameBytes(known.digest, digest)) return known.key;
  const key = importPrivateKey(type, bytes);
  imported.set(bytes, { type, digest, key });
  return key;
}

/** Lets go of the imported form. Its memory is OpenSSL's, which overwrites it when the object is collected. */
export function forgetPrivateKey(bytes: Uint8Array): void {
  imported.delete(bytes);
}

function importPrivateKey(type: RawPrivateKeyType, bytes: Uint8Array): KeyObject {
  const key = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const format = type === 'ml-kem-768' || type === 'ml-dsa-65' ? 'raw-seed' : 'raw-private';
  return createPrivateKey({ key, format, asymmetricKeyType: type });
}
