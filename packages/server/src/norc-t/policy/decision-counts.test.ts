import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Domain, instant, parseDomain, TRUST_REASONS } from '@norc/protocol/base';
import type { TrustDecision, TrustQuestion } from '@norc/protocol/norc-t';
import { mustBe, TEST_EPOCH } from '@norc/testkit';
import { MemoryDisk, openMemoryStore } from '../../storage/memory.ts';
import { DAY_MS, DecisionCounts, dayOf, parseQuestion, REPLAY_DAYS } from './decision-counts.ts';

const domain = (name: string): Domain => mustBe(parseDomain(name));
const bravo = domain('bravo.example');
const question: TrustQuestion = {
  local: domain('alpha.example'),
  remote: bravo,
  direction: 'outgoing',
  permission: 'message_relay',
  label: 'secret',
};
const allow: TrustDecision = { kind: 'allow', level: 'classified', natoCapable: false };
const deny = (reason: keyof typeof TRUST_REASONS): TrustDecision => ({
  ...{ kind: 'deny', reason, code: TRUST_REASONS[reason].code },
});

function world(disk = new MemoryDisk()) {
  const clock = { now: () => instant(at.now) };
  const at = { now: TEST_EPOCH as number };
  const store = openMemoryStore(disk);
  const faults: unknown[] = [];
  const counts = new DecisionCounts({ store, clock, onFault: (error) => faults.push(error) });
  const count = (decision: TrustDecision, changes: Partial<TrustQuestion> = {}, times = 1) => {
    for (let n = 0; n < times; n += 1) counts.count({ ...question, ...changes }, decision, at.now);
  };
  return { at, disk, store, faults, counts, count };
}

test('[POLICY-32] decisions are counted by day, partner, question and outcome, and nothing else is kept', async () => {
  const { counts, count, store } = world();
  count(allow, {}, 3);
  count(deny('label'), {}, 2);
  count(allow, { direction: 'incoming', permission: 'archive_sync', label: 'top_secret' });
  const { label: _, ...unlabelled } = question;
  counts.count(unlabelled, deny('stale'), TEST_EPOCH);
  await counts.flush();
  count(allow);
  await counts.flush();
  const rows = await store.read.trustDecided(0);
  const day = dayOf(TEST_EPOCH);
  assert.deepEqual(
    rows.map((row) => ({ ...row })),
    [
      { day, peer: bravo, question: 'incoming archive_sync top_secret', outcome: 'allow', count: 1 },
      { day, peer: bravo, question: 'outgoing message_relay -', outcome: 'stale', count: 1 },
      { day, peer: bravo, question: 'outgoing message_relay secret', outcome: 'allow', count: 4 },
      { day, peer: bravo, question: 'outgoing message_relay secret', outcome: 'label', count: 2 },
    ],
  );
});

test('what is recorded reads back as the question that it was', () => {
  assert.deepEqual(parseQuestion('incoming presence -'), { direction: 'incoming', permission: 'presence' });
  assert.deepEqual(parseQuestion('outgoing message_relay secret'), {
    ...{ direction: 'outgoing', permission: 'message_relay', label: 'secret' },
  });
  for (const strange of ['', 'outgoing', 'sideways presence -', 'incoming flight -', 'incoming presence cosmic']) {
    assert.equal(parseQuestion(strange), undefined, strange);
  }
});

test('a day that turns keeps its own counts, and old days are forgotten', async () => {
  const { at, counts, count, store } = world();
  count(allow);
  at.now += DAY_MS;
  count(allow, {}, 2);
  await counts.flush();
  const day = dayOf(TEST_EPOCH);
  assert.deepEqual(
    (await store.read.trustDecided(0)).map((row) => [row.day - day, row.count]),
    [
      [0, 1],
      [1, 2],
    ],
  );
  at.now += (REPLAY_DAYS + 1) * DAY_MS;
  assert.deepEqual(await counts.recorded(), [], 'beyond what a replay looks at');
  at.now += 2 * DAY_MS;
  await counts.flush();
  assert.deepEqual(await store.read.trustDecided(0), []);
});

test('a failing disk loses no count', async () => {
  const { counts, count, store, disk } = world();
  count(allow, {}, 5);
  disk.failNext(1, 'disk_full');
  await assert.rejects(counts.flush());
  count(allow);
  await counts.flush();
  assert.deepEqual(
    (await store.read.trustDecided(0)).map((row) => row.count),
    [6],
  );
});

test('strangers whom a device asks about fill neither the memory nor the disk, nor hide partners', async () => {
  const { counts, count, store } = world();
  for (let n = 0; n < 2000; n += 1) count(deny('none_given'), { remote: domain(`stranger${n}.example`) });
  count(allow);
  await counts.flush();
  const rows = await store.read.trustDecided(0);
  assert.ok(rows.length <= 257, String(rows.length));
  assert.ok(rows.some(({ peer }) => peer === bravo));
  assert.ok(counts.uncounted > 1000);
});
