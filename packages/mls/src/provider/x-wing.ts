import { concatBytes, utf8, zeroBytes } from '@norc/protocol/base';
import type { Crypto, KeyPair } from '@norc/protocol/crypto';
import type { Kem } from './provider.ts';

const SEED_BYTES = 32;
const EXPANDED_BYTES = 96;
const ML_KEM_SEED_BYTES = 64;
const ML_KEM_PUBLIC_KEY_BYTES = 1184;
const ML_KEM_CIPHERTEXT_BYTES = 1088;
const X25519_BYTES = 32;

/** Without the 32-byte seed at its end, any value of which is valid. */
const ML_KEM_VECTOR_BYTES = ML_KEM_PUBLIC_KEY_BYTES - 32;
const ML_KEM_MODULUS = 3329;
/** No secret: whether a point is of low order shows with any scalar. */
const PROBE = new Uint8Array(X25519_BYTES).fill(1);

export const X_WING_KEM_ID = 0x647a;
const LABEL = utf8('\\.//^\\');

/** SHA-3 functions (FIPS 202), which `Crypto` does not have because only X-Wing needs them. */
export interface Sha3 {
  sha3_256(data: Uint8Array): Uint8Array;
  shake256(data: Uint8Array, length: number): Uint8Array;
}

/** A private key's two halves; kept as long as the caller's seed lives, which bounds the cache. */
interface Expanded {
  /** Of the seed: notices a buffer that was overwritten and used for another key. */
  readonly seed: Uint8Array;
  readonly mlKemSeed: Uint8Array;
  readonly x25519: Uint8Array;
  readonly publicKey: Uint8Array;
}

/**
 * X-Wing (draft-connolly-cfrg-xwing-kem-10): ML-KEM-768 and X25519 joined by SHA3-256,
 * which also binds the X25519 half's ciphertext and public key. Private key 32 bytes
 * (a seed), public key 1216, encapsulation 1120, secret 32.
 *
 * Stricter than the draft in one point: an X25519 public key of low order is refused.
 */
export function createXWing(crypto: Pick<Crypto, 'x25519' | 'mlKem768' | 'equal'>, sha3: Sha3): Kem {
  const expandedKeys = new WeakMap<Uint8Array, Expanded>();

  function expand(seed: Uint8Array): Expanded {
    const known = expandedKeys.get(seed);
    if (known !== undefined && crypto.equal(known.seed, seed)) return known;
    if (seed.length !== SEED_BYTES) throw new RangeError('an X-Wing private key has 32 bytes');
    const stretched = sha3.shake256(seed, EXPANDED_BYTES);
    const mlKem = crypto.mlKem768.keyPair(() => stretched.slice(0, ML_KEM_SEED_BYTES));
    const x25519 = crypto.x25519.keyPair(() => stretched.slice(ML_KEM_SEED_BYTES));
    zeroBytes(stretched);
    const publicKey = concatBytes(mlKem.publicKey, x25519.publicKey);
    const expanded = {
      seed: seed.slice(),
      mlKemSeed: mlKem.privateKey,
      x25519: x25519.privateKey,
      publicKey,
    };
    expandedKeys.set(seed, expanded);
    return expanded;
  }

  function pairOf(seed: Uint8Array): KeyPair {
    return { privateKey: seed, publicKey: expand(seed).publicKey };
  }

  /** SHA3-256(ss_M || ss_X || ct_X || pk_X || label). */
  function combine(mlKemSecret: Uint8Array, xSecret: Uint8Array, xCiphertext: Uint8Array, xPublic: Uint8Array) {
    const input = concatBytes(mlKemSecret, xSecret, xCiphertext, xPublic, LABEL);
    const secret = sha3.sha3_256(input);
    zeroBytes(input, mlKemSecret, xSecret);
    return secret;
  }

  return {
    id: X_WING_KEM_ID,
    publicKeyBytes: ML_KEM_PUBLIC_KEY_BYTES + X25519_BYTES,
    privateKeyBytes: SEED_BYTES,
    encapsulationBytes: ML_KEM_CIPHERTEXT_BYTES + X25519_BYTES,
    generate: (random) => pairOf(random(SEED_BYTES)),
    derive: (ikm) => pairOf(sha3.shake256(ikm, SEED_BYTES)),
    publicKeyOf: (privateKey) => expand(privateKey).publicKey,

    isPublicKey(key) {
      if (key.length !== ML_KEM_PUBLIC_KEY_BYTES + X25519_BYTES) return false;
      const probe = crypto.x25519.agree(PROBE, key.subarray(ML_KEM_PUBLIC_KEY_BYTES));
      return probe !== undefined && isReduced(key.subarray(0, ML_KEM_VECTOR_BYTES));
    },

    encapsulate(publicKey, random) {
      if (publicKey.length !== ML_KEM_PUBLIC_KEY_BYTES + X25519_BYTES) return undefined;
      const mlKem = crypto.mlKem768.encapsulate(publicKey.subarray(0, ML_KEM_PUBLIC_KEY_BYTES));
      if (mlKem === undefined) return undefined;
      const xPublic = publicKey.subarray(ML_KEM_PUBLIC_KEY_BYTES);
      const ephemeral = crypto.x25519.keyPair(random);
      const xSecret = crypto.x25519.agree(ephemeral.privateKey, xPublic);
      zeroBytes(ephemeral.privateKey);
      if (xSecret === undefined) return undefined;
      return {
        encapsulation: concatBytes(mlKem.ciphertext, ephemeral.publicKey),
        sharedSecret: combine(mlKem.sharedSecret, xSecret, ephemeral.publicKey, xPublic),
      };
    },

    decapsulate(privateKey, encapsulation) {
      if (encapsulation.length !== ML_KEM_CIPHERTEXT_BYTES + X25519_BYTES) return undefined;
      const own = expand(privateKey);
      const xCiphertext = encapsulation.subarray(ML_KEM_CIPHERTEXT_BYTES);
      const mlKemSecret = crypto.mlKem768.decapsulate(
        own.mlKemSeed,
        encapsulation.subarray(0, ML_KEM_CIPHERTEXT_BYTES),
      );
      const xSecret = crypto.x25519.agree(own.x25519, xCiphertext);
      if (mlKemSecret === undefined || xSecret === undefined) return undefined;
      return combine(mlKemSecret, xSecret, xCiphertext, own.publicKey.subarray(ML_KEM_PUBLIC_KEY_BYTES));
    },

    erase(privateKey) {
      const known = expandedKeys.get(privateKey);
      if (known !== undefined) zeroBytes(known.seed, known.mlKemSeed, known.x25519);
      expandedKeys.delete(privateKey);
      zeroBytes(privateKey);
    },
  };
}

/** The modulus check of FIPS 203 section 7.2: all coefficients, 12 bits each, are below the modulus. */
function isReduced(vector: Uint8Array): boolean {
  for (let at = 0; at < vector.length; at += 3) {
    const a = vector[at] ?? 0;
    const b = vector[at + 1] ?? 0;
    const c = vector[at + 2] ?? 0;
    if ((a | ((b & 0x0f) << 8)) >= ML_KEM_MODULUS || ((b >> 4) | (c << 4)) >= ML_KEM_MODULUS) return false;
  }
  return true;
}
