import {
  concatBytes,
  type DeviceId,
  fromHex,
  LIMITS,
  ok,
  type Random,
  type Result,
  reject,
  toBase64,
  toHex,
  zeroBytes,
} from '../base/index.ts';
import { type Crypto, hkdfExpand, hkdfExtract } from '../crypto/index.ts';
import {
  canonicalJsonText,
  isJsonObject,
  type JsonField,
  type JsonObject,
  parseJson,
  readJson,
} from '../wire/index.ts';
import { negotiateHello, type ReceivedHello } from './hello-responder.ts';
import { canonicalAnswer, canonicalHello } from './hello-text.ts';
import { EPHEMERAL_PUB_BYTES, HELLO_NONCE_BYTES } from './hybrid.ts';
import { type NegotiatedVersion, type VersionList, versionText } from './versions.ts';

/**
 * The seed prototype's hello, versions 1.1 and 1.0 (spec/handshake section 9). It is
 * classical and nothing authenticates it, so all that a device can do after it is to
 * register its public key; there is no channel, and every other message gets
 * `hybrid_required`.
 */

const MASTER_SECRET_BYTES = 32;
const NO_CONTEXT = new Uint8Array(0);
/** What the prototype's client is told that this server can do for it. */
const LEGACY_CAPABILITIES = ['registration'];

export interface LegacyHello {
  readonly version: NegotiatedVersion;
  readonly transcriptHash: Uint8Array;
  /** The answer to send, as a text message. */
  readonly text: string;
}

/** Errors: no_compatible_version, unexpected_message, missing_field, wrong_type, limit_exceeded, crypto. */
export function answerLegacyHello(
  hello: ReceivedHello<'control'>,
  own: VersionList,
  { crypto, random }: { readonly crypto: Crypto; readonly random: Random },
): Result<LegacyHello> {
  const version = negotiateHello(hello, own);
  if (!version.ok) return version;
  if (version.value.path !== 'registration') return reject('unexpected_message', 'hello of a hybrid version');
  const read = readClassicalKeys(hello.json);
  if (!read.ok) return read;
  const keys = crypto.x25519.keyPair((length) => random.bytes(length));
  const shared = crypto.x25519.agree(keys.privateKey, read.value.ephemeralPub);
  // The prototype's server derives a master secret here and uses it for nothing; so no secret is kept at all.
  zeroBytes(keys.privateKey, shared ?? NO_CONTEXT);
  if (shared === undefined) return reject('crypto', 'key exchange');
  const answer = {
    type: 'server_hello',
    negotiated_version: versionText(version.value.version),
    compatibility_mode: version.value.compatibilityMode,
    server_capabilities: LEGACY_CAPABILITIES,
    nonce: toBase64(random.bytes(HELLO_NONCE_BYTES)),
    ephemeral_pub: toBase64(keys.publicKey),
  };
  const transcriptHash = legacyTranscriptHash(crypto, hello.json, answer);
  const text = canonicalJsonText({ ...answer, transcript_hash: toBase64(transcriptHash) });
  return ok({ version: version.value, transcriptHash, text });
}

/** BLAKE3 of both hellos in canonical JSON, the second without `transcript_hash`; no label. */
export function legacyTranscriptHash(crypto: Crypto, clientHello: JsonObject, serverHello: JsonObject): Uint8Array {
  return crypto.blake3(concatBytes(canonicalHello(clientHello), canonicalAnswer(serverHello)));
}

/** HKDF-SHA256(salt = client nonce, ikm = X25519 secret, info = "norc:ms:v1"): what the prototype's client shows. */
export function legacyMasterSecret(crypto: Crypto, clientNonce: Uint8Array, sharedSecret: Uint8Array): Uint8Array {
  const extracted = hkdfExtract(crypto, 'sha256', clientNonce, sharedSecret);
  return hkdfExpand(crypto, 'sha256', extracted, 'norc:ms:v1', NO_CONTEXT, MASTER_SECRET_BYTES);
}

function readClassicalKeys(hello: JsonObject): Result<{ readonly ephemeralPub: Uint8Array }> {
  return readJson(hello, 'client_hello', (field) => {
    const fields = field.object();
    fields.field('nonce').base64(HELLO_NONCE_BYTES);
    return { ephemeralPub: fields.field('ephemeral_pub').base64(EPHEMERAL_PUB_BYTES) };
  });
}

export interface LegacyDeviceInfo {
  readonly name?: string;
  readonly type?: string;
  readonly capabilities?: readonly string[];
}

/** What a device asks for. `publicKey` is checked; with `invalid_key` there is only `answer` to send. */
export type LegacyRequest =
  | {
      readonly kind: 'register';
      readonly deviceId: DeviceId;
      readonly publicKey: Uint8Array;
      readonly info: LegacyDeviceInfo | undefined;
    }
  | { readonly kind: 'invalid_key'; readonly answer: string };

/**
 * A message after the legacy hello. `device_register` may be repeated; everything
 * else, frames included, is refused [HS-22].
 * Errors: hybrid_required; for a device_register: missing_field, wrong_type, limit_exceeded.
 */
export function receiveLegacyMessage(crypto: Crypto, message: string | Uint8Array): Result<LegacyRequest> {
  const json = typeof message === 'string' ? parseJson(message, { bytesMax: LIMITS.helloBytesMax }) : undefined;
  if (!json?.ok || !isJsonObject(json.value) || json.value['type'] !== 'device_register') {
    return reject('hybrid_required', 'only device_register follows this hello');
  }
  return readJson(json.value, 'device_register', (field) => {
    const fields = field.object();
    const deviceId = readUuid(fields.field('device_id'));
    const keyText = fields.field('public_key').text(KEY_TEXT_BYTES_MAX);
    const info = presentOrUndefined(fields.optional('device_info'), readDeviceInfo);
    const publicKey = fromHex(keyText);
    if (publicKey === undefined || !crypto.ed25519.isPublicKey(publicKey)) return INVALID_KEY;
    return { kind: 'register', deviceId, publicKey, info };
  });
}

/** Longer texts are refused before anybody asks whether they are a key. */
const KEY_TEXT_BYTES_MAX = 256;
const INFO_TEXT_BYTES_MAX = 64;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const UUID_BYTES = 36;

const INVALID_KEY: LegacyRequest = {
  kind: 'invalid_key',
  answer: canonicalJsonText({
    type: 'register_response',
    status: 'invalid_key',
    message: 'public_key is not an Ed25519 key in hexadecimal',
  }),
};

/** A UUID's 16 bytes are our device id. */
function readUuid(field: JsonField): DeviceId {
  const text = field.text(UUID_BYTES).toLowerCase();
  if (!UUID.test(text)) field.refuse('wrong_type', 'not a UUID');
  return text.replaceAll('-', '') as DeviceId; // 32 hexadecimal digits
}

function readDeviceInfo(field: JsonField): LegacyDeviceInfo {
  const fields = field.object();
  const name = presentOrUndefined(fields.optional('name'), (one) => one.text(LIMITS.deviceNameBytesMax));
  const type = presentOrUndefined(fields.optional('type'), (one) => one.text(INFO_TEXT_BYTES_MAX));
  const capabilities = presentOrUndefined(fields.optional('capabilities'), (one) =>
    one.list(LIMITS.capabilitiesMax, (item) => item.text(INFO_TEXT_BYTES_MAX)),
  );
  return {
    ...(name === undefined ? {} : { name }),
    ...(type === undefined ? {} : { type }),
    ...(capabilities === undefined ? {} : { capabilities }),
  };
}

/** The prototype writes an absent value as `null`. */
function presentOrUndefined<T>(field: JsonField | undefined, read: (field: JsonField) => T): T | undefined {
  return field === undefined || field.value === null ? undefined : read(field);
}

/** What a server stored about a device that registered this way. */
export interface LegacyDeviceRecord {
  readonly deviceId: DeviceId;
  readonly publicKey: Uint8Array;
  /** Left out of an answer to somebody who came with another key. */
  readonly info?: LegacyDeviceInfo;
  /** Seconds since 1970, as the prototype counts. */
  readonly firstRegisteredSeconds: number;
}

/** `already_registered`, with what is stored, for every later registration of the same device id. */
export function legacyRegisterAnswer(status: 'registered' | 'already_registered', record: LegacyDeviceRecord): string {
  return canonicalJsonText({
    type: 'register_response',
    status,
    device: {
      device_id: uuidText(record.deviceId),
      public_key: toHex(record.publicKey),
      device_info: record.info === undefined ? null : { ...record.info },
      first_registered_timestamp: record.firstRegisteredSeconds,
    },
  });
}

function uuidText(id: DeviceId): string {
  return [id.slice(0, 8), id.slice(8, 12), id.slice(12, 16), id.slice(16, 20), id.slice(20)].join('-');
}
