import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { TestDevice, type TestServer, TestServers, until } from '@norc/testkit/live';

let world: TestServers;
let alpha: TestServer;
let bravo: TestServer;

before(async () => {
  world = await TestServers.start('alpha.example', 'bravo.example');
  [alpha, bravo] = [world.at(0), world.at(1)];
  await world.trust(alpha, bravo);
});
after(() => world.dispose());

let people = 0;
async function pair() {
  people += 1;
  const ann = await TestDevice.enrol(alpha, `ann${people}@alpha.example`);
  const bob = await TestDevice.enrol(bravo, `bob${people}@bravo.example`);
  const atAnn = await ann.create([bob.user]);
  const atBob = bob.conversation(atAnn.id);
  await atBob.inEpoch(1);
  return { ann, bob, atAnn, atBob };
}

const numbered = (name: string, count: number) => Array.from({ length: count }, (_, i) => `${name} ${i + 1}`);

/** Each text is there once, and both logs say the same. */
function assertSame(texts: readonly string[], ...sides: readonly { readonly readTexts: readonly string[] }[]): void {
  for (const side of sides) assert.deepEqual([...side.readTexts].sort(), [...texts].sort());
  assert.deepEqual(sides[0]?.readTexts, sides[1]?.readTexts);
}

test('the same message sent twice is in the log once, and is answered with the same place', async () => {
  const { ann, bob, atAnn, atBob } = await pair();
  const { body } = await atAnn.encrypt('once');
  const [first, second] = [await atAnn.submit(body), await atAnn.submit(body)];
  await ann.reconnect();
  const third = await atAnn.submit(body);
  assert.deepEqual([second.seq, third.seq, second.state], [first.seq, first.seq, 'sent']);
  const mine = await atBob.encrypt('once too');
  await atBob.submit(mine.body);
  await atBob.submit(mine.body);
  await atAnn.read('once too');
  await bob.reconnect();
  const late = await atBob.submit(mine.body);
  assert.equal(late.seq ?? 3, 3);
  await atAnn.say('end');
  await atBob.read('end');
  assertSame(['once', 'once too', 'end'], atAnn, atBob);
});

test('the same message sent many times at once is in the log once', async () => {
  const { atAnn, atBob } = await pair();
  const { body } = await atAnn.encrypt('one of ten');
  const acks = await Promise.all(Array.from({ length: 10 }, () => atAnn.submit(body)));
  assert.equal(new Set(acks.map((ack) => ack.seq)).size, 1);
  await atAnn.say('end');
  await atBob.read('end');
  assertSame(['one of ten', 'end'], atAnn, atBob);
});

test("another device's message id is no way to put words into the log", async () => {
  const { atAnn, atBob } = await pair();
  const { messageId } = await atAnn.encrypt('mine');
  await atAnn.say('first');
  await atBob.read('first');
  const content = { ...atBob.device.textContent('forged'), message_id: messageId };
  const forged = await atBob.live.encrypt(content, { label: 'unclassified', conversation: atBob.id, messageId });
  assert.ok(forged.ok);
  await atBob.trySubmit(forged.value);
  await atAnn.say('end');
  await atBob.read('end');
});

test('a device that was away gets everything after its cursor, once', async () => {
  const { bob, atAnn, atBob } = await pair();
  await bob.disconnect();
  const texts = numbered('while away', 150);
  await Promise.all(texts.map((text) => atAnn.say(text)));
  await bob.connect();
  await atBob.read('while away 150');
  await atBob.reached(151);
  assert.ok(atBob.repeats <= 1, 'at most what it had acknowledged just before it left');
  assertSame(texts, atAnn, atBob);
});

test('a device that never acknowledges gets the same again, and nothing twice in one session', async () => {
  const { bob, atAnn, atBob } = await pair();
  bob.acknowledges = false;
  await atAnn.say('one');
  await atBob.read('one');
  await bob.reconnect();
  await bob.waitFor('the repeat', () => atBob.repeats > 0);
  bob.acknowledges = true;
  await atAnn.say('two');
  await atBob.read('two');
  assertSame(['one', 'two'], atAnn, atBob);
});

for (const which of ['follower', 'hub'] as const) {
  test(`the ${which} is restarted in the middle: nothing is lost or doubled`, async () => {
    const { ann, bob, atAnn, atBob } = await pair();
    const [server, there] = which === 'hub' ? [alpha, ann] : [bravo, bob];
    const before = [...numbered('a before', 5), ...numbered('b before', 5)];
    await Promise.all(before.map((text) => (text.startsWith('a') ? atAnn : atBob).say(text)));
    await there.disconnect();
    const other = which === 'hub' ? atBob : atAnn;
    const restarted = server.restart();
    const during = numbered('during', 5);
    await Promise.all(during.map((text) => other.say(text)));
    await restarted;
    await there.connect();
    const end = numbered('end', 3);
    for (const text of end) await there.conversation(atAnn.id).say(text);
    for (const text of [...before, ...during, ...end]) {
      await atAnn.read(text);
      await atBob.read(text);
    }
    await atAnn.reached(atBob.seq);
    assertSame([...before, ...during, ...end], atAnn, atBob);
    for (const one of world.all) assert.deepEqual(one.faults, []);
  });
}

test('while the hub is away messages queue, and flow when it is back', async () => {
  const { ann, bob, atAnn, atBob } = await pair();
  await ann.disconnect();
  await alpha.stop();
  const texts = numbered('queued', 6);
  for (const text of texts) assert.equal((await atBob.say(text)).state, 'queued');
  assert.equal((await bravo.node().store.read.outbox(alpha.domain, 100)).length, 6);
  await bob.reconnect();
  await alpha.start();
  await ann.connect();
  for (const text of texts) await atAnn.read(text);
  for (const text of texts) await atBob.read(text);
  assert.deepEqual(atAnn.readTexts, texts, 'in the order in which they were sent');
  assertSame(texts, atAnn, atBob);
  await until(
    'the outbox is empty',
    async () => (await bravo.node().store.read.outbox(alpha.domain, 100)).length === 0,
  );
});

test('conversations within an organisation do not notice that the other one is away', async () => {
  const { ann, bob } = await pair();
  const cat = await TestDevice.enrol(bravo, `cat${people}@bravo.example`);
  const atBob = await bob.create([cat.user]);
  await ann.disconnect();
  await alpha.stop();
  await atBob.say('here');
  await cat.conversation(atBob.id).read('here');
  await alpha.start();
});
