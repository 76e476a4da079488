import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NO_RECORD, TEST_EPOCH, testFinding } from '@norc/testkit';
import fc from 'fast-check';
import { EVIDENCE, type EvidenceKind } from '../../base/index.ts';
import { defaultPolicy, type Finding, missingPoints, SCORE_OF, type ScorePartName, trustScore } from '../index.ts';

const KINDS = Object.keys(EVIDENCE) as EvidenceKind[]; // the keys of EVIDENCE are the kinds
const finding = (kind: EvidenceKind, changes: Partial<Finding> = {}) => testFinding(kind, TEST_EPOCH, changes);
const pointsOf = (findings: readonly Finding[], record = NO_RECORD) =>
  Object.fromEntries(trustScore(findings, record).parts.map(({ name, points }) => [name, points]));

test('[TRUST-71] the parts make 100', () => {
  assert.equal(
    Object.values(SCORE_OF).reduce((sum, points) => sum + points, 0),
    100,
  );
  const everything = ['domain_proof', 'organisation_identity', 'pki_chain', 'compliance'] as const;
  const best = trustScore(
    everything.map((kind) => finding(kind)),
    { incidents: 0, daysInForce: 365 },
  );
  assert.equal(best.total, 100);
  assert.equal(missingPoints(best), '');
  assert.equal(trustScore([], { incidents: 9, daysInForce: 0 }).total, 0);
});

test('[TRUST-71] a new partner with an X.509 identity gets verified, one with documents alone does not', () => {
  const { levels } = defaultPolicy();
  const domain = finding('domain_proof');
  const named = trustScore([domain, finding('organisation_identity', { method: 'x509' })], NO_RECORD);
  const documents = trustScore([domain, finding('organisation_identity', { method: 'documents' })], NO_RECORD);
  assert.deepEqual([named.total, documents.total], [80, 50]);
  assert.ok(named.total >= levels.verified.scoreMin && documents.total < levels.verified.scoreMin);
  assert.equal(missingPoints(documents), 'chain 0 of 30, compliance 0 of 10, history 0 of 10');
});

test('[TRUST-71] incidents cost five points each, days of trust earn up to ten, recommendations top them up', () => {
  const after = (incidents: number) => pointsOf([], { incidents, daysInForce: 0 })['incidents'];
  assert.deepEqual([0, 1, 2, 3, 4].map(after), [15, 10, 5, 0, 0]);
  const known = (daysInForce: number, ...weights: number[]) =>
    pointsOf(
      weights.map((weight, index) => finding('recommendation', { weight, hash: new Uint8Array(32).fill(index) })),
      { incidents: 0, daysInForce },
    )['history'];
  assert.deepEqual([known(0), known(73), known(365), known(9999)], [0, 2, 10, 10]);
  assert.deepEqual([known(0, 0.95), known(0, 0.95, 0.9025), known(73, 0.95)], [4, 9, 6]);
  assert.equal(known(300, 1, 1, 1), 10);
});

test('[TRUST-71] the same thing shown twice is worth no more, and weight counts', () => {
  const chain = (weight: number) => finding('pki_chain', { weight });
  assert.equal(pointsOf([chain(0.5), chain(1), chain(1)])['chain'], 30);
  assert.equal(pointsOf([chain(0.5), chain(0.25)])['chain'], 15);
  assert.equal(pointsOf([chain(-3)])['chain'], 0);
});

test('[TRUST-71] attack: one recommendation sent twice counts once, for what it is worth at best', () => {
  const one = (weight: number) => finding('recommendation', { weight });
  assert.equal(pointsOf([one(0.95)])['history'], 4);
  assert.equal(pointsOf([one(0.5), one(0.95), one(0.95)])['history'], 4);
  const { parts } = trustScore([one(0.95), one(0.95)], NO_RECORD);
  assert.equal(parts.find(({ name }) => name === 'history')?.detail, '0 days of trust, 1 recommendations');
});

const anyFinding = fc
  .record({ kind: fc.constantFrom(...KINDS), weight: fc.double({ min: 0, max: 1, noNaN: true }) })
  .map(({ kind, weight }) => finding(kind, { weight, method: 'x509' }));
const anyRecord = fc.record({ incidents: fc.nat(6), daysInForce: fc.nat(1000) });

test('[TRUST-71] more evidence and more days never cost points, more incidents never give any', () => {
  fc.assert(
    fc.property(fc.array(anyFinding, { maxLength: 12 }), anyFinding, anyRecord, (findings, more, record) => {
      const { total, parts } = trustScore(findings, record);
      assert.ok(Number.isInteger(total) && total >= 0 && total <= 100);
      for (const { name, points, of } of parts)
        assert.ok(points >= 0 && points <= of && of === SCORE_OF[name as ScorePartName]);
      assert.ok(trustScore([...findings, more], record).total >= total);
      assert.ok(trustScore(findings, { ...record, daysInForce: record.daysInForce + 1 }).total >= total);
      assert.ok(trustScore(findings, { ...record, incidents: record.incidents + 1 }).total <= total);
      assert.equal(trustScore([...findings].reverse(), record).total, total);
    }),
    { numRuns: 100 },
  );
});
