import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConversationId } from '@norc/protocol/base';
import type { ConversationLog } from './conversation-log.ts';
import { LogCache } from './log-cache.ts';

const idOf = (number: number) => number.toString(16).padStart(32, '0') as ConversationId; // well formed

function scene(max: number) {
  const loads: ConversationId[] = [];
  const busy = new Set<ConversationId>();
  const cache = new LogCache(async (conversation) => {
    loads.push(conversation);
    const log = {
      conversation,
      used: false,
      get busy() {
        return busy.has(conversation);
      },
    };
    return log as unknown as ConversationLog; // all that the cache asks of one
  }, max);
  const held = () => [...cache.inMemory()].map((log) => Number.parseInt(log.conversation, 16)).sort((a, b) => a - b);
  return { cache, loads, busy, held };
}

test('a log is loaded once, however many ask at the same time', async () => {
  const { cache, loads } = scene(4);
  const logs = await Promise.all([cache.get(idOf(1)), cache.get(idOf(1)), cache.get(idOf(1))]);
  assert.equal(new Set(logs).size, 1);
  assert.deepEqual(loads, [idOf(1)]);
});

test('the oldest that was not used goes; one that is busy stays', async () => {
  const { cache, busy, held } = scene(3);
  for (const number of [1, 2, 3]) await cache.get(idOf(number));
  busy.add(idOf(1));
  cache.peek(idOf(2));
  await cache.get(idOf(4));
  assert.deepEqual(held(), [1, 2, 4]);
  await cache.get(idOf(5));
  assert.equal(held().length, 3);
  assert.ok(held().includes(1) && held().includes(5));
});

test('when all were used, the oldest of them goes', async () => {
  const { cache, held } = scene(3);
  for (let number = 1; number <= 20; number += 1) {
    await cache.get(idOf(number));
    for (const used of held()) cache.peek(idOf(used));
    assert.ok(held().length <= 3);
  }
});
