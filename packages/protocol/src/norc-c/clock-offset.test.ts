import assert from 'node:assert/strict';
import { test } from 'node:test';
import { instant, LIMITS } from '@norc/protocol/base';
import fc from 'fast-check';
import { betterOffset, isDrifting, offsetFromChallenge, offsetFromRoundTrip, serverTime } from './index.ts';

test('[C-20] the true offset lies within the uncertainty of a round trip', () => {
  const times = fc.record({
    true: fc.integer({ min: -1e9, max: 1e9 }),
    there: fc.nat({ max: 5000 }),
    back: fc.nat({ max: 5000 }),
  });
  fc.assert(
    fc.property(times, ({ true: offset, there, back }) => {
      const sentAt = 2e9;
      const server = sentAt + there + offset;
      const learned = offsetFromRoundTrip(instant(sentAt), server, instant(sentAt + there + back));
      assert.ok(Math.abs(learned.milliseconds - offset) <= learned.uncertaintyMilliseconds);
    }),
  );
});

test('the better known offset counts, and of two equal ones the later', () => {
  const rough = offsetFromChallenge(1000, instant(0));
  const fine = offsetFromRoundTrip(instant(0), 1000, instant(10));
  assert.equal(betterOffset(rough, fine), fine);
  assert.equal(betterOffset(fine, rough), fine);
  const later = offsetFromRoundTrip(instant(50), 1000, instant(60));
  assert.equal(betterOffset(fine, later), later);
});

test('[C-20] a clock ten minutes off is corrected, and shown', () => {
  const offset = offsetFromRoundTrip(instant(1_000_000), 1_600_000, instant(1_000_020));
  assert.equal(serverTime(offset, instant(1_000_100)), 1_600_090);
  assert.ok(isDrifting(offset));
  assert.ok(!isDrifting(offsetFromRoundTrip(instant(0), LIMITS.authSkewMillisecondsMax, instant(10))));
  assert.ok(!isDrifting(offsetFromChallenge(8000, instant(0))), 'the frame may have been that slow');
});
