import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DeviceId, MessageId, UserAddress } from '@norc/protocol/base';
import type { Mark } from '../store/rows.ts';
import { ANNA, at, BRUNO, deviceId, messageId } from '../store/samples.ts';
import type { EntryContent, TimelineEntry } from './entries.ts';
import { foldTimeline } from './fold.ts';
import type { MessageItem, TimelineItem } from './items.ts';
import { unreadOf } from './unread.ts';

const CARLA = 'carla@alpha.example' as UserAddress; // well-formed
const DEVICES = new Map<UserAddress, DeviceId>([
  [ANNA, deviceId(1)],
  [BRUNO, deviceId(2)],
  [CARLA, deviceId(3)],
]);

function entry(user: UserAddress, seq: number | undefined, content: EntryContent, id = seq ?? 0): TimelineEntry {
  return {
    sender: DEVICES.get(user) ?? deviceId(9),
    user,
    messageId: messageId(id),
    ...(seq === undefined ? { state: { state: 'sending' } } : { seq }),
    sentAt: at(seq ?? 1000),
    content,
  };
}

const text = (words: string): EntryContent => ({ type: 'text', text: words, mentions: [] });
const target = (n: number): { readonly target: MessageId } => ({ target: messageId(n) });
const edit = (n: number, words: string): EntryContent => ({ type: 'edit', ...target(n), text: words });
const remove = (n: number): EntryContent => ({ type: 'delete', ...target(n) });
const react = (n: number, emoji: string, off = false): EntryContent => ({
  type: 'reaction',
  ...target(n),
  emoji,
  remove: off,
});

function fold(entries: readonly TimelineEntry[], marks: readonly Mark[] = [], now = at(0)): readonly TimelineItem[] {
  return foldTimeline(entries, { self: ANNA, participants: [ANNA, BRUNO, CARLA], marks, now });
}

function message(items: readonly TimelineItem[], index = 0): MessageItem {
  const item = items[index];
  assert.ok(item?.type === 'message');
  return item;
}

const said = (items: readonly TimelineItem[]) =>
  items.map((item) => {
    if (item.type === 'line') return item.line === 'problem' ? item.problem.cause : 'notices';
    return item.content.type === 'text' ? item.content.text : item.content.type;
  });

test('messages stand in log order, own unordered ones last, as they were written', () => {
  const early = { ...entry(ANNA, undefined, text('first'), 8), sentAt: at(10) };
  const late = { ...entry(ANNA, undefined, text('second'), 7), sentAt: at(11) };
  const items = fold([late, early, entry(BRUNO, 2, text('two')), entry(BRUNO, 1, text('one'))]);
  assert.deepEqual(said(items), ['one', 'two', 'first', 'second']);
});

test('the author edits, the last edit counts, and nobody else edits', () => {
  const original = entry(BRUNO, 1, text('at nine'));
  const items = (...changes: TimelineEntry[]) => said(fold([original, ...changes]));
  assert.deepEqual(items(entry(BRUNO, 3, edit(1, 'at ten')), entry(BRUNO, 2, edit(1, 'at eight'))), ['at ten']);
  assert.deepEqual(items(entry(CARLA, 2, edit(1, 'never'))), ['at nine']);
  assert.equal(message(fold([original, entry(BRUNO, 2, edit(1, 'x'))])).content.type, 'text');
});

test('an edit that comes before its message in the log changes nothing', () => {
  assert.deepEqual(said(fold([entry(BRUNO, 5, text('later')), entry(BRUNO, 1, edit(5, 'sooner'))])), ['later']);
});

test('a deletion by the author is final; one by somebody else does nothing', () => {
  const original = entry(BRUNO, 1, text('oops'));
  const gone = fold([
    original,
    entry(BRUNO, 2, remove(1)),
    entry(BRUNO, 3, edit(1, 'back')),
    entry(CARLA, 4, react(1, '👍')),
  ]);
  assert.deepEqual(said(gone), ['deleted']);
  assert.deepEqual(message(gone).reactions, []);
  assert.deepEqual(said(fold([original, entry(CARLA, 2, remove(1))])), ['oops']);
});

test('who takes the id of another message neither hides it nor has the changes meant for it', () => {
  const genuine = entry(BRUNO, 1, text('genuine'));
  const thief = entry(CARLA, 2, text('thief'), 1);
  const items = fold([
    thief,
    genuine,
    entry(BRUNO, 3, edit(1, 'edited')),
    entry(CARLA, 4, remove(1)),
    entry(ANNA, 5, react(1, '👍')),
  ]);
  assert.deepEqual(said(items), ['edited', 'deleted']);
  assert.equal(message(items, 0).reactions.length, 1);
});

test('reactions are counted by person, and the last of a person counts', () => {
  const items = fold([
    entry(BRUNO, 1, text('done')),
    entry(ANNA, 2, react(1, '👍')),
    entry(CARLA, 3, react(1, '👍')),
    entry(CARLA, 4, react(1, '🎉')),
    entry(CARLA, 5, react(1, '👍')),
    entry(CARLA, 6, react(1, '🎉', true)),
  ]);
  assert.deepEqual(message(items).reactions, [{ emoji: '👍', users: [ANNA, CARLA], mine: true }]);
});

test('an expired message is gone, a scrubbed one too unless its author deleted it', () => {
  const soon = entry(BRUNO, 1, { type: 'text', text: 'x', mentions: [], expiresAt: at(50) });
  assert.equal(fold([soon], [], at(49)).length, 1);
  assert.equal(fold([soon], [], at(50)).length, 0);
  const scrubbed = entry(BRUNO, 1, { type: 'removed' });
  assert.deepEqual(said(fold([scrubbed])), []);
  assert.deepEqual(said(fold([scrubbed, entry(BRUNO, 2, remove(1))])), ['deleted']);
});

test('an answer names whom it answers when that is known', () => {
  const reply = (to: number): EntryContent => ({ type: 'text', text: 'yes', mentions: [], replyTo: messageId(to) });
  const items = fold([entry(BRUNO, 1, text('coming?')), entry(CARLA, 2, reply(1)), entry(CARLA, 3, reply(77))]);
  assert.equal(message(items, 1).replyTo?.user, BRUNO);
  assert.deepEqual(message(items, 2).replyTo, { messageId: messageId(77) });
});

test('states of own messages: sending, sent, delivered, read, failed, whatever order the marks came in', () => {
  const own = entry(ANNA, 4, text('hello'));
  const state = (...marks: Mark[]) => message(fold([own], marks)).state;
  const mark = (user: UserAddress, name: Mark['mark'], seq: number): Mark => ({ user, mark: name, seq });
  assert.deepEqual(message(fold([entry(ANNA, undefined, text('x'))])).state, { state: 'sending' });
  const accepted = { ...entry(ANNA, undefined, text('x')), state: { state: 'accepted' } } as const;
  assert.deepEqual(message(fold([accepted])).state, { state: 'sent' });
  const failed = { state: 'failed', problem: { cause: 'trust.none' } } as const;
  assert.deepEqual(message(fold([{ ...accepted, state: failed }])).state, failed);
  assert.deepEqual(state(), { state: 'sent' });
  assert.deepEqual(state(mark(BRUNO, 'delivered', 3)), { state: 'sent' }, 'an earlier place says nothing');
  assert.deepEqual(state(mark(ANNA, 'delivered', 9)), { state: 'sent' }, 'own other devices do not count');
  assert.deepEqual(state(mark(BRUNO, 'delivered', 4)), { state: 'delivered', delivered: 1, read: 0, of: 2 });
  assert.deepEqual(state(mark(CARLA, 'read', 9)), { state: 'read', delivered: 1, read: 1, of: 2 });
  assert.equal(message(fold([entry(BRUNO, 1, text('x'))])).state, undefined);
});

test('lines that say the same become one', () => {
  const problem = (cause: 'key.before_join' | 'key.tampered'): EntryContent => ({
    type: 'problem',
    problem: { cause },
  });
  const waiting = (user: UserAddress): EntryContent => ({
    type: 'problem',
    problem: { cause: 'key.waiting', user, count: 1 },
  });
  const quiet = fold([1, 2, 3].map((seq) => entry(BRUNO, seq, problem('key.before_join'))));
  assert.deepEqual(said(quiet), ['key.before_join']);
  assert.equal(fold([1, 2].map((seq) => entry(BRUNO, seq, problem('key.tampered')))).length, 2);
  const [line] = fold([entry(BRUNO, 1, waiting(BRUNO)), entry(BRUNO, 2, waiting(BRUNO))]);
  assert.deepEqual(line?.type === 'line' && line.line === 'problem' && line.problem, {
    cause: 'key.waiting',
    user: BRUNO,
    count: 2,
  });
});

test('unread counts what others said after the marker, and nothing else', () => {
  const mention: EntryContent = { type: 'text', text: '@anna', mentions: [ANNA] };
  const items = fold([
    entry(BRUNO, 1, text('seen')),
    entry(BRUNO, 2, text('new')),
    entry(ANNA, 3, text('own')),
    entry(BRUNO, 4, mention),
    entry(BRUNO, 5, text('deleted')),
    entry(BRUNO, 6, remove(5)),
    entry(CARLA, 7, react(3, '👍')),
    entry(CARLA, 8, edit(2, 'x')),
    entry(BRUNO, 9, { type: 'problem', problem: { cause: 'key.tampered' } }),
    entry(BRUNO, 10, { type: 'notices', notices: [{ notice: 'device_added', user: BRUNO, count: 1 }] }),
    entry(BRUNO, 11, { type: 'file', name: 'plan.pdf', bytes: 9, mentions: [] }),
  ]);
  const unread = unreadOf(items, 1);
  assert.deepEqual([unread.count, unread.mentions], [3, 1]);
  assert.equal(unread.firstKey, message(items, 1).key);
  assert.deepEqual(unreadOf(items, 11), { count: 0, mentions: 0 });
});
