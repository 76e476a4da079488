import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeClock, nodeCrypto } from '@norc/crypto/node';
import type { ConversationId } from '@norc/protocol/base';
import { parseDocument, verifyServerCertificate } from '@norc/protocol/crypto';
import { conversationPseudonym, REVOCATION_RECEIPT, verifyReceipt } from '@norc/protocol/norc-f';
import { mustBe } from '@norc/testkit';
import {
  refusalOf,
  type TestConversation,
  TestDevice,
  type TestServer,
  TestServers,
  trustBetween,
  until,
} from '@norc/testkit/live';

interface Scene {
  readonly alpha: TestServer;
  readonly bravo: TestServer;
  /** Both at alpha, the hub. */
  readonly ann: TestDevice;
  readonly amy: TestDevice;
  readonly bob: TestDevice;
  readonly atAnn: TestConversation;
  readonly atAmy: TestConversation;
  readonly atBob: TestConversation;
}

async function scene(run: (scene: Scene) => Promise<void>): Promise<void> {
  await using world = await TestServers.start('alpha.example', 'bravo.example');
  const [alpha, bravo] = [world.at(0), world.at(1)];
  await world.trust(alpha, bravo);
  const ann = await TestDevice.enrol(alpha, 'ann@alpha.example');
  const amy = await TestDevice.enrol(alpha, 'amy@alpha.example');
  const bob = await TestDevice.enrol(bravo, 'bob@bravo.example');
  const atAnn = await ann.create([amy.user, bob.user]);
  const [atAmy, atBob] = [amy.conversation(atAnn.id), bob.conversation(atAnn.id)];
  for (const one of [atAmy, atBob]) await one.inEpoch(1);
  await atAnn.say('before');
  for (const one of [atAmy, atBob]) await one.read('before');
  await run({ alpha, bravo, ann, amy, bob, atAnn, atAmy, atBob });
}

async function revoke(by: TestServer, other: TestServer): Promise<number> {
  return mustBe(await by.node().trust.revoke(other.domain, 'officer:test', 'test')).sequence;
}

function stored(server: TestServer, id: ConversationId) {
  return server.node().store.read.conversation(id);
}

/** The receipt that a server holds of a conversation, its signature checked with the key that its root certifies. */
async function receipt(server: TestServer, id: ConversationId, outcome: 'removed' | 'closed' | 'pending') {
  const { identity, store } = server.node();
  const pinned = { org: server.domain, rootKey: server.rootKey() };
  const now = nodeClock.now();
  const key = mustBe(
    verifyServerCertificate(nodeCrypto, identity.certificate.document.bytes, { pinned, usage: 'server', now }),
  );
  const pseudonym = conversationPseudonym(nodeCrypto, id);
  return await until(`a receipt at ${server.domain}: ${outcome}`, async () => {
    for (const { document } of await store.read.trustRecords('receipt')) {
      const { body } = mustBe(parseDocument(REVOCATION_RECEIPT, document));
      if (body.outcome !== outcome || !nodeCrypto.equal(body.conversation, pseudonym)) continue;
      return mustBe(verifyReceipt(nodeCrypto, document, [key])).document.body;
    }
    return undefined;
  });
}

/** Alpha's people go on without bravo's, who cannot read what they say. */
async function goesOn({ alpha, bravo, atAnn, atAmy, atBob }: Scene): Promise<void> {
  const bravoHead = (await stored(bravo, atAnn.id))?.headSeq;
  assert.equal((await stored(alpha, atAnn.id))?.frozen, false);
  assert.deepEqual([...new Set(atAnn.live.members.map(({ identity }) => identity.org))], ['alpha.example']);
  await atAnn.say('among ourselves');
  await atAmy.read('among ourselves');
  const [last] = await alpha.node().store.read.entries(atAnn.id, atAnn.seq - 1, 1, 1 << 20);
  assert.ok(last !== undefined);
  assert.ok(!(await atBob.live.receive(last.body)).ok, 'its keys are gone for whoever was put out');
  assert.equal((await stored(bravo, atAnn.id))?.headSeq, bravoHead, 'and nothing of it reaches their server');
}

for (const who of ['hub', 'follower'] as const) {
  test(`the ${who} revokes: frozen at once, the others out by a commit, a receipt on each side [F-17] [F-37]`, async () => {
    await scene(async (it) => {
      const { alpha, bravo, bob, atAnn, atBob } = it;
      const [early, foreign] = [await atAnn.encrypt('too late'), await atBob.encrypt('too late as well')];
      const [by, other] = who === 'hub' ? [alpha, bravo] : [bravo, alpha];
      const sequence = await revoke(by, other);
      await until('frozen', async () => (await stored(alpha, atAnn.id))?.frozen);
      assert.equal(refusalOf(await atAnn.trySubmit(early.body)), 'conversation_frozen');
      assert.notEqual(refusalOf(await atBob.trySubmit(foreign.body)), undefined);
      await atAnn.commitProposals();
      await goesOn(it);
      const removed = await receipt(alpha, atAnn.id, 'removed');
      assert.deepEqual(
        [removed.issuer, removed.subject, removed.sequence, removed.expelled, removed.removed],
        [by.domain, other.domain, sequence, bravo.domain, 1],
      );
      assert.deepEqual([removed.epoch_before, removed.epoch_after, removed.cause], [1, 2, 'trust_revoked']);
      const closed = await receipt(bravo, atAnn.id, 'closed');
      assert.deepEqual([closed.hub, closed.signed_by, closed.removed], [alpha.domain, bravo.domain, 0]);
      await bob.waitFor('is told', () => bob.closed.length > 0);
      assert.deepEqual(bob.closed[0], { conversation: atAnn.id, org: alpha.domain, cause: 'trust_revoked' });
      const [progress] = alpha.node().delivery.expulsions({ issuer: by.domain, subject: other.domain, sequence });
      assert.deepEqual([progress?.conversations, progress?.removed, progress?.pending], [1, 1, []]);
      assert.ok(progress?.completedAt !== undefined);
    });
  });
}

test('two who commit at once: one wins, and the other finds it done', async () => {
  await scene(async (it) => {
    const { alpha, bravo, atAnn, atAmy } = it;
    await revoke(alpha, bravo);
    for (const one of [atAnn, atAmy]) await one.device.waitFor('a proposal', () => one.live.hasProposals);
    const drafts = await Promise.all([atAnn, atAmy].map((one) => one.draftCommit({})));
    const answers = await Promise.all(
      [atAnn, atAmy].map((one, i) => one.submitCommit(drafts[i] as (typeof drafts)[0])),
    );
    const refused = answers.filter(({ type }) => type !== 'message_ack').map(refusalOf);
    assert.deepEqual(refused, ['epoch_conflict']);
    for (const one of [atAnn, atAmy]) await one.inEpoch(2);
    await goesOn(it);
  });
});

test('a commit that leaves out whom the hub proposed is refused, also of a member that stays [F-14]', async () => {
  await scene(async ({ alpha, bravo, ann, atAnn }) => {
    const draft = await atAnn.draftCommit({ update: true });
    await revoke(alpha, bravo);
    await ann.waitFor('a proposal', () => atAnn.live.hasProposals);
    assert.equal(refusalOf(await atAnn.submitCommit(draft)), 'commit_invalid');
    await atAnn.commitProposals();
    assert.equal((await stored(alpha, atAnn.id))?.epoch, 2);
  });
});

test('whoever was away when it happened carries it out when they come back', async () => {
  await scene(async (it) => {
    const { alpha, bravo, ann, amy, atAmy, atAnn } = it;
    for (const device of [ann, amy]) await device.disconnect();
    await revoke(alpha, bravo);
    await receipt(alpha, atAnn.id, 'pending');
    await amy.connect();
    await atAmy.commitProposals();
    await ann.connect();
    await atAnn.inEpoch(2);
    await goesOn(it);
  });
});

test("an expelled organisation's server goes on sending: nothing of it is ordered", async () => {
  await scene(async (it) => {
    const { alpha, bravo, atAnn, atBob, bob } = it;
    const message = await atBob.encrypt('once more');
    const commit = await atBob.draftCommit({ update: true });
    const item = (kind: 'application' | 'commit', messageId: typeof message.messageId, body: Uint8Array) => ({
      ...{ conversation: atBob.id, message_id: messageId, kind, body, route: [bravo.domain] },
      ...{ sender: bob.deviceId, sender_user: bob.user },
    });
    await revoke(alpha, bravo);
    const send = async () => {
      const { delivery } = alpha.node();
      const answers = [
        await delivery.submitFrom(bravo.domain, item('application', message.messageId, message.body)),
        await delivery.submitFrom(bravo.domain, item('commit', commit.message_id, commit.commit)),
      ];
      for (const { status } of answers) assert.equal(status, 'refused');
    };
    await send();
    await atAnn.commitProposals();
    await send();
    await goesOn(it);
  });
});

test('who is left has nobody to put them out: the conversation is closed for good', async () => {
  await scene(async ({ alpha, bravo, bob, atAnn, atBob, ann, amy }) => {
    await atBob.remove(ann.user, amy.user);
    await until('both are out', async () => (await stored(alpha, atAnn.id))?.epoch === 2);
    await revoke(alpha, bravo);
    const closed = await receipt(alpha, atAnn.id, 'closed');
    assert.deepEqual([closed.expelled, closed.removed], [bravo.domain, 0]);
    await bob.waitFor('is told', () => bob.closed.length > 0);
    assert.equal((await stored(alpha, atAnn.id))?.frozen, true);
  });
});

test('trust comes back: who was put out learns of it, and is in again only when somebody adds them', async () => {
  await scene(async (it) => {
    const { alpha, bravo, bob, atAnn, atBob } = it;
    await revoke(alpha, bravo);
    await atAnn.commitProposals();
    await atAnn.say('without you');
    await until('both sides know', () => bravo.node().trust.level(alpha.domain) === 'untrusted');
    await trustBetween(bravo.node(), alpha.node());
    await bob.waitFor('learns that it is out', () => !atBob.live.active);
    await atAnn.say('still without you');
    assert.equal(atAnn.live.members.length, 2);
    atBob.leave();
    await until(
      'can be added',
      async () =>
        await atAnn.add(bob.user).then(
          () => true,
          () => false,
        ),
    );
    await atBob.inEpoch(3);
    await atAnn.say('welcome back');
    await atBob.read('welcome back');
    assert.deepEqual(
      atBob.readTexts.filter((text) => text.includes('without you')),
      [],
    );
  });
});

test("a third organisation's hub puts the subject of a statement out, and the others go on [F-37]", async () => {
  await using world = await TestServers.start('alpha.example', 'bravo.example', 'cobra.example');
  const [alpha, bravo, cobra] = [world.at(0), world.at(1), world.at(2)];
  for (const [from, to] of [
    [alpha, bravo],
    [alpha, cobra],
    [bravo, cobra],
  ] as const)
    await world.trust(from, to);
  const ann = await TestDevice.enrol(alpha, 'ann@alpha.example');
  const bob = await TestDevice.enrol(bravo, 'bob@bravo.example');
  const cid = await TestDevice.enrol(cobra, 'cid@cobra.example');
  const atAnn = await ann.create([bob.user, cid.user]);
  const [atBob, atCid] = [bob.conversation(atAnn.id), cid.conversation(atAnn.id)];
  for (const one of [atBob, atCid]) await one.inEpoch(1);
  const sequence = await revoke(bravo, cobra);
  const end = { issuer: bravo.domain, subject: cobra.domain, sequence, cause: 'trust_revoked' } as const;
  await Promise.all([alpha.node().delivery.expel(end), alpha.node().delivery.expel(end)]);
  await bob.waitFor('a proposal', () => atBob.live.hasProposals);
  const [waiting] = atBob.live.proposedRemovals;
  assert.deepEqual([waiting?.member.identity.user, waiting?.cause], [cid.user, 'trust_revoked']);
  await atBob.commit({});
  await atAnn.inEpoch(2);
  await cid.waitFor('is out', () => !atCid.live.active);
  await atBob.say('two of us');
  await atAnn.read('two of us');
  const done = await receipt(alpha, atAnn.id, 'removed');
  assert.deepEqual([done.issuer, done.expelled, done.removed], [bravo.domain, cobra.domain, 1]);
  const follower = await receipt(bravo, atAnn.id, 'removed');
  assert.deepEqual([follower.hub, follower.signed_by, follower.removed], [alpha.domain, bravo.domain, 1]);
  assert.deepEqual(alpha.node().delivery.expulsions(end).length, 1, 'said twice, done once');
});

for (const [step, concerns] of [
  ['freezing', 'conversation.freeze'],
  ['proposing', 'log.append'],
] as const) {
  test(`the hub dies while ${step}: the next start goes on [F-37]`, async () => {
    await scene(async (it) => {
      const { alpha, bravo, ann, amy, atAnn } = it;
      const { disk } = alpha;
      disk.fail('io', (writes) => writes.some(({ op }) => op === concerns));
      await revoke(alpha, bravo);
      await until('the disk has refused it', () => disk.refused > 0);
      for (const device of [ann, amy]) await device.disconnect();
      disk.repair();
      await alpha.restart();
      for (const device of [ann, amy]) await device.connect();
      await atAnn.commitProposals();
      await receipt(alpha, atAnn.id, 'removed');
      await goesOn(it);
    });
  });
}

test('the receipt is as durable as the commit that it is about', async () => {
  await scene(async (it) => {
    const { alpha, bravo, atAnn, ann } = it;
    const { disk } = alpha;
    await revoke(alpha, bravo);
    await ann.waitFor('a proposal', () => atAnn.live.hasProposals);
    const draft = await atAnn.draftCommit({});
    disk.fail('io', (writes) => writes.some(({ op }) => op === 'trust.record.put'));
    assert.equal(refusalOf(await atAnn.submitCommit(draft)), 'internal');
    assert.equal((await stored(alpha, atAnn.id))?.epoch, 1);
    await receipt(alpha, atAnn.id, 'pending');
    disk.repair();
    assert.equal((await atAnn.submitCommit(draft)).type, 'message_ack');
    await atAnn.inEpoch(2);
    await goesOn(it);
  });
});

test('a revoked device is put out of every conversation of its hub [MLS-18]', async () => {
  await scene(async ({ alpha, bravo, atAnn, amy, ann, atBob }) => {
    const early = await atAnn.encrypt('sealed for the thief as well');
    mustBe(await alpha.node().directory.revokeDevice(amy.deviceId, 'officer:test'));
    await ann.waitFor('a proposal', () => atAnn.live.hasProposals);
    assert.equal(atAnn.live.proposedRemovals[0]?.cause, 'device_revoked');
    assert.equal(refusalOf(await atAnn.trySubmit(early.body)), 'conversation_frozen');
    await atAnn.commitProposals();
    await atBob.inEpoch(2);
    await atBob.say('without the stolen one');
    await atAnn.read('without the stolen one');
    assert.deepEqual(atAnn.live.members.map(({ identity }) => identity.user).sort(), [
      'ann@alpha.example',
      'bob@bravo.example',
    ]);
    assert.equal((await stored(bravo, atAnn.id))?.frozen, false);
  });
});

test('a revoked device has no say while the disk keeps its removal from the log, and is put out after that [MLS-18]', async () => {
  await scene(async ({ alpha, amy, ann, atAnn }) => {
    const { disk } = alpha;
    disk.fail('io', (writes) => writes.some(({ op }) => op === 'log.append'));
    mustBe(await alpha.node().directory.revokeDevice(amy.deviceId, 'officer:test'));
    await until('frozen', async () => (await stored(alpha, atAnn.id))?.frozen);
    const late = await atAnn.encrypt('in the presence of the thief');
    assert.equal(refusalOf(await atAnn.trySubmit(late.body)), 'conversation_frozen');
    disk.repair();
    await ann.waitFor('a proposal', () => atAnn.live.hasProposals);
    await atAnn.commitProposals();
    assert.equal((await stored(alpha, atAnn.id))?.frozen, false);
  });
});

test("a conversation that does not name its hub's key cannot begin [F-19]", async () => {
  await using world = await TestServers.start('alpha.example');
  const ann = await TestDevice.enrol(world.at(0), 'ann@alpha.example', { namesHub: false });
  await assert.rejects(ann.create([]), /commit_invalid/);
});
