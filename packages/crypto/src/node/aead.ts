import { type CipherGCMTypes, createCipheriv, createDecipheriv } from 'node:crypto';
import type { Aead, AeadName } from '@norc/protocol/crypto';
import { plainBytes, requireLength } from './lengths.ts';
import type { Sodium } from './sodium.ts';

const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** ChaCha20-Poly1305 (RFC 8439) by libsodium. */
export function sodiumChaCha20Poly1305(sodium: Sodium): Aead {
  return {
    seal(key, nonce, aad, plaintext, into) {
      requireKeyAndNonce(key, nonce);
      const ciphertext = into ?? new Uint8Array(plaintext.length + TAG_BYTES);
      requireLength(ciphertext, plaintext.length + TAG_BYTES, 'room for a ciphertext');
      sodium.crypto_aead_chacha20poly1305_ietf_encrypt(ciphertext, plaintext, aad, null, nonce, key);
      return ciphertext;
    },
    open(key, nonce, aad, ciphertext) {
      requireKeyAndNonce(key, nonce);
      if (ciphertext.length < TAG_BYTES) return undefined;
      const plaintext = new Uint8Array(ciphertext.length - TAG_BYTES);
      try {
        sodium.crypto_aead_chacha20poly1305_ietf_decrypt(plaintext, null, ciphertext, aad, nonce, key);
      } catch {
        return undefined; // lengths were checked: only the tag can be wrong
      }
      return plaintext;
    },
  };
}

/** ChaCha20-Poly1305 (RFC 8439) or AES-256-GCM (NIST SP 800-38D, 96-bit nonce, 128-bit tag) by OpenSSL. */
export function opensslAead(name: AeadName): Aead {
  // The declarations know 'authTagLength' for this name's kind only; both algorithms take the same calls.
  const algorithm = name as CipherGCMTypes;
  return {
    seal(key, nonce, aad, plaintext, into) {
      requireKeyAndNonce(key, nonce);
      const ciphertext = into ?? new Uint8Array(plaintext.length + TAG_BYTES);
      requireLength(ciphertext, plaintext.length + TAG_BYTES, 'room for a ciphertext');
      const cipher = createCipheriv(algorithm, key, nonce, { authTagLength: TAG_BYTES });
      cipher.setAAD(aad, { plaintextLength: plaintext.length });
      ciphertext.set(cipher.update(plaintext));
      cipher.final();
      ciphertext.set(cipher.getAuthTag(), plaintext.length);
      return ciphertext;
    },
    open(key, nonce, aad, ciphertext) {
      requireKeyAndNonce(key, nonce);
      const length = ciphertext.length - TAG_BYTES;
      if (length < 0) return undefined;
      const decipher = createDecipheriv(algorithm, key, nonce, { authTagLength: TAG_BYTES });
      decipher.setAAD(aad, { plaintextLength: length });
      decipher.setAuthTag(ciphertext.subarray(length));
      const plaintext = plainBytes(decipher.update(ciphertext.subarray(0, length)));
      return tagMatches(decipher) ? plaintext : undefined;
    },
  };
}

function tagMatches(decipher: { final(): unknown }): boolean {
  try {
    decipher.final();
    return true;
  } catch {
    return false;
  }
}

function requireKeyAndNonce(key: Uint8Array, nonce: Uint8Array): void {
  requireLength(key, KEY_BYTES, 'an AEAD key');
  requireLength(nonce, NONCE_BYTES, 'an AEAD nonce');
}
