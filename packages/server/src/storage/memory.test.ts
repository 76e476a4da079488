import assert from 'node:assert/strict';
import { test } from 'node:test';
import { append, committed, conversationWith, entryRow, viewOf } from './contract/support.ts';
import { MemoryDisk, openMemoryStore } from './memory.ts';
import { StorageError } from './port.ts';

test('injected faults fail the next commits, keep nothing of them, and pass', async () => {
  const disk = new MemoryDisk();
  const store = openMemoryStore(disk);
  const id = await conversationWith(store, 0);
  disk.failNext(2, 'disk_full');
  for (let i = 0; i < 2; i += 1) {
    await assert.rejects(store.commit([append(id, 0, entryRow(1))]), (error) => {
      return error instanceof StorageError && error.fault === 'disk_full' && error.retryable;
    });
  }
  assert.equal((await store.read.conversation(id))?.headSeq, 0);
  committed(await store.commit([append(id, 0, entryRow(1))]));
});

test('a commit has taken effect when it returns, before its promise is awaited', async () => {
  const disk = new MemoryDisk();
  void openMemoryStore(disk).commit([{ op: 'meta.put', key: 'k', value: viewOf(3) }]);
  const read = openMemoryStore(disk).read.meta('k');
  assert.equal((await read)?.length, 3);
});

test('a closed store refuses everything; its disk can be opened again', async () => {
  const disk = new MemoryDisk();
  const store = openMemoryStore(disk);
  const id = await conversationWith(store, 2);
  await store.close();
  await assert.rejects(store.commit([]), StorageError);
  await assert.rejects(store.read.conversation(id), StorageError);
  assert.equal((await openMemoryStore(disk).read.conversation(id))?.headSeq, 2);
});
