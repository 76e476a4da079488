import { ERRORS, type ErrorName, LIMITS, ok, type Result, reject } from '../base/index.ts';
import {
  canonicalJson,
  canonicalJsonText,
  errorBody,
  isJsonObject,
  type JsonField,
  type JsonFields,
  type JsonObject,
  parseJson,
  readJson,
} from '../wire/index.ts';
import type { HelloNames } from './roles.ts';

/** Hellos as text, and the fields that all of them share (spec/handshake section 4). */

const CAPABILITY_BYTES_MAX = 64;
const VERSION_TEXT_BYTES_MAX = 8;
const SUITE_TEXT_BYTES_MAX = 8;
const ERROR_NAME_BYTES_MAX = 64;

/**
 * A hello that arrived: strict JSON within `helloBytesMax` with the expected `type`.
 * An error in its place is told as what it says, though nothing proves who said it.
 * Errors: unexpected_message, limit_exceeded, those of `parseJson`, or the peer's own.
 */
export function parseHelloText(text: string, type: string): Result<JsonObject> {
  const parsed = parseJson(text, { bytesMax: LIMITS.helloBytesMax });
  if (!parsed.ok) return parsed;
  if (!isJsonObject(parsed.value)) return reject('wrong_type', 'hello is not an object');
  if (parsed.value['type'] === 'error') return peerError(parsed.value);
  if (parsed.value['type'] !== type) return reject('unexpected_message', `not a ${type}`);
  return ok(parsed.value);
}

function peerError(json: JsonObject): Result<never> {
  const read = readJson(json, 'error', (field) => field.object().field('name').text(ERROR_NAME_BYTES_MAX));
  if (!read.ok || !isErrorName(read.value)) return reject('unexpected_message', 'error before the hello');
  return reject(read.value, 'said by the peer before the channel was authentic');
}

function isErrorName(name: string): name is ErrorName {
  return Object.hasOwn(ERRORS, name);
}

/** What a responder sends instead of its hello, before it closes the connection. */
export function helloErrorText(name: ErrorName, reference: string): string {
  return canonicalJsonText({ type: 'error', ...errorBody(name, reference) });
}

export interface OfferedLists {
  readonly versions: readonly string[];
  readonly suites: readonly string[];
  readonly capabilities: readonly string[];
}

/** The lists of a hello or answer, under the names of its role. */
export function readLists(fields: JsonFields, names: HelloNames): OfferedLists {
  return {
    versions: readVersionTexts(fields.field(names.versions)),
    suites: fields.field(names.suites).list(LIMITS.suitesMax, readSuiteText),
    capabilities: readCapabilities(fields.field(names.capabilities)),
  };
}

export function readVersionTexts(field: JsonField): readonly string[] {
  return field.list(LIMITS.versionsMax, readVersionText);
}

/** Bounded only; `parseVersion` says whether it is a version. */
export function readVersionText(field: JsonField): string {
  return field.text(VERSION_TEXT_BYTES_MAX);
}

/** Bounded only; `parseSuiteList` and `checkChosenSuite` say whether it is a suite. */
export function readSuiteText(field: JsonField): string {
  return field.text(SUITE_TEXT_BYTES_MAX);
}

export function readCapabilities(field: JsonField): readonly string[] {
  const capabilities = field.list(LIMITS.capabilitiesMax, (item) => item.text(CAPABILITY_BYTES_MAX));
  if (new Set(capabilities).size !== capabilities.length) field.refuse('malformed', 'capability listed twice');
  return capabilities;
}

/** Own capabilities that the peer confirmed, in own order; no other may be used [HS-8]. */
export function sharedCapabilities(own: readonly string[], peer: readonly string[]): readonly string[] {
  return own.filter((one) => peer.includes(one));
}

/** Throws RangeError when a layer's own field has the name of one of the hello's. */
export function withExtra(base: JsonObject, extra: JsonObject): JsonObject {
  for (const name of Object.keys(extra)) {
    if (Object.hasOwn(base, name)) throw new RangeError(`hello has a field ${name} already`);
  }
  return { ...base, ...extra };
}

/** The hello as it enters the transcript: canonical, with the fields that this side does not know. */
export function canonicalHello(hello: JsonObject): Uint8Array {
  return canonicalJson(hello);
}

/** The answer as it enters the transcript: without the two fields that are computed over it. */
export function canonicalAnswer(answer: JsonObject): Uint8Array {
  const { transcript_hash: _hash, signature: _signature, ...covered } = answer;
  return canonicalJson(covered);
}
