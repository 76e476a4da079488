import { type Instant, instant } from './ids.ts';
import type { Random } from './ports.ts';
import { LIMITS } from './registry.generated.ts';

/** A wait is at least this part of its ceiling: two attempts are never back to back. */
const FLOOR_DIVISOR = 10;

/** A uniform number from 0 (included) to 1 (excluded), of 32 bits. */
export function randomFraction(random: Random): number {
  let bits = 0;
  for (const byte of random.bytes(4)) bits = bits * 256 + byte;
  return bits / 0x1_0000_0000;
}

/**
 * How long to wait before retry number `attempt` (the first is 0), in milliseconds.
 * The ceiling doubles from 250 ms to 30 s; the wait is uniform from a tenth of the
 * ceiling up to it, so that many peers of a server that comes back do not return in step.
 */
export function retryDelayMilliseconds(attempt: number, random: Random): number {
  const ceiling = retryCeilingMilliseconds(attempt);
  const floor = Math.floor(ceiling / FLOOR_DIVISOR);
  return floor + Math.floor(randomFraction(random) * (ceiling - floor + 1));
}

/** When to make retry number `attempt` (the first is 0). */
export function nextRetry(now: Instant, attempt: number, random: Random): Instant {
  return instant(now + retryDelayMilliseconds(attempt, random));
}

function retryCeilingMilliseconds(attempt: number): number {
  if (!Number.isSafeInteger(attempt) || attempt < 0) throw new RangeError('attempt is not a count');
  // An exponent of 31 is past any limit, and keeps the power finite.
  return Math.min(LIMITS.retryDelayMillisecondsMax, LIMITS.retryDelayMillisecondsMin * 2 ** Math.min(attempt, 31));
}
