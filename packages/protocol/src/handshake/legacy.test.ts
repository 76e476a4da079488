import assert from 'node:assert/strict';
import { createHmac, createPublicKey, diffieHellman, generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { blake3 } from '@noble/hashes/blake3.js';
import { nodeCrypto } from '@norc/crypto/node';
import { mustBe, seededRandom } from '@norc/testkit';
import { type ErrorName, LIMITS, type Result, toHex } from '../base/index.ts';
import { answerHello, readHello } from './hello-responder.ts';
import {
  answerLegacyHello,
  type LegacyDeviceRecord,
  type LegacyRequest,
  legacyMasterSecret,
  legacyRegisterAnswer,
  receiveLegacyMessage,
} from './legacy.ts';
import { NORC_C_HELLO } from './roles.ts';
import { HYBRID_SUITES, suitesOf } from './suites.ts';
import { checkVersionList, parseVersionList, SUPPORTED_VERSIONS_WITH_LEGACY, versionText } from './versions.ts';

const OWN = mustBe(checkVersionList(SUPPORTED_VERSIONS_WITH_LEGACY));
const DEPS = { crypto: nodeCrypto, random: seededRandom('legacy') };
const UUID = '9a2f3d2c-1b4e-4c5d-8e6f-0123456789ab';

function refused(result: Result<unknown>, code: ErrorName): void {
  assert.equal(result.ok ? 'accepted' : result.error.code, code);
}

/**
 * The seed prototype's client as its document describes it, written with nothing of
 * ours: its own canonical form, its own derivation, strict about what it reads.
 */
class SeedClient {
  readonly hello: string;
  readonly #keys = generateKeyPairSync('x25519');
  readonly #nonce = Buffer.alloc(16, 5);

  constructor(changes: Record<string, unknown> = {}) {
    this.hello = JSON.stringify({
      type: 'client_hello',
      client_versions: ['1.1', '1.0'],
      preferred_version: '1.1',
      capabilities: ['messaging', 'registration'],
      nonce: this.#nonce.toString('base64'),
      ephemeral_pub: this.#keys.publicKey.export({ format: 'raw-public' }).toString('base64'),
      ...changes,
    });
  }

  receiveServerHello(text: string): { readonly version: string; readonly masterSecret: string } {
    const hello = JSON.parse(text);
    const { transcript_hash, ...provisional } = hello;
    assert.deepEqual(Object.keys(hello).sort(), [
      'compatibility_mode',
      'ephemeral_pub',
      'negotiated_version',
      'nonce',
      'server_capabilities',
      'transcript_hash',
      'type',
    ]);
    assert.equal(hello.type, 'server_hello');
    assert.equal(Buffer.from(hello.nonce, 'base64').length, 16);
    const material = Buffer.from(seedCanonical(JSON.parse(this.hello)) + seedCanonical(provisional));
    assert.equal(transcript_hash, Buffer.from(blake3(material)).toString('base64'));
    const peer = Buffer.from(hello.ephemeral_pub, 'base64');
    const publicKey = createPublicKey({ key: peer, format: 'raw-public', asymmetricKeyType: 'x25519' });
    const shared = diffieHellman({ privateKey: this.#keys.privateKey, publicKey });
    const extracted = createHmac('sha256', this.#nonce).update(shared).digest();
    const secret = createHmac('sha256', extracted).update('norc:ms:v1\x01').digest();
    assert.deepEqual(legacyMasterSecret(nodeCrypto, this.#nonce, shared), Uint8Array.from(secret));
    return { version: hello.negotiated_version, masterSecret: secret.toString('hex') };
  }
}

function seedCanonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(seedCanonical).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([key, one]) => `"${key}":${seedCanonical(one)}`).join(',')}}`;
}

function answer(hello: string) {
  const read = readHello(hello, NORC_C_HELLO);
  return read.ok ? answerLegacyHello(read.value, OWN, DEPS) : read;
}

const registration = (changes: Record<string, unknown> = {}) =>
  JSON.stringify({
    type: 'device_register',
    device_id: UUID,
    public_key: toHex(nodeCrypto.ed25519.keyPair(() => new Uint8Array(32).fill(8)).publicKey),
    device_info: { name: 'Dev-9a2f3d2c', type: 'desktop', capabilities: ['messaging', 'registration'] },
    ...changes,
  });

const receive = (message: string | Uint8Array) => receiveLegacyMessage(nodeCrypto, message);

function record(request: LegacyRequest): LegacyDeviceRecord {
  assert.ok(request.kind === 'register');
  const { deviceId, publicKey, info } = request;
  const stored = { deviceId, publicKey, firstRegisteredSeconds: 1_790_000_000 };
  return info === undefined ? stored : { ...stored, info };
}

test("[HS-22] the seed prototype's hello completes unchanged", () => {
  const client = new SeedClient();
  const { text, version } = mustBe(answer(client.hello));
  assert.equal(client.receiveServerHello(text).version, '1.1');
  assert.equal(versionText(version.version), '1.1');
  assert.equal(version.compatibilityMode, true);
});

test('[HS-22] 1.0 alone, absent or null options, and unknown fields are all right', () => {
  for (const changes of [
    { client_versions: ['1.0'] },
    { preferred_version: null, capabilities: null },
    { preferred_version: undefined, capabilities: undefined },
    { later: { and: [null, 'more'] } },
  ]) {
    const client = new SeedClient(changes);
    client.receiveServerHello(mustBe(answer(client.hello)).text);
  }
});

test('[HS-22] its device_register gets registered, then already_registered, in the shape that its client reads', () => {
  const request = mustBe(receive(registration()));
  const stored = record(request);
  for (const status of ['registered', 'already_registered'] as const) {
    const reply = JSON.parse(legacyRegisterAnswer(status, stored));
    assert.deepEqual(reply, {
      type: 'register_response',
      status,
      device: {
        device_id: UUID,
        public_key: JSON.parse(registration()).public_key,
        device_info: { name: 'Dev-9a2f3d2c', type: 'desktop', capabilities: ['messaging', 'registration'] },
        first_registered_timestamp: 1_790_000_000,
      },
    });
  }
  const bare = record(mustBe(receive(registration({ device_info: null }))));
  assert.equal(JSON.parse(legacyRegisterAnswer('registered', bare)).device.device_info, null);
  const sparse = mustBe(receive(registration({ device_info: { name: null } })));
  assert.ok(sparse.kind === 'register');
  assert.deepEqual(sparse.info, {});
});

test('[HS-22] what is not an Ed25519 key gets invalid_key and a reason, and the session goes on', () => {
  const offCurve = `02${'00'.repeat(31)}`;
  for (const public_key of ['', 'zz', '00'.repeat(31), '00'.repeat(33), '00'.repeat(32), 'ff'.repeat(32), offCurve]) {
    const request = mustBe(receive(registration({ public_key })));
    assert.ok(request.kind === 'invalid_key', public_key);
    const reply = JSON.parse(request.answer);
    assert.deepEqual([reply.type, reply.status, typeof reply.message], ['register_response', 'invalid_key', 'string']);
  }
});

test('[HS-22] nothing else can be done in such a session', () => {
  const others = [
    new Uint8Array(100),
    '',
    'hello',
    '[]',
    '"device_register"',
    '{"type":"message_send"}',
    '{"type":"auth_response"}',
    '{}',
    new SeedClient().hello,
    `${registration()} `.repeat(2),
    registration({ padding: 'x'.repeat(LIMITS.helloBytesMax) }),
  ];
  for (const message of others) refused(receive(message), 'hybrid_required');
});

test('[HS-22] a device_register that is not one is refused by field', () => {
  refused(receive(registration({ device_id: undefined })), 'missing_field');
  refused(receive(registration({ device_id: 7 })), 'wrong_type');
  refused(receive(registration({ device_id: UUID.replaceAll('-', '') })), 'wrong_type');
  refused(receive(registration({ device_id: `${UUID}0` })), 'limit_exceeded');
  refused(receive(registration({ public_key: 7 })), 'wrong_type');
  refused(receive(registration({ public_key: '0'.repeat(1000) })), 'limit_exceeded');
  refused(receive(registration({ device_info: 'x' })), 'wrong_type');
  refused(receive(registration({ device_info: { name: 'x'.repeat(200) } })), 'limit_exceeded');
});

test('[HS-22] a classical hello is not answered as a hybrid one, nor a hybrid one as classical', () => {
  const config = { versions: OWN, suites: suitesOf(HYBRID_SUITES), capabilities: [], certificate: {} };
  const classical = mustBe(readHello(new SeedClient().hello, NORC_C_HELLO));
  refused(answerHello(classical, config, DEPS), 'hybrid_required');
  refused(answer(new SeedClient({ client_versions: ['2.0', '1.1'] }).hello), 'unexpected_message');
  const withoutLegacy = mustBe(parseVersionList(['2.0', '1.2']));
  refused(answerLegacyHello(classical, withoutLegacy, DEPS), 'no_compatible_version');
  refused(answerHello(classical, { ...config, versions: withoutLegacy }, DEPS), 'no_compatible_version');
});

test('[HS-22] a legacy hello with a bad key, nonce or list is refused', () => {
  const zero = Buffer.alloc(32).toString('base64');
  refused(answer(new SeedClient({ ephemeral_pub: zero }).hello), 'crypto');
  refused(answer(new SeedClient({ ephemeral_pub: undefined }).hello), 'missing_field');
  refused(answer(new SeedClient({ nonce: 'AAAA' }).hello), 'wrong_type');
  refused(answer(new SeedClient({ client_versions: ['0.9'] }).hello), 'no_compatible_version');
  refused(answer(new SeedClient({ client_versions: '1.1' }).hello), 'wrong_type');
});
