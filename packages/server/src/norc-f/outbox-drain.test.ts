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
import { conversationAnnounce, messageSubmit, type NorcFBody } from '@norc/protocol/norc-f';
import { encodeBody } from '@norc/protocol/wire';
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
async function scene(
  rows: readonly OutboxRow[],
  answer: (items: Items) => Result<Results>,
  trust = { allows: true },
  announced: Promise<Result<never>> = Promise.resolve(reject('internal', 'test')),
) {
  const store = openMemoryStore();
  for (const item of rows) await store.commit([{ op: 'outbox.add', item }]);
  const sent: Items[] = [];
  const resolved: Results[number][] = [];
  const waiting: (() => void)[] = [];
  const delays: number[] = [];
  const idle = Promise.withResolvers<void>();
  const link = {
    request: async (_: string, message: { readonly type: string; readonly body: { readonly items: Items } }) => {
      if (message.type === 'conversation_announce') return await announced;
      sent.push(message.body.items);
      const results = answer(message.body.items);
      return results.ok ? ok({ type: 'submit_result', body: { items: results.value } }) : results;
    },
  } as unknown as OutgoingLink; // all that a drain asks of a link
  const delivery = {
    submissionResolved: async (_: Domain, items: Results) => void resolved.push(...items),
    announced: async () => undefined,
    mayCarry: async () => trust.allows,
  };
  const drain = new OutboxDrain(HUB, link, {
    ...{ store, delivery, now: () => NOW, random: { bytes: (length: number) => new Uint8Array(length).fill(0xff) } },
    later: () => idle.resolve(),
    after: (delay, run) => {
      delays.push(delay);
      waiting.push(run);
    },
    onFault: (error) => idle.reject(error),
  });
  return { drain, store, sent, resolved, waiting, delays, idle: idle.promise };
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

const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

test('the wait for what a peer puts off doubles', async () => {
  const { drain, waiting, delays } = await scene([row()], answers('retry'));
  for (let i = 0; i < 3; i += 1) {
    await drain.run();
    await settle();
    for (const run of waiting.splice(0)) run();
  }
  assert.deepEqual(delays, [250, 500, 1000]);
});

test('a message that the answer does not name comes again', async () => {
  const rows = [row(), row()];
  const { drain, sent, waiting, idle } = await scene(rows, (items) => {
    const all = answers('ordered')(items);
    return ok(all.value.slice(0, 1));
  });
  await drain.run();
  await idle;
  assert.equal(waiting.length, 1);
  for (const run of waiting.splice(0)) run();
  await drain.run();
  assert.deepEqual(
    sent[1]?.map((item) => item.message_id),
    [rows[1]?.id],
  );
});

test('a hub decides only about what it was asked, once', async () => {
  const mine = row();
  const { drain, resolved, idle } = await scene([mine], ([item]) => {
    assert.ok(item);
    const { conversation, message_id } = item;
    return ok([
      { conversation, message_id: id<MessageId>(), status: 'refused' },
      { conversation: id<ConversationId>(), message_id, status: 'refused' },
      { conversation, message_id, status: 'ordered' },
      { conversation, message_id, status: 'refused' },
    ]);
  });
  await drain.run();
  await idle;
  assert.deepEqual(
    resolved.map(({ message_id, status }) => [message_id, status]),
    [[mine.id, 'ordered']],
  );
});

test('what trust does not allow now is not sent, and is when it allows it again', async () => {
  const trust = { allows: false };
  const { drain, sent, waiting } = await scene([row()], answers('ordered'), trust);
  await drain.run();
  await drain.run();
  assert.equal(sent.length, 0);
  assert.equal(waiting.length, 1);
  trust.allows = true;
  for (const run of waiting.splice(0)) run();
  await drain.run();
  assert.equal(sent.length, 1);
});

function announcement(): OutboxRow {
  const { id: messageId, ...rest } = row();
  const entry: NorcFBody<'conversation_announce'>['entry'] = {
    ...{ seq: 1, kind: 'commit', message_id: messageId, sender: id<DeviceId>(), epoch: 1, label: 'nato_restricted' },
    sender_user: 'ann@alpha.example' as UserAddress, // well formed
    ...{ body: Uint8Array.of(1), welcome: Uint8Array.of(1), welcome_hash: new Uint8Array(32) },
    ...{ hash: new Uint8Array(32), stored_at: NOW },
  };
  const body = encodeBody(
    conversationAnnounce,
    {
      ...{ conversation: id<ConversationId>(), label: 'nato_restricted', floor: 'basic', entry },
      route: ['alpha.example' as Domain], // well formed
      ...{ previous_hash: new Uint8Array(32), group_info: Uint8Array.of(1) },
    },
    'cbor',
  );
  return { ...rest, id: messageId, type: MESSAGE_TYPES.conversation_announce, priority: 'control', body };
}

test('an announcement without an answer holds nothing else up', async () => {
  const { drain, sent, idle } = await scene(
    [announcement(), row()],
    answers('ordered'),
    undefined,
    new Promise(() => {}),
  );
  await drain.run();
  await idle;
  assert.equal(sent.length, 1);
});

for (const [code, kept] of [
  ['commit_invalid', 0],
  ['internal', 1],
  ['trust_revoked', 1],
] as const) {
  test(`an announcement refused with ${code} ${kept === 0 ? 'is given up' : 'comes again later'}`, async () => {
    const refusal = Promise.resolve(reject(code, 'test'));
    const { drain, store, waiting, idle } = await scene([announcement()], answers('ordered'), undefined, refusal);
    await drain.run();
    await idle;
    assert.equal((await store.read.outbox(HUB, 10)).length, kept);
    assert.equal(waiting.length, kept);
  });
}

test('a row that is offered goes out without being read back, once; the next look finds what was not offered', async () => {
  const first = row();
  const { drain, store, sent } = await scene([first], answers('ordered'));
  await drain.run();
  const [offered, silent] = [row(), row()];
  await store.commit([{ op: 'outbox.add', item: offered }]);
  await store.commit([{ op: 'outbox.add', item: silent }]);
  drain.offer(offered);
  drain.offer(offered);
  await drain.run();
  await drain.run();
  assert.deepEqual(sentIds(sent), [first.id, offered.id]);
  drain.look();
  await drain.run();
  assert.deepEqual(sentIds(sent), [first.id, offered.id, silent.id]);
});

test('more than may be offered is read back from the store', async () => {
  const { drain, store, sent } = await scene([], answers('ordered'));
  await drain.run();
  const rows = Array.from({ length: 1100 }, () => row());
  for (const item of rows) {
    await store.commit([{ op: 'outbox.add', item }]);
    drain.offer(item);
  }
  for (let i = 0; i < 40 && sentIds(sent).length < rows.length; i += 1) {
    await drain.run();
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.deepEqual(sentIds(sent).sort(), rows.map(({ id: one }) => one).sort());
});

function sentIds(sent: readonly Items[]): MessageId[] {
  return sent.flatMap((items) => items.map((item) => item.message_id));
}
