import assert from 'node:assert/strict';
import { test } from 'node:test';
import { entryRow, plain, viewOf } from '../contract/support.ts';
import type { EntryRow } from '../port.ts';
import { StorageError } from '../port.ts';
import { packEntries, recordBytesMax, type StoredEntry, unpackEntries, writeRecord } from './entry-record.ts';

function stored(entry: EntryRow): StoredEntry {
  const buffer = Buffer.alloc(recordBytesMax(entry));
  const end = writeRecord(buffer, new DataView(buffer.buffer, buffer.byteOffset, buffer.length), 0, entry);
  return {
    seq: entry.seq,
    storedAt: entry.storedAt,
    messageId: Buffer.from(entry.messageId, 'hex'),
    hash: entry.hash,
    record: new Uint8Array(buffer.subarray(0, end)),
  };
}

test('entries come back from their records as they went in', () => {
  const entries = [
    entryRow(1, { kind: 'commit', welcome: viewOf(70_000), welcomeHash: viewOf(32), epoch: 2 ** 40 }),
    entryRow(2, { kind: 'proposal', body: viewOf(0), hash: viewOf(0) }),
    entryRow(3, { body: viewOf(300_000) }),
  ];
  assert.deepEqual(plain(unpackEntries(packEntries(entries.map(stored)))), plain(entries));
});

test('a damaged record is reported as such, never returned', () => {
  const { record, ...rest } = stored(entryRow(1));
  const change = (index: number, value: number): Uint8Array => {
    const changed = new Uint8Array(record);
    changed[index] = value;
    return changed;
  };
  const damaged = [
    new Uint8Array(),
    record.subarray(0, 20),
    record.subarray(0, -1),
    change(0, 9),
    change(1, 7),
    change(26, 1),
  ];
  for (const one of damaged) {
    assert.throws(() => unpackEntries(packEntries([{ ...rest, record: one }])), StorageError);
  }
});
