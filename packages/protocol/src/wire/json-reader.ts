import {
  type Domain,
  type ErrorName,
  fromBase64,
  fromBase64Url,
  fromHex,
  type Instant,
  instant,
  parseDomain,
  parseUserAddress,
  type Result,
  type UserAddress,
  utf8Length,
} from '../base/index.ts';
import { isJsonObject, type JsonObject, type JsonValue } from './canonical-json.ts';
import { receivedAt, refuse } from './refusal.ts';
import { DOMAIN_BYTES_MAX, USER_BYTES_MAX } from './schema-checks.ts';

/**
 * Reads a typed value out of parsed JSON (hellos, signed documents). `read` builds
 * the value with the getters of `JsonField`; the first getter whose field is absent,
 * of another type or over its bound ends it with `missing_field`, `wrong_type` or
 * `limit_exceeded`, and a detail that names the field.
 */
export function readJson<T>(value: JsonValue, what: string, read: (field: JsonField) => T): Result<T> {
  return receivedAt(what, () => read(new JsonField(value, '')));
}

/** One JSON value and where it stands. Valid only inside the callback of `readJson`. */
export class JsonField {
  readonly value: JsonValue;
  readonly #path: string;

  constructor(value: JsonValue, path: string) {
    this.value = value;
    this.#path = path;
  }

  /** Ends the reading; for rules that a getter cannot know. `why` must not quote the peer. */
  refuse(code: ErrorName, why: string): never {
    return refuse(code, this.#path === '' ? why : `${this.#path}: ${why}`);
  }

  object(): JsonFields {
    if (!isJsonObject(this.value)) this.refuse('wrong_type', 'not an object');
    return new JsonFields(this, this.value, this.#path);
  }

  list<T>(lengthMax: number, read: (item: JsonField) => T): readonly T[] {
    const items = this.value;
    if (!Array.isArray(items)) this.refuse('wrong_type', 'not a list');
    if (items.length > lengthMax) this.refuse('limit_exceeded', 'list is too long');
    return items.map((item) => read(new JsonField(item, `${this.#path}[]`)));
  }

  text(bytesMax: number): string {
    if (typeof this.value !== 'string') this.refuse('wrong_type', 'not a text');
    if (utf8Length(this.value) > bytesMax) this.refuse('limit_exceeded', 'text is too long');
    return this.value;
  }

  bool(): boolean {
    if (typeof this.value !== 'boolean') this.refuse('wrong_type', 'not a boolean');
    return this.value;
  }

  /** An integer from 0 to `max`. */
  uint(max: number = Number.MAX_SAFE_INTEGER): number {
    if (typeof this.value !== 'number' || this.value < 0) this.refuse('wrong_type', 'not an unsigned integer');
    if (this.value > max) this.refuse('limit_exceeded', 'number is too large');
    return this.value;
  }

  /** Milliseconds since 1970. */
  instant(): Instant {
    return instant(this.uint());
  }

  choice<const V extends string>(values: readonly V[]): V {
    const found = values.find((value) => value === this.value);
    if (found === undefined) this.refuse('wrong_type', 'not one of the values');
    return found;
  }

  domain(): Domain {
    const parsed = parseDomain(this.text(DOMAIN_BYTES_MAX));
    if (!parsed.ok) this.refuse('wrong_type', 'not a domain');
    return parsed.value;
  }

  user(): UserAddress {
    const parsed = parseUserAddress(this.text(USER_BYTES_MAX));
    if (!parsed.ok) this.refuse('wrong_type', 'not a user address');
    return parsed.value;
  }

  /** Standard base64 with padding: only hellos have it. */
  base64(length: number): Uint8Array {
    return this.#bytes(fromBase64, length, length);
  }

  /** Base64url without padding: exactly `length` bytes. */
  base64Url(length: number): Uint8Array {
    return this.#bytes(fromBase64Url, length, length);
  }

  /** Base64url without padding: at most `lengthMax` bytes. */
  base64UrlUpTo(lengthMax: number): Uint8Array {
    return this.#bytes(fromBase64Url, 0, lengthMax);
  }

  hex(length: number): Uint8Array {
    return this.#bytes(fromHex, length, length);
  }

  #bytes(decode: (text: string) => Uint8Array | undefined, lengthMin: number, lengthMax: number): Uint8Array {
    // No text form of n bytes is longer than hexadecimal, or base64's last group for the shortest.
    const bytes = decode(this.text(2 * lengthMax + 4));
    if (bytes === undefined) this.refuse('wrong_type', 'not the text form of bytes');
    if (bytes.length < lengthMin || bytes.length > lengthMax) this.refuse('wrong_type', 'length of the byte string');
    return bytes;
  }
}

/** The members of one JSON object. Members that nobody asks for are ignored. */
export class JsonFields {
  readonly #self: JsonField;
  readonly #object: JsonObject;
  readonly #path: string;

  constructor(self: JsonField, object: JsonObject, path: string) {
    this.#self = self;
    this.#object = object;
    this.#path = path;
  }

  /** A required member. */
  field(name: string): JsonField {
    return this.optional(name) ?? this.#self.refuse('missing_field', `${name} is absent`);
  }

  /** `undefined` when the member is absent; `null` is not absent. */
  optional(name: string): JsonField | undefined {
    if (!Object.hasOwn(this.#object, name)) return undefined;
    const value = this.#object[name] as JsonValue; // an own member
    return new JsonField(value, this.#path === '' ? name : `${this.#path}.${name}`);
  }
}
