import type { Result } from '../base/index.ts';
import { decodeCborBody, encodeCborBody, withCborBody } from './body-cbor.ts';
import { decodeJsonBody, encodeJsonBody } from './body-json.ts';
import type { Schema } from './schema.ts';

/** Deterministic CBOR in 2.x sessions, canonical JSON in 1.x sessions: the meaning is the same. */
export type BodyEncoding = 'cbor' | 'json';

/**
 * The canonical bytes of a body. Throws RangeError, naming the field, for a value
 * that its schema does not allow: that is our own fault.
 */
export function encodeBody<T>(schema: Schema<T>, value: T, encoding: BodyEncoding): Uint8Array {
  return encoding === 'cbor' ? encodeCborBody(schema, value) : encodeJsonBody(schema, value);
}

/**
 * The same bytes for as long as `use` runs, and no longer: what goes straight into a
 * frame or a hash needs no memory of its own. Throws as `encodeBody`, and what `use` throws.
 */
export function withEncodedBody<T, R>(
  schema: Schema<T>,
  value: T,
  encoding: BodyEncoding,
  use: (encoded: Uint8Array) => R,
): R {
  return encoding === 'cbor' ? withCborBody(schema, value, use) : use(encodeJsonBody(schema, value));
}

/**
 * Strict decoding of a received body. Unknown fields are checked and dropped. With
 * CBOR, byte strings are views of `bytes`: copy what must outlive it, and do not
 * write to it while the value is in use.
 * Errors: truncated, trailing_bytes, not_canonical, duplicate_key, malformed,
 * limit_exceeded, wrong_type, missing_field; the detail names the field.
 */
export function decodeBody<T>(schema: Schema<T>, bytes: Uint8Array, encoding: BodyEncoding): Result<T> {
  const decoded = encoding === 'cbor' ? decodeCborBody(schema, bytes) : decodeJsonBody(schema, bytes);
  return decoded as Result<T>; // the schema that drove the decoder is what describes T
}
