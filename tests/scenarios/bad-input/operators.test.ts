import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { nodeClock } from '@norc/crypto/node';
import { instant } from '@norc/protocol/base';
import { ListenError, organisationPaths, SCHEMA_VERSION, StorageError } from '@norc/server';
import { openSqliteStore } from '@norc/server/storage';
import { refusalOf, SessionRefused, TestDevice, TestServers, trustState, until } from '@norc/testkit/live';

const TEN_MINUTES_MS = 600_000;
const wrongClock = (offsetMs: number) => ({ now: () => instant(nodeClock.now() + offsetMs) });

test('a port in use: the server does not start, says so, and leaves nothing behind', async () => {
  await using world = await TestServers.prepare('alpha.example');
  const alpha = world.at(0);
  const squatter = createServer();
  await new Promise<void>((resolve) => squatter.listen({ host: '127.0.0.1', port: alpha.federationPort }, resolve));
  await assert.rejects(alpha.start(), (error) => error instanceof ListenError && error.fault === 'in_use');
  await new Promise((resolve) => squatter.close(resolve));
  await alpha.start(); // also: the database was not left locked
  await TestDevice.enrol(alpha, 'ann@alpha.example');
});

test('a database of a newer version is not touched', async () => {
  await using world = await TestServers.start('alpha.example');
  const alpha = world.at(0);
  const ann = await TestDevice.enrol(alpha, 'ann@alpha.example');
  await ann.disconnect();
  await alpha.stop();
  const file = organisationPaths(join(alpha.folder, alpha.domain)).database;
  setVersion(file, SCHEMA_VERSION + 1);
  await assert.rejects(alpha.start(), (error) => error instanceof StorageError && error.fault === 'newer_schema');
  setVersion(file, SCHEMA_VERSION);
  await alpha.start();
  await ann.connect();
});

function setVersion(file: string, version: number): void {
  const database = new DatabaseSync(file);
  database.exec(`PRAGMA user_version = ${version}`);
  database.close();
}

test('a second server on the same database does not start, and the first does not notice', async () => {
  await using world = await TestServers.start('alpha.example');
  const alpha = world.at(0);
  const ann = await TestDevice.enrol(alpha, 'ann@alpha.example');
  const conversation = await ann.create([]);
  const file = organisationPaths(join(alpha.folder, alpha.domain)).database;
  const second = openSqliteStore({ file, onFault: () => undefined });
  await assert.rejects(second, (error) => error instanceof StorageError && error.fault === 'locked');
  assert.equal((await conversation.say('undisturbed')).state, 'sent');
});

test('a full disk: the device is told, nothing is half-written, and when there is room it works again', async () => {
  await using world = await TestServers.start('alpha.example');
  const alpha = world.at(0);
  const ann = await TestDevice.enrol(alpha, 'ann@alpha.example');
  const bea = await TestDevice.enrol(alpha, 'bea@alpha.example');
  const [full, other] = [await ann.create([bea.user]), await bea.create([ann.user])];
  for (const one of [bea.conversation(full.id), ann.conversation(other.id)]) await one.inEpoch(1);
  await full.say('before');
  alpha.disk.fail('disk_full', (writes) =>
    writes.some((write) => 'conversationId' in write && write.conversationId === full.id),
  );
  const messages = await Promise.all(['a', 'b', 'c'].map((text) => full.encrypt(text)));
  const answers = await Promise.all(messages.map(({ body }) => full.trySubmit(body)));
  assert.deepEqual(answers.map(refusalOf), ['storage_full', 'storage_full', 'storage_full']);
  await other.say('the other conversation goes on');
  await ann.conversation(other.id).read('the other conversation goes on');
  const commit = await full.draftCommit({ update: true });
  assert.equal(refusalOf(await full.submitCommit(commit)), 'storage_full');
  alpha.disk.repair();
  for (const { body } of messages) await full.submit(body);
  assert.equal((await full.submitCommit(commit)).type, 'message_ack');
  await full.inEpoch(2);
  await full.say('after');
  await bea.conversation(full.id).read('after');
  assert.deepEqual([...bea.conversation(full.id).readTexts].sort(), ['a', 'after', 'b', 'before', 'c']);
  assert.equal((await alpha.node().store.read.conversation(full.id))?.headSeq, 7);
});

test("a partner's full disk: messages wait, and arrive when there is room", async () => {
  await using world = await TestServers.start('alpha.example', 'bravo.example');
  const [alpha, bravo] = [world.at(0), world.at(1)];
  await world.trust(alpha, bravo);
  const ann = await TestDevice.enrol(alpha, 'ann@alpha.example');
  const bob = await TestDevice.enrol(bravo, 'bob@bravo.example');
  const atAnn = await ann.create([bob.user]);
  const atBob = bob.conversation(atAnn.id);
  await atBob.inEpoch(1);
  const appends = (writes: readonly { readonly op: string }[]) => writes.some((write) => write.op === 'log.append');
  for (const [full, from, to] of [
    [alpha, atBob, atAnn],
    [bravo, atAnn, atBob],
  ] as const) {
    full.disk.refused = 0;
    full.disk.fail('disk_full', appends);
    await from.say(`while ${full.domain} is full`);
    await until('the full disk was met', () => full.disk.refused > 0);
    full.disk.repair();
    await to.read(`while ${full.domain} is full`);
    await from.read(`while ${full.domain} is full`);
  }
});

test("a device whose clock is ten minutes off works: it signs the server's time", async () => {
  await using world = await TestServers.start('alpha.example');
  for (const [name, offset] of [
    ['fast', TEN_MINUTES_MS],
    ['slow', -TEN_MINUTES_MS],
  ] as const) {
    const device = await TestDevice.enrol(world.at(0), `${name}@alpha.example`, {
      clock: wrongClock(offset),
      stock: 0,
    });
    assert.ok(Math.abs(device.session.ready?.offset.milliseconds ?? 0) > TEN_MINUTES_MS / 2);
    await device.reconnect();
  }
});

test('a proof with an old time is refused', async () => {
  await using world = await TestServers.start('alpha.example');
  const device = await TestDevice.enrol(world.at(0), 'ann@alpha.example', { stock: 0 });
  const witness = await TestDevice.enrol(world.at(0), 'bea@alpha.example', { stock: 0 });
  await device.disconnect();
  // Its clock runs on between the challenge and the proof, as when somebody holds the proof back.
  let asked = 0;
  const drifting = { now: () => instant(nodeClock.now() + (asked++ === 0 ? 0 : TEN_MINUTES_MS)) };
  const late = new TestDevice(world.at(0), 'ann@alpha.example', { clock: drifting });
  await late.connect(undefined, device.own).catch((error: unknown) => {
    assert.ok(error instanceof SessionRefused, String(error));
  });
  assert.equal(await witness.session.settled(), 'open');
});

test("a partner server's clock ten minutes off: no trust comes about, both can see why, and the rest goes on", async () => {
  await using world = await TestServers.start('alpha.example', {
    domains: ['bravo.example'],
    clock: wrongClock(TEN_MINUTES_MS),
  });
  const [alpha, bravo] = [world.at(0), world.at(1)];
  const witness = await TestDevice.enrol(alpha, 'ann@alpha.example');
  assert.ok((await alpha.node().trust.request(bravo.domain, 'basic', 'officer:test')).ok);
  const summary = () =>
    alpha
      .node()
      .trust.summaries()
      .find((one) => one.peer === bravo.domain);
  await until('the officer is told why', () => summary()?.explanation.includes('clock_skew'));
  assert.equal(trustState(bravo.node(), alpha.domain), 'requested');
  assert.equal(alpha.node().trust.level(bravo.domain), 'untrusted');
  const conversation = await witness.create([]);
  assert.equal((await conversation.say('undisturbed')).state, 'sent');
});
