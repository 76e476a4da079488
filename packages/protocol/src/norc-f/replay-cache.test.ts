import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Domain, instant, type MessageId, parseDomain } from '@norc/protocol/base';
import { testId } from '@norc/testkit';
import fc from 'fast-check';
import { ReplayCache } from './index.ts';

const named = (text: string): Domain => {
  const parsed = parseDomain(text);
  assert.ok(parsed.ok);
  return parsed.value;
};
const origins = [named('alpha.example'), named('bravo.example')];
const ids = Array.from({ length: 12 }, (_, i) => testId<MessageId>(`id ${i}`));
const [id0, id1, id2] = ids as [MessageId, MessageId, MessageId];
const [alpha, bravo] = origins as [Domain, Domain];
const POLICY = { millisecondsMin: 50, millisecondsMax: 200, entriesPerOriginMax: 4 };

const traffic = fc.array(
  fc.record({ origin: fc.constantFrom(...origins), id: fc.constantFrom(...ids), wait: fc.nat({ max: 40 }) }),
  { maxLength: 120 },
);

test('[F-43] an id is remembered for the minimum, forgotten after the maximum, whatever comes between', () => {
  fc.assert(
    fc.property(traffic, (messages) => {
      const cache = new ReplayCache(POLICY);
      const freshAt = new Map<string, number>();
      let now = 0;
      for (const { origin, id, wait } of messages) {
        now += wait;
        const verdict = cache.check(origin, id, instant(now));
        const key = `${origin} ${id}`;
        const before = freshAt.get(key);
        const age = before === undefined ? Number.POSITIVE_INFINITY : now - before;
        if (verdict === 'seen') assert.ok(age < POLICY.millisecondsMax);
        else assert.ok(age >= POLICY.millisecondsMin, 'forgotten too early');
        if (verdict === 'full') {
          const young = [...freshAt].filter(([k, at]) => k.startsWith(origin) && now - at < POLICY.millisecondsMin);
          assert.equal(young.length, POLICY.entriesPerOriginMax, 'full of what it must keep');
        }
        if (verdict === 'fresh') freshAt.set(key, now);
        assert.ok(cache.size <= origins.length * POLICY.entriesPerOriginMax);
      }
    }),
  );
});

test('[F-43] a flood of one origin neither pushes out its young ids nor touches another origin', () => {
  const cache = new ReplayCache(POLICY);
  assert.equal(cache.check(bravo, id0, instant(0)), 'fresh');
  for (const [i, id] of ids.entries()) assert.equal(cache.check(alpha, id, instant(10)), i < 4 ? 'fresh' : 'full');
  assert.equal(cache.check(alpha, id0, instant(20)), 'seen');
  assert.equal(cache.check(bravo, id0, instant(20)), 'seen');
  assert.equal(cache.check(bravo, id1, instant(20)), 'fresh');
});

test('a replay does not keep its id alive', () => {
  const cache = new ReplayCache(POLICY);
  cache.check(alpha, id0, instant(0));
  assert.equal(cache.check(alpha, id0, instant(199)), 'seen');
  assert.equal(cache.check(alpha, id0, instant(200)), 'fresh');
});

test('a sweep drops what silent origins left', () => {
  const cache = new ReplayCache(POLICY);
  cache.check(alpha, id0, instant(0));
  cache.check(bravo, id2, instant(150));
  cache.sweep(instant(200));
  assert.equal(cache.size, 1);
});
