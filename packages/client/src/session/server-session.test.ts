import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeCrypto } from '@norc/crypto/node';
import { createNodeMlsProvider } from '@norc/mls/node';
import { instant, LIMITS } from '@norc/protocol/base';
import * as testkit from '@norc/testkit';
import { NorcClient } from '../client.ts';
import { standardWorld } from '../testing/standard-world.ts';
import { type TestDevice, versionsOf } from '../testing/world.ts';

const statesOf = (device: TestDevice) => device.states.map(({ state }) => state);

test('a session shows its version, its suite and a transcript that both sides could compare', async () => {
  const world = standardWorld(testkit, { seed: 'facts' });
  const anna = await world.device('anna@alpha.example');
  const { status } = anna.client;
  assert.ok(status.state === 'ready');
  assert.deepEqual([status.facts.version, status.facts.suite], ['2.0', 'hybrid_chacha20_blake3']);
  assert.match(status.facts.transcript, /^[0-9a-f]{4}( [0-9a-f]{4}){3}$/);
  assert.deepEqual(statesOf(anna), ['connecting', 'ready']);
  await world.close();
  assert.equal(anna.client.status.state, 'offline');
});

test('a lost connection is made again, later and later while it cannot be, and at once when asked', async () => {
  const world = standardWorld(testkit, { seed: 'backoff' });
  const anna = await world.device('anna@alpha.example');
  const address = world.address(anna.enrolled.domain);
  world.network.unlisten(address);
  anna.transport.cut();
  await world.advance(600_000);
  const { dials } = anna.transport;
  assert.ok(dials > 15 && dials < 200, `dialed ${dials} times in ten minutes`);
  world.network.listen(address, world.server(anna.user).accept);
  anna.client.connect();
  await world.settle();
  assert.equal(anna.client.status.state, 'ready');
  await world.close();
});

/** Before its signature was verified nobody knows who said it: it may only make us try again. */
function isUnproven(device: TestDevice, code: string): void {
  const { status } = device.client;
  assert.ok(status.state === 'waiting', status.state);
  assert.equal(status.code, code);
  assert.ok(device.warnings.some(({ warning }) => warning === 'server_unproven'));
}

test('versions that have nothing in common are refused, shown, and tried again', async () => {
  const world = standardWorld(testkit, { seed: 'versions' });
  const anna = await world.device('anna@alpha.example');
  world.server(anna.user).options.versions = versionsOf(['3.0']);
  anna.transport.cut();
  await world.advance(60_000);
  isUnproven(anna, 'no_compatible_version');
  await world.close();
});

test('a server that is suddenly older than it was is refused, unless a person says otherwise', async () => {
  const world = standardWorld(testkit, { seed: 'downgrade' });
  const anna = await world.device('anna@alpha.example');
  world.server(anna.user).options.versions = versionsOf(['1.2']);
  anna.transport.cut();
  await world.advance(60_000);
  assert.deepEqual(anna.client.status, { state: 'stopped', code: 'downgrade_refused' });
  await anna.client.close();
  Object.assign(anna.changes, { allowOlderServer: true });
  await anna.crash();
  assert.equal(anna.client.status.state, 'ready');
  await world.close();
});

test('somebody else at the server’s address learns nothing and gets nowhere', async () => {
  const world = standardWorld(testkit, { seed: 'impostor' });
  const anna = await world.device('anna@alpha.example');
  const impostor = world.server('bravo.example' as typeof anna.enrolled.domain);
  world.network.listen(world.address(anna.enrolled.domain), impostor.accept);
  anna.transport.cut();
  await world.advance(60_000);
  isUnproven(anna, 'certificate_invalid');
  assert.deepEqual(anna.warnings[0]?.problem, { cause: 'server.not_genuine' });
  assert.deepEqual(impostor.log, []);
  assert.equal(impostor.devices.size, 0);
  world.network.listen(world.address(anna.enrolled.domain), world.server(anna.user).accept);
  await world.advance(60_000);
  assert.equal(anna.client.status.state, 'ready', 'whoever was in between is gone');
  await world.close();
});

test('TLS counts when an authority or the organisation itself vouches for its key', async () => {
  const pinned = testkit.testOrganisation('alpha.example').tlsSpkiSha256;
  const cases = [
    { tls: { authorized: false, spkiSha256: pinned }, ends: 'ready' },
    { tls: { authorized: true, spkiSha256: new Uint8Array(32) }, ends: 'ready' },
    { tls: { authorized: false, spkiSha256: new Uint8Array(32) }, ends: 'waiting' },
    { tls: undefined, ends: 'waiting' },
  ];
  for (const { tls, ends } of cases) {
    const world = standardWorld(testkit, { seed: 'tls' });
    const anna = await world.device('anna@alpha.example');
    await anna.client.close();
    const server = { host: 'norc.alpha.example', port: 8843, tls: true };
    const device = (await anna.store.read.device()) ?? assert.fail();
    await anna.store.transact([{ op: 'device.put', device: { ...device, server } }]);
    world.network.listen(server, world.server(anna.user).accept, tls === undefined ? {} : { tls });
    await anna.crash();
    assert.equal(anna.client.status.state, ends);
    await world.close();
  }
});

test('nothing is dialed in the clear beyond this machine without being told to', async () => {
  const world = standardWorld(testkit, { seed: 'clear' });
  const anna = await world.device('anna@alpha.example');
  const device = (await anna.store.read.device()) ?? assert.fail();
  const server = { host: '192.0.2.1', port: 80, tls: false };
  await anna.store.transact([{ op: 'device.put', device: { ...device, server } }]);
  const options = {
    ...world.linkWorld(anna.transport),
    store: anna.store,
    mlsProvider: createNodeMlsProvider(nodeCrypto),
  };
  await assert.rejects(NorcClient.open(options), RangeError);
  await (await NorcClient.open({ ...options, allowPlain: true })).close();
  await world.close();
});

test('keys change after an hour of quiet without anybody noticing', async () => {
  const world = standardWorld(testkit, { seed: 'rekey' });
  const anna = await world.device('anna@alpha.example');
  const bruno = await world.device('bruno@bravo.example');
  const id = await anna.creates([bruno]);
  await world.advance(3 * LIMITS.rekeyMillisecondsMax);
  await anna.says(id, 'still here');
  await world.advance(1_000);
  assert.deepEqual(await bruno.shown(id), ['still here']);
  assert.equal(anna.transport.dials, 2, 'one to enrol, one ever since');
  await world.close();
});

test('a connection that is dead without knowing it is noticed', async () => {
  const world = standardWorld(testkit, { seed: 'dead' });
  const anna = await world.device('anna@alpha.example');
  for (const session of world.server(anna.user).sessions) session.message = () => undefined;
  await world.advance(120_000);
  assert.equal(anna.client.status.state, 'ready');
  assert.equal(anna.transport.dials, 3);
  await world.close();
});

test('a request that is not answered ends, and what comes too late harms nobody', async () => {
  const world = standardWorld(testkit, { seed: 'late' });
  const anna = await world.device('anna@alpha.example');
  const bruno = await world.device('bruno@bravo.example');
  world.server(anna.user).mischief.request = ({ type }) => (type === 'key_request' ? 'silence' : undefined);
  const creating = anna.client.createConversation({ users: [bruno.user] });
  await world.settle();
  await world.advance(LIMITS.requestMillisecondsMax + 1);
  const outcome = await creating;
  assert.equal(outcome.ok ? 'created' : outcome.error.code, 'no_route');
  assert.equal(anna.client.status.state, 'ready');
  await world.close();
});

test('an error about what needs no answer ends nothing', async () => {
  const world = standardWorld(testkit, { seed: 'told' });
  const anna = await world.device('anna@alpha.example');
  const bruno = await world.device('bruno@bravo.example');
  world.server(bruno.user).mischief.request = ({ type }) => (type === 'cursor_ack' ? 'malformed' : undefined);
  const id = await anna.creates([bruno]);
  await anna.says(id, 'hello');
  await world.advance(1_000);
  assert.ok(world.server(bruno.user).log.includes('cursor_ack'));
  assert.deepEqual(statesOf(bruno), ['connecting', 'ready']);
  await world.close();
});

test('a server that drains is come back to; one that revoked the device is not', async () => {
  const world = standardWorld(testkit, { seed: 'drain' });
  const anna = await world.device('anna@alpha.example');
  world.server(anna.user).endAll('shutting_down');
  await world.settle();
  assert.equal(anna.client.status.state, 'waiting');
  await world.advance(60_000);
  assert.equal(anna.client.status.state, 'ready');
  world.server(anna.user).revoke(anna.enrolled.deviceId);
  await world.advance(60_000);
  assert.deepEqual(anna.client.status, { state: 'stopped', code: 'auth_failed' });
  await world.close();
});

test('a clock that is off is told once, corrected for what is sent, and never set', async () => {
  const world = standardWorld(testkit, { seed: 'clock' });
  const bruno = await world.device('bruno@bravo.example');
  for (const [name, offset] of [
    ['anna', -600_000],
    ['dora', 600_000],
  ] as const) {
    const wrong = { now: () => instant(world.time.now() + offset) };
    const device = await world.device(`${name}@alpha.example`, 'laptop', { clock: wrong });
    assert.deepEqual(device.warnings, [{ warning: 'clock', problem: { cause: 'device.clock', seconds: 600 } }]);
    assert.equal(device.client.clockOffsetMilliseconds, -offset);
    const id = await device.creates([bruno]);
    const sent = world.time.now();
    await device.says(id, 'what time is it?');
    const [row] = (await bruno.store.read.timeline(id, { limit: 1 })).rows;
    assert.equal(row?.sentAt, sent);
    device.transport.cut();
    await world.advance(60_000);
    assert.equal(device.warnings.length, 1);
  }
  await world.close();
});

test('a transport that throws is reported, and ends nothing else', async () => {
  const world = standardWorld(testkit, { seed: 'throwing' });
  const anna = await world.device('anna@alpha.example');
  const fault = new Error('no sockets');
  Object.assign(anna.transport, {
    connect: () => {
      throw fault;
    },
  });
  anna.transport.cut();
  await world.advance(60_000);
  assert.deepEqual(anna.client.status, { state: 'stopped', code: 'internal' });
  assert.deepEqual(anna.faults, [fault]);
  await world.close();
});

test('a server cannot move the clock by which certificates and keys are valid', async () => {
  const world = standardWorld(testkit, { seed: 'moved clock' });
  const bruno = await world.device('bruno@bravo.example');
  const { mischief } = world.server('anna@alpha.example' as typeof bruno.user);
  const years = 20 * 365 * 86_400_000;
  mischief.answer = (_message, answer) =>
    answer.type === 'time_sync'
      ? { type: 'time_sync', body: { ...answer.body, server_time: instant(world.time.now() - years) } }
      : answer;
  const anna = await world.device('anna@alpha.example');
  assert.ok(anna.client.clockOffsetMilliseconds <= -years, 'for what is shown');
  const id = await anna.creates([bruno]);
  await anna.says(id, 'still here');
  assert.deepEqual(await bruno.shown(id), ['still here']);
  const stock = await anna.store.read.keyPackages();
  assert.ok(stock.every(({ createdAt }) => createdAt >= world.time.now() - 86_400_000));
  await world.close();
});
