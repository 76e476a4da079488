import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MESSAGE_TYPES } from '@norc/protocol/base';
import {
  refusalOf,
  TestDevice,
  type TestServer,
  TestServers,
  trustBetween,
  trustState,
  until,
} from '@norc/testkit/live';

interface Scene {
  readonly alpha: TestServer;
  readonly bravo: TestServer;
  readonly ann: TestDevice;
  readonly bob: TestDevice;
}

async function talking(run: (scene: Scene, world: TestServers) => Promise<void>): Promise<void> {
  await using world = await TestServers.start('alpha.example', 'bravo.example');
  const [alpha, bravo] = [world.at(0), world.at(1)];
  await world.trust(alpha, bravo);
  const ann = await TestDevice.enrol(alpha, 'ann@alpha.example');
  const bob = await TestDevice.enrol(bravo, 'bob@bravo.example');
  await run({ alpha, bravo, ann, bob }, world);
}

async function revokedOnBothSides(by: TestServer, other: TestServer): Promise<void> {
  const revoked = await by.node().trust.revoke(other.domain, 'officer:test', 'test');
  assert.ok(revoked.ok);
  assert.equal(by.node().trust.level(other.domain), 'untrusted', 'at once where it was decided');
  await until('the peer knows', () => trustState(other.node(), by.domain) === 'revoked');
}

/** Nothing passes in either direction; entries that were there stay where they are. */
async function assertClosed(
  { alpha, bravo, ann, bob }: Scene,
  conversation: Awaited<ReturnType<TestDevice['create']>>,
  sealed: readonly Uint8Array[],
) {
  const atBob = bob.conversation(conversation.id);
  const heads = await Promise.all([alpha, bravo].map((one) => one.node().store.read.conversation(conversation.id)));
  for (const [i, side] of [conversation, atBob].entries()) {
    const code = refusalOf(await side.trySubmit(sealed[i] ?? new Uint8Array()));
    assert.ok(['trust_revoked', 'not_trusted', 'conversation_frozen'].includes(code), code);
  }
  await assert.rejects(ann.claim(bob.user), /trust_revoked|not_trusted/);
  await assert.rejects(bob.claim(ann.user), /trust_revoked|not_trusted/);
  for (const [device, org] of [
    [ann, bravo.domain],
    [bob, alpha.domain],
  ] as const) {
    const answer = await device.session.ask({ type: 'org_request', body: { domain: org } }, 'org_response');
    assert.deepEqual([answer.domain, answer.level, answer.trust_certificate], [org, 'untrusted', undefined]);
  }
  const later = await Promise.all([alpha, bravo].map((one) => one.node().store.read.conversation(conversation.id)));
  assert.deepEqual(
    later.map((row) => row?.headSeq),
    heads.map((row) => row?.headSeq),
  );
  for (const row of later) assert.equal(row?.frozen, true);
}

for (const who of ['hub', 'follower'] as const) {
  test(`trust is revoked by the ${who}: nothing passes any more, in either direction, also after a restart`, async () => {
    await talking(async (scene) => {
      const { alpha, bravo, ann, bob } = scene;
      const conversation = await ann.create([bob.user]);
      await bob.conversation(conversation.id).inEpoch(1);
      await conversation.say('before');
      await bob.conversation(conversation.id).read('before');
      const sides = [conversation, bob.conversation(conversation.id)];
      const sealed = (await Promise.all(sides.map((side) => side.encrypt('after the end')))).map(({ body }) => body);
      await (who === 'hub' ? revokedOnBothSides(alpha, bravo) : revokedOnBothSides(bravo, alpha));
      const frozen = (server: TestServer) => async () =>
        (await server.node().store.read.conversation(conversation.id))?.frozen;
      for (const server of [alpha, bravo]) await until('the conversation is frozen', frozen(server));
      await ann.waitFor('the removal is proposed', () => conversation.live.hasProposals);
      const marks = ann.deliveredTo(conversation.id, bob.user);
      await assertClosed(scene, conversation, sealed);
      for (const device of [ann, bob]) await device.disconnect();
      await Promise.all([alpha.restart(), bravo.restart()]);
      for (const device of [ann, bob]) await device.connect();
      await assertClosed(scene, conversation, sealed);
      assert.equal(ann.deliveredTo(conversation.id, bob.user), marks, 'no receipt came');
    });
  });
}

test('what waited for a partner is not sent after trust in it ended', async () => {
  await talking(async ({ alpha, bravo, ann, bob }) => {
    const conversation = await ann.create([bob.user]);
    const atBob = bob.conversation(conversation.id);
    await atBob.inEpoch(1);
    await ann.disconnect();
    await alpha.stop();
    assert.equal((await atBob.say('queued in good faith')).state, 'queued');
    assert.ok((await bravo.node().trust.revoke(alpha.domain, 'officer:test', 'test')).ok);
    await alpha.start();
    await ann.connect();
    await until('alpha knows', () => trustState(alpha.node(), bravo.domain) === 'revoked');
    await ann.idle();
    assert.equal((await alpha.node().store.read.conversation(conversation.id))?.headSeq, 1);
    assert.deepEqual(conversation.readTexts, []);
  });
});

test('a revocation that the partner missed reaches it when it is back', async () => {
  await talking(async ({ alpha, bravo, ann, bob }) => {
    const conversation = await ann.create([bob.user]);
    await bob.conversation(conversation.id).inEpoch(1);
    await bob.disconnect();
    await bravo.stop();
    assert.ok((await alpha.node().trust.revoke(bravo.domain, 'officer:test', 'test')).ok);
    await bravo.start();
    await until('bravo knows', () => trustState(bravo.node(), alpha.domain) === 'revoked');
  });
});

test('after a revocation trust can be agreed anew, and opens new conversations', async () => {
  await talking(async ({ alpha, bravo, ann, bob }) => {
    await revokedOnBothSides(bravo, alpha);
    await trustBetween(bravo.node(), alpha.node());
    const conversation = await until(
      'a new conversation',
      async () => await ann.create([bob.user]).catch(() => undefined),
    );
    const atBob = bob.conversation(conversation.id);
    await atBob.inEpoch(1);
    await atBob.say('again');
    await conversation.read('again');
  });
});

test('a revocation that nobody signed, or somebody else did, ends nothing', async () => {
  await talking(async ({ alpha, bravo }) => {
    const before = alpha.node().trust.level(bravo.domain);
    const genuine = await bravo.node().trust.revoke(alpha.domain, 'officer:test', 'test');
    assert.ok(genuine.ok);
    const [row] = await bravo.node().store.read.trustRevocations();
    assert.ok(row !== undefined);
    const text = new TextDecoder().decode(row.document);
    const forged = new TextEncoder().encode(text.replace('"reason":"test"', '"reason":"tost"'));
    assert.notDeepEqual(forged, row.document);
    assert.equal(before, 'basic');
    const answer = await alpha.node().trust.receive(bravo.domain, MESSAGE_TYPES.trust_revoke, forged);
    assert.equal(answer.ok, false);
  });
});
