import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ConversationId, instant, type Label, TRUST_REASONS } from '@norc/protocol/base';
import type { GrantedLevel } from '@norc/protocol/norc-t';
import * as testkit from '@norc/testkit';
import { readHeader } from '../testing/fake-hub.ts';
import { standardWorld } from '../testing/standard-world.ts';
import { must, type TestDevice, type TestWorld } from '../testing/world.ts';
import { en, plainContext } from '../timeline/messages-en.ts';

const alpha = testkit.testOrganisation('alpha.example');
const bravo = testkit.testOrganisation('bravo.example');

interface Scene {
  readonly world: TestWorld;
  readonly anna: TestDevice;
  readonly bruno: TestDevice;
  readonly id: ConversationId;
}

async function scene(seed: string): Promise<Scene> {
  const world = standardWorld(testkit, { seed });
  const anna = await world.device('anna@alpha.example');
  const bruno = await world.device('bruno@bravo.example');
  const id = await anna.creates([bruno]);
  await anna.says(id, 'first');
  return { world, anna, bruno, id };
}

/** From now on a device's server says this of the other organisation, and tells it that something changed. */
async function tells(
  { world }: Scene,
  device: TestDevice,
  about: typeof bravo,
  says: Exclude<GrantedLevel, 'nato'> | 'stale' | 'suspended' | 'revoked',
): Promise<void> {
  const server = world.server(device.user);
  const reason = says === 'stale' || says === 'suspended' || says === 'revoked' ? TRUST_REASONS[says] : undefined;
  const own = about === bravo ? alpha : bravo;
  server.mischief.answer = (_message, answer) => {
    if (answer.type !== 'org_response' || answer.body.domain !== about.domain) return answer;
    if (reason !== undefined) {
      return { type: 'org_response', body: { domain: about.domain, level: 'untrusted', reason: reason.number } };
    }
    const level = says as GrantedLevel; // not a reason
    const pair = [
      testkit.testTrustCertificate(own, about, { level }),
      testkit.testTrustCertificate(about, own, { level }),
    ];
    const [trust_certificate, received_certificate] = pair.map(({ document }) => document.bytes);
    return {
      type: 'org_response',
      body: {
        ...{ domain: about.domain, level: 'nato', issuer_certificate: own.certificate.bytes },
        ...(trust_certificate === undefined ? {} : { trust_certificate }),
        ...(received_certificate === undefined ? {} : { received_certificate }),
      },
    };
  };
  const state = reason === undefined ? 'changed' : reason.name === 'stale' ? 'stale' : 'ended';
  const body = {
    domain: about.domain,
    level: 'basic',
    state,
    text: 'Something changed.',
    at: world.time.now(),
  } as const;
  for (const session of server.sessions) session.push({ type: 'trust_notice', body });
  await world.settle();
}

/** What Anna's own messages are shown with, in order. */
async function states({ anna, id }: Scene): Promise<readonly string[]> {
  const view = await anna.client.timeline(id, { limit: 100 });
  const context = plainContext(anna.user, () => '10:14');
  return (view?.items ?? []).flatMap((item) =>
    item.type === 'message' && item.state !== undefined ? [en.state(item.state, context)] : [],
  );
}

for (const [reason, sentence] of [
  [
    'stale',
    /^Waiting: Nothing was heard from bravo\.example about blocked partners for too long\. Your message is kept/,
  ],
  ['suspended', /^Waiting: Trust with bravo\.example is suspended\. Your message is kept/],
  ['revoked', /^Waiting: This conversation is paused until a blocked member is removed/],
] as const) {
  test(`[DEV-14] ${reason}: a message waits on the device, says why, and goes when trust is back`, async () => {
    const play = await scene(reason);
    await tells(play, play.anna, bravo, reason);
    const before = play.world.server(play.anna.user).log.filter((type) => type === 'message_send').length;
    await play.anna.says(play.id, 'second');
    await play.anna.says(play.id, 'third');
    await play.world.advance(30_000);
    const sent = play.world.server(play.anna.user).log.filter((type) => type === 'message_send').length;
    assert.equal(sent, before, 'not a byte of it left');
    const shown = await states(play);
    assert.match(shown[1] ?? '', sentence);
    await tells(play, play.anna, bravo, 'basic');
    await play.world.advance(30_000);
    assert.deepEqual(await play.bruno.shown(play.id), ['first', 'second', 'third']);
    assert.ok((await states(play)).every((one) => one === 'Delivered' || one === 'Sent'));
    assert.deepEqual(play.anna.faults, []);
    await play.world.close();
  });
}

/** Anna's program is patched: it marks what it says here as it likes, and its server and the hub let it. */
async function saysUnder(play: Scene, label: Label, text: string): Promise<void> {
  const { world, anna, id } = play;
  const row = await anna.store.read.conversation(id);
  assert.ok(row !== undefined);
  const { cursorSeq: _seq, cursorHash: _hash, readSeq: _read, ...details } = row;
  await anna.store.transact([{ op: 'conversation.put', conversation: { ...details, label } }]);
  await anna.crash();
  await tells(play, anna, bravo, 'classified');
  const { deviceId: sender, user: senderUser } = anna.enrolled;
  world.server(anna.user).mischief.request = ({ type, body }) => {
    if (type !== 'message_send') return undefined;
    const log = world.hub.logs.get(id);
    const { messageId } = must(readHeader(body.body)).authenticatedData;
    world.hub.inject(id, {
      ...{ kind: 'application', messageId, sender, senderUser, label, body: body.body },
      ...{ epoch: log?.state.epoch ?? 1, welcome: new Uint8Array(), storedAt: instant(world.time.now()) },
    });
    return 'silence';
  };
  must(await anna.client.send(id, text));
  await world.settle();
}

test('[DEV-15] a message above the floor, by a member that marks as it likes, is opened, not shown, and passed over', async () => {
  const play = await scene('above the floor');
  await saysUnder(play, 'secret', 'between us');
  const warned = play.bruno.warnings.map(({ warning, problem }) => [warning, problem.cause]);
  assert.deepEqual(warned, [['message_withheld', 'trust.withheld']]);
  assert.deepEqual(await play.bruno.shown(play.id), ['first', '[trust.withheld]']);
  const rows = (await play.bruno.store.read.timeline(play.id, { limit: 10 })).rows;
  assert.ok(!JSON.stringify(rows).includes('between us'), 'nor stored');
  await play.bruno.says(play.id, 'did you say something?');
  assert.deepEqual(await play.bruno.shown(play.id), ['first', '[trust.withheld]', 'did you say something?']);
  assert.deepEqual(play.bruno.faults, []);
  await play.world.close();
});

test('[DEV-7] a message under a lower label than the conversation’s, or another that the pair carries, is tampered with', async () => {
  const play = await scene('another label');
  await saysUnder(play, 'official_use_only', 'relabelled');
  assert.deepEqual(await play.bruno.shown(play.id), ['first', '[key.tampered]']);
  await play.world.close();
});
