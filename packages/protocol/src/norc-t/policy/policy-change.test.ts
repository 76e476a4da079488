import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeCrypto } from '@norc/crypto/node';
import { mustBe, TEST_EPOCH, testOrganisation, testTrustCertificate } from '@norc/testkit';
import fc from 'fast-check';
import {
  type Domain,
  EVIDENCE,
  type EvidenceKind,
  instant,
  LABELS,
  type Label,
  PERMISSIONS,
  parseDomain,
} from '../../base/index.ts';
import { draftDocument } from '../../crypto/index.ts';
import {
  atLeast,
  comparePolicies,
  decideTrust,
  defaultPolicy,
  GRANTED_LEVELS,
  type GrantedLevel,
  labelLevel,
  levelMaxFor,
  loosens,
  missingEvidence,
  officerIdFromBytes,
  pairLevel,
  parsePolicyDocument,
  policyDocument,
  policyHash,
  type TrustPolicy,
} from '../index.ts';

const alpha = testOrganisation('alpha.example');
const bravo = testOrganisation('bravo.example');
const others = ['bravo.example', 'carol.example', 'delta.example'].map((name) => mustBe(parseDomain(name)));
const LABEL_NAMES = Object.keys(LABELS) as Label[]; // the keys of LABELS are the labels
const KINDS = Object.keys(EVIDENCE) as EvidenceKind[]; // the keys of EVIDENCE are the kinds

// ---- policies ----

const anyLevel = fc.constantFrom(...GRANTED_LEVELS);
const anyDomain = fc.constantFrom<Domain>(...others);
const anyOfficer = fc.integer({ min: 1, max: 6 }).map((n) => officerIdFromBytes(new Uint8Array(16).fill(n)));
const anySet = <T>(item: fc.Arbitrary<T>) => fc.array(item, { maxLength: 3 }).map((items) => new Set(items));
const anyCondition = fc.record({
  name: fc.constantFrom('report', 'audit', 'visit'),
  kind: fc.constantFrom('report', 'other'),
  afterDays: fc.integer({ min: 1, max: 60 }),
  action: fc.constantFrom('revoke' as const, 'notify' as const),
});
const anyConditions = fc.uniqueArray(anyCondition, { maxLength: 3, selector: ({ name }) => name });
const anyAnchor = fc.record({
  name: fc.constantFrom('root a', 'root b'),
  certificate: fc.constantFrom(new Uint8Array([1]), new Uint8Array([2])),
  purpose: fc.constantFrom('organisation' as const, 'pki' as const, 'nato' as const),
  policies: fc.subarray(['1.2.3', '1.2.4', '2.16.840.1']),
  revocationUnknown: fc.constantFrom('fail' as const, 'accept' as const),
  usages: fc.subarray(['1.3.6.1.5.5.7.3.3', '1.3.6.1.5.5.7.3.9']),
});
const anyHashes = fc.uniqueArray(fc.integer({ min: 0, max: 3 }), { maxLength: 2 });

/** One setting, another value: what most changes of a policy are. */
const anyEdit: fc.Arbitrary<(policy: TrustPolicy) => TrustPolicy> = fc.oneof(
  set('ownLevel', anyLevel),
  set('ownNatoCapable', fc.boolean()),
  set('levelMax', anyLevel),
  fc.tuple(anyDomain, fc.option(anyLevel)).map(([domain, level]) => (policy: TrustPolicy) => {
    const partnerLevelMax = new Map(policy.partnerLevelMax);
    if (level === null) partnerLevelMax.delete(domain);
    else partnerLevelMax.set(domain, level);
    return { ...policy, partnerLevelMax };
  }),
  set('blocked', anySet(anyDomain)),
  fc.tuple(anyLevel, fc.constantFrom(...KINDS), fc.constantFrom('required', 'optional', 'none')).map(
    ([level, kind, need]) =>
      (policy: TrustPolicy) =>
        withLevel(policy, level, { evidence: { ...policy.levels[level].evidence, [kind]: need } }),
  ),
  fc
    .tuple(
      anyLevel,
      fc.constantFrom(...(['scoreMin', 'attestedPercentMin', 'lifeDaysMax', 'approvals', 'renewBeforeDays'] as const)),
      fc.integer({ min: 0, max: 100 }),
    )
    .map(
      ([level, name, value]) =>
        (policy: TrustPolicy) =>
          withLevel(policy, level, { [name]: value }),
    ),
  fc.tuple(anyLevel, anyConditions).map(
    ([level, conditions]) =>
      (policy: TrustPolicy) =>
        withLevel(policy, level, { conditions }),
  ),
  fc.tuple(fc.constantFrom(...LABEL_NAMES), anyLevel).map(([label, level]) => (policy: TrustPolicy) => ({
    ...policy,
    labelLevels: new Map([...policy.labelLevels, [label, level]]),
  })),
  set(
    'revocationAgeMillisecondsMax',
    fc.integer({ min: 120, max: 3600 }).map((seconds) => seconds * 1000),
  ),
  set(
    'evidenceAgeMillisecondsMax',
    fc.integer({ min: 10, max: 1440 }).map((minutes) => minutes * 60_000),
  ),
  set('permissions', fc.subarray([...PERMISSIONS])),
  set(
    'limits',
    fc.record({
      message_bytes_max: fc.integer({ min: 1024, max: 4096 }),
      messages_per_second: fc.integer({ min: 1, max: 3 }),
      bytes_per_second: fc.constant(2048),
    }),
  ),
  set('anchors', fc.uniqueArray(anyAnchor, { maxLength: 2, selector: ({ name }) => name })),
  set(
    'documents',
    fc
      .array(fc.tuple(anyDomain, anyHashes), { maxLength: 2 })
      .map((list) => new Map(list.map(([domain, hashes]) => [domain, hashes.map((n) => new Uint8Array(32).fill(n))]))),
  ),
  set('recommenders', anySet(anyDomain)),
  set(
    'compliance',
    fc.uniqueArray(fc.record({ scheme: fc.constantFrom('iso27001', 'soc2'), statedBy: anySet(anyDomain) }), {
      selector: ({ scheme }) => scheme,
      maxLength: 2,
    }),
  ),
  set('approvers', anySet(anyOfficer)),
);

function set<K extends keyof TrustPolicy>(name: K, value: fc.Arbitrary<TrustPolicy[K]>) {
  return value.map(
    (one) =>
      (policy: TrustPolicy): TrustPolicy => ({ ...policy, [name]: one }),
  );
}

function withLevel(policy: TrustPolicy, level: GrantedLevel, changes: object): TrustPolicy {
  return { ...policy, levels: { ...policy.levels, [level]: { ...policy.levels[level], ...changes } } };
}

const evidenceAt = (level: GrantedLevel, kind: EvidenceKind, need: string) =>
  withLevel(defaultPolicy(), level, { evidence: { ...defaultPolicy().levels[level].evidence, [kind]: need } });

const anyEdits = (max: number) =>
  fc
    .array(anyEdit, { minLength: 1, maxLength: max })
    .map((edits) => (policy: TrustPolicy) => edits.reduce((edited, edit) => edit(edited), policy));
const anyPolicy = anyEdits(8).map((edit) => edit(defaultPolicy()));

// ---- facts and questions ----

const day = 86_400_000;
const pool = [alpha, bravo].flatMap((issuer) =>
  GRANTED_LEVELS.map((level) =>
    testTrustCertificate(issuer, issuer === alpha ? bravo : alpha, {
      level,
      nato_capable: level === 'nato',
      permissions: level === 'basic' ? ['message_relay'] : [...PERMISSIONS],
    }),
  ),
);
const anyFacts = fc.record({
  certificates: fc.subarray(pool, { minLength: 2 }),
  revocations: fc.constant([]),
  heardAt: fc.option(
    fc.integer({ min: 0, max: 4000 }).map((seconds) => instant(TEST_EPOCH - seconds * 1000)),
    { nil: undefined },
  ),
  now: fc.constantFrom(TEST_EPOCH, instant(TEST_EPOCH + day)),
});
const anyQuestion = fc.record({
  local: fc.constant(alpha.domain),
  remote: fc.constantFrom(alpha.domain, bravo.domain),
  direction: fc.constantFrom('outgoing' as const, 'incoming' as const),
  permission: fc.constantFrom(...PERMISSIONS),
  label: fc.constantFrom(...LABEL_NAMES),
});

const RUNS = { numRuns: 400 };

test('[POLICY-23] a change that does not loosen turns no refusal into an allowance', () => {
  let narrowed = 0;
  fc.assert(
    fc.property(anyPolicy, anyEdits(3), anyFacts, anyQuestion, (before, edit, known, question) => {
      const after = edit(before);
      fc.pre(!loosens(comparePolicies(before, after)));
      const [was, is] = [before, after].map((policy) => decideTrust(question, { ...known, policy }));
      assert.ok(was?.kind === 'allow' || is?.kind === 'deny', 'a refusal became an allowance');
      if (was?.kind === 'allow' && is?.kind === 'allow') assert.ok(atLeast(was.level, is.level));
      const levels = [before, after].map((policy) => pairLevel(alpha.domain, question.remote, { ...known, policy }));
      assert.ok(atLeast(levels[0] ?? 'untrusted', levels[1] ?? 'nato'));
      if (was?.kind !== is?.kind) narrowed += 1;
    }),
    RUNS,
  );
  assert.ok(narrowed > 0, 'no case tightened anything: the test shows nothing');
});

test('[POLICY-23] a change that does not loosen lowers no requirement', () => {
  fc.assert(
    fc.property(anyPolicy, anyEdits(3), (before, edit) => {
      const after = edit(before);
      fc.pre(!loosens(comparePolicies(before, after)));
      for (const level of GRANTED_LEVELS) {
        const [was, is] = [before.levels[level], after.levels[level]];
        const needed = missingEvidence(after, level, []);
        for (const kind of missingEvidence(before, level, [])) assert.ok(needed.includes(kind));
        assert.ok(is.scoreMin >= was.scoreMin && is.approvals >= was.approvals && is.lifeDaysMax <= was.lifeDaysMax);
        assert.ok(is.attestedPercentMin >= was.attestedPercentMin);
        for (const { name } of was.conditions) assert.ok(is.conditions.some((one) => one.name === name));
      }
      for (const peer of others) assert.ok(atLeast(levelMaxFor(before, peer), levelMaxFor(after, peer)));
      for (const peer of before.blocked) assert.ok(after.blocked.has(peer));
      for (const label of LABEL_NAMES) assert.ok(atLeast(labelLevel(after, label), labelLevel(before, label)));
      for (const permission of after.permissions) assert.ok(before.permissions.includes(permission));
      assert.ok(after.revocationAgeMillisecondsMax <= before.revocationAgeMillisecondsMax);
      assert.ok(after.evidenceAgeMillisecondsMax <= before.evidenceAgeMillisecondsMax);
      assert.ok(after.anchors.length <= before.anchors.length);
      for (const peer of after.recommenders) assert.ok(before.recommenders.has(peer));
      assert.deepEqual(after.approvers, before.approvers);
    }),
    RUNS,
  );
});

test('[POLICY-20] the reverse of a tightening loosens', () => {
  fc.assert(
    fc.property(anyPolicy, anyEdits(3), (before, edit) => {
      const after = edit(before);
      const there = comparePolicies(before, after);
      const back = comparePolicies(after, before);
      assert.equal(there.length > 0, back.length > 0);
      for (const { effect, path } of there) {
        if (effect !== 'tightens') continue;
        assert.ok(
          back.some((one) => one.path === path && one.effect === 'loosens'),
          `${path} back`,
        );
      }
    }),
    RUNS,
  );
});

test('[POLICY-21] [POLICY-22] what is in doubt loosens: optional evidence, and any change of approvers', () => {
  const effects = (before: TrustPolicy, after: TrustPolicy) =>
    comparePolicies(before, after).map(({ effect }) => effect);
  const none = evidenceAt('basic', 'compliance', 'none');
  assert.deepEqual(effects(defaultPolicy(), none), ['loosens']);
  assert.deepEqual(effects(none, defaultPolicy()), ['loosens']);
  const officers = [1, 2, 3].map((n) => officerIdFromBytes(new Uint8Array(16).fill(n)));
  const [three, two] = [3, 2].map((count) => defaultPolicy({ approvers: new Set(officers.slice(0, count)) }));
  assert.ok(three !== undefined && two !== undefined);
  assert.deepEqual(effects(three, two), ['loosens']);
  assert.deepEqual(effects(two, three), ['loosens']);
  assert.ok(loosens(comparePolicies(defaultPolicy(), two)) && loosens(comparePolicies(two, defaultPolicy())));
});

test('[POLICY-3] the canonical document says the same policy, in whatever order it was written', () => {
  fc.assert(
    fc.property(anyPolicy, (policy) => {
      const { bytes } = policyDocument(policy);
      const read = mustBe(parsePolicyDocument(bytes));
      assert.deepEqual(comparePolicies(policy, read), []);
      assert.deepEqual(policyDocument(read).bytes, bytes);
      assert.deepEqual(policyDocument(reversed(policy)).bytes, bytes);
    }),
    RUNS,
  );
});

test('[POLICY-3] policies that differ have other hashes, and a difference that is told', () => {
  fc.assert(
    fc.property(anyPolicy, anyEdits(2), (before, edit) => {
      const after = edit(before);
      const same = policyDocument(before).bytes.join() === policyDocument(after).bytes.join();
      assert.equal(comparePolicies(before, after).length === 0, same);
      const [a, b] = [before, after].map((policy) => Buffer.from(policyHash(nodeCrypto, policy)).toString('hex'));
      assert.equal(a === b, same);
    }),
    RUNS,
  );
});

/** The same policy, everything that has no order the other way round. */
function reversed(policy: TrustPolicy): TrustPolicy {
  return {
    ...policy,
    partnerLevelMax: new Map([...policy.partnerLevelMax].reverse()),
    blocked: new Set([...policy.blocked].reverse()),
    labelLevels: new Map([...policy.labelLevels].reverse()),
    permissions: [...policy.permissions].reverse(),
    anchors: [...policy.anchors].reverse(),
    documents: new Map([...policy.documents].reverse()),
    recommenders: new Set([...policy.recommenders].reverse()),
    approvers: new Set([...policy.approvers].reverse()),
  };
}

test('a document that is not canonical, of another type or with a strange value is refused', () => {
  const { bytes, json, kind } = policyDocument(defaultPolicy());
  const text = Buffer.from(bytes).toString();
  const refused = (changed: string, code: string) => {
    const read = parsePolicyDocument(Buffer.from(changed));
    assert.equal(read.ok ? 'read' : read.error.code, code, changed.slice(0, 80));
  };
  refused(` ${text}`, 'not_canonical');
  refused(text.replace('"type":"trust_policy"', '"type":"trust_politics"'), 'malformed');
  refused(text.replace('"level_max":"nato"', '"level_max":"cosmic"'), 'wrong_type');
  refused(text.replace('"own_level":"classified",', ''), 'missing_field');
  assert.equal(kind.type, json['type']);
});

test('a policy that was stored before a kind of evidence was known asks for it as the registry does', () => {
  const { kind, body } = policyDocument(defaultPolicy());
  const { compliance: _, ...evidence } = body.levels.basic.evidence;
  const older = { ...body, levels: { ...body.levels, basic: { ...body.levels.basic, evidence } } };
  const read = mustBe(parsePolicyDocument(draftDocument(kind, older).bytes));
  assert.equal(read.levels.basic.evidence.compliance, EVIDENCE.compliance.basic);
});
