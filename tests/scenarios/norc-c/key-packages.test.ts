import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { toHex } from '@norc/protocol/base';
import { TestDevice, type TestServer, TestServers } from '@norc/testkit/live';

let world: TestServers;
let alpha: TestServer;
let bravo: TestServer;

before(async () => {
  world = await TestServers.start('alpha.example', 'bravo.example', 'carol.example');
  [alpha, bravo] = [world.at(0), world.at(1)];
  await world.trust(alpha, bravo);
});
after(() => world.dispose());

test('a one-time package is given out once, also when many ask at the same time; then the last resort', async () => {
  const ann = await TestDevice.enrol(alpha, 'ann@alpha.example', { stock: 5 });
  const askers = await Promise.all(
    [1, 2, 3].map((n) => TestDevice.enrol(alpha, `asker${n}@alpha.example`, { stock: 0 })),
  );
  const claims = await Promise.all([0, 1, 2].flatMap(() => askers.map((asker) => asker.claim('ann@alpha.example'))));
  const given = claims.flatMap(({ packages }) => packages.map((one) => toHex(one.key_package)));
  assert.equal(given.length, 9);
  const times = new Map<string, number>();
  for (const one of given) times.set(one, (times.get(one) ?? 0) + 1);
  assert.deepEqual([...times.values()].sort(), [1, 1, 1, 1, 1, 4]);
  assert.equal(await alpha.node().directory.keyStock(ann.deviceId), 0);
});

test('a device publishes for itself alone', async () => {
  const ann = await TestDevice.enrol(alpha, 'bea@alpha.example', { stock: 0 });
  const eve = await TestDevice.enrol(alpha, 'eve@alpha.example', { stock: 0 });
  const packages = await ann.makePackages(1);
  assert.equal(await eve.session.refused({ type: 'key_publish', body: { packages } }), 'credential_invalid');
  const [lastResort] = await eve.makePackages(1, true);
  assert.ok(lastResort !== undefined);
  assert.equal(await eve.session.refused({ type: 'key_publish', body: { packages: [lastResort] } }), 'malformed');
  const spoiled = (await eve.makePackages(1)).map((one) =>
    one.map((byte, at) => (at === one.length - 1 ? byte ^ 1 : byte)),
  );
  assert.notEqual(await eve.session.refused({ type: 'key_publish', body: { packages: spoiled } }), 'internal');
  assert.equal(await alpha.node().directory.keyStock(eve.deviceId), 0);
});

test('packages are claimed across the border where trust grants it, and only there', async () => {
  const ann = await TestDevice.enrol(alpha, 'cid@alpha.example', { stock: 0 });
  const bob = await TestDevice.enrol(bravo, 'bob@bravo.example', { stock: 2 });
  await TestDevice.enrol(world.at(2), 'cat@carol.example', { stock: 2 });
  const claimed = await ann.claim('bob@bravo.example', 'nobody@bravo.example');
  assert.deepEqual(
    claimed.packages.map((one) => one.device_id),
    [bob.deviceId],
  );
  assert.deepEqual(claimed.unavailable, ['nobody@bravo.example']);
  assert.equal(await bravo.node().directory.keyStock(bob.deviceId), 1);
  const body = { users: [(await bob.claim('cid@alpha.example')).unavailable[0] ?? bob.user] };
  assert.deepEqual(body.users, ['cid@alpha.example']); // it has published none: as if it did not exist
  const before = world.at(2).lines.length;
  await assert.rejects(ann.claim('cat@carol.example'), /not_trusted/);
  assert.equal(world.at(2).lines.length, before, 'the stranger was not even asked');
});

test('somebody who looks up all day is told to wait', async () => {
  const ann = await TestDevice.enrol(alpha, 'dan@alpha.example', { stock: 0 });
  const request = { type: 'key_request', body: { users: [ann.user] } } as const;
  const replies = await Promise.all(Array.from({ length: 31 }, () => ann.session.request(request)));
  const last = replies.at(-1);
  assert.ok(last?.type === 'error' && last.body.name === 'rate_limited' && (last.body.retry_after_ms ?? 0) > 0);
  assert.equal(await ann.session.settled(), 'open');
});
