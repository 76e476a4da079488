import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ErrorName } from '@norc/protocol/base';
import * as testkit from '@norc/testkit';
import { standardWorld } from '../testing/standard-world.ts';
import { must } from '../testing/world.ts';

async function twoPeople(seed: string) {
  const world = standardWorld(testkit, { seed });
  const anna = await world.device('anna@alpha.example');
  const bruno = await world.device('bruno@bravo.example');
  const id = await anna.creates([bruno]);
  const refuse = (code: ErrorName | undefined) => {
    world.server(anna.user).mischief.request = ({ type }) => (type === 'message_send' ? code : undefined);
  };
  return { world, anna, bruno, id, refuse };
}

test('a message that is refused stays with its words and the reason, to be sent again or thrown away', async () => {
  const { world, anna, bruno, id, refuse } = await twoPeople('refused message');
  refuse('trust_revoked');
  const first = await anna.says(id, 'first');
  const second = await anna.says(id, 'second');
  const view = await anna.client.timeline(id);
  const states = view?.items.flatMap((item) => (item.type === 'message' ? [item.state] : []));
  const failed = { state: 'failed', problem: { cause: 'trust.revoked' } };
  assert.deepEqual(states, [failed, failed]);
  assert.deepEqual(await anna.store.read.outgoing(), []);
  refuse(undefined);
  must(await anna.client.resend(id, first));
  await anna.client.discard(id, second);
  await world.settle();
  assert.deepEqual(await bruno.shown(id), ['first']);
  assert.deepEqual(await anna.shown(id), ['first']);
  const twice = await anna.client.resend(id, first);
  assert.equal(twice.ok ? 'sent' : twice.error.code, 'user_not_found', 'it has its place: nothing is sent twice');
  await world.close();
});

test('a server that is too busy is left in peace for as long as it asks, and nothing is dropped', async () => {
  const { world, anna, bruno, id, refuse } = await twoPeople('busy');
  refuse('rate_limited');
  await anna.says(id, 'one');
  await anna.says(id, 'two');
  const tries = () => world.server(anna.user).log.filter((type) => type === 'message_send').length;
  const before = tries();
  await world.advance(20_000);
  assert.ok(tries() - before < 20, 'it waits longer and longer');
  assert.deepEqual(await anna.ownStates(id), ['sending', 'sending']);
  refuse(undefined);
  await world.advance(60_000);
  assert.deepEqual(await bruno.shown(id), ['one', 'two']);
  await world.close();
});

test('what is said in a frozen conversation is kept, and sealed for those who are left', async () => {
  const { world, anna, bruno, id } = await twoPeople('frozen');
  const carla = await world.device('carla@alpha.example');
  const adding = anna.client.addParticipants(id, [carla.user]);
  await world.settle();
  must(await adding);
  world.hub.freeze(id);
  await anna.says(id, 'into the ice');
  await anna.says(id, 'and more');
  assert.deepEqual(await anna.ownStates(id), ['sending', 'sending']);
  const removing = carla.client.removeParticipant(id, bruno.user);
  await world.settle();
  must(await removing);
  await anna.says(id, 'thawed');
  assert.deepEqual(await carla.shown(id), ['into the ice', 'and more', 'thawed']);
  assert.deepEqual(await bruno.shown(id), []);
  const epochs = world.hub.logs.get(id)?.entries.map(({ kind, epoch }) => `${kind} ${epoch}`);
  assert.deepEqual(epochs?.slice(-3), ['application 3', 'application 3', 'application 3']);
  await world.close();
});

test('a message of which nothing is heard is sent again byte for byte', async () => {
  const { world, anna, bruno, id } = await twoPeople('unheard');
  const bodies: Uint8Array[] = [];
  world.server(anna.user).mischief.request = (message) => {
    if (message.type !== 'message_send') return undefined;
    bodies.push(message.body.body.slice());
    return bodies.length === 1 ? 'silence' : undefined;
  };
  await anna.says(id, 'hello');
  await world.advance(60_000);
  assert.equal(bodies.length, 2);
  assert.deepEqual(bodies[0], bodies[1], 'a second key for the same words would be a second message');
  assert.deepEqual(await bruno.shown(id), ['hello']);
  await world.close();
});

test('at most so many messages of a conversation wait for their answer', async () => {
  const world = standardWorld(testkit, { seed: 'window' });
  const anna = await world.device('anna@alpha.example', 'laptop', { policy: { messagesInFlightMax: 4 } });
  const bruno = await world.device('bruno@bravo.example');
  const id = await anna.creates([bruno]);
  let arrived = 0;
  const { mischief } = world.server(anna.user);
  mischief.request = ({ type }) => {
    if (type !== 'message_send') return undefined;
    arrived += 1;
    return 'silence';
  };
  const texts = Array.from({ length: 20 }, (_, i) => `message ${i}`);
  await Promise.all(texts.map((text) => anna.client.send(id, text)));
  await world.settle();
  assert.equal(arrived, 4);
  delete mischief.request;
  await world.advance(60_000);
  assert.deepEqual(await bruno.shown(id), texts);
  await world.close();
});

test('receipts can be kept to oneself', async () => {
  const world = standardWorld(testkit, { seed: 'quiet' });
  const anna = await world.device('anna@alpha.example');
  const bruno = await world.device('bruno@bravo.example', 'laptop', { readReceipts: false });
  const id = await anna.creates([bruno]);
  await anna.says(id, 'hello');
  await bruno.client.markRead(id, 2);
  await world.advance(1_000);
  assert.equal((await bruno.client.timeline(id))?.unread.count, 0);
  assert.deepEqual(await anna.ownStates(id), ['delivered']);
  await world.close();
});

test('a failing disk is reported, and what it did not take is taken later', async () => {
  const { world, anna, bruno, id } = await twoPeople('disk');
  const { transact } = bruno.store;
  bruno.store.transact = async () => {
    throw new Error('no space');
  };
  await anna.says(id, 'first');
  await assert.rejects(bruno.client.send(id, 'unwritten'), /no space/);
  assert.equal(bruno.faults.length, 2);
  bruno.store.transact = transact;
  await anna.says(id, 'second');
  await world.advance(60_000);
  assert.deepEqual(await bruno.shown(id), ['first', 'second']);
  assert.equal(world.hub.logs.get(id)?.cursors.get(bruno.enrolled.deviceId), 3);
  await world.close();
});
