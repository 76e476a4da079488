import { concatBytes, zeroBytes } from '../base/index.ts';
import type { Crypto, HashName } from './interfaces.ts';
import { type KdfLabel, labelBytes } from './labels.ts';

const HASH_BYTES = 32;
/** RFC 5869 section 2.3: at most 255 blocks. */
const OUTPUT_BYTES_MAX = 255 * HASH_BYTES;

/** HKDF-Extract (RFC 5869 section 2.2) over HMAC with SHA-256 or BLAKE3-256. 32 bytes. */
export function hkdfExtract(crypto: Crypto, hash: HashName, salt: Uint8Array, secret: Uint8Array): Uint8Array {
  return crypto.hmac(hash, salt, secret);
}

/**
 * HKDF-Expand (RFC 5869 section 2.3). `info` = label || context, and the label is one
 * of NORC's own: no derivation of this code can collide with another's.
 */
export function hkdfExpand(
  crypto: Crypto,
  hash: HashName,
  pseudorandomKey: Uint8Array,
  label: KdfLabel,
  context: Uint8Array,
  length: number,
): Uint8Array {
  return expand(crypto, hash, pseudorandomKey, concatBytes(labelBytes(label), context), length);
}

/** Exported for the RFC's own test vectors, whose `info` is no label; not part of the package's interface. */
export function expand(
  crypto: Crypto,
  hash: HashName,
  pseudorandomKey: Uint8Array,
  info: Uint8Array,
  length: number,
): Uint8Array {
  if (length > OUTPUT_BYTES_MAX) throw new RangeError('HKDF gives at most 255 blocks');
  const output = new Uint8Array(length);
  let block: Uint8Array = new Uint8Array(0);
  for (let counter = 1; (counter - 1) * HASH_BYTES < length; counter += 1) {
    const input = concatBytes(block, info, Uint8Array.of(counter));
    zeroBytes(block);
    block = crypto.hmac(hash, pseudorandomKey, input);
    zeroBytes(input);
    const offset = (counter - 1) * HASH_BYTES;
    output.set(block.subarray(0, Math.min(HASH_BYTES, length - offset)), offset);
  }
  zeroBytes(block);
  return output;
}
