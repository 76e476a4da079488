import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fullBucket, instant, isFull, type RatePolicy, takeTokens } from './index.ts';

const policies = fc.record({
  count: fc.integer({ min: 1, max: 2000 }),
  perMilliseconds: fc.integer({ min: 1, max: 3_600_000 }),
  burst: fc.integer({ min: 1, max: 500 }),
});
const steps = fc.array(fc.record({ wait: fc.nat({ max: 5000 }), cost: fc.nat({ max: 5 }) }), { maxLength: 60 });
const MINUTE: RatePolicy = { count: 60, perMilliseconds: 60_000, burst: 120 };

test('in any window no more is granted than the burst and what flowed in', () => {
  fc.assert(
    fc.property(policies, steps, (policy, requests) => {
      let now = instant(0);
      let bucket = fullBucket(policy, now);
      const granted: { at: number; cost: number }[] = [];
      for (const { wait, cost } of requests) {
        now = instant(now + wait);
        const outcome = takeTokens(policy, bucket, now, Math.min(cost, policy.burst));
        bucket = outcome.bucket;
        if (outcome.allowed) granted.push({ at: now, cost: Math.min(cost, policy.burst) });
      }
      for (const [i, first] of granted.entries()) {
        let sum = 0;
        for (const later of granted.slice(i)) {
          sum += later.cost;
          const inflow = ((later.at - first.at) * policy.count) / policy.perMilliseconds;
          assert.ok(sum <= policy.burst + inflow + 1e-9);
        }
      }
    }),
  );
});

test('[C-50] retry_after is exact: allowed then, refused a millisecond earlier', () => {
  fc.assert(
    fc.property(policies, fc.nat({ max: 10_000 }), fc.integer({ min: 1, max: 500 }), (policy, wait, wanted) => {
      const cost = Math.min(wanted, policy.burst);
      const spent = takeTokens(policy, fullBucket(policy, instant(0)), instant(0), policy.burst);
      const now = instant(wait);
      const outcome = takeTokens(policy, spent.bucket, now, cost);
      if (outcome.allowed) return;
      const then = instant(now + outcome.retryAfterMilliseconds);
      assert.ok(takeTokens(policy, outcome.bucket, then, cost).allowed);
      assert.ok(!takeTokens(policy, outcome.bucket, instant(then - 1), cost).allowed);
    }),
  );
});

test('a burst of 120, then one each second', () => {
  let bucket = fullBucket(MINUTE, instant(0));
  for (let i = 0; i < 120; i += 1) {
    const outcome = takeTokens(MINUTE, bucket, instant(0));
    assert.ok(outcome.allowed);
    bucket = outcome.bucket;
  }
  const refused = takeTokens(MINUTE, bucket, instant(0));
  assert.ok(!refused.allowed && refused.retryAfterMilliseconds === 1000);
  assert.ok(takeTokens(MINUTE, bucket, instant(1000)).allowed);
});

test('a clock that is set back gives no tokens', () => {
  const spent = takeTokens(MINUTE, fullBucket(MINUTE, instant(100_000)), instant(100_000), 120).bucket;
  const back = takeTokens(MINUTE, spent, instant(40_000));
  assert.ok(!back.allowed && back.retryAfterMilliseconds === 61_000);
  assert.ok(!takeTokens(MINUTE, back.bucket, instant(100_999)).allowed);
  assert.ok(takeTokens(MINUTE, back.bucket, instant(101_000)).allowed);
});

test('a full bucket can be forgotten, one that was used cannot', () => {
  const used = takeTokens(MINUTE, fullBucket(MINUTE, instant(0)), instant(0)).bucket;
  assert.ok(!isFull(MINUTE, used, instant(999)));
  assert.ok(isFull(MINUTE, used, instant(1000)));
});

test('a cost that never fits and a policy that is none throw', () => {
  assert.throws(() => takeTokens(MINUTE, fullBucket(MINUTE, instant(0)), instant(0), 121), RangeError);
  assert.throws(() => fullBucket({ count: 0, perMilliseconds: 1, burst: 1 }, instant(0)), RangeError);
  assert.throws(() => fullBucket({ count: 0.5, perMilliseconds: 1, burst: 1 }, instant(0)), RangeError);
});
