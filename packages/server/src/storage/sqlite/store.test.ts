import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  closeSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, test } from 'node:test';
import { append, committed, conversationWith, entryRow, later, plain, viewOf } from '../contract/support.ts';
import { StorageError as Fault, type StorageError, type StorageFault, type Store } from '../port.ts';
import { openWriter } from './database.ts';
import { openSqliteStore } from './store.ts';

let folder: string;
let file: string;
let faults: StorageError[];
let opened: Store[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'norc-store-'));
  file = join(folder, 'store.db');
  faults = [];
  opened = [];
});

afterEach(async () => {
  await Promise.all(opened.map((store) => store.close()));
  rmSync(folder, { recursive: true });
});

async function open(pagesMax?: number): Promise<Store> {
  const limit = pagesMax === undefined ? {} : { pagesMax };
  const store = await openSqliteStore({ file, onFault: (fault) => faults.push(fault), ...limit });
  opened.push(store);
  return store;
}

/** Rejected with that fault; the message names what the operator must know. */
async function refused(promise: Promise<unknown>, fault: StorageFault, message?: RegExp): Promise<void> {
  await assert.rejects(promise, (error) => {
    assert.ok(error instanceof Fault, String(error));
    assert.equal(error.fault, fault, String(error.cause instanceof Error ? error.cause.cause : error));
    if (message !== undefined) assert.match(error.message, message);
    return true;
  });
}

/** Changes the database file behind the store's back. */
function tamper(change: (database: DatabaseSync) => void): void {
  const database = new DatabaseSync(file);
  change(database);
  database.close();
}

test('every commit waits for the disk: write-ahead log, full synchronisation', () => {
  const writer = openWriter({ file });
  const setting = (name: string): unknown => Object.values(writer.database.prepare(`PRAGMA ${name}`).get() ?? {})[0];
  assert.equal(setting('journal_mode'), 'wal');
  assert.equal(setting('synchronous'), 2);
  assert.equal(setting('wal_autocheckpoint'), 0);
  writer.close();
});

test('the database is readable by its owner only', async () => {
  await open();
  for (const suffix of ['', '-wal', '-shm', '-lock']) assert.equal(statSync(file + suffix).mode & 0o077, 0, suffix);
});

test('a second store on the same file is refused, in this process and in another, until the first is closed', async () => {
  const first = await open();
  await refused(open(), 'locked', /another NORC server is using/);
  const other = spawnSync(process.execPath, [new URL('./crash-writer.ts', import.meta.url).pathname, file]);
  assert.notEqual(other.status, 0);
  assert.match(other.stderr.toString(), /another NORC server is using/);
  committed(await first.commit([{ op: 'meta.put', key: 'k', value: viewOf(1) }]));
  await first.close();
  const second = await open();
  assert.notEqual(await second.read.meta('k'), undefined);
});

test('a database of a newer schema is refused, and both versions are named', async () => {
  await (await open()).close();
  tamper((database) => database.exec('PRAGMA user_version = 7'));
  await refused(open(), 'newer_schema', /version 7.*up to 2/);
});

test('a database of the first schema gets what came since, and keeps what it holds', async () => {
  const first = await open();
  committed(await first.commit([{ op: 'meta.put', key: 'k', value: Uint8Array.of(7) }]));
  await first.close();
  tamper((database) =>
    database.exec(
      'DROP TABLE trust_record; DROP TABLE trust_decided; DROP INDEX member_organisation; PRAGMA user_version = 1',
    ),
  );
  const again = await open();
  assert.deepEqual(await again.read.meta('k'), Uint8Array.of(7));
  assert.deepEqual(await again.read.trustRecords('ack'), []);
  await again.close();
  assert.deepEqual(await (await open()).read.trustDecided(0), []);
});

test('another program’s database is refused and left alone', async () => {
  tamper((database) => database.exec('CREATE TABLE theirs (a)'));
  const before = readFileSync(file);
  await refused(open(), 'corrupt', /not one of NORC/);
  assert.deepEqual(readFileSync(file), before);
});

test('a file that is no database is refused and left alone', async () => {
  writeFileSync(file, 'not a database at all\n'.repeat(400));
  await refused(open(), 'corrupt');
  assert.match(readFileSync(file, 'utf8'), /^not a database/);
});

test('a truncated database is refused', async () => {
  const store = await open();
  await conversationWith(store, 400);
  await store.close();
  truncateSync(file, statSync(file).size / 2);
  await refused(open(), 'corrupt');
});

test('a database that has vanished is not silently begun anew', async () => {
  await (await open()).close();
  rmSync(file);
  await refused(open(), 'corrupt', /Restore it from a backup/);
  rmSync(file);
  rmSync(`${file}-lock`);
  await open();
});

test('a database in a folder that does not exist is an I/O fault', async () => {
  file = join(folder, 'none', 'store.db');
  await refused(open(), 'io', /ENOENT/);
});

test('a full disk keeps nothing of the transaction, and the store goes on when there is space', async () => {
  const store = await open(200);
  const id = await conversationWith(store, 1);
  let head = 1;
  let failure: unknown;
  while (failure === undefined) {
    const entry = entryRow(head + 1, { body: viewOf(4000) });
    const commit = store.commit([append(id, head, entry), { op: 'meta.put', key: 'head', value: Uint8Array.of(head) }]);
    failure = await commit.then(
      () => undefined,
      (error: unknown) => error,
    );
    if (failure === undefined) head += 1;
  }
  assert.ok(failure instanceof Fault && failure.fault === 'disk_full' && failure.retryable);
  assert.deepEqual(
    faults.map(({ fault }) => fault),
    ['disk_full'],
  );
  assert.ok(head > 50, 'it took a while to fill');
  assert.equal((await store.read.conversation(id))?.headSeq, head);
  assert.deepEqual(plain(await store.read.meta('head')), Uint8Array.of(head - 1));
  committed(await store.commit([{ op: 'log.prune', conversationId: id, before: later(head) }]));
  committed(await store.commit([append(id, head, entryRow(head + 1, { body: viewOf(4000) }))]));
  await store.close();
  assert.equal((await (await open(200)).read.conversation(id))?.headSeq, head + 1);
});

test('damaged pages are reported, and writing stops', async () => {
  const store = await open();
  const id = await conversationWith(store, 2000);
  await store.close();
  const raw = openSync(file, 'r+');
  const pages = statSync(file).size / 4096;
  for (let page = 60; page < pages; page += 1) writeSync(raw, Buffer.alloc(4096, 0xa5), 0, 4096, page * 4096);
  closeSync(raw);
  const damaged = await open();
  await refused(damaged.read.entries(id, 0, 2000, 10_000_000), 'corrupt', /restore it from a backup/);
  await refused(damaged.commit([append(id, 2000, entryRow(2001, { body: viewOf(9000) }))]), 'corrupt');
  await refused(damaged.commit([{ op: 'meta.put', key: 'k', value: viewOf(1) }]), 'corrupt');
  assert.ok(faults.length >= 2 && faults.every(({ fault }) => fault === 'corrupt'));
});

test('a closed store refuses everything, and closing finishes what was accepted', async () => {
  const store = await open();
  const id = await conversationWith(store, 0);
  const commits = Array.from({ length: 300 }, (_, index) => store.commit([append(id, index, entryRow(index + 1))]));
  const closing = store.close();
  await refused(store.commit([]), 'io', /closed/);
  await refused(store.read.conversationIds(), 'io', /closed/);
  for (const outcome of await Promise.all(commits)) committed(outcome);
  await closing;
  assert.equal((await (await open()).read.conversation(id))?.headSeq, 300);
});

test('a read sees every commit that has resolved', async () => {
  const store = await open();
  const id = await conversationWith(store, 0);
  await Promise.all(
    Array.from({ length: 200 }, async (_, index) => {
      committed(await store.commit([append(id, index, entryRow(index + 1))]));
      const head = (await store.read.conversation(id))?.headSeq ?? 0;
      assert.ok(head > index, `entry ${index + 1} is committed, the reader sees ${head}`);
    }),
  );
});
