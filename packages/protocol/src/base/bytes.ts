import { InvariantError } from './result.ts';

/** Joins byte strings in order. */
export function concatBytes(...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const joined = new Uint8Array(length);
  let offset = 0;
  for (const part of parts) {
    joined.set(part, offset);
    offset += part.length;
  }
  return joined;
}

/**
 * Public comparison of byte strings. Not constant time: never for tags, keys or
 * anything derived from a secret (use `Crypto.equal`).
 */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i += 1) if (a[i] !== b[i]) return false;
  return true;
}

/** Unsigned lexicographic order, shorter first on a tie of the common prefix. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const shared = Math.min(a.length, b.length);
  for (let i = 0; i < shared; i += 1) {
    const difference = (a[i] as number) - (b[i] as number); // i < shared: both exist
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/** Overwrites a secret in place. The runtime may still hold copies it made itself. */
export function zeroBytes(...secrets: readonly Uint8Array[]): void {
  for (const secret of secrets) secret.fill(0);
}

const HEX = '0123456789abcdef';

export function toHex(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += (HEX[byte >> 4] as string) + (HEX[byte & 15] as string); // nibbles index HEX
  return text;
}

/** Lower- or upper-case hexadecimal; `undefined` when the text is not hexadecimal of even length. */
export function fromHex(text: string): Uint8Array | undefined {
  if (text.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(text)) return undefined;
  const bytes = new Uint8Array(text.length / 2);
  for (let i = 0; i < bytes.length; i += 1) bytes[i] = Number.parseInt(text.slice(2 * i, 2 * i + 2), 16);
  return bytes;
}

const B64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const B64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

function encodeBase64(bytes: Uint8Array, alphabet: string, pad: boolean): string {
  let text = '';
  for (let i = 0; i < bytes.length; i += 3) {
    const left = bytes.length - i;
    const group = ((bytes[i] ?? 0) << 16) | ((bytes[i + 1] ?? 0) << 8) | (bytes[i + 2] ?? 0);
    for (let k = 0; k < 4; k += 1) {
      if (k <= left) text += alphabet[(group >> (18 - 6 * k)) & 63];
      else if (pad) text += '=';
    }
  }
  return text;
}

const DECODE_STD = decodeTable(B64);
const DECODE_URL = decodeTable(B64URL);

function decodeTable(alphabet: string): Int8Array {
  const table = new Int8Array(128).fill(-1);
  for (let i = 0; i < 64; i += 1) table[alphabet.charCodeAt(i)] = i;
  return table;
}

/** Strict: no white space, no stray bits, and exactly the length that an encoder gives. */
function decodeBase64(text: string, table: Int8Array): Uint8Array | undefined {
  const rest = text.length % 4;
  if (rest === 1) return undefined;
  const bytes = new Uint8Array(Math.floor((text.length * 3) / 4));
  let accumulator = 0;
  let bits = 0;
  let offset = 0;
  for (let i = 0; i < text.length; i += 1) {
    const digit = table[text.charCodeAt(i)] ?? -1;
    if (digit < 0) return undefined;
    accumulator = ((accumulator << 6) | digit) & 0xffff;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      bytes[offset] = (accumulator >> bits) & 0xff;
      offset += 1;
    }
  }
  if ((accumulator & ((1 << bits) - 1)) !== 0) return undefined;
  return bytes;
}

/** Base64url without padding (RFC 4648 section 5): NORC's text form of bytes. */
export function toBase64Url(bytes: Uint8Array): string {
  return encodeBase64(bytes, B64URL, false);
}

export function fromBase64Url(text: string): Uint8Array | undefined {
  return decodeBase64(text, DECODE_URL);
}

/** Standard base64 with padding (RFC 4648 section 4): only in 1.x hellos. */
export function toBase64(bytes: Uint8Array): string {
  return encodeBase64(bytes, B64, true);
}

export function fromBase64(text: string): Uint8Array | undefined {
  if (text.length % 4 !== 0) return undefined;
  return decodeBase64(text.replace(/={1,2}$/, ''), DECODE_STD);
}

/** UTF-8 of a well-formed string; throws on a lone surrogate, which has no UTF-8 form. */
export function utf8(text: string): Uint8Array {
  const bytes: number[] = [];
  for (const character of text) {
    const point = character.codePointAt(0) as number; // a string iterator never yields an empty string
    if (point >= 0xd800 && point <= 0xdfff) throw new InvariantError('text holds a lone surrogate');
    pushCodePoint(bytes, point);
  }
  return Uint8Array.from(bytes);
}

function pushCodePoint(bytes: number[], point: number): void {
  if (point < 0x80) bytes.push(point);
  else if (point < 0x800) bytes.push(0xc0 | (point >> 6), 0x80 | (point & 63));
  else if (point < 0x10000) bytes.push(0xe0 | (point >> 12), 0x80 | ((point >> 6) & 63), 0x80 | (point & 63));
  else bytes.push(0xf0 | (point >> 18), 0x80 | ((point >> 12) & 63), 0x80 | ((point >> 6) & 63), 0x80 | (point & 63));
}
