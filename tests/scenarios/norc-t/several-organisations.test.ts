import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { refusalOf, SessionRefused, TestDevice, type TestServer, TestServers, trustBetween } from '@norc/testkit/live';

let world: TestServers;
let server: TestServer;

before(async () => {
  world = await TestServers.start({ domains: ['alpha.example', 'bravo.example'] });
  server = world.at(0);
});
after(() => world.dispose());

test('two organisations on one server are as far apart as on two', async () => {
  const ann = await TestDevice.enrol(server, 'ann@alpha.example');
  const bob = await TestDevice.enrol(server, 'bob@bravo.example');
  await assert.rejects(ann.claim(bob.user), /not_trusted/);
  const conversation = await ann.create([]);
  assert.equal(
    await bob.session.refused({ type: 'log_request', body: { conversation: conversation.id, after: 0 } }),
    'forbidden',
  );
  const { body } = await conversation.encrypt('mine');
  assert.equal(
    refusalOf(await bob.session.request({ type: 'message_send', body: { conversation: conversation.id, body } })),
    'forbidden',
  );
  assert.deepEqual(await server.node(bob.domain).store.read.conversationIds(), []);
  assert.deepEqual(
    (await server.node(bob.domain).store.read.users()).map((row) => row.user),
    [bob.user],
  );
});

test('a device of one is unknown at the other', async () => {
  const cid = await TestDevice.enrol(server, 'cid@alpha.example', { stock: 0 });
  const stranger = new TestDevice(server, 'cid@bravo.example');
  await assert.rejects(
    stranger.connect(undefined, cid.own),
    (error) => error instanceof SessionRefused && error.code === 'auth_failed',
  );
});

test('they can agree on trust, over a real link, and talk', async () => {
  const [alpha, bravo] = server.domains;
  assert.ok(alpha !== undefined && bravo !== undefined);
  await trustBetween(server.node(alpha), server.node(bravo));
  const ann = await TestDevice.enrol(server, 'dan@alpha.example');
  const bob = await TestDevice.enrol(server, 'eva@bravo.example');
  const conversation = await ann.create([bob.user]);
  await conversation.say('hello neighbor');
  await bob.conversation(conversation.id).read('hello neighbor');
  await bob.conversation(conversation.id).say('hello back');
  await conversation.read('hello back');
  assert.deepEqual(server.faults, []);
});
