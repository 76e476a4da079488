import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { nodeCrypto, nodeRandom } from '@norc/crypto/node';
import { type Domain, domainOf, parseUserAddress } from '@norc/protocol/base';
import { entryFromWire, genesisHead, linkEntry, type NorcFBody } from '@norc/protocol/norc-f';
import { mustBe } from '@norc/testkit';
import { newId, type TestConversation, TestDevice, type TestServer, TestServers, until } from '@norc/testkit/live';

type Entry = NorcFBody<'message_relay'>['entries'][number];
type Item = NorcFBody<'message_submit'>['items'][number];

let world: TestServers;
let alpha: TestServer;
let bravo: TestServer;
let carol: TestServer;
let ann: TestDevice;
let bob: TestDevice;
let atAnn: TestConversation;
let atBob: TestConversation;
let said = 0;

before(async () => {
  world = await TestServers.start('alpha.example', 'bravo.example', 'carol.example');
  [alpha, bravo, carol] = [world.at(0), world.at(1), world.at(2)];
  await world.trust(alpha, bravo);
  await world.trust(alpha, carol);
  ann = await TestDevice.enrol(alpha, 'ann@alpha.example', { stock: 20 });
  bob = await TestDevice.enrol(bravo, 'bob@bravo.example', { stock: 20 });
});
after(() => world.dispose());

/** Alpha is the hub, and will misbehave towards bravo, or bravo towards it. */
beforeEach(async () => {
  atAnn = await ann.create([bob.user]);
  atBob = bob.conversation(atAnn.id);
  await atBob.inEpoch(1);
  await goesOn();
});

/** The two people talk, whatever their servers tried. */
async function goesOn(): Promise<void> {
  said += 1;
  await atAnn.say(`there ${said}`);
  await atBob.read(`there ${said}`);
  await atBob.say(`back ${said}`);
  await atAnn.read(`back ${said}`);
  for (const server of world.all) assert.deepEqual(server.faults, []);
}

async function relay(entries: readonly Entry[], route: readonly Domain[] = [alpha.domain], from = alpha) {
  const body = { conversation: atAnn.id, route, entries };
  const answer = await from.node().links.request(bravo.domain, 'interactive', { type: 'message_relay', body });
  if (!answer.ok) return answer.error.code;
  return answer.value.type === 'relay_ack' ? answer.value.body.seq : answer.value.type;
}

async function held(server: TestServer) {
  const row = await server.node().store.read.conversation(atAnn.id);
  return { seq: row?.headSeq ?? 0, hash: row?.headHash ?? new Uint8Array(), epoch: row?.epoch ?? 0 };
}

/** Both have the whole log, and the hub knows: nothing else is under way. */
async function level(): Promise<{ readonly seq: number; readonly hash: Uint8Array }> {
  return await until('both servers are level', async () => {
    const [a, b] = await Promise.all([held(alpha), held(bravo)]);
    return a.seq === b.seq && a;
  });
}

async function forge(changes: Partial<Parameters<typeof linkEntry>[2]>): Promise<Entry> {
  const head = await level();
  const { body, messageId } = await atAnn.encrypt('forged');
  const content = {
    ...{
      kind: 'application' as const,
      messageId,
      sender: ann.deviceId,
      senderUser: ann.user,
      body,
      label: 'unclassified' as const,
    },
    ...{ epoch: 1, welcome: new Uint8Array(), storedAt: entryFromWire(await entryOf(1)).storedAt },
    ...changes,
  };
  const entry = linkEntry(nodeCrypto, { conversation: atAnn.id, ...head }, content);
  return wire(entry);
}

function wire(entry: ReturnType<typeof linkEntry>): Entry {
  const { seq, kind, sender, epoch, label, body, hash } = entry;
  return {
    ...{ seq, kind, sender, epoch, label, body, hash, message_id: entry.messageId, sender_user: entry.senderUser },
    ...{ welcome_hash: entry.welcomeHash, stored_at: entry.storedAt },
  };
}

async function entryOf(seq: number): Promise<Entry> {
  const [row] = await alpha.node().store.read.entries(atAnn.id, seq - 1, 1, 1);
  assert.ok(row !== undefined);
  return { ...wire(row as ReturnType<typeof linkEntry>) }; // as the hub stored it
}

async function refusedByFollower(
  code: string | readonly string[],
  entries: readonly Entry[],
  route?: readonly Domain[],
) {
  const before = await level();
  const answer = await relay(entries, route);
  assert.ok([code].flat().includes(String(answer)), `${answer}`);
  assert.deepEqual((await held(bravo)).hash, before.hash, 'nothing was stored');
  await goesOn();
}

test('a hub that shows another history is caught', async () => {
  const genesis = genesisHead(nodeCrypto, atAnn.id, alpha.domain);
  const first = entryFromWire(await entryOf(2));
  const other = linkEntry(nodeCrypto, { ...genesis, seq: 1 }, { ...first, messageId: newId() });
  await refusedByFollower('log_fork', [wire(other)]);
  const notes = () => bravo.lines.filter(({ event }) => event.includes('relay_refused'));
  assert.ok(notes().length > 0, 'the operator is told');
});

test('an entry with a wrong hash is refused', async () => {
  const entry = await forge({});
  await refusedByFollower('log_fork', [{ ...entry, hash: nodeRandom.bytes(32) }]);
});

test('an entry after a gap is asked for again, not taken', async () => {
  const entry = await forge({});
  const before = await level();
  const answer = await relay([{ ...entry, seq: entry.seq + 3 }]);
  assert.ok(answer === before.seq || answer === 'log_gap', String(answer));
  assert.equal((await held(bravo)).seq, before.seq);
  await goesOn();
});

test('a commit that nobody made is refused', async () => {
  const { commit } = await atAnn.draftCommit({ update: true });
  const spoiled = commit.map((byte, i) => (i === commit.length >> 1 ? byte ^ 1 : byte));
  await atAnn.abort();
  const entry = await forge({ kind: 'commit', body: spoiled });
  await refusedByFollower(['commit_invalid', 'signature_invalid', 'malformed', 'credential_invalid'], [entry]);
});

test('a hub cannot put words into the mouth of somebody who is no member', async () => {
  await refusedByFollower('forbidden', [await forge({ sender: newId() })]);
  await refusedByFollower('forbidden', [await forge({ senderUser: bob.user })]);
});

test('a hub cannot lower the label', async () => {
  const refused = await relay([await forge({ label: 'official_use_only' })]);
  assert.notEqual(typeof refused, 'number');
  await goesOn();
});

test('a relay by another road than from its hub is refused', async () => {
  const entry = await forge({});
  await refusedByFollower(
    ['loop', 'forbidden', 'no_route', 'ttl_expired', 'malformed'],
    [entry],
    [carol.domain, alpha.domain],
  );
  await refusedByFollower(
    ['loop', 'forbidden', 'no_route', 'ttl_expired', 'malformed'],
    [entry],
    [alpha.domain, bravo.domain],
  );
  await refusedByFollower(['loop', 'forbidden', 'no_route', 'ttl_expired', 'malformed'], [entry], []);
});

test('entries of a conversation that the follower is not in are refused', async () => {
  const own = await ann.create([]);
  const body = { conversation: own.id, route: [alpha.domain], entries: [await entryOf(1)] };
  const answer = await alpha.node().links.request(bravo.domain, 'interactive', { type: 'message_relay', body });
  assert.ok(!answer.ok && answer.error.code === 'forbidden');
  assert.equal(await bravo.node().store.read.conversation(own.id), undefined);
  await goesOn();
});

async function submit(from: TestServer, changes: Partial<Item>): Promise<string> {
  const { body, messageId } = await atBob.encrypt('by a hostile follower');
  const item: Item = {
    ...{
      conversation: atAnn.id,
      message_id: messageId,
      kind: 'application',
      sender: bob.deviceId,
      sender_user: bob.user,
    },
    ...{ body, route: [from.domain] },
    ...changes,
  };
  const request = { type: 'message_submit', body: { items: [item] } } as const;
  const answer = await from.node().links.request(alpha.domain, 'interactive', request);
  if (!answer.ok) return answer.error.code;
  return answer.value.type === 'submit_result' ? (answer.value.body.items[0]?.status ?? '') : answer.value.type;
}

const eve = mustBe(parseUserAddress('eve@bravo.example'));

test('a follower speaks for its own members only', async () => {
  const before = await level();
  assert.equal(await submit(bravo, { sender: ann.deviceId, sender_user: ann.user }), 'refused');
  assert.equal(await submit(bravo, { sender: bob.deviceId, sender_user: eve }), 'refused');
  assert.equal(await submit(bravo, { sender: newId(), sender_user: eve }), 'refused');
  assert.equal(await submit(bravo, { route: [carol.domain] }), 'refused');
  assert.equal(await submit(bravo, { message_id: newId() }), 'refused');
  assert.equal(await submit(bravo, { body: nodeRandom.bytes(50) }), 'refused');
  assert.equal(await submit(bravo, { kind: 'proposal' }), 'refused');
  assert.equal(await submit(bravo, { kind: 'commit' }), 'refused');
  assert.equal((await held(alpha)).seq, before.seq);
  await goesOn();
});

test('a partner that is not in the conversation cannot write to it, nor mark it as read', async () => {
  const before = await level();
  assert.equal(await submit(carol, {}), 'refused');
  const cat = mustBe(parseUserAddress('cat@carol.example'));
  assert.equal(domainOf(cat), carol.domain);
  assert.equal(await submit(carol, { sender_user: cat }), 'refused');
  await alpha.node().delivery.acceptDelivered(carol.domain, [{ conversation: atAnn.id, user: cat, seq: 1 }]);
  await alpha.node().delivery.acceptDelivered(carol.domain, [{ conversation: atAnn.id, user: bob.user, seq: 1 }]);
  assert.equal((await held(alpha)).seq, before.seq);
  await goesOn();
  assert.equal(ann.deliveredTo(atAnn.id, cat), 0);
});

test('the same submission sent twice over the link is ordered once', async () => {
  const { body, messageId } = await atBob.encrypt('twice over the link');
  const answers = [
    await submit(bravo, { body, message_id: messageId }),
    await submit(bravo, { body, message_id: messageId }),
  ];
  assert.deepEqual(answers, ['ordered', 'duplicate']);
  await atAnn.read('twice over the link');
  await goesOn();
});
