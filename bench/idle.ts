import type { Question, RunOptions } from './support/question.ts';
import { type Line, round } from './support/report.ts';
import { World } from './support/world.ts';

/*
 * What does a device cost that is merely there? Memory of the server for each session
 * (TLS, channel, proven device), and the CPU that it took to let it in.
 */

const SESSIONS = 5_000;
const QUICK_SESSIONS = 8;

export const idle: Question = {
  name: 'idle',
  about: 'memory of an idle session at 5,000 (TLS), and the CPU cost of connecting it',
  async *run(options: RunOptions): AsyncIterable<Line> {
    yield* sessions(options.quick ? QUICK_SESSIONS : SESSIONS, options);
  },
};

async function* sessions(count: number, options: RunOptions): AsyncIterable<Line> {
  const world = await World.create('local', count, options);
  try {
    await world.connect(count >> 3); // code is compiled and buffers are there before anything is counted
    const [before, load] = [await world.usage(true), await world.load.ask('counts', undefined)];
    const start = performance.now();
    await world.connect(count);
    const seconds = (performance.now() - start) / 1000;
    const [after, loaded] = [await world.usage(true), await world.load.ask('counts', undefined)];
    const made = after.sessions - before.sessions;
    const per = (key: 'residentBytes' | 'heapBytes' | 'externalBytes') => (after[key] - before[key]) / made / 1024;
    yield {
      question: `connect a device: TLS, hello, proof (${count})`,
      perSecond: made / seconds,
      cpuMicros: (after.cpuMicros - before.cpuMicros) / made,
      otherMicros: (loaded.cpuMicros - load.cpuMicros) / made,
    };
    yield {
      question: `idle session, ${count} of them, TLS`,
      kilobytes: per('residentBytes'),
      detail: { heapKilobytes: round(per('heapBytes')), externalKilobytes: round(per('externalBytes')) },
    };
  } finally {
    await world.close();
  }
}
