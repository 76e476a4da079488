import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS, type UserAddress } from '@norc/protocol/base';
import * as testkit from '@norc/testkit';
import { standardWorld } from '../testing/standard-world.ts';
import type { TestDevice, TestWorld } from '../testing/world.ts';

const DAY_MS = 86_400_000;

function stockOf(world: TestWorld, device: TestDevice) {
  return world.server(device.user).packages.get(device.enrolled.deviceId) ?? { once: [] };
}

function takeAll(world: TestWorld, from: TestDevice, by: TestDevice): number {
  let taken = 0;
  const claim = (user: UserAddress) => world.server(user).claim(user, by.enrolled.deviceId);
  while (stockOf(world, from).once.length > 0) taken += claim(from.user).length;
  return taken;
}

test('a new device publishes a hundred KeyPackages and a last resort', async () => {
  const world = standardWorld(testkit, { seed: 'stock' });
  const anna = await world.device('anna@alpha.example', 'laptop', {
    policy: { keyPackages: LIMITS.keyPackagesPerDevice },
  });
  const { once, last } = stockOf(world, anna);
  assert.equal(once.length, 100);
  assert.ok(last);
  assert.equal(new Set(once.map((bytes) => Buffer.from(bytes).toString('hex'))).size, 100);
  await world.close();
});

test('the stock is topped up when the server says that it is low, and when the device comes back', async () => {
  const world = standardWorld(testkit, { seed: 'top up' });
  const anna = await world.device('anna@alpha.example', 'laptop', { policy: { keyPackages: 30 } });
  const bruno = await world.device('bruno@bravo.example');
  assert.equal(stockOf(world, anna).once.length, 30);
  stockOf(world, anna).once.splice(0, 5);
  const session = [...world.server(anna.user).sessions][0] ?? assert.fail();
  session.push({ type: 'key_stock', body: { count: 25 } });
  await world.settle();
  assert.equal(stockOf(world, anna).once.length, 25, '25 are enough');
  stockOf(world, anna).once.splice(0, 1);
  session.push({ type: 'key_stock', body: { count: 24 } });
  await world.settle();
  assert.equal(stockOf(world, anna).once.length, 30);
  assert.equal(takeAll(world, anna, bruno), 30);
  await anna.crash();
  const held = (await anna.store.read.keyPackages()).filter(({ lastResort }) => !lastResort);
  assert.equal(held.length, 60, 'who claims and never writes does not fill the disk');
  assert.equal(stockOf(world, anna).once.length, 24);
  await world.close();
});

test('a one-time KeyPackage is never published twice, even when its answer was lost', async () => {
  const world = standardWorld(testkit, { seed: 'lost answer' });
  const { mischief } = world.server('anna@alpha.example' as UserAddress);
  mischief.answer = (message, answer) => (message.type === 'key_publish' ? 'silence' : answer);
  const anna = await world.device('anna@alpha.example');
  const first = stockOf(world, anna).once.map((bytes) => Buffer.from(bytes).toString('hex'));
  assert.equal(first.length, 4);
  delete mischief.answer;
  stockOf(world, anna).once.splice(0);
  await anna.crash();
  const second = stockOf(world, anna).once.map((bytes) => Buffer.from(bytes).toString('hex'));
  assert.equal(second.length, 4);
  assert.deepEqual(
    first.filter((one) => second.includes(one)),
    [],
  );
  assert.ok(stockOf(world, anna).last, 'a last resort may come twice');
  await world.close();
});

test('the secrets of a one-time package are gone once it was used, and the last resort is replaced', async () => {
  const world = standardWorld(testkit, { seed: 'used' });
  const anna = await world.device('anna@alpha.example');
  const bruno = await world.device('bruno@bravo.example');
  const before = (await bruno.store.read.keyPackages()).length;
  await anna.creates([bruno]);
  assert.equal((await bruno.store.read.keyPackages()).length, before - 1);
  takeAll(world, bruno, anna);
  const { last } = stockOf(world, bruno);
  const id = await anna.creates([bruno]);
  await anna.says(id, 'by the last resort');
  assert.deepEqual(await bruno.shown(id), ['by the last resort']);
  assert.notDeepEqual(stockOf(world, bruno).last, last);
  const again = await anna.creates([bruno]);
  await anna.says(again, 'by its successor');
  assert.deepEqual(await bruno.shown(again), ['by its successor']);
  await world.close();
});

test('old packages are forgotten, and the last resort is renewed before its end', async () => {
  const world = standardWorld(testkit, { seed: 'old' });
  const anna = await world.device('anna@alpha.example');
  const refs = async () => (await anna.store.read.keyPackages()).map(({ ref }) => Buffer.from(ref).toString('hex'));
  const before = await refs();
  const { last } = stockOf(world, anna);
  await anna.client.close();
  await world.advance(28 * DAY_MS);
  await anna.crash();
  assert.notDeepEqual(stockOf(world, anna).last, last);
  assert.ok((await refs()).includes(before[0] ?? ''), 'a late Welcome may still need it');
  await anna.client.close();
  await world.advance(40 * DAY_MS);
  await anna.crash();
  assert.deepEqual(
    (await refs()).filter((ref) => before.includes(ref)),
    [],
  );
  await world.close();
});

test('a server that always says that it has none does not fill the disk', async () => {
  const world = standardWorld(testkit, { seed: 'bottomless' });
  const anna = await world.device('anna@alpha.example');
  const session = [...world.server(anna.user).sessions][0] ?? assert.fail();
  for (let i = 0; i < 20; i += 1) {
    session.push({ type: 'key_stock', body: { count: 0 } });
    if (i % 3 === 0) await world.settle();
  }
  await world.settle();
  const once = (await anna.store.read.keyPackages()).filter((row) => !row.lastResort);
  assert.equal(once.length, 8);
  assert.deepEqual(anna.faults, []);
  await world.close();
});
