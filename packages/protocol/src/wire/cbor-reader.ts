import { compareBytes, decodeUtf8, LIMITS } from '../base/index.ts';
import { MAJOR, type Major } from './cbor-writer.ts';
import { refuse } from './refusal.ts';

const FALSE = 0xf4;
const TRUE = 0xf5;
const TWO_32 = 0x1_0000_0000;

/**
 * Reads the profile of deterministic CBOR that NORC uses (spec/wire section 1) and
 * nothing else. Every method refuses (see refusal.ts) what is not canonical; a
 * length is compared with the input that is left before anything is allocated.
 * Byte strings are views of the input.
 */
export class CborReader {
  readonly #input: Uint8Array;
  #at = 0;
  #depth = 0;

  constructor(input: Uint8Array) {
    this.#input = input;
  }

  get position(): number {
    return this.#at;
  }

  /** The argument of the next item, which must be of this major type. */
  head(major: Major): number {
    const initial = this.#input[this.#at];
    if (initial === undefined) refuse('truncated', 'item');
    if (initial >> 5 !== major) refuseMajor(initial);
    this.#at += 1;
    const info = initial & 31;
    return info < 24 ? info : this.#argument(info);
  }

  #argument(info: number): number {
    if (info > 27) refuse(info === 31 ? 'not_canonical' : 'malformed', 'length form');
    const size = 1 << (info - 24);
    if (this.#at + size > this.#input.length) refuse('truncated', 'item head');
    let high = 0;
    let low = 0;
    for (let i = 0; i < size; i += 1) {
      const byte = this.#input[this.#at + i] as number; // inside the input: checked above
      if (i < size - 4) high = high * 256 + byte;
      else low = low * 256 + byte;
    }
    this.#at += size;
    if (high === 0 && low < (SHORTEST[info - 24] as number)) refuse('not_canonical', 'integer longer than needed'); // info is 24 to 27
    if (high > 0x1fffff) refuse('limit_exceeded', 'integer above 2^53 - 1');
    return high * TWO_32 + low;
  }

  uint(): number {
    return this.head(MAJOR.uint);
  }

  bool(): boolean {
    const initial = this.#input[this.#at];
    if (initial === undefined) refuse('truncated', 'item');
    if (initial !== TRUE && initial !== FALSE) refuseMajor(initial);
    this.#at += 1;
    return initial === TRUE;
  }

  /** A view of the input, valid as long as the input is. */
  bytes(lengthMax: number = Number.MAX_SAFE_INTEGER): Uint8Array {
    const start = this.#string(MAJOR.bytes, lengthMax);
    return this.#input.subarray(start, this.#at);
  }

  text(bytesMax: number = Number.MAX_SAFE_INTEGER): string {
    const start = this.#string(MAJOR.text, bytesMax);
    const text = decodeUtf8(this.#input, start, this.#at);
    if (text === undefined) refuse('malformed', 'text is not UTF-8');
    return text;
  }

  /** Passes over a string's head and content; returns where its content starts. */
  #string(major: Major, lengthMax: number): number {
    const length = this.head(major);
    const start = this.#at;
    if (length > this.#input.length - start) refuse('truncated', 'string');
    if (length > lengthMax) refuse('limit_exceeded', 'string is too long');
    this.#at = start + length;
    return start;
  }

  /** Number of items of the array that starts here. Call `leave` after the last one. */
  enterArray(): number {
    return this.#enter(MAJOR.array, 1);
  }

  /** Number of entries of the map that starts here. Call `leave` after the last one. */
  enterMap(): number {
    return this.#enter(MAJOR.map, 2);
  }

  #enter(major: Major, itemBytesMin: number): number {
    const count = this.head(major);
    if (count > (this.#input.length - this.#at) / itemBytesMin) refuse('truncated', 'more items than bytes');
    this.#depth += 1;
    if (this.#depth > LIMITS.nestingDepthMax) refuse('limit_exceeded', 'nesting depth');
    return count;
  }

  leave(): void {
    this.#depth -= 1;
  }

  /** Passes over `key` when the input goes on with exactly these bytes. */
  take(key: Uint8Array): boolean {
    const start = this.#at;
    for (let i = 0; i < key.length; i += 1) if (this.#input[start + i] !== key[i]) return false;
    this.#at = start + key.length;
    return true;
  }

  /** The next map key: its text, and its encoded form (by which keys are ordered) as a view of the input. */
  key(): { readonly name: string; readonly encoded: Uint8Array } {
    const start = this.#at;
    const name = this.text();
    return { name, encoded: this.#input.subarray(start, this.#at) };
  }

  /** Passes over one item of any kind, checking all of it. */
  skip(): void {
    const initial = this.#input[this.#at];
    if (initial === undefined) refuse('truncated', 'item');
    const major = initial >> 5;
    if (major === MAJOR.uint) this.uint();
    else if (major === MAJOR.bytes) this.bytes();
    else if (major === MAJOR.text) this.text();
    else if (major === MAJOR.array) this.#skipArray();
    else if (major === MAJOR.map) this.#skipMap();
    else this.bool();
  }

  #skipArray(): void {
    for (let left = this.enterArray(); left > 0; left -= 1) this.skip();
    this.leave();
  }

  #skipMap(): void {
    let previous: Uint8Array | undefined;
    for (let left = this.enterMap(); left > 0; left -= 1) {
      const { encoded } = this.key();
      checkKeyOrder(previous, encoded);
      previous = encoded;
      this.skip();
    }
    this.leave();
  }

  /** The major type of the next item, when it is one that this profile has. */
  peekMajor(): Major {
    const initial = this.#input[this.#at];
    if (initial === undefined) refuse('truncated', 'item');
    if (isForeign(initial)) refuseMajor(initial);
    return (initial >> 5) as Major; // the foreign ones were refused
  }

  end(): void {
    if (this.#at !== this.#input.length) refuse('trailing_bytes', 'after the item');
  }
}

/** The least value that needs an argument of 1, 2, 4 and 8 bytes; the last is decided by the high half. */
const SHORTEST = [24, 0x100, 0x10000, TWO_32];

/** Negative integers, tags, floats, null, undefined and other simple values are not part of the profile. */
function isForeign(initial: number): boolean {
  const major = initial >> 5;
  return major === 1 || major === 6 || (major === MAJOR.simple && initial !== TRUE && initial !== FALSE);
}

function refuseMajor(initial: number): never {
  if (isForeign(initial)) refuse('malformed', 'item outside the CBOR profile');
  return refuse('wrong_type', 'item of another type');
}

/** Keys rise strictly by their encoded bytes. */
export function checkKeyOrder(previous: Uint8Array | undefined, key: Uint8Array): void {
  if (previous === undefined) return;
  const order = compareBytes(previous, key);
  if (order === 0) refuse('duplicate_key', 'map key');
  if (order > 0) refuse('not_canonical', 'map keys out of order');
}
