import { setTimeout as delay } from 'node:timers/promises';

/** Something that the demo expects did not come about. The message is a sentence for a person. */
export class DemoError extends Error {
  override readonly name = 'DemoError';
}

/** Throws DemoError unless `holds`. */
export function expect(holds: boolean, otherwise: string): asserts holds {
  if (!holds) throw new DemoError(otherwise);
}

const WAIT_MS_MAX = 10_000;
const POLL_MS = 20;

/** Asks again and again until there is an answer. Throws DemoError with `otherwise` when none comes in time. */
export async function until<T>(ask: () => Promise<T | undefined>, otherwise: string): Promise<T> {
  const end = performance.now() + WAIT_MS_MAX;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    expect(performance.now() < end, otherwise);
    await delay(POLL_MS);
  }
}
