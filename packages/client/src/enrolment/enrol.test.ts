import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeCrypto } from '@norc/crypto/node';
import { type Domain, instant, type Result } from '@norc/protocol/base';
import { decodeEnrolmentCode, encodeEnrolmentCode } from '@norc/protocol/norc-c';
import * as testkit from '@norc/testkit';
import { RecordingStore } from '../testing/recording-store.ts';
import { standardWorld } from '../testing/standard-world.ts';
import { must, type TestWorld, user } from '../testing/world.ts';
import { type Enrolled, type EnrolmentReject, type EnrolOptions, enrol } from './enrol.ts';

const ANNA = user('anna@alpha.example');
const BRAVO = 'bravo.example' as Domain; // a well-formed domain

async function attempt(
  world: TestWorld,
  changes: Partial<EnrolOptions> = {},
): Promise<Result<Enrolled, EnrolmentReject>> {
  const base = { ...world.linkWorld(world.network.transport()), code: world.code(ANNA), deviceName: 'laptop' };
  const enrolling = enrol({ ...base, store: new RecordingStore(), versions: world.clientVersions, ...changes });
  // A failure is kept until it is asked for.
  const outcome = enrolling.then(
    (result) => () => result,
    (thrown: unknown) => () => {
      throw thrown;
    },
  );
  await world.settle();
  await world.advance(20_000);
  return (await outcome)();
}

const errorOf = (result: Result<Enrolled, EnrolmentReject>) => (result.ok ? undefined : result.error);

for (const versions of [['2.0'], ['1.2']]) {
  test(`a code makes a device of its user, over ${versions.join()}`, async () => {
    const world = standardWorld(testkit, { seed: 'enrol', clientVersions: versions });
    const store = new RecordingStore();
    const enrolled = must(await attempt(world, { store }));
    assert.deepEqual(await store.read.device(), enrolled);
    assert.deepEqual([enrolled.user, enrolled.name, enrolled.domain], [ANNA, 'laptop', 'alpha.example']);
    assert.deepEqual(enrolled.orgRootKey, world.server(ANNA).options.organisation.root.publicKey);
    assert.match(enrolled.deviceId, /^.{12}4.{3}[89ab].{15}$/);
    await assert.rejects(attempt(world, { store }), RangeError, 'a profile is one device');
    assert.equal(world.time.waiting, 0);
  });
}

test('whoever does not hold the root key of the code is told nothing, and nothing is stored', async () => {
  const world = standardWorld(testkit, { seed: 'wrong root' });
  const rootFingerprint = nodeCrypto.blake3(testkit.testOrganisation('echo.example').root.publicKey);
  const store = new RecordingStore();
  const refused = errorOf(await attempt(world, { store, code: world.code(ANNA, { rootFingerprint }) }));
  assert.equal(refused?.code, 'certificate_invalid');
  assert.equal(store.transactions.length, 0);
  assert.equal(world.server(ANNA).devices.size, 0);

  // Another organisation at the address of the code, with all its own keys in order.
  const code = must(decodeEnrolmentCode(nodeCrypto, world.code(ANNA)));
  const elsewhere = encodeEnrolmentCode(nodeCrypto, {
    ...code,
    server: world.address(BRAVO),
  });
  assert.equal(errorOf(await attempt(world, { code: elsewhere }))?.code, 'certificate_invalid');
  assert.equal(world.servers.get(BRAVO)?.devices.size, 0);
});

test('a code that is mistyped, used, made up, or asks for a connection in the clear is refused by name', async () => {
  const world = standardWorld(testkit, { seed: 'codes' });
  const code = world.code(ANNA);
  assert.deepEqual(errorOf(await attempt(world, { code: 'hello' }))?.reason, 'not_a_code');
  assert.deepEqual(
    errorOf(await attempt(world, { code: `${code.slice(0, -1)}${code.endsWith('0') ? '2' : '0'}` }))?.reason,
    'mistyped',
  );
  must(await attempt(world, { code }));
  assert.equal(errorOf(await attempt(world, { code }))?.code, 'enrolment_invalid');
  assert.equal(errorOf(await attempt(world, { deviceName: 'x'.repeat(129) }))?.code, 'limit_exceeded');
  const decoded = must(decodeEnrolmentCode(nodeCrypto, code));
  const clear = encodeEnrolmentCode(nodeCrypto, {
    ...decoded,
    server: { host: 'norc.alpha.example', port: 80, tls: false },
  });
  assert.equal(errorOf(await attempt(world, { code: clear }))?.code, 'certificate_invalid');
  const nowhere = encodeEnrolmentCode(nodeCrypto, { ...decoded, server: { host: '127.0.0.1', port: 9, tls: false } });
  assert.deepEqual(errorOf(await attempt(world, { code: nowhere })), {
    code: 'no_route',
    detail: 'enrolment',
    cause: 'unreachable',
  });
});

test('an answer that was lost is asked for again with the same code and the same key', async () => {
  const world = standardWorld(testkit, { seed: 'lost answer' });
  const store = new RecordingStore();
  const code = world.code(ANNA);
  const server = world.server(ANNA);
  server.mischief.request = ({ type }) => (type === 'device_register' ? 'silence' : undefined);
  const lost = await attempt(world, { store, code });
  assert.equal(errorOf(lost)?.code, 'no_route');
  const [registered] = server.devices.keys();
  delete server.mischief.request;
  const enrolled = must(await attempt(world, { store, code }));
  assert.equal(enrolled.deviceId, registered);
  assert.equal(server.devices.size, 1);
  // Another code is another device: its key was never heard of by anybody.
  const other = new RecordingStore();
  assert.notEqual(must(await attempt(world, { store: other })).deviceId, registered);
});

test('a certificate for another key, another user or by another organisation is not taken', async () => {
  const world = standardWorld(testkit, { seed: 'certificates' });
  const server = world.server(ANNA);
  const { register } = server;
  const stranger = testkit.testDevice(testkit.testOrganisation('echo.example'), 'eve', 'x');
  const sibling = testkit.testDevice(testkit.testOrganisation('alpha.example'), 'anna', 'another');
  for (const { chain } of [stranger, sibling]) {
    server.register = (request) => {
      const outcome = register.call(server, request);
      return outcome.ok ? { ok: true, value: { ...outcome.value, device_certificate: chain.certificate } } : outcome;
    };
    const store = new RecordingStore();
    assert.equal(errorOf(await attempt(world, { store }))?.code, 'certificate_invalid');
    assert.equal((await store.read.device())?.registration, undefined);
  }
});

test('a disk that fails is no refusal: it is thrown', async () => {
  const world = standardWorld(testkit, { seed: 'disk' });
  const store = new RecordingStore();
  store.transact = async () => {
    throw new Error('no space');
  };
  await assert.rejects(attempt(world, { store }), /no space/);
  assert.equal(world.server(ANNA).devices.size, 0, 'the server never heard of the key');
});

test('a device whose clock is ten minutes off enrols all the same', async () => {
  const world = standardWorld(testkit, { seed: 'clock' });
  for (const offset of [-600_000, 600_000]) {
    must(await attempt(world, { clock: { now: () => instant(world.time.now() + offset) } }));
  }
});

test('the server cannot move the clock that its certificate is checked by; a clock that is far off is named', async () => {
  const world = standardWorld(testkit, { seed: 'far clock' });
  const code = async (milliseconds: number) =>
    errorOf(await attempt(world, { clock: { now: () => instant(world.time.now() + milliseconds) } }))?.code;
  assert.equal(await code(-2 * 3_600_000), 'clock_skew');
  assert.equal(await code(-4000 * 86_400_000), 'certificate_expired', 'the server’s own certificate comes first');
});
