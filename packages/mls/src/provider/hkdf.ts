import { zeroBytes } from '@norc/protocol/base';
import type { Crypto, HashName } from '@norc/protocol/crypto';

/** HKDF (RFC 5869) over a 32-byte hash. */
export interface Hkdf {
  /** HPKE KDF identifier. */
  readonly id: number;
  readonly hashBytes: number;
  extract(salt: Uint8Array, ikm: Uint8Array): Uint8Array;
  expand(prk: Uint8Array, info: Uint8Array, length: number): Uint8Array;
}

/** Private use: RFC 9180 section 7.2 leaves 0xFF01 unassigned (spec/mls-profile section 2). */
export const HKDF_BLAKE3_ID = 0xff01;
export const HKDF_SHA256_ID = 0x0001;

const HASH_BYTES = 32;
const NO_SALT = new Uint8Array(HASH_BYTES);

export function createHkdf(crypto: Pick<Crypto, 'hmac'>, hash: HashName): Hkdf {
  return {
    id: hash === 'blake3' ? HKDF_BLAKE3_ID : HKDF_SHA256_ID,
    hashBytes: HASH_BYTES,
    extract: (salt, ikm) => crypto.hmac(hash, salt.length === 0 ? NO_SALT : salt, ikm),
    expand(prk, info, length) {
      if (length > 255 * HASH_BYTES) throw new RangeError('HKDF output is too long');
      return length <= HASH_BYTES
        ? expandBlock(crypto, hash, prk, info, length)
        : expandBlocks(crypto, hash, prk, info, length);
    },
  };
}

/** The common case of one block: T(1) = HMAC(prk, info || 0x01). */
function expandBlock(
  crypto: Pick<Crypto, 'hmac'>,
  hash: HashName,
  prk: Uint8Array,
  info: Uint8Array,
  length: number,
): Uint8Array {
  const input = new Uint8Array(info.length + 1);
  input.set(info);
  input[info.length] = 1;
  const block = crypto.hmac(hash, prk, input);
  if (length === HASH_BYTES) return block;
  const output = block.slice(0, length);
  zeroBytes(block);
  return output;
}

function expandBlocks(
  crypto: Pick<Crypto, 'hmac'>,
  hash: HashName,
  prk: Uint8Array,
  info: Uint8Array,
  length: number,
): Uint8Array {
  const output = new Uint8Array(length);
  const input = new Uint8Array(HASH_BYTES + info.length + 1);
  input.set(info, HASH_BYTES);
  for (let at = 0, counter = 1; at < length; at += HASH_BYTES, counter += 1) {
    input[input.length - 1] = counter;
    const block = crypto.hmac(hash, prk, counter === 1 ? input.subarray(HASH_BYTES) : input);
    output.set(block.subarray(0, length - at), at);
    input.set(block);
    zeroBytes(block);
  }
  zeroBytes(input);
  return output;
}
