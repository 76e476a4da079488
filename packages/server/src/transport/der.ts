import { concatBytes, utf8 } from '@norc/protocol/base';

/** The little of DER (X.690) that a self-signed certificate needs. Writes only: nothing received is parsed here. */

const TAG = {
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  objectId: 0x06,
  utf8String: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

/** One element: tag, length in the shortest form, content. */
export function der(tag: number, ...content: readonly Uint8Array[]): Uint8Array {
  const body = concatBytes(...content);
  return concatBytes(Uint8Array.of(tag), derLength(body.length), body);
}

function derLength(length: number): Uint8Array {
  if (length < 0x80) return Uint8Array.of(length);
  if (length < 0x100) return Uint8Array.of(0x81, length);
  if (length < 0x10000) return Uint8Array.of(0x82, length >> 8, length & 0xff);
  throw new RangeError('a certificate is shorter than 64 KiB');
}

export const sequence = (...items: readonly Uint8Array[]): Uint8Array => der(TAG.sequence, ...items);
export const setOf = (item: Uint8Array): Uint8Array => der(TAG.set, item);
export const utf8String = (text: string): Uint8Array => der(TAG.utf8String, utf8(text));
export const octetString = (content: Uint8Array): Uint8Array => der(TAG.octetString, content);
export const bitString = (content: Uint8Array, unusedBits = 0): Uint8Array =>
  der(TAG.bitString, Uint8Array.of(unusedBits), content);

/** A non-negative integer from its big-endian bytes. */
export function integer(magnitude: Uint8Array): Uint8Array {
  let start = 0;
  while (start < magnitude.length - 1 && magnitude[start] === 0) start += 1;
  const shortest = magnitude.subarray(start);
  const negative = ((shortest[0] ?? 0) & 0x80) !== 0;
  return der(TAG.integer, negative ? Uint8Array.of(0) : new Uint8Array(), shortest);
}

/** `1.2.840.10045.4.3.2` and the like. */
export function objectId(dotted: string): Uint8Array {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  return der(TAG.objectId, Uint8Array.from([first * 40 + second, ...rest.flatMap(base128)]));
}

function base128(arc: number): number[] {
  const digits = [arc & 0x7f];
  for (let left = arc >>> 7; left > 0; left >>>= 7) digits.unshift(0x80 | (left & 0x7f));
  return digits;
}

const YEAR_GENERALIZED_FROM = 2050; // RFC 5280 section 4.1.2.5

/** Whole seconds, UTC, in the form that RFC 5280 asks for at that date. */
export function time(milliseconds: number): Uint8Array {
  const date = new Date(milliseconds);
  const digits = date.toISOString().replace(/[-:T]|\.\d+Z$/g, '');
  return date.getUTCFullYear() < YEAR_GENERALIZED_FROM
    ? der(TAG.utcTime, utf8(`${digits.slice(2)}Z`))
    : der(TAG.generalizedTime, utf8(`${digits}Z`));
}
