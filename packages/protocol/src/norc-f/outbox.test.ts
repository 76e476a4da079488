import assert from 'node:assert/strict';
import { test } from 'node:test';
import { instant, type MessageId } from '@norc/protocol/base';
import { testId } from '@norc/testkit';
import fc from 'fast-check';
import { type OutboxItem, PRIORITIES, type Priority, planOutbox, type StreamRoom } from './index.ts';

const items = fc
  .array(
    fc.record({
      priority: fc.constantFrom(...PRIORITIES),
      bytes: fc.integer({ min: 1, max: 100 }),
      expiresAt: fc.nat({ max: 100 }).map(instant),
    }),
    { maxLength: 30 },
  )
  .map((list): OutboxItem[] => list.map((item, i) => ({ ...item, id: testId<MessageId>(`item ${i}`) })));
const oneRoom = fc.record({ count: fc.nat({ max: 8 }), bytes: fc.nat({ max: 200 }) });
const rooms: fc.Arbitrary<Record<Priority, StreamRoom>> = fc.record({
  control: oneRoom,
  interactive: oneRoom,
  bulk: oneRoom,
});

test('[F-52] a plan keeps order in each class, serves control first, and stays within each window', () => {
  fc.assert(
    fc.property(items, rooms, (queue, room) => {
      const plan = planOutbox(queue, room, instant(50));
      const ranks = plan.send.map((item) => PRIORITIES.indexOf(item.priority));
      assert.deepEqual(ranks, [...ranks].sort());
      for (const priority of PRIORITIES) {
        const sent = plan.send.filter((item) => item.priority === priority);
        const alive = queue.filter((item) => item.priority === priority && item.expiresAt > 50);
        assert.deepEqual(sent, alive.slice(0, sent.length), 'a prefix of what is alive');
        assert.ok(sent.length <= room[priority].count);
        const bytes = sent.reduce((sum, item) => sum + item.bytes, 0);
        assert.ok(bytes <= room[priority].bytes || sent.length === 1);
      }
      assert.deepEqual(
        plan.expired,
        queue.filter((item) => item.expiresAt <= 50),
      );
    }),
  );
});

test('[F-52] everything is sent or told expired, however small the windows', () => {
  fc.assert(
    fc.property(items, (queue) => {
      let left: readonly OutboxItem[] = queue;
      const tiny = { count: 1, bytes: 1 };
      for (let round = 0; left.length > 0; round += 1) {
        assert.ok(round <= queue.length, 'no progress');
        const plan = planOutbox(left, { control: tiny, interactive: tiny, bulk: tiny }, instant(50));
        const done = new Set([...plan.send, ...plan.expired]);
        left = left.filter((item) => !done.has(item));
        const alive = left.map((item) => item.expiresAt);
        assert.equal(plan.nextExpiryAt, alive.length === 0 ? undefined : Math.min(...alive));
      }
    }),
  );
});

test('[F-52] a full bulk window does not hold up a revocation', () => {
  const item = (name: string, priority: Priority): OutboxItem => ({
    ...{ id: testId<MessageId>(name), priority, bytes: 10 },
    expiresAt: instant(100),
  });
  const full = { count: 0, bytes: 0 };
  const plan = planOutbox(
    [item('old', 'bulk'), item('new', 'control')],
    { control: { count: 1, bytes: 10 }, interactive: full, bulk: full },
    instant(0),
  );
  assert.deepEqual(
    plan.send.map(({ priority }) => priority),
    ['control'],
  );
});
