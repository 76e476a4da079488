import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Alarm, DELAY_MS_MAX } from './timers.ts';

test('a delay that a timer cannot wait is cut to what it can, and is not none', () => {
  const delays: number[] = [];
  const alarm = new Alarm({
    after: (delay) => {
      delays.push(delay);
      return () => undefined;
    },
  });
  for (const delay of [-1, 5, 2 ** 31, Number.MAX_SAFE_INTEGER]) alarm.set(delay, () => undefined);
  assert.deepEqual(delays, [0, 5, DELAY_MS_MAX, DELAY_MS_MAX]);
  assert.equal(DELAY_MS_MAX, 0x7fffffff);
});
