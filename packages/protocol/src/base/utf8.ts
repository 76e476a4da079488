import { InvariantError } from './result.ts';

/** Characters handed to `String.fromCharCode` at once: far below every engine's argument limit. */
const CHUNK = 1024;
/** Texts below this many characters are put together one by one. */
const SHORT = 16;

/** Length of the UTF-8 form in bytes; -1 when the text holds a lone surrogate, which has no UTF-8 form. */
export function utf8Length(text: string): number {
  let length = text.length;
  for (let i = 0; i < text.length; i += 1) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) continue;
    if (unit < 0x800) length += 1;
    else if (unit < 0xd800 || unit > 0xdfff) length += 2;
    else if (isSurrogatePair(text, i)) {
      length += 2; // four bytes for two units
      i += 1;
    } else return -1;
  }
  return length;
}

function isSurrogatePair(text: string, i: number): boolean {
  const next = text.charCodeAt(i + 1); // NaN at the end: both comparisons are false
  return text.charCodeAt(i) < 0xdc00 && next >= 0xdc00 && next <= 0xdfff;
}

/** Writes well-formed text (see `utf8Length`) at `offset`; returns the offset after it. */
export function writeUtf8(text: string, target: Uint8Array, offset: number): number {
  let at = offset;
  for (let i = 0; i < text.length; i += 1) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) target[at++] = unit;
    else {
      const point = text.codePointAt(i) as number; // i < length: there is one
      if (point > 0xffff) i += 1;
      at = writeWide(point, target, at);
    }
  }
  return at;
}

function writeWide(point: number, target: Uint8Array, offset: number): number {
  let at = offset;
  if (point < 0x800) target[at++] = 0xc0 | (point >> 6);
  else {
    if (point < 0x10000) target[at++] = 0xe0 | (point >> 12);
    else {
      target[at++] = 0xf0 | (point >> 18);
      target[at++] = 0x80 | ((point >> 12) & 63);
    }
    target[at++] = 0x80 | ((point >> 6) & 63);
  }
  target[at++] = 0x80 | (point & 63);
  return at;
}

/** UTF-8 of a well-formed string; throws on a lone surrogate, which has no UTF-8 form. */
export function utf8(text: string): Uint8Array {
  const length = utf8Length(text);
  if (length < 0) throw new InvariantError('text holds a lone surrogate');
  const bytes = new Uint8Array(length);
  writeUtf8(text, bytes, 0);
  return bytes;
}

/**
 * Strict UTF-8 (RFC 3629) to text: `undefined` for overlong forms, surrogates,
 * points above U+10FFFF and cut sequences. A byte order mark is kept as a character.
 */
export function decodeUtf8(bytes: Uint8Array, start: number = 0, end: number = bytes.length): string | undefined {
  let ascii = start;
  while (ascii < end && (bytes[ascii] as number) < 0x80) ascii += 1; // ascii < end <= length
  const head = asciiText(bytes, start, ascii);
  if (ascii === end) return head;
  const tail = decodeWide(bytes, ascii, end);
  return tail === undefined ? undefined : head + tail;
}

function asciiText(bytes: Uint8Array, start: number, end: number): string {
  let text = '';
  if (end - start < SHORT) {
    for (let i = start; i < end; i += 1) text += String.fromCharCode(bytes[i] ?? 0);
    return text;
  }
  for (let at = start; at < end; at += CHUNK) text += asciiChunk(bytes, at, Math.min(end - at, CHUNK));
  return text;
}

/** By way of a plain array: `apply` on a typed array takes three times as long. */
function asciiChunk(bytes: Uint8Array, start: number, length: number): string {
  const units = new Array<number>(length);
  for (let i = 0; i < length; i += 1) units[i] = bytes[start + i] ?? 0;
  return String.fromCharCode.apply(null, units);
}

function decodeWide(bytes: Uint8Array, start: number, end: number): string | undefined {
  let text = '';
  let units: number[] = [];
  for (let at = start; at < end; ) {
    const lead = bytes[at] as number; // at < end <= length
    const length = sequenceLength(lead);
    if (length === 0 || at + length > end) return undefined;
    const point = length === 1 ? lead : wideCodePoint(bytes, at, length);
    if (point < 0) return undefined;
    if (point > 0xffff) units.push(0xd7c0 + (point >> 10), 0xdc00 | (point & 0x3ff));
    else units.push(point);
    at += length;
    if (units.length >= CHUNK) {
      text += String.fromCharCode.apply(null, units);
      units = [];
    }
  }
  return text + String.fromCharCode.apply(null, units);
}

/** 0 for a byte that cannot start a sequence. */
function sequenceLength(lead: number): number {
  if (lead < 0x80) return 1;
  if (lead < 0xc2) return 0;
  if (lead < 0xe0) return 2;
  if (lead < 0xf0) return 3;
  return lead < 0xf5 ? 4 : 0;
}

const LEAST_POINT = [0, 0, 0x80, 0x800, 0x10000];

/** The code point of a sequence of 2 to 4 bytes that lies within the input; -1 when it is not valid. */
function wideCodePoint(bytes: Uint8Array, at: number, length: number): number {
  let point = (bytes[at] as number) & (0xff >> (length + 1)); // the caller checked the range
  for (let i = 1; i < length; i += 1) {
    const next = bytes[at + i] as number; // the caller checked the range
    if ((next & 0xc0) !== 0x80) return -1;
    point = (point << 6) | (next & 63);
  }
  if (point < (LEAST_POINT[length] as number) || point > 0x10ffff) return -1; // length is 2 to 4
  return point >= 0xd800 && point <= 0xdfff ? -1 : point;
}
