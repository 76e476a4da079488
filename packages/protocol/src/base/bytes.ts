import { decodeUtf8 } from './utf8.ts';

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

const HEX_PAIRS = Array.from({ length: 256 }, (_, byte) => `${HEX[byte >> 4]}${HEX[byte & 15]}`);

/** The language's own, from ECMAScript 2026 on: ids take this way several times for each message. */
const nativeToHex = (Uint8Array.prototype as { toHex?: (this: Uint8Array) => string }).toHex; // newer than our `lib`

export function toHex(bytes: Uint8Array): string {
  if (nativeToHex !== undefined) return nativeToHex.call(bytes);
  let text = '';
  for (let i = 0; i < bytes.length; i += 1) text += HEX_PAIRS[bytes[i] as number] as string; // a byte indexes 256 pairs
  return text;
}

/** Lower- or upper-case hexadecimal; `undefined` when the text is not hexadecimal of even length. */
export function fromHex(text: string): Uint8Array | undefined {
  if (text.length % 2 !== 0) return undefined;
  const bytes = new Uint8Array(text.length / 2);
  return writeHex(text, bytes, 0) ? bytes : undefined;
}

/** Writes the bytes of hexadecimal text of even length at `offset`; false when it is none, and what is written is then waste. */
export function writeHex(text: string, target: Uint8Array, offset: number): boolean {
  let faults = 0;
  for (let i = 0; i < text.length; i += 2) {
    const byte = (hexDigit(text.charCodeAt(i)) << 4) | hexDigit(text.charCodeAt(i + 1));
    faults |= byte;
    target[offset + (i >> 1)] = byte;
  }
  return faults >= 0;
}

const HEX_DIGITS = new Int8Array(128).fill(-1);
for (let digit = 0; digit < 16; digit += 1) {
  const letter = HEX[digit] as string; // one of sixteen
  HEX_DIGITS[letter.charCodeAt(0)] = digit;
  HEX_DIGITS[letter.toUpperCase().charCodeAt(0)] = digit;
}

/** -1 for any other character: it stays negative through the shift and the or. */
function hexDigit(unit: number): number {
  return unit < 128 ? (HEX_DIGITS[unit] as number) : -1; // the table has 128 places
}

const PAD = 61; // '='
const B64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const B64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
const LETTERS_STD = letterCodes(B64);
const LETTERS_URL = letterCodes(B64URL);

function letterCodes(alphabet: string): Uint8Array {
  return Uint8Array.from(alphabet, (letter) => letter.charCodeAt(0));
}

function encodeBase64(bytes: Uint8Array, alphabet: Uint8Array, pad: boolean): string {
  const rest = bytes.length % 3;
  const whole = bytes.length - rest;
  const text = new Uint8Array((whole / 3) * 4 + (rest === 0 ? 0 : 4));
  let at = 0;
  for (let i = 0; i < bytes.length; i += 3) {
    const group = ((bytes[i] ?? 0) << 16) | ((bytes[i + 1] ?? 0) << 8) | (bytes[i + 2] ?? 0);
    text[at] = alphabet[group >> 18] ?? 0;
    text[at + 1] = alphabet[(group >> 12) & 63] ?? 0;
    text[at + 2] = alphabet[(group >> 6) & 63] ?? 0;
    text[at + 3] = alphabet[group & 63] ?? 0;
    at += 4;
  }
  const surplus = rest === 0 ? 0 : 3 - rest; // letters that stand for no byte
  if (pad) text.fill(PAD, at - surplus);
  return decodeUtf8(text, 0, pad ? at : at - surplus) as string; // the letters are ASCII
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
  return encodeBase64(bytes, LETTERS_URL, false);
}

export function fromBase64Url(text: string): Uint8Array | undefined {
  return decodeBase64(text, DECODE_URL);
}

/** Standard base64 with padding (RFC 4648 section 4): only in 1.x hellos. */
export function toBase64(bytes: Uint8Array): string {
  return encodeBase64(bytes, LETTERS_STD, true);
}

export function fromBase64(text: string): Uint8Array | undefined {
  if (text.length % 4 !== 0) return undefined;
  return decodeBase64(text.replace(/={1,2}$/, ''), DECODE_STD);
}
