import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { refusalOf, TestDevice, type TestServer, TestServers } from '@norc/testkit/live';

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
function address(domain = 'alpha.example'): string {
  people += 1;
  return `p${people}@${domain}`;
}

test('all devices of a user are in a new conversation, and each reads everything', async () => {
  const user = address('bravo.example');
  const ann = await TestDevice.enrol(alpha, address());
  const [phone, laptop] = [await TestDevice.enrol(bravo, user), await TestDevice.enrol(bravo, user)];
  const conversation = await ann.create([user]);
  for (const device of [phone, laptop]) await device.conversation(conversation.id).inEpoch(1);
  await conversation.say('to both');
  await phone.conversation(conversation.id).read('to both');
  await laptop.conversation(conversation.id).say('from one');
  await conversation.read('from one');
  await phone.conversation(conversation.id).read('from one');
});

test('a second device is added by the first, and reads from then on', async () => {
  const user = address();
  const first = await TestDevice.enrol(alpha, user);
  const other = await TestDevice.enrol(bravo, address('bravo.example'));
  const conversation = await first.create([other.user]);
  await conversation.say('before');
  const second = await TestDevice.enrol(alpha, user);
  await conversation.add(user);
  const atSecond = second.conversation(conversation.id);
  await atSecond.inEpoch(2);
  await other.conversation(conversation.id).inEpoch(2);
  await conversation.say('after');
  await atSecond.read('after');
  assert.deepEqual(atSecond.readTexts, ['after']);
  const log = await second.session.ask(
    { type: 'log_request', body: { conversation: conversation.id, after: 0 } },
    'log_entries',
  );
  assert.deepEqual(
    log.entries.map((entry) => entry.seq),
    [3, 4],
  );
});

test('a removed device reads and writes nothing more', async () => {
  const ann = await TestDevice.enrol(alpha, address());
  const cat = await TestDevice.enrol(alpha, address());
  const conversation = await ann.create([cat.user]);
  const atCat = cat.conversation(conversation.id);
  await atCat.inEpoch(1);
  const stale = await atCat.encrypt('too late');
  await conversation.remove(cat.user);
  await cat.waitFor('is out', () => atCat.group?.active === false);
  await conversation.say('without her');
  assert.equal(refusalOf(await atCat.trySubmit(stale.body)), 'forbidden');
  const log = await cat.session.ask(
    { type: 'log_request', body: { conversation: conversation.id, after: 1 } },
    'log_entries',
  );
  assert.deepEqual(
    log.entries.map((entry) => entry.seq),
    [2],
  );
  await cat.reconnect();
  await cat.idle();
  assert.equal(atCat.seq, 2);
  assert.ok(!atCat.readTexts.includes('without her'));
});

test('an organisation whose last device was removed gets nothing more, and its device can send nothing', async () => {
  const ann = await TestDevice.enrol(alpha, address());
  const bob = await TestDevice.enrol(bravo, address('bravo.example'));
  const conversation = await ann.create([bob.user]);
  const atBob = bob.conversation(conversation.id);
  await atBob.inEpoch(1);
  const stale = await atBob.encrypt('too late');
  await conversation.remove(bob.user);
  await conversation.say('without him');
  const reply = await atBob.trySubmit(stale.body);
  if (reply.type === 'message_ack')
    assert.equal(await bob.waitFor('the refusal', () => atBob.refused.get(stale.messageId)), 'forbidden');
  else assert.equal(refusalOf(reply), 'forbidden');
  const head = (await bravo.node().store.read.conversation(conversation.id))?.headSeq ?? 0;
  assert.ok(head <= 2, 'at most the removal itself crossed the border');
  assert.equal((await alpha.node().store.read.conversation(conversation.id))?.headSeq, 3);
});

test('whoever is not a member learns nothing about a conversation', async () => {
  const ann = await TestDevice.enrol(alpha, address());
  const eve = await TestDevice.enrol(alpha, address());
  const conversation = await ann.create([]);
  const unknown = { ...conversation, id: (await eve.draftCreation([])).conversation.id };
  const answers = [];
  for (const { id } of [conversation, unknown]) {
    answers.push(await eve.session.refused({ type: 'log_request', body: { conversation: id, after: 0 } }));
    const { body } = await conversation.encrypt('forged');
    answers.push(refusalOf(await eve.session.request({ type: 'message_send', body: { conversation: id, body } })));
    const commit = await conversation.draftCommit({ update: true });
    answers.push(
      refusalOf(await eve.session.request({ type: 'commit_submit', body: { ...commit, conversation: id } })),
    );
    await conversation.abort();
  }
  assert.deepEqual(
    answers,
    answers.map(() => 'forbidden'),
  );
});

test('of two commits in one epoch exactly one wins, and the loser tries again on the new one', async () => {
  const ann = await TestDevice.enrol(alpha, address());
  const bea = await TestDevice.enrol(alpha, address());
  const bob = await TestDevice.enrol(bravo, address('bravo.example'));
  const conversation = await ann.create([bea.user, bob.user]);
  const [atAnn, atBea] = [conversation, bea.conversation(conversation.id)];
  const atBob = bob.conversation(conversation.id);
  for (const one of [atBea, atBob]) await one.inEpoch(1);
  for (let round = 1; round <= 3; round += 1) {
    const drafts = await Promise.all([atAnn, atBea].map((one) => one.draftCommit({ update: true })));
    const replies = await Promise.all([atAnn, atBea].map((one, at) => one.submitCommit(drafts[at] ?? assert.fail())));
    const codes = replies.map((reply) => (reply.type === 'message_ack' ? reply.body.state : refusalOf(reply)));
    assert.deepEqual([...codes].sort(), ['epoch_conflict', 'sent']);
    for (const one of [atAnn, atBea, atBob]) await one.inEpoch(round + 1);
  }
  await atBob.device.waitFor('the epoch', () => atBob.live.epoch === 4);
  await atBea.say('still one group');
  await atBob.read('still one group');
});

test('a follower loses the race at the hub and is told', async () => {
  const ann = await TestDevice.enrol(alpha, address());
  const bob = await TestDevice.enrol(bravo, address('bravo.example'));
  const atAnn = await ann.create([bob.user]);
  const atBob = bob.conversation(atAnn.id);
  await atBob.inEpoch(1);
  const late = await atBob.draftCommit({ update: true });
  await atAnn.commit({ update: true });
  const reply = await atBob.submitCommit(late);
  if (reply.type === 'message_ack') {
    const code = await bob.waitFor('the refusal', () => atBob.refused.get(late.message_id));
    assert.ok(code === 'epoch_conflict' || code === 'epoch_stale');
  } else assert.equal(refusalOf(reply), 'epoch_conflict');
  await atBob.inEpoch(2);
  await atBob.say('in the new epoch');
  await atAnn.read('in the new epoch');
});
