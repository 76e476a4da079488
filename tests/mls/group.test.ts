import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MlsGroup } from '@norc/mls';
import { type ConversationId, idFromBytes, instant, type MessageId } from '@norc/protocol/base';
import { at, codeOf, must, type Newcomer, newcomer, TestMember, TestWorld, textContent } from './fixtures.ts';

const DAY_MS = 86_400_000;

async function pair(level: 'basic' | 'classified' = 'basic') {
  const world = new TestWorld();
  const ann = await TestMember.create(world, 'ann@alpha.example', level);
  const { joined, pending } = await ann.add(['bob@bravo.example']);
  const [bob] = joined;
  assert.ok(bob);
  return { world, ann, bob, pending };
}

test('a message is readable by every member and names its sender, label and conversation', async () => {
  const { ann, bob } = await pair();
  const message = await ann.say('hello');
  const received = must(await bob.group.receive(message));
  assert.ok(received.kind === 'application');
  assert.deepEqual(received.sender.identity, ann.device.member);
  assert.equal(received.epoch, 1);
  assert.equal(received.authenticatedData.label, 'unclassified');
  assert.equal(received.authenticatedData.messageId, received.content.message_id);
  assert.equal(await ann.read(await bob.say('hi')), 'hi');
});

test('members learn hub and trust floor from the group itself [MLS-11]', async () => {
  const { bob } = await pair('classified');
  assert.deepEqual(bob.group.settings, { hub: 'alpha.example', level: 'classified' });
});

test('a message is accepted once [MLS-26]', async () => {
  const { ann, bob } = await pair();
  const message = await ann.say('once');
  assert.equal(await bob.read(message), 'once');
  assert.equal(codeOf(await bob.group.receive(message)), 'message_rejected');
});

test('messages of one sender may arrive in any order', async () => {
  const { ann, bob } = await pair();
  const texts = ['a', 'b', 'c', 'd'];
  const messages: Uint8Array[] = [];
  for (const text of texts) messages.push(await ann.say(text));
  for (const i of [2, 0, 3, 1]) assert.equal(await bob.read(messages[i] ?? new Uint8Array(0)), texts[i]);
});

test('a sender cannot make receivers ratchet without bound', async () => {
  const world = new TestWorld();
  const ann = await TestMember.create(world, 'ann@alpha.example', 'classified');
  const [bob] = (await ann.add(['bob@bravo.example'])).joined;
  assert.ok(bob);
  let last: Uint8Array = new Uint8Array(0);
  for (let i = 0; i < 40; i += 1) last = await ann.say('skipped');
  assert.equal(codeOf(await bob.group.receive(last)), 'message_rejected'); // 32 is the window
});

test('every changed byte of a message is noticed, and the group stays usable', async () => {
  const { ann, bob } = await pair();
  const message = await ann.say('intact');
  for (let at = 4; at < message.length; at += 7) {
    const changed = message.slice();
    changed[at] = (changed[at] ?? 0) ^ 1;
    assert.notEqual(codeOf(await bob.group.receive(changed)), 'accepted', `byte ${at}`);
  }
  assert.equal(await bob.read(message), 'intact');
});

test('the length of a message shows only its bucket [MLS-24]', async () => {
  const { ann } = await pair();
  const lengths = new Set<number>();
  for (const count of [0, 1, 10, 40]) lengths.add((await ann.say('x'.repeat(count))).length);
  assert.equal(lengths.size, 1);
  const sizes = [];
  for (const count of [1_000, 2_000, 20_000, 49_000]) sizes.push((await ann.say('x'.repeat(count))).length);
  const overhead = sizes.map((size) => size - 2 ** Math.floor(Math.log2(size)));
  assert.ok(
    overhead.every((bytes) => bytes < 200),
    String(sizes),
  );
});

test('a device does not take its own messages or commits back', async () => {
  const { ann, bob } = await pair();
  assert.equal(codeOf(await ann.group.receive(await ann.say('echo'))), 'unexpected_message');
  const pending = must(await ann.group.prepareCommit({}));
  assert.equal(codeOf(await ann.group.receive(pending.commit)), 'unexpected_message');
  await ann.group.confirm(pending);
  await bob.receiveCommit(pending.commit);
  assert.equal(codeOf(await ann.group.receive(pending.commit)), 'epoch_stale');
});

test('nothing changes until a commit is confirmed, and an aborted one leaves no trace [MLS-20]', async () => {
  const { ann, bob } = await pair();
  const before = ann.group.epochAuthenticator.slice();
  const pending = must(await ann.group.prepareCommit({}));
  await assert.rejects(ann.group.prepareCommit({}), RangeError); // the hub may have taken the first
  assert.deepEqual(ann.group.epochAuthenticator, before);
  assert.equal(await bob.read(await ann.say('still epoch 1')), 'still epoch 1');
  assert.equal(await ann.read(await bob.say('and you')), 'and you');
  await ann.group.abort(pending);
  assert.equal(ann.group.pending, undefined);
  await assert.rejects(ann.group.confirm(pending), RangeError);
  assert.equal(await bob.read(await ann.say('still')), 'still');
});

test('the loser of a race processes the winner [MLS-21]', async () => {
  const { ann, bob } = await pair();
  const lost = must(await bob.group.prepareCommit({}));
  const won = must(await ann.group.prepareCommit({}));
  await ann.group.confirm(won);
  await bob.receiveCommit(won.commit);
  await bob.group.abort(lost); // already erased by the winner: no harm
  assert.deepEqual(bob.group.epochAuthenticator, ann.group.epochAuthenticator);
  assert.equal(codeOf(await ann.group.receive(lost.commit)), 'epoch_stale');
  assert.equal(await ann.read(await bob.say('agreed')), 'agreed');
});

test('a message received while a commit waits cannot be replayed after it', async () => {
  const { ann, bob } = await pair();
  const message = await ann.say('between');
  const late = await ann.say('late');
  const pending = must(await bob.group.prepareCommit({}));
  assert.equal(await bob.read(message), 'between');
  await bob.group.confirm(pending);
  assert.equal(codeOf(await bob.group.receive(message)), 'message_rejected');
  assert.equal(await bob.read(late), 'late');
});

test('commit and message as one bundle: sealed for the epoch that the commit begins', async () => {
  const { world, ann, bob } = await pair('classified');
  const pending = must(await ann.group.prepareCommit({}));
  const content = textContent(world, 'fresh keys');
  const message = must(await ann.group.encrypt(content, ann.data(content.message_id), pending));
  assert.equal(codeOf(await bob.group.receive(message)), 'log_gap');
  await ann.group.confirm(pending);
  await bob.receiveCommit(pending.commit);
  assert.equal(await bob.read(message), 'fresh keys');
  await assert.rejects(ann.group.encrypt(content, ann.data(content.message_id), pending), RangeError);
});

test('a removed member is told, keeps nothing, and can do nothing', async () => {
  const { ann, bob } = await pair();
  const pending = await ann.commit({ remove: [1] });
  const received = await bob.receiveCommit(pending.commit);
  assert.equal(received.selfRemoved, true);
  assert.deepEqual(
    received.removed.map((member) => member.identity),
    [bob.device.member],
  );
  assert.equal(bob.group.active, false);
  const content = textContent(bob.world, 'let me in');
  assert.equal(codeOf(await bob.group.encrypt(content, bob.data(content.message_id))), 'unexpected_message');
  assert.equal(codeOf(await bob.group.prepareCommit({})), 'unexpected_message');
  assert.equal(codeOf(await bob.group.proposeRemove(0)), 'unexpected_message');
  await assert.rejects(bob.group.exportSecret('norc:test', new Uint8Array(0), 32), RangeError);
  const restored = bob.engine.restore(bob.group.serialize(), bob.device.identity);
  assert.equal(restored.active, false);
});

test('a proposal waits for the next commit, and no message passes before [MLS-18]', async () => {
  const { world, ann, bob } = await pair();
  const { joined, pending } = await ann.add(['cid@bravo.example']);
  const [cid] = joined;
  assert.ok(cid);
  await bob.receiveCommit(pending.commit);
  const leave = must(await bob.group.proposeRemove(bob.group.ownLeafIndex));
  for (const member of [ann, bob, cid]) {
    const received = must(await member.group.receive(leave));
    assert.ok(received.kind === 'proposal' && received.proposal.type === 'remove');
    assert.deepEqual(received.proposal.member.identity, bob.device.member);
    assert.equal(codeOf(await member.group.receive(leave)), 'commit_invalid'); // a second time
  }
  const content = textContent(world, 'wait');
  assert.equal(codeOf(await ann.group.encrypt(content, ann.data(content.message_id))), 'rekey_required');
  assert.equal(codeOf(await bob.group.prepareCommit({})), 'forbidden'); // it cannot remove itself
  const commit = await ann.commit();
  assert.deepEqual(
    commit.removed.map(({ leafIndex }) => leafIndex),
    [1],
  );
  await cid.receiveCommit(commit.commit);
  assert.equal((await bob.receiveCommit(commit.commit)).selfRemoved, true);
  assert.equal(await cid.read(await ann.say('go on')), 'go on');
});

test('a device renews its certificate with a commit; another identity is refused [MLS-16]', async () => {
  const { world, ann, bob } = await pair();
  const renewed = world.certify(ann.device.member, ann.device.identity.publicKey, 'renewed');
  await bob.receiveCommit((await ann.commit({ certificates: [renewed] })).commit);
  assert.deepEqual(bob.group.members, ann.group.members);

  const stolen = world.certify(
    { ...bob.device.member, user: ann.device.member.user },
    ann.device.identity.publicKey,
    'x',
  );
  const pending = await ann.draft({ certificates: [stolen] });
  assert.equal(codeOf(await bob.group.receive(pending.commit)), 'credential_invalid');
  const unknown = await ann.draft({ certificates: [new Uint8Array([1, 2, 3])] });
  assert.equal(codeOf(await bob.group.receive(unknown.commit)), 'credential_invalid');
});

test('exported secrets agree, differ by label, context and epoch, and have NORC labels [MLS-5]', async () => {
  const { ann, bob } = await pair();
  const context = new Uint8Array([1]);
  const ask = (group: MlsGroup, label = 'norc:call', about = context) => group.exportSecret(label, about, 32);
  const secret = await ask(ann.group);
  assert.deepEqual(await ask(bob.group), secret);
  assert.notDeepEqual(await ask(bob.group, 'norc:file'), secret);
  assert.notDeepEqual(await ask(bob.group, 'norc:call', new Uint8Array([2])), secret);
  await assert.rejects(ask(ann.group, 'call'), RangeError);
  await bob.receiveCommit((await ann.commit()).commit);
  assert.notDeepEqual(await ask(bob.group), secret);
});

test('calls that are made at once run one after the other', async () => {
  const { ann, bob } = await pair();
  const messages = await Promise.all(Array.from({ length: 20 }, (_, i) => ann.say(`${i}`)));
  const texts = await Promise.all(messages.map((message) => bob.read(message)));
  assert.deepEqual(
    texts,
    Array.from({ length: 20 }, (_, i) => `${i}`),
  );
  assert.equal(bob.group.messagesInEpoch, 20);
});

test('envelope and content must belong together', async () => {
  const { world, ann } = await pair();
  const content = textContent(world, 'x');
  const other = idFromBytes<MessageId>(world.random(16));
  await assert.rejects(ann.group.encrypt(content, ann.data(other)), RangeError);
  const elsewhere = { ...ann.data(content.message_id), conversation: idFromBytes<ConversationId>(world.random(16)) };
  await assert.rejects(ann.group.encrypt(content, elsewhere), RangeError);
});

test('a message for another conversation, or for a later epoch, is refused by name', async () => {
  const { ann, bob, world } = await pair();
  const stranger = await TestMember.create(world, 'eve@alpha.example');
  assert.equal(codeOf(await bob.group.receive(await stranger.say('lost'))), 'malformed');
  await ann.commit();
  assert.equal(codeOf(await bob.group.receive(await ann.say('ahead'))), 'log_gap');
  assert.equal(codeOf(await bob.group.receive((await ann.commit()).commit)), 'log_gap');
});

test('one group per device: adding a member again is refused [MLS-12]', async () => {
  const { world, ann, bob } = await pair();
  const again = await newcomer(world, 'bob@bravo.example', bob.device);
  assert.equal(codeOf(await ann.group.prepareCommit({ add: [again.own.keyPackage] })), 'commit_invalid');
  const twin = { ...bob.device, member: { ...bob.device.member } };
  const otherKey = world.device('bob@bravo.example');
  world.certificates.clear();
  const certificate = world.certify(twin.member, otherKey.identity.publicKey);
  const device = { member: twin.member, identity: { ...otherKey.identity, certificates: [certificate] } };
  const second = await newcomer(world, 'bob@bravo.example', device);
  assert.equal(codeOf(await ann.group.prepareCommit({ add: [second.own.keyPackage] })), 'commit_invalid');
  const move = await ann.draft({ add: [second.own.keyPackage], remove: [1] });
  assert.deepEqual(
    move.added.map(({ leafIndex }) => leafIndex),
    [1],
  ); // out and in at once is allowed
});

test('a join verifies every member: one that is revoked stops it [MLS-13]', async () => {
  const { world, ann, bob } = await pair();
  const cid = await newcomer(world, 'cid@bravo.example');
  const pending = await ann.commit({ add: [cid.own.keyPackage] });
  await bob.receiveCommit(pending.commit);
  world.revoked.add(bob.device.member.deviceId);
  assert.equal(codeOf(await cid.join(pending.welcome)), 'credential_invalid');
  world.revoked.clear();
  world.verifications = 0;
  must(await cid.join(pending.welcome));
  assert.equal(world.verifications, 3);
});

test('a Welcome is for its KeyPackage only, and any change is noticed', async () => {
  const { world, ann } = await pair();
  const cid = await newcomer(world, 'cid@bravo.example');
  const dan = await newcomer(world, 'dan@bravo.example');
  const pending = await ann.draft({ add: [cid.own.keyPackage] });
  const welcome = pending.welcome ?? new Uint8Array(0);
  assert.equal(codeOf(await dan.join(welcome)), 'malformed');
  assert.deepEqual(must(world.engine().welcomeRefs(welcome)), [cid.own.ref]);
  for (let at = 0; at < welcome.length; at += 61) {
    const changed = welcome.slice();
    changed[at] = (changed[at] ?? 0) ^ 4;
    assert.notEqual(codeOf(await cid.join(changed)), 'accepted', `byte ${at}`);
  }
  const longer = new Uint8Array(welcome.length + 1);
  longer.set(welcome);
  assert.equal(codeOf(await cid.join(longer)), 'trailing_bytes');
  must(await cid.join(welcome));
});

test('a device that was away for a month processes what it missed [MLS-14]', async () => {
  const { world, ann, bob } = await pair();
  const { joined, pending } = await ann.add(['cid@bravo.example']);
  assert.ok(joined[0]);
  world.now = instant(world.now + 45 * DAY_MS); // the KeyPackage that was added is over by now
  await bob.receiveCommit(pending.commit);
  const strict = await TestMember.create(world, 'dan@alpha.example', 'basic', { catchUpMs: 0 });
  assert.ok(strict.group.active);
});

test('retryable refusals by the verifier stay what they are', async () => {
  const { ann, bob, world } = await pair();
  const cid = await newcomer(world, 'cid@bravo.example');
  const pending = await ann.draft({ add: [cid.own.keyPackage] });
  const stale = world.engine({
    verifyCredential: async () => ({ ok: false, error: { code: 'trust_stale', detail: '' } }),
  });
  const waiting = stale.restore(bob.group.serialize(), bob.device.identity);
  assert.equal(codeOf(await waiting.receive(pending.commit)), 'trust_stale');
  await bob.receiveCommit(pending.commit); // later it passes: nothing was lost
});

test('a conversation of 200 devices: one commit adds all, one joins, all go on', async () => {
  const world = new TestWorld();
  const { member: ann, groupInfo } = await TestMember.createWithInfo(world);
  const newcomers: Newcomer[] = [];
  for (let i = 1; i < 200; i += 1) newcomers.push(await newcomer(world, `user${i}@bravo.example`));
  const pending = await ann.commit({ add: newcomers.map(({ own }) => own.keyPackage) });
  const last = must(await at(newcomers, 198).join(pending.welcome));
  assert.equal(last.group.members.length, 200);
  assert.equal(await last.read(await ann.say('many')), 'many');
  const view = must(await must(await world.views().fromGroupInfo(groupInfo)).apply(pending.commit)).view;
  const { commit } = await last.commit({ remove: [7, 100] });
  await ann.receiveCommit(commit);
  assert.deepEqual(must(await view.apply(commit)).view.treeHash, ann.group.treeHash);
  assert.equal(await ann.read(await last.say('fewer')), 'fewer');
});
