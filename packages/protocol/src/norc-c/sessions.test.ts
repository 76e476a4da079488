import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeCrypto as crypto } from '@norc/crypto/node';
import { type ErrorName, instant, LIMITS, MESSAGE_TYPES, type MessageId, ok, reject } from '@norc/protocol/base';
import { type BodyEncoding, decodeMessage, encodeMessage, errorBody, type ReceivedMessage } from '@norc/protocol/wire';
import { memberDevice, mustBe, seededRandom, testId, testKeyPair } from '@norc/testkit';
import {
  admit,
  type ClientSession,
  clientDeadlinePassed,
  clientReceived,
  deadlinePassed,
  deviceFound,
  ended,
  type KnownDevice,
  NORC_C_MESSAGES,
  type NorcCMessage,
  type OwnDevice,
  received,
  registrationDone,
  type ServerSession,
  type SessionEffect,
  startClientSession,
  startServerSession,
} from './index.ts';

const anna = memberDevice('anna@alpha.example', 'phone');
const keys = testKeyPair('anna phone');
const random = seededRandom('sessions');
const transcriptHash = random.bytes(32);
const now = instant(1_790_000_000_000);
const request = testId<MessageId>('request');
const own = (pair = keys): OwnDevice => ({
  ...{ deviceId: anna.deviceId, publicKey: pair.publicKey },
  sign: (message) => crypto.ed25519.sign(pair.privateKey, message),
});
const known: KnownDevice = { deviceId: anna.deviceId, user: anna.user, publicKey: keys.publicKey, keyStock: 7 };

function overTheWire(message: NorcCMessage, encoding: BodyEncoding = 'cbor'): ReceivedMessage<NorcCMessage> {
  const bytes = encodeMessage(NORC_C_MESSAGES, message, encoding);
  return mustBe(decodeMessage(NORC_C_MESSAGES, MESSAGE_TYPES[message.type], bytes, encoding));
}

const started = (challenge = random.bytes(32)) =>
  startServerSession({ transcriptHash, challenge, now, acceptedAt: now });

function sent(effects: readonly { readonly do: string }[]): {
  readonly message: NorcCMessage;
  readonly id?: MessageId;
} {
  const effect = effects.find((each) => each.do === 'send') as { message: NorcCMessage; id?: MessageId } | undefined;
  assert.ok(effect !== undefined); // an effect that sends has a message
  return effect;
}

/** The device's answer to the server's challenge. */
function answer(challenge: NorcCMessage, device = own(), at = now, hash = transcriptHash) {
  const session = startClientSession({ transcriptHash: hash, device, now: at });
  const step = clientReceived(session, { id: request, message: overTheWire(challenge), now: at }, random);
  return { session: step.session, ...sent(step.effects) };
}

function refusedWith(effects: readonly SessionEffect[], code: ErrorName, session: ServerSession): void {
  assert.equal(effects.at(-1)?.do, 'close');
  assert.deepEqual(
    effects.filter((effect) => 'code' in effect).map((effect) => effect.code),
    [code, code],
  );
  assert.deepEqual(session, { state: 'closing', code });
}

test('a device and its server come to an authenticated session, over either encoding', () => {
  const server = started();
  const device = answer(sent(server.effects).message);
  assert.ok(device.id !== undefined);
  for (const encoding of ['cbor', 'json'] as const) {
    const asked = received(crypto, server.session, device.id, overTheWire(device.message, encoding), now);
    assert.deepEqual(asked.effects, [{ do: 'look_up', deviceId: anna.deviceId }]);
    const found = deviceFound(crypto, asked.session, known, now);
    assert.deepEqual(
      found.effects.map((effect) => effect.do),
      ['send', 'begin'],
    );
    const result = overTheWire(sent(found.effects).message, encoding);
    const ready = clientReceived(device.session, { id: device.id, message: result, now }, random);
    assert.deepEqual([ready.session.state, ready.effects[0]?.do], ['ready', 'ready']);
    assert.ok(ready.session.state === 'ready' && ready.session.keyStock === 7 && ready.session.user === anna.user);
  }
});

const afterAnswer = (message: NorcCMessage, server = started(), at = now) =>
  received(crypto, server.session, request, overTheWire(message), at);

test('[C-10] a clock ten minutes off does not keep a device out', () => {
  const server = started();
  const device = answer(sent(server.effects).message, own(), instant(now - 600_000));
  const found = deviceFound(crypto, afterAnswer(device.message, server).session, known, now);
  assert.equal(found.session.state, 'authenticated');
});

test('[C-11] a proof counts for its own challenge, its own channel and its own time', () => {
  const server = started();
  const challenge = sent(server.effects).message;
  const check = (message: NorcCMessage, to = server) =>
    deviceFound(crypto, afterAnswer(message, to).session, known, now);
  const other = check(answer(challenge).message, started());
  refusedWith(other.effects, 'auth_failed', other.session);
  const relayed = check(answer(challenge, own(), now, random.bytes(32)).message);
  refusedWith(relayed.effects, 'auth_failed', relayed.session);
  const proof = answer(challenge).message;
  assert.ok(proof.type === 'auth_response');
  const moved = { ...proof, body: { ...proof.body, timestamp: proof.body.timestamp + 1 } };
  const shifted = check(moved);
  refusedWith(shifted.effects, 'auth_failed', shifted.session);
  for (const distance of [1, -1]) {
    const late = instant(now + distance * (LIMITS.authSkewMillisecondsMax + 1));
    const skewed = afterAnswer(proof, server, late);
    refusedWith(skewed.effects, 'clock_skew', skewed.session);
  }
});

test('[C-11] a challenge is answered once', () => {
  const server = started();
  const device = answer(sent(server.effects).message);
  const waiting = afterAnswer(device.message, server).session;
  const twice = received(crypto, waiting, request, overTheWire(device.message), now);
  refusedWith(twice.effects, 'unexpected_message', twice.session);
  const after = deviceFound(crypto, waiting, undefined, now).session;
  assert.deepEqual(received(crypto, after, request, overTheWire(device.message), now).effects, []);
});

test('[C-12] unknown, revoked, another’s key: one answer, and a verification each time', () => {
  const server = started();
  const challenge = sent(server.effects).message;
  let verified = 0;
  const counting = {
    ...crypto,
    ed25519: {
      ...crypto.ed25519,
      verify: (...args: Parameters<typeof crypto.ed25519.verify>) => {
        assert.ok(crypto.ed25519.isPublicKey(args[0]), 'work is done only for a key that is one');
        verified += 1;
        return crypto.ed25519.verify(...args);
      },
    },
  };
  const good = answer(challenge).message;
  const forged = answer(challenge, own(testKeyPair('eve'))).message;
  const outcomes = [
    deviceFound(counting, afterAnswer(good, server).session, undefined, now),
    deviceFound(counting, afterAnswer(forged, server).session, known, now),
    deviceFound(counting, afterAnswer(good, server).session, { ...known, deviceId: testId('other') }, now),
  ];
  for (const outcome of outcomes) refusedWith(outcome.effects, 'auth_failed', outcome.session);
  assert.deepEqual(outcomes[1], outcomes[0]);
  assert.equal(verified, 3);
});

const enrolment = { user: anna.user, code: new Uint8Array(16).fill(9), deviceName: 'Anna’s phone' };
const certificates = { device_certificate: new Uint8Array(3), issuer_certificate: new Uint8Array(4) };

function register(pair = keys, device = own(pair)) {
  const server = started();
  const client = startClientSession({ transcriptHash, device, enrolment, now });
  const challenge = overTheWire(sent(server.effects).message);
  const asking = clientReceived(client, { id: request, message: challenge, now }, random);
  const { id, message } = sent(asking.effects);
  assert.ok(id !== undefined && message.type === 'device_register');
  return { server, client: asking.session, id, message };
}

test('a new device spends its code, then proves itself to a fresh challenge', () => {
  const { server, client, id, message } = register();
  const asked = received(crypto, server.session, id, overTheWire(message), now);
  assert.deepEqual(asked.effects, [{ do: 'register', request: overTheWire(message).body }]);
  const outcome = ok({ status: 'registered', ...certificates } as const);
  const done = registrationDone(asked.session, outcome, random.bytes(32), now);
  const [answered, challenge] = done.effects as (SessionEffect & { readonly do: 'send' })[];
  assert.ok(answered !== undefined && challenge !== undefined);
  const enrolled = clientReceived(client, { id, message: overTheWire(answered.message), now }, random);
  assert.equal(enrolled.effects[0]?.do, 'enrolled');
  const proving = clientReceived(
    enrolled.session,
    { id: request, message: overTheWire(challenge.message), now },
    random,
  );
  const proof = sent(proving.effects);
  const waiting = received(crypto, done.session, id, overTheWire(proof.message), now);
  assert.equal(deviceFound(crypto, waiting.session, known, now).session.state, 'authenticated');
});

test('[C-13] without the key that it would enrol, a code is not even tried', () => {
  const stolen = register(keys, { ...own(testKeyPair('eve')), publicKey: keys.publicKey });
  const refused = received(crypto, stolen.server.session, stolen.id, overTheWire(stolen.message), now);
  refusedWith(refused.effects, 'signature_invalid', refused.session);
  const { server, id, message } = register();
  const weak = { ...message, body: { ...message.body, public_key: new Uint8Array(32) } };
  const small = received(crypto, server.session, id, overTheWire(weak), now);
  refusedWith(small.effects, 'signature_invalid', small.session);
});

test('a code that is wrong ends the session', () => {
  const { server, id, message } = register();
  const asked = received(crypto, server.session, id, overTheWire(message), now).session;
  const refused = registrationDone(asked, reject('enrolment_invalid', 'code'), random.bytes(32), now);
  refusedWith(refused.effects, 'enrolment_invalid', refused.session);
});

test('[C-3] requests are dispatched once the device is proven, and proofs end the session then', () => {
  const server = started();
  const ping = received(crypto, server.session, request, overTheWire({ type: 'ping', body: {} }), now);
  assert.equal(sent(ping.effects).message.type, 'pong');
  const list = overTheWire({ type: 'device_list_request', body: {} });
  const early = received(crypto, server.session, request, list, now);
  refusedWith(early.effects, 'auth_required', early.session);
  const proof = overTheWire(answer(sent(server.effects).message).message);
  const waiting = received(crypto, server.session, request, proof, now).session;
  const { session } = deviceFound(crypto, waiting, known, now);
  const dispatched = received(crypto, session, request, list, now).effects[0];
  assert.ok(dispatched?.do === 'dispatch' && dispatched.device.deviceId === anna.deviceId);
  const again = received(crypto, session, request, proof, now);
  refusedWith(again.effects, 'unexpected_message', again.session);
});

test('[C-4] a frame is admitted by its type before its body is read', () => {
  const { session } = started();
  assert.deepEqual(admit(session, MESSAGE_TYPES.auth_response), { verdict: 'decode' });
  assert.deepEqual(admit(session, 0xee), { verdict: 'refuse', code: 'unsupported_type' });
  assert.deepEqual(admit(session, MESSAGE_TYPES.message_send), { verdict: 'end', code: 'auth_required' });
  assert.deepEqual(admit(session, MESSAGE_TYPES.auth_result), { verdict: 'end', code: 'unexpected_message' });
  const closing = ended('shutting_down').session;
  assert.deepEqual(admit(closing, MESSAGE_TYPES.ping), { verdict: 'end', code: 'shutting_down' });
});

test('[C-14] who does not prove itself in time is sent away, and late answers change nothing', () => {
  const server = started();
  const deadline = instant(now + LIMITS.handshakeMillisecondsMax);
  assert.deepEqual(deadlinePassed(server.session, instant(deadline - 1)).effects, []);
  const late = deadlinePassed(server.session, deadline);
  assert.deepEqual(late.effects, [{ do: 'close', code: 'auth_required' }]);
  assert.deepEqual(deviceFound(crypto, late.session, known, deadline).effects, []);
  assert.deepEqual(registrationDone(late.session, reject('internal', ''), random.bytes(32), now).effects, []);
});

test('a device ends a session whose server says what it should not', () => {
  const waiting = startClientSession({ transcriptHash, device: own(), now });
  const hear = (session: ClientSession, message: NorcCMessage, id = request) =>
    clientReceived(session, { id, message: overTheWire(message), now }, random).session;
  const unexpected = { state: 'ended', code: 'unexpected_message' };
  const result = { user: anna.user, device_id: anna.deviceId, server_time: now, key_stock: 0 };
  assert.deepEqual(hear(waiting, { type: 'auth_result', body: result }), unexpected);
  const { session, id } = answer(sent(started().effects).message);
  assert.deepEqual(hear(session, { type: 'auth_result', body: result }), unexpected, 'not the reply to its request');
  const other = { ...result, device_id: testId('other') } as typeof result;
  assert.deepEqual(hear(session, { type: 'auth_result', body: other }, id), unexpected);
  assert.deepEqual(hear(session, { type: 'device_list', body: { devices: [] } }, id), unexpected);
  const told = hear(session, { type: 'error', body: errorBody('auth_failed', 'x') }, id);
  assert.deepEqual(told, { state: 'ended', code: 'auth_failed' });
  assert.equal(hear(session, { type: 'ping', body: {} }), session);
  assert.throws(() => hear(told, { type: 'ping', body: {} }), RangeError);
  const deadline = instant(now + LIMITS.handshakeMillisecondsMax);
  assert.equal(clientDeadlinePassed(session, now).session, session);
  assert.deepEqual(clientDeadlinePassed(session, deadline).session, { state: 'ended', code: 'no_route' });
});
