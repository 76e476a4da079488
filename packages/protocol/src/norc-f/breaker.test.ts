import assert from 'node:assert/strict';
import { test } from 'node:test';
import { instant, LIMITS, type Random } from '@norc/protocol/base';
import fc from 'fast-check';
import {
  attemptFailed,
  attemptStarted,
  attemptSucceeded,
  type Breaker,
  CLOSED,
  failsFast,
  mayAttempt,
  peerHeard,
} from './index.ts';

const random: Random = { bytes: (length) => new Uint8Array(length).fill(255) };

function failTimes(times: number): Breaker {
  let breaker: Breaker = CLOSED;
  for (let i = 0; i < times; i += 1) {
    const at = breaker.state === 'waiting' ? breaker.retryAt : instant(0);
    breaker = attemptFailed(attemptStarted(breaker, at), at, random);
  }
  return breaker;
}

test('[F-50] waits grow, and after three failures requests fail at once', () => {
  assert.ok(!failsFast(CLOSED));
  assert.ok(!failsFast(failTimes(LIMITS.breakerFailuresMax - 1)));
  const open = failTimes(LIMITS.breakerFailuresMax);
  assert.ok(failsFast(open) && open.state === 'waiting');
  assert.equal(open.since, 0);
  assert.ok(!mayAttempt(open, instant(open.retryAt - 1)));
  assert.ok(mayAttempt(open, open.retryAt));
});

test('one attempt at a time', () => {
  const probing = attemptStarted(CLOSED, instant(5));
  assert.ok(!mayAttempt(probing, instant(1e12)));
  assert.throws(() => attemptStarted(probing, instant(1e12)), RangeError);
});

test('[F-51] a peer that reaches us is tried at once, however long the wait had grown', () => {
  const open = failTimes(12);
  assert.ok(open.state === 'waiting');
  const now = instant(open.retryAt - 20_000);
  assert.ok(!mayAttempt(open, now));
  const heard = peerHeard(open, now);
  assert.ok(mayAttempt(heard, now));
  assert.ok(failsFast(heard), 'until the attempt succeeds');
  const later = instant(open.retryAt + 1);
  assert.equal(peerHeard(open, later), open, 'an attempt that is due already stays due');
});

test('success forgets the failures', () => {
  assert.deepEqual(attemptSucceeded(), CLOSED);
  const again = attemptFailed(attemptSucceeded(), instant(9), random);
  assert.deepEqual(again, { state: 'waiting', failures: 1, since: 9, retryAt: 9 + LIMITS.retryDelayMillisecondsMin });
});

test('in any history there is always a time at which an attempt may start', () => {
  const events = fc.array(fc.constantFrom('fail', 'succeed', 'heard'), { maxLength: 40 });
  fc.assert(
    fc.property(events, (history) => {
      let breaker: Breaker = CLOSED;
      let now = instant(0);
      for (const event of history) {
        if (breaker.state === 'waiting' && event === 'heard') breaker = peerHeard(breaker, now);
        now = breaker.state === 'waiting' && breaker.retryAt > now ? breaker.retryAt : now;
        assert.ok(mayAttempt(breaker, now));
        const probing = attemptStarted(breaker, now);
        breaker = event === 'succeed' ? attemptSucceeded() : attemptFailed(probing, now, random);
      }
    }),
  );
});
