import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { nodeRandom } from '@norc/crypto/node';
import { LIMITS, MESSAGE_TYPES } from '@norc/protocol/base';
import {
  newId,
  openSocket,
  type SessionEnd,
  TestDevice,
  type TestServer,
  TestServers,
  type TestSession,
} from '@norc/testkit/live';

let world: TestServers;
let alpha: TestServer;
let witnesses: { readonly say: (text: string) => Promise<unknown>; readonly read: (text: string) => Promise<unknown> };
let said = 0;

before(async () => {
  world = await TestServers.start('alpha.example');
  alpha = world.at(0);
  const ann = await TestDevice.enrol(alpha, 'ann@alpha.example');
  const bea = await TestDevice.enrol(alpha, 'bea@alpha.example');
  const atAnn = await ann.create([bea.user]);
  const atBea = bea.conversation(atAnn.id);
  await atBea.inEpoch(1);
  witnesses = { say: (text) => atAnn.say(text), read: (text) => atBea.read(text) };
});
after(() => world.dispose());

/** Whatever was done to the server, the others go on. */
afterEach(async () => {
  said += 1;
  await witnesses.say(`still here ${said}`);
  await witnesses.read(`still here ${said}`);
  assert.deepEqual(alpha.faults, []);
});

const ping = { type: 'ping', body: {} } as const;
const flip = (bytes: Uint8Array, at: number) =>
  bytes.map((byte, i) => (i === (at + bytes.length) % bytes.length ? byte ^ 1 : byte));

interface Attack {
  readonly name: string;
  readonly run: (session: TestSession) => void | Promise<void>;
}

const rejectedFrames: readonly Attack[] = [
  { name: 'of random bytes', run: ({ socket }) => socket.send(nodeRandom.bytes(400)) },
  { name: 'that is empty', run: ({ socket }) => socket.send(new Uint8Array()) },
  { name: 'with only a header', run: (session) => session.socket.send(session.seal(ping).subarray(0, 62)) },
  { name: 'that is truncated', run: (session) => session.socket.send(session.seal(ping).subarray(0, -1)) },
  {
    name: 'with bytes behind it',
    run: (session) => session.socket.send(Buffer.concat([session.seal(ping), Buffer.of(0)])),
  },
  { name: 'with a changed tag', run: (session) => session.socket.send(flip(session.seal(ping), -1)) },
  { name: 'with a changed type', run: (session) => session.socket.send(flip(session.seal(ping), 1)) },
  { name: 'of another version', run: (session) => session.socket.send(flip(session.seal(ping), 0)) },
  { name: 'with a changed chain', run: (session) => session.socket.send(flip(session.seal(ping), 40)) },
  {
    name: 'that was sent before',
    run: async (session) => {
      const frame = session.seal(ping);
      session.socket.send(frame);
      session.socket.send(frame);
    },
  },
  {
    name: 'before its turn',
    run: (session) => {
      session.seal(ping);
      session.socket.send(session.seal(ping));
    },
  },
  {
    name: 'of another session',
    run: async (session) => {
      const other = await TestDevice.enrol(alpha, `other${newId().slice(0, 8)}@alpha.example`, { stock: 0 });
      session.socket.send(other.session.seal(ping));
      await other.disconnect();
    },
  },
];

for (const { name, run } of rejectedFrames) {
  test(`a frame ${name} ends its session, and says no more than that`, async () => {
    const mallory = await TestDevice.enrol(alpha, `m${newId().slice(0, 12)}@alpha.example`, { stock: 0 });
    await run(mallory.session);
    const end: SessionEnd = await mallory.session.ended;
    assert.deepEqual([end.code, end.reason], [1008, 'frame_rejected']);
    await mallory.connect();
  });
}

const breaches: readonly (Attack & { readonly reason: string })[] = [
  { name: 'text after the hello', reason: 'unexpected_message', run: ({ socket }) => socket.send('{"type":"ping"}') },
  { name: 'a second hello', reason: 'unexpected_message', run: ({ socket }) => socket.send('{"type":"client_hello"}') },
  {
    name: "a message that is the server's to send",
    reason: 'unexpected_message',
    run: (session) => void session.send({ type: 'key_stock', body: { count: 1 } }),
  },
  {
    name: 'a second proof',
    reason: 'unexpected_message',
    run: (session) =>
      void session.send({
        type: 'auth_response',
        body: { device_id: newId(), timestamp: 0, signature: new Uint8Array(64) } as never,
      }), // any id
  },
];

for (const { name, reason, run } of breaches) {
  test(`${name} ends the session`, async () => {
    const mallory = await TestDevice.enrol(alpha, `m${newId().slice(0, 12)}@alpha.example`, { stock: 0 });
    await run(mallory.session);
    assert.equal((await mallory.session.ended).reason, reason);
  });
}

test('a frame over the limit ends the connection', async () => {
  const mallory = await TestDevice.enrol(alpha, 'big@alpha.example', { stock: 0 });
  mallory.session.socket.send(new Uint8Array(LIMITS.frameBytesMax + 1));
  const end = await mallory.session.ended;
  assert.ok(end.code === 1009 || end.code === 1006, String(end.code));
});

const badBodies = [
  { name: 'nothing', body: new Uint8Array() },
  { name: 'random bytes', body: nodeRandom.bytes(200) },
  { name: 'another message', body: Uint8Array.of(0xa0) },
  {
    name: 'a list a billion long',
    body: Uint8Array.of(0xa1, 0x65, 0x75, 0x73, 0x65, 0x72, 0x73, 0x9b, 0, 0, 0, 0, 0x3b, 0x9a, 0xca, 0),
  },
  { name: 'lists inside lists', body: new Uint8Array(10_000).fill(0x81) },
];

for (const { name, body } of badBodies) {
  test(`a request whose body is ${name} is refused, and the session goes on`, async () => {
    const mallory = await TestDevice.enrol(alpha, `m${newId().slice(0, 12)}@alpha.example`, { stock: 0 });
    for (const type of [
      'key_request',
      'message_send',
      'conversation_create',
      'commit_submit',
      'key_publish',
    ] as const) {
      const id = newId();
      const reply = mallory.session.reply(id);
      mallory.session.socket.send(mallory.session.sealRaw(MESSAGE_TYPES[type], body, id));
      const answer = await reply;
      assert.ok(answer.type === 'error' && answer.body.name !== 'internal', `${type}: ${answer.type}`);
    }
    assert.equal(await mallory.session.settled(), 'open');
  });
}

test('an unknown type is refused, and the session goes on', async () => {
  const mallory = await TestDevice.enrol(alpha, 'new@alpha.example', { stock: 0 });
  const id = newId();
  const reply = mallory.session.reply(id);
  mallory.session.socket.send(mallory.session.sealRaw(0x6f, new Uint8Array(3), id));
  const answer = await reply;
  assert.ok(answer.type === 'error' && answer.body.name === 'unsupported_type');
  assert.equal(await mallory.session.settled(), 'open');
});

test('MLS messages and commits that are none are refused, each with its code', async () => {
  const mallory = await TestDevice.enrol(alpha, 'mls@alpha.example');
  const conversation = await mallory.create([]);
  const { body } = await conversation.encrypt('good');
  for (const bad of [new Uint8Array(), nodeRandom.bytes(100), body.subarray(0, 40), flip(body, 3)]) {
    const answer = await conversation.trySubmit(bad);
    assert.ok(answer.type === 'error' && answer.body.name !== 'internal', answer.type);
  }
  const commit = await conversation.draftCommit({ update: true });
  // Its last bytes are tags that only members can check.
  for (const bad of [
    flip(commit.commit, 80),
    flip(commit.commit, commit.commit.length >> 1),
    commit.commit.subarray(0, -5),
  ]) {
    const answer = await conversation.submitCommit({ ...commit, commit: bad });
    assert.ok(answer.type === 'error' && answer.body.name !== 'internal', answer.type);
  }
  assert.equal((await conversation.submitCommit(commit)).type, 'message_ack');
  await conversation.inEpoch(2);
  await conversation.say('good');
});

test('a device that acknowledges what does not exist is refused', async () => {
  const mallory = await TestDevice.enrol(alpha, 'ack@alpha.example');
  const conversation = await mallory.create([]);
  const cursors = [{ conversation: conversation.id, seq: 1_000_000 }];
  assert.equal(await mallory.session.refused({ type: 'cursor_ack', body: { cursors } }), 'malformed');
  await conversation.say('one');
  mallory.acknowledge(newId(), 7);
  assert.equal(await mallory.session.settled(), 'open');
  await mallory.reconnect();
  await mallory.idle();
  assert.equal(conversation.seq, 2);
});

test('a device that asks and never reads is cut off', async () => {
  const mallory = await TestDevice.enrol(alpha, 'flood@alpha.example');
  const conversation = await mallory.create([]);
  await Promise.all(Array.from({ length: 100 }, (_, i) => conversation.say(`${i} ${'x'.repeat(12_000)}`)));
  const { socket } = mallory.session;
  socket.pause();
  for (let sent = 0; sent < 400; sent += 20) {
    for (let i = 0; i < 20; i += 1)
      mallory.session.send({ type: 'log_request', body: { conversation: conversation.id, after: 0 } });
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal(await witnesses.say('meanwhile').then(() => 'said'), 'said');
  socket.resume();
  assert.equal((await mallory.session.ended).reason, 'queue_full');
});

const rawBeginnings = [
  { name: 'a frame before the hello', message: nodeRandom.bytes(100), reason: 'unexpected_message' },
  {
    name: 'a hello that is too large',
    message: JSON.stringify({ type: 'client_hello', filler: 'x'.repeat(LIMITS.helloBytesMax) }),
    reason: undefined,
  },
  { name: 'a hello that is no JSON', message: 'GET / HTTP/1.1', reason: 'malformed' },
  { name: 'a hello of another kind', message: '{"type":"server_hello"}', reason: undefined },
  { name: 'JSON a thousand deep', message: '['.repeat(1000) + ']'.repeat(1000), reason: undefined },
  { name: 'a hello with a key twice', message: '{"type":"client_hello","type":"client_hello"}', reason: undefined },
];

for (const { name, message, reason } of rawBeginnings) {
  test(`${name} ends the connection`, async () => {
    const socket = openSocket(alpha.running.deviceAddress.port, alpha.domain);
    await new Promise((resolve) => socket.once('open', resolve));
    const ended = new Promise<string>((resolve) => socket.once('close', (_, text) => resolve(String(text))));
    socket.on('error', () => undefined);
    socket.send(message);
    const text = await ended;
    if (reason !== undefined) assert.equal(text, reason);
  });
}
