import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConversationId, DeviceId, MessageId, UserAddress } from '@norc/protocol/base';
import type { LogAppend, StoreWrite } from '../port.ts';
import {
  append,
  committed,
  conflicted,
  conversationRow,
  conversationWith,
  entryRow,
  freshDomain,
  freshId,
  freshUser,
  later,
  memberRow,
  plain,
  type UseStore,
  viewOf,
} from './support.ts';

const ALL = 1_000_000;

export function logContract(use: UseStore): void {
  conversationContract(use);
  appendContract(use);
  commitContract(use);
  readingContract(use);
  cursorContract(use);
}

function conversationContract(use: UseStore): void {
  test('a conversation is created once, with its members', async () => {
    const { store } = use();
    const conversation = conversationRow({ frozen: true, epoch: 3, epochSeq: 7, headSeq: 9, headHash: viewOf(32) });
    const { conversationId } = conversation;
    const members = [memberRow({ leafIndex: 0 }), memberRow({ leafIndex: 1, local: false })];
    committed(await store.commit([{ op: 'conversation.create', conversation, members }]));
    assert.deepEqual(plain(await store.read.conversation(conversationId)), plain(conversation));
    assert.deepEqual(plain(await store.read.members(conversationId)), members);
    assert.ok((await store.read.conversationIds()).includes(conversationId));
    const again = { ...conversation, label: 'official_use_only' as const };
    conflicted(
      await store.commit([{ op: 'conversation.create', conversation: again, members: [memberRow()] }]),
      'conversation.create',
      0,
    );
    assert.equal((await store.read.conversation(conversationId))?.label, 'unclassified');
    assert.equal((await store.read.members(conversationId)).length, 2);
  });

  test('what is not there reads as absent or empty', async () => {
    const { store } = use();
    const absent = freshId<ConversationId>();
    assert.equal(await store.read.conversation(absent), undefined);
    assert.deepEqual(await store.read.members(absent), []);
    assert.deepEqual(await store.read.entries(absent, 0, 10, ALL), []);
    assert.deepEqual(await store.read.followers(absent), []);
    assert.deepEqual(await store.read.delivered(absent), []);
    assert.deepEqual(await store.read.memberships(freshId<DeviceId>()), []);
    assert.equal(await store.read.entryByMessageId(absent, freshId<MessageId>()), undefined);
  });

  test('a conversation can be frozen and thawed', async () => {
    const { store } = use();
    const conversationId = await conversationWith(store, 0);
    for (const frozen of [true, false]) {
      committed(await store.commit([{ op: 'conversation.freeze', conversationId, frozen }]));
      assert.equal((await store.read.conversation(conversationId))?.frozen, frozen);
    }
  });
}

function appendContract(use: UseStore): void {
  test('an appended entry comes back byte for byte and becomes the head', async () => {
    const { store } = use();
    const conversationId = await conversationWith(store, 0);
    const entries = [
      entryRow(1, { kind: 'proposal', body: viewOf(0) }),
      entryRow(2, { kind: 'commit', welcome: viewOf(3000), welcomeHash: viewOf(32), body: viewOf(9000), epoch: 5 }),
      entryRow(3),
    ];
    committed(await store.commit([append(conversationId, 0, ...entries)]));
    assert.deepEqual(plain(await store.read.entries(conversationId, 0, 10, ALL)), plain(entries));
    const conversation = await store.read.conversation(conversationId);
    assert.equal(conversation?.headSeq, 3);
    assert.deepEqual(plain(conversation?.headHash), plain(entries[2]?.hash));
  });

  test('an append elsewhere than at the head is a conflict and leaves nothing', async () => {
    const { store } = use();
    const conversationId = await conversationWith(store, 2);
    for (const expected of [0, 1, 3]) {
      conflicted(await store.commit([append(conversationId, expected, entryRow(expected + 1))]), 'log.append', 0);
    }
    conflicted(await store.commit([append(freshId<ConversationId>(), 0, entryRow(1))]), 'log.append', 0);
    assert.equal((await store.read.entries(conversationId, 0, 10, ALL)).length, 2);
  });

  test('of appends to the same place at the same time, exactly one wins', async () => {
    const { store } = use();
    const conversationId = await conversationWith(store, 0);
    const rivals = Array.from({ length: 16 }, () => entryRow(1));
    const outcomes = await Promise.all(rivals.map((entry) => store.commit([append(conversationId, 0, entry)])));
    const winner = rivals[outcomes.findIndex((outcome) => outcome.ok)];
    assert.equal(outcomes.filter((outcome) => outcome.ok).length, 1);
    assert.deepEqual(plain(await store.read.entries(conversationId, 0, 10, ALL)), plain([winner]));
  });

  test('commits take effect in the order of their calls', async () => {
    const { store } = use();
    const conversationId = await conversationWith(store, 0);
    const outcomes = await Promise.all(
      Array.from({ length: 200 }, (_, index) => store.commit([append(conversationId, index, entryRow(index + 1))])),
    );
    assert.ok(outcomes.every((outcome) => outcome.ok));
    const seqs = (await store.read.entries(conversationId, 0, 500, ALL)).map((entry) => entry.seq);
    assert.deepEqual(
      seqs,
      Array.from({ length: 200 }, (_, index) => index + 1),
    );
  });

  test('a message id stands in a log once: a second one is a conflict, also in the middle of a list', async () => {
    const { store } = use();
    const conversationId = await conversationWith(store, 0);
    const first = entryRow(1);
    committed(await store.commit([append(conversationId, 0, first)]));
    const repeated = entryRow(3, { messageId: first.messageId });
    conflicted(await store.commit([append(conversationId, 1, entryRow(2), repeated)]), 'log.append', 0);
    conflicted(await store.commit([append(conversationId, 1, { ...repeated, seq: 2 })]), 'log.append', 0);
    assert.equal((await store.read.conversation(conversationId))?.headSeq, 1);
    committed(await store.commit([append(conversationId, 1, entryRow(2))]));
    committed(await store.commit([append(await conversationWith(store, 0), 0, first)]));
  });

  test('proposals bring the group in which they wait, and change nothing else', async () => {
    const { store } = use();
    const conversationId = await conversationWith(store, 0);
    const before = await store.read.conversation(conversationId);
    const entries = [entryRow(1, { kind: 'proposal' }), entryRow(2, { kind: 'proposal' })];
    const view = viewOf(5000);
    committed(await store.commit([{ ...append(conversationId, 0, ...entries), view }]));
    const after = await store.read.conversation(conversationId);
    assert.deepEqual([after?.epoch, after?.epochSeq, after?.headSeq], [before?.epoch, before?.epochSeq, 2]);
    assert.deepEqual(plain(after?.view), plain(view));
    conflicted(await store.commit([{ ...append(conversationId, 0, entryRow(1)), view: viewOf(1) }]), 'log.append', 0);
    assert.deepEqual(plain((await store.read.conversation(conversationId))?.view), plain(view));
    const commit = { expectedEpoch: 0, epoch: 1, view, added: [], removed: [] };
    const both = { ...append(conversationId, 2, entryRow(3, { kind: 'commit' })), commit, view };
    await assert.rejects(store.commit([both]), RangeError);
  });

  test('entries that do not follow the expected head, or none, are the caller’s fault', async () => {
    const { store } = use();
    const conversationId = await conversationWith(store, 0);
    await assert.rejects(store.commit([append(conversationId, 0, entryRow(2))]), RangeError);
    await assert.rejects(store.commit([append(conversationId, 0, entryRow(1), entryRow(3))]), RangeError);
    await assert.rejects(store.commit([append(conversationId, 0)]), RangeError);
    await assert.rejects(store.commit([append('nonsense' as ConversationId, 0, entryRow(1))]), RangeError); // on purpose
  });

  test('a failed transaction takes back what its earlier writes did, and nothing else', async () => {
    const { store } = use();
    const [kept, lost] = [await conversationWith(store, 1), await conversationWith(store, 1)];
    const peer = freshDomain();
    const device = freshId<DeviceId>();
    const writes: StoreWrite[] = [
      append(lost, 1, entryRow(2)),
      { op: 'meta.put', key: device, value: viewOf(1) },
      { op: 'follower.add', conversationId: lost, peer, seq: 0 },
      append(lost, 7, entryRow(8)),
    ];
    const [before, failed, after] = await Promise.all([
      store.commit([append(kept, 1, entryRow(2))]),
      store.commit(writes),
      store.commit([append(lost, 1, entryRow(2)), append(kept, 2, entryRow(3))]),
    ]);
    committed(before);
    conflicted(failed, 'log.append', 3);
    committed(after);
    assert.equal(await store.read.meta(device), undefined);
    assert.deepEqual(await store.read.followers(lost), []);
    assert.equal((await store.read.conversation(lost))?.headSeq, 2);
    assert.equal((await store.read.conversation(kept))?.headSeq, 3);
  });

  test('bytes are taken when commit is called: a buffer that changes later does not matter', async () => {
    const { store } = use();
    const conversationId = await conversationWith(store, 0);
    const entry = entryRow(1, { body: new Uint8Array(50).fill(7) });
    const value = new Uint8Array(8).fill(7);
    const commit = store.commit([append(conversationId, 0, entry), { op: 'meta.put', key: conversationId, value }]);
    entry.body.fill(9);
    value.fill(9);
    committed(await commit);
    assert.deepEqual(plain((await store.read.entries(conversationId, 0, 1, ALL))[0]?.body), new Uint8Array(50).fill(7));
    assert.deepEqual(plain(await store.read.meta(conversationId)), new Uint8Array(8).fill(7));
  });
}

function commitContract(use: UseStore): void {
  const commitAt = (
    conversationId: ConversationId,
    head: number,
    commit: Partial<LogAppend['commit']> = {},
  ): LogAppend => ({
    ...append(conversationId, head, entryRow(head + 1, { kind: 'commit' })),
    commit: { expectedEpoch: 0, epoch: 1, view: viewOf(700), added: [], removed: [], ...commit },
  });

  test('a commit raises the epoch, replaces the view and remembers where the epoch began', async () => {
    const { store } = use();
    const conversationId = await conversationWith(store, 1);
    const write = commitAt(conversationId, 1);
    const withMore = { ...write, entries: [...write.entries, entryRow(3, { epoch: 1 })] };
    committed(await store.commit([withMore]));
    const conversation = await store.read.conversation(conversationId);
    assert.equal(conversation?.epoch, 1);
    assert.equal(conversation?.epochSeq, 2);
    assert.equal(conversation?.headSeq, 3);
    assert.deepEqual(plain(conversation?.view), plain(write.commit?.view));
  });

  test('one commit wins an epoch; the others change nothing', async () => {
    const { store } = use();
    const members = [memberRow()];
    const conversationId = await conversationWith(store, 0, members);
    committed(await store.commit([commitAt(conversationId, 0)]));
    const removed = members.map((member) => member.deviceId);
    conflicted(await store.commit([commitAt(conversationId, 1, { removed })]), 'log.append', 0);
    assert.equal((await store.read.conversation(conversationId))?.epoch, 1);
    assert.deepEqual(await store.read.members(conversationId), members);
    committed(await store.commit([commitAt(conversationId, 1, { expectedEpoch: 1, epoch: 2 })]));
  });

  test('added devices are members from their entry on; removed ones are out at the commit', async () => {
    const { store } = use();
    const [stays, leaves, remote] = [
      memberRow(),
      memberRow({ leafIndex: 1 }),
      memberRow({ leafIndex: 2, local: false }),
    ];
    const conversationId = await conversationWith(store, 3, [stays, leaves, remote]);
    const joins = memberRow({ leafIndex: 3, joinedSeq: 4 });
    const removed = [leaves.deviceId, remote.deviceId];
    committed(await store.commit([commitAt(conversationId, 3, { added: [joins], removed })]));
    assert.deepEqual(await store.read.members(conversationId), [stays, joins]);
    assert.deepEqual(await store.read.memberships(joins.deviceId), [
      { conversationId, cursor: 3, joinedSeq: 4, headSeq: 4 },
    ]);
    assert.deepEqual(await store.read.memberships(leaves.deviceId), [
      { conversationId, cursor: 0, joinedSeq: 1, leftSeq: 4, headSeq: 4 },
    ]);
    assert.deepEqual(await store.read.memberships(remote.deviceId), []);
  });

  test('the conversations shared with an organisation are those with a member of it now', async () => {
    const { store } = use();
    const org = freshDomain();
    const remote = () => memberRow({ local: false, user: `ben@${org}` as UserAddress });
    const [one, other, gone] = [remote(), remote(), remote()];
    const first = await conversationWith(store, 0, [memberRow(), one, other]);
    const second = await conversationWith(store, 0, [memberRow(), gone]);
    await conversationWith(store, 0, [memberRow(), memberRow({ local: false, user: `ben@x.${org}` as UserAddress })]);
    assert.deepEqual(await store.read.conversationsWith(org), [first, second]);
    committed(await store.commit([commitAt(second, 0, { removed: [gone.deviceId] })]));
    assert.deepEqual(await store.read.conversationsWith(org), [first]);
    const ordered = conversationRow({ hub: freshDomain() });
    committed(await store.commit([{ op: 'conversation.create', conversation: ordered, members: [memberRow()] }]));
    assert.deepEqual(await store.read.conversationsWith(ordered.hub), [ordered.conversationId], 'also as its hub');
    assert.deepEqual(await store.read.conversationsWith(freshDomain()), []);
  });

  test('a removed device that comes back is a member again, from its new entry on', async () => {
    const { store } = use();
    const member = memberRow();
    const conversationId = await conversationWith(store, 0, [member]);
    committed(await store.commit([commitAt(conversationId, 0, { removed: [member.deviceId] })]));
    const again = { ...member, leafIndex: 4, joinedSeq: 2 };
    committed(await store.commit([commitAt(conversationId, 1, { expectedEpoch: 1, epoch: 2, added: [again] })]));
    assert.deepEqual(await store.read.members(conversationId), [again]);
    assert.deepEqual(await store.read.memberships(member.deviceId), [
      { conversationId, cursor: 1, joinedSeq: 2, headSeq: 2 },
    ]);
  });

  test('a device that a commit removes and adds is a member with its new leaf', async () => {
    const { store } = use();
    const member = memberRow();
    const conversationId = await conversationWith(store, 0, [member]);
    const rejoined = { ...member, leafIndex: 5, joinedSeq: 2 };
    const commit = commitAt(conversationId, 0, { removed: [member.deviceId], added: [rejoined] });
    committed(await store.commit([commit]));
    assert.deepEqual(await store.read.members(conversationId), [rejoined]);
  });
}

function readingContract(use: UseStore): void {
  test('entries come after the cursor, in order, within the limit', async () => {
    const { store } = use();
    const conversationId = await conversationWith(store, 10);
    const seqs = async (after: number, limit: number): Promise<number[]> =>
      (await store.read.entries(conversationId, after, limit, ALL)).map((entry) => entry.seq);
    assert.deepEqual(await seqs(0, 3), [1, 2, 3]);
    assert.deepEqual(await seqs(7, 100), [8, 9, 10]);
    assert.deepEqual(await seqs(10, 100), []);
  });

  test('entries stop at about the number of bytes, but one comes always', async () => {
    const { store } = use();
    const conversationId = await conversationWith(store, 0);
    const entries = [1, 2, 3, 4].map((seq) => entryRow(seq, { body: viewOf(10_000) }));
    committed(await store.commit([append(conversationId, 0, ...entries)]));
    assert.equal((await store.read.entries(conversationId, 0, 10, 25_000)).length, 2);
    assert.equal((await store.read.entries(conversationId, 0, 10, 1)).length, 1);
  });

  test('an entry is found by its message id in its own conversation only', async () => {
    const { store } = use();
    const [here, there] = [await conversationWith(store, 0), await conversationWith(store, 1)];
    const entry = entryRow(1);
    committed(await store.commit([append(here, 0, entry)]));
    assert.deepEqual(plain(await store.read.entryByMessageId(here, entry.messageId)), plain(entry));
    assert.equal(await store.read.entryByMessageId(there, entry.messageId), undefined);
    assert.equal(await store.read.entryByMessageId(here, freshId<MessageId>()), undefined);
  });

  test('a device’s memberships name its conversations with cursor and head', async () => {
    const { store } = use();
    const member = memberRow();
    const first = await conversationWith(store, 2, [member]);
    const second = await conversationWith(store, 1, [{ ...member, joinedSeq: 6 }], { headSeq: 5 });
    await conversationWith(store, 1, [memberRow()]);
    assert.deepEqual(await store.read.memberships(member.deviceId), [
      { conversationId: first, cursor: 0, joinedSeq: 1, headSeq: 2 },
      { conversationId: second, cursor: 5, joinedSeq: 6, headSeq: 6 },
    ]);
  });
}

function cursorContract(use: UseStore): void {
  test('a cursor rises, never falls, and stops at the head', async () => {
    const { store } = use();
    const member = memberRow();
    const conversationId = await conversationWith(store, 5, [member]);
    const { deviceId } = member;
    for (const [seq, cursor] of [
      [3, 3],
      [2, 3],
      [3, 3],
      [4, 4],
      [99, 5],
    ] as const) {
      committed(await store.commit([{ op: 'cursor.advance', deviceId, conversationId, seq }]));
      assert.equal((await store.read.memberships(deviceId))[0]?.cursor, cursor);
    }
  });

  test('cursors of devices or conversations that do not exist, or live elsewhere, are ignored', async () => {
    const { store } = use();
    const remote = memberRow({ local: false });
    const conversationId = await conversationWith(store, 2, [remote]);
    const deviceId = freshId<DeviceId>();
    committed(
      await store.commit([
        { op: 'cursor.advance', deviceId, conversationId, seq: 1 },
        { op: 'cursor.advance', deviceId: remote.deviceId, conversationId, seq: 1 },
        { op: 'cursor.advance', deviceId, conversationId: freshId<ConversationId>(), seq: 1 },
        { op: 'delivered.advance', conversationId: freshId<ConversationId>(), user: freshUser(), seq: 1 },
        { op: 'follower.advance', conversationId, peer: freshDomain(), seq: 1 },
      ]),
    );
    assert.deepEqual(await store.read.memberships(deviceId), []);
    assert.deepEqual(await store.read.followers(conversationId), []);
  });

  test('what was delivered to a user only rises', async () => {
    const { store } = use();
    const conversationId = await conversationWith(store, 5);
    const [user, other] = [freshUser(), freshUser()].sort() as [
      ReturnType<typeof freshUser>,
      ReturnType<typeof freshUser>,
    ]; // two of them
    for (const [who, seq] of [
      [user, 2],
      [other, 1],
      [user, 1],
      [user, 4],
    ] as const) {
      committed(await store.commit([{ op: 'delivered.advance', conversationId, user: who, seq }]));
    }
    assert.deepEqual(await store.read.delivered(conversationId), [
      { user, seq: 4 },
      { user: other, seq: 1 },
    ]);
  });

  test('times and numbers beyond 32 bits are kept', async () => {
    const { store } = use();
    const headSeq = 2 ** 40;
    const conversationId = await conversationWith(store, 0, [], { headSeq, epoch: 2 ** 33 });
    committed(await store.commit([append(conversationId, headSeq, entryRow(headSeq + 1, { epoch: 2 ** 33 }))]));
    const [entry] = await store.read.entries(conversationId, headSeq, 1, ALL);
    assert.deepEqual([entry?.seq, entry?.epoch, entry?.storedAt], [headSeq + 1, 2 ** 33, later(headSeq + 1)]);
  });
}
