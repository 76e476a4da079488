import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { nodeClock, nodeRandom } from '@norc/crypto/node';
import { type Clock, type Domain, instant, MESSAGE_TYPES, parseUserAddress } from '@norc/protocol/base';
import type { MessageContent } from '@norc/protocol/norc-c';
import type { NorcFMessage } from '@norc/protocol/norc-f';
import { defaultPolicy } from '@norc/protocol/norc-t';
import { rotateRootKey } from '@norc/server';
import { mustBe } from '@norc/testkit';
import {
  newId,
  refusalOf,
  type TestConversation,
  TestDevice,
  TestLink,
  type TestServer,
  TestServers,
  until,
} from '@norc/testkit/live';

/**
 * After trust ended no byte leaves, on any path, in either direction. Every frame between the two
 * servers is written down on the way (LinkTap), from before the end is ordered; what may still go is what
 * ends or renews trust, and the handshake that carries it.
 */

const OFFICER = 'officer:test';
const WORLD = { clock: nodeClock, random: nodeRandom };
const MINUTE = 60_000;
const CONTROL: ReadonlySet<string> = new Set([
  ...['hello', 'federation_auth', 'federation_ready', 'session_key_exchange', 'error'],
  ...['trust_revoke', 'trust_revoke_ack', 'trust_status'],
  ...['trust_capabilities', 'trust_request', 'trust_challenge', 'trust_response', 'trust_decision'],
  'trust_acknowledgment',
]);

/** How trust ends, or stops to carry what the conversations hold. */
type End = 'revoked here' | 'revoked there' | 'suspended' | 'stale' | 'downgraded';
const ENDS: readonly End[] = ['revoked here', 'revoked there', 'suspended', 'stale', 'downgraded'];

interface Side {
  readonly server: TestServer;
  readonly device: TestDevice;
  /** The conversation whose hub is here, and the other one, as this side's device has them. */
  readonly own: TestConversation;
  readonly theirs: TestConversation;
  /** Sealed while it was allowed. */
  readonly sealed: Readonly<Record<string, Uint8Array>>;
  /** A KeyPackage of the other side's person, claimed while it was allowed. */
  readonly claimed: Uint8Array;
}

class Border {
  readonly servers: TestServers;
  readonly sides: readonly [Side, Side];
  #mark: number;

  private constructor(servers: TestServers, sides: readonly [Side, Side], mark: number) {
    this.servers = servers;
    this.sides = sides;
    this.#mark = mark;
  }

  /** Without an end: it is the test's to bring, after `begin`. */
  static async after(end: End | undefined): Promise<Border> {
    let offset = 0;
    const clock = { now: () => instant(nodeClock.now() + offset) };
    const servers = await TestServers.start(
      { domains: ['alpha.example'], clock, tapped: true },
      { domains: ['bravo.example'], clock, tapped: true },
    );
    try {
      const sides = await twoSides(servers, clock);
      const { mark } = servers.tap;
      const carried = servers.tap.since(0).join();
      for (const kind of ['message_relay', 'message_submit', 'delivery_ack', 'key_claim', 'conversation_announce'])
        assert.match(carried, new RegExp(kind), 'while trust was in force, everything went by here');
      if (end !== undefined) {
        await bring(end, servers.at(0), servers.at(1), (milliseconds) => {
          offset += milliseconds;
        });
      }
      return new Border(servers, sides, mark);
    } catch (error) {
      await servers.dispose();
      throw error;
    }
  }

  /** Both ways, one after the other; nothing but control has gone by since the end was ordered. */
  async tryBothWays(attempt: (from: Side, to: Side) => Promise<void>): Promise<void> {
    const [alpha, bravo] = this.sides;
    for (const [from, to] of [
      [alpha, bravo],
      [bravo, alpha],
    ] as const) {
      await attempt(from, to);
      await from.device.idle();
      await to.device.idle();
    }
    await passed();
    this.assertQuiet();
  }

  begin(): void {
    this.#mark = this.servers.tap.mark;
  }

  /** `from`: one side alone, where the other one cannot know yet. */
  assertQuiet(from = ''): void {
    const said = this.servers.tap.since(this.#mark).filter((one) => one.startsWith(from));
    const leaked = said.filter((one) => !CONTROL.has(one.slice(one.indexOf(': ') + 2)));
    assert.deepEqual(leaked, []);
  }
}

/** Trust at `verified`, and a conversation each way. */
async function twoSides(servers: TestServers, clock: Clock): Promise<readonly [Side, Side]> {
  const [alpha, bravo] = [servers.at(0), servers.at(1)];
  const { levels } = defaultPolicy();
  const verified = { ...levels.verified, evidence: levels.basic.evidence, scoreMin: 0 };
  for (const one of servers.all) await one.node().trust.setPolicy(defaultPolicy({ levels: { ...levels, verified } }));
  await servers.trust(alpha, bravo, 'verified');
  const ann = await TestDevice.enrol(alpha, 'ann@alpha.example', { clock });
  const bob = await TestDevice.enrol(bravo, 'bob@bravo.example', { clock });
  const [atAlpha, atBravo] = [await begin(ann, bob), await begin(bob, ann)];
  const sides = [
    await side(alpha, ann, atAlpha, ann.conversation(atBravo.id), bob),
    await side(bravo, bob, atBravo, bob.conversation(atAlpha.id), ann),
  ] as const;
  await settled(servers, sides);
  return sides;
}

/** At `verified`, with something that the other side's device holds and did not acknowledge. */
async function begin(creator: TestDevice, invited: TestDevice): Promise<TestConversation> {
  const begun = await creator.create([invited.user], 'confidential', 'verified');
  const at = invited.conversation(begun.id);
  await at.inEpoch(1);
  await begun.say('before');
  await at.read('before');
  await at.say('and an answer');
  await begun.read('and an answer');
  return begun;
}

async function side(
  server: TestServer,
  device: TestDevice,
  own: TestConversation,
  theirs: TestConversation,
  other: TestDevice,
): Promise<Side> {
  const sealed: Record<string, Uint8Array> = {};
  for (const [where, at] of [
    ['own', own],
    ['theirs', theirs],
  ] as const) {
    sealed[`text ${where}`] = (await at.encrypt('after the end')).body;
    const [target] = [newId()];
    for (const content of [
      { kind: 'receipt', body: { targets: [target] } },
      { kind: 'typing', body: { active: true } },
    ] as const) {
      const messageId = newId();
      const whole = { ...content, message_id: messageId, sent_at: instant(nodeClock.now()) } as MessageContent;
      const data = { label: at.label, conversation: at.id, messageId };
      sealed[`${content.kind} ${where}`] = mustBe(await at.live.encrypt(whole, data));
    }
  }
  const [claimed] = (await device.claim(other.user)).packages;
  assert.ok(claimed !== undefined);
  return { server, device, own, theirs, sealed, claimed: claimed.key_package };
}

/** Delivery marks are a moment behind; what was said before is not what is looked for. */
async function settled(servers: TestServers, sides: readonly [Side, Side]): Promise<void> {
  for (const { device, own, theirs } of sides) {
    for (const at of [own, theirs]) {
      const others = sides.map((one) => one.device).filter((one) => one !== device);
      for (const { user } of others)
        await device.waitFor('marks', () => device.deliveredTo(at.id, user) >= Math.min(2, at.seq));
    }
    device.acknowledges = false;
  }
  for (const { device, own, theirs } of sides) {
    await own.say('not acknowledged yet');
    await theirs.say('nor this');
    await device.idle();
  }
  for (const { own, theirs } of sides) for (const at of [own, theirs]) await at.reached(5);
  let before = -1;
  await until('nothing is under way', async () => {
    await passed();
    const quiet = before === servers.tap.mark;
    before = servers.tap.mark;
    return quiet;
  });
}

/** Longer than marks are collected for, and relays are batched. */
function passed(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 250));
}

async function bring(end: End, alpha: TestServer, bravo: TestServer, pass: (ms: number) => void): Promise<void> {
  const ordered = async (by: TestServer, about: TestServer, action: 'revoke' | 'suspend' | 'downgrade') => {
    const level = action === 'downgrade' ? ({ level: 'basic' } as const) : {};
    mustBe(await by.node().trust.order({ peer: about.domain, action, reason: 'test', ...level }, OFFICER));
    await until('the other side knows', () => about.node().trust.level(by.domain) !== 'verified');
  };
  if (end === 'revoked here') await ordered(alpha, bravo, 'revoke');
  if (end === 'revoked there') await ordered(bravo, alpha, 'revoke');
  if (end === 'suspended') await ordered(alpha, bravo, 'suspend');
  if (end === 'downgraded') await ordered(alpha, bravo, 'downgrade');
  if (end === 'stale') {
    pass(11 * MINUTE);
    for (const one of [alpha, bravo]) one.node().trust.tick();
    assert.equal(alpha.node().trust.level(bravo.domain), 'untrusted');
  }
}

const isRefused = (reply: Parameters<typeof refusalOf>[0]) => assert.equal(reply.type, 'error', refusalOf(reply));

for (const end of ENDS) {
  suite(`${end}: nothing leaves`, () => {
    let border!: Border;
    before(async () => {
      border = await Border.after(end);
    });
    after(() => border?.servers.dispose());

    test('messages that the hub orders and relays', async () => {
      await border.tryBothWays(async ({ own, sealed }) => {
        // A hub may take its own people's word while its partner is merely stale: it keeps it.
        const reply = await own.trySubmit(sealed['text own'] ?? assert.fail());
        if (end !== 'stale') isRefused(reply);
      });
    });

    test('messages that are submitted to the hub', async () => {
      await border.tryBothWays(async ({ theirs, sealed }) => {
        const reply = await theirs.trySubmit(sealed['text theirs'] ?? assert.fail());
        if (end !== 'stale') isRefused(reply);
      });
    });

    for (const kind of ['receipt', 'typing'] as const) {
      test(`${kind === 'receipt' ? 'read receipts' : 'typing'}: messages like any other to a server`, async () => {
        await border.tryBothWays(async ({ own, theirs, sealed }) => {
          for (const [where, at] of [
            ['own', own],
            ['theirs', theirs],
          ] as const) {
            const reply = await at.trySubmit(sealed[`${kind} ${where}`] ?? assert.fail());
            if (end !== 'stale') isRefused(reply);
          }
        });
      });
    }

    test('[F-44] delivery marks', async () => {
      await border.tryBothWays(async ({ device, own, theirs }, to) => {
        const known = to.device.deliveredTo(own.id, device.user);
        for (const at of [own, theirs]) device.acknowledge(at.id, at.seq);
        await passed();
        assert.equal(to.device.deliveredTo(own.id, device.user), known);
      });
    });

    test('catch-up: old entries, whoever looks for them again', async () => {
      await border.tryBothWays(async ({ server, device, own }, to) => {
        const head = (await to.server.node().store.read.conversation(own.id))?.headSeq;
        await server.node().delivery.linkUp(to.server.domain);
        server.node().links.wake(to.server.domain, 'more');
        await device.reconnect();
        const body = { conversation: own.id, after: 0 };
        assert.equal(
          (await device.session.request({ type: 'log_request', body })).type,
          'log_entries',
          'its own, here',
        );
        assert.equal((await to.server.node().store.read.conversation(own.id))?.headSeq, head);
      });
    });

    // Where trust is in force at a lower level, what that level carries goes on.
    if (end !== 'downgraded') {
      test('KeyPackages', async () => {
        await border.tryBothWays(async ({ device }, to) => {
          const stock = await to.server.node().directory.keyStock(to.device.deviceId);
          await assert.rejects(device.claim(to.device.user), /trust_revoked|not_trusted|trust_stale/);
          assert.equal(await to.server.node().directory.keyStock(to.device.deviceId), stock);
        });
      });

      test('look-ups: what a device asks of the other organisation its own server answers', async () => {
        await border.tryBothWays(async ({ device }, to) => {
          const { domain } = to.server;
          const told = await device.session.ask({ type: 'org_request', body: { domain } }, 'org_response');
          assert.equal(told.level, 'untrusted');
          assert.equal(told.trust_certificate, undefined);
          await assert.rejects(device.claim(`nobody@${domain}`), /trust_revoked|not_trusted|trust_stale/);
        });
      });
    }

    test('announcements of conversations, new ones and old ones that somebody joins', async () => {
      await border.tryBothWays(async (from, to) => {
        const id = newId<TestConversation['id']>();
        const { group } = await from.device.engine.createGroup({
          ...{ conversation: id, hub: from.server.domain, level: 'verified', identity: from.device.identity },
          hubSenders: [from.device.hubSender],
        });
        const fresh = from.device.conversation(id);
        fresh.group = group;
        fresh.label = 'confidential';
        const messageId = newId();
        const { commit, welcome, groupInfo } = await fresh.prepare(messageId, { add: [from.claimed] });
        const parts = { commit, welcome: welcome ?? new Uint8Array(), group_info: groupInfo };
        const body = { conversation: id, label: fresh.label, message_id: messageId, ...parts };
        isRefused(await from.device.session.request({ type: 'conversation_create', body }));
        assert.equal(await to.server.node().store.read.conversation(id), undefined);
      });
    });

    test('pings, the time, and the polls of every minute', async () => {
      await border.tryBothWays(async ({ server, device }) => {
        await device.session.ask({ type: 'time_sync', body: {} }, 'time_sync');
        await device.session.ask({ type: 'ping', body: {} }, 'pong');
        server.node().links.tick();
        if (end !== 'stale') await server.node().trust.poll();
      });
    });

    if (end !== 'downgraded' && end !== 'stale') {
      test('whatever the other server asks by hand, with its true keys: one answer', async () => {
        await border.tryBothWays(async (from, to) => {
          const link = await TestLink.dial(from.server, to.server);
          assert.equal(await link.hello(to.server), 'open');
          assert.equal((await link.prove()).type, 'federation_ready');
          const answers: string[] = [];
          for (const message of questions(from, to)) {
            const answer = await link.request('interactive', message);
            answers.push(answer.type === 'error' ? answer.body.name : answer.type);
          }
          for (const code of [MESSAGE_TYPES.presence_update, MESSAGE_TYPES.file_manifest, ...LOOK_UPS, 0x55]) {
            const answer = await link.requestCode('interactive', code, Uint8Array.of(0xa0));
            answers.push(answer.type === 'error' ? answer.body.name : answer.type);
          }
          assert.deepEqual(
            answers,
            answers.map(() => 'not_trusted'),
          );
          link.close();
        });
      });
    }
  });
}

const LOOK_UPS = [MESSAGE_TYPES.server_discovery, MESSAGE_TYPES.server_info, MESSAGE_TYPES.time_sync];

/** All that one server may ask another while trust is in force. */
function questions(from: Side, to: Side): readonly NorcFMessage[] {
  const { domain } = from.server;
  const route: readonly Domain[] = [domain];
  const sender = { sender: from.device.deviceId, sender_user: from.device.user };
  const conversation = to.own.id;
  const body = from.sealed['text theirs'] ?? new Uint8Array(1);
  return [
    {
      type: 'message_submit',
      body: { items: [{ ...sender, conversation, message_id: newId(), kind: 'application', body, route }] },
    },
    { type: 'message_relay', body: { conversation: from.own.id, route, entries: [] } },
    { type: 'delivery_ack', body: { updates: [{ conversation, user: from.device.user, seq: 2 }] } },
    { type: 'key_claim', body: { requester: from.device.user, users: [mustBe(parseUserAddress(to.device.user))] } },
    { type: 'ping', body: {} },
  ];
}

/** What was ordered while the other server was away, and is to be caught up with after the end. */
for (const end of ['revoke', 'suspend', 'downgrade'] as const) {
  test(`${end}: what waited for a server that was away stays where it is when it is back`, async () => {
    const border = await Border.after(undefined);
    await using servers = border.servers;
    const [alpha, bravo] = border.sides;
    await bravo.device.disconnect();
    await bravo.server.stop();
    await alpha.own.say('ordered while you were away');
    assert.equal((await alpha.theirs.say('queued for you')).state, 'queued');
    const level = end === 'downgrade' ? ({ level: 'basic' } as const) : {};
    const order = { peer: bravo.server.domain, action: end, reason: 'test', ...level } as const;
    mustBe(await alpha.server.node().trust.order(order, OFFICER));
    border.begin();
    await bravo.server.start();
    await until('it knows', () => bravo.server.node().trust.level(alpha.server.domain) !== 'verified');
    alpha.server.node().links.wake(bravo.server.domain, 'more');
    await bravo.device.connect();
    await passed();
    border.assertQuiet(alpha.server.domain);
    assert.deepEqual(bravo.device.conversation(alpha.own.id).readTexts.includes('ordered while you were away'), false);
    assert.ok(servers.tap.since(0).length > 0);
  });
}

test('a root key that was replaced is announced to partners, and to nobody with whom trust is over', async () => {
  const border = await Border.after('revoked there');
  await using servers = border.servers;
  const [{ server: alpha }, { server: bravo }] = border.sides;
  await border.sides[0].device.disconnect();
  await alpha.stop();
  const home = join(alpha.folder, alpha.domain);
  const { body } = await rotateRootKey(home, alpha.domain, WORLD, { reason: 'scheduled' });
  (alpha.rootKeys as Map<Domain, Uint8Array>).set(alpha.domain, body.new_root_key); // the test's own map
  await alpha.start();
  assert.ok(alpha.node().trust.parts.board.givenInForce(bravo.domain, nodeClock.now()).length > 0, 'ours stands');
  for (let minute = 0; minute < 2; minute += 1) await alpha.node().trust.poll();
  await passed();
  border.assertQuiet();
  assert.ok(servers.tap.since(0).length > 0);
});

test('presence, files and look-ups of servers, which are not there yet, are refused while trust is in force too', async () => {
  await using servers = await TestServers.start('alpha.example', 'bravo.example');
  const [alpha, bravo] = [servers.at(0), servers.at(1)];
  await servers.trust(alpha, bravo);
  const references = bravo.node().trust.references(alpha.domain) ?? assert.fail('trust');
  const link = await TestLink.dial(bravo, alpha);
  await link.hello(alpha, { trust: { issued: references.given, held: references.received } });
  await link.prove();
  for (const code of [MESSAGE_TYPES.presence_update, MESSAGE_TYPES.file_manifest, ...LOOK_UPS.slice(0, 2)]) {
    const answer = await link.requestCode('interactive', code, nodeRandom.bytes(8));
    assert.ok(answer.type === 'error' && answer.body.name === 'unsupported_type');
  }
  link.close();
  const ann = await TestDevice.enrol(alpha, 'ann@alpha.example');
  assert.ok(ann.session.isOpen);
});
