import { compareBytes, type Result } from '../base/index.ts';
import { CborReader, checkKeyOrder } from './cbor-reader.ts';
import { assertDepth, CborWriter, encodeKey, MAJOR } from './cbor-writer.ts';
import { received } from './refusal.ts';

/** Any value of NORC's CBOR profile. Maps are `Map`s: a key named `__proto__` is a key like any other. */
export type CborValue = number | boolean | string | Uint8Array | readonly CborValue[] | ReadonlyMap<string, CborValue>;

/** Deterministic CBOR of any value; throws RangeError for one that has no form (spec/wire section 1). */
export function encodeCbor(value: CborValue): Uint8Array {
  const writer = new CborWriter();
  writeValue(writer, value, 0);
  return writer.finish();
}

function writeValue(writer: CborWriter, value: CborValue, depth: number): void {
  if (typeof value === 'number') writer.uint(value);
  else if (typeof value === 'boolean') writer.bool(value);
  else if (typeof value === 'string') writer.text(value);
  else if (value instanceof Uint8Array) writer.bytes(value);
  else {
    assertDepth(depth + 1);
    if (value instanceof Map) writeMap(writer, value, depth + 1);
    else writeArray(writer, value as readonly CborValue[], depth + 1); // the only kind that is left
  }
}

function writeArray(writer: CborWriter, items: readonly CborValue[], depth: number): void {
  writer.head(MAJOR.array, items.length);
  for (const item of items) writeValue(writer, item, depth);
}

function writeMap(writer: CborWriter, map: ReadonlyMap<string, CborValue>, depth: number): void {
  const entries = Array.from(map, ([name, value]) => ({ key: encodeKey(name), value }));
  entries.sort((a, b) => compareBytes(a.key, b.key));
  writer.head(MAJOR.map, entries.length);
  for (const { key, value } of entries) {
    writer.raw(key);
    writeValue(writer, value, depth);
  }
}

/**
 * Strict decoding of exactly one item: every accepted input is the canonical form
 * of its value. Byte strings are views of the input.
 * Errors: truncated, trailing_bytes, not_canonical, duplicate_key, limit_exceeded, malformed.
 */
export function decodeCbor(bytes: Uint8Array): Result<CborValue> {
  return received(() => {
    const reader = new CborReader(bytes);
    const value = readValue(reader);
    reader.end();
    return value;
  });
}

function readValue(reader: CborReader): CborValue {
  switch (reader.peekMajor()) {
    case MAJOR.uint:
      return reader.uint();
    case MAJOR.bytes:
      return reader.bytes();
    case MAJOR.text:
      return reader.text();
    case MAJOR.array:
      return readArray(reader);
    case MAJOR.map:
      return readMap(reader);
    default:
      return reader.bool();
  }
}

function readArray(reader: CborReader): CborValue[] {
  const items: CborValue[] = [];
  for (let left = reader.enterArray(); left > 0; left -= 1) items.push(readValue(reader));
  reader.leave();
  return items;
}

function readMap(reader: CborReader): Map<string, CborValue> {
  const map = new Map<string, CborValue>();
  let previous: Uint8Array | undefined;
  for (let left = reader.enterMap(); left > 0; left -= 1) {
    const { encoded, name } = reader.key();
    checkKeyOrder(previous, encoded);
    previous = encoded;
    map.set(name, readValue(reader));
  }
  reader.leave();
  return map;
}
