import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { nodeClock, nodeCrypto, nodeRandom } from '@norc/crypto/node';
import { instant } from '@norc/protocol/base';
import { verifyDeviceCertificate } from '@norc/protocol/crypto';
import { SessionRefused, TestDevice, type TestServer, TestServers } from '@norc/testkit/live';

const DAY_MS = 86_400_000;
let world: TestServers;
let alpha: TestServer;
let offsetMs = 0;

before(async () => {
  const clock = { now: () => instant(nodeClock.now() + offsetMs) };
  world = await TestServers.start({ domains: ['alpha.example'], clock });
  alpha = world.at(0);
});
after(() => world.dispose());

const refused = (code: string) => (error: unknown) => error instanceof SessionRefused && error.code === code;

/** One failed registration more than an hour allows would be `rate_limited` instead. */
function anHourPasses(): void {
  offsetMs += 3_600_001;
}

async function enrolInto(server: TestServer, address: string) {
  const device = new TestDevice(server, address, { clock: { now: () => instant(nodeClock.now() + offsetMs) } });
  return { device, enrolment: await device.invite() };
}

test('a good code makes a device whose certificate chains to the root key', async () => {
  anHourPasses();
  const { device, enrolment } = await enrolInto(alpha, 'ann@alpha.example');
  await device.connect(enrolment);
  const registered = device.session.registered;
  assert.ok(registered !== undefined && device.session.ready?.user === 'ann@alpha.example');
  const chain = { certificate: registered.device_certificate, issuer: registered.issuer_certificate };
  const pinned = { org: device.domain, rootKey: alpha.rootKey() };
  const verified = verifyDeviceCertificate(nodeCrypto, chain, { pinned, now: instant(nodeClock.now() + offsetMs) });
  assert.ok(verified.ok && verified.value.deviceId === device.deviceId && verified.value.user === device.user);
  await device.reconnect();
});

const wrongCodes = [
  { name: 'a wrong one', spoil: (code: Uint8Array) => nodeRandom.bytes(code.length) },
  { name: 'one that is a bit off', spoil: (code: Uint8Array) => code.map((byte, at) => (at === 0 ? byte ^ 1 : byte)) },
];

for (const { name, spoil } of wrongCodes) {
  test(`a code that is ${name} enrols nobody`, async () => {
    anHourPasses();
    const { device, enrolment } = await enrolInto(alpha, `bea${name.length}@alpha.example`);
    await assert.rejects(device.connect({ ...enrolment, code: spoil(enrolment.code) }), refused('enrolment_invalid'));
    assert.deepEqual(await alpha.node().directory.devicesOf(device.user), []);
    await device.connect(enrolment); // the good one is not spent by it
  });
}

test('a used code enrols no second device, and the first one stays', async () => {
  anHourPasses();
  const { device, enrolment } = await enrolInto(alpha, 'cid@alpha.example');
  await device.connect(enrolment);
  const thief = new TestDevice(alpha, 'cid@alpha.example', device.options);
  await assert.rejects(thief.connect(enrolment), refused('enrolment_invalid'));
  assert.equal((await alpha.node().directory.devicesOf(device.user)).length, 1);
  assert.equal(await device.session.settled(), 'open');
});

test('a code enrols at most one of many devices that come at the same time', async () => {
  anHourPasses();
  const { device, enrolment } = await enrolInto(alpha, 'dan@alpha.example');
  const rivals = [device, new TestDevice(alpha, 'dan@alpha.example', device.options)];
  const outcomes = await Promise.allSettled(rivals.map((one) => one.connect(enrolment)));
  assert.deepEqual(outcomes.map((one) => one.status).sort(), ['fulfilled', 'rejected']);
  assert.equal((await alpha.node().directory.devicesOf(device.user)).length, 1);
});

test('an expired code enrols nobody', async () => {
  const { device, enrolment } = await enrolInto(alpha, 'eva@alpha.example');
  offsetMs += DAY_MS;
  await assert.rejects(device.connect(enrolment), refused('enrolment_invalid'));
});

test("another user's code enrols nobody", async () => {
  anHourPasses();
  const { enrolment } = await enrolInto(alpha, 'fay@alpha.example');
  const thief = new TestDevice(alpha, 'gus@alpha.example', {
    clock: { now: () => instant(nodeClock.now() + offsetMs) },
  });
  await thief.invite();
  await assert.rejects(thief.connect({ ...enrolment, user: thief.user }), refused('enrolment_invalid'));
});

test('a registration whose answer was lost is repeated, and gives the same certificate', async () => {
  anHourPasses();
  const { device, enrolment } = await enrolInto(alpha, 'hal@alpha.example');
  await device.connect(enrolment);
  const first = device.session.registered;
  await device.disconnect();
  await device.connect(enrolment);
  const second = device.session.registered;
  assert.equal(first?.status, 'registered');
  assert.equal(second?.status, 'already_registered');
  assert.deepEqual(second.device_certificate, first.device_certificate);
});

test('nobody takes over a device id with another key and a code of their own', async () => {
  anHourPasses();
  const { device, enrolment } = await enrolInto(alpha, 'ida@alpha.example');
  await device.connect(enrolment);
  const { device: thief, enrolment: theirs } = await enrolInto(alpha, 'jon@alpha.example');
  await assert.rejects(
    thief.connect(theirs, { ...thief.own, deviceId: device.deviceId }),
    refused('enrolment_invalid'),
  );
  const row = await alpha.node().directory.device(device.deviceId);
  assert.deepEqual(row?.publicKey, device.keys.publicKey);
  assert.equal(await device.session.settled(), 'open');
});

test('codes cannot be tried one after the other', async () => {
  anHourPasses();
  const { device, enrolment } = await enrolInto(alpha, 'kim@alpha.example');
  const codes: string[] = [];
  for (let i = 0; i < 6; i += 1) {
    await device.connect({ ...enrolment, code: nodeRandom.bytes(16) }).catch((error: unknown) => {
      codes.push(error instanceof SessionRefused ? error.code : String(error));
    });
  }
  assert.equal(codes[0], 'enrolment_invalid');
  assert.equal(codes.at(-1), 'rate_limited');
});
