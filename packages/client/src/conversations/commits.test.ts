import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errorBody } from '@norc/protocol/wire';
import * as testkit from '@norc/testkit';
import { standardWorld } from '../testing/standard-world.ts';
import { must } from '../testing/world.ts';

test('two commits for one epoch: the loser follows the winner and tries again', async () => {
  const world = standardWorld(testkit, { seed: 'race' });
  const [anna, bruno, carla, dora] = [
    await world.device('anna@alpha.example'),
    await world.device('bruno@bravo.example'),
    await world.device('carla@bravo.example'),
    await world.device('dora@alpha.example'),
  ];
  const id = await anna.creates([bruno]);
  const adding = [anna.client.addParticipants(id, [carla.user]), bruno.client.addParticipants(id, [dora.user])];
  const renaming = [anna.client.rename(id, 'Depot'), bruno.client.send(id, 'meanwhile')];
  await world.advance(60_000);
  for (const outcome of await Promise.all([...adding, ...renaming])) assert.ok(outcome.ok);
  const submitted = [...world.server(anna.user).log, ...world.server(bruno.user).log];
  assert.equal(submitted.filter((type) => type === 'commit_submit').length, 3, 'one lost and was built again');
  for (const device of [anna, bruno, carla, dora]) {
    assert.equal((await device.client.members(id)).length, 4);
    await device.says(id, `from ${device.user}`);
    assert.deepEqual([device.faults, device.warnings], [[], []]);
  }
  const shown = await anna.shown(id);
  assert.equal(shown.length, 5);
  assert.deepEqual(await bruno.shown(id), shown);
  await world.close();
});

test('a commit that cannot be is refused to whoever asked, and the conversation goes on', async () => {
  const world = standardWorld(testkit, { seed: 'refused' });
  const [anna, bruno] = [await world.device('anna@alpha.example'), await world.device('bruno@bravo.example')];
  const id = await anna.creates([bruno]);
  const carla = await world.device('carla@bravo.example');
  const asked = async (code: 'commit_invalid' | 'not_trusted') => {
    world.server(anna.user).mischief.request = ({ type }) => (type === 'commit_submit' ? code : undefined);
    const adding = anna.client.addParticipants(id, [carla.user]);
    await world.advance(10_000);
    const outcome = await adding;
    return outcome.ok ? 'added' : outcome.error.code;
  };
  assert.equal(await asked('commit_invalid'), 'commit_invalid');
  assert.equal(await asked('not_trusted'), 'not_trusted');
  delete world.server(anna.user).mischief.request;
  const nobody = anna.client.addParticipants(id, ['nobody@bravo.example' as typeof carla.user]);
  await world.settle();
  const missing = await nobody;
  assert.equal(missing.ok ? 'added' : missing.error.code, 'user_not_found');
  const again = anna.client.addParticipants(id, [carla.user, bruno.user]);
  await world.settle();
  must(await again);
  await anna.says(id, 'hello');
  assert.deepEqual(await carla.shown(id), ['hello']);
  assert.deepEqual(await anna.store.read.outgoing(), []);
  await world.close();
});

test('a server that fails on the way is asked again with the same commit, which is ordered once', async () => {
  const world = standardWorld(testkit, { seed: 'failing' });
  const [anna, bruno] = [await world.device('anna@alpha.example'), await world.device('bruno@bravo.example')];
  const id = await anna.creates([bruno]);
  const carla = await world.device('carla@bravo.example');
  let failures = 0;
  world.server(anna.user).mischief.answer = (message, answer) => {
    if (message.type !== 'commit_submit' || failures >= 2) return answer;
    failures += 1;
    return 'silence'; // it was ordered, and nobody says so
  };
  const adding = anna.client.addParticipants(id, [carla.user]);
  await world.advance(60_000);
  must(await adding);
  assert.equal(world.hub.logs.get(id)?.entries.filter(({ kind }) => kind === 'commit').length, 2);
  await world.close();
});

test('a message for an epoch that is over is sealed again, under its id', async () => {
  const world = standardWorld(testkit, { seed: 'stale' });
  const [anna, bruno, carla] = [
    await world.device('anna@alpha.example'),
    await world.device('bruno@bravo.example'),
    await world.device('carla@alpha.example'),
  ];
  const id = await anna.creates([bruno, carla]);
  const { mischief } = world.server(anna.user);
  mischief.entries = (body, device) => (device.user === anna.user ? { ...body, entries: [] } : body);
  const removing = bruno.client.removeParticipant(id, carla.user);
  await world.settle();
  must(await removing);
  const sent = must(await anna.client.send(id, 'between us'));
  await world.settle();
  assert.deepEqual(await anna.ownStates(id), ['sending']);
  delete mischief.entries;
  await world.advance(30_000);
  assert.deepEqual(await bruno.shown(id), ['between us']);
  assert.deepEqual(await carla.shown(id), []);
  assert.equal(world.hub.logs.get(id)?.entries.at(-1)?.messageId, sent);
  assert.deepEqual(await anna.ownStates(id), ['delivered']);
  await world.close();
});

test('what the hub proposes is committed by one of the members, before anything else is said', async () => {
  const world = standardWorld(testkit, { seed: 'proposal' });
  const changes = { policy: { hubMayPropose: true } };
  const anna = await world.device('anna@alpha.example', 'laptop', changes);
  const bruno = await world.device('bruno@bravo.example');
  const carla = await world.device('carla@alpha.example');
  const id = await anna.creates([bruno, carla]);
  const keys = world.server(anna.user).options.organisation.server;
  must(await world.hub.propose(id, bruno.enrolled.deviceId, keys));
  await world.settle();
  await anna.client.send(id, 'without bruno');
  await world.advance(30_000);
  assert.equal(world.hub.logs.get(id)?.state.members.size, 2);
  assert.deepEqual(await carla.shown(id), ['without bruno']);
  assert.deepEqual(await bruno.shown(id), []);
  assert.equal((await bruno.client.timeline(id))?.standing, 'left');
  // Nobody has anything to say: it is done all the same.
  must(await world.hub.propose(id, carla.enrolled.deviceId, keys));
  await world.advance(30_000);
  assert.equal(world.hub.logs.get(id)?.state.members.size, 1);
  for (const device of [anna, bruno, carla]) assert.deepEqual([device.faults, device.warnings], [[], []]);
  await world.close();
});

test('a refusal that was about something older than the log is not for ever', async () => {
  const world = standardWorld(testkit, { seed: 'old refusal' });
  const [anna, bruno] = [await world.device('anna@alpha.example'), await world.device('bruno@bravo.example')];
  const id = await anna.creates([bruno]);
  let refusals = 0;
  world.server(anna.user).mischief.request = ({ type }) => {
    if (type !== 'message_send' || refusals === 2) return undefined;
    refusals += 1;
    return 'epoch_stale';
  };
  await anna.says(id, 'hello');
  await world.advance(60_000);
  assert.equal(refusals, 2);
  assert.deepEqual(await bruno.shown(id), ['hello']);
  await world.close();
});

test('an epoch that is used up gets a commit before the next message', async () => {
  const world = standardWorld(testkit, { seed: 'worn' });
  const [anna, bruno] = [await world.device('anna@alpha.example'), await world.device('bruno@bravo.example')];
  const id = await anna.creates([bruno]);
  world.server(anna.user).mischief.request = ({ type }) =>
    type === 'message_send' && world.hub.logs.get(id)?.state.epoch === 1 ? 'rekey_required' : undefined;
  await anna.client.send(id, 'one');
  await anna.client.send(id, 'two');
  await world.advance(10_000);
  assert.deepEqual(await bruno.shown(id), ['one', 'two']);
  assert.equal(world.hub.logs.get(id)?.state.epoch, 2, 'one commit is enough');
  assert.deepEqual(anna.faults, []);
  await world.close();
});

test('a commit that was ordered although the server refused it for now is followed', async () => {
  for (const code of ['queue_full', 'trust_stale', 'epoch_conflict'] as const) {
    const world = standardWorld(testkit, { seed: `refused for now ${code}` });
    const [anna, bruno] = [await world.device('anna@alpha.example'), await world.device('bruno@bravo.example')];
    const id = await anna.creates([bruno]);
    const carla = await world.device('carla@bravo.example');
    let lies = 0;
    world.server(anna.user).mischief.answer = (message, answer) => {
      if (message.type !== 'commit_submit' || lies > 0) return answer;
      lies += 1;
      return { type: 'error', body: errorBody(code, '') };
    };
    const adding = anna.client.addParticipants(id, [carla.user]);
    await world.advance(60_000);
    must(await adding);
    assert.equal(world.hub.logs.get(id)?.entries.filter(({ kind }) => kind === 'commit').length, 2, code);
    await anna.says(id, 'all here');
    assert.deepEqual(await carla.shown(id), ['all here']);
    assert.deepEqual([anna.warnings, anna.faults], [[], []]);
    await world.close();
  }
});

test('a commit that was sent before a crash is known again, whatever else waits in the queue', async () => {
  const world = standardWorld(testkit, { seed: 'two wishes' });
  const [anna, bruno, carla, dora, emil] = [
    await world.device('anna@alpha.example'),
    await world.device('bruno@bravo.example'),
    await world.device('carla@bravo.example'),
    await world.device('dora@alpha.example'),
    await world.device('emil@bravo.example'),
  ];
  const id = await anna.creates([bruno]);
  const { mischief } = world.server(anna.user);
  mischief.request = ({ type }) => (type === 'commit_submit' ? 'silence' : undefined);
  const wishes = [anna.client.addParticipants(id, [carla.user]), anna.client.addParticipants(id, [dora.user])];
  await world.settle();
  delete mischief.request;
  // The first wish loses its race, and is put behind the second; then it is ordered, and nobody says so.
  let ordered = false;
  mischief.answer = ({ type }, answer) => {
    if (type !== 'commit_submit') return answer;
    ordered = true;
    return 'silence';
  };
  mischief.entries = (body, device) => (ordered && device.user === anna.user ? { ...body, entries: [] } : body);
  const winning = bruno.client.addParticipants(id, [emil.user]);
  await world.settle();
  must(await winning);
  for (let i = 0; i < 20 && !ordered; i += 1) await world.advance(1_000);
  assert.ok(ordered);
  delete mischief.answer;
  delete mischief.entries;
  for (const wish of wishes) wish.catch(() => undefined);
  await anna.crash();
  await world.advance(60_000);
  assert.equal((await anna.client.members(id)).length, 5);
  assert.deepEqual([anna.warnings, anna.faults], [[], []]);
  assert.deepEqual(await anna.store.read.outgoing(), []);
  await world.close();
});
