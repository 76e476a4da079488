import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import {
  type ConversationId,
  type DeviceId,
  type Domain,
  type Instant,
  idFromBytes,
  instant,
  MESSAGE_TYPES,
  type MessageId,
  ok,
  type Result,
  reject,
  type UserAddress,
} from '@norc/protocol/base';
import { messageSubmit, type NorcFBody } from '@norc/protocol/norc-f';
import { encodeBody } from '@norc/protocol/wire';
import type { Delivery } from '../services.ts';
import { openMemoryStore } from '../storage/memory.ts';
import type { OutboxRow } from '../storage/port.ts';
import { OutboxDrain } from './outbox-drain.ts';
import type { OutgoingLink } from './outgoing-link.ts';

const HUB = 'bravo.example' as Domain; // well formed
const NOW: Instant = instant(1_800_000_000_000);
const id = <T extends ConversationId | DeviceId | MessageId>(): T => idFromBytes<T>(Uint8Array.from(randomBytes(16)));

type Items = NorcFBody<'message_submit'>['items'];
type Results = NorcFBody<'submit_result'>['items'];

function row(expiresAt: Instant = instant(NOW + 1000)): OutboxRow {
  const messageId = id<MessageId>();
  const item: Items[number] = {
    ...{ conversation: id<ConversationId>(), message_id: messageId, kind: 'application', sender: id<DeviceId>() },
    sender_user: 'ann@alpha.example' as UserAddress, // well formed
    body: Uint8Array.of(1),
    route: ['alpha.example' as Domain],
  };
  const body = encodeBody(messageSubmit, { items: [item] }, 'cbor');
  return {
    id: messageId,
    peer: HUB,
    priority: 'interactive',
    type: MESSAGE_TYPES.message_submit,
    body,
    createdAt: NOW,
    expiresAt,
  };
}

/** A drain over rows in memory, a link that answers as `answer` says, and time that a test lets pass. */
async function scene(rows: readonly OutboxRow[], answer: (items: Items) => Result<Results>) {
  const store = openMemoryStore();
  for (const item of rows) await store.commit([{ op: 'outbox.add', item }]);
  const sent: Items[] = [];
  const resolved: Results[number][] = [];
  const waiting: (() => void)[] = [];
  const idle = Promise.withResolvers<void>();
  const link = {
    request: async (_: string, message: { readonly body: { readonly items: Items } }) => {
      sent.push(message.body.items);
      const results = answer(message.body.items);
      return results.ok ? ok({ type: 'submit_result', body: { items: results.value } }) : results;
    },
  } as unknown as OutgoingLink; // all that a drain asks of a link
  const delivery = {
    submissionResolved: async (_: Domain, items: Results) => void resolved.push(...items),
  } as unknown as Delivery; // all that a drain asks of it
  const drain = new OutboxDrain(HUB, link, {
    ...{ store, delivery, now: () => NOW },
    later: () => idle.resolve(),
    after: (_, run) => waiting.push(run),
    onFault: (error) => idle.reject(error),
  });
  return { drain, sent, resolved, waiting, idle: idle.promise };
}

const answers = (status: 'ordered' | 'refused' | 'retry') => (items: Items) =>
  ok(items.map(({ conversation, message_id }) => ({ conversation, message_id, status })));

test('what waits goes out in order, once on a link', async () => {
  const rows = [row(), row(), row()];
  const { drain, sent, idle } = await scene(rows, answers('ordered'));
  await drain.run();
  await idle;
  await drain.run();
  assert.deepEqual(
    sent.flat().map((item) => item.message_id),
    rows.map((one) => one.id),
  );
});

for (const [name, answer] of [
  ['asks to come again', answers('retry')],
  ['answers with an error', () => reject('not_trusted', 'test')],
] as const) {
  test(`a peer that ${name} is not asked again at once, and is after a while`, async () => {
    const { drain, sent, waiting, idle } = await scene([row()], answer);
    await drain.run();
    await idle;
    for (let i = 0; i < 5; i += 1) await drain.run();
    assert.equal(sent.length, 1);
    assert.equal(waiting.length, 1);
    for (const run of waiting.splice(0)) run();
    await drain.run();
    assert.equal(sent.length, 2);
  });
}

test('what is too old is never sent, and its sender is told', async () => {
  const old = row(NOW);
  const { drain, sent, resolved } = await scene([old], answers('ordered'));
  await drain.run();
  assert.equal(sent.length, 0);
  assert.deepEqual(
    resolved.map(({ message_id, status }) => [message_id, status]),
    [[old.id, 'refused']],
  );
});
