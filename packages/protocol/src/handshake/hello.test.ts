import assert from 'node:assert/strict';
import { test } from 'node:test';
import { blake3 } from '@noble/hashes/blake3.js';
import { nodeCrypto } from '@norc/crypto/node';
import { mustBe, nobleCrypto, seededRandom, TEST_EPOCH, TestHello, testHandshake } from '@norc/testkit';
import { concatBytes, type MessageId, toBase64, utf8 } from '../base/index.ts';
import type { Crypto, KeyClass } from '../crypto/index.ts';
import { canonicalJson, canonicalJsonText } from '../wire/index.ts';
import { federationAnswerExtra, federationHelloExtra, readFederationFields } from './federation-fields.ts';
import { startHello } from './hello-initiator.ts';
import { type HelloRole, NORC_C_HELLO, NORC_F_HELLO } from './roles.ts';
import { HYBRID_SUITES, type HybridSuiteName, suitesOf } from './suites.ts';
import { parseVersionList, versionText } from './versions.ts';

const ID = '00112233445566778899aabbccddeeff' as MessageId; // 32 hexadecimal digits

const PAIRS = [
  [['2.0', '1.2'], ['2.0', '1.2'], '2.0'],
  [['2.0', '1.2'], ['1.2', '1.1', '1.0'], '1.2'],
  [['1.2'], ['2.0', '1.2', '1.1', '1.0'], '1.2'],
  [['1.2'], ['1.2'], '1.2'],
] as const;

for (const [own, peer, expected] of PAIRS) {
  for (const suite of HYBRID_SUITES) {
    checkHandshake(NORC_C_HELLO, own, peer, expected, suite);
    checkHandshake(NORC_F_HELLO, own, peer, expected, suite);
  }
}

function checkHandshake<K extends KeyClass>(
  role: HelloRole<K>,
  own: readonly string[],
  peer: readonly string[],
  expected: string,
  suite: HybridSuiteName,
): void {
  test(`${role.hello.type} ${own} x ${peer} with ${suite}: both sides hold the same channels`, () => {
    const { initiator, responder } = testHandshake({
      role,
      initiator: { versions: own, suites: [suite], capabilities: ['files', 'calls'] },
      responder: { versions: peer, capabilities: ['presence', 'files'] },
    });
    assert.equal(versionText(initiator.version), expected);
    assert.deepEqual(initiator.version, responder.version);
    assert.equal(initiator.suite.name, suite);
    assert.deepEqual(initiator.transcriptHash, responder.transcriptHash);
    assert.deepEqual(initiator.capabilities, ['files']);
    assert.deepEqual(responder.capabilities, ['files']);
    for (const keyClass of role.keyClasses) {
      const [left, right] = [initiator.channels[keyClass], responder.channels[keyClass]];
      assert.deepEqual(mustBe(right.open(left.seal(0x10, ID, utf8('there')), TEST_EPOCH)), message(0x10, 'there'));
      assert.deepEqual(mustBe(left.open(right.seal(0x11, ID, utf8('back')), TEST_EPOCH)), message(0x11, 'back'));
    }
  });
}

function message(type: number, body: string) {
  return { kind: 'message', type, messageId: ID, body: utf8(body) };
}

test('two independent implementations of the cryptography agree', () => {
  const random = seededRandom('portable');
  const hello = new TestHello({ role: NORC_C_HELLO, random });
  const other = new TestHello({ role: NORC_C_HELLO, crypto: nobleCrypto(random), random });
  const answer = other.answer(hello.text);
  const outcome = mustBe(hello.receiveAnswer(answer.text));
  const frame = answer.channels.control.seal(0x03, ID, utf8('challenge'));
  assert.deepEqual(mustBe(outcome.channels.control.open(frame, TEST_EPOCH)), message(0x03, 'challenge'));
});

test('[HS-15] the transcript hash is what the specification spells out, and the answer repeats it', () => {
  const hello = new TestHello({ role: NORC_C_HELLO });
  const answer = hello.answer();
  const sent = JSON.parse(answer.text);
  const { transcript_hash, signature, ...covered } = sent;
  const parts = [utf8('norc-c-handshake-v1'), utf8(hello.text), canonicalJson(covered)];
  const hash = blake3(concatBytes(...parts));
  assert.deepEqual(answer.transcriptHash, hash);
  assert.equal(transcript_hash, toBase64(hash));
  const signed = concatBytes(utf8('norc-c-server-v1'), hash);
  const raw = Uint8Array.from(Buffer.from(signature, 'base64'));
  assert.equal(nodeCrypto.ed25519.verify(hello.organisation.server.publicKey, signed, raw), true);
});

test('[HS-1] the hello has the fields that the specification names, in standard base64', () => {
  const { text } = new TestHello({ role: NORC_C_HELLO });
  const hello = JSON.parse(text);
  const names = ['capabilities', 'client_versions', 'ephemeral_pub', 'nonce', 'pq_pub', 'suites', 'type'];
  assert.deepEqual(Object.keys(hello), names);
  assert.deepEqual(hello.client_versions, ['2.0', '1.2']);
  assert.deepEqual(hello.suites, ['0x0101', '0x0102']);
  for (const [name, length] of [
    ['nonce', 16],
    ['ephemeral_pub', 32],
    ['pq_pub', 1184],
  ] as const) {
    assert.equal(Buffer.from(hello[name], 'base64').length, length);
    assert.equal(Buffer.from(hello[name], 'base64').toString('base64'), hello[name]);
  }
});

test('[HS-14] fields that this side does not know are ignored, and are in the transcript on both sides', () => {
  const hello = new TestHello({ role: NORC_C_HELLO, initiator: { extra: { zz_new: [1, { deep: 'é' }] } } });
  const answer = hello.answer();
  assert.equal(canonicalJsonText(answer.peerHello), hello.text);
  assert.ok(hello.receiveAnswer(answer.text).ok);
});

test('[HS-14] a hello is canonicalised before it is hashed: white space and member order do not matter', () => {
  const hello = new TestHello({ role: NORC_C_HELLO });
  const members = Object.entries(JSON.parse(hello.text)).reverse();
  const answer = hello.answer(JSON.stringify(Object.fromEntries(members), null, 2));
  assert.ok(hello.receiveAnswer(answer.text).ok);
});

test('[HS-3] each state handles one message: a second is our own fault, not a second session', () => {
  const hello = new TestHello({ role: NORC_C_HELLO });
  const waiting = mustBe(hello.receiveHello());
  const { text } = waiting.complete(new Uint8Array(64), TEST_EPOCH);
  assert.throws(() => waiting.complete(new Uint8Array(64), TEST_EPOCH), TypeError);
  assert.equal(hello.receiveAnswer(text).ok, false);
  assert.throws(() => hello.receiveAnswer(text), TypeError);
});

test('[HS-3] an abandoned handshake cannot be finished', () => {
  const hello = new TestHello({ role: NORC_C_HELLO });
  const answer = hello.answer();
  hello.abandon();
  assert.throws(() => hello.receiveAnswer(answer.text), TypeError);
  const waiting = mustBe(hello.receiveHello());
  waiting.abandon();
  assert.throws(() => waiting.complete(new Uint8Array(64), TEST_EPOCH), TypeError);
});

test('[HS-3] ephemeral secrets are zeroed when the exchange is over, however it ended', () => {
  for (const end of ['finished', 'refused', 'abandoned'] as const) {
    const drawn: Uint8Array[] = [];
    const seeded = seededRandom(`zero ${end}`);
    const random = {
      bytes(length: number) {
        const bytes = seeded.bytes(length);
        drawn.push(bytes);
        return bytes;
      },
    };
    const hello = new TestHello({ role: NORC_C_HELLO, random });
    const secrets = drawn.filter(({ length }) => length === 32 || length === 64);
    assert.equal(secrets.length, 2);
    const answer = hello.answer();
    if (end === 'finished') mustBe(hello.receiveAnswer(answer.text));
    else if (end === 'refused') hello.receiveAnswer('{}');
    else hello.abandon();
    for (const secret of drawn.filter(({ length }) => length === 32 || length === 64)) {
      assert.deepEqual(secret, new Uint8Array(secret.length));
    }
  }
});

test('[HS-20] shared secret, master secret and what was between them are zeroed once there are keys', () => {
  const secrets: Uint8Array[] = [];
  const watched: Crypto = {
    ...nodeCrypto,
    hmac(hash, key, data) {
      const tag = nodeCrypto.hmac(hash, key, data);
      // The key of HMAC is a salt or a secret; what is extracted from is the shared secret.
      secrets.push(...[key, data].filter(({ length }) => length === (data.length === 64 ? 64 : 32)), tag);
      return tag;
    },
  };
  testHandshake({ role: NORC_C_HELLO, crypto: watched });
  // Per side: one extraction, one expansion to the master secret, four to keys and IVs.
  assert.equal(secrets.length, 2 * (2 + 5 * 2));
  for (const secret of secrets) assert.deepEqual(secret, new Uint8Array(secret.length));
});

test('[HS-10] a hello without hybrid keys cannot be offered', () => {
  const versions = mustBe(parseVersionList(['2.0', '1.2', '1.1']));
  const deps = { crypto: nodeCrypto, random: seededRandom('x') };
  const suites = suitesOf(HYBRID_SUITES);
  const config = { role: NORC_C_HELLO, versions, suites, capabilities: [] };
  assert.throws(() => startHello(config, deps), RangeError);
});

test("a layer's own field cannot take the place of one of the hello's", () => {
  for (const name of ['nonce', 'client_versions', 'pq_pub']) {
    assert.throws(() => new TestHello({ role: NORC_C_HELLO, initiator: { extra: { [name]: 'x' } } }), RangeError);
  }
});

test('the preferred version is a wish: the highest common one is chosen all the same', () => {
  const versions = mustBe(parseVersionList(['2.0', '1.2']));
  const [newest, preferredVersion] = versions;
  assert.ok(newest !== undefined && preferredVersion !== undefined);
  const suites = suitesOf(HYBRID_SUITES);
  const config = { role: NORC_C_HELLO, versions, suites, capabilities: [], preferredVersion };
  const started = startHello(config, { crypto: nodeCrypto, random: seededRandom('wish') });
  const answer = new TestHello({ role: NORC_C_HELLO }).answer(started.text);
  assert.deepEqual(answer.version, newest);
});

test('[HS-18] a link names both organisations and both trust certificates on both sides', () => {
  const { certificate, domain } = new TestHello({ role: NORC_F_HELLO }).organisation;
  const reference = (value: number) => ({
    certificateId: new Uint8Array(16).fill(value),
    hash: new Uint8Array(32).fill(value),
  });
  const fields = { origin: domain, destination: domain, trust: { issued: reference(1), held: reference(2) } };
  const { initiator, responder } = testHandshake({
    role: NORC_F_HELLO,
    initiator: { extra: federationHelloExtra(fields, certificate.json) },
    responder: { extra: federationAnswerExtra({ origin: domain, destination: domain }) },
  });
  const hello = mustBe(readFederationFields(responder.peerHello));
  assert.deepEqual({ ...hello, certificate: undefined }, { ...fields, certificate: undefined });
  const answer = mustBe(readFederationFields(initiator.peerHello));
  assert.equal(answer.trust, undefined);
  assert.equal(answer.origin, domain);
});
