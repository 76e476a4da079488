import { createHmac, hash, timingSafeEqual } from 'node:crypto';
import type { Crypto } from '@norc/protocol/crypto';
import { opensslAead, sodiumChaCha20Poly1305 } from './aead.ts';
import { blake3, hmacBlake3 } from './blake3.ts';
import { opensslEd25519, sodiumEd25519 } from './ed25519.ts';
import { opensslMlKem768, opensslX25519 } from './key-exchange.ts';
import { plainBytes } from './lengths.ts';
import { opensslMlDsa65 } from './ml-dsa.ts';
import { loadSodium, type Sodium } from './sodium.ts';

/**
 * Protocol cryptography by OpenSSL 3.5 (through `node:crypto`), blake3-jit and, where
 * present, libsodium. All calls are synchronous.
 *
 * @param sodium `undefined` leaves everything to `node:crypto`: the same bytes, slower.
 */
export function createNodeCrypto(sodium: Sodium | undefined): Crypto {
  return {
    blake3,
    sha256: (data) => plainBytes(hash('sha256', data, 'buffer')),
    hmac: (name, key, data) => (name === 'blake3' ? hmacBlake3(key, data) : hmacSha256(key, data)),
    equal: (a, b) => a.length === b.length && timingSafeEqual(a, b),
    aead: {
      'chacha20-poly1305': sodium === undefined ? opensslAead('chacha20-poly1305') : sodiumChaCha20Poly1305(sodium),
      'aes-256-gcm': opensslAead('aes-256-gcm'),
    },
    x25519: opensslX25519,
    mlKem768: opensslMlKem768,
    ed25519: sodium === undefined ? opensslEd25519() : sodiumEd25519(sodium),
    mlDsa65: opensslMlDsa65,
  };
}

function hmacSha256(key: Uint8Array, data: Uint8Array): Uint8Array {
  return plainBytes(createHmac('sha256', key).update(data).digest());
}

const sodium = loadSodium();

/** Whether libsodium does ChaCha20-Poly1305 and Ed25519 here: for `norc doctor` and the benchmark's report. */
export const nodeCryptoIsAccelerated: boolean = sodium !== undefined;

export const nodeCrypto: Crypto = createNodeCrypto(sodium);
