import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ConversationId, instant, utf8 } from '@norc/protocol/base';
import type { NorcCBody } from '@norc/protocol/norc-c';
import * as testkit from '@norc/testkit';
import { readHeader } from '../testing/fake-hub.ts';
import { standardWorld } from '../testing/standard-world.ts';
import { must, type TestDevice, type TestWorld } from '../testing/world.ts';

type Entries = NorcCBody<'log_entries'>;

interface Scene {
  readonly world: TestWorld;
  readonly anna: TestDevice;
  readonly bruno: TestDevice;
  readonly id: ConversationId;
}

/** Anna talks to Bruno, whose server or hub is dishonest. */
async function scene(seed: string): Promise<Scene> {
  const world = standardWorld(testkit, { seed });
  const anna = await world.device('anna@alpha.example');
  const bruno = await world.device('bruno@bravo.example');
  const id = await anna.creates([bruno]);
  await anna.says(id, 'first');
  return { world, anna, bruno, id };
}

/** What Bruno's server makes of every piece of log that Bruno gets. */
function bend({ world, bruno }: Scene, how: ((body: Entries) => Entries) | undefined): void {
  const { mischief } = world.server(bruno.user);
  if (how === undefined) delete mischief.entries;
  else mischief.entries = how;
}

const warningsOf = (device: TestDevice) => device.warnings.map(({ warning }) => warning);

test('an entry that comes twice, or out of its place, is one', async () => {
  const play = await scene('twice');
  bend(play, (body) => ({ ...body, entries: body.entries.flatMap((entry) => [entry, entry]) }));
  await play.anna.says(play.id, 'second');
  bend(play, (body) => ({ ...body, entries: body.entries.toReversed() }));
  await play.anna.client.send(play.id, 'third');
  await play.anna.client.send(play.id, 'fourth');
  await play.world.settle();
  bend(play, undefined);
  await play.world.advance(60_000);
  assert.deepEqual(await play.bruno.shown(play.id), ['first', 'second', 'third', 'fourth']);
  assert.deepEqual(warningsOf(play.bruno), []);
  await play.world.close();
});

test('an entry that is kept back is missed, asked for, and reported; nothing after it is taken', async () => {
  const play = await scene('withheld');
  bend(play, (body) => ({ ...body, entries: body.entries.filter(({ seq }) => seq !== 3) }));
  await play.anna.says(play.id, 'second');
  await play.anna.says(play.id, 'third');
  assert.deepEqual(await play.bruno.shown(play.id), ['first']);
  await play.world.advance(60_000);
  assert.deepEqual(warningsOf(play.bruno), ['log_withheld']);
  bend(play, undefined);
  await play.world.advance(60_000);
  assert.deepEqual(await play.bruno.shown(play.id), ['first', 'second', 'third']);
  await play.world.close();
});

test('two histories are noticed: at the place that is held, and in what follows it', async () => {
  for (const forged of [
    (entry: Entries['entries'][number]) => ({ ...entry, hash: utf8('another history of 32 bytes here') }),
    (entry: Entries['entries'][number]) => ({ ...entry, body: utf8('other words') }),
    (entry: Entries['entries'][number]) => ({ ...entry, sender_user: 'eve@bravo.example' as typeof entry.sender_user }),
  ]) {
    const play = await scene('fork');
    bend(play, (body) => ({ ...body, entries: body.entries.map(forged) }));
    await play.anna.says(play.id, 'second');
    assert.deepEqual(warningsOf(play.bruno), ['log_fork']);
    bend(play, undefined);
    await play.anna.says(play.id, 'third');
    await play.world.advance(60_000);
    assert.deepEqual(await play.bruno.shown(play.id), ['first'], 'nothing more is taken in this session');
    play.bruno.transport.cut();
    await play.world.advance(60_000);
    assert.deepEqual(await play.bruno.shown(play.id), ['first', 'second', 'third'], 'the true one still fits');
    await play.world.close();
  }
  const play = await scene('fork of the past');
  const held = play.world.hub.logs.get(play.id)?.entries[1] ?? assert.fail();
  bend(play, (body) => {
    const other = { ...held, hash: utf8('another history of 32 bytes here') };
    const { seq, kind, epoch, label, body: bytes, hash } = other;
    const sender = { sender: other.sender, sender_user: other.senderUser, message_id: other.messageId };
    const stored = { welcome_hash: other.welcomeHash, stored_at: other.storedAt };
    return { ...body, entries: [{ seq, kind, epoch, label, body: bytes, hash, ...sender, ...stored }] };
  });
  await play.anna.says(play.id, 'second');
  assert.deepEqual(warningsOf(play.bruno), ['log_fork']);
  await play.world.close();
});

test('what cannot be opened becomes a line with its cause, and the log goes on', async () => {
  const play = await scene('garbage');
  const { world, anna, bruno, id } = play;
  const real = world.hub.logs.get(id)?.entries[1] ?? assert.fail();
  const base = { ...real, label: 'unclassified', welcome: new Uint8Array(), storedAt: world.time.now() } as const;
  const other = (n: number) => ({ messageId: testkit.testId<typeof real.messageId>(`message ${n}`) });
  world.hub.inject(id, { ...base, ...other(1), body: utf8('no MLS message at all') });
  world.hub.inject(id, { ...base, ...other(2) }); // the envelope names another id
  world.hub.inject(id, { ...base }); // said before: no second line
  world.hub.inject(id, { ...base, ...other(3), kind: 'commit', body: utf8('no commit') });
  world.hub.inject(id, { ...base, ...other(4), kind: 'proposal', body: utf8('no proposal') });
  world.hub.inject(id, { ...base, ...other(5), epoch: 7 });
  await anna.says(id, 'second');
  const tampered = Array.from({ length: 5 }, () => '[key.tampered]');
  assert.deepEqual(await bruno.shown(id), ['first', ...tampered, 'second']);
  assert.deepEqual(bruno.faults, []);
  assert.equal((await bruno.store.read.conversation(id))?.cursorSeq, 9);
  await world.close();
});

test('words are shown under the name of whoever sealed them, and under no other', async () => {
  const play = await scene('names');
  const { world, anna, bruno, id } = play;
  const carla = await world.device('carla@bravo.example');
  const adding = anna.client.addParticipants(id, [carla.user]);
  await world.settle();
  assert.ok((await adding).ok);
  // The hub takes Carla's message out of the log and puts it in again as Anna's.
  world.server(carla.user).mischief.request = ({ type, body }) => {
    if (type !== 'message_send' || !('body' in body)) return undefined;
    const { deviceId: sender, user: senderUser } = anna.enrolled;
    const { messageId } = must(readHeader(body.body)).authenticatedData;
    world.hub.inject(id, {
      ...{ kind: 'application', messageId, sender, senderUser, epoch: 2, label: 'unclassified', body: body.body },
      ...{ welcome: new Uint8Array(), storedAt: instant(world.time.now()) },
    });
    return 'silence';
  };
  await carla.says(id, 'I resign');
  assert.deepEqual(await bruno.shown(id), ['first', '[key.tampered]']);
  await world.close();
});

test('a message of this device that this device never wrote is no message of this user', async () => {
  const { world, anna, bruno, id } = await scene('own');
  const real = world.hub.logs.get(id)?.entries[1] ?? assert.fail();
  const { deviceId: sender, user: senderUser } = bruno.enrolled;
  const messageId = testkit.testId<typeof real.messageId>('forged');
  world.hub.inject(id, { ...real, sender, senderUser, messageId, storedAt: world.time.now() });
  await anna.says(id, 'second');
  assert.deepEqual(await bruno.shown(id), ['first', '[device.storage_lost]', 'second']);
  await world.close();
});

test('an acknowledgment that lies about the order is checked against the log', async () => {
  const { world, anna, bruno, id } = await scene('lying ack');
  world.server(bruno.user).mischief.answer = (_message, answer) =>
    answer.type === 'message_ack'
      ? { type: 'message_ack', body: { ...answer.body, hash: utf8('not the hash of this, 32 bytes..') } }
      : answer;
  await bruno.says(id, 'mine');
  await anna.says(id, 'second');
  await world.advance(10_000);
  assert.deepEqual(await bruno.shown(id), ['first', 'mine', 'second']);
  assert.deepEqual(warningsOf(bruno), []);
  await world.close();
});

test('a Welcome that was kept back, or that does not open, is reported once and holds nothing up', async () => {
  const world = standardWorld(testkit, { seed: 'welcome' });
  const anna = await world.device('anna@alpha.example');
  const bruno = await world.device('bruno@bravo.example');
  world.server(bruno.user).mischief.entries = (body) => ({
    ...body,
    entries: body.entries.map(({ welcome: _welcome, ...entry }) => entry),
  });
  const id = await anna.creates([bruno]);
  await anna.says(id, 'hello?');
  await world.advance(1_000);
  assert.equal(await bruno.client.timeline(id), undefined);
  assert.deepEqual(warningsOf(bruno), ['log_withheld']);
  assert.equal(world.hub.logs.get(id)?.cursors.get(bruno.enrolled.deviceId), 2, 'the server does not wait');
  delete world.server(bruno.user).mischief.entries;
  const other = await anna.creates([bruno]);
  await anna.says(other, 'hello!');
  assert.deepEqual(await bruno.shown(other), ['hello!']);
  assert.deepEqual(bruno.faults, []);
  await world.close();
});

test('words that the hub put under an own message’s id are not shown as said', async () => {
  const play = await scene('exchanged');
  const { world, anna, bruno, id } = play;
  // The envelope of what Bruno sent, with other bytes in it.
  world.server(bruno.user).mischief.request = ({ type, body }) => {
    if (type !== 'message_send' || !('body' in body)) return undefined;
    const { epoch, authenticatedData } = must(readHeader(body.body));
    const { deviceId: sender, user: senderUser } = bruno.enrolled;
    const changed = body.body.slice();
    changed[changed.length - 1] = (changed.at(-1) ?? 0) ^ 1;
    world.hub.inject(id, {
      ...{ kind: 'application', messageId: authenticatedData.messageId, sender, senderUser, epoch, body: changed },
      ...{ label: 'unclassified', welcome: new Uint8Array(), storedAt: instant(world.time.now()) },
    });
    return 'silence';
  };
  await bruno.says(id, 'I agree');
  await world.advance(1_000);
  assert.deepEqual(await bruno.ownStates(id), ['failed']);
  assert.deepEqual(warningsOf(bruno), ['message_forged']);
  assert.deepEqual(await anna.shown(id), ['first', '[key.tampered]']);
  await world.close();
});

test('a Welcome of former days does not bring back whoever was removed', async () => {
  const world = standardWorld(testkit, { seed: 'old welcome' });
  const anna = await world.device('anna@alpha.example');
  const bruno = await world.device('bruno@bravo.example');
  const carla = await world.device('carla@bravo.example');
  // By the last resort, whose secret stays: the Welcome still opens when it is told again.
  const { once } = world.server(bruno.user).packages.get(bruno.enrolled.deviceId) ?? assert.fail();
  once.splice(0);
  const id = await anna.creates([bruno, carla]);
  const log = world.hub.logs.get(id) ?? assert.fail();
  const { seq: _seq, hash: _hash, welcomeHash: _welcomeHash, ...first } = log.entries[0] ?? assert.fail();
  const removing = anna.client.removeParticipant(id, bruno.user);
  await world.settle();
  must(await removing);
  assert.equal((await bruno.client.timeline(id))?.standing, 'left');
  const epoch = (await bruno.store.read.group(id))?.epoch;
  log.ranges.set(bruno.enrolled.deviceId, { joinedSeq: log.entries.length + 1 });
  world.hub.inject(id, first);
  await world.advance(1_000);
  assert.equal((await bruno.client.timeline(id))?.standing, 'left');
  assert.equal((await bruno.store.read.group(id))?.epoch, epoch);
  assert.deepEqual(warningsOf(bruno), ['group_refused']);
  await world.close();
});
