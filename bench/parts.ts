import { setTimeout as delay } from 'node:timers/promises';
import type { Parts } from './support/profile-parts.ts';
import type { Question, RunOptions } from './support/question.ts';
import type { Line } from './support/report.ts';
import { World } from './support/world.ts';

/*
 * Where does the time of a locally relayed message go? The question `relay` with 100
 * devices once more: first measured, then under a profiler, whose shares divide what
 * was measured. Sums to the CPU of all threads of the server.
 */

const DEVICES = 100;
const WINDOW = 32;
const WARM_UP_SECONDS = 3;

export const parts: Question = {
  name: 'parts',
  about: 'where the time of a locally relayed message goes, 100 devices',
  async *run(options: RunOptions): AsyncIterable<Line> {
    const world = await World.create('local', options.quick ? 4 : DEVICES, options);
    try {
      await world.connect(DEVICES);
      await world.load.ask('converse', undefined);
      await world.load.ask('start', { window: WINDOW });
      await delay(1000 * (options.quick ? 0.1 : WARM_UP_SECONDS));
      yield* await measured(world, options.seconds);
      await world.load.ask('drain', undefined);
    } finally {
      await world.close();
    }
  },
};

async function measured(world: World, seconds: number): Promise<readonly Line[]> {
  await world.load.ask('counts', undefined);
  const [before, threadsBefore] = [await world.usage(), await world.threads()];
  await delay(seconds * 1000);
  const [after, threadsAfter] = [await world.usage(), await world.threads()];
  const { delivered } = await world.load.ask('counts', undefined);
  const profile = await world.profile(seconds);
  const main = (after.mainMicros - before.mainMicros) / delivered;
  const all = (after.cpuMicros - before.cpuMicros) / delivered;
  const threads = mapParts(threadsAfter, (micros, part) => (micros - (threadsBefore[part] ?? 0)) / delivered);
  const sampled = Object.values(profile).reduce((sum, micros) => sum + micros, 0);
  const shares = mapParts(profile, (micros) => (main * micros) / sampled);
  return [...lines('main thread', shares), ...lines('other threads', threads), line('sum, all threads', all)];
}

function mapParts(from: Parts, map: (micros: number, part: string) => number): Parts {
  return Object.fromEntries(Object.entries(from).map(([part, micros]) => [part, map(micros, part)]));
}

function lines(where: string, from: Parts): readonly Line[] {
  const falling = Object.entries(from).sort(([, a], [, b]) => b - a);
  const sum = falling.reduce((total, [, micros]) => total + micros, 0);
  return [...falling.map(([part, micros]) => line(`  ${part}`, micros)), line(where, sum)];
}

function line(question: string, cpuMicros: number): Line {
  return { question, cpuMicros };
}
