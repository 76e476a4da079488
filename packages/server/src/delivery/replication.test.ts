import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type ConversationId,
  type DeviceId,
  type Domain,
  instant,
  type MessageId,
  type UserAddress,
} from '@norc/protocol/base';
import type { TrustDecision } from '@norc/protocol/norc-t';
import type { EntryRow, Store, StoreWrite } from '../storage/port.ts';
import { departureWrite } from './departures.ts';
import type { LogCache } from './log-cache.ts';
import { RecentEntries } from './recent-entries.ts';
import { Replication } from './replication.ts';

const SELF = 'alpha.example' as Domain; // well formed
const PEER = 'bravo.example' as Domain; // well formed
const CONVERSATION = '00'.repeat(16) as ConversationId; // well formed

const entry = (seq: number): EntryRow => ({
  ...{ seq, kind: 'application', epoch: 1, body: Uint8Array.of(1), welcome: new Uint8Array(0) },
  messageId: seq.toString(16).padStart(32, '0') as MessageId, // well formed
  sender: '11'.repeat(16) as DeviceId, // well formed
  senderUser: 'ann@alpha.example' as UserAddress, // well formed
  label: 'unclassified' as EntryRow['label'], // only passed on
  welcomeHash: new Uint8Array(32),
  hash: new Uint8Array(32),
  storedAt: instant(1_800_000_000_000),
});

/** One log with entries 1 to `head`, one follower that holds up to `follower`, a store in a few fields. */
async function scene(
  { head, follower }: { readonly head: number; readonly follower: number },
  whileAsked?: (grow: () => void) => void,
) {
  const asked = Promise.withResolvers<void>();
  const recent = new RecentEntries();
  const organisations = new Set([SELF, PEER]);
  const state = { self: SELF, label: 'unclassified', floor: 'basic', organisations, members: new Map() };
  const log = { conversation: CONVERSATION, state, durableSeq: head, recent };
  for (let seq = 1; seq <= head; seq += 1) recent.append(entry(seq));
  const trust: { decision: TrustDecision } = {
    decision: { kind: 'allow', level: 'classified' } as unknown as TrustDecision, // what replication reads of it
  };
  const followers: { peer: Domain; seq: number }[] = [{ peer: PEER, seq: follower }];
  const meta = new Map<string, Uint8Array>();
  const store = {
    read: {
      outbox: async () => [],
      behind: async () => {
        await asked.promise;
        return head > follower ? [{ conversationId: CONVERSATION, seq: follower, headSeq: head }] : [];
      },
      followers: async () => followers,
      meta: async (key: string) => meta.get(key),
    },
    commit: async (writes: readonly StoreWrite[]) => {
      for (const write of writes) {
        if (write.op === 'meta.put') meta.set(write.key, write.value);
        if (write.op === 'follower.remove') followers.splice(0);
        if (write.op === 'follower.add') followers.push({ peer: write.peer, seq: write.seq });
      }
      return { ok: true };
    },
  } as unknown as Store; // all that replication asks of it
  const timers: (() => void)[] = [];
  const replication = new Replication(
    {
      ...{ self: SELF, store, wake: () => undefined, decide: () => trust.decision },
      random: { bytes: (length) => new Uint8Array(length) },
      after: (_, run) => timers.push(run),
    },
    { get: async () => log } as unknown as LogCache, // the one log
    () => undefined,
  );
  const grow = () => {
    log.durableSeq += 1;
    recent.append(entry(log.durableSeq));
    replication.appended(PEER, CONVERSATION);
  };
  const up = replication.linkUp(PEER);
  if (whileAsked !== undefined) whileAsked(grow);
  asked.resolve();
  await up;
  const next = async () => {
    const relay = await replication.next(PEER);
    return relay && { relay, seqs: relay.body.entries.map((one) => one.seq) };
  };
  return { replication, store, log, organisations, followers, timers, trust, next, grow };
}

test('one refusal does not stop a conversation: it goes on after a while, from what is confirmed', async () => {
  const { replication, next, grow, timers } = await scene({ head: 3, follower: 1 });
  const first = await next();
  assert.deepEqual(first?.seqs, [2, 3]);
  replication.refused(PEER, first.relay);
  grow();
  assert.equal(await next(), undefined);
  for (const run of timers.splice(0)) run();
  assert.deepEqual((await next())?.seqs, [2, 3, 4]);
});

test('answers to relays from before a rewind do not cancel it', async () => {
  const { replication, next, grow, timers } = await scene({ head: 3, follower: 0 });
  const first = await next();
  grow();
  const second = await next();
  assert.ok(first && second);
  await replication.acked(PEER, first.relay, 2);
  await replication.acked(PEER, second.relay, 2);
  replication.refused(PEER, second.relay);
  assert.equal(timers.length, 0);
  assert.deepEqual((await next())?.seqs, [3, 4]);
});

test('an answer without progress leads to another try after a while', async () => {
  const { replication, next, timers } = await scene({ head: 3, follower: 1 });
  const first = await next();
  assert.ok(first);
  await replication.acked(PEER, first.relay, 1);
  assert.equal(await next(), undefined);
  for (const run of timers.splice(0)) run();
  assert.deepEqual((await next())?.seqs, [2, 3]);
});

test('nothing goes while trust does not allow it', async () => {
  const { next, timers, trust } = await scene({ head: 3, follower: 1 });
  const allowed = trust.decision;
  trust.decision = { kind: 'deny', code: 'trust_stale', reason: 'test' } as unknown as TrustDecision; // what replication reads
  assert.equal(await next(), undefined);
  trust.decision = { ...allowed, level: 'untrusted' } as unknown as TrustDecision; // below the floor
  for (const run of timers.splice(0)) run();
  assert.equal(await next(), undefined);
  trust.decision = allowed;
  for (const run of timers.splice(0)) run();
  assert.deepEqual((await next())?.seqs, [2, 3]);
});

test('who was removed gets the log up to the commit that says so, and follows no longer', async () => {
  const { replication, store, next, organisations, followers } = await scene({ head: 5, follower: 1 });
  organisations.delete(PEER);
  await store.commit([departureWrite(CONVERSATION, PEER, 3)]);
  const last = await next();
  assert.deepEqual(last?.seqs, [2, 3]);
  assert.equal(await next(), undefined);
  assert.equal(followers.length, 1);
  await replication.acked(PEER, last.relay, 3);
  assert.equal(followers.length, 0);
});

test('who was here before is brought on from the log it still has; a newcomer does not get what is before it', async () => {
  const old = await scene({ head: 5, follower: 5 });
  await old.store.commit([departureWrite(CONVERSATION, PEER, 3)]);
  await old.replication.announced(PEER, CONVERSATION, 3);
  assert.deepEqual((await old.next())?.seqs, [4, 5]);
  const fresh = await scene({ head: 5, follower: 5 });
  await fresh.replication.announced(PEER, CONVERSATION, 0);
  assert.equal(await fresh.next(), undefined);
});

test('what is appended while the store is asked what is missing is not lost', async () => {
  const { next } = await scene({ head: 3, follower: 3 }, (grow) => grow());
  assert.deepEqual((await next())?.seqs, [4]);
});
