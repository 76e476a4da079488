import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { instant, LIMITS, nextRetry, type Random, randomFraction, retryDelayMilliseconds } from './index.ts';

const constant = (byte: number): Random => ({ bytes: (length) => new Uint8Array(length).fill(byte) });
const anyRandom = fc
  .uint8Array({ minLength: 4, maxLength: 4 })
  .map((bytes): Random => ({ bytes: () => Uint8Array.from(bytes) }));

test('a wait lies between a tenth of its ceiling and the ceiling, whatever the attempt', () => {
  fc.assert(
    fc.property(fc.nat(), anyRandom, (attempt, random) => {
      const delay = retryDelayMilliseconds(attempt, random);
      assert.ok(Number.isSafeInteger(delay));
      assert.ok(delay >= LIMITS.retryDelayMillisecondsMin / 10);
      assert.ok(delay <= LIMITS.retryDelayMillisecondsMax);
      assert.equal(nextRetry(instant(1000), attempt, random), 1000 + delay);
    }),
  );
});

test('[F-50] the ceiling doubles from 250 ms to 30 s', () => {
  const longest = (attempt: number) => retryDelayMilliseconds(attempt, constant(255));
  assert.deepEqual([0, 1, 2, 3, 6, 7, 60].map(longest), [250, 500, 1000, 2000, 16000, 30000, 30000]);
});

test('the shortest waits are not zero', () => {
  assert.equal(retryDelayMilliseconds(0, constant(0)), 25);
  assert.equal(retryDelayMilliseconds(9, constant(0)), 3000);
});

test('a fraction is in [0, 1)', () => {
  assert.equal(randomFraction(constant(0)), 0);
  assert.ok(randomFraction(constant(255)) < 1);
});

test('an attempt that is no count is the caller’s fault', () => {
  assert.throws(() => retryDelayMilliseconds(-1, constant(0)), RangeError);
  assert.throws(() => retryDelayMilliseconds(Number.NaN, constant(0)), RangeError);
});
