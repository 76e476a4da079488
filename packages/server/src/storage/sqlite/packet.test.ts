import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConversationId, MessageId } from '@norc/protocol/base';
import { append, conversationRow, entryRow, freshDomain, freshId, outboxRow, viewOf } from '../contract/support.ts';
import type { StoreWrite } from '../port.ts';
import { SqliteCore } from './core.ts';
import { openMemoryDatabase } from './database.ts';
import { PacketBuilder } from './packet.ts';

function create(conversationId: ConversationId): StoreWrite {
  return { op: 'conversation.create', conversation: conversationRow({ conversationId }), members: [] };
}

test('what cannot be packed throws and leaves no trace in the packet', () => {
  const id = freshId<ConversationId>();
  const builder = new PacketBuilder();
  builder.add([create(id)]);
  const bad: readonly StoreWrite[] = [
    append(id, 0, entryRow(1), entryRow(2, { messageId: 'xyz' as MessageId })), // on purpose
    append(id, 0, entryRow(1, { messageId: 'g'.repeat(32) as MessageId })), // on purpose
    append(id, 0, entryRow(1, { epoch: 0.5 })),
    append(id, 0, entryRow(1, { hash: viewOf(65) })),
    append(id, 0, entryRow(1, { welcomeHash: viewOf(65) })),
    append(id, 2 ** 53, entryRow(2 ** 53 + 2)),
    { op: 'outbox.remove', peer: freshDomain(), ids: ['' as MessageId] }, // on purpose
    { op: 'outbox.add', item: outboxRow({ expiresAt: Number.NaN as never }) }, // on purpose
  ];
  const before = builder.byteLength;
  for (const write of bad) {
    assert.throws(() => builder.add([{ op: 'meta.put', key: 'k', value: viewOf(1) }, write]), RangeError);
    assert.equal(builder.byteLength, before);
  }
  builder.add([append(id, 0, entryRow(1))]);
  const packet = builder.packet();
  assert.equal(packet.rare.length, 1);
  assert.deepEqual(new SqliteCore(openMemoryDatabase(), 'memory').run(packet), []);
});

test('a packet grows with what is put into it, and a recycled buffer is filled from its beginning', () => {
  const id = freshId<ConversationId>();
  const core = new SqliteCore(openMemoryDatabase(), 'memory');
  const builder = new PacketBuilder();
  builder.add([create(id)]);
  for (let seq = 1; seq <= 100; seq += 1) builder.add([append(id, seq - 1, entryRow(seq, { body: viewOf(5000) }))]);
  const packet = builder.packet();
  assert.ok(packet.bytes.length > 500_000);
  assert.deepEqual(core.run(packet), []);
  const recycled = new PacketBuilder(packet.bytes.buffer);
  recycled.add([append(id, 100, entryRow(101))]);
  recycled.add([append(id, 100, entryRow(101))]);
  assert.deepEqual(core.run(recycled.packet()), [{ transaction: 1, kind: 'conflict', op: 'log.append', index: 0 }]);
});
