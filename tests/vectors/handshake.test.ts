import assert from 'node:assert/strict';
import { nodeCrypto } from '@norc/crypto/node';
import {
  type Domain,
  fromBase64,
  instant,
  ok,
  parseDomain,
  type Random,
  type Result,
  toBase64,
  toHex,
} from '@norc/protocol/base';
import {
  deriveChannelKeys,
  deriveMasterSecret,
  KEY_CLASSES,
  type KeyClass,
  verifyServerCertificate,
} from '@norc/protocol/crypto';
import {
  type AwaitHelloAnswer,
  answerHello,
  answerLegacyHello,
  checkChosenSuite,
  deviceProofInput,
  federationClientProofInput,
  federationServerProofInput,
  type HelloRole,
  HYBRID_SUITES,
  type HybridSuite,
  legacyMasterSecret,
  legacyRegisterAnswer,
  NORC_C_HELLO,
  NORC_F_HELLO,
  negotiateSuite,
  negotiateVersion,
  parseSuiteList,
  parseVersionList,
  readHello,
  receiveLegacyMessage,
  registrationProofInput,
  serverProofInput,
  startHello,
  suitesOf,
  suiteText,
  versionText,
} from '@norc/protocol/handshake';
import { canonicalJson, type JsonObject } from '@norc/protocol/wire';
import { nobleCrypto } from '@norc/testkit';
import { handshakeVectors } from '../../vectors/generate/handshake.ts';
import { channelOf, invalidFrames, validFrames, validRekey } from './handshake/channels.ts';
import {
  assertKeys,
  jsonOf,
  listOf,
  messageId,
  must,
  objectOf,
  scripted,
  suiteNamed,
  texts,
  uint24,
} from './handshake/support.ts';
import { runVectors, VectorCase } from './harness.ts';

const crypto = nodeCrypto;
const ROLES = { 'norc-c': NORC_C_HELLO, 'norc-f': NORC_F_HELLO } as const;

runVectors(
  'handshake',
  {
    valid: {
      versions: validVersions,
      suites: validSuites,
      'key-schedule': keySchedule,
      proofs,
      hello: validHello,
      frames: validFrames,
      rekey: validRekey,
      'legacy-hello': legacyHello,
      'legacy-registration': legacyRegistration,
      'legacy-invalid-key': legacyInvalidKey,
    },
    invalid: {
      versions: negotiatedVersion,
      suites: chosenSuite,
      hello: (vector) => respond(vector.text('hello')),
      answer: (vector) => receiveAnswer(vector, initiate(vector, NORC_C_HELLO)),
      frames: invalidFrames,
      rekey: (vector) => channelOf(vector, 'responder').open(vector.hex('frame'), instant(0)),
      'legacy-hello': (vector) => answerLegacy(vector.text('hello'), EMPTY_RANDOM),
      'legacy-message': (vector) => receiveLegacyMessage(crypto, vector.text('message')),
    },
  },
  handshakeVectors,
);

const EMPTY_RANDOM = scripted(new Uint8Array(16).fill(1), new Uint8Array(32).fill(2));

function negotiatedVersion(vector: VectorCase) {
  const initiator = parseVersionList(texts(vector, 'initiator'));
  if (!initiator.ok) return initiator;
  return negotiateVersion(must(parseVersionList(texts(vector, 'responder'))), initiator.value);
}

function validVersions(vector: VectorCase): void {
  const { version, compatibilityMode } = must(negotiatedVersion(vector));
  assert.equal(versionText(version), vector.text('version'));
  assert.equal(compatibilityMode, vector.bool('compatibility_mode'));
  const [initiator, responder] = [texts(vector, 'initiator'), texts(vector, 'responder')];
  const turned = negotiateVersion(must(parseVersionList(initiator)), must(parseVersionList(responder)));
  assert.deepEqual(turned, ok({ version, compatibilityMode }));
}

function suiteLists(vector: VectorCase): Result<readonly [readonly HybridSuite[], readonly HybridSuite[]]> {
  const initiator = parseSuiteList(texts(vector, 'initiator'));
  return initiator.ok ? ok([initiator.value, must(parseSuiteList(texts(vector, 'responder')))]) : initiator;
}

function chosenSuite(vector: VectorCase) {
  const lists = suiteLists(vector);
  return lists.ok ? checkChosenSuite(lists.value[0], lists.value[1], vector.text('suite')) : lists;
}

function validSuites(vector: VectorCase): void {
  const [initiator, responder] = must(suiteLists(vector));
  assert.equal(suiteText(must(negotiateSuite(responder, initiator))), vector.text('suite'));
  assert.ok(chosenSuite(vector).ok);
}

function keySchedule(vector: VectorCase): void {
  const { hash } = suiteNamed(vector.text('suite'));
  const secret = deriveMasterSecret(crypto, hash, {
    clientNonce: vector.hex('client_nonce'),
    serverNonce: vector.hex('server_nonce'),
    sharedSecret: vector.hex('shared_secret'),
    transcriptHash: vector.hex('transcript_hash'),
  });
  assert.deepEqual(secret, vector.hex('master_secret'));
  for (const stream of KEY_CLASSES) assertKeys(deriveChannelKeys(crypto, hash, secret, stream), vector.object(stream));
}

function proofs(vector: VectorCase): void {
  const hash = vector.hex('transcript_hash');
  const [challenge, timestamp] = [vector.hex('challenge'), instant(vector.number('timestamp'))];
  const inputs: Readonly<Record<string, Uint8Array>> = {
    'norc-c-server-v1': serverProofInput(hash),
    'norc-c-device-v1': deviceProofInput(hash, challenge, timestamp),
    'norc-c-register-v1': registrationProofInput(hash, challenge, timestamp),
    'norc-f-server-v1': federationServerProofInput(hash),
    'norc-f-client-v1': federationClientProofInput(hash),
  };
  assert.deepEqual(inputs[vector.text('label')], vector.hex('input'));
  assert.ok(crypto.ed25519.verify(vector.hex('public_key'), vector.hex('input'), vector.hex('signature')));
}

function validHello(vector: VectorCase): void {
  const role = vector.text('role');
  assert.ok(role === 'norc-c' || role === 'norc-f');
  if (role === 'norc-c') replayHandshake(vector, ROLES[role]);
  else replayHandshake(vector, ROLES[role]);
}

/** Our initiator and our responder, with the vector's secrets, send exactly the vector's bytes. */
function replayHandshake<K extends KeyClass>(vector: VectorCase, role: HelloRole<K>): void {
  const initiator = must(receiveAnswer(vector, initiate(vector, role)));
  const responder = replayResponder(vector, role);
  assert.equal(versionText(initiator.version), vector.text('version'));
  assert.equal(initiator.compatibilityMode, vector.bool('compatibility_mode'));
  assert.equal(suiteText(initiator.suite), vector.text('suite'));
  assert.deepEqual(initiator.transcriptHash, vector.hex('transcript_hash'));
  assert.equal(vector.list('streams').length, role.keyClasses.length);
  for (const [index, stream] of role.keyClasses.entries()) {
    const expected = new VectorCase(vector.list('streams')[index] ?? null, 'stream');
    assert.equal(expected.text('stream'), stream);
    const [left, right] = [initiator.channels[stream], responder.channels[stream]];
    const [id, body] = [messageId(expected), expected.hex('body')];
    assert.deepEqual(left.seal(0xf0, id, body), expected.hex('c2s_frame'));
    assert.deepEqual(right.seal(0xf1, id, body), expected.hex('s2c_frame'));
    assert.ok(right.open(expected.hex('c2s_frame'), instant(0)).ok);
    assert.ok(left.open(expected.hex('s2c_frame'), instant(0)).ok);
  }
}

function initiate<K extends KeyClass>(vector: VectorCase, role: HelloRole<K>): AwaitHelloAnswer<K> {
  const hello = jsonOf(vector.text('hello'));
  const random = scripted(
    vector.hex('initiator_nonce'),
    vector.hex('initiator_x25519'),
    vector.hex('initiator_ml_kem_seed'),
    uint24(0x010203),
  );
  const names = role.hello;
  const { origin, destination, trust, server_certificate, ...base } = hello;
  const started = startHello(
    {
      role,
      versions: must(parseVersionList(listOf(base, names.versions))),
      suites: must(parseSuiteList(listOf(base, names.suites))),
      capabilities: listOf(base, names.capabilities),
      extra: present({ origin, destination, trust, server_certificate }),
    },
    { crypto, random },
  );
  assert.equal(started.text, vector.text('hello'));
  return started.state;
}

function receiveAnswer<K extends KeyClass>(vector: VectorCase, state: AwaitHelloAnswer<K>) {
  const pinned = { org: domain('alpha.example'), rootKey: vector.hex('root_key') };
  const now = instant(vector.number('now'));
  const seen = vector.has('newest_major_seen') ? vector.number('newest_major_seen') : 0;
  return state.receive(vector.text('answer'), {
    verifyCertificate: (certificate) =>
      verifyServerCertificate(crypto, canonicalJson(certificate), { pinned, usage: 'server', now }),
    memory: { newestMajorSeen: seen === 0 ? undefined : seen, allowOlder: false },
    now,
  });
}

function replayResponder<K extends KeyClass>(vector: VectorCase, role: HelloRole<K>) {
  const answer = jsonOf(vector.text('answer'));
  const portable = nobleCrypto(scripted(vector.hex('responder_ml_kem_message')));
  const random = scripted(vector.hex('responder_nonce'), vector.hex('responder_x25519'), uint24(0xfffefd));
  const { origin, destination, trust } = answer;
  const config = {
    versions: must(parseVersionList(texts(vector, 'responder_versions'))),
    suites: must(parseSuiteList(texts(vector, 'responder_suites'))),
    capabilities: listOf(answer, role.answer.capabilities),
    certificate: objectOf(answer['server_certificate']),
    extra: present({ origin, destination, trust }),
  };
  const hello = must(readHello(vector.text('hello'), role));
  const waiting = must(answerHello(hello, config, { crypto: portable, random }));
  const signature = crypto.ed25519.sign(vector.hex('responder_signing_seed'), waiting.toSign);
  const outcome = waiting.complete(signature, instant(vector.number('now')));
  assert.equal(outcome.text, vector.text('answer'));
  assert.deepEqual(outcome.transcriptHash, vector.hex('transcript_hash'));
  return outcome;
}

/** A server of this project with nothing particular set. */
function respond(text: string): Result<unknown> {
  const hello = readHello(text, NORC_C_HELLO);
  if (!hello.ok) return hello;
  const versions = must(parseVersionList(['2.0', '1.2']));
  const config = { versions, suites: suitesOf(HYBRID_SUITES), capabilities: [], certificate: {} };
  return answerHello(hello.value, config, { crypto, random: EMPTY_RANDOM });
}

function answerLegacy(hello: string, random: Random) {
  const read = readHello(hello, NORC_C_HELLO);
  if (!read.ok) return read;
  return answerLegacyHello(read.value, must(parseVersionList(['2.0', '1.2', '1.1', '1.0'])), { crypto, random });
}

function legacyHello(vector: VectorCase): void {
  const random = scripted(vector.hex('server_nonce'), vector.hex('server_x25519'));
  const answer = must(answerLegacy(vector.text('hello'), random));
  assert.equal(answer.text, vector.text('answer'));
  assert.deepEqual(answer.transcriptHash, vector.hex('transcript_hash'));
  const clientKey = fromBase64(String(jsonOf(vector.text('hello'))['ephemeral_pub']));
  assert.ok(clientKey !== undefined);
  const shared = crypto.x25519.agree(vector.hex('server_x25519'), clientKey);
  assert.deepEqual(shared, vector.hex('shared_secret'));
  const secret = legacyMasterSecret(crypto, vector.hex('client_nonce'), vector.hex('shared_secret'));
  assert.deepEqual(secret, vector.hex('master_secret'));
  const nonce = jsonOf(vector.text('hello'))['nonce'];
  assert.equal(nonce, toBase64(vector.hex('client_nonce')));
}

function legacyRegistration(vector: VectorCase): void {
  const request = must(receiveLegacyMessage(crypto, vector.text('message')));
  assert.ok(request.kind === 'register');
  const { deviceId, publicKey, info } = request;
  assert.equal(deviceId, vector.text('device_id'));
  assert.equal(toHex(publicKey), vector.text('public_key'));
  const status = vector.text('status');
  assert.ok(status === 'registered' || status === 'already_registered');
  const record = { deviceId, publicKey, firstRegisteredSeconds: 1_790_000_000 };
  const answer = legacyRegisterAnswer(status, info === undefined ? record : { ...record, info });
  assert.equal(answer, vector.text('answer'));
}

function legacyInvalidKey(vector: VectorCase): void {
  const request = must(receiveLegacyMessage(crypto, vector.text('message')));
  assert.ok(request.kind === 'invalid_key');
  assert.equal(jsonOf(request.answer)['status'], 'invalid_key');
}

const domain = (text: string): Domain => must(parseDomain(text));

function present(fields: Readonly<Record<string, JsonObject[string] | undefined>>): JsonObject {
  return JSON.parse(JSON.stringify(fields));
}
