import { concatBytes, utf8, zeroBytes } from '@norc/protocol/base';
import type { Aead, RandomBytes } from '@norc/protocol/crypto';
import type { Hkdf } from './hkdf.ts';
import type { Kem } from './provider.ts';

/** HPKE AEAD identifiers (RFC 9180 section 7.3) of the two AEADs with 32-byte keys. */
export const CHACHA20_POLY1305_ID = 0x0003;
export const AES_256_GCM_ID = 0x0002;

const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const MODE_BASE = 0x00;
const VERSION = utf8('HPKE-v1');
const NOTHING = new Uint8Array(0);

export interface HpkeSuite {
  readonly kem: Kem;
  readonly kdf: Hkdf;
  readonly aead: Aead & { readonly id: number };
}

/** HPKE (RFC 9180) in base mode, single shot: one message per encapsulation, as MLS uses it. */
export interface Hpke {
  /** `undefined` when the public key is not valid. */
  seal(
    publicKey: Uint8Array,
    info: Uint8Array,
    aad: Uint8Array,
    plaintext: Uint8Array,
    random: RandomBytes,
  ): { readonly encapsulation: Uint8Array; readonly ciphertext: Uint8Array } | undefined;
  /** `undefined` when the encapsulation is malformed or the tag does not match. */
  open(
    privateKey: Uint8Array,
    encapsulation: Uint8Array,
    info: Uint8Array,
    aad: Uint8Array,
    ciphertext: Uint8Array,
  ): Uint8Array | undefined;
}

interface Context {
  readonly key: Uint8Array;
  readonly baseNonce: Uint8Array;
}

export function createHpke({ kem, kdf, aead }: HpkeSuite): Hpke {
  const suiteId = concatBytes(utf8('HPKE'), uint16(kem.id), uint16(kdf.id), uint16(aead.id));
  const labels = labeledKdf(kdf, suiteId);
  const pskIdHash = labels.extract(NOTHING, 'psk_id_hash', NOTHING);

  /** RFC 9180 section 5.1, `KeySchedule` with an empty PSK. */
  function keySchedule(sharedSecret: Uint8Array, info: Uint8Array): Context {
    const infoHash = labels.extract(NOTHING, 'info_hash', info);
    const context = concatBytes(Uint8Array.of(MODE_BASE), pskIdHash, infoHash);
    const secret = labels.extract(sharedSecret, 'secret', NOTHING);
    const key = labels.expand(secret, 'key', context, KEY_BYTES);
    const baseNonce = labels.expand(secret, 'base_nonce', context, NONCE_BYTES);
    zeroBytes(secret, sharedSecret);
    return { key, baseNonce };
  }

  return {
    seal(publicKey, info, aad, plaintext, random) {
      const encapsulated = kem.encapsulate(publicKey, random);
      if (encapsulated === undefined) return undefined;
      const { key, baseNonce } = keySchedule(encapsulated.sharedSecret, info);
      const ciphertext = aead.seal(key, baseNonce, aad, plaintext);
      zeroBytes(key);
      return { encapsulation: encapsulated.encapsulation, ciphertext };
    },
    open(privateKey, encapsulation, info, aad, ciphertext) {
      const sharedSecret = kem.decapsulate(privateKey, encapsulation);
      if (sharedSecret === undefined) return undefined;
      const { key, baseNonce } = keySchedule(sharedSecret, info);
      const plaintext = aead.open(key, baseNonce, aad, ciphertext);
      zeroBytes(key);
      return plaintext;
    },
  };
}

export interface LabeledKdf {
  extract(salt: Uint8Array, label: string, ikm: Uint8Array): Uint8Array;
  expand(prk: Uint8Array, label: string, info: Uint8Array, length: number): Uint8Array;
}

/** RFC 9180 section 4, `LabeledExtract` and `LabeledExpand`. */
export function labeledKdf(kdf: Hkdf, suiteId: Uint8Array): LabeledKdf {
  return {
    extract: (salt, label, ikm) => kdf.extract(salt, concatBytes(VERSION, suiteId, utf8(label), ikm)),
    expand: (prk, label, info, length) =>
      kdf.expand(prk, concatBytes(uint16(length), VERSION, suiteId, utf8(label), info), length),
  };
}

export function uint16(value: number): Uint8Array {
  return Uint8Array.of(value >> 8, value & 0xff);
}
