import { concatBytes, utf8, zeroBytes } from '@norc/protocol/base';
import type { Crypto, KeyPair } from '@norc/protocol/crypto';
import { createHkdf } from './hkdf.ts';
import { labeledKdf, uint16 } from './hpke.ts';
import type { Kem } from './provider.ts';

const KEY_BYTES = 32;
const KEM_ID = 0x0020;
const NOTHING = new Uint8Array(0);

/**
 * DHKEM(X25519, HKDF-SHA256) of RFC 9180 section 4.1: the KEM of MLS suites 1 and 3.
 * No NORC group uses it; with it, our HPKE and our engine are tested against others'.
 */
export function createDhKemX25519(crypto: Pick<Crypto, 'x25519' | 'hmac'>): Kem {
  const kdf = createHkdf(crypto, 'sha256');
  const labels = labeledKdf(kdf, concatBytes(utf8('KEM'), uint16(KEM_ID)));

  function pairOf(privateKey: Uint8Array): KeyPair {
    return crypto.x25519.keyPair(() => privateKey);
  }

  function extractAndExpand(shared: Uint8Array, context: Uint8Array): Uint8Array {
    const prk = labels.extract(NOTHING, 'eae_prk', shared);
    const secret = labels.expand(prk, 'shared_secret', context, KEY_BYTES);
    zeroBytes(prk, shared);
    return secret;
  }

  return {
    id: KEM_ID,
    publicKeyBytes: KEY_BYTES,
    privateKeyBytes: KEY_BYTES,
    encapsulationBytes: KEY_BYTES,
    generate: (random) => pairOf(random(KEY_BYTES)),
    derive(ikm) {
      const prk = labels.extract(NOTHING, 'dkp_prk', ikm);
      return pairOf(labels.expand(prk, 'sk', NOTHING, KEY_BYTES));
    },
    publicKeyOf: (privateKey) => pairOf(privateKey).publicKey,
    isPublicKey: (key) =>
      key.length === KEY_BYTES && crypto.x25519.agree(new Uint8Array(KEY_BYTES).fill(1), key) !== undefined,
    encapsulate(publicKey, random) {
      const ephemeral = pairOf(random(KEY_BYTES));
      const shared = crypto.x25519.agree(ephemeral.privateKey, publicKey);
      if (shared === undefined) return undefined;
      const encapsulation = ephemeral.publicKey;
      return { encapsulation, sharedSecret: extractAndExpand(shared, concatBytes(encapsulation, publicKey)) };
    },
    decapsulate(privateKey, encapsulation) {
      const shared = crypto.x25519.agree(privateKey, encapsulation);
      if (shared === undefined) return undefined;
      return extractAndExpand(shared, concatBytes(encapsulation, pairOf(privateKey).publicKey));
    },
    erase: (privateKey) => zeroBytes(privateKey),
  };
}
