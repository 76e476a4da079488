import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConversationId } from '@norc/protocol/base';
import { refusalOf, type TestDevice, type TestServer, until } from '@norc/testkit/live';
import { allowEverything, LAPSES, type LevelsScene, levels, type Person } from './levels-world.ts';

/**
 * Four checks keep a label from where trust does not carry it: the sender's device, its server,
 * the other server, the recipient's device. In each test here three of them are sabotaged: servers
 * that allow everything, devices that check nothing and show everything.
 */

const BORDER = ['alpha.example', 'bravo.example'] as const;
const withLapse = { conditions: [LAPSES] };

async function headOf(server: TestServer, id: ConversationId): Promise<number | undefined> {
  return (await server.node().store.read.conversation(id))?.headSeq;
}

/** Every refusal that a server wrote into its log. */
function refusals(server: TestServer): readonly unknown[] {
  return server.lines.flatMap(({ event, about }) =>
    event.endsWith('refused') && typeof about === 'object' && about !== null && 'code' in about ? [about.code] : [],
  );
}

async function refusesOnTheLink(server: TestServer, code: string): Promise<void> {
  await until(`${server.domain} refuses: ${code}`, () => refusals(server).includes(code));
}

/** Nobody at bravo has it: neither the server nor a device. */
async function assertNothingAt(server: TestServer, device: TestDevice, id: ConversationId): Promise<void> {
  assert.equal(await headOf(server, id), undefined);
  await device.idle();
  assert.equal(device.conversation(id).seq, 0);
}

// ---- a: the sender's device ----

test("[DEV-14] the sender's device alone keeps a label from an organisation below it: no conversation begins", async () => {
  await levels(BORDER, async ({ server, person, device, trust }) => {
    const [alpha, bravo] = [server(0), server(1)];
    await trust(alpha, bravo, 'basic');
    for (const one of [alpha, bravo]) allowEverything(one);
    const ann = await person(alpha, 'ann@alpha.example');
    const bob = await device(bravo, 'bob@bravo.example');
    const created = await ann.client.createConversation({ users: [bob.user], label: 'confidential' });
    assert.ok(!created.ok);
    assert.equal(created.error.code, 'label_not_allowed');
    assert.deepEqual(created.error.problem, {
      ...{ cause: 'trust.too_low', org: bravo.domain, label: 'confidential', level: 'basic' },
    });
    assert.deepEqual(await alpha.node().store.read.conversationsWith(bravo.domain), []);
    const allowed = await ann.client.createConversation({ users: [bob.user], label: 'official_use_only' });
    assert.ok(allowed.ok);
  });
});

/** Ann, with our client, and Bob in a conversation marked CONFIDENTIAL; then trust falls to basic and both servers lie. */
async function afterTheFall(run: (scene: LevelsScene & Fallen) => Promise<void>): Promise<void> {
  await levels(
    BORDER,
    async (scene) => {
      const [alpha, bravo] = [scene.server(0), scene.server(1)];
      await scene.trust(alpha, bravo, 'verified');
      const ann = await scene.person(alpha, 'ann@alpha.example');
      const bob = await scene.device(bravo, 'bob@bravo.example');
      const created = await ann.client.createConversation({ users: [bob.user], label: 'confidential' });
      assert.ok(created.ok);
      const id = created.value;
      await bob.conversation(id).inEpoch(1);
      assert.ok((await ann.client.send(id, 'while it is allowed')).ok);
      await bob.conversation(id).read('while it is allowed');
      for (const one of [alpha, bravo]) allowEverything(one);
      scene.lapse();
      await run({ ...scene, alpha, bravo, ann, bob, id });
    },
    withLapse,
  );
}

interface Fallen {
  readonly alpha: TestServer;
  readonly bravo: TestServer;
  readonly ann: Person;
  readonly bob: TestDevice;
  readonly id: ConversationId;
}

test("[DEV-14] the sender's device checks at each sending: what was allowed at the beginning is not for ever", async () => {
  await afterTheFall(async ({ alpha, ann, bob, id }) => {
    const before = await headOf(alpha, id);
    assert.ok((await ann.client.send(id, 'a day too late')).ok, 'stored, to be sent');
    await ann.sees(id, 'a day too late -> trust.too_low');
    assert.equal(await headOf(alpha, id), before);
    assert.ok(!bob.conversation(id).readTexts.includes('a day too late'));
  });
});

// ---- b: its server ----

test("[F-15] [F-19] the sender's server alone keeps a label in", async () => {
  await levels(BORDER, async ({ server, device, trust }) => {
    const [alpha, bravo] = [server(0), server(1)];
    await trust(alpha, bravo, 'basic');
    allowEverything(bravo);
    const ann = await device(alpha, 'ann@alpha.example');
    const bob = await device(bravo, 'bob@bravo.example');
    await assert.rejects(ann.create([bob.user], 'confidential', 'verified'), /label_not_allowed/);
    assert.deepEqual(await alpha.node().store.read.conversationsWith(bravo.domain), []);
    assert.deepEqual(await alpha.node().store.read.outbox(bravo.domain, 10), []);
  });
});

for (const hub of ['alpha', 'bravo'] as const) {
  test(`[F-15] the server of who sends checks each message, where ${hub === 'alpha' ? 'it' : 'the other one'} is the hub`, async () => {
    await levels(
      BORDER,
      async ({ server, device, trust, lapse }) => {
        const [alpha, bravo] = [server(0), server(1)];
        await trust(alpha, bravo, 'verified');
        const ann = await device(alpha, 'ann@alpha.example');
        const bob = await device(bravo, 'bob@bravo.example');
        const [creator, invited] = hub === 'alpha' ? [ann, bob] : [bob, ann];
        const begun = await creator.create([invited.user], 'confidential', 'verified');
        await invited.conversation(begun.id).inEpoch(1);
        const said = ann.conversation(begun.id);
        await said.say('while it is allowed');
        await bob.conversation(begun.id).read('while it is allowed');
        const waiting = async () => await alpha.node().store.read.outbox(bravo.domain, 10);
        await until('nothing is on its way', async () => (await waiting()).length === 0);
        allowEverything(bravo);
        lapse();
        await ann.reconnect();
        const { body } = await said.encrypt('too late');
        assert.equal(refusalOf(await said.trySubmit(body)), 'label_not_allowed');
        assert.deepEqual(await waiting(), []);
        await bob.reconnect();
        assert.ok(!bob.conversation(begun.id).readTexts.includes('too late'));
      },
      withLapse,
    );
  });
}

test('[F-45] a message that a third hub would pass on is checked where it leaves, against everybody who would get it', async () => {
  await levels([...BORDER, 'carol.example'], async ({ server, device, trust }) => {
    const [alpha, bravo, carol] = [server(0), server(1), server(2)];
    await trust(alpha, bravo, 'verified');
    await trust(alpha, carol, 'verified');
    await trust(bravo, carol, 'verified');
    const ann = await device(alpha, 'ann@alpha.example');
    const bob = await device(bravo, 'bob@bravo.example');
    const carl = await device(carol, 'carl@carol.example');
    const begun = await ann.create([bob.user, carl.user], 'confidential', 'verified');
    const said = bob.conversation(begun.id);
    await said.inEpoch(1);
    await said.say('to all of you');
    await carl.conversation(begun.id).read('to all of you');
    for (const one of [alpha, carol]) allowEverything(one);
    const order = { peer: carol.domain, action: 'downgrade', level: 'basic', reason: 'test' } as const;
    assert.ok((await bravo.node().trust.order(order, 'officer:test')).ok);
    const { body } = await said.encrypt('not to carl');
    assert.equal(refusalOf(await said.trySubmit(body)), 'label_not_allowed');
    assert.ok(!carl.conversation(begun.id).readTexts.includes('not to carl'));
  });
});

// ---- c: the other server ----

test('[F-35] the other server alone keeps a label out: it joins no conversation that is above the pair', async () => {
  await levels(BORDER, async ({ server, device, trust }) => {
    const [alpha, bravo] = [server(0), server(1)];
    await trust(alpha, bravo, 'basic');
    allowEverything(alpha);
    const ann = await device(alpha, 'ann@alpha.example');
    const bob = await device(bravo, 'bob@bravo.example');
    const begun = await ann.create([bob.user], 'confidential', 'verified');
    await refusesOnTheLink(bravo, 'label_not_allowed');
    await begun.say('to whom it may concern');
    await assertNothingAt(bravo, bob, begun.id);
  });
});

for (const hub of ['alpha', 'bravo'] as const) {
  test(`[F-15] [F-34] the other server checks each message that comes in, where ${hub === 'bravo' ? 'it' : 'the sender’s'} is the hub`, async () => {
    await levels(
      BORDER,
      async ({ server, device, trust, lapse }) => {
        const [alpha, bravo] = [server(0), server(1)];
        await trust(alpha, bravo, 'verified');
        const ann = await device(alpha, 'ann@alpha.example');
        const bob = await device(bravo, 'bob@bravo.example');
        const [creator, invited] = hub === 'alpha' ? [ann, bob] : [bob, ann];
        const begun = await creator.create([invited.user], 'confidential', 'verified');
        await invited.conversation(begun.id).inEpoch(1);
        const said = ann.conversation(begun.id);
        allowEverything(alpha);
        lapse();
        await ann.reconnect();
        const before = await headOf(bravo, begun.id);
        const ack = await said.say('too late');
        assert.equal(ack.state, hub === 'alpha' ? 'sent' : 'queued');
        if (hub === 'alpha') await refusesOnTheLink(bravo, 'label_not_allowed');
        else await ann.waitFor('the refusal', () => said.refused.get(ack.message_id) === 'label_not_allowed');
        assert.equal(await headOf(bravo, begun.id), before);
        await bob.reconnect();
        await bob.idle();
        assert.ok(!bob.conversation(begun.id).readTexts.includes('too late'));
      },
      withLapse,
    );
  });
}

// ---- d: the recipient's device ----

test("[DEV-16] the recipient's device alone refuses an invitation under a label that the pair does not carry", async () => {
  await levels(BORDER, async ({ server, person, device, trust }) => {
    const [alpha, bravo] = [server(0), server(1)];
    await trust(alpha, bravo, 'basic');
    for (const one of [alpha, bravo]) allowEverything(one);
    const ann = await device(alpha, 'ann@alpha.example');
    const bob = await person(bravo, 'bob@bravo.example');
    const begun = await ann.create([bob.user], 'confidential', 'verified');
    await begun.say('nobody reads this');
    const warned = await bob.warned('group_refused');
    assert.deepEqual([warned.conversationId, warned.problem.cause], [begun.id, 'trust.below_floor']);
    assert.deepEqual(await bob.client.conversations(), []);
  });
});

test("[DEV-15] the recipient's device alone withholds a message above the pair's level, and goes on", async () => {
  await levels(
    BORDER,
    async ({ server, person, device, trust, lapse }) => {
      const [alpha, bravo] = [server(0), server(1)];
      await trust(alpha, bravo, 'verified');
      const ann = await device(alpha, 'ann@alpha.example');
      const bob = await person(bravo, 'bob@bravo.example');
      const begun = await ann.create([bob.user], 'confidential', 'verified');
      await begun.say('while it is allowed');
      await bob.sees(begun.id, 'while it is allowed');
      for (const one of [alpha, bravo]) allowEverything(one);
      lapse();
      await ann.reconnect();
      const first = await begun.say('too late');
      const warned = await bob.warned('message_withheld');
      assert.deepEqual(warned.problem, {
        ...{ cause: 'trust.withheld', user: ann.user, org: alpha.domain, label: 'confidential', level: 'basic' },
      });
      await begun.say('and once more');
      await until('both are passed over', async () => {
        const shown = await bob.shown(begun.id);
        return shown.filter((one) => one === '[trust.withheld]').length === 2;
      });
      assert.ok(!(await bob.shown(begun.id)).some((one) => one.includes('late') || one.includes('more')));
      assert.ok(first.seq !== undefined && (await headOf(bravo, begun.id)) === first.seq + 1);
    },
    withLapse,
  );
});

test('a condition that was met in time takes nothing away, also for a device that checks for itself', async () => {
  await levels(
    BORDER,
    async ({ server, person, device, trust, lapse }) => {
      const [alpha, bravo] = [server(0), server(1)];
      await trust(alpha, bravo, 'verified');
      for (const [by, about] of [
        [alpha, bravo],
        [bravo, alpha],
      ] as const) {
        const { name: condition } = LAPSES;
        const met = { peer: about.domain, action: 'condition_met', condition, reason: 'it came' } as const;
        assert.ok((await by.node().trust.order(met, 'officer:test')).ok);
        await until('the other side knows', () => about.node().trust.parts.board.chain(by.domain).sequence === 1);
      }
      const ann = await person(alpha, 'ann@alpha.example');
      const bob = await device(bravo, 'bob@bravo.example');
      lapse();
      await bob.reconnect();
      const id = await until('a connection with fresh keys', async () => {
        const created = await ann.client.createConversation({ users: [bob.user], label: 'confidential' });
        if (!created.ok) assert.equal(created.error.code, 'no_route');
        return created.ok ? created.value : undefined;
      });
      assert.ok((await ann.client.send(id, 'still cleared')).ok);
      await bob.conversation(id).read('still cleared');
    },
    withLapse,
  );
});

// ---- inside one organisation ----

test("inside an organisation its own ceiling counts: the device's word of it and the server's, each alone", async () => {
  await levels(
    ['alpha.example'],
    async ({ server, person, device }) => {
      const alpha = server(0);
      const ann = await person(alpha, 'ann@alpha.example');
      const amy = await device(alpha, 'amy@alpha.example');
      await assert.rejects(amy.create([ann.user], 'confidential', 'verified'), /label_not_allowed/);
      alpha.node().trust.decide = () => ({ kind: 'allow', level: 'nato', natoCapable: true });
      const created = await ann.client.createConversation({ users: [amy.user], label: 'confidential' });
      assert.equal(created.ok ? 'created' : created.error.code, 'label_not_allowed');
    },
    { ownLevel: 'basic' },
  );
});
