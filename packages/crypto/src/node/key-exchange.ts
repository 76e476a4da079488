import { createPublicKey, decapsulate, diffieHellman, encapsulate, type KeyObject } from 'node:crypto';
import type { MlKem768, X25519 } from '@norc/protocol/crypto';
import { plainBytes, requireLength } from './lengths.ts';
import { privateKeyObject, type RawPrivateKeyType } from './private-keys.ts';

const X25519_BYTES = 32;
const ML_KEM_SEED_BYTES = 64;
const ML_KEM_PUBLIC_KEY_BYTES = 1184;
const ML_KEM_CIPHERTEXT_BYTES = 1088;

export const opensslX25519: X25519 = {
  keyPair(random) {
    const privateKey = random(X25519_BYTES);
    requireLength(privateKey, X25519_BYTES, 'an X25519 private key');
    return { publicKey: publicBytes('x25519', privateKey), privateKey };
  },
  agree(privateKey, publicKey) {
    requireLength(privateKey, X25519_BYTES, 'an X25519 private key');
    if (publicKey.length !== X25519_BYTES) return undefined;
    const peer = importPublicKey('x25519', publicKey);
    if (peer === undefined) return undefined;
    const own = privateKeyObject('x25519', privateKey);
    // OpenSSL refuses an all-zero result (RFC 7748 section 6.1), which a low-order key gives.
    return orUndefined(() => plainBytes(diffieHellman({ privateKey: own, publicKey: peer })));
  },
};

export const opensslMlKem768: MlKem768 = {
  keyPair(random) {
    const privateKey = random(ML_KEM_SEED_BYTES);
    requireLength(privateKey, ML_KEM_SEED_BYTES, 'an ML-KEM-768 seed');
    return { publicKey: publicBytes('ml-kem-768', privateKey), privateKey };
  },
  encapsulate(publicKey) {
    if (publicKey.length !== ML_KEM_PUBLIC_KEY_BYTES) return undefined;
    // The import makes the modulus check of FIPS 203 section 7.2.
    const key = importPublicKey('ml-kem-768', publicKey);
    if (key === undefined) return undefined;
    const { ciphertext, sharedKey } = encapsulate(key);
    return { ciphertext: plainBytes(ciphertext), sharedSecret: plainBytes(sharedKey) };
  },
  decapsulate(privateKey, ciphertext) {
    requireLength(privateKey, ML_KEM_SEED_BYTES, 'an ML-KEM-768 seed');
    if (ciphertext.length !== ML_KEM_CIPHERTEXT_BYTES) return undefined;
    return plainBytes(decapsulate(privateKeyObject('ml-kem-768', privateKey), ciphertext));
  },
};

function publicBytes(type: RawPrivateKeyType, privateKey: Uint8Array): Uint8Array {
  return plainBytes(createPublicKey(privateKeyObject(type, privateKey)).export({ format: 'raw-public' }));
}

function importPublicKey(type: RawPrivateKeyType, bytes: Uint8Array): KeyObject | undefined {
  return orUndefined(() => createPublicKey({ key: Buffer.from(bytes), format: 'raw-public', asymmetricKeyType: type }));
}

/** The peer's bytes may be refused: that is an answer, not an exception. */
function orUndefined<T>(attempt: () => T): T | undefined {
  try {
    return attempt();
  } catch {
    return undefined;
  }
}
