import { ed25519, x25519 } from '@noble/curves/ed25519.js';
import { blake3 } from '@noble/hashes/blake3.js';
import { hkdf } from '@noble/hashes/hkdf.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { toHex, utf8 } from '@norc/protocol/base';
import { canonicalJsonText, type JsonObject } from '@norc/protocol/wire';
import type { VectorFile } from '../files.ts';
import { base64, named } from './reference.ts';

const clientKey = named('legacy client x25519');
const serverKey = named('legacy server x25519');
const clientNonce = named('legacy client nonce', 16);
const serverNonce = named('legacy server nonce', 16);

/** In the order and form in which the seed prototype's client writes it. */
const clientHello = (versions: readonly string[], preferred: string | null): JsonObject => ({
  type: 'client_hello',
  client_versions: versions,
  preferred_version: preferred,
  capabilities: ['messaging', 'registration'],
  nonce: base64(clientNonce),
  ephemeral_pub: base64(x25519.getPublicKey(clientKey)),
});

function legacyHello(name: string, versions: readonly string[], preferred: string | null) {
  const hello = clientHello(versions, preferred);
  const answer = {
    type: 'server_hello',
    negotiated_version: versions[0] ?? '',
    compatibility_mode: true,
    server_capabilities: ['registration'],
    nonce: base64(serverNonce),
    ephemeral_pub: base64(x25519.getPublicKey(serverKey)),
  };
  const hash = blake3(utf8(canonicalJsonText(hello) + canonicalJsonText(answer)));
  const shared = x25519.getSharedSecret(clientKey, x25519.getPublicKey(serverKey));
  return {
    name,
    hello: JSON.stringify(hello),
    server_versions: ['2.0', '1.2', '1.1', '1.0'],
    server_nonce: toHex(serverNonce),
    server_x25519: toHex(serverKey),
    client_nonce: toHex(clientNonce),
    answer: canonicalJsonText({ ...answer, transcript_hash: base64(hash) }),
    transcript_hash: toHex(hash),
    shared_secret: toHex(shared),
    master_secret: toHex(hkdf(sha256, shared, clientNonce, utf8('norc:ms:v1'), 32)),
  };
}

const UUID = '9a2f3d2c-1b4e-4c5d-8e6f-0123456789ab';
const publicKey = toHex(ed25519.getPublicKey(named('legacy device')));
const info = { name: 'Dev-9a2f3d2c', type: 'desktop', capabilities: ['messaging', 'registration'] };

const registration = (changes: JsonObject = {}): JsonObject => ({
  type: 'device_register',
  device_id: UUID,
  public_key: publicKey,
  device_info: info,
  ...changes,
});

const answerTo = (status: string, deviceInfo: JsonObject | null): string =>
  canonicalJsonText({
    type: 'register_response',
    status,
    device: {
      device_id: UUID,
      public_key: publicKey,
      device_info: deviceInfo,
      first_registered_timestamp: 1_790_000_000,
    },
  });

const registered = (name: string, status: string, message: JsonObject, deviceInfo: JsonObject | null) => ({
  name,
  message: JSON.stringify(message),
  status,
  device_id: UUID.replaceAll('-', ''),
  public_key: publicKey,
  answer: answerTo(status, deviceInfo),
});

function withoutInfo(): JsonObject {
  const { device_info: _, ...rest } = registration();
  return rest;
}

const refused = (name: string, message: string, error: string) => ({ name, message, error });
const refusedHello = (name: string, changes: JsonObject, error: string) => ({
  name,
  hello: JSON.stringify({ ...clientHello(['1.1', '1.0'], '1.1'), ...changes }),
  error,
});

export const legacyVectors: readonly VectorFile[] = [
  {
    outcome: 'valid',
    kind: 'legacy-hello',
    about:
      "The seed prototype's hello and its answer, with the server's secrets and what the prototype's client derives.",
    cases: [
      legacyHello("the prototype's client", ['1.1', '1.0'], '1.1'),
      legacyHello('1.0 alone, without a preference', ['1.0'], null),
    ],
  },
  {
    outcome: 'valid',
    kind: 'legacy-registration',
    about: "The seed prototype's registration (a text message) and its answer, with 1790000000 s as the stored time.",
    cases: [
      registered('a new device', 'registered', registration(), info),
      registered('the same device again', 'already_registered', registration(), info),
      registered('without information', 'registered', withoutInfo(), null),
      registered(
        'the id and the key in upper case',
        'registered',
        registration({ device_id: UUID.toUpperCase(), public_key: publicKey.toUpperCase() }),
        info,
      ),
    ],
  },
  {
    outcome: 'valid',
    kind: 'legacy-invalid-key',
    about: 'Registrations that get the status `invalid_key`; the session goes on.',
    cases: [
      { name: 'not hexadecimal', message: JSON.stringify(registration({ public_key: 'xyz' })) },
      { name: '31 bytes', message: JSON.stringify(registration({ public_key: publicKey.slice(2) })) },
      { name: 'not on the curve', message: JSON.stringify(registration({ public_key: `02${'00'.repeat(31)}` })) },
      { name: 'of small order', message: JSON.stringify(registration({ public_key: '00'.repeat(32) })) },
    ],
  },
  {
    outcome: 'invalid',
    kind: 'legacy-hello',
    about: 'Classical hellos that a server with the versions 2.0, 1.2, 1.1, 1.0 must refuse.',
    cases: [
      refusedHello('a key of low order', { ephemeral_pub: base64(new Uint8Array(32)) }, 'crypto'),
      refusedHello('a key of 31 bytes', { ephemeral_pub: base64(new Uint8Array(31)) }, 'wrong_type'),
      refusedHello('versions of an older major', { client_versions: ['0.9'] }, 'no_compatible_version'),
    ],
  },
  {
    outcome: 'invalid',
    kind: 'legacy-message',
    about: 'Text messages that a server must refuse after a classical hello.',
    cases: [
      refused('another type', '{"type":"auth_response"}', 'hybrid_required'),
      refused('a second hello', JSON.stringify(clientHello(['1.1'], '1.1')), 'hybrid_required'),
      refused('not JSON', 'device_register', 'hybrid_required'),
      refused('a device id that is no UUID', JSON.stringify(registration({ device_id: 'x' })), 'wrong_type'),
      refused(
        'no key',
        '{"type":"device_register","device_id":"9a2f3d2c-1b4e-4c5d-8e6f-0123456789ab"}',
        'missing_field',
      ),
    ],
  },
];
