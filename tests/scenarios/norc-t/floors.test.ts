import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConversationId } from '@norc/protocol/base';
import { refusalOf, type TestDevice, type TestServer, until } from '@norc/testkit/live';
import { allowEverything, type LevelsScene, levels } from './levels-world.ts';

/**
 * A conversation at `verified`, begun at alpha with somebody of bravo. Somebody of carol, whom alpha, or
 * bravo, knows at `basic` only, is to come in: refused by everybody who sees it, each alone, and
 * never by making the conversation a lower one.
 */

const THREE = ['alpha.example', 'bravo.example', 'carol.example'] as const;

interface Floor extends LevelsScene {
  readonly alpha: TestServer;
  readonly bravo: TestServer;
  readonly carol: TestServer;
}

/** `lower`: whose trust with carol is basic; the other pairs are verified. */
async function floor(lower: 'alpha' | 'bravo', run: (scene: Floor) => Promise<void>): Promise<void> {
  await levels(THREE, async (scene) => {
    const [alpha, bravo, carol] = [scene.server(0), scene.server(1), scene.server(2)];
    await scene.trust(alpha, bravo, 'verified');
    await scene.trust(alpha, carol, lower === 'alpha' ? 'basic' : 'verified');
    await scene.trust(bravo, carol, lower === 'bravo' ? 'basic' : 'verified');
    await run({ ...scene, alpha, bravo, carol });
  });
}

async function stored(server: TestServer, id: ConversationId) {
  const row = await server.node().store.read.conversation(id);
  return row === undefined ? undefined : { headSeq: row.headSeq, label: row.label, floor: row.floor };
}

/** Ann adds whoever it is, with a device that asks nobody: the server's answer. */
async function forceIn(ann: TestDevice, id: ConversationId, user: string) {
  const { packages } = await ann.claim(user);
  const at = ann.conversation(id);
  const reply = await at.submitCommit(await at.draftCommit({ add: packages.map((one) => one.key_package) }));
  return reply.type === 'message_ack' ? reply.body.state : refusalOf(reply);
}

function isRefused(server: TestServer, code: string) {
  return until(`${server.domain} refuses: ${code}`, () =>
    server.lines.some(
      ({ event, about }) =>
        event.endsWith('refused') &&
        typeof about === 'object' &&
        about !== null &&
        'code' in about &&
        about.code === code,
    ),
  );
}

test('[DEV-16] the device of who adds refuses somebody below the floor, with the reason, and the conversation stays as it was', async () => {
  await floor('alpha', async ({ alpha, bravo, carol, person, device }) => {
    const ann = await person(alpha, 'ann@alpha.example');
    const bob = await device(bravo, 'bob@bravo.example');
    const carl = await device(carol, 'carl@carol.example');
    const created = await ann.client.createConversation({ users: [bob.user], label: 'unclassified' });
    assert.ok(created.ok);
    for (const one of [alpha, bravo, carol]) allowEverything(one);
    const before = await stored(alpha, created.value);
    assert.equal(before?.floor, 'verified', 'the lowest of its pairs, above what its label needs');
    const added = await ann.client.addParticipants(created.value, [carl.user]);
    assert.ok(!added.ok);
    assert.equal(added.error.code, 'below_floor');
    assert.deepEqual(added.error.problem, {
      ...{ cause: 'trust.below_floor', org: carol.domain, level: 'basic', floor: 'verified' },
    });
    assert.deepEqual(await stored(alpha, created.value), before);
    assert.ok((await ann.client.send(created.value, 'and on')).ok);
    await bob.conversation(created.value).read('and on');
  });
});

test('[F-15] the hub refuses somebody below the floor', async () => {
  await floor('alpha', async ({ alpha, bravo, carol, device }) => {
    const ann = await device(alpha, 'ann@alpha.example');
    const bob = await device(bravo, 'bob@bravo.example');
    const carl = await device(carol, 'carl@carol.example');
    const begun = await ann.create([bob.user], 'unclassified', 'verified');
    for (const one of [bravo, carol]) allowEverything(one);
    const before = await stored(alpha, begun.id);
    assert.equal(await forceIn(ann, begun.id, carl.user), 'below_floor');
    assert.deepEqual(await stored(alpha, begun.id), before);
    assert.equal(await stored(carol, begun.id), undefined);
  });
});

test('[F-34] a follower freezes when somebody below the floor was let in, and says nothing until they are out', async () => {
  await floor('bravo', async ({ alpha, bravo, carol, device }) => {
    const ann = await device(alpha, 'ann@alpha.example');
    const bob = await device(bravo, 'bob@bravo.example');
    const carl = await device(carol, 'carl@carol.example');
    const begun = await ann.create([bob.user], 'unclassified', 'verified');
    const at = bob.conversation(begun.id);
    await at.inEpoch(1);
    for (const one of [alpha, carol]) allowEverything(one);
    assert.equal(await forceIn(ann, begun.id, carl.user), 'sent');
    await at.inEpoch(2);
    await carl.conversation(begun.id).inEpoch(2);
    const { body } = await at.encrypt('in front of carl');
    assert.equal(refusalOf(await at.trySubmit(body)), 'conversation_frozen');
    const { floor: kept, frozen } = (await bravo.node().store.read.conversation(begun.id)) ?? assert.fail();
    assert.deepEqual([kept, frozen], ['verified', true]);
    await begun.remove(carl.user);
    await at.inEpoch(3);
    await at.say('among us again');
    await begun.read('among us again');
    assert.ok(!carl.conversation(begun.id).readTexts.includes('in front of carl'));
  });
});

test('[F-35] the server of who is below the floor does not take the conversation in', async () => {
  await floor('alpha', async ({ alpha, bravo, carol, device }) => {
    const ann = await device(alpha, 'ann@alpha.example');
    const bob = await device(bravo, 'bob@bravo.example');
    const carl = await device(carol, 'carl@carol.example');
    const begun = await ann.create([bob.user], 'unclassified', 'verified');
    for (const one of [alpha, bravo]) allowEverything(one);
    assert.equal(await forceIn(ann, begun.id, carl.user), 'sent');
    await isRefused(carol, 'below_floor');
    assert.equal(await stored(carol, begun.id), undefined);
    assert.equal(carl.conversation(begun.id).seq, 0);
  });
});

test("[DEV-16] every other member's device says who came in below the floor, and sends nothing more", async () => {
  await floor('bravo', async ({ alpha, bravo, carol, person, device }) => {
    const ann = await device(alpha, 'ann@alpha.example');
    const bob = await person(bravo, 'bob@bravo.example');
    const carl = await device(carol, 'carl@carol.example');
    const begun = await ann.create([bob.user], 'unclassified', 'verified');
    await begun.say('among us');
    await bob.sees(begun.id, 'among us');
    for (const one of [alpha, bravo, carol]) allowEverything(one);
    assert.equal(await forceIn(ann, begun.id, carl.user), 'sent');
    const warned = await bob.warned('group_refused');
    assert.deepEqual(warned.problem, {
      ...{ cause: 'trust.below_floor', org: carol.domain, level: 'basic', floor: 'verified' },
    });
    assert.ok((await bob.shown(begun.id)).includes('<below_floor>'));
    const sent = await bob.client.send(begun.id, 'in front of carl');
    assert.equal(sent.ok ? 'sent' : sent.error.code, 'conversation_frozen');
    await carl.conversation(begun.id).inEpoch(2);
    const view = await bob.client.timeline(begun.id);
    assert.deepEqual([view?.level, view?.label], ['verified', 'unclassified']);
  });
});

test('[DEV-16] the device of who comes in checks floor, hub and members against its own anchors', async () => {
  await floor('bravo', async ({ alpha, bravo, carol, person, device }) => {
    const ann = await device(alpha, 'ann@alpha.example');
    const bob = await device(bravo, 'bob@bravo.example');
    const carl = await person(carol, 'carl@carol.example');
    for (const one of [alpha, bravo, carol]) allowEverything(one);
    const begun = await ann.create([bob.user], 'unclassified', 'verified');
    assert.equal(await forceIn(ann, begun.id, carl.user), 'sent');
    const warned = await carl.warned('group_refused');
    assert.deepEqual(warned.problem, {
      ...{ cause: 'trust.below_floor', org: bravo.domain, level: 'basic', floor: 'verified' },
    });
    assert.deepEqual(await carl.client.conversations(), []);
  });
});

test('[TRUST-3] [F-11] nobody writes under another label than the conversation has, a lower one or a higher', async () => {
  await floor('alpha', async ({ alpha, bravo, device }) => {
    const ann = await device(alpha, 'ann@alpha.example');
    const bob = await device(bravo, 'bob@bravo.example');
    const begun = await ann.create([bob.user], 'official_use_only', 'verified');
    const at = bob.conversation(begun.id);
    await at.inEpoch(1);
    for (const [one, label] of [
      [begun, 'unclassified'],
      [begun, 'confidential'],
      [at, 'unclassified'],
    ] as const) {
      one.label = label;
      const { body } = await one.encrypt('quietly');
      assert.equal(refusalOf(await one.trySubmit(body)), 'label_not_allowed');
      one.label = 'official_use_only';
    }
    await begun.say('as it was');
    await at.read('as it was');
  });
});
