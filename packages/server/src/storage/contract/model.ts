import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConversationId, DeviceId, Domain, UserAddress } from '@norc/protocol/base';
import fc from 'fast-check';
import type { CommitOutcome, Store, StoreWrite } from '../port.ts';
import {
  append,
  conversationRow,
  entryRow,
  freshDomain,
  freshId,
  freshUser,
  later,
  memberRow,
  type UseStore,
} from './support.ts';

/*
 * The log, its cursors and its followers against a model of a few lines: any sequence
 * of transactions, in any grouping, gives the same outcomes and the same state.
 */

const RUNS = 40;
const DEVICES = 3;
const PEERS = 2;

interface ModelMember {
  joinedSeq: number;
  cursor: number;
  leftSeq?: number;
}

interface Model {
  head: number;
  /** Entries at and below this one are dropped. */
  dropped: number;
  epoch: number;
  members: Map<DeviceId, ModelMember>;
  followers: Map<Domain, number>;
  delivered: Map<UserAddress, number>;
}

interface World {
  readonly conversationId: ConversationId;
  readonly devices: readonly DeviceId[];
  readonly peers: readonly Domain[];
  readonly user: UserAddress;
}

/** One write, and what it does to the model: false is a conflict. */
type Step = (world: World, model: Model) => readonly [StoreWrite, () => boolean];

const small = fc.nat({ max: 12 });

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: -1, max: 8 })).map(appendStep) },
  { weight: 2, arbitrary: fc.tuple(fc.nat(DEVICES - 1), fc.boolean(), fc.boolean()).map(commitStep) },
  { weight: 4, arbitrary: fc.tuple(fc.nat(DEVICES - 1), small).map(cursorStep) },
  { weight: 2, arbitrary: fc.tuple(fc.nat(PEERS - 1), small).map(followStep) },
  { weight: 4, arbitrary: fc.tuple(fc.nat(PEERS - 1), small).map(advanceStep) },
  { weight: 1, arbitrary: fc.nat(PEERS - 1).map(unfollowStep) },
  { weight: 1, arbitrary: small.map(deliveredStep) },
  { weight: 2, arbitrary: small.map(pruneStep) },
);

/** Groups of transactions that are on their way at the same time. */
const program = fc.array(fc.array(fc.array(step, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 4 }), {
  minLength: 1,
  maxLength: 12,
});

export function modelContract(use: UseStore): void {
  test('any program of appends, commits, cursors, followers and pruning agrees with the model', async () => {
    await fc.assert(
      fc.asyncProperty(program, async (groups) => {
        await runProgram(use().store, groups);
      }),
      { numRuns: RUNS },
    );
  });
}

async function runProgram(store: Store, groups: readonly (readonly (readonly Step[])[])[]): Promise<void> {
  const world: World = {
    conversationId: freshId<ConversationId>(),
    devices: Array.from({ length: DEVICES }, () => freshId<DeviceId>()),
    peers: Array.from({ length: PEERS }, freshDomain),
    user: freshUser(),
  };
  const conversation = conversationRow({ conversationId: world.conversationId });
  await store.commit([{ op: 'conversation.create', conversation, members: [] }]);
  let model: Model = {
    head: 0,
    dropped: 0,
    epoch: 0,
    members: new Map(),
    followers: new Map(),
    delivered: new Map(),
  };
  for (const group of groups) {
    const expected: CommitOutcome[] = [];
    const outcomes: Promise<CommitOutcome>[] = [];
    for (const transaction of group) {
      const [next, writes, outcome] = predict(world, model, transaction);
      model = next;
      expected.push(outcome);
      outcomes.push(store.commit(writes));
    }
    assert.deepEqual(await Promise.all(outcomes), expected);
    await compare(store, world, model);
  }
}

function predict(world: World, model: Model, steps: readonly Step[]): readonly [Model, StoreWrite[], CommitOutcome] {
  const draft = structuredClone(model);
  const writes: StoreWrite[] = [];
  let outcome: CommitOutcome = { ok: true };
  steps.forEach((one, index) => {
    const [write, apply] = one(world, draft);
    writes.push(write);
    if (outcome.ok && !apply()) outcome = { ok: false, conflict: write.op, index };
  });
  return [outcome.ok ? draft : model, writes, outcome];
}

async function compare(store: Store, world: World, model: Model): Promise<void> {
  const { read } = store;
  const { conversationId } = world;
  const conversation = await read.conversation(conversationId);
  assert.deepEqual([conversation?.headSeq, conversation?.epoch], [model.head, model.epoch]);
  const seqs = (await read.entries(conversationId, 0, 1000, 1_000_000)).map((entry) => entry.seq);
  assert.deepEqual(
    seqs,
    Array.from({ length: model.head - model.dropped }, (_, index) => model.dropped + index + 1),
  );
  for (const device of world.devices) {
    const member = model.members.get(device);
    const expected = member === undefined ? [] : [{ conversationId, headSeq: model.head, ...member }];
    assert.deepEqual(await read.memberships(device), expected);
  }
  const followers = new Map((await read.followers(conversationId)).map(({ peer, seq }) => [peer, seq]));
  assert.deepEqual(followers, model.followers);
  for (const peer of world.peers) {
    const seq = model.followers.get(peer) ?? model.head;
    const expected = seq < model.head ? [{ conversationId, seq, headSeq: model.head }] : [];
    assert.deepEqual(await read.behind(peer), expected);
  }
  const delivered = new Map((await read.delivered(conversationId)).map(({ user, seq }) => [user, seq]));
  assert.deepEqual(delivered, model.delivered);
}

/** `at` -1: at the head; otherwise that place, which is the head only by chance. */
function appendStep([count, at]: [number, number]): Step {
  return (world, model) => {
    const head = at < 0 ? model.head : at;
    const entries = Array.from({ length: count }, (_, index) => entryRow(head + index + 1));
    return [
      append(world.conversationId, head, ...entries),
      () => {
        if (head !== model.head) return false;
        model.head += count;
        return true;
      },
    ];
  };
}

/** A commit that adds a device, or removes it. */
function commitStep([index, adds, stale]: [number, boolean, boolean]): Step {
  return (world, model) => {
    const device = world.devices[index] as DeviceId; // index < DEVICES
    const seq = model.head + 1;
    const added = adds ? [memberRow({ deviceId: device, joinedSeq: seq })] : [];
    const removed = adds ? [] : [device];
    const expectedEpoch = stale ? model.epoch + 1 : model.epoch;
    const commit = { expectedEpoch, epoch: model.epoch + 1, view: new Uint8Array(9), added, removed };
    const write = { ...append(world.conversationId, model.head, entryRow(seq, { kind: 'commit' })), commit };
    return [
      write,
      () => {
        if (stale) return false;
        model.head = seq;
        model.epoch += 1;
        const member = model.members.get(device);
        if (adds) model.members.set(device, { joinedSeq: seq, cursor: Math.max(member?.cursor ?? 0, seq - 1) });
        else if (member !== undefined) member.leftSeq ??= seq;
        return true;
      },
    ];
  };
}

function cursorStep([index, seq]: [number, number]): Step {
  return (world, model) => {
    const deviceId = world.devices[index] as DeviceId; // index < DEVICES
    return [
      { op: 'cursor.advance', deviceId, conversationId: world.conversationId, seq },
      () => {
        const member = model.members.get(deviceId);
        if (member !== undefined) member.cursor = Math.max(member.cursor, Math.min(seq, model.head));
        return true;
      },
    ];
  };
}

function followStep([index, seq]: [number, number]): Step {
  return (world, model) => {
    const peer = world.peers[index] as Domain; // index < PEERS
    return [
      { op: 'follower.add', conversationId: world.conversationId, peer, seq },
      () => {
        if (!model.followers.has(peer)) model.followers.set(peer, Math.min(seq, model.head));
        return true;
      },
    ];
  };
}

function advanceStep([index, seq]: [number, number]): Step {
  return (world, model) => {
    const peer = world.peers[index] as Domain; // index < PEERS
    return [
      { op: 'follower.advance', conversationId: world.conversationId, peer, seq },
      () => {
        const held = model.followers.get(peer);
        if (held !== undefined) model.followers.set(peer, Math.max(held, Math.min(seq, model.head)));
        return true;
      },
    ];
  };
}

function unfollowStep(index: number): Step {
  return (world, model) => {
    const peer = world.peers[index] as Domain; // index < PEERS
    return [
      { op: 'follower.remove', conversationId: world.conversationId, peer },
      () => {
        model.followers.delete(peer);
        return true;
      },
    ];
  };
}

function deliveredStep(seq: number): Step {
  return ({ conversationId, user }, model) => [
    { op: 'delivered.advance', conversationId, user, seq },
    () => {
      model.delivered.set(user, Math.max(model.delivered.get(user) ?? 0, seq));
      return true;
    },
  ];
}

/** `entryRow` stores entry n at `later(n)`, so time and sequence are one here. */
function pruneStep(before: number): Step {
  return (world, model) => [
    { op: 'log.prune', conversationId: world.conversationId, before: later(before) },
    () => {
      const waits: number[] = [...model.followers.values()];
      for (const { cursor, leftSeq } of model.members.values()) {
        if (leftSeq === undefined || cursor < leftSeq) waits.push(cursor);
      }
      const passed = waits.length === 0 ? model.head : Math.min(...waits);
      model.dropped = Math.max(model.dropped, Math.min(Math.max(passed, before - 1), model.head - 1));
      for (const [device, { cursor, leftSeq }] of model.members) {
        if (leftSeq !== undefined && cursor >= leftSeq) model.members.delete(device);
      }
      return true;
    },
  ];
}
