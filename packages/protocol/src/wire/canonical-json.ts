import { utf8, utf8Length } from '../base/index.ts';
import { assertDepth } from './cbor-writer.ts';

/** The JSON that NORC uses: numbers are integers within +-(2^53 - 1). */
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject;

/** Parsed objects have no prototype: a key named `__proto__` is a key like any other. */
export interface JsonObject {
  readonly [key: string]: JsonValue;
}

/** The canonical form (RFC 8785) as UTF-8; throws RangeError for a value that has none. */
export function canonicalJson(value: JsonValue): Uint8Array {
  return utf8(canonicalJsonText(value));
}

/** The canonical form (RFC 8785) as text; throws RangeError for a value that has none. */
export function canonicalJsonText(value: JsonValue): string {
  return textOf(value, 0);
}

function textOf(value: JsonValue, depth: number): string {
  if (value === null) return 'null';
  if (typeof value === 'boolean') return value ? 'true' : 'false';
  if (typeof value === 'number') return numberText(value);
  if (typeof value === 'string') return quoted(value);
  if (typeof value !== 'object') throw new RangeError('value has no JSON form');
  assertDepth(depth + 1);
  if (isArray(value)) return `[${value.map((item) => textOf(item, depth + 1)).join(',')}]`;
  return objectText(value, depth + 1);
}

/** `Array.isArray` does not narrow a readonly array. */
function isArray(value: readonly JsonValue[] | JsonObject): value is readonly JsonValue[] {
  return Array.isArray(value);
}

function objectText(object: JsonObject, depth: number): string {
  // RFC 8785 section 3.2.3: by UTF-16 code units, which is how sort() compares.
  const members = Object.keys(object)
    .sort()
    .map((key) => `${quoted(key)}:${textOf(object[key] as JsonValue, depth)}`); // an own key
  return `{${members.join(',')}}`;
}

/** RFC 8785 section 3.2.2.3 for integers: ECMAScript's own form. */
function numberText(value: number): string {
  if (!Number.isSafeInteger(value)) throw new RangeError('number is not an integer below 2^53');
  return String(value);
}

/** RFC 8785 section 3.2.2.2 is `JSON.stringify` for well-formed text. */
function quoted(text: string): string {
  if (utf8Length(text) < 0) throw new RangeError('text holds a lone surrogate');
  return JSON.stringify(text);
}

export function isJsonObject(value: JsonValue): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
