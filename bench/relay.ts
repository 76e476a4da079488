import { setTimeout as delay } from 'node:timers/promises';
import type { Question, RunOptions } from './support/question.ts';
import { type Line, round } from './support/report.ts';
import { World, type WorldKind } from './support/world.ts';

/*
 * What does a message cost a server? 1 KB of content, both devices of every pair send,
 * TLS, on disk before it is acknowledged. Commits that renew the groups' keys are in it.
 */

const WINDOW = 32;
const WARM_UP_SECONDS = 3;
const PACED_WINDOW_MAX = 64;
const MEASURES = 3;

interface Plan {
  readonly kind: WorldKind;
  readonly devices: number;
  /** Offered load; without it, as fast as the windows allow. */
  readonly perSecond?: number;
}

const PLANS: readonly Plan[] = (['local', 'federated'] as const).flatMap((kind) => [
  { kind, devices: 10 },
  { kind, devices: 100 },
  { kind, devices: 1000 },
  { kind, devices: 100, perSecond: 1000 },
]);
/** Has the local relay in it: every message comes from a device and goes to one. */
const QUICK: readonly Plan[] = [{ kind: 'federated', devices: 4 }];

export const relay: Question = {
  name: 'relay',
  about: 'messages relayed durably, local and federated',
  async *run(options: RunOptions): AsyncIterable<Line> {
    for (const plan of options.quick ? QUICK : PLANS) {
      if (options.only === undefined || nameOf(plan).includes(options.only)) yield await measured(plan, options);
    }
  },
};

function nameOf({ kind, devices, perSecond }: Plan): string {
  const load = perSecond === undefined ? `window ${WINDOW}` : `${perSecond} a second`;
  return `${kind} relay, ${devices} devices, ${load}`;
}

async function measured(plan: Plan, options: RunOptions): Promise<Line> {
  const world = await World.create(plan.kind, plan.devices, options);
  try {
    await world.connect(plan.devices);
    const { bodyBytes } = await world.load.ask('converse', undefined);
    if (plan.perSecond === undefined) await world.load.ask('start', { window: WINDOW });
    else await world.load.ask('pace', { perSecond: plan.perSecond, window: PACED_WINDOW_MAX });
    await delay(1000 * (options.quick ? 0.1 : WARM_UP_SECONDS));
    const samples: Sample[] = [];
    for (let i = 0; i < (options.quick ? 1 : MEASURES); i += 1) samples.push(await sample(world, options.seconds));
    await world.load.ask('drain', undefined);
    return { question: nameOf(plan), ...summary(samples), detail: { ...details(samples), bodyBytes } };
  } finally {
    await world.close();
  }
}

interface Sample {
  readonly perSecond: number;
  readonly cpuMicros: number;
  readonly mainMicros: number;
  readonly otherMicros: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly ackP50Ms: number;
  readonly ackP99Ms: number;
  readonly messages: number;
  readonly commits: number;
}

async function sample(world: World, seconds: number): Promise<Sample> {
  const [before, began] = [await world.usage(), await world.load.ask('counts', undefined)];
  const start = performance.now();
  await delay(seconds * 1000);
  const [after, counts] = [await world.usage(), await world.load.ask('counts', undefined)];
  const elapsed = (performance.now() - start) / 1000;
  const { delivered, commits, delivery, acknowledgement } = counts;
  if (delivered === 0) throw new Error('nothing was delivered');
  return {
    perSecond: delivered / elapsed,
    cpuMicros: (after.cpuMicros - before.cpuMicros) / delivered,
    mainMicros: (after.mainMicros - before.mainMicros) / delivered,
    otherMicros: (counts.cpuMicros - began.cpuMicros) / delivered,
    ...{ p50Ms: delivery.p50Ms, p99Ms: delivery.p99Ms },
    ...{ ackP50Ms: acknowledgement.p50Ms, ackP99Ms: acknowledgement.p99Ms },
    ...{ messages: delivered, commits },
  };
}

function median(samples: readonly Sample[], key: keyof Sample): number {
  return samples.map((one) => one[key]).sort((a, b) => a - b)[samples.length >> 1] ?? 0;
}

function summary(samples: readonly Sample[]): Omit<Line, 'question'> {
  return {
    perSecond: median(samples, 'perSecond'),
    cpuMicros: median(samples, 'cpuMicros'),
    otherMicros: median(samples, 'otherMicros'),
    ...{ p50Ms: median(samples, 'p50Ms'), p99Ms: median(samples, 'p99Ms') },
    ...{ ackP50Ms: median(samples, 'ackP50Ms'), ackP99Ms: median(samples, 'ackP99Ms') },
  };
}

function details(samples: readonly Sample[]): Record<string, number> {
  return {
    mainThreadMicros: round(median(samples, 'mainMicros')),
    messages: samples.reduce((sum, one) => sum + one.messages, 0),
    commits: samples.reduce((sum, one) => sum + one.commits, 0),
  };
}
