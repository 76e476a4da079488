import { gcm } from '@noble/ciphers/aes.js';
import { chacha20poly1305 } from '@noble/ciphers/chacha.js';
import { ed25519, x25519 } from '@noble/curves/ed25519.js';
import { blake3 } from '@noble/hashes/blake3.js';
import { hmac } from '@noble/hashes/hmac.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { ml_dsa65 } from '@noble/post-quantum/ml-dsa.js';
import { ml_kem768 } from '@noble/post-quantum/ml-kem.js';
import type { Random } from '@norc/protocol/base';
import {
  type Aead,
  type Crypto,
  ML_DSA_65_PUBLIC_KEY_BYTES,
  ML_DSA_65_SEED_BYTES,
  ML_DSA_65_SIGNATURE_BYTES,
  type MlDsa65,
} from '@norc/protocol/crypto';

const TAG_BYTES = 16;
const KEM_CIPHERTEXT_BYTES = 1088;
const KEM_PUBLIC_KEY_BYTES = 1184;
/** The rest of a public key is a 32-byte seed. */
const KEM_COEFFICIENT_BYTES = 1152;
const KEM_MODULUS = 3329;

/**
 * Protocol cryptography in portable JavaScript (@noble), for simulations and test
 * vectors: with one `random`, every byte of a run comes again, encapsulation included.
 * Slow, and not meant to keep secrets. Agrees with `nodeCrypto` on everything else.
 */
export function nobleCrypto(random: Random): Crypto {
  return {
    blake3: (data) => blake3(data),
    sha256: (data) => sha256(data),
    hmac: (hash, key, data) => hmac(hash === 'blake3' ? blake3 : sha256, key, data),
    equal: (a, b) => a.length === b.length && a.every((byte, i) => byte === b[i]),
    aead: { 'chacha20-poly1305': nobleAead(chacha20poly1305), 'aes-256-gcm': nobleAead(gcm) },
    x25519: {
      keyPair(bytes) {
        const privateKey = bytes(32);
        return { publicKey: x25519.getPublicKey(privateKey), privateKey };
      },
      agree: (privateKey, publicKey) => attempt(() => x25519.getSharedSecret(privateKey, publicKey)),
    },
    mlKem768: {
      keyPair(bytes) {
        const privateKey = bytes(64);
        return { publicKey: ml_kem768.keygen(privateKey).publicKey, privateKey };
      },
      encapsulate(publicKey) {
        const message = random.bytes(32);
        if (!passesModulusCheck(publicKey)) return undefined;
        const result = attempt(() => ml_kem768.encapsulate(publicKey, message));
        return result && { ciphertext: result.cipherText, sharedSecret: result.sharedSecret };
      },
      decapsulate(privateKey, ciphertext) {
        if (ciphertext.length !== KEM_CIPHERTEXT_BYTES) return undefined;
        return ml_kem768.decapsulate(ciphertext, ml_kem768.keygen(privateKey).secretKey);
      },
    },
    ed25519: {
      keyPair(bytes) {
        const privateKey = bytes(32);
        return { publicKey: ed25519.getPublicKey(privateKey), privateKey };
      },
      sign: (privateKey, message) => ed25519.sign(message, privateKey),
      verify: (publicKey, message, signature) =>
        isPublicKey(publicKey) &&
        (attempt(() => ed25519.verify(signature, message, publicKey, { zip215: false })) ?? false),
      isPublicKey,
    },
    mlDsa65: nobleMlDsa65,
  };
}

/** Deterministic signing (FIPS 204 section 3.4): the same message and key give the same bytes, for test vectors. */
export const nobleMlDsa65: MlDsa65 = {
  keyPair(bytes) {
    const privateKey = bytes(ML_DSA_65_SEED_BYTES);
    return { publicKey: ml_dsa65.keygen(privateKey).publicKey, privateKey };
  },
  sign: (privateKey, message) => ml_dsa65.sign(message, ml_dsa65.keygen(privateKey).secretKey, { extraEntropy: false }),
  verify: (publicKey, message, signature) =>
    publicKey.length === ML_DSA_65_PUBLIC_KEY_BYTES &&
    signature.length === ML_DSA_65_SIGNATURE_BYTES &&
    (attempt(() => ml_dsa65.verify(signature, message, publicKey)) ?? false),
  isPublicKey: (publicKey) => publicKey.length === ML_DSA_65_PUBLIC_KEY_BYTES,
};

/** Bytes that look random and come again with the same seed: BLAKE3 in its extendable form. Not a secret source. */
export function seededRandom(seed: string): Random {
  const stream = blake3.create({}).update(new TextEncoder().encode(`norc testkit ${seed}`));
  return { bytes: (length) => stream.xof(length) };
}

function isPublicKey(publicKey: Uint8Array): boolean {
  return attempt(() => !ed25519.Point.fromBytes(publicKey).isSmallOrder()) ?? false;
}

/** FIPS 203 section 7.2: every 12-bit coefficient is below q. This version of the library lets larger ones pass. */
function passesModulusCheck(publicKey: Uint8Array): boolean {
  if (publicKey.length !== KEM_PUBLIC_KEY_BYTES) return false;
  for (let i = 0; i < KEM_COEFFICIENT_BYTES; i += 3) {
    const [a = 0, b = 0, c = 0] = publicKey.subarray(i, i + 3);
    if ((a | ((b & 15) << 8)) >= KEM_MODULUS || ((b >> 4) | (c << 4)) >= KEM_MODULUS) return false;
  }
  return true;
}

type NobleCipher = (
  key: Uint8Array,
  nonce: Uint8Array,
  aad: Uint8Array,
) => { encrypt(data: Uint8Array): Uint8Array; decrypt(data: Uint8Array): Uint8Array };

function nobleAead(cipher: NobleCipher): Aead {
  return {
    seal: (key, nonce, aad, plaintext) => cipher(key, nonce, aad).encrypt(plaintext),
    open(key, nonce, aad, ciphertext) {
      if (ciphertext.length < TAG_BYTES) return undefined;
      return attempt(() => cipher(key, nonce, aad).decrypt(ciphertext));
    },
  };
}

/** The peer's bytes may be refused: that is an answer, not an exception. */
function attempt<T>(run: () => T): T | undefined {
  try {
    return run();
  } catch {
    return undefined;
  }
}
