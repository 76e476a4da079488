import assert from 'node:assert/strict';
import { test } from 'node:test';
import { idFromBytes, instant, type MessageId, type UserAddress } from '@norc/protocol/base';
import { encodeContent, type MessageContent } from '@norc/protocol/norc-c';
import fc from 'fast-check';
import { memoryStore } from '../store/memory.ts';
import type { ClientStore, ClientWrite } from '../store/port.ts';
import type { Mark, MessageKey } from '../store/rows.ts';
import * as sample from '../store/samples.ts';
import { entriesOf } from './decode.ts';
import { messageWrite, takeIn, targetsOf } from './take-in.ts';
import { type ConversationView, conversationView } from './view.ts';

/**
 * A device may learn the same log in many ways: live, in one go after a week, with
 * its own messages sent at any time in between, marks early or late, pushes
 * repeated. All of them must end in the same picture.
 */

const CARLA = 'carla@alpha.example' as UserAddress; // well-formed
const USERS = [sample.ANNA, sample.BRUNO, CARLA] as const;
const NOW = sample.at(1_000_000);
const EXPIRED = sample.at(500_000);

/** One log entry: device `author` says something, maybe about an earlier one. */
interface Said {
  readonly author: number;
  readonly what: 'text' | 'edit' | 'delete' | 'like' | 'unlike' | 'receipt' | 'typing' | 'rename' | 'expiring';
  readonly about: number;
  /** Uses the id of the message it is about, as an attacker would; never this device, which chooses its own at random. */
  readonly stealsId: boolean;
}

const said: fc.Arbitrary<Said> = fc.record({
  author: fc.nat(2),
  what: fc.constantFrom(
    ...([
      'text',
      'text',
      'text',
      'edit',
      'delete',
      'like',
      'unlike',
      'receipt',
      'typing',
      'rename',
      'expiring',
    ] as const),
  ),
  about: fc.nat(30),
  stealsId: fc.nat(4).map((n) => n === 0),
});

const idOf = (n: number): MessageId =>
  idFromBytes(Uint8Array.from({ length: 16 }, (_, i) => (i < 2 ? n >> (8 * i) : 7)));

interface Entry extends MessageKey {
  readonly user: UserAddress;
  readonly seq: number;
  readonly content: MessageContent;
  readonly encoded: Uint8Array;
}

function logOf(all: readonly Said[]): readonly Entry[] {
  return all.map((one, index) => {
    const seq = index + 1;
    const about = idOf(one.about % Math.max(1, index));
    const messageId = one.stealsId && one.author !== 0 && one.what === 'text' ? about : idOf(index);
    const content = contentOf(one, messageId, about, seq);
    return {
      conversationId: sample.CONVERSATION,
      sender: sample.deviceId(one.author + 1),
      user: USERS[one.author] ?? CARLA,
      messageId,
      seq,
      content,
      encoded: encodeContent(content),
    };
  });
}

function contentOf(one: Said, message_id: MessageId, target: MessageId, seq: number): MessageContent {
  const common = { message_id, sent_at: sample.at(seq) };
  switch (one.what) {
    case 'edit':
      return { kind: 'edit', ...common, body: { target, text: `edited at ${seq}` } };
    case 'delete':
      return { kind: 'delete', ...common, body: { target } };
    case 'like':
      return { kind: 'reaction', ...common, body: { target, emoji: '👍' } };
    case 'unlike':
      return { kind: 'reaction', ...common, body: { target, emoji: '👍', removed: true } };
    case 'receipt':
      return { kind: 'receipt', ...common, body: { targets: [target] } };
    case 'typing':
      return { kind: 'typing', ...common, body: { active: true } };
    case 'rename':
      return { kind: 'control', ...common, body: { action: 'rename', text: `title ${seq}` } };
    case 'expiring':
      return { kind: 'text', ...common, expires_at: EXPIRED, body: { text: `soon gone ${seq}` } };
    case 'text':
      return { kind: 'text', ...common, reply_to: target, mentions: [sample.ANNA], body: { text: `text ${seq}` } };
  }
}

/** How one device lives through the log. */
interface Life {
  /** How early an own message is written before its entry comes: in entries. */
  readonly lead: readonly number[];
  readonly repeats: readonly boolean[];
  /** When each mark arrives: after how many entries. */
  readonly marksAt: readonly number[];
}

const life = (length: number, marks: number): fc.Arbitrary<Life> =>
  fc.record({
    lead: fc.array(fc.nat(6), { minLength: length, maxLength: length }),
    repeats: fc.array(fc.boolean(), { minLength: length, maxLength: length }),
    marksAt: fc.array(fc.nat(length), { minLength: marks, maxLength: marks }),
  });

const isOwn = (entry: Entry): boolean => entry.sender === sample.deviceId(1);

async function live(log: readonly Entry[], marks: readonly Mark[], how: Life): Promise<ClientStore> {
  const store = memoryStore();
  await store.transact([{ op: 'conversation.put', conversation: sample.conversation() }]);
  for (let step = 0; step <= log.length; step += 1) {
    for (const entry of log)
      if (isOwn(entry) && entry.seq - 1 - (how.lead[entry.seq - 1] ?? 0) === step - 1) await write(store, entry);
    for (const [i, mark] of marks.entries()) {
      if (how.marksAt[i] === step) {
        await store.transact([{ op: 'mark.advance', conversationId: sample.CONVERSATION, mark }]);
      }
    }
    const entry = log[step];
    if (entry === undefined) break;
    await receive(store, entry);
    if (how.repeats[step]) await receive(store, entry);
  }
  return store;
}

/** Own content is in the timeline from the moment it is written. */
async function write(store: ClientStore, entry: Entry): Promise<void> {
  const { seq: _seq, ...at } = entry;
  if (!isKept(entry)) return;
  await store.transact([messageWrite({ ...at, state: { state: 'sending' } }, entry.content, entry.encoded)]);
  await store.transact([{ op: 'message.state', key: entry, state: { state: 'accepted' } }]);
}

const isKept = ({ content }: Entry): boolean => !['receipt', 'typing', 'control'].includes(content.kind);

async function receive(store: ClientStore, entry: Entry): Promise<void> {
  const { conversationId, seq } = entry;
  const conversation = await store.read.conversation(conversationId);
  assert.ok(conversation !== undefined);
  const ids = targetsOf(entry.encoded);
  const targets = (await Promise.all(ids.map((id) => store.read.messagesAbout(conversationId, id)))).flat();
  const opened = { ...entry, storedAt: instant(0), content: entry.encoded };
  const { cursorSeq: _c, cursorHash: _h, readSeq: _r, ...details } = conversation;
  const changes = takeIn(opened, { self: sample.ANNA, conversation: details, targets });
  const order: ClientWrite[] = isOwn(entry) ? [{ op: 'message.order', key: entry, seq }] : [];
  const cursor: ClientWrite = { op: 'cursor.advance', conversationId, expectedSeq: seq - 1, seq, hash: sample.hash(0) };
  const outcome = await store.transact([...order, ...changes, cursor]);
  assert.equal(outcome.ok, conversation.cursorSeq === seq - 1, 'an entry is taken in once');
}

async function view(store: ClientStore, limit = 1000): Promise<ConversationView> {
  const conversation = await store.read.conversation(sample.CONVERSATION);
  assert.ok(conversation !== undefined);
  const page = await store.read.timeline(sample.CONVERSATION, { limit });
  const marks = await store.read.marks(sample.CONVERSATION);
  const entries = entriesOf(page.rows);
  return conversationView({ conversation, self: sample.ANNA, marks, entries, more: page.more, now: NOW });
}

const MARKS: readonly Mark[] = [
  { user: sample.BRUNO, mark: 'delivered', seq: 3 },
  { user: sample.BRUNO, mark: 'delivered', seq: 9 },
  { user: sample.BRUNO, mark: 'read', seq: 5 },
];

const STRAIGHT: Life = { lead: [], repeats: [], marksAt: [0, 0, 0] };

const logAndLife = fc
  .array(said, { minLength: 1, maxLength: 25 })
  .chain((all) => fc.tuple(fc.constant(logOf(all)), life(all.length, MARKS.length)));

test('any interleaving of sync gives the same timeline', async () => {
  await fc.assert(
    fc.asyncProperty(logAndLife, async ([log, how]) => {
      const straight = await view(await live(log, MARKS, STRAIGHT));
      assert.deepEqual(await view(await live(log, MARKS, how)), straight);
    }),
    { numRuns: 200 },
  );
});

test('a page shows its messages exactly as the whole timeline does', async () => {
  await fc.assert(
    fc.asyncProperty(logAndLife, fc.integer({ min: 1, max: 10 }), async ([log, how], limit) => {
      // An id that somebody took twice is the one thing that a page cannot see whole.
      fc.pre(new Set(log.map((entry) => entry.messageId)).size === log.length);
      const store = await live(log, MARKS, how);
      const whole = (await view(store)).items;
      const page = (await view(store, limit)).items;
      const keys = page.map((item) => item.key);
      const bare = (items: typeof whole) => items.map((item) => ({ ...item, replyTo: undefined }));
      assert.deepEqual(bare(page), bare(whole.filter((item) => keys.includes(item.key))));
      assert.deepEqual(
        keys,
        whole.slice(-keys.length || whole.length).map((item) => item.key),
      );
    }),
    { numRuns: 100 },
  );
});

test('what a deleted or overwritten message said is gone from the store', async () => {
  const text = (n: number, author: number): Said => ({ author, what: 'text', about: n, stealsId: false });
  const about = (what: Said['what'], author: number): Said => ({ author, what, about: 0, stealsId: false });
  const log = logOf([text(0, 1), about('edit', 1), about('delete', 2), about('delete', 1), about('edit', 1)]);
  const store = await live(log.slice(0, 3), [], STRAIGHT);
  const [kept] = (await view(store)).items;
  assert.ok(kept?.type === 'message');
  assert.deepEqual(kept.content, { type: 'text', text: 'edited at 2', edited: true }, 'only the author deletes');
  for (const entry of log.slice(3)) await receive(store, entry);
  const rows = await store.read.messagesAbout(sample.CONVERSATION, idOf(0));
  const words = rows.map((row) =>
    row.body.type === 'content' ? Buffer.from(row.body.content).toString('latin1') : '',
  );
  assert.ok(
    words.every((word) => !word.includes('text 1') && !word.includes('edited at')),
    words.join(),
  );
  const [gone] = (await view(store)).items;
  assert.deepEqual(gone?.type === 'message' && gone.content, { type: 'deleted' });
});
