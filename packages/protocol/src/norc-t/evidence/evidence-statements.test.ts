import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeCrypto } from '@norc/crypto/node';
import { mustBe, TEST_EPOCH, type TestOrganisation, testKeyPair, testOrganisation } from '@norc/testkit';
import fc from 'fast-check';
import { type Domain, instant, type Result } from '../../base/index.ts';
import {
  documentHash,
  draftDocument,
  parseDocument,
  type SignedDocument,
  signDocumentWith,
} from '../../crypto/index.ts';
import {
  type AttestationBody,
  type ComplianceBody,
  decodeRecommendation,
  decodeStatement,
  draftAttestation,
  draftCompliance,
  draftRecommendation,
  encodeRecommendation,
  encodeStatement,
  RECOMMENDATION_HOPS_MAX,
  type RecommendationBody,
  type SignedStatement,
  TRUST_RECOMMENDATION,
} from './evidence-documents.ts';
import {
  type RecommendationView,
  verifyAttestation,
  verifyCompliance,
  verifyRecommendation,
} from './evidence-statements.ts';

const DAY_MS = 86_400_000;
const NOW = instant(TEST_EPOCH + 10 * DAY_MS);
const SELF = testOrganisation('alpha.example');
const SUBJECT = testOrganisation('bravo.example');
const DATES = { issued_at: NOW - DAY_MS, expires_at: NOW + 30 * DAY_MS };
/** r1 is trusted by us; each next one is known to the one before. */
const RECOMMENDERS = ['r1', 'r2', 'r3', 'r4', 'r5'].map((name) => testOrganisation(`${name}.example`));
const [R1, R2] = RECOMMENDERS as [TestOrganisation, TestOrganisation]; // five of them
const subject = { domain: SUBJECT.domain, rootKey: SUBJECT.root.publicKey };

function sign(document: SignedDocument<unknown>, by: TestOrganisation): SignedStatement {
  return { document: signDocumentWith(nodeCrypto, document, by.server).bytes, certificate: by.certificate.bytes };
}

function recommendation(
  by: TestOrganisation,
  changes: Partial<RecommendationBody> = {},
  next?: { readonly by: TestOrganisation; readonly statement: SignedStatement },
): SignedStatement {
  const passes =
    next === undefined
      ? {}
      : {
          passes_on: {
            recommender: next.by.domain,
            root_key: next.by.root.publicKey,
            statement: documentHash(nodeCrypto, mustBe(parseDocument(TRUST_RECOMMENDATION, next.statement.document))),
          },
        };
  const body: RecommendationBody = {
    ...{ recommender: by.domain, subject: SUBJECT.domain, root_key: SUBJECT.root.publicKey },
    ...{ level: 'classified', hops: 1, ...DATES, ...passes, ...changes },
  };
  return sign(draftDocument(TRUST_RECOMMENDATION, body), by); // an attacker's draft is not checked
}

/** The first `by` passes on what the second says, and so on. */
function chainOf(
  by: readonly TestOrganisation[],
  changes: (index: number) => Partial<RecommendationBody> = () => ({}),
) {
  const chain: SignedStatement[] = [];
  for (const [index, one] of [...by.entries()].reverse()) {
    const [statement] = chain;
    const after = by[index + 1];
    const next = statement === undefined || after === undefined ? undefined : { by: after, statement };
    chain.unshift(recommendation(one, { hops: by.length - index, ...changes(index) }, next));
  }
  return chain;
}

function view(changes: Partial<RecommendationView> = {}): RecommendationView {
  return {
    ...{ self: SELF.domain, subject, now: NOW, level: 'verified', blocked: new Set() },
    rootKey: (domain) => (domain === R1.domain ? R1.root.publicKey : undefined),
    recommenders: new Set([R1.domain]),
    ...changes,
  };
}

const check = (chain: readonly SignedStatement[], changes?: Partial<RecommendationView>) =>
  verifyRecommendation(nodeCrypto, chain, view(changes));

function refused(result: Result<unknown>, reason: RegExp): void {
  assert.ok(!result.ok, 'must be refused');
  assert.match(result.error.detail, reason);
}

test('[EVID-30] a recommendation by an organisation that is trusted now holds', () => {
  const held = mustBe(check(chainOf([R1])));
  assert.equal(held.weight, 0.95);
  assert.deepEqual(held.recommenders, [R1.domain]);
  assert.equal(held.expiresAt, DATES.expires_at);
});

test('[EVID-31] one that is passed on is worth less with every hop, and no more than four count', () => {
  for (let hops = 1; hops <= RECOMMENDATION_HOPS_MAX; hops += 1) {
    const held = mustBe(check(chainOf(RECOMMENDERS.slice(0, hops))));
    assert.ok(Math.abs(held.weight - 0.95 ** hops) < 1e-12);
    assert.equal(held.recommenders.length, hops);
  }
  assert.throws(() => chainOf(RECOMMENDERS), RangeError);
  const four = chainOf(RECOMMENDERS.slice(0, 4));
  refused(check(four.slice(1)), /does not count recommendations by r2/);
  refused(check(four.slice(0, 3)), /hops/);
  refused(check([]), /empty/);
});

test('[EVID-30] attack: a recommender that is not, or no longer, trusted', () => {
  refused(check(chainOf([R1]), { rootKey: () => undefined }), /r1\.example is not trusted now/);
  refused(check(chainOf([R1]), { recommenders: new Set() }), /policy does not count/);
  refused(check(chainOf([R1]), { rootKey: () => R2.root.publicKey }), /not signed by the pinned root key/);
  refused(check(chainOf([R1, R2]), { blocked: new Set([R2.domain]) }), /blocks r2/);
  const impostor = testOrganisation('r1.example', {}, 'somebody else');
  refused(check(chainOf([impostor])), /not signed by the pinned root key/);
});

test('[EVID-32] attack: somebody vouches for themselves, directly, around a corner, or under another name', () => {
  const all = { recommenders: new Set([R1.domain, SUBJECT.domain, SELF.domain]) };
  refused(check(chainOf([R1, SUBJECT].map((one) => ({ ...one }))), all), /themselves/);
  refused(check(chainOf([R1, R2, R1])), /loop/);
  refused(check(chainOf([R1, SELF])), /our own/);
  const alias: TestOrganisation = { ...testOrganisation('r2.example'), root: SUBJECT.root };
  refused(check(chainOf([R1, alias])), /not signed by the pinned root key|themselves/);
});

test('[EVID-33] attack: one hop is put in the place of another', () => {
  const [outer, inner] = chainOf([R1, R2]) as [SignedStatement, SignedStatement]; // two hops
  const other = recommendation(R2, { level: 'nato' });
  refused(check([outer, other]), /another recommendation than was passed on/);
  const [, r3] = chainOf([R1, RECOMMENDERS[2] as TestOrganisation]) as [SignedStatement, SignedStatement]; // five of them
  refused(check([outer, r3]), /another recommender/);
  refused(check([inner, outer]), /does not count/);
  refused(check([outer]), /hops/);
  refused(check([outer, { ...inner, certificate: R1.certificate.bytes }]), /organisation of the server certificate/);
  const known = (domain: Domain) => (domain === R1.domain ? R1.root.publicKey : testKeyPair('newer').publicKey);
  refused(check([outer, inner], { rootKey: known }), /another root key of r2/);
});

test('[EVID-34] who passes on may lower the level, not raise it; and it must be enough', () => {
  const lowered = chainOf([R1, R2], (index) => ({ level: index === 0 ? 'verified' : 'nato' }));
  assert.equal(mustBe(check(lowered)).level, 'verified');
  refused(check(lowered, { level: 'classified' }), /recommends for verified at most/);
  refused(check(chainOf([R1, R2], (index) => ({ level: index === 0 ? 'nato' : 'verified' }))), /raised/);
});

test('[EVID-35] attack: it is about another organisation, or another root key of it', () => {
  refused(check(chainOf([R1], () => ({ subject: R2.domain }))), /about r2/);
  refused(check(chainOf([R1], () => ({ root_key: R2.root.publicKey }))), /another root key/);
  refused(check(chainOf([R1, R2], (i) => (i === 1 ? { root_key: R2.root.publicKey } : {}))), /another root key/);
});

test('[EVID-36] dates of statements', () => {
  const dated = (issued_at: number, expires_at: number) => check(chainOf([R1], () => ({ issued_at, expires_at })));
  refused(dated(NOW - 2 * DAY_MS, NOW), /expired/);
  refused(dated(NOW + 300_001, NOW + DAY_MS), /from the future/);
  assert.ok(dated(NOW + 299_000, NOW + DAY_MS).ok, 'clocks differ a little');
  refused(dated(NOW + 1, NOW + 1), /ends before it begins/);
  refused(dated(NOW, NOW + 367 * DAY_MS), /longer than 366 days/);
  const shortest = chainOf([R1, R2], (index) => (index === 1 ? { expires_at: NOW + DAY_MS } : {}));
  assert.equal(mustBe(check(shortest)).expiresAt, NOW + DAY_MS);
  refused(check(chainOf([R1]), { now: instant(NOW + 3000 * DAY_MS) }), /expired/);
});

test('[EVID-30] no change of a recommendation survives', () => {
  const encoded = encodeRecommendation(chainOf([R1, R2]));
  assert.deepEqual(mustBe(decodeRecommendation(encoded)), chainOf([R1, R2]));
  const property = fc.property(fc.nat(encoded.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
    const changed = Uint8Array.from(encoded);
    changed[at] = (changed[at] ?? 0) ^ flip;
    const decoded = decodeRecommendation(changed);
    return !decoded.ok || !check(decoded.value).ok;
  });
  fc.assert(property, { numRuns: 150 });
});

test('a statement that could never hold is not drafted', () => {
  const body: RecommendationBody = {
    ...{ recommender: R1.domain, subject: SUBJECT.domain, root_key: SUBJECT.root.publicKey },
    ...{ level: 'basic', hops: 1, ...DATES },
  };
  draftRecommendation(body);
  assert.throws(() => draftRecommendation({ ...body, subject: R1.domain }), /themselves/);
  assert.throws(() => draftRecommendation({ ...body, hops: 2 }), /hops/);
  assert.throws(() => draftRecommendation({ ...body, hops: 0 }), /hops/);
  assert.throws(() => draftRecommendation({ ...body, expires_at: body.issued_at }), /ends before/);
});

const RULES = [{ scheme: 'iso27001', statedBy: new Set([R1.domain]) }];

function compliance(by: TestOrganisation, changes: Partial<ComplianceBody> = {}): SignedStatement {
  const body: ComplianceBody = {
    ...{ stated_by: by.domain, subject: SUBJECT.domain, root_key: SUBJECT.root.publicKey },
    ...{ scheme: 'iso27001', scope: 'all servers', ...DATES, ...changes },
  };
  return sign(draftCompliance(body), by);
}

test('[EVID-40] a compliance statement counts when the policy knows the scheme and who may state it', () => {
  const checked = (statement: SignedStatement, changes: Partial<RecommendationView> = {}, rules = RULES) =>
    verifyCompliance(nodeCrypto, statement, { ...view(changes), rules });
  const encoded = encodeStatement(compliance(R1));
  assert.equal(mustBe(checked(mustBe(decodeStatement(encoded)))).body.scheme, 'iso27001');
  refused(checked(compliance(R1), {}, []), /does not count the scheme/);
  refused(checked(compliance(R2)), /does not let r2/);
  refused(checked(compliance(R1, { scheme: 'soc2' })), /does not count the scheme soc2/);
  refused(checked(compliance(R1), { rootKey: () => undefined }), /not trusted now/);
  refused(checked(compliance(R1, { root_key: R2.root.publicKey })), /another root key/);
  refused(checked(compliance(R1, { issued_at: NOW - 2, expires_at: NOW - 1 })), /expired/);
  refused(checked({ ...compliance(R1), certificate: R2.certificate.bytes }), /organisation of the server/);
  refused(checked(recommendation(R1)), /stated_by/);
  assert.throws(() => compliance(SUBJECT), /themselves/);
});

test('[EVID-50] an organisation states what its own devices attest, with its own trust key', () => {
  const body: AttestationBody = {
    ...{ org: SUBJECT.domain, root_key: SUBJECT.root.publicKey, policy: new Uint8Array(32), ...DATES },
    platforms: [
      { platform: 'ios', attested_percent: 100 },
      { platform: 'linux', attested_percent: 40 },
    ],
  };
  const checked = (statement: SignedStatement) => verifyAttestation(nodeCrypto, statement, { subject, now: NOW });
  assert.equal(mustBe(checked(sign(draftAttestation(body), SUBJECT))).leastPercent, 40);
  refused(checked(sign(draftAttestation(body), R1)), /organisation of the server certificate/);
  refused(checked({ ...sign(draftAttestation(body), R1), certificate: SUBJECT.certificate.bytes }), /signature/);
  refused(checked(sign(draftAttestation({ ...body, org: R1.domain }), SUBJECT)), /about r1/);
  refused(checked(sign(draftAttestation({ ...body, root_key: R1.root.publicKey }), SUBJECT)), /another root key/);
  assert.throws(() => draftAttestation({ ...body, platforms: [] }), /platform/);
  const devicesOnly = testOrganisation('bravo.example', { usages: ['devices'] });
  refused(checked(sign(draftAttestation(body), devicesOnly)), /usage trust/);
});
