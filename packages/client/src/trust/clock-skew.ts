import { type Instant, instant } from '@norc/protocol/base';

/** How far a clock of this device may be behind its issuers' before their fresh signatures are refused. */
const SKEW_MS = 3_600_000;

/**
 * The time to check a document at. What begins within the hour has begun: the issuer
 * has signed it, so it is this device's clock that is behind. The other way round there
 * is no tolerance, and no server can move the clock: what has ended has ended.
 */
export function checkingTime(now: Instant, ...begins: readonly number[]): Instant {
  const latest = Math.max(now, ...begins);
  return latest - now <= SKEW_MS ? instant(latest) : now;
}
