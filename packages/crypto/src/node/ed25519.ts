import { createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import { sameBytes, zeroBytes } from '@norc/protocol/base';
import type { Ed25519 } from '@norc/protocol/crypto';
import { blake3 } from './blake3.ts';
import { hasSmallOrder, isCanonical, isEd25519PublicKey } from './ed25519-encoding.ts';
import { plainBytes, requireLength } from './lengths.ts';
import { privateKeyObject } from './private-keys.ts';
import type { Sodium } from './sodium.ts';

const SEED_BYTES = 32;
const PUBLIC_KEY_BYTES = 32;
const SECRET_KEY_BYTES = 64;
const SIGNATURE_BYTES = 64;

/** Ed25519 by libsodium: 14 us to sign, 38 us to verify. */
export function sodiumEd25519(sodium: Sodium): Ed25519 {
  const expand = sodiumKeyExpansion(sodium);
  return {
    keyPair(random) {
      const privateKey = random(SEED_BYTES);
      return { publicKey: expand(privateKey).slice(SEED_BYTES), privateKey };
    },
    sign(privateKey, message) {
      const signature = new Uint8Array(SIGNATURE_BYTES);
      sodium.crypto_sign_detached(signature, message, expand(privateKey));
      return signature;
    },
    verify(publicKey, message, signature) {
      if (publicKey.length !== PUBLIC_KEY_BYTES || signature.length !== SIGNATURE_BYTES) return false;
      return sodium.crypto_sign_verify_detached(signature, message, publicKey);
    },
    isPublicKey: isEd25519PublicKey,
  };
}

const expanded = new WeakMap<Uint8Array, { readonly digest: Uint8Array; readonly secretKey: Uint8Array }>();

/** Overwrites what was made of a seed. Call it before the seed itself is overwritten. */
export function forgetExpandedKey(seed: Uint8Array): void {
  const known = expanded.get(seed);
  if (known !== undefined) zeroBytes(known.secretKey);
  expanded.delete(seed);
}

/** seed -> seed || public key, kept as long as the caller's seed lives (see private-keys.ts). */
function sodiumKeyExpansion(sodium: Sodium): (seed: Uint8Array) => Uint8Array {
  return (seed) => {
    requireLength(seed, SEED_BYTES, 'an Ed25519 seed');
    const digest = blake3(seed);
    const known = expanded.get(seed);
    if (known !== undefined && sameBytes(known.digest, digest)) return known.secretKey;
    const secretKey = new Uint8Array(SECRET_KEY_BYTES);
    sodium.crypto_sign_seed_keypair(new Uint8Array(PUBLIC_KEY_BYTES), secretKey, seed);
    expanded.set(seed, { digest, secretKey });
    return secretKey;
  };
}

/** Ed25519 by OpenSSL, made as strict as libsodium. */
export function opensslEd25519(): Ed25519 {
  return {
    keyPair(random) {
      const privateKey = random(SEED_BYTES);
      requireLength(privateKey, SEED_BYTES, 'an Ed25519 seed');
      const publicKey = createPublicKey(privateKeyObject('ed25519', privateKey));
      return { publicKey: plainBytes(publicKey.export({ format: 'raw-public' })), privateKey };
    },
    sign(privateKey, message) {
      requireLength(privateKey, SEED_BYTES, 'an Ed25519 seed');
      return plainBytes(sign(null, message, privateKeyObject('ed25519', privateKey)));
    },
    verify(publicKey, message, signature) {
      if (publicKey.length !== PUBLIC_KEY_BYTES || signature.length !== SIGNATURE_BYTES) return false;
      if (!isCanonical(publicKey) || hasSmallOrder(publicKey) || hasSmallOrder(signature.subarray(0, 32))) return false;
      const key = importPublicKey(publicKey);
      return key !== undefined && verify(null, message, key, signature);
    },
    isPublicKey: isEd25519PublicKey,
  };
}

function importPublicKey(publicKey: Uint8Array): KeyObject | undefined {
  try {
    return createPublicKey({ key: Buffer.from(publicKey), format: 'raw-public', asymmetricKeyType: 'ed25519' });
  } catch {
    return undefined;
  }
}
