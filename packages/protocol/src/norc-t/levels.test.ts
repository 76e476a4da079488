import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { LABELS, type Label, LEVELS, type TrustLevel } from '../base/index.ts';
import { atLeast, compareLevels, labelAllowed, levelForLabel, lowestLevel, mayRelabel } from './levels.ts';

const levels = Object.keys(LEVELS) as TrustLevel[]; // the keys of LEVELS are the levels
const labels = Object.keys(LABELS) as Label[]; // the keys of LABELS are the labels
const anyLevel = fc.constantFrom(...levels);
const anyLabel = fc.constantFrom(...labels);

test('[TRUST-1] the lowest level counts, whatever the order', () => {
  fc.assert(
    fc.property(fc.array(anyLevel, { minLength: 1, maxLength: 6 }), (held) => {
      const [first, ...others] = held as [TrustLevel, ...TrustLevel[]]; // minLength 1
      const lowest = lowestLevel(first, ...others);
      assert.ok(held.includes(lowest) && held.every((level) => atLeast(level, lowest)));
    }),
  );
});

test('levels rise from untrusted to nato', () => {
  assert.deepEqual([...levels].sort(compareLevels), ['untrusted', 'basic', 'verified', 'classified', 'nato']);
});

test('[TRUST-2] the labels and the least level that carries each, as PROTOCOL section 8 has them', () => {
  const expected: Record<Label, TrustLevel> = {
    unclassified: 'basic',
    official_use_only: 'basic',
    confidential: 'verified',
    nato_restricted: 'verified',
    secret: 'classified',
    nato_confidential: 'classified',
    top_secret: 'nato',
    nato_secret: 'nato',
  };
  for (const label of labels) assert.equal(levelForLabel(label), expected[label]);
  for (const label of labels) assert.ok(!labelAllowed(label, 'untrusted', true), label);
  assert.ok(!labelAllowed('nato_restricted', 'nato', false));
  assert.ok(labelAllowed('nato_restricted', 'verified', true));
});

test('[TRUST-2] a higher level never carries less', () => {
  fc.assert(
    fc.property(anyLabel, anyLevel, anyLevel, fc.boolean(), (label, a, b, nato) => {
      if (labelAllowed(label, a, nato) && atLeast(b, a)) assert.ok(labelAllowed(label, b, nato));
    }),
  );
});

test('[TRUST-3] a label is raised, never lowered', () => {
  assert.ok(mayRelabel('unclassified', 'secret') && mayRelabel('secret', 'secret'));
  assert.ok(!mayRelabel('secret', 'unclassified'));
  fc.assert(
    fc.property(anyLabel, anyLabel, (from, to) => {
      if (mayRelabel(from, to)) assert.ok(atLeast(levelForLabel(to), levelForLabel(from)));
    }),
  );
});
