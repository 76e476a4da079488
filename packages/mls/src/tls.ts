import { type Result, reject } from '@norc/protocol/base';

/**
 * The TLS presentation language as RFC 9420 section 2.1 uses it: big-endian integers
 * and vectors with a variable-length length (1, 2 or 4 bytes, shortest form only).
 */

const UINT32 = 0x1_0000_0000;

/** Thrown by `TlsReader` and turned into a reject by `readAll`; never leaves this package. */
export class TlsFault extends Error {
  override readonly name = 'TlsFault';
  readonly code: 'truncated' | 'trailing_bytes' | 'not_canonical' | 'malformed' | 'limit_exceeded';
  constructor(code: TlsFault['code'], detail: string) {
    super(detail);
    this.code = code;
  }
}

/** Runs a strict reader over all of `bytes`: what is left at the end is refused. */
export function readAll<T>(bytes: Uint8Array, what: string, read: (reader: TlsReader) => T): Result<T> {
  const reader = new TlsReader(bytes);
  try {
    const value = read(reader);
    reader.end();
    return { ok: true, value };
  } catch (fault) {
    if (fault instanceof TlsFault) return reject(fault.code, `${what}: ${fault.message}`);
    throw fault;
  }
}

export class TlsReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get done(): boolean {
    return this.#at === this.#bytes.length;
  }

  uint8(): number {
    const byte = this.#bytes[this.#at];
    if (byte === undefined) throw new TlsFault('truncated', 'integer');
    this.#at += 1;
    return byte;
  }

  uint16(): number {
    return this.uint8() * 256 + this.uint8();
  }

  uint32(): number {
    return this.uint16() * 65536 + this.uint16();
  }

  /** A 64-bit integer; above 2^53 - 1 it is over every limit that we have. */
  uint64(): number {
    const high = this.uint32();
    const value = high * UINT32 + this.uint32();
    if (high > 0x1fffff) throw new TlsFault('limit_exceeded', 'integer above 2^53 - 1');
    return value;
  }

  /** A view of the next `length` bytes. */
  fixed(length: number): Uint8Array {
    const end = this.#at + length;
    if (end > this.#bytes.length) throw new TlsFault('truncated', 'bytes');
    const view = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return view;
  }

  /** A view of all that is left; the position stays. */
  rest(): Uint8Array {
    return this.#bytes.subarray(this.#at);
  }

  skip(length: number): void {
    if (this.#at + length > this.#bytes.length) throw new TlsFault('truncated', 'bytes');
    this.#at += length;
  }

  skipRest(): void {
    this.#at = this.#bytes.length;
  }

  /** Length of the vector that starts here. */
  length(): number {
    const first = this.uint8();
    const form = first >> 6;
    const head = first & 0x3f;
    if (form === 0) return head;
    if (form === 1) return this.#shortest(head * 256 + this.uint8(), 64);
    if (form === 2) return this.#shortest((head * 256 + this.uint8()) * 65536 + this.uint16(), 16384);
    throw new TlsFault('malformed', 'length form');
  }

  #shortest(value: number, least: number): number {
    if (value < least) throw new TlsFault('not_canonical', 'length longer than needed');
    return value;
  }

  /** A view of the vector `opaque data<V>` that starts here. */
  vector(): Uint8Array {
    return this.fixed(this.length());
  }

  skipVector(): void {
    this.skip(this.length());
  }

  /** 1 for a value that follows, 0 for none: nothing else (RFC 9420 section 2.1.1). */
  optional(): boolean {
    const presence = this.uint8();
    if (presence > 1) throw new TlsFault('malformed', 'presence octet');
    return presence === 1;
  }

  end(): void {
    if (!this.done) throw new TlsFault('trailing_bytes', 'after the end');
  }
}

/** Grows as needed. `finish` hands over the bytes. */
export class TlsWriter {
  #buffer: Uint8Array;
  #length = 0;

  constructor(capacity = 256) {
    this.#buffer = new Uint8Array(capacity);
  }

  uint8(value: number): this {
    this.#reserve(1);
    this.#buffer[this.#length++] = value;
    return this;
  }

  uint16(value: number): this {
    return this.uint8(value >>> 8).uint8(value & 0xff);
  }

  uint32(value: number): this {
    return this.uint16(value >>> 16).uint16(value & 0xffff);
  }

  uint64(value: number): this {
    if (!Number.isSafeInteger(value) || value < 0) throw new RangeError('not an unsigned integer below 2^53');
    return this.uint32(Math.floor(value / UINT32)).uint32(value % UINT32);
  }

  fixed(bytes: Uint8Array): this {
    this.#reserve(bytes.length);
    this.#buffer.set(bytes, this.#length);
    this.#length += bytes.length;
    return this;
  }

  vector(bytes: Uint8Array): this {
    return this.length(bytes.length).fixed(bytes);
  }

  length(value: number): this {
    if (value < 64) return this.uint8(value);
    if (value < 16384) return this.uint16(0x4000 | value);
    if (value < 0x4000_0000) return this.uint32(0x8000_0000 + value);
    throw new RangeError('vector is too long');
  }

  optional(present: boolean): this {
    return this.uint8(present ? 1 : 0);
  }

  finish(): Uint8Array {
    const written = this.#buffer.slice(0, this.#length);
    this.#buffer.fill(0, 0, this.#length); // group state is secret: leave no second copy
    this.#length = 0;
    return written;
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
