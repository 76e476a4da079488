import { LIMITS, utf8Length, writeHex, writeUtf8 } from '../base/index.ts';

export const MAJOR = { uint: 0, bytes: 2, text: 3, array: 4, map: 5, simple: 7 } as const;
export type Major = (typeof MAJOR)[keyof typeof MAJOR];

const CAPACITY_FIRST = 512;
const ID_BYTES = 16;
const TWO_32 = 0x1_0000_0000;

/**
 * Deterministic CBOR (RFC 8949 section 4.2.1), as far as NORC uses it. The writer
 * gives the shortest heads; the order of map keys is its caller's duty.
 * A number or text that has no form throws RangeError: that is our own fault.
 */
export class CborWriter {
  #buffer: Uint8Array;
  #length = 0;

  constructor(capacity: number = CAPACITY_FIRST) {
    this.#buffer = new Uint8Array(capacity);
  }

  get capacity(): number {
    return this.#buffer.length;
  }

  /** Initial byte and argument. For a text or byte string the argument is its length in bytes. */
  head(major: Major, argument: number): void {
    this.#reserve(9);
    const buffer = this.#buffer;
    const type = major << 5;
    if (argument < 24) buffer[this.#length++] = type | argument;
    else if (argument < 0x100) {
      buffer[this.#length++] = type | 24;
      buffer[this.#length++] = argument;
    } else if (argument < 0x10000) {
      buffer[this.#length++] = type | 25;
      buffer[this.#length++] = argument >> 8;
      buffer[this.#length++] = argument;
    } else this.#wideHead(type, argument);
  }

  #wideHead(type: number, argument: number): void {
    const wide = argument >= TWO_32;
    this.#buffer[this.#length++] = type | (wide ? 27 : 26);
    if (wide) this.#uint32(Math.floor(argument / TWO_32));
    this.#uint32(argument % TWO_32);
  }

  #uint32(value: number): void {
    for (let shift = 24; shift >= 0; shift -= 8) this.#buffer[this.#length++] = value >>> shift;
  }

  uint(value: number): void {
    if (!Number.isSafeInteger(value) || value < 0) throw new RangeError('not an unsigned integer below 2^53');
    this.head(MAJOR.uint, value);
  }

  bool(value: boolean): void {
    this.#reserve(1);
    this.#buffer[this.#length++] = value ? 0xf5 : 0xf4;
  }

  bytes(value: Uint8Array): void {
    this.head(MAJOR.bytes, value.length);
    this.raw(value);
  }

  /** An id: the 16 bytes that its text is in hexadecimal. */
  id(value: string): void {
    if (value.length !== 2 * ID_BYTES) throw new RangeError('not an id');
    this.head(MAJOR.bytes, ID_BYTES);
    this.#reserve(ID_BYTES);
    if (!writeHex(value, this.#buffer, this.#length)) throw new RangeError('not an id');
    this.#length += ID_BYTES;
  }

  text(value: string, bytesMax: number = Number.MAX_SAFE_INTEGER): void {
    const length = utf8Length(value);
    if (length < 0) throw new RangeError('text holds a lone surrogate');
    if (length > bytesMax) throw new RangeError('text is too long');
    this.head(MAJOR.text, length);
    this.#reserve(length);
    this.#length = writeUtf8(value, this.#buffer, this.#length);
  }

  /** Bytes that are CBOR already. */
  raw(encoded: Uint8Array): void {
    this.#reserve(encoded.length);
    this.#buffer.set(encoded, this.#length);
    this.#length += encoded.length;
  }

  /** What was written, as a view that is good until the writer is used again. */
  get written(): Uint8Array {
    return this.#buffer.subarray(0, this.#length);
  }

  /** What was written, as a copy. The writer is empty afterwards, and holds no trace of it. */
  finish(): Uint8Array {
    const written = this.#buffer.slice(0, this.#length);
    this.reset();
    return written;
  }

  /** Forgets what was written, also after an error half-way. */
  reset(): void {
    this.#buffer.fill(0, 0, this.#length);
    this.#length = 0;
  }

  #reserve(more: number): void {
    const needed = this.#length + more;
    if (needed <= this.#buffer.length) return;
    const grown = new Uint8Array(Math.max(needed, 2 * this.#buffer.length));
    grown.set(this.#buffer.subarray(0, this.#length));
    this.#buffer.fill(0, 0, this.#length);
    this.#buffer = grown;
  }
}

/** A map key's encoded form, which is also what keys are ordered by. */
export function encodeKey(name: string): Uint8Array {
  const writer = new CborWriter(name.length + 9);
  writer.text(name);
  return writer.finish();
}

/** Our own output stays inside what our own reader takes. */
export function assertDepth(depth: number): void {
  if (depth > LIMITS.nestingDepthMax) throw new RangeError('value is nested too deeply');
}
