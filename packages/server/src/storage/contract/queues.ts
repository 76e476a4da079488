import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Domain, MessageId } from '@norc/protocol/base';
import type { StoreWrite } from '../port.ts';
import {
  auditRow,
  committed,
  conflicted,
  freshDomain,
  freshId,
  later,
  outboxRow,
  plain,
  T0,
  type UseStore,
  viewOf,
} from './support.ts';

export function queueContract(use: UseStore): void {
  outboxContract(use);
  trustContract(use);
  trustRecordContract(use);
  auditContract(use);

  test('a named value is put, replaced and read', async () => {
    const { store } = use();
    const key = freshDomain();
    assert.equal(await store.read.meta(key), undefined);
    for (const value of [viewOf(10), viewOf(0), viewOf(100_000)]) {
      committed(await store.commit([{ op: 'meta.put', key, value }]));
      assert.deepEqual(plain(await store.read.meta(key)), plain(value));
    }
  });

  test('a value that has no stored form fails its own transaction only', async () => {
    const { store } = use();
    const key = freshDomain();
    const wrong = { op: 'user.add', user: { user: undefined, createdAt: T0 } } as unknown as StoreWrite; // on purpose
    const [good, bad, fine] = await Promise.allSettled([
      store.commit([{ op: 'meta.put', key: `${key}/1`, value: viewOf(1) }]),
      store.commit([{ op: 'meta.put', key: `${key}/2`, value: viewOf(1) }, wrong]),
      store.commit([{ op: 'meta.put', key: `${key}/3`, value: viewOf(1) }]),
    ]);
    assert.deepEqual([good.status, bad.status, fine.status], ['fulfilled', 'rejected', 'fulfilled']);
    assert.ok(bad.status === 'rejected' && bad.reason instanceof TypeError);
    assert.notEqual(await store.read.meta(`${key}/1`), undefined);
    assert.equal(await store.read.meta(`${key}/2`), undefined);
    assert.notEqual(await store.read.meta(`${key}/3`), undefined);
  });

  test('an empty transaction succeeds', async () => {
    committed(await use().store.commit([]));
  });
}

function outboxContract(use: UseStore): void {
  test('a peer’s queue keeps the order of arrival within a priority, control first', async () => {
    const { store } = use();
    const peer = freshDomain();
    const items = (['bulk', 'interactive', 'control', 'interactive', 'bulk', 'control'] as const).map((priority) =>
      outboxRow({ peer, priority }),
    );
    for (const item of items) committed(await store.commit([{ op: 'outbox.add', item }]));
    const expected = [2, 5, 1, 3, 0, 4].map((index) => items[index]);
    assert.deepEqual(plain(await store.read.outbox(peer, 100)), plain(expected));
    assert.deepEqual(plain(await store.read.outbox(peer, 3)), plain(expected.slice(0, 3)));
  });

  test('an item is found by its id, queued once, and gone when removed', async () => {
    const { store } = use();
    const item = outboxRow();
    committed(await store.commit([{ op: 'outbox.add', item }]));
    committed(await store.commit([{ op: 'outbox.add', item: { ...item, body: viewOf(3) } }]));
    assert.deepEqual(plain(await store.read.outbox(item.peer, 10)), plain([item]));
    assert.deepEqual(plain(await store.read.outboxItem(item.peer, item.id)), plain(item));
    assert.equal(await store.read.outboxItem(freshDomain(), item.id), undefined);
    const ids = [freshId<MessageId>(), item.id];
    committed(await store.commit([{ op: 'outbox.remove', peer: freshDomain(), ids }]));
    assert.equal((await store.read.outbox(item.peer, 10)).length, 1, 'another peer’s removal does not touch it');
    committed(await store.commit([{ op: 'outbox.remove', peer: item.peer, ids }]));
    assert.deepEqual(await store.read.outbox(item.peer, 10), []);
  });

  test('peers with something queued are listed, and survive a restart', async () => {
    const under = use();
    const [busy, idle] = [outboxRow(), outboxRow()];
    committed(
      await under.store.commit([
        { op: 'outbox.add', item: busy },
        { op: 'outbox.add', item: idle },
      ]),
    );
    committed(await under.store.commit([{ op: 'outbox.remove', peer: idle.peer, ids: [idle.id] }]));
    for (const restart of [false, true]) {
      const { read } = restart ? await under.reopen() : under.store;
      const peers = await read.outboxPeers();
      assert.ok(peers.includes(busy.peer) && !peers.includes(idle.peer));
      assert.deepEqual(plain(await read.outbox(busy.peer, 10)), plain([busy]));
    }
  });
}

function trustContract(use: UseStore): void {
  test('a trust exchange is put, moved on and read', async () => {
    const { store } = use();
    const exchange = {
      exchangeId: freshDomain(),
      peer: freshDomain(),
      role: 'responder',
      state: 'awaiting_approval',
      document: viewOf(600),
      updatedAt: T0,
    } as const;
    committed(await store.commit([{ op: 'trust.exchange.put', exchange }]));
    const moved = { ...exchange, state: 'decided', document: viewOf(700), updatedAt: later(1) };
    committed(await store.commit([{ op: 'trust.exchange.put', exchange: moved }]));
    assert.deepEqual(plain(await store.read.trustExchange(exchange.exchangeId)), plain(moved));
    const listed = (await store.read.trustExchanges()).filter((one) => one.exchangeId === exchange.exchangeId);
    assert.deepEqual(plain(listed), plain([moved]));
    assert.equal(await store.read.trustExchange('none'), undefined);
    const other = { ...exchange, exchangeId: freshDomain() };
    committed(await store.commit([{ op: 'trust.exchange.put', exchange: other }]));
    committed(await store.commit([{ op: 'trust.exchange.delete', exchangeId: exchange.exchangeId }]));
    assert.equal(await store.read.trustExchange(exchange.exchangeId), undefined);
    assert.deepEqual(plain(await store.read.trustExchange(other.exchangeId)), plain(other));
  });

  test('a trust certificate is put, replaced and listed', async () => {
    const { store } = use();
    const certificate = {
      certificateId: freshDomain(),
      issuer: freshDomain(),
      subject: freshDomain(),
      notAfter: later(9),
      document: viewOf(900),
    };
    const countersigned = { ...certificate, document: viewOf(1000) };
    committed(await store.commit([{ op: 'trust.certificate.put', certificate }]));
    committed(await store.commit([{ op: 'trust.certificate.put', certificate: countersigned }]));
    const listed = (await store.read.trustCertificates()).filter((one) => one.issuer === certificate.issuer);
    assert.deepEqual(plain(listed), plain([countersigned]));
    const { certificateId, issuer } = certificate;
    const another = { ...certificate, certificateId: freshDomain() };
    committed(await store.commit([{ op: 'trust.certificate.put', certificate: another }]));
    committed(await store.commit([{ op: 'trust.certificate.delete', issuer: freshDomain(), certificateId }]));
    const of = async () => (await store.read.trustCertificates()).filter((one) => one.issuer === issuer);
    assert.equal((await of()).length, 2);
    committed(await store.commit([{ op: 'trust.certificate.delete', issuer, certificateId }]));
    assert.deepEqual(plain(await of()), plain([another]));
  });

  test('an issuer’s revocations are numbered without a gap, from 1', async () => {
    const { store } = use();
    const issuer = freshDomain();
    const add = (sequence: number) => {
      const revocation = { issuer, subject: freshDomain(), sequence, document: viewOf(50) };
      return store.commit([{ op: 'trust.revocation.add', revocation }]);
    };
    conflicted(await add(2), 'trust.revocation.add', 0);
    committed(await add(1));
    conflicted(await add(1), 'trust.revocation.add', 0);
    committed(await add(2));
    conflicted(await add(4), 'trust.revocation.add', 0);
    const mine = (await store.read.trustRevocations()).filter((one) => one.issuer === issuer);
    assert.deepEqual(
      mine.map((one) => one.sequence),
      [1, 2],
    );
  });

  test('when a peer was last heard is what was said last', async () => {
    const { store } = use();
    const peer = freshDomain();
    assert.equal(await store.read.trustHeard(peer), undefined);
    for (const at of [later(5), later(3)]) {
      committed(await store.commit([{ op: 'trust.heard', peer, at }]));
      assert.equal(await store.read.trustHeard(peer), at);
    }
  });
}

function trustRecordContract(use: UseStore): void {
  test('a trust record is replaced by its key, listed by kind and partner, oldest first, and deleted', async () => {
    const { store } = use();
    const [peer, other] = [freshDomain(), freshDomain()];
    const put = (key: string, at: number, about?: Domain) =>
      store.commit([
        {
          op: 'trust.record.put',
          record: {
            kind: 'ack',
            key,
            at: later(at),
            document: viewOf(at),
            ...(about === undefined ? {} : { peer: about }),
          },
        },
      ]);
    committed(await put(`${peer} 2`, 5, peer));
    committed(await put(`${peer} 1`, 3, peer));
    committed(await put(`${peer} 3`, 1, other));
    committed(await put(`${peer} own`, 2));
    committed(await put(`${peer} 2`, 7, peer));
    const keys = async (about?: Domain) =>
      (await store.read.trustRecords('ack', about)).filter((one) => one.key.startsWith(peer)).map((one) => one.key);
    assert.deepEqual(await keys(), [`${peer} 3`, `${peer} own`, `${peer} 1`, `${peer} 2`]);
    assert.deepEqual(await keys(peer), [`${peer} 1`, `${peer} 2`]);
    assert.deepEqual(await store.read.trustRecords('fork', peer), []);
    const own = await store.read.trustRecord('ack', `${peer} own`);
    assert.ok(own !== undefined && !('peer' in own));
    assert.deepEqual((await store.read.trustRecord('ack', `${peer} 2`))?.at, later(7));
    committed(await store.commit([{ op: 'trust.record.delete', kind: 'ack', key: `${peer} 2` }]));
    assert.equal(await store.read.trustRecord('ack', `${peer} 2`), undefined);
    assert.deepEqual(await keys(peer), [`${peer} 1`]);
  });

  test('decisions are counted by day, partner, question and outcome, and old days can be forgotten', async () => {
    const { store } = use();
    const peer = freshDomain();
    const count = (day: number, outcome: string, by: number) =>
      store.commit([
        { op: 'trust.decided', decided: { day, peer, question: 'outgoing message_relay', outcome, count: by } },
      ]);
    committed(await count(20_001, 'allow', 3));
    committed(await count(20_001, 'allow', 4));
    committed(await count(20_001, 'label', 1));
    committed(await count(20_002, 'allow', 2));
    const counts = async (day: number) =>
      (await store.read.trustDecided(day))
        .filter((one) => one.peer === peer)
        .map((one) => [one.day, one.outcome, one.count]);
    assert.deepEqual(await counts(0), [
      [20_001, 'allow', 7],
      [20_001, 'label', 1],
      [20_002, 'allow', 2],
    ]);
    assert.deepEqual(await counts(20_002), [[20_002, 'allow', 2]]);
    committed(await store.commit([{ op: 'trust.decided.prune', day: 20_002 }]));
    assert.deepEqual(await counts(0), [[20_002, 'allow', 2]]);
  });
}

function auditContract(use: UseStore): void {
  test('the audit log is a chain: number and previous hash must fit', async () => {
    const under = use();
    const { store } = under;
    const head = (await store.read.auditHead()) ?? { sequence: 0, hash: new Uint8Array(32) };
    const first = auditRow(head.sequence + 1, head.hash);
    const second = auditRow(head.sequence + 2, first.hash);
    committed(await store.commit([{ op: 'audit.append', entry: first }]));
    for (const wrong of [auditRow(head.sequence + 1, head.hash), auditRow(head.sequence + 3, first.hash)]) {
      conflicted(await store.commit([{ op: 'audit.append', entry: wrong }]), 'audit.append', 0);
    }
    const forked = auditRow(head.sequence + 2, viewOf(32));
    conflicted(await store.commit([{ op: 'audit.append', entry: forked }]), 'audit.append', 0);
    const third = auditRow(head.sequence + 3, second.hash);
    committed(
      await store.commit([
        { op: 'audit.append', entry: second },
        { op: 'audit.append', entry: third },
      ]),
    );
    assert.deepEqual(plain(await store.read.auditEntries(head.sequence, 10)), plain([first, second, third]));
    assert.deepEqual(plain(await store.read.auditEntries(head.sequence + 1, 1)), plain([second]));
    const reopened = await under.reopen();
    assert.deepEqual(plain(await reopened.read.auditHead()), plain({ sequence: third.sequence, hash: third.hash }));
  });

  test('an event whose audit entry does not fit did not happen', async () => {
    const { store } = use();
    const head = (await store.read.auditHead()) ?? { sequence: 0, hash: new Uint8Array(32) };
    const key = freshDomain();
    const entry = auditRow(head.sequence + 9, head.hash);
    const outcome = await store.commit([
      { op: 'meta.put', key, value: viewOf(1) },
      { op: 'audit.append', entry },
    ]);
    conflicted(outcome, 'audit.append', 1);
    assert.equal(await store.read.meta(key), undefined);
  });
}
