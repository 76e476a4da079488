import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeClock } from '@norc/crypto/node';
import { instant } from '@norc/protocol/base';
import { type ConditionRule, defaultPolicy } from '@norc/protocol/norc-t';
import { mustBe } from '@norc/testkit';
import { TestDevice, type TestServer, TestServers, trustState, until } from '@norc/testkit/live';

const OFFICER = 'officer:test';
const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

interface Scene {
  readonly alpha: TestServer;
  readonly bravo: TestServer;
  pass(milliseconds: number): void;
}

async function two(run: (scene: Scene) => Promise<void>, conditions: readonly ConditionRule[] = []): Promise<void> {
  let offset = 0;
  const clock = { now: () => instant(nodeClock.now() + offset) };
  await using world = await TestServers.start(
    { domains: ['alpha.example'], clock },
    { domains: ['bravo.example'], clock },
  );
  const [alpha, bravo] = [world.at(0), world.at(1)];
  for (const server of [alpha, bravo]) {
    const { levels } = defaultPolicy();
    const policy = defaultPolicy({ levels: { ...levels, basic: { ...levels.basic, conditions } } });
    await server.node().trust.setPolicy(policy);
  }
  await world.trust(alpha, bravo);
  await run({
    ...{ alpha, bravo },
    pass: (milliseconds) => {
      offset += milliseconds;
      for (const server of [alpha, bravo]) if (server.isUp) server.node().trust.tick();
    },
  });
}

const noticesOf = (server: TestServer, peer: TestServer) => server.node().trust.parts.notices.of(peer.domain);

/** Both ask each other, as every minute: links whose keys are too old are made anew meanwhile. */
async function untilFresh(alpha: TestServer, bravo: TestServer): Promise<void> {
  await until('both are fresh', async () => {
    for (const server of [alpha, bravo]) await server.node().trust.poll();
    const levels = [alpha.node().trust.level(bravo.domain), bravo.node().trust.level(alpha.domain)];
    return levels.every((level) => level === 'basic');
  });
}

/** When the certificate that counts began. */
function newestOf(server: TestServer, peer: TestServer): number {
  const { trust } = server.node();
  return trust.parts.board.pair(peer.domain, trust.now)?.given.notBefore ?? 0;
}

async function auditCount(server: TestServer, type: string): Promise<number> {
  await server.node().audit.flush();
  return (await server.node().store.read.auditEntries(0, 1000)).filter((one) => one.type === type).length;
}

test('[TRUST-28] a partner that is not heard goes stale: the sender is told why, the message waits, and flows when it is fresh', async () => {
  await two(async ({ alpha, bravo, pass }) => {
    const ann = await TestDevice.enrol(alpha, 'ann@alpha.example');
    const bob = await TestDevice.enrol(bravo, 'bob@bravo.example');
    const conversation = await ann.create([bob.user]);
    const atBob = bob.conversation(conversation.id);
    await atBob.inEpoch(1);
    await conversation.say('while fresh');
    await atBob.read('while fresh');
    pass(11 * MINUTE);
    assert.equal(alpha.node().trust.level(bravo.domain), 'untrusted');
    await until('officers are told', () => noticesOf(alpha, bravo).some(({ about }) => about === 'stale'));
    const question = {
      local: alpha.domain,
      remote: bravo.domain,
      direction: 'outgoing',
      permission: 'message_relay',
    } as const;
    const decision = alpha.node().trust.decide(question);
    assert.ok(decision.kind === 'deny' && decision.code === 'trust_stale');
    const { body } = await conversation.encrypt('while stale');
    const sent = await conversation.trySubmit(body);
    const before = (await bravo.node().store.read.conversation(conversation.id))?.headSeq;
    await untilFresh(alpha, bravo);
    // A hub that took it keeps it for the partner; one that refused it said that it can be sent again.
    if (sent.type === 'error') {
      assert.ok(sent.body.retryable);
      await conversation.submit(body);
    }
    await atBob.read('while stale');
    assert.ok(((await bravo.node().store.read.conversation(conversation.id))?.headSeq ?? 0) > (before ?? 0));
  });
});

test('suspended and restored: nothing passes in between, nobody was put out, and it goes on', async () => {
  await two(async ({ alpha, bravo }) => {
    const ann = await TestDevice.enrol(alpha, 'ann@alpha.example');
    const bob = await TestDevice.enrol(bravo, 'bob@bravo.example');
    const conversation = await ann.create([bob.user]);
    const atBob = bob.conversation(conversation.id);
    await atBob.inEpoch(1);
    const order = async (action: 'suspend' | 'restore') =>
      mustBe(await alpha.node().trust.order({ peer: bravo.domain, action, reason: 'an audit' }, OFFICER));
    await order('suspend');
    await until('bravo knows', () => bravo.node().trust.level(alpha.domain) === 'untrusted');
    await until('frozen', async () => (await alpha.node().store.read.conversation(conversation.id))?.frozen);
    const { body } = await conversation.encrypt('in between');
    assert.equal((await conversation.trySubmit(body)).type, 'error');
    assert.ok('sequence' in (await order('restore')), 'at basic the policy asks for one person');
    await until(
      'it is back',
      () => alpha.node().trust.level(bravo.domain) === 'basic' && bravo.node().trust.level(alpha.domain) === 'basic',
    );
    for (const server of [alpha, bravo])
      await until(
        'thawed',
        async () => (await server.node().store.read.conversation(conversation.id))?.frozen === false,
      );
    await conversation.say('and on');
    await atBob.read('and on');
  });
});

test('[TRUST-68] trust is renewed by itself before its end, and messages flow across the switch', async () => {
  await two(async ({ alpha, bravo, pass }) => {
    const ann = await TestDevice.enrol(alpha, 'ann@alpha.example');
    const bob = await TestDevice.enrol(bravo, 'bob@bravo.example');
    const conversation = await ann.create([bob.user]);
    const atBob = bob.conversation(conversation.id);
    await atBob.inEpoch(1);
    const endsAt = () => alpha.node().trust.parts.board.pair(bravo.domain, alpha.node().trust.now)?.given.notAfter ?? 0;
    const first = newestOf(alpha, bravo);
    pass(endsAt() - alpha.node().trust.now - 29 * DAY);
    await untilFresh(alpha, bravo);
    for (const server of [alpha, bravo]) server.node().trust.tick();
    for (const device of [ann, bob]) await device.reconnect();
    await until('the countdown', () => noticesOf(bravo, alpha).some(({ about }) => about === 'expiry'));
    const sides = [
      [alpha, bravo],
      [bravo, alpha],
    ] as const;
    await until('renewal was begun', () =>
      sides.some(([one, other]) => noticesOf(one, other).some(({ about }) => about === 'renewal')),
    );
    await conversation.say('meanwhile');
    await atBob.read('meanwhile');
    const [asked, asking] = await until('somebody may approve', () =>
      sides.find(([one, other]) => trustState(one.node(), other.domain) === 'awaiting_approval'),
    );
    mustBe(await asked.node().trust.approve(asking.domain, OFFICER));
    await until('the new certificates count', () =>
      [alpha, bravo].every((one, i) => newestOf(one, [bravo, alpha][i] ?? one) > first),
    );
    await conversation.say('after the switch');
    await atBob.read('after the switch');
    assert.equal(await auditCount(alpha, 'trust_expired'), 0);
  });
});

test('[TRUST-69] a condition that lapses acts by itself on both sides, once, and is in the log', async () => {
  const conditions = [{ name: 'clearance', kind: 'document', afterDays: 1, action: 'revoke' }] as const;
  await two(async ({ alpha, bravo, pass }) => {
    assert.equal(alpha.node().trust.level(bravo.domain), 'basic');
    pass(DAY + MINUTE);
    for (const [one, other] of [
      [alpha, bravo],
      [bravo, alpha],
    ] as const) {
      assert.equal(one.node().trust.level(other.domain), 'untrusted');
      await until('it is told', () => noticesOf(one, other).some(({ about }) => about === 'condition'));
    }
    pass(MINUTE);
    await until(
      'both certificates’ are in the log',
      async () => (await auditCount(alpha, 'trust_condition_acted')) === 2,
    );
    const told = noticesOf(alpha, bravo).filter(({ about }) => about === 'condition');
    assert.equal(new Set(told.map(({ text }) => text)).size, 2);
    const met = { peer: bravo.domain, action: 'condition_met', condition: 'clearance', reason: 'it came' } as const;
    assert.ok((await alpha.node().trust.order(met, OFFICER)).ok);
  }, conditions);
});

test('[TRUST-69] a condition that was met in time does not act', async () => {
  const conditions = [{ name: 'clearance', kind: 'document', afterDays: 1, action: 'revoke' }] as const;
  await two(async ({ alpha, bravo, pass }) => {
    for (const [one, other] of [
      [alpha, bravo],
      [bravo, alpha],
    ] as const) {
      const met = { peer: other.domain, action: 'condition_met', condition: 'clearance', reason: 'it came' } as const;
      mustBe(await one.node().trust.order(met, OFFICER));
    }
    await until('both know', () =>
      [
        [alpha, bravo],
        [bravo, alpha],
      ].every(([one, other]) => one?.node().trust.parts.board.chain(other?.domain ?? alpha.domain).sequence === 1),
    );
    pass(DAY + MINUTE);
    await untilFresh(alpha, bravo);
    assert.equal(await auditCount(alpha, 'trust_condition_acted'), 0);
  }, conditions);
});

test('expired: the same end as a revocation, with its own reason', async () => {
  await two(async ({ alpha, bravo, pass }) => {
    pass(366 * DAY);
    for (const [one, other] of [
      [alpha, bravo],
      [bravo, alpha],
    ] as const) {
      assert.equal(trustState(one.node(), other.domain), 'expired');
      assert.equal(one.node().trust.pins(other.domain), undefined);
      await until('it is in the log', async () => (await auditCount(one, 'trust_expired')) > 0);
    }
  });
});
