import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeCrypto } from '@norc/crypto/node';
import {
  domainFinding,
  type ExchangeOptions,
  mustBe,
  NO_RECORD,
  parsedDocument,
  resigned,
  runTrustExchange,
  TEST_EPOCH,
  TEST_TERMS,
  type TrustExchange,
  type TrustSide,
  testBytes,
  testFinding,
  testOrganisation,
  testParty,
  testSide,
  testTrustRequest,
  trueEvidence,
} from '@norc/testkit';
import fc from 'fast-check';
import { EVIDENCE, type EvidenceKind, instant, toBase64Url, utf8 } from '../../base/index.ts';
import {
  type ConditionRule,
  clipText,
  decodeEvidenceRecord,
  defaultPolicy,
  domainProofText,
  type EvidenceQuestion,
  encodeEvidenceRecord,
  exchangeIdFromBytes,
  type Finding,
  findingsOf,
  loadFinding,
  resumeResponder,
  stepResponder,
  storeFinding,
  verifyTrustCertificate,
} from '../index.ts';

const alphaOrg = testOrganisation('alpha.example');
const bravoOrg = testOrganisation('bravo.example');
const [alpha, bravo] = [testSide(alphaOrg), testSide(bravoOrg)];
const DAY_MS = 86_400_000;
const VERIFIED: ExchangeOptions = { request: { level: 'verified', validDays: 180 } };

const phases = ({ initiator, responder }: TrustExchange) => [initiator.state?.phase, responder.state?.phase];
const held = (kind: EvidenceKind, changes: Partial<Finding> = {}) => testFinding(kind, TEST_EPOCH, changes);

/** A side that finds exactly this about the other, besides that its domain names it. */
function finds(organisation: typeof alphaOrg, findings: readonly Finding[], record = NO_RECORD): TrustSide {
  const evidence = ({ peer }: EvidenceQuestion) => ({
    findings: [domainFinding(peer, TEST_EPOCH), ...findings],
    record,
  });
  return testSide(organisation, { evidence });
}

function issuedBy(exchange: TrustExchange, org = bravoOrg) {
  const kept = exchange.initiator.last('keep_certificates');
  return mustBe(
    verifyTrustCertificate(nodeCrypto, kept?.[org === bravoOrg ? 'received' : 'given'] ?? new Uint8Array(), {
      issuer: org.pinned,
      now: TEST_EPOCH,
    }),
  ).document.body;
}

test('[TRUST-83] certificates end with the first evidence that is required, and are refused where that is within a day', () => {
  const soon = (days: number) => ({ expiresAt: instant(TEST_EPOCH + days * DAY_MS) });
  const about = (days: number) => [
    held('organisation_identity', { method: 'x509', ...soon(days) }),
    held('pki_chain'),
    held('compliance', soon(3)), // not required: it is no end
  ];
  const exchange = runTrustExchange(alpha, finds(bravoOrg, about(20)), VERIFIED);
  for (const org of [alphaOrg, bravoOrg]) assert.equal(issuedBy(exchange, org).not_after, TEST_EPOCH + 20 * DAY_MS);
  const other = runTrustExchange(finds(alphaOrg, about(10)), finds(bravoOrg, about(20)), VERIFIED);
  assert.equal(issuedBy(other).not_after, TEST_EPOCH + 10 * DAY_MS);
  const twice = [...about(20), held('organisation_identity', { method: 'x509', ...soon(40) })];
  assert.equal(issuedBy(runTrustExchange(alpha, finds(bravoOrg, twice), VERIFIED)).not_after, TEST_EPOCH + 40 * DAY_MS);
  const refused = runTrustExchange(alpha, finds(bravoOrg, about(0.5)), VERIFIED);
  assert.match(refused.initiator.last('ended')?.detail ?? '', /insufficient_trust: evidence expires within a day/);
});

test('[TRUST-72] verified is granted on evidence, and every finding is kept on both sides', () => {
  const exchange = runTrustExchange(alpha, bravo, VERIFIED);
  assert.deepEqual(phases(exchange), ['established', 'established']);
  for (const { state } of [exchange.initiator, exchange.responder]) {
    assert.ok(state?.phase === 'established');
    const kinds = findingsOf(state.review).map(({ kind, result }) => `${kind} ${result}`);
    assert.ok(kinds.includes('organisation_identity held') && kinds.includes('post_quantum_signature absent'));
  }
  const evidence = issuedBy(exchange).evidence.map(({ kind }) => kind);
  assert.deepEqual(evidence, [
    'domain_proof',
    'organisation_identity',
    'pki_chain',
    'device_attestation',
    'compliance',
    'key_proof',
  ]);
});

test('[TRUST-72] a level is refused with each kind that is missing, and why', () => {
  const failed = held('organisation_identity', { result: 'failed', detail: 'the chain ends in an unknown authority' });
  const exchange = runTrustExchange(alpha, finds(bravoOrg, [failed]), VERIFIED);
  const told = exchange.initiator.last('ended')?.detail ?? '';
  assert.match(told, /evidence_rejected: level verified lacks organisation_identity: the chain ends in an unknown/);
  assert.match(told, /score 30 of at least 70 \(chain 0 of 30, organisation 0 of 20/);
  assert.ok(exchange.responder.state?.phase === 'ended');
  assert.equal(exchange.responder.state.review?.findings.length, 4);
});

test('[TRUST-72] a score below the minimum is refused with the points that are missing, by either side', () => {
  const poor = [held('organisation_identity', { method: 'documents' })];
  const second = runTrustExchange(alpha, finds(bravoOrg, poor), VERIFIED).initiator.last('ended')?.detail;
  const points = 'chain 0 of 30, compliance 0 of 10, history 0 of 10';
  assert.equal(second, `insufficient_trust: level verified lacks score 50 of at least 70 (${points})`);
  const first = runTrustExchange(finds(alphaOrg, poor), bravo, VERIFIED);
  assert.deepEqual(phases(first), ['ended', 'ended']);
  assert.equal(first.initiator.last('ended')?.code, 'insufficient_trust');
  const known = finds(bravoOrg, [...poor, held('compliance')], { incidents: 0, daysInForce: 400 });
  assert.deepEqual(phases(runTrustExchange(alpha, known, VERIFIED)), ['established', 'established']);
  const bad = finds(bravoOrg, [...poor, held('compliance')], { incidents: 1, daysInForce: 400 });
  assert.deepEqual(phases(runTrustExchange(alpha, bad, VERIFIED)), ['ended', 'ended']);
});

test('[TRUST-72] nothing that is required may be missing, whatever the score and whatever else is shown', () => {
  const { levels } = defaultPolicy();
  const kinds = (Object.keys(EVIDENCE) as EvidenceKind[]).filter((kind) => !kind.startsWith('officer'));
  fc.assert(
    fc.property(fc.subarray(kinds), fc.nat(400), (shown, daysInForce) => {
      const side = testSide(bravoOrg, {
        evidence: ({ peer }) => ({
          findings: shown.map((kind) => (kind === 'domain_proof' ? domainFinding(peer, TEST_EPOCH) : held(kind))),
          record: { incidents: 0, daysInForce },
        }),
      });
      const exchange = runTrustExchange(alpha, side, VERIFIED);
      const complete = shown.includes('domain_proof') && shown.includes('organisation_identity');
      if (!complete) assert.notEqual(exchange.responder.state?.phase, 'established');
      assert.equal(levels.verified.evidence.organisation_identity, 'required');
    }),
    { numRuns: 40 },
  );
});

test('[TRUST-70] a finding that has expired, is too old or has no hash is no evidence', () => {
  const { hash: _, ...unhashed } = held('organisation_identity', { method: 'x509' });
  const spoiled = [
    held('organisation_identity', { method: 'x509', expiresAt: TEST_EPOCH }),
    held('organisation_identity', { method: 'x509', checkedAt: instant(TEST_EPOCH - DAY_MS - 1) }),
    unhashed,
  ];
  for (const finding of spoiled) {
    const exchange = runTrustExchange(alpha, finds(bravoOrg, [finding]), VERIFIED);
    assert.equal(exchange.responder.last('ended')?.code, 'evidence_rejected');
  }
});

/** The response or the decision's certificate with other evidence about the receiver. */
function withEvidence(change: (evidence: Record<string, unknown>[]) => unknown) {
  const edit = (document: Uint8Array, org: typeof alphaOrg) => {
    const { evidence } = parsedDocument(document) as unknown as { evidence: Record<string, unknown>[] };
    return resigned(document, org, { evidence: change(structuredClone(evidence)) as never });
  };
  const inResponse = (name: string, document: Uint8Array) => [
    name === 'trust_response' ? edit(document, alphaOrg) : document,
  ];
  const inDecision = (name: string, document: Uint8Array) => {
    if (name !== 'trust_decision') return [document];
    const { issued } = parsedDocument(document) as { issued: string };
    const certificate = Buffer.from(issued, 'base64url');
    return [resigned(document, bravoOrg, { issued: toBase64Url(edit(certificate, bravoOrg)) })];
  };
  return [inResponse, inDecision];
}

test('[TRUST-46] a partner that lies about what it found about us gets no signature of ours', () => {
  const lies: ((evidence: Record<string, unknown>[]) => unknown)[] = [
    (evidence) => evidence.map((one) => ({ ...one, hash: toBase64Url(testBytes('made up', 32)) })),
    (evidence) => evidence.slice(1),
    (evidence) => evidence.filter(({ kind }) => kind !== 'key_proof'),
    (evidence) => evidence.map((one) => ({ ...one, checked_at: TEST_EPOCH + 300_001 })),
    (evidence) => [
      ...evidence,
      { kind: 'officer_approval', hash: toBase64Url(testBytes('x', 32)), checked_at: TEST_EPOCH },
    ],
    (evidence) =>
      evidence.map((one) =>
        one['kind'] === 'domain_proof'
          ? { ...one, hash: toBase64Url(nodeCrypto.blake3(utf8(domainProofText(testBytes('another root', 32))))) }
          : one,
      ),
  ];
  for (const lie of lies) {
    for (const intercept of withEvidence(lie)) {
      const exchange = runTrustExchange(alpha, bravo, { intercept });
      const ended = [exchange.initiator, exchange.responder].find(
        (one) => one.last('ended')?.code === 'evidence_rejected',
      );
      assert.match(ended?.last('ended')?.detail ?? '', /what it says about us is not so/);
      assert.equal(exchange.initiator.last('keep_certificates'), undefined);
      assert.equal(exchange.responder.last('keep_certificates'), undefined);
    }
  }
});

test('[TRUST-39] findings that change while a server restarts: the last answer counts, whole', () => {
  let asked = 0;
  const answers = [undefined, trueEvidence({ peer: testParty(alphaOrg), level: 'basic', material: [] }, TEST_EPOCH)];
  const side = testSide(bravoOrg, { evidence: () => answers[asked++] });
  const exchange = runTrustExchange(alpha, side);
  const { responder } = exchange;
  assert.deepEqual(phases(exchange), ['awaiting_decision', 'checking_evidence']);
  responder.resume(resumeResponder(side.context, responder.state ?? assert.fail()));
  assert.equal(responder.outbox.at(-1)?.message, 'trust_decision');
  assert.deepEqual(phases(exchange), ['awaiting_decision', 'awaiting_acknowledgment']);
  // An answer that comes late, to a question that was answered, changes nothing.
  const other = { kind: 'evidence_checked', findings: [], record: { incidents: 9, daysInForce: 0 } } as const;
  const state = responder.state ?? assert.fail();
  const late = stepResponder(side.context, state, other);
  assert.deepEqual(late, { state, effects: [{ kind: 'ignored', detail: 'findings' }] });
});

test('[TRUST-77] evidence that gets too old while an officer thinks is looked for again', () => {
  const side = testSide(bravoOrg, { officers: [] });
  const { responder } = runTrustExchange(alpha, side);
  const before = responder.state;
  assert.ok(before?.phase === 'awaiting_approval');
  const late = { ...side.context, now: instant(TEST_EPOCH + DAY_MS + 1) };
  const step = stepResponder(late, before, { kind: 'clock' });
  assert.deepEqual(
    step.effects.map(({ kind }) => kind),
    ['check_evidence'],
  );
  assert.equal(step.state.phase, 'checking_evidence');
  const fresh = trueEvidence({ peer: testParty(alphaOrg), level: 'basic', material: [] }, late.now);
  const again = stepResponder(late, step.state, { kind: 'evidence_checked', ...fresh });
  assert.ok(again.state.phase === 'awaiting_approval');
  assert.notDeepEqual(again.state.issued, before.issued);
  const gone = stepResponder(late, step.state, { kind: 'evidence_checked', findings: [], record: NO_RECORD });
  assert.equal(gone.state.phase, 'ended');
});

const CONDITIONS: readonly ConditionRule[] = [
  { name: 'report', kind: 'report', afterDays: 30, action: 'notify' },
  { name: 'audit', kind: 'audit', afterDays: 90, action: 'downgrade', level: 'basic' },
];

test('[TRUST-49] the conditions of a policy go into every certificate that this side issues', () => {
  const { levels } = defaultPolicy();
  const policy = { levels: { ...levels, verified: { ...levels.verified, conditions: CONDITIONS } } };
  const exchange = runTrustExchange(alpha, testSide(bravoOrg, { policy }), VERIFIED);
  const { conditions, not_before } = issuedBy(exchange);
  assert.deepEqual(
    conditions.map(({ name, deadline }) => [name, deadline - not_before]),
    [
      ['report', 30 * DAY_MS],
      ['audit', 90 * DAY_MS],
    ],
  );
  assert.deepEqual(issuedBy(exchange, alphaOrg).conditions, []);
});

test('[TRUST-12] a request with conditions that no certificate may hold is refused, not answered with a fault', () => {
  const twice = [1, 2].map((n) => ({ name: 'same', kind: 'report', deadline: TEST_EPOCH + n, action: 'notify' }));
  const raising = [{ name: 'up', kind: 'report', deadline: TEST_EPOCH, action: 'downgrade', level: 'nato' }];
  for (const conditions of [twice, raising]) {
    for (const part of ['asks', 'offers']) {
      const intercept = (name: string, document: Uint8Array) => {
        if (name !== 'trust_request') return [document];
        const terms = parsedDocument(document)[part] as Record<string, unknown>;
        return [resigned(document, alphaOrg, { [part]: { ...terms, conditions } as never })];
      };
      const { responder } = runTrustExchange(alpha, bravo, { intercept });
      assert.equal(responder.first('refuse')?.code, 'malformed');
    }
  }
});

test('[TRUST-48] a certificate is nato-capable when that was asked for and a NATO anchor stands behind it', () => {
  const anchored = held('pki_chain', { method: 'nato' });
  const identity = held('organisation_identity', { method: 'x509' });
  const side = (org: typeof alphaOrg, chain: Finding) => finds(org, [chain, identity]);
  const asking = { request: { ...VERIFIED.request, natoCapable: true } };
  const both = runTrustExchange(side(alphaOrg, anchored), side(bravoOrg, anchored), asking);
  assert.deepEqual([issuedBy(both).nato_capable, issuedBy(both, alphaOrg).nato_capable], [true, true]);
  const one = runTrustExchange(side(alphaOrg, held('pki_chain')), side(bravoOrg, anchored), asking);
  assert.deepEqual([issuedBy(one).nato_capable, issuedBy(one, alphaOrg).nato_capable], [true, undefined]);
  const unasked = runTrustExchange(side(alphaOrg, anchored), side(bravoOrg, anchored), VERIFIED);
  assert.equal(issuedBy(unasked).nato_capable, undefined);
});

test('own material goes to the side that checks it', () => {
  const material = [{ kind: 'x509_chain', data: testBytes('chain', 32) }];
  const asked: EvidenceQuestion[] = [];
  const curious = (org: typeof alphaOrg) => {
    const side = testSide(org);
    const evidence = (question: EvidenceQuestion) => {
      asked.push(question);
      return trueEvidence(question, TEST_EPOCH);
    };
    return { ...side, evidence, context: { ...side.context, material } };
  };
  runTrustExchange(curious(alphaOrg), curious(bravoOrg));
  assert.deepEqual(
    asked.map(({ peer, level, material: shown }) => [peer.domain, level, shown]),
    [
      ['bravo.example', 'basic', material],
      ['alpha.example', 'basic', material],
    ],
  );
});

test('[TRUST-33] a party that is too large for a decision is refused at once', () => {
  const junk = Array.from({ length: 3 }, (_, n) => new Uint8Array(12_000).fill(n));
  const party = { ...testParty(alphaOrg), server_certificates: [alphaOrg.certificate.bytes, ...junk] };
  const large = testTrustRequest(alpha, bravo, { request: { self: party, asks: TEST_TERMS } });
  const { responder } = runTrustExchange(alpha, bravo, { request: large });
  assert.deepEqual([responder.first('refuse')?.code, responder.state], ['too_large', undefined]);
});

const anyFinding: fc.Arbitrary<Finding> = fc
  .record({
    kind: fc.constantFrom(...(Object.keys(EVIDENCE) as EvidenceKind[])),
    result: fc.constantFrom('held', 'failed', 'absent'),
    weight: fc.nat(1000).map((n) => n / 1000),
    detail: fc.string({ unit: 'binary', maxLength: 100 }),
    expires: fc.boolean(),
  })
  .map(({ expires, ...one }) => ({ ...held(one.kind), ...one, ...(expires ? { expiresAt: TEST_EPOCH } : {}) }));

test('findings and evidence records come back from the store as they were', () => {
  fc.assert(
    fc.property(fc.array(anyFinding, { maxLength: 5 }), (findings) => {
      const stored = findings.map(storeFinding);
      const exchange_id = exchangeIdFromBytes(testBytes('record', 16));
      const about = { exchange_id, side: 'initiator', peer: bravoOrg.domain, level: 'verified' } as const;
      const record = { ...about, findings: stored, incidents: 1, days_in_force: 2, score: 70 };
      const back = mustBe(decodeEvidenceRecord(encodeEvidenceRecord(record)));
      assert.deepEqual(back, record);
      const clipped = findings.map((one) => ({ ...one, detail: clipText(one.detail, 512) }));
      assert.deepEqual(back.findings.map(loadFinding), clipped);
    }),
    { numRuns: 50 },
  );
  assert.throws(() => storeFinding(held('compliance', { weight: 1.5 })), RangeError);
  assert.equal(clipText('aé€😀', 6), 'aé€');
  assert.equal(clipText('a\ud800b', 10), 'a\ufffdb');
});
