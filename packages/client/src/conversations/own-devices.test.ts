import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as testkit from '@norc/testkit';
import { standardWorld } from '../testing/standard-world.ts';

test('a new device of a user joins the running conversations, let in by one of the others', async () => {
  const world = standardWorld(testkit, { seed: 'new device' });
  const anna = await world.device('anna@alpha.example');
  const tablet = await world.device('anna@alpha.example', 'tablet');
  const bruno = await world.device('bruno@bravo.example');
  const first = await anna.creates([bruno], 'Depot');
  const second = await bruno.creates([anna]);
  await bruno.says(first, 'before');
  const phone = await world.device('anna@alpha.example', 'phone');
  await world.advance(30_000);
  for (const id of [first, second]) {
    const [own] = (await bruno.client.members(id)).filter(({ user }) => user === anna.user);
    assert.equal(own?.devices.length, 3);
    assert.equal(world.hub.logs.get(id)?.entries.filter(({ kind }) => kind === 'commit').length, 2, 'once is enough');
  }
  await bruno.says(first, 'after');
  assert.deepEqual(await phone.shown(first), ['after'], 'what was said before is not for a new device');
  assert.equal((await phone.client.timeline(first))?.title, 'Depot');
  await phone.says(second, 'from my phone');
  assert.deepEqual(await tablet.shown(second), ['from my phone']);
  const notices = bruno.notices.flatMap((event) => event.notices);
  assert.ok(notices.some((notice) => notice.notice === 'device_added' && notice.user === anna.user));
  for (const device of world.devices) assert.deepEqual([device.faults, device.warnings], [[], []]);
  await world.close();
});

test('when the first in the order is away, the next one takes its turn', async () => {
  const world = standardWorld(testkit, { seed: 'turns' });
  const devices = [await world.device('anna@alpha.example'), await world.device('anna@alpha.example', 'tablet')];
  const bruno = await world.device('bruno@bravo.example');
  const id = await bruno.creates([devices[0] ?? bruno]);
  const [away, present] = devices.toSorted((a, b) => (a.enrolled.deviceId < b.enrolled.deviceId ? -1 : 1));
  assert.ok(away !== undefined && present !== undefined);
  await away.client.close();
  await world.device('anna@alpha.example', 'phone');
  await world.advance(500);
  assert.equal(world.hub.logs.get(id)?.state.members.size, 3, 'it is not its turn yet');
  await world.advance(30_000);
  assert.equal(world.hub.logs.get(id)?.state.members.size, 4);
  await world.close();
});

test('a device that is revoked is put out by its siblings, and can do nothing more', async () => {
  const world = standardWorld(testkit, { seed: 'revoked' });
  const anna = await world.device('anna@alpha.example');
  const lost = await world.device('anna@alpha.example', 'lost phone');
  const bruno = await world.device('bruno@bravo.example');
  const id = await anna.creates([bruno]);
  await bruno.says(id, 'before');
  world.server(anna.user).revoke(lost.enrolled.deviceId);
  await world.advance(30_000);
  assert.deepEqual(lost.client.status, { state: 'stopped', code: 'auth_failed' });
  assert.equal(world.hub.logs.get(id)?.state.members.has(lost.enrolled.deviceId), false);
  await bruno.says(id, 'after');
  assert.deepEqual(await anna.shown(id), ['before', 'after']);
  assert.deepEqual(await lost.shown(id), ['before']);
  const notices = bruno.notices.flatMap((event) => event.notices);
  assert.deepEqual(notices.at(-1), { notice: 'device_removed', user: anna.user, count: 1 });
  await world.close();
});

test('a device that was put out learns it, and its conversation can only be read', async () => {
  const world = standardWorld(testkit, { seed: 'put out' });
  const anna = await world.device('anna@alpha.example');
  const bruno = await world.device('bruno@bravo.example');
  const id = await anna.creates([bruno]);
  await bruno.client.close();
  const removing = anna.client.removeParticipant(id, bruno.user);
  await world.settle();
  assert.ok((await removing).ok);
  await bruno.crash();
  await world.advance(1_000);
  assert.equal((await bruno.client.timeline(id))?.standing, 'left');
  assert.deepEqual(bruno.notices.at(-1)?.notices, [{ notice: 'removed', users: [bruno.user], by: anna.user }]);
  await world.close();
});
