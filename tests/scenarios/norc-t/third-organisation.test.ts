import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeClock, nodeCrypto } from '@norc/crypto/node';
import { instant, MESSAGE_TYPES } from '@norc/protocol/base';
import { signDocument } from '@norc/protocol/crypto';
import { defaultPolicy, draftRevocation, parseCertificateId } from '@norc/protocol/norc-t';
import { mustBe } from '@norc/testkit';
import { refusalOf, type TestConversation, TestDevice, type TestServer, TestServers, until } from '@norc/testkit/live';

const MINUTE = 60_000;

const stored = (server: TestServer, id: Parameters<TestServer['node']>[0] | string) =>
  server.node().store.read.conversation(id as never); // ids of conversations and organisations are both text

for (const hub of ['carol', 'alpha'] as const) {
  test(`[TRUST-64] a third organisation acts on a revocation before it acknowledges; the hub is ${hub}`, async () => {
    await using world = await TestServers.start('alpha.example', 'bravo.example', 'carol.example');
    const [alpha, bravo, carol] = [world.at(0), world.at(1), world.at(2)];
    await world.trust(alpha, bravo);
    await world.trust(alpha, carol);
    await world.trust(bravo, carol);
    const ann = await TestDevice.enrol(alpha, 'ann@alpha.example');
    const bob = await TestDevice.enrol(bravo, 'bob@bravo.example');
    const cid = await TestDevice.enrol(carol, 'cid@carol.example');
    const creator = hub === 'carol' ? cid : ann;
    const others = [ann, bob, cid].filter((one) => one !== creator);
    const conversation = await creator.create(others.map(({ user }) => user));
    for (const one of others) await one.conversation(conversation.id).inEpoch(1);
    await conversation.say('before');
    for (const one of others) await one.conversation(conversation.id).read('before');
    const late = await bob.conversation(conversation.id).encrypt('too late');

    const order = { peer: bravo.domain, action: 'revoke', reason: 'stolen keys' } as const;
    const said = mustBe(await alpha.node().trust.order(order, 'officer:test'));
    assert.ok('sequence' in said);
    const progress = async () => (await alpha.node().trust.revocationProgress(said.sequence)) ?? assert.fail();
    await until(
      'carol has confirmed',
      async () => (await progress()).servers.find(({ peer }) => peer === carol.domain)?.state === 'confirmed',
    );
    const atHub = await stored(hub === 'carol' ? carol : alpha, conversation.id);
    assert.equal(atHub?.frozen, true, 'frozen before it was acknowledged');
    assert.notEqual(refusalOf(await bob.conversation(conversation.id).trySubmit(late.body)), undefined);
    const waiting = await progress();
    assert.equal(waiting.state, 'spreading', 'the members are not out yet');
    assert.deepEqual([waiting.conversations.total, waiting.conversations.removed], [1, 0]);
    assert.ok((waiting.sessionsTold ?? 0) >= 1, 'people are told');

    await conversation.commitProposals();
    const done = await until('all is in force', async () => {
      const now = await progress();
      return now.state === 'enforced' && now.completedAt !== undefined && now;
    });
    assert.equal(done.conversations.removed, 1);
    assert.equal(done.inTime, true, 'the removal was the last of it');
    assert.ok((done.completedAt ?? 0) >= (done.conversations.conversations[0]?.removedAt ?? Number.NaN));
    assert.ok((done.spread?.count ?? 0) >= 1);
    await conversation.say('among ourselves');
    const left = others.find((one) => one !== bob) ?? assert.fail();
    await left.conversation(conversation.id).read('among ourselves');
    assert.ok(!bob.conversation(conversation.id).readTexts.includes('among ourselves'));
  });
}

interface Trio {
  readonly alpha: TestServer;
  readonly bravo: TestServer;
  readonly carol: TestServer;
  readonly ann: TestDevice;
  readonly conversation: TestConversation;
}

/** Ann, Bob and Cid in a conversation whose hub is alpha. */
async function trio(run: (scene: Trio) => Promise<void>): Promise<void> {
  await using world = await TestServers.start('alpha.example', 'bravo.example', 'carol.example');
  const [alpha, bravo, carol] = [world.at(0), world.at(1), world.at(2)];
  await world.trust(alpha, bravo);
  await world.trust(alpha, carol);
  await world.trust(bravo, carol);
  const ann = await TestDevice.enrol(alpha, 'ann@alpha.example');
  const others = [
    await TestDevice.enrol(bravo, 'bob@bravo.example'),
    await TestDevice.enrol(carol, 'cid@carol.example'),
  ];
  const conversation = await ann.create(others.map(({ user }) => user));
  for (const one of others) await one.conversation(conversation.id).inEpoch(1);
  await run({ alpha, bravo, carol, ann, conversation });
}

/** With carol's own key: a certificate that nobody ever saw. */
async function invented(by: TestServer, subject: TestServer): Promise<Uint8Array> {
  const { trust, identity } = by.node();
  const draft = draftRevocation(trust.parts.board.chain(by.domain), {
    ...{ subject: subject.domain, action: 'revoke', reason: 'hostile', ends_trust: true },
    ...{ issued_at: trust.now, effective_at: trust.now, certificate_id: mustBe(parseCertificateId('ab'.repeat(16))) },
  });
  return (await signDocument(nodeCrypto, draft, identity.signer)).bytes;
}

for (const why of ['forked', 'suspended', 'blocked'] as const) {
  test(`[TRUST-64] what a partner that is ${why} says about another one puts nobody out`, async () => {
    await trio(async ({ alpha, bravo, carol, conversation }) => {
      const { trust, delivery } = alpha.node();
      const { board } = trust.parts;
      if (why === 'forked') board.markForked(carol.domain);
      else if (why === 'blocked') await trust.setPolicy({ ...board.policy, blocked: new Set([carol.domain]) });
      else mustBe(await trust.order({ peer: carol.domain, action: 'suspend', reason: 'an audit' }, 'officer:test'));
      await until('frozen', async () => why === 'forked' || (await stored(alpha, conversation.id))?.frozen);
      const said = await trust.receive(carol.domain, MESSAGE_TYPES.trust_revoke, await invented(carol, bravo));
      assert.equal(said.ok ? 'acknowledged' : said.error.code, 'not_trusted');
      trust.tick();
      await trust.poll();
      assert.deepEqual(delivery.expulsions({ subject: bravo.domain }), []);
      assert.equal(board.chain(carol.domain).sequence, 1, 'it is kept');
      assert.notEqual(trust.level(bravo.domain), 'untrusted');
      if (why !== 'suspended') return;
      mustBe(await trust.order({ peer: carol.domain, action: 'restore', reason: 'nothing was found' }, 'officer:test'));
      await until('it counts then', async () => {
        trust.tick();
        return delivery.expulsions({ issuer: carol.domain, subject: bravo.domain }).length === 1;
      });
    });
  });
}

test('[TRUST-58] trust of two followers that a condition ends is heard of by their hub: one statement, and it goes on', async () => {
  let offset = 0;
  const clock = { now: () => instant(nodeClock.now() + offset) };
  const domains = ['alpha.example', 'bravo.example', 'carol.example'];
  await using world = await TestServers.start(...domains.map((domain) => ({ domains: [domain] as const, clock })));
  const [alpha, bravo, carol] = [world.at(0), world.at(1), world.at(2)];
  const { levels } = defaultPolicy();
  const conditions = [{ name: 'clearance', kind: 'document', afterDays: 1, action: 'revoke' }] as const;
  await world.trust(carol, alpha);
  await world.trust(carol, bravo);
  for (const one of [alpha, bravo])
    await one.node().trust.setPolicy(defaultPolicy({ levels: { ...levels, basic: { ...levels.basic, conditions } } }));
  await world.trust(alpha, bravo);
  const cid = await TestDevice.enrol(carol, 'cid@carol.example');
  const others = [
    await TestDevice.enrol(alpha, 'ann@alpha.example'),
    await TestDevice.enrol(bravo, 'bob@bravo.example'),
  ];
  const conversation = await cid.create(others.map(({ user }) => user));
  for (const one of others) await one.conversation(conversation.id).inEpoch(1);
  offset += 25 * 60 * MINUTE;
  const said = (one: TestServer) => one.node().trust.parts.board.chain(one.domain).statements;
  await until('the hub has heard', async () => {
    for (const one of [alpha, bravo, carol]) await one.node().trust.poll();
    return carol.node().delivery.expulsions({ issuer: alpha.domain, subject: bravo.domain }).length === 1;
  });
  assert.deepEqual(
    said(alpha).map(({ subject, ends_trust }) => [subject, ends_trust]),
    [[bravo.domain, true]],
  );
  await until('bravo knows', () => bravo.node().trust.parts.board.chain(alpha.domain).sequence === 1);
  offset += 5 * MINUTE;
  for (const one of [alpha, bravo, carol]) await one.node().trust.poll();
  assert.equal(said(alpha).length, 1);
  assert.equal(said(bravo).length, 0, 'nobody puts out both');
});
