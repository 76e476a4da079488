import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConversationId } from '@norc/protocol/base';
import { testId } from '@norc/testkit';
import fc from 'fast-check';
import { type PushLimits, type PushOrder, PushWindow } from './index.ts';

const LIMITS: PushLimits = { unackedMax: 12, unackedPerConversationMax: 6, entriesPerPushMax: 4 };
const ids = [0, 1, 2, 3].map((i) => testId<ConversationId>(`conversation ${i}`));
const [a, b] = ids as [ConversationId, ConversationId];

/** A device and its server: what was pushed, what is loading, what the device holds. */
class Model {
  readonly window = new PushWindow(LIMITS);
  readonly heads = new Map<ConversationId, number>();
  /** Per conversation the entries that left, in order. */
  readonly received = new Map<ConversationId, number[]>();
  readonly acked = new Map<ConversationId, number>();
  loading: PushOrder[] = [];

  open(conversation: ConversationId, cursor: number): void {
    if (this.heads.has(conversation)) return;
    this.heads.set(conversation, cursor);
    this.acked.set(conversation, cursor);
    this.received.set(conversation, [cursor]);
    this.window.open(conversation, cursor, cursor);
  }

  grow(conversation: ConversationId, by: number): void {
    const head = this.heads.get(conversation);
    if (head === undefined) return;
    this.heads.set(conversation, head + by);
    this.window.grown(conversation, head + by);
  }

  order(): boolean {
    const order = this.window.next();
    if (order === undefined) return false;
    assert.ok(order.limit > 0 && order.limit <= LIMITS.entriesPerPushMax);
    assert.ok(!this.loading.some((other) => other.conversation === order.conversation), 'one load at a time');
    this.loading.push(order);
    return true;
  }

  /** A store gives fewer entries than asked when they are large, but at least one. */
  deliver(which: number, count: number): void {
    const order = this.loading[which % Math.max(1, this.loading.length)];
    if (order === undefined) return;
    this.loading = this.loading.filter((other) => other !== order);
    const to = order.after + 1 + (count % order.limit);
    for (let seq = order.after + 1; seq <= to; seq += 1) this.received.get(order.conversation)?.push(seq);
    this.window.pushed(order, to);
  }

  ack(conversation: ConversationId, back: number): void {
    const held = this.received.get(conversation)?.at(-1);
    if (held === undefined) return;
    const seq = Math.max(0, held - back);
    assert.ok(this.window.acked(conversation, seq).ok);
    this.acked.set(conversation, Math.max(this.acked.get(conversation) ?? 0, seq));
  }

  check(): void {
    let unacked = 0;
    for (const [conversation, seqs] of this.received) {
      assert.deepEqual(
        seqs,
        seqs.map((_, i) => (seqs[0] ?? 0) + i),
        'nothing skipped, nothing twice, in order',
      );
      const open = (seqs.at(-1) ?? 0) - (this.acked.get(conversation) ?? 0);
      assert.ok(open <= LIMITS.unackedPerConversationMax);
      unacked += open;
    }
    const reserved = this.loading.reduce((sum, order) => sum + order.limit, 0);
    assert.equal(this.window.outstanding, unacked + reserved);
    assert.ok(unacked + reserved <= LIMITS.unackedMax);
  }

  drain(): void {
    const total = [...this.heads.values()].reduce((sum, head) => sum + head, 0);
    for (let round = 0; !this.window.drained; round += 1) {
      assert.ok(round <= total + 1, 'no progress');
      while (this.order()) this.check();
      while (this.loading.length > 0) this.deliver(0, 0);
      for (const conversation of this.heads.keys()) this.ack(conversation, 0);
    }
    for (const [conversation, head] of this.heads) assert.equal(this.received.get(conversation)?.at(-1), head);
  }
}

const n = fc.nat({ max: 40 });
const operations = fc.array(
  fc.tuple(fc.constantFrom('open', 'grow', 'order', 'order', 'deliver', 'deliver', 'ack'), fc.constantFrom(...ids), n),
  { maxLength: 200, size: 'max' },
);

test('[C-30] nothing is skipped or sent twice, the window holds, and everything drains', () => {
  fc.assert(
    fc.property(operations, (list) => {
      const model = new Model();
      for (const [operation, conversation, x] of list) {
        if (operation === 'open') model.open(conversation, x);
        else if (operation === 'grow') model.grow(conversation, x);
        else if (operation === 'order') model.order();
        else if (operation === 'deliver') model.deliver(x, x);
        else model.ack(conversation, x % 5);
        model.check();
      }
      model.drain();
    }),
  );
});

test('[C-31] conversations take turns, and one that is never acknowledged does not silence another', () => {
  const window = new PushWindow(LIMITS);
  window.open(a, 0, 1000);
  window.open(b, 0, 3);
  const turns: (readonly [ConversationId, number])[] = [];
  for (let order = window.next(); order !== undefined; order = window.next()) {
    turns.push([order.conversation, order.limit]);
    window.pushed(order, order.after + order.limit);
  }
  assert.deepEqual(
    turns,
    [
      [a, 4],
      [b, 3],
      [a, 2],
    ],
    'a stops at its part, though the window has room',
  );
  assert.ok(window.acked(b, 3).ok);
  window.grown(b, 5);
  assert.equal(window.next()?.conversation, b);
});

test('[C-32] a cursor beyond what was pushed moves on, beyond the log it is refused', () => {
  const window = new PushWindow(LIMITS);
  window.open(a, 0, 5);
  assert.ok(window.acked(a, 3).ok, 'an acknowledgment of a former session was lost');
  assert.deepEqual(window.next(), { conversation: a, after: 3, limit: 2 });
  const beyond = window.acked(a, 6);
  assert.ok(!beyond.ok && beyond.error.code === 'malformed');
  const unknown = window.acked(b, 0);
  assert.ok(!unknown.ok && unknown.error.code === 'forbidden');
});

test('when there is nothing to load, nothing more is tried until the log grows', () => {
  const window = new PushWindow(LIMITS);
  window.open(a, 0, 5);
  const order = window.next();
  assert.ok(order !== undefined);
  window.pushed(order, order.after);
  assert.equal(window.next(), undefined);
  assert.equal(window.outstanding, 0);
  window.grown(a, 6);
  assert.deepEqual(window.next(), { conversation: a, after: 0, limit: 4 });
});

test('a closed conversation gives its part back, also while it loads', () => {
  const window = new PushWindow(LIMITS);
  window.open(a, 0, 9);
  const order = window.next();
  assert.ok(order !== undefined);
  window.close(a);
  assert.equal(window.outstanding, 0);
  window.pushed(order, 2);
  assert.deepEqual([window.outstanding, window.next(), window.drained], [0, undefined, true]);
});

test('pushing what was not ordered is our own fault', () => {
  const window = new PushWindow(LIMITS);
  window.open(a, 0, 9);
  const order = window.next();
  assert.ok(order !== undefined);
  assert.throws(() => window.pushed(order, 5), RangeError);
});
