import { fromHex, InvariantError, sameBytes } from '@norc/protocol/base';

/*
 * Which 32-byte strings NORC accepts as Ed25519 public keys and as R in a signature.
 * RFC 8032 leaves room: OpenSSL accepts points of small order, for which one
 * signature fits every message, and libsodium does not. Two servers that disagree
 * about one signature would disagree about a log, so the strict reading holds in
 * every implementation. All inputs here are public: no need for constant time.
 */

const P = 2n ** 255n - 19n;
/** -121665/121666 mod p, the curve's d (RFC 8032 section 5.1). */
const D = 37095705934669439343138083508754565189542113879843219016388785533085940283555n;
const Y_MASK = 2n ** 255n - 1n;

/** y of the points of order 1, 2, 4 and 8, with the two that have a second, non-canonical form; sign bit cleared. */
const SMALL_ORDER = [
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
].map(decodeConstant);

export function hasSmallOrder(encoded: Uint8Array): boolean {
  const y = Uint8Array.from(encoded);
  y[31] = (y[31] ?? 0) & 0x7f;
  return SMALL_ORDER.some((point) => sameBytes(point, y));
}

/** y < p: each point has one encoding. */
export function isCanonical(encoded: Uint8Array): boolean {
  return (littleEndian(encoded) & Y_MASK) < P;
}

/** Canonical, on the curve, and not of small order. About 0.2 ms: for registration, not for every signature. */
export function isEd25519PublicKey(encoded: Uint8Array): boolean {
  return encoded.length === 32 && isCanonical(encoded) && !hasSmallOrder(encoded) && isOnCurve(encoded);
}

/** x^2 = (y^2 - 1) / (d y^2 + 1) has a root: by Euler's criterion on the product, which is a square iff the quotient is. */
function isOnCurve(encoded: Uint8Array): boolean {
  const y = littleEndian(encoded) & Y_MASK;
  const ySquared = (y * y) % P;
  const product = ((ySquared - 1n + P) * (D * ySquared + 1n)) % P;
  return product === 0n || power(product, (P - 1n) / 2n) === 1n;
}

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n;
  let square = base % P;
  for (let rest = exponent; rest > 0n; rest >>= 1n) {
    if ((rest & 1n) === 1n) result = (result * square) % P;
    square = (square * square) % P;
  }
  return result;
}

function littleEndian(bytes: Uint8Array): bigint {
  let value = 0n;
  for (let i = bytes.length - 1; i >= 0; i -= 1) value = (value << 8n) | BigInt(bytes[i] ?? 0);
  return value;
}

function decodeConstant(hex: string): Uint8Array {
  const bytes = fromHex(hex);
  if (bytes === undefined) throw new InvariantError('constant is not hexadecimal');
  return bytes;
}
