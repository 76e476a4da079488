import { decodeUtf8, LIMITS, type Result, utf8, utf8Length } from '../base/index.ts';
import type { JsonObject, JsonValue } from './canonical-json.ts';
import { received, refuse } from './refusal.ts';

export interface JsonLimits {
  /** Length of the input in bytes of UTF-8. */
  readonly bytesMax: number;
  /** Objects and arrays inside one another; `LIMITS.nestingDepthMax` when absent. */
  readonly depthMax?: number;
  /** Refuse every form but the canonical one (RFC 8785) with `not_canonical`. */
  readonly requireCanonical?: boolean;
}

/**
 * Strict JSON (RFC 8259): valid UTF-8, no duplicate keys, no lone surrogates, integers
 * within +-(2^53 - 1), one value and nothing after it. With `requireCanonical`, every
 * accepted input is the canonical form of its value.
 * Errors: malformed, truncated, trailing_bytes, duplicate_key, not_canonical (also a
 * fraction, an exponent or -0, which no NORC document holds), limit_exceeded.
 */
export function parseJson(input: string | Uint8Array, limits: JsonLimits): Result<JsonValue> {
  return received(() => new JsonParser(inputBytes(input, limits.bytesMax), limits).document());
}

function inputBytes(input: string | Uint8Array, bytesMax: number): Uint8Array {
  if (input.length > bytesMax) refuse('limit_exceeded', 'JSON text is too long');
  if (typeof input !== 'string') return input;
  const length = utf8Length(input);
  if (length < 0) refuse('malformed', 'lone surrogate');
  if (length > bytesMax) refuse('limit_exceeded', 'JSON text is too long');
  return utf8(input);
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const MINUS = 0x2d;
const ZERO = 0x30;
const NINE = 0x39;
const COLON = 0x3a;
const OPEN_ARRAY = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/** Two-character escapes: what follows the backslash, and the code unit that it stands for. */
const ESCAPES = new Map([
  [QUOTE, QUOTE],
  [BACKSLASH, BACKSLASH],
  [0x2f, 0x2f],
  [0x62, 0x08],
  [0x66, 0x0c],
  [0x6e, 0x0a],
  [0x72, 0x0d],
  [0x74, 0x09],
]);
const SLASH = 0x2f;
const LETTER_U = 0x75;
const INTEGER_DIGITS_MAX = 16;

class JsonParser {
  readonly #input: Uint8Array;
  readonly #canonical: boolean;
  readonly #depthMax: number;
  #at = 0;
  #depth = 0;

  constructor(input: Uint8Array, limits: JsonLimits) {
    this.#input = input;
    this.#canonical = limits.requireCanonical ?? false;
    this.#depthMax = limits.depthMax ?? LIMITS.nestingDepthMax;
  }

  document(): JsonValue {
    const value = this.#value();
    this.#space();
    if (this.#at !== this.#input.length) refuse('trailing_bytes', 'after the JSON value');
    return value;
  }

  #value(): JsonValue {
    this.#space();
    switch (this.#peek()) {
      case OPEN_OBJECT:
        return this.#object();
      case OPEN_ARRAY:
        return this.#array();
      case QUOTE:
        return this.#string();
      case 0x74:
        return this.#literal('true', true);
      case 0x66:
        return this.#literal('false', false);
      case 0x6e:
        return this.#literal('null', null);
      default:
        return this.#number();
    }
  }

  #peek(): number {
    const byte = this.#input[this.#at];
    if (byte === undefined) refuse('truncated', 'JSON value');
    return byte;
  }

  #space(): void {
    let byte = this.#input[this.#at];
    while (byte === 0x20 || byte === 0x09 || byte === 0x0a || byte === 0x0d) {
      if (this.#canonical) refuse('not_canonical', 'white space');
      this.#at += 1;
      byte = this.#input[this.#at];
    }
  }

  #literal<T>(word: string, value: T): T {
    for (let i = 0; i < word.length; i += 1) {
      if (this.#peek() !== word.charCodeAt(i)) refuse('malformed', 'JSON literal');
      this.#at += 1;
    }
    return value;
  }

  #enter(): void {
    this.#at += 1;
    this.#depth += 1;
    if (this.#depth > this.#depthMax) refuse('limit_exceeded', 'nesting depth');
  }

  /** After an item: true when another follows, false when the container ended. */
  #more(close: number): boolean {
    this.#space();
    const byte = this.#peek();
    this.#at += 1;
    if (byte === COMMA) return true;
    if (byte !== close) refuse('malformed', 'JSON separator');
    this.#depth -= 1;
    return false;
  }

  /** True when the container that was just entered holds nothing. */
  #empty(close: number): boolean {
    this.#space();
    if (this.#peek() !== close) return false;
    this.#at += 1;
    this.#depth -= 1;
    return true;
  }

  #array(): readonly JsonValue[] {
    this.#enter();
    const items: JsonValue[] = [];
    if (this.#empty(CLOSE_ARRAY)) return items;
    do items.push(this.#value());
    while (this.#more(CLOSE_ARRAY));
    return items;
  }

  #object(): JsonObject {
    this.#enter();
    const object: Record<string, JsonValue> = Object.create(null);
    if (this.#empty(CLOSE_OBJECT)) return object;
    let previous: string | undefined;
    do {
      const key = this.#key();
      if (key in object) refuse('duplicate_key', 'object key');
      if (this.#canonical && previous !== undefined && key < previous) refuse('not_canonical', 'keys out of order');
      previous = key;
      object[key] = this.#value();
    } while (this.#more(CLOSE_OBJECT));
    return object;
  }

  #key(): string {
    this.#space();
    if (this.#peek() !== QUOTE) refuse('malformed', 'object key');
    const key = this.#string();
    this.#space();
    if (this.#peek() !== COLON) refuse('malformed', 'JSON separator');
    this.#at += 1;
    return key;
  }

  #number(): number {
    const negative = this.#peek() === MINUS;
    if (negative) this.#at += 1;
    const magnitude = this.#digits();
    const next = this.#input[this.#at];
    if (next === 0x2e || next === 0x65 || next === 0x45) refuse('not_canonical', 'number is not an integer');
    if (negative && magnitude === 0) refuse('not_canonical', 'negative zero');
    return negative ? -magnitude : magnitude;
  }

  #digits(): number {
    const start = this.#at;
    let value = 0;
    for (let byte = this.#peek(); byte >= ZERO && byte <= NINE; byte = this.#input[this.#at] ?? 0) {
      value = value * 10 + (byte - ZERO); // exact up to 2^53: no larger sum on the way
      this.#at += 1;
      if (this.#at - start > INTEGER_DIGITS_MAX) refuse('limit_exceeded', 'integer above 2^53 - 1');
    }
    if (this.#at === start) refuse('malformed', 'JSON value');
    if (this.#input[start] === ZERO && this.#at - start > 1) refuse('malformed', 'number with a leading zero');
    if (value > Number.MAX_SAFE_INTEGER) refuse('limit_exceeded', 'integer above 2^53 - 1');
    return value;
  }

  #string(): string {
    this.#at += 1;
    let text = '';
    let escaped = false;
    for (;;) {
      text += this.#plainRun();
      const byte = this.#peek();
      this.#at += 1;
      if (byte === QUOTE) break;
      if (byte !== BACKSLASH) refuse('malformed', 'control character in a string');
      text += String.fromCharCode(this.#escape());
      escaped = true;
    }
    // Only an escape can bring a surrogate in: the rest was valid UTF-8.
    if (escaped && utf8Length(text) < 0) refuse('malformed', 'lone surrogate');
    return text;
  }

  /** Characters up to a quote, a backslash or a control character. */
  #plainRun(): string {
    const start = this.#at;
    let at = start;
    for (let byte = this.#input[at]; byte !== undefined; byte = this.#input[++at]) {
      if (byte === QUOTE || byte === BACKSLASH || byte < 0x20) break;
    }
    this.#at = at;
    const run = decodeUtf8(this.#input, start, at);
    if (run === undefined) refuse('malformed', 'text is not UTF-8');
    return run;
  }

  #escape(): number {
    const kind = this.#peek();
    this.#at += 1;
    if (kind === LETTER_U) return this.#hexEscape();
    const unit = ESCAPES.get(kind);
    if (unit === undefined) refuse('malformed', 'escape');
    if (this.#canonical && kind === SLASH) refuse('not_canonical', 'needless escape');
    return unit;
  }

  #hexEscape(): number {
    let unit = 0;
    let lowerCase = true;
    for (let i = 0; i < 4; i += 1) {
      const character = this.#peek();
      this.#at += 1;
      if (character >= 0x41 && character <= 0x46) lowerCase = false;
      const digit = Number.parseInt(String.fromCharCode(character), 16);
      if (Number.isNaN(digit)) refuse('malformed', 'escape');
      unit = unit * 16 + digit;
    }
    if (this.#canonical && !(lowerCase && unit < 0x20 && !hasShortEscape(unit))) {
      refuse('not_canonical', 'needless escape');
    }
    return unit;
  }
}

function hasShortEscape(unit: number): boolean {
  return unit === 0x08 || unit === 0x09 || unit === 0x0a || unit === 0x0c || unit === 0x0d;
}
