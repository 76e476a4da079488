import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { chmod, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { nodeCrypto, nodeRandom } from '@norc/crypto/node';
import { toHex } from '@norc/protocol/base';
import { StoreError, type StoreFault } from '../../store/port.ts';
import * as sample from '../../store/samples.ts';
import { type NodeStoreOptions, openNodeStore } from './store.ts';
import { createSecretFile } from './vault-secret-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'norc-sealing-'));
after(() => rm(folder, { recursive: true, force: true }));

const PASSPHRASE = { passphrase: 'correct horse' };
const OTHER = { passphrase: 'battery staple' };
const newPath = () => join(folder, randomUUID(), 'profile.db');

const open = (path: string, more: Partial<NodeStoreOptions> = {}) =>
  openNodeStore({
    path,
    unlock: PASSPHRASE,
    create: false,
    crypto: nodeCrypto,
    random: nodeRandom,
    cost: { memoryKib: 64, passes: 1, lanes: 1 },
    ...more,
  });

const fault = (name: StoreFault, message?: string) => (thrown: unknown) => {
  assert.ok(thrown instanceof StoreError, String(thrown));
  assert.equal(thrown.fault, name);
  if (message !== undefined) assert.equal(thrown.message, message);
  return true;
};

/** A closed profile with a row of every kind. */
async function fullProfile(): Promise<string> {
  const path = newPath();
  const store = await open(path, { create: true });
  await store.transact(sample.fullWrites());
  await store.close();
  return path;
}

/** The profile's file, its log and its shared memory, while it may be open. */
function bytesOnDisk(path: string): Buffer {
  const names = readdirSync(dirname(path)).filter((name) => name.startsWith(basename(path)));
  return Buffer.concat(names.map((name) => readFileSync(join(dirname(path), name))));
}

function tamper(path: string, sql: string): void {
  const database = new DatabaseSync(path);
  database.exec(sql);
  database.close();
}

test('nothing that a person wrote or named stands in the file, open or closed', async () => {
  const path = newPath();
  const store = await open(path, { create: true });
  await store.transact(sample.fullWrites());
  const words = ['convoy', 'logistics', 'anna', 'bruno', 'laptop', 'alpha', 'bravo', 'example', 'unclassified'];
  const secrets = [sample.device().privateKey, sample.keyPackage(1).privatePackage, sample.group(1).state];
  const check = () => {
    const disk = bytesOnDisk(path);
    assert.ok(disk.includes(sample.CONVERSATION), 'the test looks at the right bytes');
    for (const word of words) assert.ok(!disk.toString('latin1').toLowerCase().includes(word), word);
    for (const secret of secrets.filter((bytes) => bytes.length > 8)) assert.ok(!disk.includes(secret.subarray(0, 32)));
    assert.ok(!disk.includes(sample.deviceId(1)), 'who wrote a message');
  };
  check();
  await store.close();
  check();
});

test('the profile is for its owner only', { skip: process.platform === 'win32' }, async () => {
  const path = await fullProfile();
  assert.equal(statSync(path).mode & 0o077, 0);
  assert.equal(statSync(dirname(path)).mode & 0o077, 0);
});

test('a wrong passphrase is named and changes nothing', async () => {
  const path = await fullProfile();
  const before = readFileSync(path);
  await assert.rejects(open(path, { unlock: OTHER }), fault('wrong_passphrase', 'The passphrase is wrong.'));
  assert.deepEqual(readFileSync(path), before);
  await (await open(path)).close();
});

test('the same words typed in another composition open the profile', async () => {
  const path = newPath();
  await (await open(path, { create: true, unlock: { passphrase: 'caf\u00e9' } })).close();
  await (await open(path, { unlock: { passphrase: 'cafe\u0301' } })).close();
});

test('changing the passphrase asks for the old one and leaves the rows as they are', async () => {
  const path = await fullProfile();
  const store = await open(path);
  await assert.rejects(store.changeUnlock(OTHER, OTHER), fault('wrong_passphrase'));
  await store.changeUnlock(PASSPHRASE, OTHER);
  await store.close();
  await assert.rejects(open(path), fault('wrong_passphrase'));
  const again = await open(path, { unlock: OTHER });
  assert.deepEqual(await again.read.device(), sample.device());
  await again.close();
});

test('a secret file opens the profile, and only the right one', async () => {
  const path = newPath();
  const unlock = { secretFile: join(dirname(path), 'secret') };
  await createSecretFile(unlock.secretFile, nodeRandom);
  await (await open(path, { create: true, unlock })).close();
  await (await open(path, { unlock })).close();
  const wrong = { secretFile: join(dirname(path), 'other') };
  await createSecretFile(wrong.secretFile, nodeRandom);
  await assert.rejects(open(path, { unlock: wrong }), fault('wrong_passphrase'));
  await assert.rejects(open(path, { unlock: PASSPHRASE }), fault('wrong_passphrase'));
  await assert.rejects(createSecretFile(wrong.secretFile, nodeRandom), fault('permissions'));
});

test('a secret file that others can read, a link to one and a short one are refused', async (t) => {
  if (process.platform === 'win32') return t.skip('modes mean nothing here');
  const path = newPath();
  const secretFile = join(dirname(path), 'secret');
  await createSecretFile(secretFile, nodeRandom);
  for (const mode of [0o640, 0o604, 0o660]) {
    await chmod(secretFile, mode);
    await assert.rejects(open(path, { create: true, unlock: { secretFile } }), fault('permissions'), mode.toString(8));
  }
  await chmod(secretFile, 0o600);
  const link = `${secretFile}-link`;
  await symlink(secretFile, link);
  await assert.rejects(open(path, { create: true, unlock: { secretFile: link } }), fault('permissions'));
  await writeFile(secretFile, 'short');
  await assert.rejects(open(path, { create: true, unlock: { secretFile } }), fault('permissions'));
  await assert.rejects(open(path, { create: true, unlock: { secretFile: `${link}-none` } }), fault('absent'));
  return undefined;
});

test('rows moved to another place, or with changed places, do not open', async () => {
  const attacks: readonly [string, (store: Awaited<ReturnType<typeof open>>) => Promise<unknown>][] = [
    [
      'UPDATE message SET row = (SELECT row FROM message m WHERE m.seq = 2) WHERE seq = 1',
      (store) => store.read.message(sample.message(1)),
    ],
    ['UPDATE message SET seq = 99 WHERE seq = 1', (store) => store.read.message(sample.message(1))],
    [
      'UPDATE message SET target = NULL WHERE target IS NOT NULL',
      (store) => store.read.timeline(sample.CONVERSATION, { limit: 9 }),
    ],
    ['UPDATE mls_group SET state = pending', (store) => store.read.group(sample.CONVERSATION)],
    ['UPDATE conversation SET position = details', (store) => store.read.conversations()],
    ["UPDATE mark SET mark = 'read'", (store) => store.read.marks(sample.CONVERSATION)],
    [
      'UPDATE key_package SET secret = (SELECT secret FROM key_package k WHERE k.last_resort = 1)',
      (store) => store.read.keyPackage(sample.keyPackage(1).ref),
    ],
    ['UPDATE device SET row = substr(row, 1, 5)', (store) => store.read.device()],
    ['UPDATE meta SET value = (SELECT row FROM device)', (store) => store.read.meta('org:bravo.example')],
  ];
  for (const [sql, read] of attacks) {
    const path = await fullProfile();
    tamper(path, sql);
    const store = await open(path);
    await assert.rejects(read(store), fault('corrupt'), sql);
    await store.close();
  }
});

test('a key record that was changed opens nothing, and cannot exhaust the machine', async () => {
  const path = await fullProfile();
  const change = (field: string, value: number | string) =>
    tamper(path, `UPDATE vault SET document = json_set(document, '${field}', ${JSON.stringify(value)})`);
  change('$.wrap.cost.memoryKib', 32);
  await assert.rejects(open(path), fault('wrong_passphrase'));
  change('$.wrap.cost.memoryKib', 1_000_000_000);
  await assert.rejects(open(path), fault('corrupt'));
  tamper(path, "UPDATE vault SET document = json_remove(document, '$.wrap')");
  await assert.rejects(open(path), fault('corrupt'));
  tamper(path, "UPDATE vault SET document = 'x'");
  await assert.rejects(open(path), fault('corrupt'));
});

test('a second opening of the same profile is refused, in this process and in another', async () => {
  const path = await fullProfile();
  const store = await open(path);
  await assert.rejects(open(path), fault('in_use'));
  const child = spawnSync(process.execPath, [...process.execArgv, CHILD, path, 'try'], { encoding: 'utf8' });
  assert.equal(child.stdout, 'in_use', child.stderr);
  assert.deepEqual(await store.read.device(), sample.device());
  await store.close();
  const free = spawnSync(process.execPath, [...process.execArgv, CHILD, path, 'try'], { encoding: 'utf8' });
  assert.equal(free.stdout, 'opened', free.stderr);
});

const CHILD = fileURLToPath(new URL('./store-child.fixture.ts', import.meta.url));

test('a process killed while it takes in messages loses none that it told and doubles none', async () => {
  const path = await fullProfile();
  const child = spawn(process.execPath, [...process.execArgv, CHILD, path, 'write'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let told = 0;
  for await (const chunk of child.stdout) {
    told = Number(String(chunk).trim().split('\n').at(-1));
    if (told >= 40) child.kill('SIGKILL');
  }
  const store = await open(path);
  const conversation = await store.read.conversation(sample.CONVERSATION);
  const { rows } = await store.read.timeline(sample.CONVERSATION, { after: 100, limit: 100_000 });
  const taken = (conversation?.cursorSeq ?? 0) - 100;
  assert.ok(taken >= told && told >= 40, `${taken} taken in, ${told} told`);
  assert.deepEqual(
    rows.map((row) => row.seq),
    Array.from({ length: taken }, (_, i) => 101 + i),
  );
  assert.equal((await store.read.group(sample.CONVERSATION))?.epoch, conversation?.cursorSeq);
  await store.close();
});

test('a full disk refuses the transaction whole; everything before it stays', async () => {
  const path = await fullProfile();
  const store = await open(path, { bytesMax: statSync(path).size + 40_000 });
  const big = { ...sample.group(9), state: new Uint8Array(200_000) };
  const writes = [
    { op: 'message.add', message: sample.message(50) },
    { op: 'group.put', group: big },
  ] as const;
  await assert.rejects(store.transact(writes), fault('disk_full'));
  assert.equal((await store.read.group(sample.CONVERSATION))?.epoch, 1);
  assert.equal(await store.read.message(sample.message(50)), undefined);
  assert.equal((await store.transact([{ op: 'message.add', message: sample.message(51) }])).ok, true);
  await store.close();
  const wider = await open(path);
  assert.equal((await wider.transact(writes)).ok, true);
  await wider.close();
});

test('a profile by a newer program, another file, garbage and nothing are each told apart', async () => {
  const newer = await fullProfile();
  tamper(newer, 'PRAGMA user_version = 99');
  await assert.rejects(open(newer), fault('newer_schema'));
  const foreign = join(folder, 'foreign.db');
  tamper(foreign, 'CREATE TABLE recipes (name TEXT)');
  await assert.rejects(open(foreign), fault('corrupt', 'This file is not a NORC profile.'));
  await assert.rejects(open(foreign, { create: true }), fault('corrupt'));
  const garbage = join(folder, 'garbage.db');
  writeFileSync(garbage, 'x'.repeat(5000));
  await assert.rejects(open(garbage), fault('corrupt'));
  assert.equal(readFileSync(garbage, 'utf8').length, 5000);
  const absent = newPath();
  await assert.rejects(open(absent), fault('absent'));
  writeFileSync(join(folder, 'empty.db'), '');
  await assert.rejects(open(join(folder, 'empty.db')), fault('absent'));
});

test('what was deleted is not left in the file', async () => {
  const path = await fullProfile();
  const database = new DatabaseSync(path);
  const { state } = database.prepare('SELECT state FROM mls_group').get() ?? {};
  database.close();
  assert.ok(state instanceof Uint8Array);
  const trace = Buffer.from(state.subarray(100, 132));
  assert.ok(bytesOnDisk(path).includes(trace));
  const store = await open(path);
  await store.transact([{ op: 'group.delete', conversationId: sample.CONVERSATION }]);
  await store.close();
  assert.ok(!bytesOnDisk(path).includes(trace));
});

test('keys are overwritten when the store closes', async () => {
  const seen = new Map<string, Uint8Array>();
  const aead = nodeCrypto.aead['chacha20-poly1305'];
  const crypto = {
    ...nodeCrypto,
    aead: {
      ...nodeCrypto.aead,
      'chacha20-poly1305': {
        ...aead,
        seal(...args: Parameters<typeof aead.seal>) {
          seen.set(toHex(args[0]), args[0]);
          return aead.seal(...args);
        },
      },
    },
  };
  const store = await open(newPath(), { create: true, crypto });
  await store.transact(sample.fullWrites());
  await store.close();
  assert.ok(seen.size >= 2, 'the wrapping key and the sealing key');
  for (const key of seen.values()) assert.ok(key.every((byte) => byte === 0));
});
