import {
  fromBase64Url,
  idFromBytes,
  LIMITS,
  parseDomain,
  parseUserAddress,
  type Result,
  toBase64Url,
  utf8Length,
} from '../base/index.ts';
import { canonicalJson, isJsonObject, type JsonObject, type JsonValue } from './canonical-json.ts';
import { FieldPath, ITEM, UNKNOWN } from './field-path.ts';
import { parseJson } from './json-parser.ts';
import { receivedAt, refuse } from './refusal.ts';
import type { FieldNode, SchemaNode } from './schema.ts';
import {
  checkBytes,
  checkChoice,
  checkId,
  checkList,
  checkStruct,
  checkText,
  checkUint,
  DOMAIN_BYTES_MAX,
  USER_BYTES_MAX,
} from './schema-checks.ts';

type Fields = Readonly<Record<string, FieldNode>>;

/** Throws RangeError, naming the field, for a value that the schema does not allow. */
export function encodeJsonBody(schema: SchemaNode, value: unknown): Uint8Array {
  const path = new FieldPath();
  let json: JsonValue;
  try {
    json = toJson(schema, value, path);
  } catch (cause) {
    if (cause instanceof RangeError) throw new RangeError(`${path}: ${cause.message}`, { cause });
    throw cause;
  }
  return canonicalJson(json);
}

function toJson(schema: SchemaNode, value: unknown, path: FieldPath): JsonValue {
  switch (schema.kind) {
    case 'bytes':
      return toBase64Url(checkBytes(value, schema.lengthMin, schema.lengthMax));
    case 'id':
      return toBase64Url(checkId(value));
    case 'text':
      return boundedText(value, schema.bytesMax);
    case 'domain':
      return boundedText(value, DOMAIN_BYTES_MAX);
    case 'user':
      return boundedText(value, USER_BYTES_MAX);
    case 'uint':
      return checkUint(value, schema.max);
    case 'bool':
      if (typeof value !== 'boolean') throw new RangeError('not a boolean');
      return value;
    case 'choice':
      return checkChoice(value, schema.values);
    case 'list':
      return listToJson(schema.item, checkList(value, schema.lengthMax), path);
    case 'struct':
      return structToJson(schema.fields, checkStruct(value), path);
  }
}

function boundedText(value: unknown, bytesMax: number): string {
  const text = checkText(value);
  const length = utf8Length(text);
  if (length < 0) throw new RangeError('text holds a lone surrogate');
  if (length > bytesMax) throw new RangeError('text is too long');
  return text;
}

function listToJson(item: SchemaNode, items: readonly unknown[], path: FieldPath): JsonValue {
  path.enter(ITEM);
  const json = items.map((one) => toJson(item, one, path));
  path.leave();
  return json;
}

function structToJson(fields: Fields, struct: Readonly<Record<string, unknown>>, path: FieldPath): JsonObject {
  const json: Record<string, JsonValue> = {};
  path.enter(UNKNOWN);
  for (const [name, { schema, optional }] of Object.entries(fields)) {
    const value = struct[name];
    path.at(name);
    if (value !== undefined) json[name] = toJson(schema, value, path);
    else if (!optional) throw new RangeError('required field is absent');
  }
  path.leave();
  return json;
}

export function decodeJsonBody(schema: SchemaNode, bytes: Uint8Array): Result<unknown> {
  const path = new FieldPath();
  const parsed = parseJson(bytes, { bytesMax: LIMITS.bodyBytesMax, requireCanonical: true });
  return parsed.ok ? receivedAt(path, () => fromJson(schema, parsed.value, path)) : parsed;
}

function fromJson(schema: SchemaNode, json: JsonValue, path: FieldPath): unknown {
  switch (schema.kind) {
    case 'bytes':
      return bytesFromJson(json, schema.lengthMin, schema.lengthMax);
    case 'id':
      return idFromBytes(bytesFromJson(json, 16, 16));
    case 'text':
      return textFromJson(json, schema.bytesMax);
    case 'domain':
      return addressFromJson(json, DOMAIN_BYTES_MAX, parseDomain);
    case 'user':
      return addressFromJson(json, USER_BYTES_MAX, parseUserAddress);
    case 'uint':
      return uintFromJson(json, schema.max);
    case 'bool':
      if (typeof json !== 'boolean') refuse('wrong_type', 'not a boolean');
      return json;
    case 'choice':
      if (typeof json !== 'string' || !schema.values.includes(json)) refuse('wrong_type', 'not one of the values');
      return json;
    case 'list':
      return listFromJson(schema.item, schema.lengthMax, json, path);
    case 'struct':
      return structFromJson(schema.fields, json, path);
  }
}

function bytesFromJson(json: JsonValue, lengthMin: number, lengthMax: number): Uint8Array {
  if (typeof json !== 'string') refuse('wrong_type', 'not a byte string');
  const length = Math.floor((json.length * 3) / 4);
  if (length > lengthMax && lengthMin !== lengthMax) refuse('limit_exceeded', 'byte string is too long');
  if (length < lengthMin || length > lengthMax) refuse('wrong_type', 'length of the byte string');
  const bytes = fromBase64Url(json);
  if (bytes === undefined) refuse('wrong_type', 'not base64url without padding');
  return bytes;
}

function textFromJson(json: JsonValue, bytesMax: number): string {
  if (typeof json !== 'string') refuse('wrong_type', 'not a text');
  if (json.length > bytesMax || utf8Length(json) > bytesMax) refuse('limit_exceeded', 'string is too long');
  return json;
}

function addressFromJson(json: JsonValue, bytesMax: number, parse: (text: string) => Result<string>): string {
  const parsed = parse(textFromJson(json, bytesMax));
  if (!parsed.ok) refuse('wrong_type', parsed.error.detail);
  return parsed.value;
}

function uintFromJson(json: JsonValue, max: number): number {
  if (typeof json !== 'number' || json < 0) refuse('wrong_type', 'not an unsigned integer');
  if (json > max) refuse('limit_exceeded', 'number is too large');
  return json;
}

function listFromJson(item: SchemaNode, lengthMax: number, json: JsonValue, path: FieldPath): readonly unknown[] {
  if (!Array.isArray(json)) refuse('wrong_type', 'not a list');
  if (json.length > lengthMax) refuse('limit_exceeded', 'list is too long');
  path.enter(ITEM);
  const items = json.map((one) => fromJson(item, one, path));
  path.leave();
  return items;
}

function structFromJson(fields: Fields, json: JsonValue, path: FieldPath): unknown {
  if (!isJsonObject(json)) refuse('wrong_type', 'not a struct');
  const struct: Record<string, unknown> = {};
  path.enter(UNKNOWN);
  for (const [name, { schema, optional }] of Object.entries(fields)) {
    const value = json[name];
    path.at(name);
    if (value !== undefined) struct[name] = fromJson(schema, value, path);
    else if (!optional) refuse('missing_field', 'required field is absent');
  }
  path.leave();
  return struct;
}
