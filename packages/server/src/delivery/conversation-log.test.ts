import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { nodeCrypto } from '@norc/crypto/node';
import {
  type ConversationId,
  type DeviceId,
  type Domain,
  idFromBytes,
  instant,
  type MessageId,
  type UserAddress,
} from '@norc/protocol/base';
import { advance, headOf, type LinkedEntry, linkEntry } from '@norc/protocol/norc-f';
import { MemoryDisk, openMemoryStore } from '../storage/memory.ts';
import { StorageError, type Store, type StoreWrite } from '../storage/port.ts';
import { ConversationLog } from './conversation-log.ts';
import type { PublicGroups } from './public-group.ts';

const SELF = 'alpha.example' as Domain; // well formed
const ANN = 'ann@alpha.example' as UserAddress; // well formed
const NOW = instant(1_800_000_000_000);
const GROUPS = {} as unknown as PublicGroups; // no test here needs a group
const id = <T extends ConversationId | DeviceId | MessageId>(): T => idFromBytes<T>(Uint8Array.from(randomBytes(16)));

/** An empty log on a store in memory that counts its commits. */
async function scene() {
  const disk = new MemoryDisk();
  const store = openMemoryStore(disk);
  const conversationId = id<ConversationId>();
  const state = { epoch: 1, epochSeq: 0, headSeq: 0, headHash: new Uint8Array(32), view: new Uint8Array(1) };
  const conversation = { conversationId, hub: SELF, label: 'unclassified', floor: 'basic', frozen: false } as const;
  await store.commit([
    { op: 'conversation.create', conversation: { ...conversation, ...state, createdAt: NOW }, members: [] },
  ]);
  const commits: (readonly StoreWrite[])[] = [];
  const counted: Store = {
    ...store,
    commit: (writes) => {
      commits.push(writes);
      return store.commit(writes);
    },
  };
  const log = await ConversationLog.load(counted, GROUPS, SELF, conversationId);
  assert.ok(log);
  return { log, disk, store, commits };
}

function entryAfter(log: ConversationLog, messageId: MessageId = id()): LinkedEntry {
  return linkEntry(nodeCrypto, headOf(log.state), {
    ...{ kind: 'application', messageId, sender: id<DeviceId>(), senderUser: ANN, epoch: 1, label: 'unclassified' },
    ...{ body: Uint8Array.of(1), welcome: new Uint8Array(0), storedAt: NOW },
  });
}

function say(log: ConversationLog, messageId?: MessageId) {
  const entry = entryAfter(log, messageId);
  return log.appendMessage(entry, advance(log.state, entry));
}

test('messages of one turn are one write of the store, in the order in which they were decided', async () => {
  const { log, store, commits } = await scene();
  const ids = Array.from({ length: 5 }, () => id<MessageId>());
  assert.deepEqual(
    await Promise.all(ids.map((one) => say(log, one))),
    ids.map(() => 'stored'),
  );
  assert.equal(commits.length, 1);
  const stored = await store.read.entries(log.conversation, 0, 10, 10_000);
  assert.deepEqual(
    stored.map((entry) => entry.messageId),
    ids,
  );
  assert.equal(log.durableSeq, 5);
});

test('what is decided after them is stored after them', async () => {
  const { log, commits } = await scene();
  const first = say(log);
  const entry = entryAfter(log);
  const second = log.append({ entries: [entry], state: advance(log.state, entry) });
  const third = say(log);
  assert.deepEqual(await Promise.all([first, second, third]), ['stored', 'stored', 'stored']);
  assert.deepEqual(
    commits.map(([write]) => write?.op === 'log.append' && write.entries[0]?.seq),
    [1, 2, 3],
  );
});

test('the same id twice in one turn: the first is stored, the second meets it in the log', async () => {
  const { log } = await scene();
  const messageId = id<MessageId>();
  const outcomes = [say(log), say(log, messageId), say(log, messageId), say(log)];
  assert.deepEqual(await Promise.all(outcomes), ['stored', 'stored', 'conflict', 'conflict']);
  assert.equal(log.state.headSeq, 2, 'the log was read again');
  assert.equal(await say(log), 'stored');
});

test('somebody else wrote: all of the write is a conflict, and the log is read again', async () => {
  const { log, store } = await scene();
  const rival = entryAfter(log);
  await store.commit([{ op: 'log.append', conversationId: log.conversation, expectedHeadSeq: 0, entries: [rival] }]);
  assert.deepEqual(await Promise.all([say(log), say(log)]), ['conflict', 'conflict']);
  assert.deepEqual(log.state.headHash, rival.hash);
  assert.equal(await say(log), 'stored');
});

test('a disk that fails fails each of them, and nothing of them is remembered', async () => {
  const { log, disk } = await scene();
  disk.failNext(1, 'disk_full');
  const failed = await Promise.allSettled([say(log), say(log)]);
  for (const one of failed) assert.ok(one.status === 'rejected' && one.reason instanceof StorageError);
  assert.equal(log.state.headSeq, 0);
  assert.equal(log.busy, false);
  assert.equal(await say(log), 'stored');
});
