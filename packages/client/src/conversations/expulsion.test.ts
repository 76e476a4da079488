import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as testkit from '@norc/testkit';
import { standardWorld } from '../testing/standard-world.ts';
import { must, type TestDevice } from '../testing/world.ts';
import { en, plainContext } from '../timeline/messages-en.ts';

async function scene(seed: string) {
  const world = standardWorld(testkit, { seed });
  const anna = await world.device('anna@alpha.example');
  const carla = await world.device('carla@alpha.example');
  const bruno = await world.device('bruno@bravo.example');
  const berta = await world.device('berta@bravo.example');
  const id = await anna.creates([carla, bruno, berta]);
  const log = world.hub.logs.get(id);
  assert.ok(log !== undefined);
  const keys = world.server(anna.user).options.organisation.server;
  /** As the hub does when trust ends: frozen, then everybody of bravo proposed. */
  const expel = async () => {
    world.hub.freeze(id);
    for (const device of [bruno, berta]) {
      must(await world.hub.propose(id, device.enrolled.deviceId, keys, 'trust_revoked'));
    }
  };
  const quiet = () => {
    for (const device of world.devices) assert.deepEqual([device.faults, device.warnings], [[], []], device.user);
  };
  return { world, anna, carla, bruno, berta, id, log, expel, quiet };
}

/** The lines that the conversation itself wrote, as people read them. */
async function lines(device: TestDevice, id: Awaited<ReturnType<TestDevice['creates']>>): Promise<readonly string[]> {
  const view = await device.client.timeline(id, { limit: 100 });
  const context = plainContext(device.user, () => '12:00');
  return (view?.items ?? []).flatMap((item) =>
    item.type === 'line' && item.line === 'notices' ? item.notices.map((notice) => en.notice(notice, context)) : [],
  );
}

const EXPELLED = 'bravo.example was removed: trust ended (revoked).';

test('trust ended: a device of the hub puts them out at once, what waited is said without them, and everybody reads why', async () => {
  const { world, anna, carla, bruno, berta, id, log, expel, quiet } = await scene('expulsion');
  world.hub.freeze(id);
  await anna.says(id, 'said into the ice');
  await expel();
  await world.advance(1_000);
  assert.deepEqual([log.state.epoch, log.state.members.size, log.state.frozen], [2, 2, false]);
  assert.equal(log.entries.filter(({ kind }) => kind === 'commit').length, 2, 'one of them was enough');
  await world.advance(30_000);
  assert.deepEqual(await carla.shown(id), ['said into the ice']);
  assert.equal(log.entries.at(-1)?.epoch, 2, 'sealed again, for those who are left');
  for (const device of [bruno, berta]) {
    assert.deepEqual(await device.shown(id), []);
    assert.equal((await device.client.timeline(id))?.standing, 'left');
  }
  for (const device of world.devices) assert.equal((await lines(device, id)).at(-1), EXPELLED, device.user);
  quiet();
  await world.close();
});

test('while all of the hub are away a device of another organisation does it', async () => {
  const world = standardWorld(testkit, {
    seed: 'fallback',
    domains: ['alpha.example', 'bravo.example', 'cobra.example'],
  });
  const anna = await world.device('anna@alpha.example');
  const bruno = await world.device('bruno@bravo.example');
  const cyril = await world.device('cyril@cobra.example');
  const id = await anna.creates([bruno, cyril]);
  const keys = world.server(anna.user).options.organisation.server;
  await anna.client.close();
  must(await world.hub.propose(id, cyril.enrolled.deviceId, keys, 'trust_expired'));
  await world.advance(1_000);
  assert.equal(world.hub.logs.get(id)?.state.epoch, 1, 'the hub goes first');
  await world.advance(10_000);
  assert.equal(world.hub.logs.get(id)?.state.epoch, 2);
  assert.equal((await lines(bruno, id)).at(-1), 'cobra.example was removed: trust ended (expired).');
  await anna.start();
  await world.advance(10_000);
  assert.equal((await lines(anna, id)).at(-1), 'cobra.example was removed: trust ended (expired).', 'caught up');
  await anna.says(id, 'two of us');
  assert.deepEqual(await bruno.shown(id), ['two of us']);
  await world.close();
});

test('a commit that was made before the hub spoke is made again, with what it said', async () => {
  const { world, anna, carla, id, log, expel, quiet } = await scene('superseded');
  const dora = await world.device('dora@alpha.example');
  const { mischief } = world.server(anna.user);
  mischief.request = ({ type }) => (type === 'commit_submit' ? 'silence' : undefined);
  const adding = anna.client.addParticipants(id, [dora.user]);
  await world.settle();
  await carla.client.close(); // nobody else of the hub is there
  await expel();
  await world.settle();
  delete mischief.request;
  await world.advance(120_000);
  must(await adding);
  assert.deepEqual([...log.state.members.values()].map(({ user }) => user).sort(), [anna.user, carla.user, dora.user]);
  await anna.says(id, 'hello dora');
  assert.deepEqual(await dora.shown(id), ['hello dora']);
  quiet();
  await world.close();
});

test('a device that dies with the proposal in hand goes on after its next start', async () => {
  const { world, anna, carla, id, log, expel } = await scene('crash');
  await carla.client.close();
  await expel();
  await world.settle();
  await anna.crash();
  await world.advance(10_000);
  assert.deepEqual([log.state.epoch, log.state.members.size], [2, 2]);
  assert.equal((await lines(anna, id)).at(-1), EXPELLED);
  await world.close();
});

test('a conversation that is closed says why, gives back what waits, and is told of once', async () => {
  const { world, anna, bruno, id } = await scene('closed');
  world.hub.freeze(id);
  await bruno.says(id, 'too late');
  assert.deepEqual(await bruno.ownStates(id), ['sending']);
  const closing = {
    conversation: id,
    org: anna.enrolled.user.slice(5) as 'alpha.example',
    cause: 'trust_revoked',
  } as const;
  for (let i = 0; i < 2; i += 1) {
    world.server(bruno.user).tell({ type: 'conversation_closed', body: closing as never }); // a Domain by its text
    await world.settle();
  }
  const closed = 'This conversation is closed: trust with alpha.example ended (revoked).';
  assert.deepEqual((await lines(bruno, id)).filter((line) => line === closed).length, 1);
  assert.equal((await bruno.client.timeline(id))?.standing, 'closed');
  assert.deepEqual(await bruno.ownStates(id), ['failed']);
  const refused = await bruno.client.send(id, 'more');
  assert.ok(!refused.ok);
  assert.equal(refused.error.problem.cause, 'trust.revoked');
  await bruno.crash();
  assert.equal((await bruno.client.timeline(id))?.standing, 'closed');
  await world.close();
});
