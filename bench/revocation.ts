import { setTimeout as delay } from 'node:timers/promises';
import type { UserAddress } from '@norc/protocol/base';
import type { DeviceHandlers } from './devices.ts';
import { Child } from './support/child-process.ts';
import type { Question, RunOptions } from './support/question.ts';
import { type Line, round } from './support/report.ts';
import { World } from './support/world.ts';

/*
 * How long is an organisation still in after its trust was revoked? From the officer's
 * decision to each conversation's commit being on disk at the hub: frozen, proposed by the
 * hub, committed by a device, ordered. Real servers, and real devices that hold them all.
 */

const COUNTS = [10, 100, 1000];
const QUICK_COUNTS = [3];
const JOINED_MS_MAX = 600_000;
/** Two committers at the hub's organisation, who race for each conversation, and who has to go. */
const PEOPLE = [
  { name: 'ann', at: 0 },
  { name: 'amy', at: 0 },
  { name: 'bob', at: 1 },
] as const;

export const revocation: Question = {
  name: 'revocation',
  about: 'from a revocation to the commits that put the other organisation out',
  async *run(options: RunOptions): AsyncIterable<Line> {
    for (const count of options.quick ? QUICK_COUNTS : COUNTS) {
      const name = `revocation, ${count} shared conversations`;
      if (options.only === undefined || name.includes(options.only)) yield await measured(name, count, options);
    }
  },
};

async function measured(question: string, count: number, options: RunOptions): Promise<Line> {
  const world = await World.create('federated', 0, options);
  const devices = new Child<DeviceHandlers>(new URL('./devices.ts', import.meta.url), []);
  try {
    const users: UserAddress[] = [];
    for (const { name, at } of PEOPLE) {
      const code = await world.server(at).ask('invite', { name });
      users.push(await devices.ask('enrol', { name, code, folder: world.folder }));
    }
    await devices.ask('create', { name: 'ann', users: users.slice(1), count });
    for (const { name } of PEOPLE) await joined(devices, name, count);
    const [before, idle] = [await world.usage(), await devices.ask('usage', undefined)];
    const { frozenMs, removedMs } = await world.server(0).ask('revoke', { count });
    const [after, busy] = [await world.usage(), await devices.ask('usage', undefined)];
    const sorted = removedMs.toSorted((a, b) => a - b);
    const at = (share: number) => sorted[Math.ceil(share * sorted.length) - 1] ?? 0;
    return {
      question,
      perSecond: count / (at(1) / 1000),
      cpuMicros: (after.cpuMicros - before.cpuMicros) / count,
      otherMicros: (busy.cpuMicros - idle.cpuMicros) / count,
      ...{ p50Ms: at(0.5), p99Ms: at(0.99) },
      detail: { frozenMs: round(frozenMs), p95Ms: round(at(0.95)), maxMs: round(at(1)) },
    };
  } finally {
    await devices.end();
    await world.close();
  }
}

async function joined(devices: Child<DeviceHandlers>, name: string, count: number): Promise<void> {
  const end = performance.now() + JOINED_MS_MAX;
  while ((await devices.ask('open', { name })) < count) {
    if (performance.now() > end) throw new Error(`${name} is not in all conversations`);
    await delay(100);
  }
}
