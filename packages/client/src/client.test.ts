import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as testkit from '@norc/testkit';
import { standardWorld } from './testing/standard-world.ts';
import { must } from './testing/world.ts';

/** Client and server lists, and what has to come of them. */
const MATRIX = [
  { client: ['2.0', '1.2'], server: ['2.0', '1.2'], speaks: '2.0', compatibility: false },
  { client: ['2.0', '1.2'], server: ['1.2'], speaks: '1.2', compatibility: true },
  { client: ['1.2'], server: ['2.0', '1.2'], speaks: '1.2', compatibility: true },
  { client: ['1.2'], server: ['1.2'], speaks: '1.2', compatibility: false },
];

for (const { client, server, speaks, compatibility } of MATRIX) {
  test(`a whole conversation between two organisations over ${client.join('+')} and ${server.join('+')}`, async () => {
    const world = standardWorld(testkit, { seed: 'whole', clientVersions: client, serverVersions: server });
    const anna = await world.device('anna@alpha.example');
    const tablet = await world.device('anna@alpha.example', 'tablet');
    const bruno = await world.device('bruno@bravo.example');
    assert.ok(anna.client.status.state === 'ready');
    assert.equal(anna.client.status.facts.version, speaks);
    assert.equal(anna.client.status.facts.compatibilityMode, compatibility);

    const id = await anna.creates([bruno]);
    await anna.says(id, 'hello');
    await bruno.says(id, 'hi');
    await tablet.says(id, 'from my tablet');
    for (const device of [anna, tablet, bruno]) {
      assert.deepEqual(await device.shown(id), ['hello', 'hi', 'from my tablet']);
      assert.deepEqual(device.faults, []);
      assert.deepEqual(device.warnings, []);
    }
    assert.deepEqual(await anna.ownStates(id), ['sent', 'sent']);
    await world.advance(100);
    assert.deepEqual(await anna.ownStates(id), ['delivered', 'delivered']);

    const view = await bruno.client.timeline(id);
    assert.deepEqual([view?.title, view?.unread.count, view?.level], ['anna', 2, 'basic']);
    await bruno.client.markRead(id, 4);
    await world.advance(100);
    assert.equal((await bruno.client.timeline(id))?.unread.count, 0);
    assert.deepEqual(await anna.ownStates(id), ['read', 'read']);
    assert.deepEqual(await tablet.ownStates(id), ['read', 'read']);
    await world.close();
    assert.equal(world.time.waiting, 0, 'no timer outlives the clients');
  });
}

test('a group has a title that newcomers learn, and changes that everybody sees', async () => {
  const world = standardWorld(testkit, { seed: 'group' });
  const [anna, bruno, carla] = [
    await world.device('anna@alpha.example'),
    await world.device('bruno@bravo.example'),
    await world.device('carla@bravo.example'),
  ];
  const id = await anna.creates([bruno], 'Convoy');
  assert.equal((await bruno.client.timeline(id))?.title, 'Convoy');
  const first = await anna.says(id, 'frist');
  const adding = bruno.client.addParticipants(id, [carla.user]);
  await world.settle();
  must(await adding);
  assert.equal((await carla.client.timeline(id))?.title, 'Convoy');
  assert.deepEqual(await carla.shown(id), [], 'what was said before is not for her');
  must(await anna.client.edit(id, first, 'first'));
  must(await bruno.client.react(id, first, '👍'));
  await world.settle();
  await carla.says(id, 'hello all');
  assert.deepEqual(await bruno.shown(id), ['first', 'hello all']);
  const [item] = (await anna.client.timeline(id))?.items.filter(({ type }) => type === 'message') ?? [];
  assert.ok(item?.type === 'message');
  assert.deepEqual(item.reactions, [{ emoji: '👍', users: [bruno.user], mine: false }]);
  must(await anna.client.deleteMessage(id, first));
  must(await anna.client.rename(id, 'Convoy 79'));
  await world.settle();
  for (const device of [anna, bruno, carla]) {
    assert.equal((await device.client.timeline(id))?.title, 'Convoy 79');
    assert.deepEqual(device.faults, []);
  }
  assert.deepEqual(await bruno.shown(id), ['(deleted)', 'hello all']);
  const notices = bruno.notices.flatMap((event) => event.notices.map(({ notice }) => notice));
  assert.deepEqual(notices, ['created', 'renamed', 'joined', 'renamed']);
  await world.close();
});

test('who is removed, and who leaves, reads nothing that follows and can send nothing', async () => {
  const world = standardWorld(testkit, { seed: 'leaving' });
  const [anna, bruno, carla] = [
    await world.device('anna@alpha.example'),
    await world.device('bruno@bravo.example'),
    await world.device('carla@bravo.example'),
  ];
  const id = await anna.creates([bruno, carla]);
  await anna.says(id, 'all');
  const removing = anna.client.removeParticipant(id, bruno.user);
  await world.settle();
  must(await removing);
  await anna.says(id, 'without bruno');
  assert.deepEqual(await bruno.shown(id), ['all']);
  assert.equal((await bruno.client.timeline(id))?.standing, 'left');
  const refused = await bruno.client.send(id, 'still here?');
  assert.ok(!refused.ok);
  assert.deepEqual(refused.error.problem, { cause: 'conversation.left' });
  assert.deepEqual(await bruno.client.members(id), []);

  must(await carla.client.leave(id));
  await world.advance(10_000);
  assert.equal((await carla.client.timeline(id))?.standing, 'left');
  assert.deepEqual(
    (await anna.client.members(id)).map((member) => member.user),
    [anna.user],
  );
  await anna.says(id, 'alone');
  assert.deepEqual(await carla.shown(id), ['all', 'without bruno']);

  const back = anna.client.addParticipants(id, [bruno.user]);
  await world.settle();
  must(await back);
  await anna.says(id, 'welcome back');
  assert.deepEqual(await bruno.shown(id), ['all', 'welcome back']);
  assert.equal((await bruno.client.timeline(id))?.standing, 'open');
  assert.deepEqual([anna.faults, bruno.faults, carla.faults], [[], [], []]);
  await world.close();
});

test('nothing is left of a conversation with somebody who cannot be reached', async () => {
  const world = standardWorld(testkit, { seed: 'nobody' });
  const anna = await world.device('anna@alpha.example');
  const bruno = await world.device('bruno@bravo.example');
  const nobody = anna.client.createConversation({ users: [bruno.user, 'nobody@bravo.example' as typeof bruno.user] });
  await world.settle();
  const outcome = await nobody;
  assert.ok(!outcome.ok);
  assert.deepEqual([outcome.error.code, outcome.error.users], ['user_not_found', ['nobody@bravo.example']]);
  const stranger = anna.client.createConversation({ users: ['eve@echo.example' as typeof bruno.user] });
  await world.settle();
  const untrusted = await stranger;
  assert.ok(!untrusted.ok);
  assert.deepEqual(untrusted.error.problem, { cause: 'trust.none', org: 'echo.example' });

  world.server(anna.user).mischief.request = ({ type }) => (type === 'conversation_create' ? 'below_floor' : undefined);
  const below = anna.client.createConversation({ users: [bruno.user], title: 'Depot' });
  await world.settle();
  const refused = await below;
  assert.ok(!refused.ok);
  assert.equal(refused.error.code, 'below_floor');
  assert.deepEqual(await anna.client.conversations(), []);
  assert.deepEqual(await anna.store.read.outgoing(), []);
  assert.deepEqual(anna.faults, []);
  await world.close();
});

test('safety numbers agree on both sides, and change when a device comes in', async () => {
  const world = standardWorld(testkit, { seed: 'safety' });
  const anna = await world.device('anna@alpha.example');
  const bruno = await world.device('bruno@bravo.example');
  assert.equal(await anna.client.safetyNumber(bruno.user), undefined);
  await anna.creates([bruno]);
  const number = await anna.client.safetyNumber(bruno.user);
  assert.match(number ?? '', /^\d{60}$/);
  assert.equal(await bruno.client.safetyNumber(anna.user), number);
  await world.device('bruno@bravo.example', 'phone');
  await world.advance(20_000);
  const changed = await anna.client.safetyNumber(bruno.user);
  assert.notEqual(changed, number);
  assert.equal(await bruno.client.safetyNumber(anna.user), changed);
  await world.close();
});
