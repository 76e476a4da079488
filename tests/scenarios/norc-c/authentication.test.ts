import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { nodeCrypto, nodeRandom } from '@norc/crypto/node';
import { type DeviceId, idFromBytes } from '@norc/protocol/base';
import { SessionRefused, TestDevice, type TestServer, TestServers, until } from '@norc/testkit/live';

let world: TestServers;
let alpha: TestServer;

before(async () => {
  world = await TestServers.start('alpha.example');
  alpha = world.at(0);
});
after(() => world.dispose());

async function refusal(attempt: Promise<void>): Promise<string> {
  const error: unknown = await attempt.then(
    () => 'accepted',
    (cause: unknown) => cause,
  );
  return error instanceof SessionRefused ? error.code : String(error);
}

test('unknown device, revoked device, wrong key: one answer', async () => {
  const known = await TestDevice.enrol(alpha, 'ann@alpha.example', { stock: 0 });
  const revoked = await TestDevice.enrol(alpha, 'ann@alpha.example', { stock: 0 });
  await known.disconnect();
  await alpha.node().directory.revokeDevice(revoked.deviceId, 'officer:test');
  const stolen = nodeCrypto.ed25519.keyPair((length) => nodeRandom.bytes(length));
  const answers = [
    await refusal(known.connect(undefined, { ...known.own, deviceId: idFromBytes<DeviceId>(nodeRandom.bytes(16)) })),
    await refusal(revoked.connect()),
    await refusal(
      known.connect(undefined, {
        ...known.own,
        sign: (message) => nodeCrypto.ed25519.sign(stolen.privateKey, message),
      }),
    ),
    await refusal(known.connect(undefined, { ...known.own, sign: () => new Uint8Array(64) })),
  ];
  assert.deepEqual(answers, ['auth_failed', 'auth_failed', 'auth_failed', 'auth_failed']);
  await known.connect();
});

test('a revoked device is put out of its session at once, and the others of the user learn of it', async () => {
  const one = await TestDevice.enrol(alpha, 'bea@alpha.example', { stock: 0 });
  const other = await TestDevice.enrol(alpha, 'bea@alpha.example', { stock: 0 });
  await other.session.ask({ type: 'device_revoke', body: { device_id: one.deviceId } }, 'device_list');
  assert.equal((await one.session.ended).reason, 'auth_failed');
  const lists = await other.waitFor('the device list', () => other.deviceLists.at(-1));
  assert.ok(lists.devices.some((device) => device.device_id === one.deviceId && device.revoked));
});

test('a device that is revoked while it logs in stays out', async () => {
  for (let round = 0; round < 12; round += 1) {
    const device = await TestDevice.enrol(alpha, 'cid@alpha.example', { stock: 0 });
    await device.disconnect();
    const [entered] = await Promise.all([
      refusal(device.connect()),
      until('the session is there', () => true).then(() =>
        alpha.node().directory.revokeDevice(device.deviceId, 'officer:test'),
      ),
    ]);
    if (entered === 'accepted') assert.equal((await device.session.ended).reason, 'auth_failed');
    else assert.equal(entered, 'auth_failed');
  }
  assert.equal(alpha.node().devices.sessions, 2);
});

test("nobody revokes another user's device", async () => {
  const ann = await TestDevice.enrol(alpha, 'dan@alpha.example', { stock: 0 });
  const eve = await TestDevice.enrol(alpha, 'eve@alpha.example', { stock: 0 });
  const unknown = idFromBytes<DeviceId>(nodeRandom.bytes(16));
  assert.equal(await eve.session.refused({ type: 'device_revoke', body: { device_id: ann.deviceId } }), 'forbidden');
  assert.equal(await eve.session.refused({ type: 'device_revoke', body: { device_id: unknown } }), 'forbidden');
  assert.equal(await ann.session.settled(), 'open');
});

test('a second session of a device ends the first', async () => {
  const device = await TestDevice.enrol(alpha, 'fay@alpha.example', { stock: 0 });
  const first = device.session;
  await device.connect();
  assert.equal((await first.ended).reason, 'auth_required');
  assert.equal(await device.session.settled(), 'open');
});
