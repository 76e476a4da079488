import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConversationId, DeviceId, Domain } from '@norc/protocol/base';
import type { Store } from '../port.ts';
import {
  append,
  committed,
  conflicted,
  conversationWith,
  entryRow,
  freshDomain,
  freshId,
  later,
  memberRow,
  T0,
  type UseStore,
} from './support.ts';

const ALL = 1_000_000;

async function advance(store: Store, conversationId: ConversationId, peer: Domain, seq: number): Promise<void> {
  committed(await store.commit([{ op: 'follower.advance', conversationId, peer, seq }]));
}

async function follow(store: Store, conversationId: ConversationId, peer: Domain, seq: number): Promise<void> {
  committed(await store.commit([{ op: 'follower.add', conversationId, peer, seq }]));
}

export function followerContract(use: UseStore): void {
  test('a follower is behind until it has confirmed the head', async () => {
    const { store } = use();
    const conversationId = await conversationWith(store, 3);
    const peer = freshDomain();
    await follow(store, conversationId, peer, 1);
    assert.deepEqual(await store.read.behind(peer), [{ conversationId, seq: 1, headSeq: 3 }]);
    await advance(store, conversationId, peer, 2);
    assert.deepEqual(await store.read.behind(peer), [{ conversationId, seq: 2, headSeq: 3 }]);
    await advance(store, conversationId, peer, 3);
    assert.deepEqual(await store.read.behind(peer), []);
    committed(await store.commit([append(conversationId, 3, entryRow(4))]));
    assert.deepEqual(await store.read.behind(peer), [{ conversationId, seq: 3, headSeq: 4 }]);
  });

  test('a follower’s place only rises, and never beyond the head', async () => {
    const { store } = use();
    const conversationId = await conversationWith(store, 3);
    const peer = freshDomain();
    await follow(store, conversationId, peer, 0);
    for (const [seq, held] of [
      [2, 2],
      [1, 2],
      [50, 3],
    ] as const) {
      await advance(store, conversationId, peer, seq);
      assert.deepEqual(await store.read.followers(conversationId), [{ peer, seq: held }]);
    }
    await follow(store, conversationId, peer, 0);
    assert.deepEqual(await store.read.followers(conversationId), [{ peer, seq: 3 }], 'added again, it keeps its place');
  });

  test('a follower of an unknown conversation is a conflict', async () => {
    const { store } = use();
    const conversationId = freshId<ConversationId>();
    conflicted(
      await store.commit([{ op: 'follower.add', conversationId, peer: freshDomain(), seq: 0 }]),
      'follower.add',
      0,
    );
  });

  test('a follower that is removed is neither listed nor behind nor waited for', async () => {
    const { store } = use();
    const conversationId = await conversationWith(store, 3);
    const peer = freshDomain();
    await follow(store, conversationId, peer, 0);
    committed(await store.commit([{ op: 'follower.remove', conversationId, peer }]));
    assert.deepEqual(await store.read.followers(conversationId), []);
    assert.deepEqual(await store.read.behind(peer), []);
    committed(
      await store.commit([append(conversationId, 3, entryRow(4)), { op: 'log.prune', conversationId, before: T0 }]),
    );
    assert.deepEqual(await store.read.behind(peer), []);
    assert.equal((await store.read.entries(conversationId, 0, 10, ALL)).length, 1);
  });

  test('behind names the conversations of that peer only', async () => {
    const { store } = use();
    const [peer, other] = [freshDomain(), freshDomain()];
    const [shared, theirs] = [await conversationWith(store, 2), await conversationWith(store, 2)];
    await follow(store, shared, peer, 2);
    await follow(store, shared, other, 0);
    await follow(store, theirs, other, 1);
    assert.deepEqual(await store.read.behind(peer), []);
    const behind = await store.read.behind(other);
    assert.deepEqual(
      new Map(behind.map((one) => [one.conversationId, one.seq])),
      new Map([
        [shared, 0],
        [theirs, 1],
      ]),
    );
    assert.deepEqual(await store.read.behind(freshDomain()), []);
  });

  test('behind stays right while many conversations fall behind and catch up, and after a restart', async () => {
    const under = use();
    const peer = freshDomain();
    const conversations = await Promise.all(Array.from({ length: 1200 }, () => conversationWith(under.store, 1)));
    await Promise.all(conversations.map((id) => follow(under.store, id, peer, 0)));
    assert.equal((await under.store.read.behind(peer)).length, 1200);
    await Promise.all(conversations.slice(0, 1100).map((id) => advance(under.store, id, peer, 1)));
    assert.equal((await under.store.read.behind(peer)).length, 100);
    const again = conversations.slice(0, 3);
    await Promise.all(again.map(async (id) => committed(await under.store.commit([append(id, 1, entryRow(2))]))));
    assert.equal((await under.store.read.behind(peer)).length, 103);
    const reopened = await under.reopen();
    assert.equal((await reopened.read.behind(peer)).length, 103);
    await Promise.all(conversations.map((id) => advance(reopened, id, peer, 2)));
    assert.deepEqual(await reopened.read.behind(peer), []);
    committed(await reopened.commit([append(conversations[0] as ConversationId, 2, entryRow(3))])); // 1,200 of them
    assert.equal((await reopened.read.behind(peer)).length, 1);
  });

  pruneContract(use);
}

function pruneContract(use: UseStore): void {
  const prune = (conversationId: ConversationId, before = T0) => ({ op: 'log.prune', conversationId, before }) as const;
  const seqs = async (store: Store, id: ConversationId): Promise<number[]> =>
    (await store.read.entries(id, 0, 100, ALL)).map((entry) => entry.seq);

  test('pruning drops what every cursor and follower has passed', async () => {
    const { store } = use();
    const [one, two] = [memberRow(), memberRow({ leafIndex: 1 })];
    const conversationId = await conversationWith(store, 6, [one, two, memberRow({ leafIndex: 2, local: false })]);
    const peer = freshDomain();
    await follow(store, conversationId, peer, 3);
    committed(await store.commit([prune(conversationId)]));
    assert.deepEqual(await seqs(store, conversationId), [1, 2, 3, 4, 5, 6], 'two devices have read nothing');
    committed(
      await store.commit([
        { op: 'cursor.advance', deviceId: one.deviceId, conversationId, seq: 2 },
        { op: 'cursor.advance', deviceId: two.deviceId, conversationId, seq: 6 },
        prune(conversationId),
      ]),
    );
    assert.deepEqual(await seqs(store, conversationId), [3, 4, 5, 6]);
    committed(
      await store.commit([
        { op: 'cursor.advance', deviceId: one.deviceId, conversationId, seq: 6 },
        prune(conversationId),
      ]),
    );
    assert.deepEqual(await seqs(store, conversationId), [4, 5, 6], 'the follower holds 3');
  });

  test('pruning drops what is too old, whoever waits for it, and never the head', async () => {
    const { store } = use();
    const conversationId = await conversationWith(store, 5, [memberRow()]);
    committed(await store.commit([prune(conversationId, later(3))]));
    assert.deepEqual(await seqs(store, conversationId), [3, 4, 5]);
    committed(await store.commit([prune(conversationId, later(1000))]));
    assert.deepEqual(await seqs(store, conversationId), [5]);
    committed(await store.commit([append(conversationId, 5, entryRow(6))]));
    assert.equal((await store.read.conversation(conversationId))?.headSeq, 6);
  });

  test('pruning leaves no gap: a younger entry protects those after it', async () => {
    const { store } = use();
    const conversationId = await conversationWith(store, 0, [memberRow()]);
    const times = [1, 9, 2, 3].map((at, index) => entryRow(index + 1, { storedAt: later(at) }));
    committed(await store.commit([append(conversationId, 0, ...times), prune(conversationId, later(5))]));
    assert.deepEqual(await seqs(store, conversationId), [2, 3, 4]);
  });

  test('a removed device is waited for until it has read its removal, then forgotten', async () => {
    const { store } = use();
    const [stays, leaves] = [memberRow(), memberRow({ leafIndex: 1 })];
    const conversationId = await conversationWith(store, 1, [stays, leaves]);
    const read = (deviceId: DeviceId, seq: number) =>
      ({ op: 'cursor.advance', deviceId, conversationId, seq }) as const;
    const commit = { expectedEpoch: 0, epoch: 1, view: new Uint8Array(1), added: [], removed: [leaves.deviceId] };
    committed(await store.commit([{ ...append(conversationId, 1, entryRow(2, { kind: 'commit' })), commit }]));
    committed(await store.commit([append(conversationId, 2, entryRow(3), entryRow(4)), read(stays.deviceId, 4)]));
    committed(await store.commit([read(leaves.deviceId, 1), prune(conversationId)]));
    assert.deepEqual(await seqs(store, conversationId), [2, 3, 4]);
    committed(await store.commit([read(leaves.deviceId, 2), prune(conversationId)]));
    assert.deepEqual(await seqs(store, conversationId), [4]);
    assert.deepEqual(await store.read.memberships(leaves.deviceId), []);
  });

  test('the head of a pruned log survives a restart', async () => {
    const under = use();
    const conversationId = await conversationWith(under.store, 4);
    committed(await under.store.commit([prune(conversationId)]));
    const reopened = await under.reopen();
    assert.equal((await reopened.read.conversation(conversationId))?.headSeq, 4);
    conflicted(await reopened.commit([append(conversationId, 0, entryRow(1))]), 'log.append', 0);
    committed(await reopened.commit([append(conversationId, 4, entryRow(5))]));
  });
}
