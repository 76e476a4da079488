import { type Instant, instant } from './ids.ts';

/** At most `burst` at once, and `count` more in every `perMilliseconds`. All three are positive integers. */
export interface RatePolicy {
  readonly count: number;
  readonly perMilliseconds: number;
  readonly burst: number;
}

/**
 * State of one rate limit. Exact, in integers: one token is `perMilliseconds`
 * units, and `count` units flow in every millisecond.
 */
export interface TokenBucket {
  readonly units: number;
  readonly at: Instant;
}

export type TokenOutcome =
  | { readonly allowed: true; readonly bucket: TokenBucket }
  /** Nothing was taken. After this wait the same request is allowed, if no other comes before. */
  | { readonly allowed: false; readonly bucket: TokenBucket; readonly retryAfterMilliseconds: number };

export function fullBucket(policy: RatePolicy, now: Instant): TokenBucket {
  return { units: capacityOf(policy), at: now };
}

/**
 * Takes `cost` tokens, or says when they will be there. Throws RangeError for a
 * cost that no wait could satisfy: the caller bounds sizes before rates.
 */
export function takeTokens(policy: RatePolicy, bucket: TokenBucket, now: Instant, cost = 1): TokenOutcome {
  if (!Number.isSafeInteger(cost) || cost < 0 || cost > policy.burst) throw new RangeError('cost is over the burst');
  const filled = refill(policy, bucket, now);
  const price = cost * policy.perMilliseconds;
  if (price <= filled.units) return { allowed: true, bucket: { units: filled.units - price, at: filled.at } };
  return {
    allowed: false,
    bucket: filled,
    // Counted from `now`: after the clock was set back, the bucket refills only once it is past `at` again.
    retryAfterMilliseconds: Math.ceil((price - filled.units) / policy.count) + (filled.at - now),
  };
}

/** Whether the bucket says nothing that a new one would not: its state can be forgotten. */
export function isFull(policy: RatePolicy, bucket: TokenBucket, now: Instant): boolean {
  return refill(policy, bucket, now).units === capacityOf(policy);
}

/** A clock that was set back gives nothing and takes nothing: time counts from where it was. */
function refill(policy: RatePolicy, bucket: TokenBucket, now: Instant): TokenBucket {
  const capacity = capacityOf(policy);
  const elapsed = Math.max(0, now - bucket.at);
  // Never multiplies more time than it takes to fill: the product stays a safe integer.
  const useful = Math.min(elapsed, Math.ceil((capacity - bucket.units) / policy.count));
  return { units: Math.min(capacity, bucket.units + useful * policy.count), at: instant(bucket.at + elapsed) };
}

function capacityOf({ count, perMilliseconds, burst }: RatePolicy): number {
  const capacity = burst * perMilliseconds;
  const positive = [count, perMilliseconds, burst].every((value) => Number.isSafeInteger(value) && value > 0);
  if (!positive || !Number.isSafeInteger(capacity + count))
    throw new RangeError('rate policy is not made of positive integers');
  return capacity;
}
