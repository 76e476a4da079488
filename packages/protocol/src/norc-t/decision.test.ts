import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeCrypto } from '@norc/crypto/node';
import {
  mustBe,
  TEST_EPOCH,
  TEST_TERMS,
  testBytes,
  testOrganisation,
  testServerEvidence,
  testTrustCertificate,
} from '@norc/testkit';
import fc from 'fast-check';
import { instant, LEVELS, LIMITS, PERMISSIONS, TRUST_REASONS, type TrustReason } from '../base/index.ts';
import { signDocumentWith } from '../crypto/index.ts';
import {
  decideTrust,
  defaultPolicy,
  draftRevocation,
  emptyRevocations,
  exchangeIdFromBytes,
  explainDecision,
  extendRevocations,
  GRANTED_LEVELS,
  type GrantedLevel,
  pairLevel,
  type RevocationBody,
  type RevocationChain,
  type TrustDecision,
  type TrustFacts,
  type TrustQuestion,
  type VerifiedTrustCertificate,
} from './index.ts';

const crypto = nodeCrypto;
const alpha = testOrganisation('alpha.example');
const bravo = testOrganisation('bravo.example');
const evil = testOrganisation('evil.example');
const DAY = 86_400_000;
const given = testTrustCertificate(alpha, bravo);
const received = testTrustCertificate(bravo, alpha);

const question: TrustQuestion = {
  local: alpha.domain,
  remote: bravo.domain,
  direction: 'outgoing',
  permission: 'message_relay',
  label: 'unclassified',
  bytes: 1000,
};

function facts(changes: Partial<TrustFacts> = {}): TrustFacts {
  const now = changes.now ?? TEST_EPOCH;
  return { certificates: [given, received], revocations: [], heardAt: now, policy: defaultPolicy(), now, ...changes };
}

type Said = Partial<RevocationBody> & Pick<RevocationBody, 'action'>;

/** A chain of alpha about `certificate`. */
function said(certificate: VerifiedTrustCertificate, ...statements: readonly Said[]): RevocationChain {
  return statements.reduce(
    (chain, statement) => continued(chain, certificate, statement),
    emptyRevocations(certificate.issuer),
  );
}

function continued(chain: RevocationChain, certificate: VerifiedTrustCertificate, statement: Said): RevocationChain {
  const organisation = certificate.issuer === alpha.domain ? alpha : bravo;
  const draft = draftRevocation(chain, {
    subject: certificate.subject,
    certificate_id: certificate.certificateId,
    reason: 'test',
    issued_at: TEST_EPOCH,
    effective_at: TEST_EPOCH,
    ...statement,
  });
  const { bytes } = signDocumentWith(crypto, draft, organisation.server);
  return mustBe(extendRevocations(crypto, chain, bytes, [testServerEvidence(organisation)]));
}

function denied(decision: TrustDecision, reason: TrustReason): void {
  assert.equal(decision.kind === 'deny' ? decision.reason : 'allowed', reason);
  if (decision.kind === 'deny') assert.equal(decision.code, TRUST_REASONS[reason].code);
}

test('two certificates in force, one each way, allow at the lower of their levels', () => {
  const allowed = decideTrust(question, facts());
  assert.deepEqual(allowed, {
    kind: 'allow',
    level: 'basic',
    natoCapable: false,
    pair: { given: given.certificateId, received: received.certificateId, limits: TEST_TERMS.limits },
  });
  const higher = testTrustCertificate(alpha, bravo, { level: 'classified' });
  assert.equal(pairLevel(alpha.domain, bravo.domain, facts({ certificates: [higher, received] })), 'basic');
  assert.equal(pairLevel(alpha.domain, evil.domain, facts()), 'untrusted');
});

test('each reason, in the order of the checks', () => {
  const with_ = (changes: Partial<TrustFacts>) => decideTrust(question, facts(changes));
  denied(with_({ policy: defaultPolicy({ blocked: new Set([bravo.domain]) }) }), 'blocked');
  denied(with_({ forked: new Set([bravo.domain]) }), 'forked');
  denied(with_({ certificates: [received] }), 'none_given');
  denied(with_({ certificates: [given] }), 'none_received');
  denied(with_({ revocations: [said(given, { action: 'revoke' })] }), 'revoked');
  denied(with_({ revocations: [said(received, { action: 'revoke' })] }), 'revoked');
  const condition = { name: 'report', kind: 'report', deadline: TEST_EPOCH, action: 'revoke' } as const;
  const conditional = testTrustCertificate(alpha, bravo, { conditions: [condition] });
  denied(with_({ certificates: [conditional, received] }), 'condition_failed');
  const over = instant(TEST_EPOCH + 90 * DAY);
  denied(with_({ now: over }), 'expired');
  denied(with_({ now: instant(TEST_EPOCH - 1) }), 'not_yet_valid');
  denied(with_({ revocations: [said(given, { action: 'suspend' })] }), 'suspended');
  const impostor = testTrustCertificate(testOrganisation('bravo.example', {}, 'impostor'), alpha);
  denied(with_({ certificates: [given, impostor] }), 'keys_differ');
  denied(with_({ heardAt: undefined }), 'stale');
  denied(with_({ heardAt: instant(TEST_EPOCH - LIMITS.revocationAgeMillisecondsMax - 1) }), 'stale');
  denied(decideTrust({ ...question, permission: 'presence' }, facts()), 'permission');
  denied(decideTrust({ ...question, label: 'confidential' }, facts()), 'label');
  const [up, down] = [
    testTrustCertificate(alpha, bravo, { level: 'nato' }),
    testTrustCertificate(bravo, alpha, { level: 'nato' }),
  ];
  denied(decideTrust({ ...question, label: 'nato_secret' }, facts({ certificates: [up, down] })), 'nato');
  denied(decideTrust({ ...question, bytes: 2 ** 40 }, facts()), 'size');
});

test('who acts decides whose grant counts', () => {
  const generous = testTrustCertificate(bravo, alpha, { permissions: ['message_relay', 'presence'] });
  const certificates = [given, generous];
  const ask = (direction: 'outgoing' | 'incoming') =>
    decideTrust({ ...question, direction, permission: 'presence' }, facts({ certificates }));
  assert.equal(ask('outgoing').kind, 'allow');
  denied(ask('incoming'), 'permission');
});

test('a revoked certificate stays revoked, a suspended one comes back, a downgraded one goes up only by restore', () => {
  const level = (...statements: readonly Said[]) =>
    pairLevel(
      alpha.domain,
      bravo.domain,
      facts({ certificates: [high, low], revocations: [said(high, ...statements)] }),
    );
  const high = testTrustCertificate(alpha, bravo, { level: 'classified' });
  const low = testTrustCertificate(bravo, alpha, { level: 'classified' });
  assert.equal(level({ action: 'revoke' }, { action: 'restore' }), 'untrusted');
  assert.equal(level({ action: 'suspend' }), 'untrusted');
  assert.equal(level({ action: 'suspend' }, { action: 'restore' }), 'classified');
  assert.equal(level({ action: 'restore' }, { action: 'suspend' }), 'untrusted');
  assert.equal(level({ action: 'downgrade', level: 'basic' }), 'basic');
  assert.equal(level({ action: 'downgrade', level: 'basic' }, { action: 'downgrade', level: 'verified' }), 'basic');
  assert.equal(level({ action: 'downgrade', level: 'basic' }, { action: 'restore' }), 'classified');
  assert.equal(level({ action: 'downgrade', level: 'nato' }), 'classified');
});

test('[TRUST-25] a future-dated statement is held until its time', () => {
  const revocations = [said(given, { action: 'revoke', effective_at: TEST_EPOCH + DAY })];
  assert.equal(decideTrust(question, facts({ revocations })).kind, 'allow');
  assert.equal(decideTrust(question, facts({ revocations, now: instant(TEST_EPOCH + DAY - 1) })).kind, 'allow');
  denied(decideTrust(question, facts({ revocations, now: instant(TEST_EPOCH + DAY) })), 'revoked');
});

test('[TRUST-69] a condition that was agreed later acts on what overlaps, one that was agreed earlier does not', () => {
  const condition = { name: 'report', kind: 'report', deadline: TEST_EPOCH + 2 * DAY, action: 'revoke' } as const;
  const first = { not_before: TEST_EPOCH, not_after: TEST_EPOCH + 60 * DAY };
  const second = { not_before: TEST_EPOCH + DAY, not_after: TEST_EPOCH + 30 * DAY };
  const level = (one: VerifiedTrustCertificate, other: VerifiedTrustCertificate, days: number, met = false) => {
    const revocations = met ? [said(other, { action: 'condition_met', condition: 'report' })] : [];
    const now = instant(TEST_EPOCH + days * DAY);
    return pairLevel(alpha.domain, bravo.domain, facts({ certificates: [one, other, received], revocations, now }));
  };
  const plain = testTrustCertificate(alpha, bravo, first);
  const conditional = testTrustCertificate(alpha, bravo, { ...second, conditions: [condition] });
  assert.equal(level(plain, conditional, 1), 'basic');
  assert.equal(level(plain, conditional, 2), 'untrusted');
  assert.equal(level(plain, conditional, 2, true), 'basic');
  assert.equal(level(plain, conditional, 40), 'untrusted', 'also when the newer one is over');
  const before = testTrustCertificate(alpha, bravo, { ...first, conditions: [condition] });
  const after = testTrustCertificate(alpha, bravo, second);
  assert.equal(level(before, after, 3), 'basic', 'it was agreed anew, without');
});

test('a condition acts by itself at its deadline unless it was met', () => {
  const condition = { name: 'report', kind: 'unknown kind', deadline: TEST_EPOCH + DAY } as const;
  const revoke = testTrustCertificate(alpha, bravo, { conditions: [{ ...condition, action: 'revoke' }] });
  const lower = testTrustCertificate(alpha, bravo, {
    level: 'verified',
    conditions: [{ ...condition, action: 'downgrade', level: 'basic' }],
  });
  const notify = testTrustCertificate(alpha, bravo, { conditions: [{ ...condition, action: 'notify' }] });
  const back = testTrustCertificate(bravo, alpha, { level: 'verified' });
  const at = (one: VerifiedTrustCertificate, days: number, ...statements: readonly Said[]) =>
    pairLevel(
      alpha.domain,
      bravo.domain,
      facts({
        certificates: [one, back],
        revocations: [said(one, ...statements)],
        now: instant(TEST_EPOCH + days * DAY),
      }),
    );
  assert.deepEqual([at(revoke, 0), at(revoke, 1)], ['basic', 'untrusted']);
  assert.deepEqual([at(lower, 0), at(lower, 1)], ['verified', 'basic']);
  assert.deepEqual([at(notify, 0), at(notify, 1)], ['basic', 'basic']);
  assert.equal(at(revoke, 1, { action: 'condition_met', condition: 'report' }), 'basic');
  assert.equal(at(revoke, 1, { action: 'condition_met', condition: 'another' }), 'untrusted');
});

test('[TRUST-56] halves of two exchanges add up to nothing that neither allows alone', () => {
  const [one, two] = ['one', 'two'].map((name) => exchangeIdFromBytes(testBytes(`exchange ${name}`, 16)));
  assert.ok(one !== undefined && two !== undefined);
  const certificate = (from: typeof alpha, to: typeof alpha, exchange_id: typeof one, nato_capable: boolean) =>
    testTrustCertificate(from, to, {
      ...{
        level: 'classified',
        exchange_id,
        not_before: TEST_EPOCH - (exchange_id === one ? 2 : 1),
        not_after: TEST_EPOCH + DAY,
      },
      ...(nato_capable ? { nato_capable } : {}),
    });
  const first = [certificate(alpha, bravo, one, true), certificate(bravo, alpha, one, false)] as const;
  const second = [certificate(alpha, bravo, two, false), certificate(bravo, alpha, two, true)] as const;
  const nato: TrustQuestion = { ...question, label: 'nato_confidential' };
  denied(decideTrust(nato, facts({ certificates: [...first, ...second] })), 'nato');
  assert.equal(decideTrust(question, facts({ certificates: [...first, ...second] })).kind, 'allow');
  const revocations = [said(second[0], { action: 'revoke' })];
  denied(decideTrust(question, facts({ certificates: [first[0], ...second], revocations })), 'revoked');
  denied(decideTrust(question, facts({ certificates: [first[0], second[1]] })), 'none_given');
  const gone = [said(first[1], { action: 'suspend' }), ...revocations];
  denied(decideTrust(question, facts({ certificates: [...first, second[0]], revocations: gone })), 'suspended');
});

test('renewals overlap without a gap, and the newest certificate explains a refusal', () => {
  const renewal = testTrustCertificate(alpha, bravo, {
    not_before: TEST_EPOCH + 80 * DAY,
    not_after: TEST_EPOCH + 170 * DAY,
  });
  const back = testTrustCertificate(bravo, alpha, { not_after: TEST_EPOCH + 365 * DAY });
  const certificates = [given, renewal, back];
  for (const days of [0, 79, 80, 89, 90, 169]) {
    assert.equal(decideTrust(question, facts({ certificates, now: instant(TEST_EPOCH + days * DAY) })).kind, 'allow');
  }
  const ended = decideTrust(question, facts({ certificates, now: instant(TEST_EPOCH + 170 * DAY) }));
  assert.ok(ended.kind === 'deny' && ended.about?.certificateId === renewal.certificateId);
});

test('inside one organisation its own ceiling applies', () => {
  const inside = { ...question, remote: alpha.domain };
  assert.equal(decideTrust({ ...inside, label: 'secret' }, facts()).kind, 'allow');
  denied(decideTrust({ ...inside, label: 'top_secret' }, facts()), 'label');
  denied(decideTrust({ ...inside, label: 'nato_restricted' }, facts()), 'nato');
});

test('certificates and revocations of other organisations change nothing', () => {
  const others = [testTrustCertificate(evil, bravo), testTrustCertificate(bravo, evil, { level: 'nato' })];
  const certificates = [...others, given, received];
  assert.deepEqual(decideTrust(question, facts({ certificates })), decideTrust(question, facts()));
  const foreign = said(received, { action: 'revoke' });
  const moved = facts({ certificates: [given, others[1] ?? received], revocations: [foreign] });
  denied(decideTrust(question, moved), 'none_received');
});

test('every decision is explained with its organisations and its number, and no more', () => {
  for (const reason of Object.keys(TRUST_REASONS) as TrustReason[]) {
    const text = explainDecision(question, { kind: 'deny', reason, code: TRUST_REASONS[reason].code, level: 'basic' });
    assert.ok(text.includes(`reason ${TRUST_REASONS[reason].number} (${reason})`), text);
  }
  const expired = explainDecision(question, decideTrust(question, facts({ now: instant(TEST_EPOCH + 90 * DAY) })));
  assert.equal(
    expired,
    'message_relay from alpha.example to bravo.example: refused, reason 6 (expired). ' +
      'The certificate that alpha.example gave bravo.example ended 2026-12-20T14:13:20Z.',
  );
  assert.equal(
    explainDecision({ ...question, label: 'secret' }, decideTrust({ ...question, label: 'secret' }, facts())),
    'message_relay from alpha.example to bravo.example: refused, reason 12 (label). ' +
      'The label secret needs level classified; the level here is basic.',
  );
});

// Properties over random certificates, statements, questions and times.

const pool = (issuer: typeof alpha, subject: typeof alpha) =>
  GRANTED_LEVELS.flatMap((level) =>
    [0, 40].map((begin) =>
      testTrustCertificate(issuer, subject, {
        level,
        permissions: begin === 0 ? ['message_relay', 'presence'] : ['message_relay'],
        not_before: TEST_EPOCH + begin * DAY,
        not_after: TEST_EPOCH + (begin + 50) * DAY,
        conditions: [
          { name: 'c', kind: 'k', deadline: TEST_EPOCH + (begin + 30) * DAY, action: 'downgrade', level: 'basic' },
        ].slice(level === 'basic' ? 1 : 0) as [],
      }),
    ),
  );
const pools = [...pool(alpha, bravo), ...pool(bravo, alpha)];
const anyCertificates = fc.subarray(pools, { minLength: 2 });
const anyTime = fc.integer({ min: -1, max: 95 }).map((days) => instant(TEST_EPOCH + days * DAY));
const anyQuestion = fc.record({
  local: fc.constant(alpha.domain),
  remote: fc.constant(bravo.domain),
  direction: fc.constantFrom('outgoing' as const, 'incoming' as const),
  permission: fc.constantFrom(...PERMISSIONS.slice(0, 3)),
  label: fc.constantFrom('unclassified' as const, 'confidential' as const, 'secret' as const),
  bytes: fc.constant(1000),
});
const anyStatement = fc.record({
  certificate: fc.constantFrom(...pools),
  said: fc.constantFrom<Said>(
    { action: 'revoke' },
    { action: 'suspend' },
    { action: 'downgrade', level: 'basic' },
    { action: 'downgrade', level: 'verified' },
  ),
  days: fc.integer({ min: 0, max: 60 }),
});
type AnyStatement = { readonly certificate: VerifiedTrustCertificate; readonly said: Said; readonly days: number };

function chainsOf(statements: readonly AnyStatement[]): readonly RevocationChain[] {
  return [alpha, bravo].map((organisation) =>
    statements
      .filter(({ certificate }) => certificate.issuer === organisation.domain)
      .reduce(
        (chain, { certificate, said: one, days }) =>
          continued(chain, certificate, { ...one, effective_at: TEST_EPOCH + days * DAY }),
        emptyRevocations(organisation.domain),
      ),
  );
}

/** 0 when denied; higher when more is allowed. */
function width(decision: TrustDecision): number {
  return decision.kind === 'deny' ? 0 : LEVELS[decision.level].rank;
}

test('[TRUST-50] more revocations never widen a decision', () => {
  fc.assert(
    fc.property(
      anyCertificates,
      fc.array(anyStatement, { maxLength: 4 }),
      fc.array(anyStatement, { minLength: 1, maxLength: 2 }),
      anyQuestion,
      anyTime,
      (certificates, first, more, asked, now) => {
        const before = decideTrust(asked, facts({ certificates, revocations: chainsOf(first), now }));
        const after = decideTrust(asked, facts({ certificates, revocations: chainsOf([...first, ...more]), now }));
        assert.ok(width(after) <= width(before));
      },
    ),
    { numRuns: 60 },
  );
});

test('[TRUST-51] the order of certificates and chains does not matter, nor do older copies of a chain', () => {
  fc.assert(
    fc.property(
      anyCertificates,
      fc.array(anyStatement, { minLength: 1, maxLength: 4 }),
      anyQuestion,
      anyTime,
      fc.gen(),
      (certificates, statements, asked, now, gen) => {
        const revocations = chainsOf(statements);
        const expected = decideTrust(asked, facts({ certificates, revocations, now }));
        const shuffled = gen(() => fc.shuffledSubarray(certificates, { minLength: certificates.length }));
        const older = [...chainsOf(statements.slice(0, -1)), ...revocations];
        const copies = gen(() => fc.shuffledSubarray(older, { minLength: older.length }));
        assert.deepEqual(decideTrust(asked, facts({ certificates: shuffled, revocations: copies, now })), expected);
      },
    ),
    { numRuns: 60 },
  );
});

test('[TRUST-51] a refusal names the highest level that was missed, whatever the order', () => {
  const [basic, verified] = [given, testTrustCertificate(alpha, bravo, { level: 'verified' })];
  const back = testTrustCertificate(bravo, alpha, { level: 'verified' });
  const asked: TrustQuestion = { ...question, label: 'secret' };
  for (const certificates of [
    [basic, verified, back],
    [back, verified, basic],
  ]) {
    const decision = decideTrust(asked, facts({ certificates }));
    assert.ok(decision.kind === 'deny' && decision.level === 'verified');
  }
});

test('[TRUST-52] once every certificate has begun, time only narrows a decision', () => {
  const begun = fc.integer({ min: 40, max: 95 });
  fc.assert(
    fc.property(
      anyCertificates,
      fc.array(anyStatement, { maxLength: 3 }),
      anyQuestion,
      begun,
      begun,
      (certificates, statements, asked, a, b) => {
        const revocations = chainsOf(statements);
        const at = (days: number) =>
          width(decideTrust(asked, facts({ certificates, revocations, now: instant(TEST_EPOCH + days * DAY) })));
        assert.ok(at(Math.max(a, b)) <= at(Math.min(a, b)));
      },
    ),
    { numRuns: 60 },
  );
});

test('[TRUST-54] a tighter policy caps trust that was agreed before', () => {
  const certificates = [
    testTrustCertificate(alpha, bravo, { level: 'classified' }),
    testTrustCertificate(bravo, alpha, { level: 'classified' }),
  ];
  const under = (policy: Parameters<typeof defaultPolicy>[0]) => facts({ certificates, policy: defaultPolicy(policy) });
  const levelUnder = (policy: Parameters<typeof defaultPolicy>[0]) =>
    pairLevel(alpha.domain, bravo.domain, under(policy));
  assert.equal(levelUnder({}), 'classified');
  assert.equal(levelUnder({ levelMax: 'verified' }), 'verified');
  assert.equal(levelUnder({ partnerLevelMax: new Map([[bravo.domain, 'basic']]) }), 'basic');
  assert.equal(levelUnder({ partnerLevelMax: new Map([[evil.domain, 'basic']]) }), 'classified');
  const confidential: TrustQuestion = { ...question, label: 'confidential' };
  assert.equal(decideTrust(confidential, under({})).kind, 'allow');
  const raised = under({ labelLevels: new Map([['confidential', 'nato']]) });
  const refused = decideTrust(confidential, raised);
  denied(refused, 'label');
  assert.match(explainDecision(confidential, refused), /confidential needs level nato; the level here is classified/);
  denied(decideTrust({ ...confidential, remote: alpha.domain }, raised), 'label');
  const lowered = under({ labelLevels: new Map([['secret', 'basic']]), levelMax: 'verified' });
  denied(decideTrust({ ...question, label: 'secret' }, lowered), 'label');
});

const anyLevel = fc.constantFrom(...GRANTED_LEVELS);
const lower = (a: GrantedLevel, b: GrantedLevel): GrantedLevel => (LEVELS[a].rank <= LEVELS[b].rank ? a : b);
const higherOf = (a: GrantedLevel, b: GrantedLevel): GrantedLevel => (LEVELS[a].rank >= LEVELS[b].rank ? a : b);

test('[TRUST-54] tightening the policy never widens a decision', () => {
  const anyPolicy = fc.record({ max: anyLevel, partner: anyLevel, label: anyLevel, own: anyLevel });
  fc.assert(
    fc.property(
      anyCertificates,
      anyQuestion,
      anyTime,
      anyPolicy,
      anyPolicy,
      fc.boolean(),
      (certificates, asked, now, a, b, blocks) => {
        const under = (policy: typeof a, blocked: boolean) =>
          width(
            decideTrust(
              asked,
              facts({
                ...{ certificates, now },
                policy: defaultPolicy({
                  ...{ levelMax: policy.max, ownLevel: policy.own },
                  partnerLevelMax: new Map([[bravo.domain, policy.partner]]),
                  labelLevels: new Map([[asked.label, policy.label]]),
                  blocked: new Set(blocked ? [bravo.domain] : []),
                }),
              }),
            ),
          );
        const tighter = {
          ...{ max: lower(a.max, b.max), partner: lower(a.partner, b.partner), own: lower(a.own, b.own) },
          label: higherOf(a.label, b.label),
        };
        assert.ok(under(tighter, blocks) <= under(a, false));
      },
    ),
    { numRuns: 100 },
  );
});

test('a decision never gives more than either direction holds', () => {
  fc.assert(
    fc.property(anyCertificates, anyQuestion, anyTime, (certificates, asked, now) => {
      const decision = decideTrust(asked, facts({ certificates, now }));
      for (const issuer of [alpha.domain, bravo.domain]) {
        const best = Math.max(
          0,
          ...certificates.filter((one) => one.issuer === issuer).map(({ level }) => LEVELS[level].rank),
        );
        assert.ok(width(decision) <= best);
      }
    }),
    { numRuns: 100 },
  );
});
