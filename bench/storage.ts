import { randomBytes, randomFillSync } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
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

/*
 * What does a durable log append cost? Every append is its own transaction, on disk
 * before it counts. Prints a table, and each line also as JSON.
 *
 *   node bench/storage.ts [name part ...]
 */

const BODY_BYTES = 1024;
const SECONDS = Number(process.env['BENCH_SECONDS'] ?? 5);
const USER = 'alice@alpha.example' as UserAddress; // well formed
const PEER = 'bravo.example' as Domain; // well formed

interface Line {
  readonly question: string;
  readonly perSecond: number;
  /** CPU of the event loop's thread, and of the whole process, per operation. */
  readonly mainMicros: number;
  readonly allMicros: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly stallMsMax: number;
}

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

async function timed(bench: Bench, index: number, operation: Operation, latencies: number[]): Promise<void> {
  const start = performance.now();
  await operation(bench, index);
  latencies.push(performance.now() - start);
}

/** `inFlight` callers, each waiting for its last operation before the next. */
async function saturate(bench: Bench, plan: Plan, latencies: number[]): Promise<void> {
  const end = performance.now() + SECONDS * 1000;
  const caller = async (): Promise<void> => {
    while (performance.now() < end) await timed(bench, pick(bench), plan.operation, latencies);
  };
  await Promise.all(Array.from({ length: plan.inFlight }, caller));
}

/** `perSecond` operations, whether or not the earlier ones are done. */
async function pace(bench: Bench, plan: Plan, perSecond: number, latencies: number[]): Promise<void> {
  const began = performance.now();
  const pending: Promise<void>[] = [];
  while (pending.length < perSecond * SECONDS) {
    const due = Math.min(perSecond * SECONDS, ((performance.now() - began) * perSecond) / 1000);
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

async function measure(bench: Bench, plan: Plan): Promise<Line> {
  const latencies: number[] = [];
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const began = performance.now();
  const cpu = process.cpuUsage();
  const thread = process.threadCpuUsage();
  if (plan.perSecond === undefined) await saturate(bench, plan, latencies);
  else await pace(bench, plan, plan.perSecond, latencies);
  const seconds = (performance.now() - began) / 1000;
  const all = process.cpuUsage(cpu);
  const main = process.threadCpuUsage(thread);
  delay.disable();
  const sorted = Float64Array.from(latencies).sort();
  const count = sorted.length;
  return {
    question: plan.name,
    perSecond: Math.round(count / seconds),
    mainMicros: round((main.user + main.system) / count),
    allMicros: round((all.user + all.system) / count),
    p50Ms: round(sorted[Math.floor(count / 2)] ?? 0),
    p99Ms: round(sorted[Math.floor(count * 0.99)] ?? 0),
    stallMsMax: round(delay.max / 1e6),
  };
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

interface Plan {
  readonly name: string;
  readonly conversations: number;
  readonly inFlight: number;
  readonly operation: Operation;
  readonly followed?: boolean;
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
  { name: 'append at 5,000 a second', conversations: 1000, inFlight: 0, operation: append, perSecond: 5000 },
  { name: 'read one entry, one at a time', conversations: 1000, inFlight: 1, operation: readOne },
  { name: 'read one entry, 256 in flight', conversations: 1000, inFlight: 256, operation: readOne },
];

async function runPlan(plan: Plan): Promise<Line> {
  const folder = mkdtempSync(join(tmpdir(), 'norc-bench-'));
  try {
    const bench = await prepare(join(folder, 'store.db'), plan.conversations, plan.followed ?? false);
    if (plan.operation === readOne) await Promise.all(bench.conversations.map((_, index) => append(bench, index)));
    const line = await measure(bench, plan);
    await bench.store.close();
    return line;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const COLUMNS: readonly (readonly [string, keyof Line])[] = [
  ['per second', 'perSecond'],
  ['main us', 'mainMicros'],
  ['all us', 'allMicros'],
  ['p50 ms', 'p50Ms'],
  ['p99 ms', 'p99Ms'],
  ['stall ms', 'stallMsMax'],
];

const machine = { node: process.version, cpu: cpus()[0]?.model ?? 'unknown', cores: cpus().length };
console.log(`${'durable store, 1 KB entries'.padEnd(50)}${COLUMNS.map(([title]) => title.padStart(12)).join('')}`);
const wanted = process.argv.slice(2);
const lines: Line[] = [];
for (const plan of PLANS) {
  if (wanted.length > 0 && !wanted.some((part) => plan.name.includes(part))) continue;
  const line = await runPlan(plan);
  lines.push(line);
  console.log(line.question.padEnd(50) + COLUMNS.map(([, key]) => String(line[key]).padStart(12)).join(''));
}
for (const line of lines)
  console.log(JSON.stringify({ bench: 'storage', date: new Date().toISOString(), ...machine, ...line }));
