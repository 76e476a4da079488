import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConversationView } from '@norc/client';
import type { ConversationId } from '@norc/protocol/base';
import { Talk } from '../terminal/chat.fixture.ts';
import { ConversationBoard } from './conversation-board.ts';

/** A store whose reads can be held up. */
function shelf(talks: readonly Talk[]) {
  const reads: { readonly id: ConversationId; readonly limit: number }[] = [];
  let gate: Promise<void> = Promise.resolve();
  const client = {
    conversations: async () => talks.map((talk) => talk.summary),
    async timeline(id: ConversationId, query?: { readonly limit: number }): Promise<ConversationView | undefined> {
      reads.push({ id, limit: query?.limit ?? 0 });
      await gate;
      return talks.find((talk) => talk.conversationId === id)?.view;
    },
  };
  const hold = () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    gate = promise;
    return resolve;
  };
  return { client, reads, hold };
}

function boardOf(talks: readonly Talk[]) {
  const { client, reads, hold } = shelf(talks);
  const told = { changes: 0, faults: 0 };
  const board = new ConversationBoard(
    client,
    () => {
      told.changes += 1;
    },
    () => {
      told.faults += 1;
    },
  );
  return { board, reads, hold, told };
}

test('many changes of one conversation in one turn are read once', async () => {
  const talk = new Talk(1);
  const { board, reads, told } = boardOf([talk]);
  await Promise.all([1, 2, 3, 4].map(() => board.touch(talk.conversationId)));
  assert.equal(reads.length, 1);
  assert.equal(told.changes, 1);
  assert.equal(board.summaries.length, 1);
});

test('a change that comes while the board reads is not lost', async () => {
  const talk = new Talk(1);
  const { board, reads, hold } = boardOf([talk]);
  const release = hold();
  const first = board.show(talk.conversationId);
  while (reads.length === 0) await new Promise((resolve) => setImmediate(resolve));
  talk.say('bruno@bravo.example' as Parameters<Talk['say']>[0], 'just now'); // well-formed
  const second = board.touch(talk.conversationId);
  release();
  await Promise.all([first, second]);
  assert.equal(reads.length, 2);
  assert.equal(board.open?.items.length, 1);
});

test('only what changed is read, and what was talked in last stands first', async () => {
  const [old, recent] = [new Talk(1), new Talk(2)];
  const { board, reads } = boardOf([old, recent]);
  await board.load();
  recent.say('bruno@bravo.example' as Parameters<Talk['say']>[0], 'news'); // well-formed
  await board.touch(recent.conversationId);
  assert.deepEqual(
    reads.map(({ id }) => id),
    [recent.conversationId],
  );
  assert.deepEqual(
    board.summaries.map(({ conversationId }) => conversationId),
    [recent.conversationId, old.conversationId],
  );
});

test('a store that fails is reported, and the next change is read again', async () => {
  const talk = new Talk(1);
  const faults: unknown[] = [];
  let fails = true;
  const client = {
    conversations: async () => [],
    timeline: async () => {
      if (fails) throw new Error('disk');
      return talk.view;
    },
  };
  const board = new ConversationBoard(
    client,
    () => undefined,
    (fault) => faults.push(fault),
  );
  await board.show(talk.conversationId);
  assert.equal(faults.length, 1);
  fails = false;
  await board.touch(talk.conversationId);
  assert.equal(board.open?.conversationId, talk.conversationId);
});
