import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { append, entryRow, freshId, viewOf } from '../contract/support.ts';
import { StorageError, type StoreWrite } from '../port.ts';
import { Committer } from './committer.ts';
import type { TransactionReport } from './core.ts';
import {
  LINGER_COMMITS_MAX,
  LINGER_COMMITS_MIN,
  PACKET_BYTES_MAX,
  PACKETS_IN_FLIGHT_MAX,
  QUEUED_BYTES_MAX,
  QUEUED_COMMITS_MAX,
} from './limits.ts';
import type { Packet } from './packet.ts';
import { PacketReader } from './packet-reader.ts';

/** A writer that finishes a packet when the test says so. */
function manualWriter(rest = (resume: () => void): void => resume()) {
  const packets: Packet[] = [];
  const committer = new Committer((packet) => {
    packets.push(packet);
  }, rest);
  return {
    committer,
    packets,
    finish(result: readonly TransactionReport[] | StorageError = []): void {
      const packet = packets.shift();
      assert.ok(packet !== undefined, 'a packet is on its way');
      committer.done(result, packet.bytes.buffer);
    },
  };
}

function put(key: string, bytes = 10): StoreWrite[] {
  return [{ op: 'meta.put', key, value: viewOf(bytes) }];
}

function entryWrite(bytes: number): StoreWrite[] {
  return [append(freshId(), 0, entryRow(1, { body: viewOf(bytes) }))];
}

function transactionsIn(packet: Packet): number {
  const reader = new PacketReader(packet);
  let count = 0;
  for (; !reader.atEnd; count += 1) reader.skipTo(reader.u32() + reader.offset);
  return count;
}

test('commits of one turn share a packet; those that come while packets are on their way share the next', async () => {
  const { committer, packets, finish } = manualWriter();
  const first = [1, 2, 3].map((n) => committer.commit(put(`a${n}`)));
  await turn();
  assert.deepEqual(packets.map(transactionsIn), [3]);
  const second = committer.commit(put('b'));
  await turn();
  assert.equal(packets.length, PACKETS_IN_FLIGHT_MAX);
  const third = [1, 2, 3, 4].map((n) => committer.commit(put(`c${n}`)));
  await turn();
  assert.equal(packets.length, PACKETS_IN_FLIGHT_MAX, 'no more are sent than the writer has room for');
  finish();
  assert.deepEqual(await Promise.all(first), [{ ok: true }, { ok: true }, { ok: true }]);
  assert.deepEqual(packets.map(transactionsIn), [1, 4]);
  finish();
  finish();
  await Promise.all([second, ...third]);
});

test('after a packet of many the next waits for company, unless it is well filled', async () => {
  let resume: (() => void) | undefined;
  const { committer, packets, finish } = manualWriter((callback) => {
    resume = callback;
  });
  const commits = Array.from({ length: LINGER_COMMITS_MIN }, (_, index) => committer.commit(put(`a${index}`)));
  await turn();
  finish();
  commits.push(committer.commit(put('b')), committer.commit(put('c')));
  await turn();
  assert.equal(packets.length, 0, 'the writer is free, but the pause is not over');
  resume?.();
  assert.deepEqual(packets.map(transactionsIn), [2]);
  finish();
  commits.push(committer.commit(put('d')));
  await turn();
  assert.deepEqual(packets.map(transactionsIn), [1], 'after a packet of few there is no pause');
  finish();
  for (const count of [LINGER_COMMITS_MIN, LINGER_COMMITS_MAX]) {
    for (let i = 0; i < count; i += 1) commits.push(committer.commit(put(`e${count}/${i}`)));
    await turn();
    assert.deepEqual(packets.map(transactionsIn), [count]);
    finish();
  }
  await Promise.all(commits);
});

test('a report reaches the caller whose transaction it is about', async () => {
  const { committer, finish } = manualWriter();
  const commits = ['a', 'b', 'c', 'd'].map((key) => committer.commit(put(key)));
  await turn();
  finish([
    { transaction: 1, kind: 'conflict', op: 'audit.append', index: 2 },
    { transaction: 3, kind: 'misuse', message: 'column user.address' },
  ]);
  const settled = await Promise.allSettled(commits);
  assert.deepEqual(settled[0], { status: 'fulfilled', value: { ok: true } });
  assert.deepEqual(settled[1], { status: 'fulfilled', value: { ok: false, conflict: 'audit.append', index: 2 } });
  assert.deepEqual(settled[2], { status: 'fulfilled', value: { ok: true } });
  assert.ok(settled[3]?.status === 'rejected' && settled[3].reason instanceof TypeError);
});

test('a fault rejects the packet’s callers; the next packet goes its way', async () => {
  const { committer, packets, finish } = manualWriter();
  const failed = committer.commit(put('a'));
  await turn();
  const fine = committer.commit(put('b'));
  finish(new StorageError('disk_full', 'full'));
  await assert.rejects(failed, StorageError);
  await turn();
  assert.equal(packets.length, 1);
  finish();
  assert.deepEqual(await fine, { ok: true });
});

test('over its number of transactions, the queue makes callers wait, in order, and loses none', async () => {
  const { committer, packets, finish } = manualWriter();
  const order: number[] = [];
  const commits = Array.from({ length: QUEUED_COMMITS_MAX + 500 }, (_, index) =>
    committer.commit(put(`k${index}`)).then(() => order.push(index)),
  );
  let queued = 0;
  await turn();
  while (packets.length > 0) {
    queued += transactionsIn(packets[0] as Packet); // length > 0
    finish();
    await turn();
  }
  await Promise.all(commits);
  assert.equal(queued, commits.length);
  assert.deepEqual(
    order,
    Array.from({ length: commits.length }, (_, index) => index),
  );
});

test('over its number of bytes, the queue packs nothing more until there is room', async () => {
  const { committer, packets, finish } = manualWriter();
  const size = PACKET_BYTES_MAX;
  const fitting = Math.ceil(QUEUED_BYTES_MAX / size);
  const commits = Array.from({ length: fitting + 5 }, () => committer.commit(entryWrite(size)));
  await turn();
  let sent = 0;
  for (; packets.length > 0; sent += 1) {
    finish();
    await turn();
  }
  assert.equal(sent, fitting + 5, 'each fills a packet of its own, and the last ones came through');
  await Promise.all(commits);
});

test('one transaction may be larger than a packet or the whole queue', async () => {
  const { committer, finish } = manualWriter();
  const commit = committer.commit(entryWrite(QUEUED_BYTES_MAX + 1));
  await turn();
  finish();
  assert.deepEqual(await commit, { ok: true });
});

test('stopping rejects everything that waits and everything that comes', async () => {
  const { committer } = manualWriter();
  const commits = Array.from({ length: QUEUED_COMMITS_MAX + 10 }, (_, index) => committer.commit(put(`k${index}`)));
  await turn();
  committer.stop(new StorageError('io', 'gone'));
  for (const one of await Promise.allSettled([...commits, committer.commit([])])) assert.equal(one.status, 'rejected');
  await committer.drained();
});

test('draining waits for what was accepted', async () => {
  const { committer, finish } = manualWriter();
  await committer.drained();
  const commit = committer.commit(put('a'));
  let drained = false;
  const draining = committer.drained().then(() => {
    drained = true;
  });
  await turn();
  assert.equal(drained, false);
  finish();
  await Promise.all([commit, draining]);
});

test('rare writes take along exactly their bytes, never the buffer behind them', async () => {
  const { committer, packets, finish } = manualWriter();
  const secret = new Uint8Array(4096).fill(0x5a);
  const commit = committer.commit([{ op: 'meta.put', key: 'k', value: secret.subarray(10, 20) }]);
  await turn();
  const [write] = packets[0]?.rare ?? [];
  assert.ok(write?.op === 'meta.put');
  assert.equal(write.value.buffer.byteLength, 10);
  finish();
  await commit;
});
