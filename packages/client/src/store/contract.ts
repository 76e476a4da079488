import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ClientStore, ClientWrite } from './port.ts';
import { StoreError } from './port.ts';
import * as sample from './samples.ts';

/** How to make a store for one case. `reopen` closes it and opens what it left, where that means something. */
export interface StoreHarness {
  open(): Promise<ClientStore>;
  reopen?(store: ClientStore): Promise<ClientStore>;
}

type Case = (store: ClientStore) => Promise<void>;

/** What every ClientStore does. Call it in a test file of the implementation. */
export function clientStoreContract(name: string, harness: StoreHarness): void {
  for (const [title, run] of Object.entries(CASES)) {
    test(`${name}: ${title}`, async () => {
      const store = await harness.open();
      try {
        await run(store);
      } finally {
        await store.close();
      }
    });
  }
  const { reopen } = harness;
  if (reopen === undefined) return;
  test(`${name}: everything is there after a restart`, async () => {
    const store = await harness.open();
    await done(store, sample.fullWrites());
    const before = await everything(store);
    const again = await reopen(store);
    assert.deepEqual(await everything(again), before);
    await again.close();
  });
}

async function done(store: ClientStore, writes: readonly ClientWrite[]): Promise<void> {
  assert.deepEqual(await store.transact(writes), { ok: true, duplicates: [] });
}

async function everything(store: ClientStore): Promise<unknown> {
  const { read } = store;
  const id = sample.CONVERSATION;
  return {
    device: await read.device(),
    version: await read.serverVersion('alpha.example:8843'),
    stock: await read.keyPackages(),
    secrets: await read.keyPackage(sample.keyPackage(1).ref),
    group: await read.group(id),
    conversations: await read.conversations(),
    marks: await read.marks(id),
    timeline: await read.timeline(id, { limit: 100 }),
    outgoing: await read.outgoing(),
    meta: await read.meta('org:bravo.example'),
  };
}

const shown = async (store: ClientStore, query: Parameters<ClientStore['read']['timeline']>[1]) =>
  (await store.read.timeline(sample.CONVERSATION, query)).rows.map((row) => row.messageId);

const openConversation: ClientWrite = { op: 'conversation.put', conversation: sample.conversation() };

const CASES: Readonly<Record<string, Case>> = {
  'an empty store knows nothing': async (store) => {
    assert.deepEqual(await everything(store), {
      device: undefined,
      version: undefined,
      stock: [],
      secrets: undefined,
      group: undefined,
      conversations: [],
      marks: [],
      timeline: { rows: [], more: false },
      outgoing: [],
      meta: undefined,
    });
  },

  'the device comes back as it was put, and a later one replaces it': async (store) => {
    await done(store, [{ op: 'device.put', device: sample.device() }]);
    assert.deepEqual(await store.read.device(), sample.device());
    const { registration: _registration, ...bare } = sample.device();
    await done(store, [{ op: 'device.put', device: bare }]);
    assert.deepEqual(await store.read.device(), bare);
  },

  'what was put is a copy: the caller may zero its own bytes, and what is read too': async (store) => {
    const device = sample.device();
    await done(store, [{ op: 'device.put', device }]);
    device.privateKey.fill(0);
    const first = await store.read.device();
    first?.privateKey.fill(0);
    assert.deepEqual((await store.read.device())?.privateKey, sample.device().privateKey);
  },

  'the version seen from a server never falls': async (store) => {
    const server = 'alpha.example:8843';
    const see = (major: number, minor: number) =>
      done(store, [{ op: 'server.version', server, version: { major, minor } }]);
    for (const [major, minor] of [
      [1, 2],
      [2, 0],
      [1, 9],
      [2, 0],
    ] as const)
      await see(major, minor);
    assert.deepEqual(await store.read.serverVersion(server), { major: 2, minor: 0 });
    assert.equal(await store.read.serverVersion('bravo.example:8843'), undefined);
  },

  'a one-time key package is gone after its use, the last-resort one is marked': async (store) => {
    const once = sample.keyPackage(1);
    const last = { ...sample.keyPackage(2), lastResort: true };
    await done(store, [{ op: 'keyPackages.add', packages: [once, last] }]);
    await done(store, [{ op: 'keyPackages.published', refs: [once.ref] }]);
    assert.deepEqual(await store.read.keyPackage(once.ref), { ...once, published: true });
    assert.ok((await store.read.keyPackages()).every((row) => !('privatePackage' in row)));
    await done(store, [{ op: 'keyPackage.use', ref: once.ref, usedAt: sample.at(9) }]);
    await done(store, [{ op: 'keyPackage.use', ref: last.ref, usedAt: sample.at(9) }]);
    assert.equal(await store.read.keyPackage(once.ref), undefined);
    assert.deepEqual(await store.read.keyPackage(last.ref), { ...last, usedAt: sample.at(9) });
    await done(store, [{ op: 'keyPackages.delete', refs: [last.ref] }]);
    assert.deepEqual(await store.read.keyPackages(), []);
  },

  'a key package that is used twice takes nothing of the second transaction': async (store) => {
    const { ref } = sample.keyPackage(1);
    await done(store, [{ op: 'keyPackages.add', packages: [sample.keyPackage(1)] }]);
    const join: ClientWrite[] = [
      { op: 'group.put', group: sample.group(1) },
      { op: 'keyPackage.use', ref, usedAt: sample.at(1) },
    ];
    await done(store, join);
    const second = await store.transact([{ op: 'group.put', group: sample.group(7) }, join[1] as ClientWrite]); // two writes above
    assert.deepEqual(second, { ok: false, conflict: 'keyPackage.use', index: 1 });
    assert.equal((await store.read.group(sample.CONVERSATION))?.epoch, 1);
  },

  'a group is replaced whole, its pending commit with it': async (store) => {
    const pending = { messageId: sample.messageId(5), epoch: 2, state: Uint8Array.of(5) };
    await done(store, [{ op: 'group.put', group: { ...sample.group(1), pending } }]);
    assert.deepEqual(await store.read.group(sample.CONVERSATION), { ...sample.group(1), pending });
    await done(store, [{ op: 'group.put', group: sample.group(2) }]);
    assert.deepEqual(await store.read.group(sample.CONVERSATION), sample.group(2));
    await done(store, [{ op: 'group.delete', conversationId: sample.CONVERSATION }]);
    assert.equal(await store.read.group(sample.CONVERSATION), undefined);
  },

  'describing a conversation again leaves its cursor and marker': async (store) => {
    await done(store, [
      openConversation,
      advance(0, 4),
      { op: 'readMarker.advance', conversationId: sample.CONVERSATION, seq: 3 },
    ]);
    await done(store, [{ op: 'conversation.put', conversation: { ...sample.conversation(), title: 'Depot' } }]);
    const row = await store.read.conversation(sample.CONVERSATION);
    assert.deepEqual([row?.title, row?.cursorSeq, row?.readSeq], ['Depot', 4, 3]);
    assert.deepEqual(row?.cursorHash, sample.hash(4));
  },

  'a cursor moves only from where it is': async (store) => {
    const conflict = { ok: false, conflict: 'cursor.advance', index: 0 };
    assert.deepEqual(await store.transact([advance(0, 1)]), conflict, 'no such conversation');
    await done(store, [openConversation, advance(0, 2)]);
    assert.deepEqual(await store.transact([advance(0, 3)]), conflict);
    await done(store, [advance(2, 3)]);
    await assert.rejects(async () => store.transact([advance(3, 3)]), RangeError);
  },

  'markers and marks only rise': async (store) => {
    const id = sample.CONVERSATION;
    await done(store, [openConversation]);
    for (const seq of [2, 7, 4]) {
      await done(store, [
        { op: 'readMarker.advance', conversationId: id, seq },
        { op: 'mark.advance', conversationId: id, mark: { user: sample.BRUNO, mark: 'delivered', seq } },
      ]);
    }
    await done(store, [{ op: 'mark.advance', conversationId: id, mark: { user: sample.BRUNO, mark: 'read', seq: 3 } }]);
    assert.equal((await store.read.conversation(id))?.readSeq, 7);
    const marks = [...(await store.read.marks(id))].sort((a, b) => b.seq - a.seq);
    assert.deepEqual(marks, [
      { user: sample.BRUNO, mark: 'delivered', seq: 7 },
      { user: sample.BRUNO, mark: 'read', seq: 3 },
    ]);
  },

  'taking in a log entry is one write: a conflict in it leaves nothing behind': async (store) => {
    await done(store, [openConversation, { op: 'group.put', group: sample.group(1) }]);
    const takeIn: ClientWrite[] = [
      { op: 'group.put', group: sample.group(2) },
      { op: 'message.add', message: sample.message(1) },
      advance(0, 1),
    ];
    await done(store, takeIn);
    const again = await store.transact([
      { op: 'group.put', group: sample.group(3) },
      { op: 'message.add', message: sample.message(2) },
      advance(0, 2),
    ]);
    assert.deepEqual(again, { ok: false, conflict: 'cursor.advance', index: 2 });
    assert.equal((await store.read.group(sample.CONVERSATION))?.epoch, 2);
    assert.deepEqual(await shown(store, { limit: 9 }), [sample.messageId(1)]);
  },

  'the same message twice is one; the same id from another sender is another': async (store) => {
    await done(store, [{ op: 'message.add', message: sample.message(1) }]);
    const repeated = { ...sample.message(1), seq: 2, sentAt: sample.at(99) };
    const foreign = { ...sample.message(1), seq: 3, sender: sample.deviceId(77), user: sample.BRUNO };
    assert.deepEqual(
      await store.transact([
        { op: 'message.add', message: repeated },
        { op: 'message.add', message: foreign },
      ]),
      { ok: true, duplicates: [0] },
    );
    assert.deepEqual(await store.read.message(sample.message(1)), sample.message(1));
    const edit = { ...sample.message(4), target: sample.messageId(1) };
    await done(store, [{ op: 'message.add', message: edit }]);
    const rows = await store.read.messagesAbout(sample.CONVERSATION, sample.messageId(1));
    assert.deepEqual(rows, [sample.message(1), foreign, edit]);
  },

  'two messages never share a place in the log': async (store) => {
    await done(store, [
      { op: 'message.add', message: sample.message(1) },
      { op: 'message.add', message: sample.ownMessage(2) },
    ]);
    const other: ClientWrite = { op: 'message.add', message: { ...sample.message(3), seq: 1 } };
    assert.deepEqual(await store.transact([other]), { ok: false, conflict: 'message.add', index: 0 });
    const order: ClientWrite = { op: 'message.order', key: sample.ownMessage(2), seq: 1 };
    assert.deepEqual(await store.transact([order]), { ok: false, conflict: 'message.order', index: 0 });
  },

  'an own message goes from sending to accepted to its place in the log': async (store) => {
    const own = sample.ownMessage(1);
    await done(store, [{ op: 'message.add', message: own }]);
    await done(store, [{ op: 'message.state', key: own, state: { state: 'accepted' } }]);
    assert.deepEqual((await store.read.message(own))?.state, { state: 'accepted' });
    await done(store, [{ op: 'message.order', key: own, seq: 4 }]);
    const { state: _state, ...rest } = own;
    assert.deepEqual(await store.read.message(own), { ...rest, seq: 4 });
    await done(store, [
      { op: 'message.order', key: own, seq: 9 },
      { op: 'message.state', key: own, state: { state: 'sending' } },
      { op: 'message.order', key: sample.ownMessage(2), seq: 9 },
    ]);
    assert.deepEqual(await store.read.message(own), { ...rest, seq: 4 });
  },

  'a scrubbed message keeps its place and nothing of its words': async (store) => {
    await done(store, [{ op: 'message.add', message: sample.message(1) }]);
    await done(store, [{ op: 'message.scrub', key: sample.message(1) }]);
    assert.deepEqual((await store.read.message(sample.message(1)))?.body, { type: 'removed' });
    await done(store, [{ op: 'message.discard', key: sample.message(1) }]);
    assert.equal(await store.read.message(sample.message(1)), undefined);
  },

  'a timeline is read in pages, unordered own messages last, with what changes the shown ones': async (store) => {
    const edit = { ...sample.message(6), target: sample.messageId(2) };
    const rows = [1, 2, 3, 4, 5].map((n) => sample.message(n));
    const own = [sample.ownMessage(8), sample.ownMessage(7)];
    await done(
      store,
      [...own, ...rows.reverse(), edit].map((message) => ({ op: 'message.add', message })),
    );
    const ids = (...numbers: number[]) => numbers.map(sample.messageId);
    assert.deepEqual(await shown(store, { limit: 4 }), ids(4, 5, 7, 8));
    assert.deepEqual(await shown(store, { before: 4, limit: 2 }), ids(2, 3, 6));
    assert.deepEqual(await shown(store, { after: 2, limit: 2 }), ids(3, 4));
    assert.deepEqual(await shown(store, { after: 0, limit: 99 }), ids(1, 2, 3, 4, 5, 6));
    const more = async (query: Parameters<ClientStore['read']['timeline']>[1]) =>
      (await store.read.timeline(sample.CONVERSATION, query)).more;
    assert.equal(await more({ limit: 4 }), true);
    assert.equal(await more({ limit: 7 }), false);
    assert.equal(await more({ before: 3, limit: 2 }), false);
    assert.equal(await more({ after: 3, limit: 1 }), true);
  },

  'the outgoing queue keeps its order when an item changes': async (store) => {
    for (const n of [3, 1, 2]) await done(store, [{ op: 'outgoing.put', item: sample.outgoing(n) }]);
    const sealed = { ...sample.outgoing(3), attempts: 1, sealed: { epoch: 1, bytes: Uint8Array.of(9, 9) } };
    await done(store, [
      { op: 'outgoing.put', item: sealed },
      { op: 'outgoing.delete', id: sample.messageId(1) },
    ]);
    assert.deepEqual(await store.read.outgoing(), [sealed, sample.outgoing(2)]);
    const conflict = await store.transact([{ op: 'outgoing.delete', id: sample.messageId(3) }, advance(0, 1)]);
    assert.equal(conflict.ok, false);
    assert.deepEqual(await store.read.outgoing(), [sealed, sample.outgoing(2)]);
  },

  'small values are put, read and taken away': async (store) => {
    await done(store, [{ op: 'meta.put', key: 'org:bravo.example', value: Uint8Array.of(1, 2) }]);
    assert.deepEqual(await store.read.meta('org:bravo.example'), Uint8Array.of(1, 2));
    await done(store, [{ op: 'meta.delete', key: 'org:bravo.example' }]);
    assert.equal(await store.read.meta('org:bravo.example'), undefined);
  },

  'a closed store answers nothing': async (store) => {
    await store.close();
    const closed = (thrown: unknown) => thrown instanceof StoreError && thrown.fault === 'closed';
    await assert.rejects(async () => store.read.device(), closed);
    await assert.rejects(async () => store.transact([]), closed);
    await store.close();
  },
};

function advance(expectedSeq: number, seq: number): ClientWrite {
  return { op: 'cursor.advance', conversationId: sample.CONVERSATION, expectedSeq, seq, hash: sample.hash(seq) };
}
