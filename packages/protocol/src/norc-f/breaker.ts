import { type Instant, LIMITS, nextRetry, type Random } from '../base/index.ts';

/**
 * The circuit breaker of the link to one peer (spec/norc-f section 6). While it is
 * open, requests that cannot wait fail at once with `no_route`; what is durable
 * waits in the outbox either way. The fields are also what users and operators are
 * told: since when, how often tried, when next.
 */
export type Breaker = Closed | Waiting | Probing;

/** The link works, or was never tried. */
export interface Closed {
  readonly state: 'closed';
}

/** The last attempt failed; the next one is due at `retryAt`. */
export interface Waiting {
  readonly state: 'waiting';
  readonly failures: number;
  readonly since: Instant;
  readonly retryAt: Instant;
}

/** One attempt is under way; no second one starts beside it. */
export interface Probing {
  readonly state: 'probing';
  readonly failures: number;
  readonly since: Instant;
}

export const CLOSED: Closed = { state: 'closed' };

/** Whether an attempt to reach the peer may start now. */
export function mayAttempt(breaker: Breaker, now: Instant): boolean {
  return breaker.state === 'closed' || (breaker.state === 'waiting' && now >= breaker.retryAt);
}

/** Whether requests to the peer fail at once instead of waiting for the next attempt. */
export function failsFast(breaker: Breaker): boolean {
  return breaker.state !== 'closed' && breaker.failures >= LIMITS.breakerFailuresMax;
}

/** An attempt starts. Throws RangeError when none may. */
export function attemptStarted(breaker: Breaker, now: Instant): Probing {
  if (!mayAttempt(breaker, now)) throw new RangeError('no attempt is due');
  if (breaker.state === 'closed') return { state: 'probing', failures: 0, since: now };
  return { state: 'probing', failures: breaker.failures, since: breaker.since };
}

/** The attempt, or a link that worked, failed. */
export function attemptFailed(breaker: Breaker, now: Instant, random: Random): Waiting {
  const failures = breaker.state === 'closed' ? 0 : breaker.failures;
  const since = breaker.state === 'closed' ? now : breaker.since;
  return { state: 'waiting', failures: failures + 1, since, retryAt: nextRetry(now, failures, random) };
}

export function attemptSucceeded(): Closed {
  return CLOSED;
}

/**
 * The peer reached us, so it is back: the next attempt is due now. Recovery then
 * takes one round trip, however long the wait had grown.
 */
export function peerHeard(breaker: Breaker, now: Instant): Breaker {
  if (breaker.state !== 'waiting' || breaker.retryAt <= now) return breaker;
  return { ...breaker, retryAt: now };
}
