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
const address = (domain = 'alpha.example') => `p${(people += 1)}@${domain}`;

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
  const log = await second.session.ask({ type: 'log_request', body: { conversation: conversation.id, after: 0 } }, 'log_entries');
  assert.deepEqual(log.entries.map((entry) => entry.seq), [3, 4]);
});

test('a removed device reads and writes nothing more, on both sides of the border', async () => {
  const ann = await TestDevice.enrol(alpha, address());
  const cat = await TestDevice.enrol(alpha, address());
  const bob = await TestDevice.enrol(bravo, address('bravo.example'));
  const conversation = await ann.create([cat.user, bob.user]);
  const gone = [cat.conversation(conversation.id), bob.conversation(conversation.id)];
  for (const one of gone) await one.inEpoch(1);
  const stale = await Promise.all(gone.map((one) => one.encrypt('too late')));
  await conversation.remove(cat.user, bob.user);
  for (const one of gone) await one.device.waitFor('is out', () => one.group?.active === false);
  const secret = await conversation.say('without them');
  for (const [index, one] of gone.entries()) {
    const answer = await one.trySubmit(stale[index]?.body ?? new Uint8Array());
    assert.equal(refusalOf(answer), 'forbidden');
    const log = await one.device.session.ask({ type: 'log_request', body: { conversation: conversation.id, after: 1 } }, 'log_entries');
    assert.deepEqual(log.entries.map((entry) => entry.seq), [2]);
    await one.device.reconnect();
    await one.device.idle();
    assert.equal(one.seq, 2);
    assert.ok((secret.seq ?? 0) > 2 && !one.readTexts.includes('without them'));
  }
  assert.equal((await bravo.node().store.read.conversation(conversation.id))?.headSeq, 2, 'nothing more crossed the border');
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
    answers.push(refusalOf(await eve.session.request({ type: 'commit_submit', body: { ...commit, conversation: id } })));
    await conversation.abort();
  }
  assert.deepEqual(answers, answers.map(() => 'forbidden'));
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

test('an organisation that was removed and added again has the conversation again', async () => {
  const ann = await TestDevice.enrol(alpha, address());
  const bob = await TestDevice.enrol(bravo, address('bravo.example'));
  const atAnn = await ann.create([bob.user]);
  await bob.conversation(atAnn.id).inEpoch(1);
  await atAnn.remove(bob.user);
  await bob.waitFor('is out', () => bob.conversation(atAnn.id).group?.active === false);
  for (const text of ['unseen 1', 'unseen 2']) await atAnn.say(text);
  bob.conversation(atAnn.id).leave();
  await atAnn.add(bob.user);
  await bob.conversation(atAnn.id).inEpoch(3);
  await atAnn.say('welcome back');
  await bob.conversation(atAnn.id).read('welcome back');
  assert.ok(!bob.conversation(atAnn.id).readTexts.includes('unseen 1'));
});
