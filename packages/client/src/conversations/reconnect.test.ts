import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as testkit from '@norc/testkit';
import { standardWorld } from '../testing/standard-world.ts';
import type { TestWorld } from '../testing/world.ts';

/** Long enough for every wait before a retry. */
const PATIENCE_MS = 120_000;

interface Run {
  readonly messages: number;
}

/** A story in which every connection breaks once, when `cutAt` messages have arrived; nothing is asked for twice. */
async function story(cutAt: number | undefined, fullAcks: boolean): Promise<Run> {
  const world = standardWorld(testkit, { seed: 'reconnect' });
  for (const server of world.servers.values()) server.fullAcks = fullAcks;
  const anna = await world.device('anna@alpha.example');
  const bruno = await world.device('bruno@bravo.example');
  const carla = await world.device('carla@bravo.example');
  const id = await anna.creates([bruno]);
  const from = world.network.delivered;
  if (cutAt !== undefined) world.network.cutAt = from + cutAt;

  await anna.client.send(id, 'one');
  await anna.client.send(id, 'two');
  await bruno.client.send(id, 'three');
  await world.settle();
  const adding = anna.client.addParticipants(id, [carla.user]);
  await world.settle();
  await bruno.client.send(id, 'four');
  await anna.client.send(id, 'five');
  await world.settle();
  const messages = world.network.delivered - from;
  await world.advance(PATIENCE_MS);
  assert.equal((await adding).ok, true);
  await carla.says(id, 'six');
  await world.advance(1_000);
  await checkAll(world, id, `cut after ${cutAt}`);
  await world.close();
  return { messages };

  async function checkAll(of: TestWorld, conversation: typeof id, when: string): Promise<void> {
    const shown = await anna.shown(conversation);
    assert.deepEqual([...shown].sort(), ['five', 'four', 'one', 'six', 'three', 'two'], when);
    assert.ok(shown.indexOf('one') < shown.indexOf('two'), when);
    assert.ok(shown.indexOf('three') < shown.indexOf('four'), when);
    assert.deepEqual(await bruno.shown(conversation), shown, when);
    assert.ok(
      (await anna.ownStates(conversation)).every((state) => state === 'delivered'),
      when,
    );
    for (const device of [anna, bruno, carla]) {
      assert.deepEqual([device.faults, device.warnings], [[], []], when);
      assert.deepEqual(await device.store.read.outgoing(), [], when);
    }
    assert.equal(of.hub.logs.get(conversation)?.state.members.size, 3, when);
  }
}

test('a connection that breaks at any message loses nothing, doubles nothing and keeps the order', async () => {
  const { messages } = await story(undefined, true);
  assert.ok(messages > 20, 'a story of some length');
  for (let cutAt = 1; cutAt <= messages; cutAt += 1) await story(cutAt, true);
});

test('a server whose acknowledgments say less is asked for the entries instead', async () => {
  await story(undefined, false);
  for (const cutAt of [3, 7, 11]) await story(cutAt, false);
});

test('what is written without a connection is sent in order when there is one', async () => {
  const world = standardWorld(testkit, { seed: 'offline' });
  const anna = await world.device('anna@alpha.example');
  const bruno = await world.device('bruno@bravo.example');
  const id = await anna.creates([bruno]);
  const { accept } = world.server(anna.user);
  const address = world.address(anna.enrolled.domain);
  world.network.unlisten(address);
  anna.transport.cut();
  for (const text of ['one', 'two', 'three']) await anna.says(id, text);
  assert.deepEqual(await anna.ownStates(id), ['sending', 'sending', 'sending']);
  assert.equal(anna.client.status.state, 'waiting');
  await world.advance(90_000);
  assert.ok(anna.transport.dials > 4, 'it tries again');
  world.network.listen(address, accept);
  await world.advance(PATIENCE_MS);
  assert.deepEqual(await bruno.shown(id), ['one', 'two', 'three']);
  assert.deepEqual(await anna.ownStates(id), ['delivered', 'delivered', 'delivered']);
  await world.close();
});
