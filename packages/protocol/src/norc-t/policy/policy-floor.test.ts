import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EVIDENCE, type EvidenceKind } from '../../base/index.ts';
import {
  comparePolicies,
  defaultPolicy,
  GRANTED_LEVELS,
  type GrantedLevel,
  officerIdFromBytes,
  parsePolicyDocument,
  policyDocument,
  policyFaults,
  type TrustPolicy,
} from '../index.ts';

const KINDS = Object.keys(EVIDENCE) as EvidenceKind[]; // the keys of EVIDENCE are the kinds

function withLevel(policy: TrustPolicy, level: GrantedLevel, changes: object): TrustPolicy {
  return { ...policy, levels: { ...policy.levels, [level]: { ...policy.levels[level], ...changes } } };
}

const faultOf = (policy: TrustPolicy) => policyFaults(policy).map(({ rule, path }) => `${rule} ${path}`);
const atLevel = (level: GrantedLevel, changes: object) => withLevel(defaultPolicy(), level, changes);
const evidenceAt = (level: GrantedLevel, kind: EvidenceKind, need: string) =>
  atLevel(level, { evidence: { ...defaultPolicy().levels[level].evidence, [kind]: need } });

test('the default policy is on the floor, not below it', () => {
  assert.deepEqual(policyFaults(defaultPolicy()), []);
});

test('[POLICY-3] what is newer than a document and as it was before leaves the document as it was', () => {
  const text = new TextDecoder().decode(policyDocument(defaultPolicy()).bytes);
  assert.ok(!text.includes('attested_percent_min'));
  const anchor = { name: 'a', certificate: new Uint8Array(1), purpose: 'pki', policies: ['1.2.3'] } as const;
  const anchors = [{ ...anchor, revocationUnknown: 'fail', usages: ['1.3.6.1.5.5.7.3.9'] }] as const;
  const policy = { ...atLevel('classified', { attestedPercentMin: 80 }), anchors };
  const read = parsePolicyDocument(policyDocument(policy).bytes);
  assert.ok(read.ok);
  assert.deepEqual(read.value.anchors, anchors);
  assert.equal(read.value.levels.classified.attestedPercentMin, 80);
  assert.equal(read.value.levels.nato.attestedPercentMin, 100);
  const changes = comparePolicies(defaultPolicy(), atLevel('classified', { attestedPercentMin: 80 }));
  assert.deepEqual(changes, [
    {
      effect: 'loosens',
      path: 'levels.classified.attested_percent_min',
      sentence: 'Least share of attested devices at classified: from 100 to 80 %.',
    },
  ]);
  const odd = { ...anchors[0], usages: ['x'] };
  assert.deepEqual(faultOf(defaultPolicy({ anchors: [odd] })), ['POLICY-18 anchor "a"']);
});

test('[POLICY-10] evidence that the protocol requires stays required', () => {
  for (const level of GRANTED_LEVELS) {
    for (const kind of KINDS) {
      const required = EVIDENCE[kind][level] === 'required';
      const found = faultOf(evidenceAt(level, kind, 'none')).filter((one) => one.startsWith('POLICY-10'));
      assert.deepEqual(found, required ? [`POLICY-10 levels.${level}.evidence.${kind}`] : []);
    }
  }
  assert.deepEqual(faultOf(evidenceAt('basic', 'organisation_identity', 'required')), []);
});

test('[POLICY-11] [POLICY-12] [POLICY-13] [POLICY-16] numbers are not below the protocol', () => {
  for (const attestedPercentMin of [0, 101, 99.5]) {
    const place = ['POLICY-11 levels.classified.attested_percent_min'];
    assert.deepEqual(faultOf(atLevel('classified', { attestedPercentMin })), place);
  }
  assert.deepEqual(faultOf(atLevel('classified', { attestedPercentMin: 1 })), []);
  assert.deepEqual(faultOf(atLevel('verified', { scoreMin: 69 })), ['POLICY-11 levels.verified.score_min']);
  assert.deepEqual(faultOf(atLevel('verified', { scoreMin: 101 })), ['POLICY-11 levels.verified.score_min']);
  assert.deepEqual(faultOf(atLevel('classified', { lifeDaysMax: 91 })), ['POLICY-12 levels.classified.life_days_max']);
  assert.deepEqual(faultOf(atLevel('nato', { lifeDaysMax: 0 })), ['POLICY-12 levels.nato.life_days_max']);
  assert.deepEqual(faultOf(atLevel('classified', { approvals: 1 })), ['POLICY-13 levels.classified.approvals']);
  assert.deepEqual(faultOf(atLevel('basic', { approvals: 0 })), []);
  const signed = evidenceAt('verified', 'officer_approval', 'required');
  assert.deepEqual(faultOf(withLevel(signed, 'verified', { approvals: 0 })), ['POLICY-13 levels.verified.approvals']);
  assert.deepEqual(faultOf(atLevel('nato', { renewBeforeDays: 90 })), ['POLICY-16 levels.nato.renew_before_days']);
});

test('[POLICY-14] a label never needs less than the registry says', () => {
  const secret = (level: GrantedLevel) => defaultPolicy({ labelLevels: new Map([['secret', level]]) });
  assert.deepEqual(faultOf(secret('verified')), ['POLICY-14 labels.secret']);
  assert.deepEqual(faultOf(secret('nato')), []);
});

test('[POLICY-15] ages have a bound on both sides', () => {
  for (const [ms, fault] of [
    [119_000, true],
    [120_000, false],
    [3_600_000, false],
    [3_601_000, true],
  ] as const) {
    assert.equal(policyFaults(defaultPolicy({ revocationAgeMillisecondsMax: ms })).length === 1, fault, String(ms));
  }
  assert.equal(policyFaults(defaultPolicy({ evidenceAgeMillisecondsMax: 86_400_001 })).length, 1);
});

test('[POLICY-17] conditions are sound before they reach a certificate', () => {
  const base = { name: 'report', kind: 'report', afterDays: 30, action: 'revoke' } as const;
  const faults = (...conditions: readonly object[]) => faultOf(atLevel('verified', { conditions })).length;
  assert.equal(faults(base), 0);
  assert.equal(faults(base, { ...base }), 1);
  assert.equal(faults({ ...base, afterDays: 181 }), 1);
  assert.equal(faults({ ...base, action: 'downgrade' }), 1);
  assert.equal(faults({ ...base, action: 'downgrade', level: 'verified' }), 1);
  assert.equal(faults({ ...base, action: 'downgrade', level: 'basic' }), 0);
  assert.equal(faults({ ...base, level: 'basic' }), 1);
});

test('[POLICY-18] [POLICY-19] anchors of a PKI name a policy, and approvers are enough', () => {
  const anchor = { name: 'a', certificate: new Uint8Array(1), policies: [], revocationUnknown: 'fail' } as const;
  assert.equal(policyFaults(defaultPolicy({ anchors: [{ ...anchor, purpose: 'organisation' }] })).length, 0);
  assert.equal(policyFaults(defaultPolicy({ anchors: [{ ...anchor, purpose: 'pki' }] })).length, 1);
  const odd = { ...anchor, purpose: 'pki', policies: ['1.02.3'] } as const;
  assert.equal(policyFaults(defaultPolicy({ anchors: [odd] })).length, 1);
  const officers = (count: number) =>
    new Set(Array.from({ length: count }, (_, n) => officerIdFromBytes(new Uint8Array(16).fill(n))));
  assert.deepEqual(faultOf(defaultPolicy({ approvers: officers(1) })), ['POLICY-19 officers.approvers']);
  assert.deepEqual(faultOf(defaultPolicy({ approvers: officers(2) })), []);
});
