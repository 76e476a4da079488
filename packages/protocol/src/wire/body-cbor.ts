import { compareBytes, idFromBytes, parseDomain, parseUserAddress, type Result, sameBytes } from '../base/index.ts';
import { CborReader, checkKeyOrder } from './cbor-reader.ts';
import { CborWriter, encodeKey, MAJOR } from './cbor-writer.ts';
import { FieldPath, ITEM, UNKNOWN } from './field-path.ts';
import { receivedAt, refuse } from './refusal.ts';
import type { FieldNode, SchemaNode } from './schema.ts';
import {
  checkBytes,
  checkChoice,
  checkList,
  checkStruct,
  checkText,
  checkUint,
  DOMAIN_BYTES_MAX,
  USER_BYTES_MAX,
} from './schema-checks.ts';

type Encode = (writer: CborWriter, value: unknown, path: FieldPath) => void;
type Decode = (reader: CborReader, path: FieldPath) => unknown;

interface Codec {
  readonly encode: Encode;
  readonly decode: Decode;
}

/** One compiled codec per schema, for as long as the schema lives. */
const codecs = new WeakMap<SchemaNode, Codec>();

function codecOf(schema: SchemaNode): Codec {
  let codec = codecs.get(schema);
  if (codec === undefined) {
    codec = compile(schema);
    codecs.set(schema, codec);
  }
  return codec;
}

/** Bodies that need more than this are rare; their buffer is not kept. */
const RETAINED_CAPACITY_MAX = 256 * 1024;
/** Absent while it is in use. */
let spare: CborWriter | undefined = new CborWriter();

/** Throws RangeError, naming the field, for a value that the schema does not allow. */
export function encodeCborBody(schema: SchemaNode, value: unknown): Uint8Array {
  return withCborBody(schema, value, (encoded) => encoded.slice());
}

/** The encoded body is there for as long as `use` runs. Throws as `encodeCborBody`, and what `use` throws. */
export function withCborBody<T>(schema: SchemaNode, value: unknown, use: (encoded: Uint8Array) => T): T {
  const writer = spare ?? new CborWriter();
  spare = undefined;
  try {
    encodeInto(writer, schema, value);
    return use(writer.written);
  } finally {
    writer.reset();
    spare = writer.capacity > RETAINED_CAPACITY_MAX ? new CborWriter() : writer;
  }
}

function encodeInto(writer: CborWriter, schema: SchemaNode, value: unknown): void {
  const path = new FieldPath();
  try {
    codecOf(schema).encode(writer, value, path);
  } catch (cause) {
    if (cause instanceof RangeError) throw new RangeError(`${path}: ${cause.message}`, { cause });
    throw cause;
  }
}

export function decodeCborBody(schema: SchemaNode, bytes: Uint8Array): Result<unknown> {
  const path = new FieldPath();
  return receivedAt(path, () => {
    const reader = new CborReader(bytes);
    const value = codecOf(schema).decode(reader, path);
    reader.end();
    return value;
  });
}

function compile(schema: SchemaNode): Codec {
  switch (schema.kind) {
    case 'bytes':
      return bytesCodec(schema.lengthMin, schema.lengthMax);
    case 'id':
      return ID_CODEC;
    case 'text':
      return textCodec(schema.bytesMax);
    case 'domain':
      return addressCodec(DOMAIN_BYTES_MAX, parseDomain);
    case 'user':
      return addressCodec(USER_BYTES_MAX, parseUserAddress);
    case 'uint':
      return uintCodec(schema.max);
    case 'bool':
      return BOOL_CODEC;
    case 'choice':
      return choiceCodec(schema.values);
    case 'list':
      return listCodec(codecOf(schema.item), schema.lengthMax);
    case 'struct':
      return structCodec(schema.fields);
  }
}

function bytesCodec(lengthMin: number, lengthMax: number): Codec {
  return {
    encode: (writer, value) => writer.bytes(checkBytes(value, lengthMin, lengthMax)),
    decode: (reader) => {
      const bytes = reader.bytes();
      if (bytes.length > lengthMax && lengthMin !== lengthMax) refuse('limit_exceeded', 'byte string is too long');
      if (bytes.length < lengthMin || bytes.length > lengthMax) refuse('wrong_type', 'length of the byte string');
      return bytes;
    },
  };
}

const ID_CODEC: Codec = {
  encode: (writer, value) => writer.id(checkText(value)),
  decode: (reader) => {
    const bytes = reader.bytes();
    if (bytes.length !== 16) refuse('wrong_type', 'an id has 16 bytes');
    return idFromBytes(bytes);
  },
};

function textCodec(bytesMax: number): Codec {
  return {
    encode: (writer, value) => writer.text(checkText(value), bytesMax),
    decode: (reader) => reader.text(bytesMax),
  };
}

/** A branded text: to be sent it was parsed once already, so only what arrives is parsed here. */
function addressCodec(bytesMax: number, parse: (text: string) => Result<string>): Codec {
  return {
    encode: (writer, value) => writer.text(checkText(value), bytesMax),
    decode: (reader) => {
      const parsed = parse(reader.text(bytesMax));
      if (!parsed.ok) refuse('wrong_type', parsed.error.detail);
      return parsed.value;
    },
  };
}

function uintCodec(max: number): Codec {
  return {
    encode: (writer, value) => writer.uint(checkUint(value, max)),
    decode: (reader) => {
      const value = reader.uint();
      if (value > max) refuse('limit_exceeded', 'number is too large');
      return value;
    },
  };
}

const BOOL_CODEC: Codec = {
  encode: (writer, value) => {
    if (typeof value !== 'boolean') throw new RangeError('not a boolean');
    writer.bool(value);
  },
  decode: (reader) => reader.bool(),
};

function choiceCodec(values: readonly string[]): Codec {
  const encoded = new Map(values.map((value) => [value, encodeKey(value)]));
  const entries = [...encoded];
  return {
    encode: (writer, value) => writer.raw(encoded.get(checkChoice(value, values)) as Uint8Array), // one of the values
    decode: (reader) => {
      for (const [value, bytes] of entries) if (reader.take(bytes)) return value;
      reader.text();
      return refuse('wrong_type', 'not one of the values');
    },
  };
}

function listCodec(item: Codec, lengthMax: number): Codec {
  return {
    encode: (writer, value, path) => {
      const items = checkList(value, lengthMax);
      writer.head(MAJOR.array, items.length);
      path.enter(ITEM);
      for (const one of items) item.encode(writer, one, path);
      path.leave();
    },
    decode: (reader, path) => {
      const count = reader.enterArray();
      if (count > lengthMax) refuse('limit_exceeded', 'list is too long');
      const items: unknown[] = [];
      path.enter(ITEM);
      for (let left = count; left > 0; left -= 1) items.push(item.decode(reader, path));
      path.leave();
      reader.leave();
      return items;
    },
  };
}

interface CborField {
  readonly name: string;
  /** The encoded key: what is written, expected and ordered by. */
  readonly key: Uint8Array;
  readonly optional: boolean;
  readonly codec: Codec;
}

function structCodec(fields: Readonly<Record<string, FieldNode>>): Codec {
  const sorted = Object.entries(fields)
    .map(([name, { schema, optional }]) => ({ name, key: encodeKey(name), optional, codec: codecOf(schema) }))
    .sort((a, b) => compareBytes(a.key, b.key));
  return {
    encode: (writer, value, path) => encodeStruct(sorted, writer, checkStruct(value), path),
    decode: (reader, path) => decodeStruct(sorted, reader, path),
  };
}

function encodeStruct(
  fields: readonly CborField[],
  writer: CborWriter,
  struct: Readonly<Record<string, unknown>>,
  path: FieldPath,
): void {
  path.enter(UNKNOWN);
  let count = 0;
  for (const field of fields) {
    if (struct[field.name] !== undefined) count += 1;
    else if (!field.optional) {
      path.at(field.name);
      throw new RangeError('required field is absent');
    }
  }
  writer.head(MAJOR.map, count);
  for (const field of fields) {
    const value = struct[field.name];
    if (value === undefined) continue;
    path.at(field.name);
    writer.raw(field.key);
    field.codec.encode(writer, value, path);
  }
  path.leave();
}

/**
 * Walks the map and the schema's sorted fields side by side. A known key is
 * recognised by its encoded bytes; anything else must be an unknown key in order.
 */
function decodeStruct(fields: readonly CborField[], reader: CborReader, path: FieldPath): unknown {
  const struct: Record<string, unknown> = {};
  let next = 0;
  let previous: Uint8Array | undefined;
  let left = reader.enterMap();
  path.enter(UNKNOWN);
  for (; left > 0; left -= 1) {
    let field = fields[next];
    if (field !== undefined && reader.take(field.key)) {
      previous = field.key;
    } else {
      path.at(UNKNOWN);
      const { encoded } = reader.key();
      checkKeyOrder(previous, encoded);
      previous = encoded;
      next = firstNotBefore(fields, next, encoded);
      field = fields[next];
      if (field === undefined || !sameBytes(field.key, encoded)) {
        reader.skip();
        continue;
      }
    }
    path.at(field.name);
    struct[field.name] = field.codec.decode(reader, path);
    next += 1;
  }
  refuseAbsent(fields, struct, path);
  path.leave();
  reader.leave();
  return struct;
}

/** Passes over the fields that sort before `key`: the map does not hold them. */
function firstNotBefore(fields: readonly CborField[], from: number, key: Uint8Array): number {
  let next = from;
  for (let field = fields[next]; field !== undefined; field = fields[++next]) {
    if (compareBytes(field.key, key) >= 0) break;
  }
  return next;
}

/** Only after the whole map was read: a fault of form counts before a fault of meaning. */
function refuseAbsent(fields: readonly CborField[], struct: Record<string, unknown>, path: FieldPath): void {
  for (const field of fields) {
    if (field.optional || struct[field.name] !== undefined) continue;
    path.at(field.name);
    refuse('missing_field', 'required field is absent');
  }
}
