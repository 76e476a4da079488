import { randomBytes, randomFillSync } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as delayMs } from 'node:timers/promises';
import {
  type ConversationId,
  type DeviceId,
  type Domain,
  instant,
  type MessageId,
  type UserAddress,
} from '../packages/protocol/src/base/index.ts';
import type { EntryRow, Store, StoreWrite } from '../packages/server/src/storage/port.ts';
import { openSqliteStore } from '../packages/server/src/storage/sqlite/store.ts';
import type { Question, RunOptions } from './support/question.ts';
import { type Line, round } from './support/report.ts';

/*
 * What does a durable log append cost? Every append is its own transaction, on disk
 * before it counts.
 */

const BODY_BYTES = 1024;
const USER = 'alice@alpha.example' as UserAddress; // well formed
const PEER = 'bravo.example' as Domain; // well formed

interface Bench {
  readonly store: Store;
  readonly conversations: readonly ConversationId[];
  readonly device: DeviceId;
  readonly heads: Int32Array;
}

const body = randomBytes(BODY_BYTES);
const hash = randomBytes(32);
const idBytes = Buffer.alloc(16);

function freshId<T extends string>(): T {
  randomFillSync(idBytes);
  return idBytes.toString('hex') as T; // 16 bytes
}

function entry(device: DeviceId, seq: number): EntryRow {
  return {
    seq,
    kind: 'application',
    messageId: freshId<MessageId>(),
    sender: device,
    senderUser: USER,
    epoch: 1,
    label: 'unclassified',
    body,
    welcome: new Uint8Array(),
    welcomeHash: new Uint8Array(),
    hash,
    storedAt: instant(1_800_000_000_000 + seq),
  };
}

export const storage: Question = {
  name: 'storage',
  about: 'durable appends and reads of the store alone, 1 KB entries',
  async *run({ seconds, quick, only }: RunOptions): AsyncIterable<Line> {
    const plans = quick ? PLANS.slice(0, 2) : PLANS;
    for (const plan of plans) if (only === undefined || plan.name.includes(only)) yield await runPlan(plan, seconds);
  },
};

async function prepare(file: string, count: number, followed: boolean): Promise<Bench> {
  const store = await openSqliteStore({
    file,
    onFault: (fault) => {
      throw fault;
    },
  });
  const device = freshId<DeviceId>();
  const conversations = Array.from({ length: count }, () => freshId<ConversationId>());
  const pending: Promise<unknown>[] = [];
  for (const conversationId of conversations) {
    const writes: StoreWrite[] = [
      {
        op: 'conversation.create',
        conversation: {
          conversationId,
          hub: 'alpha.example' as Domain, // well formed
          label: 'unclassified',
          floor: 'basic',
          createdAt: instant(0),
          frozen: false,
          epoch: 1,
          epochSeq: 0,
          headSeq: 0,
          headHash: hash,
          view: new Uint8Array(512),
        },
        members: [{ deviceId: device, user: USER, leafIndex: 0, joinedSeq: 1, local: true }],
      },
    ];
    if (followed) writes.push({ op: 'follower.add', conversationId, peer: PEER, seq: 0 });
    pending.push(store.commit(writes));
    if (pending.length === 4096) await Promise.all(pending.splice(0));
  }
  await Promise.all(pending);
  return { store, conversations, device, heads: new Int32Array(count) };
}

type Operation = (bench: Bench, index: number) => Promise<unknown>;

async function append(bench: Bench, index: number, more: readonly StoreWrite[] = []): Promise<void> {
  const conversationId = bench.conversations[index] as ConversationId; // index < count
  const head = bench.heads[index] ?? 0;
  bench.heads[index] = head + 1;
  const outcome = await bench.store.commit([
    { op: 'log.append', conversationId, expectedHeadSeq: head, entries: [entry(bench.device, head + 1)] },
    ...more,
  ]);
  if (!outcome.ok) throw new Error('an append met a conflict');
}

/** One message of a local relay: the append, then two devices and a user acknowledge it. */
async function relay(bench: Bench, index: number): Promise<void> {
  await append(bench, index);
  const conversationId = bench.conversations[index] as ConversationId; // index < count
  const seq = bench.heads[index] ?? 0;
  await bench.store.commit([
    { op: 'cursor.advance', conversationId, deviceId: bench.device, seq },
    { op: 'delivered.advance', conversationId, user: USER, seq },
  ]);
}

async function followed(bench: Bench, index: number): Promise<void> {
  await append(bench, index);
  const conversationId = bench.conversations[index] as ConversationId; // index < count
  await bench.store.commit([{ op: 'follower.advance', conversationId, peer: PEER, seq: bench.heads[index] ?? 0 }]);
}

async function readOne(bench: Bench, index: number): Promise<void> {
  const conversationId = bench.conversations[index] as ConversationId; // index < count
  await bench.store.read.entries(conversationId, Math.max(0, (bench.heads[index] ?? 0) - 1), 1, 65536);
}

async function drain(bench: Bench, index: number): Promise<void> {
  const conversationId = bench.conversations[index] as ConversationId; // index < count
  const entries = await bench.store.read.entries(conversationId, 0, 64, 1 << 20);
  if (entries.length !== 64) throw new Error('64 entries are stored');
}

async function timed(bench: Bench, index: number, operation: Operation, latencies: number[]): Promise<void> {
  const start = performance.now();
  await operation(bench, index);
  latencies.push(performance.now() - start);
}

/** `inFlight` callers, each waiting for its last operation before the next. */
async function saturate(bench: Bench, plan: Plan, seconds: number, latencies: number[]): Promise<void> {
  const end = performance.now() + seconds * 1000;
  const caller = async (): Promise<void> => {
    while (performance.now() < end) await timed(bench, pick(bench), plan.operation, latencies);
  };
  await Promise.all(Array.from({ length: plan.inFlight }, caller));
}

/** `perSecond` operations, whether or not the earlier ones are done. */
async function pace(
  bench: Bench,
  plan: Plan,
  messages: { readonly perSecond: number; readonly count: number },
  latencies: number[],
): Promise<void> {
  const { perSecond, count } = messages;
  const began = performance.now();
  const pending: Promise<void>[] = [];
  while (pending.length < count) {
    const due = Math.min(count, ((performance.now() - began) * perSecond) / 1000);
    while (pending.length < due) pending.push(timed(bench, pick(bench), plan.operation, latencies));
    await delayMs(1);
  }
  await Promise.all(pending);
}

let random = 12345;

function pick(bench: Bench): number {
  random = (Math.imul(random, 1664525) + 1013904223) >>> 0;
  return Math.floor((random / 2 ** 32) * bench.conversations.length);
}

async function measure(bench: Bench, plan: Plan, duration: number): Promise<Line> {
  const latencies: number[] = [];
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const began = performance.now();
  const cpu = process.cpuUsage();
  const thread = process.threadCpuUsage();
  const { perSecond } = plan;
  if (perSecond === undefined) await saturate(bench, plan, duration, latencies);
  else await pace(bench, plan, { perSecond, count: perSecond * duration }, latencies);
  const seconds = (performance.now() - began) / 1000;
  const all = process.cpuUsage(cpu);
  const main = process.threadCpuUsage(thread);
  delay.disable();
  const sorted = Float64Array.from(latencies).sort();
  const count = sorted.length;
  return {
    question: plan.name,
    perSecond: count / seconds,
    cpuMicros: (all.user + all.system) / count,
    p50Ms: sorted[Math.floor(count / 2)] ?? 0,
    p99Ms: sorted[Math.floor(count * 0.99)] ?? 0,
    detail: {
      /** Of the event loop's thread alone, and the longest that it stood still. */
      mainThreadMicros: round((main.user + main.system) / count),
      stallMs: round(delay.max / 1e6),
    },
  };
}

interface Plan {
  readonly name: string;
  readonly conversations: number;
  readonly inFlight: number;
  readonly operation: Operation;
  readonly followed?: boolean;
  /** Entries that each conversation has before the clock starts. */
  readonly stored?: number;
  /** Offered load; without it, as fast as `inFlight` callers can. */
  readonly perSecond?: number;
}

const PLANS: readonly Plan[] = [
  { name: 'append, one at a time', conversations: 1000, inFlight: 1, operation: append },
  { name: 'append, 256 in flight, 1 conversation', conversations: 1, inFlight: 256, operation: append },
  { name: 'append, 256 in flight, 1,000 conversations', conversations: 1000, inFlight: 256, operation: append },
  { name: 'append, 1,024 in flight, 1,000 conversations', conversations: 1000, inFlight: 1024, operation: append },
  { name: 'append, 256 in flight, 100,000 conversations', conversations: 100_000, inFlight: 256, operation: append },
  { name: 'append, 1,024 in flight, 100,000 conversations', conversations: 100_000, inFlight: 1024, operation: append },
  { name: 'append + cursor + delivered, 256 in flight', conversations: 100, inFlight: 256, operation: relay },
  { name: 'append + follower, 256 in flight', conversations: 100, inFlight: 256, operation: followed, followed: true },
  { name: 'append at 1,000 a second', conversations: 1000, inFlight: 0, operation: append, perSecond: 1000 },
  { name: 'append at 15,000 a second', conversations: 1000, inFlight: 0, operation: append, perSecond: 15000 },
  { name: 'append at 5,000 a second', conversations: 1000, inFlight: 0, operation: append, perSecond: 5000 },
  { name: 'read one entry, one at a time', conversations: 1000, inFlight: 1, operation: readOne, stored: 1 },
  { name: 'read one entry, 256 in flight', conversations: 1000, inFlight: 256, operation: readOne, stored: 1 },
  { name: 'read 64 entries, 16 in flight', conversations: 300, inFlight: 16, operation: drain, stored: 64 },
];

async function runPlan(plan: Plan, seconds: number): Promise<Line> {
  const folder = mkdtempSync(join(tmpdir(), 'norc-bench-'));
  try {
    const bench = await prepare(join(folder, 'store.db'), plan.conversations, plan.followed ?? false);
    const stored = plan.stored ?? 0;
    for (let i = 0; i < stored; i += 1) await Promise.all(bench.conversations.map((_, index) => append(bench, index)));
    const line = await measure(bench, plan, seconds);
    await bench.store.close();
    return line;
  } finally {
    rmSync(folder, { recursive: true });
  }
}
