import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConversationId } from '@norc/protocol/base';
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

/** A conversation of three organisations, ordered by alpha: what it does when trust between the other two ends. */
interface Trio {
  readonly alpha: TestServer;
  readonly bravo: TestServer;
  readonly cobra: TestServer;
  readonly ann: TestDevice;
  readonly bob: TestDevice;
  readonly bea: TestDevice;
  readonly cid: TestDevice;
  readonly atAnn: TestConversation;
  readonly atBob: TestConversation;
  readonly atCid: TestConversation;
}

async function trio(run: (trio: Trio) => Promise<void>): Promise<void> {
  await using world = await TestServers.start('alpha.example', 'bravo.example', 'cobra.example');
  const [alpha, bravo, cobra] = [world.at(0), world.at(1), world.at(2)];
  await world.trust(alpha, bravo);
  await world.trust(alpha, cobra);
  await world.trust(bravo, cobra);
  const ann = await TestDevice.enrol(alpha, 'ann@alpha.example');
  const bob = await TestDevice.enrol(bravo, 'bob@bravo.example');
  const bea = await TestDevice.enrol(bravo, 'bea@bravo.example');
  const cid = await TestDevice.enrol(cobra, 'cid@cobra.example');
  const atAnn = await ann.create([bob.user, bea.user, cid.user]);
  const [atBob, atBea, atCid] = [bob.conversation(atAnn.id), bea.conversation(atAnn.id), cid.conversation(atAnn.id)];
  for (const one of [atBob, atBea, atCid]) await one.inEpoch(1);
  await run({ alpha, bravo, cobra, ann, bob, bea, cid, atAnn, atBob, atCid });
}

function stored(server: TestServer, id: ConversationId) {
  return server.node().store.read.conversation(id);
}

async function revoke(by: TestServer, other: TestServer): Promise<number> {
  return mustBe(await by.node().trust.revoke(other.domain, 'officer:test', 'test')).sequence;
}

function said(by: TestServer, about: TestServer) {
  return { issuer: by.domain, subject: about.domain, sequence: 1, cause: 'trust_revoked' } as const;
}

test('while its removal waits, an organisation thaws nothing with a removing commit of its own [F-17]', async () => {
  await trio(async ({ alpha, bravo, cobra, bea, cid, atAnn, atCid }) => {
    const { disk } = alpha;
    disk.fail('io', (writes) =>
      writes.some((one) => one.op === 'log.append' && one.entries.some(({ kind }) => kind === 'proposal')),
    );
    const draft = await atCid.draftCommit({ remove: atCid.leavesOf(bea.user) });
    await revoke(bravo, cobra);
    await until('frozen', async () => (await stored(alpha, atAnn.id))?.frozen);
    const { message_id, commit: body } = draft;
    const from = { route: [cobra.domain], sender: cid.deviceId, sender_user: cid.user };
    const item = { conversation: atAnn.id, message_id, kind: 'commit', body, ...from } as const;
    const answer = await alpha.node().delivery.submitFrom(cobra.domain, item);
    assert.notEqual(answer.status, 'ordered');
    const now = await stored(alpha, atAnn.id);
    assert.deepEqual([now?.epoch, now?.frozen], [1, true]);
    disk.repair();
  });
});

test('who answers a revocation with one of its own puts nobody out at a third hub [F-38]', async () => {
  await trio(async ({ alpha, bravo, cobra, ann, cid, atAnn, atBob }) => {
    const { delivery } = alpha.node();
    await delivery.expel(said(bravo, cobra));
    await delivery.expel(said(cobra, bravo));
    await ann.waitFor('a proposal', () => atAnn.live.hasProposals);
    assert.deepEqual(
      atAnn.live.proposedRemovals.map(({ member }) => member.identity.user),
      [cid.user],
    );
    await atAnn.commitProposals();
    await atBob.inEpoch(2);
    await delivery.expel(said(cobra, bravo));
    await atBob.say('both of us');
    await atAnn.read('both of us');
    assert.deepEqual(delivery.expulsions({ issuer: cobra.domain })[0]?.conversations ?? 0, 0);
  });
});

test('two who revoke each other, and nobody else there: the first one stays [F-38]', async () => {
  await trio(async ({ alpha, bravo, cobra, ann, bob, cid, atAnn, atBob }) => {
    await atBob.remove(ann.user);
    await until('ann is out', async () => (await stored(alpha, atAnn.id))?.epoch === 2);
    const { delivery } = alpha.node();
    await Promise.all([delivery.expel(said(bravo, cobra)), delivery.expel(said(cobra, bravo))]);
    await bob.waitFor('a proposal', () => atBob.live.hasProposals);
    assert.deepEqual(
      atBob.live.proposedRemovals.map(({ member }) => member.identity.user),
      [cid.user],
    );
    await atBob.commit({});
    await until('cid is out', async () => (await stored(alpha, atAnn.id))?.frozen === false);
  });
});

test('when two ends of trust leave nobody who could commit, both are closed [F-38]', async () => {
  await trio(async ({ alpha, bravo, cobra, ann, atAnn, atBob }) => {
    await atBob.remove(ann.user);
    await until('ann is out', async () => (await stored(alpha, atAnn.id))?.epoch === 2);
    const { delivery } = alpha.node();
    await Promise.all([revoke(alpha, bravo), revoke(alpha, cobra)]);
    const closed = await until('both are closed', () => {
      const ends = delivery.expulsions({ issuer: alpha.domain });
      return ends.length === 2 && ends.every(({ completedAt }) => completedAt !== undefined) && ends;
    });
    assert.deepEqual(
      closed.map((one) => [one.removed, one.closed]),
      [
        [0, 1],
        [0, 1],
      ],
    );
    assert.notEqual(delivery.closure(atAnn.id), undefined);
    const late = await atBob.encrypt('too late');
    assert.notEqual(refusalOf(await atBob.trySubmit(late.body)), undefined);
  });
});

test('what was queued for a third hub before a revocation does not leave after it [F-34]', async () => {
  await trio(async ({ alpha, bravo, cobra, ann, atAnn, atBob, atCid }) => {
    await alpha.stop();
    const early = await atBob.encrypt('queued before');
    await atBob.trySubmit(early.body);
    await revoke(bravo, cobra);
    await until('frozen at bravo', async () => (await stored(bravo, atAnn.id))?.frozen);
    const { delivery, store } = bravo.node();
    assert.equal(await delivery.mayCarry(alpha.domain, atAnn.id, early.body.length, 'application'), false);
    assert.equal(await delivery.mayCarry(alpha.domain, atAnn.id, early.body.length, 'commit'), true);
    await alpha.start();
    await ann.connect();
    await atAnn.commitProposals();
    await until('the hub refused it', async () => (await store.read.outbox(alpha.domain, 10)).length === 0);
    const entries = await alpha.node().store.read.entries(atAnn.id, 0, 100, 1 << 20);
    assert.deepEqual(
      entries.filter(({ kind }) => kind === 'application'),
      [],
    );
    assert.ok(!atCid.readTexts.includes('queued before'));
    await atBob.inEpoch(2);
    await atBob.say('said again');
    await atAnn.read('said again');
  });
});

test('an organisation that the hub blocks by policy is put out, and the others go on [F-37]', async () => {
  await trio(async ({ alpha, cobra, ann, cid, atAnn, atBob }) => {
    const { trust } = alpha.node();
    await trust.setPolicy({ ...trust.parts.board.policy, blocked: new Set([cobra.domain]) });
    await ann.waitFor('a proposal', () => atAnn.live.hasProposals);
    assert.deepEqual(
      atAnn.live.proposedRemovals.map(({ member, cause }) => [member.identity.user, cause]),
      [[cid.user, 'trust_ended']],
    );
    await atAnn.commitProposals();
    await atBob.inEpoch(2);
    await atBob.say('without them');
    await atAnn.read('without them');
  });
});

test('a suspension stops a conversation and puts nobody out; it goes on when trust is restored [F-37]', async () => {
  await trio(async ({ alpha, cobra, bob, atAnn, atBob, atCid }) => {
    const { trust } = alpha.node();
    mustBe(await trust.order({ peer: cobra.domain, action: 'suspend', reason: 'an audit' }, 'officer:test'));
    await until('frozen', async () => (await stored(alpha, atAnn.id))?.frozen);
    const early = await atBob.encrypt('to whom?');
    await atBob.trySubmit(early.body);
    assert.equal(atAnn.live.hasProposals, false);
    mustBe(await trust.order({ peer: cobra.domain, action: 'restore', reason: 'nothing was found' }, 'officer:test'));
    await until('thawed', async () => (await stored(alpha, atAnn.id))?.frozen === false);
    await atAnn.say('all of us');
    await atCid.read('all of us');
    await bob.waitFor('reads it', () => atBob.readTexts.includes('all of us'));
  });
});

test('nobody brings in an organisation that one of those who are there does not trust any more [F-15]', async () => {
  await trio(async ({ alpha, bravo, cobra, cid, atAnn, atBob }) => {
    await revoke(bravo, cobra);
    await atAnn.commitProposals();
    await atBob.inEpoch(2);
    await alpha.restart();
    await atAnn.device.connect();
    await assert.rejects(atAnn.add(cid.user), /not_trusted/);
    await atBob.say('and bravo is cut off from nothing');
    await atAnn.read('and bravo is cut off from nothing');
  });
});

test('what was closed for good stays closed after a restart, also when trust comes back [F-38]', async () => {
  await trio(async ({ alpha, bravo, cobra, ann, atAnn, atBob, atCid }) => {
    await atBob.remove(ann.user);
    await atCid.inEpoch(2);
    await Promise.all([revoke(alpha, bravo), revoke(alpha, cobra)]);
    await until('closed', () => alpha.node().delivery.closure(atAnn.id));
    await alpha.restart();
    const { delivery } = alpha.node();
    assert.notEqual(delivery.closure(atAnn.id), undefined);
    const log = await stored(alpha, atAnn.id);
    await delivery.readmit(bravo.domain);
    assert.deepEqual([log?.frozen, (await stored(alpha, atAnn.id))?.frozen], [true, true]);
  });
});

test('trust that comes back before anybody was proposed lets the conversation go on, after a restart too [F-37]', async () => {
  await trio(async ({ alpha, cobra, ann, atAnn, atBob, atCid }) => {
    const { disk } = alpha;
    disk.fail('io', (writes) => writes.some(({ op }) => op === 'log.append'));
    await revoke(alpha, cobra);
    await until('the disk has refused it', () => disk.refused > 0);
    await trustBetween(cobra.node(), alpha.node());
    await ann.disconnect();
    await alpha.stop();
    disk.repair();
    await alpha.start();
    await until('thawed', async () => (await stored(alpha, atAnn.id))?.frozen === false);
    assert.deepEqual(
      alpha
        .node()
        .delivery.expulsions()
        .flatMap(({ pending }) => pending),
      [],
    );
    await ann.connect();
    await atAnn.say('as before');
    for (const one of [atBob, atCid]) await one.read('as before');
  });
});
