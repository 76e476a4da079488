import { MESSAGE_TYPES, type MessageTypeName, toBase64Url, toHex } from '@norc/protocol/base';
import { type CborValue, canonicalJsonText, encodeCbor, type JsonValue } from '@norc/protocol/wire';
import type { VectorFile } from '../files.ts';

/**
 * Bodies of messages for vectors, without the schemas that the code under test is
 * driven by: a sample is plain data, ids and bytes as bytes, and both encodings are
 * made from it by the general encoders.
 */
export type Sample = string | number | boolean | Uint8Array | readonly Sample[] | { readonly [field: string]: Sample };

export type SampleBody = { readonly [field: string]: Sample };

/** Every optional field is in `full`; `least` is the same without any of them, where there are some. */
export interface MessageSample {
  readonly type: MessageTypeName;
  readonly full: SampleBody;
  readonly least?: SampleBody;
}

export const filled = (length: number, byte: number): Uint8Array => new Uint8Array(length).fill(byte);

function isMap(sample: Sample): sample is SampleBody {
  return typeof sample === 'object' && !Array.isArray(sample) && !(sample instanceof Uint8Array);
}

function toCbor(sample: Sample): CborValue {
  if (isMap(sample)) return new Map(Object.entries(sample).map(([key, value]) => [key, toCbor(value)]));
  return Array.isArray(sample) ? sample.map(toCbor) : (sample as CborValue); // neither a map nor a list: a CBOR scalar
}

function toJson(sample: Sample): JsonValue {
  if (sample instanceof Uint8Array) return toBase64Url(sample);
  if (isMap(sample)) return Object.fromEntries(Object.entries(sample).map(([key, value]) => [key, toJson(value)]));
  return Array.isArray(sample) ? sample.map(toJson) : (sample as JsonValue); // neither a map nor a list: a JSON scalar
}

export const cborOf = (body: Sample): string => toHex(encodeCbor(toCbor(body)));
export const jsonOf = (body: Sample): string => canonicalJsonText(toJson(body));

export function validBodies(samples: readonly MessageSample[]): VectorFile {
  const cases = samples.flatMap(({ type, full, least }) => [
    bodyCase(type, least === undefined ? type : `${type}, every field`, full),
    ...(least === undefined ? [] : [bodyCase(type, `${type}, no optional field`, least)]),
  ]);
  const about = 'cbor (2.0) and json (1.2) are the two forms of one body of the message type.';
  return { outcome: 'valid', kind: 'messages', about, cases };
}

function bodyCase(type: MessageTypeName, name: string, body: SampleBody) {
  return { name, type, code: MESSAGE_TYPES[type], cbor: cborOf(body), json: jsonOf(body) };
}

/** One body that a decoder refuses, in one encoding. `body` is hexadecimal for cbor, text for json. */
export interface BadBody {
  readonly name: string;
  readonly type: MessageTypeName;
  readonly error: string;
  readonly body: SampleBody;
}

/** For each message: without its first required field, and with each of its fields as another type. */
export function spoiledBodies(samples: readonly MessageSample[]): readonly BadBody[] {
  return samples.flatMap(({ type, full, least }) => {
    const required = Object.keys(least ?? full);
    const without = required.slice(0, 1).map(
      (field): BadBody => ({
        name: `${type} without ${field}`,
        type,
        error: 'missing_field',
        body: omit(full, field),
      }),
    );
    const mistyped = Object.entries(full).map(([field, value]): BadBody => {
      const wrong = typeof value === 'boolean' ? 1 : true;
      return {
        name: `${type}, ${field} of another type`,
        type,
        error: 'wrong_type',
        body: { ...full, [field]: wrong },
      };
    });
    return [...without, ...mistyped];
  });
}

function omit(body: SampleBody, field: string): SampleBody {
  return Object.fromEntries(Object.entries(body).filter(([name]) => name !== field));
}

export function invalidBodies(bad: readonly BadBody[]): VectorFile {
  const cases = bad.flatMap(({ name, type, error, body }) => [
    { name: `${name}, cbor`, type, encoding: 'cbor', body: cborOf(body), error },
    { name: `${name}, json`, type, encoding: 'json', body: jsonOf(body), error },
  ]);
  const about = 'body: hexadecimal when the encoding is cbor, text when it is json. Not a body of the message type.';
  return { outcome: 'invalid', kind: 'messages', about, cases };
}

/** A body in a form that is not the canonical one: its keys the other way round, and what is cut off or added. */
export function uncanonical(type: MessageTypeName, body: SampleBody): VectorFile['cases'] {
  const inJson = Object.entries(body).map(([key, value]) => `${jsonOf(key)}:${jsonOf(value)}`);
  const json = `{${inJson.sort().reverse().join(',')}}`;
  const inCbor = Object.entries(body).map(([key, value]) => cborOf(key) + cborOf(value));
  const cbor = `${(0xa0 + inCbor.length).toString(16)}${inCbor.sort().reverse().join('')}`;
  return [
    { name: `${type}, keys in another order, cbor`, type, encoding: 'cbor', body: cbor, error: 'not_canonical' },
    { name: `${type}, keys in another order, json`, type, encoding: 'json', body: json, error: 'not_canonical' },
    {
      name: `${type}, bytes after it, cbor`,
      type,
      encoding: 'cbor',
      body: `${cborOf(body)}00`,
      error: 'trailing_bytes',
    },
    {
      name: `${type}, bytes after it, json`,
      type,
      encoding: 'json',
      body: `${jsonOf(body)}{}`,
      error: 'trailing_bytes',
    },
    { name: `${type}, cut off, cbor`, type, encoding: 'cbor', body: cborOf(body).slice(0, -2), error: 'truncated' },
  ];
}
