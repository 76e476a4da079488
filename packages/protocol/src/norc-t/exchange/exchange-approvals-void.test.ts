import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type ExchangeOptions,
  finishTrustExchange,
  grantBy,
  officerAsks,
  officerSays,
  officersSign,
  runTrustExchange,
  signedDecision,
  TEST_EPOCH,
  type TestOfficer,
  type TrustExchange,
  type TrustSide,
  testApproval,
  testBytes,
  testOfficer,
  testOrganisation,
  testSide,
} from '@norc/testkit';
import fc from 'fast-check';
import { type Instant, instant } from '../../base/index.ts';
import { type ApprovalQuestion, defaultPolicy, resumeInitiator, resumeResponder, stepInitiator } from '../index.ts';

const alphaOrg = testOrganisation('alpha.example');
const bravoOrg = testOrganisation('bravo.example');
const DAY_MS = 86_400_000;
const [asker, first, second] = ['asker', 'first', 'second'].map((name) => testOfficer(alphaOrg, name)) as Three;
const [third, fourth, fifth] = ['third', 'fourth', 'fifth'].map((name) => testOfficer(bravoOrg, name)) as Three;
type Three = [TestOfficer, TestOfficer, TestOfficer];

const alpha = testSide(alphaOrg, officersSign([first, second]));
const bravo = testSide(bravoOrg, officersSign([third, fourth]));
const CLASSIFIED = officerAsks(asker, alpha, bravo, { request: { validDays: 90 } });

const phases = ({ initiator, responder }: TrustExchange) => [initiator.state?.phase, responder.state?.phase];
const run = (one: TrustSide = alpha, other: TrustSide = bravo, options: ExchangeOptions = {}) =>
  runTrustExchange(one, other, { ...CLASSIFIED, ...options });
const silent = (org: typeof alphaOrg, changes: Partial<TrustSide> = {}) => testSide(org, { officers: [], ...changes });

/** Waits for officers of this side; what they are asked. */
function waiting(side: 'initiator' | 'responder'): {
  readonly exchange: TrustExchange;
  readonly question: ApprovalQuestion;
} {
  const exchange = side === 'initiator' ? run(silent(alphaOrg)) : run(alpha, silent(bravoOrg));
  const question = exchange[side].last('ask_approval')?.question;
  assert.ok(question !== undefined && exchange[side].state?.phase === 'awaiting_approval');
  return { exchange, question };
}

test('[TRUST-77] approvals are void when the evidence under them gets too old, and are asked for anew', () => {
  const { exchange, question } = waiting('responder');
  const { responder } = exchange;
  responder.event(officerSays(grantBy(third, question)));
  const late = instant(TEST_EPOCH + DAY_MS + 1);
  responder.side = { ...responder.side, context: { ...bravo.context, now: late } };
  responder.event(officerSays(grantBy(fourth, question, { approved_at: late })));
  assert.equal(responder.last('refuse_approval')?.code, 'approval_expired');
  assert.deepEqual(responder.last('approvals_void'), { kind: 'approvals_void', count: 1, why: 'evidence' });
  const anew = responder.last('ask_approval')?.question ?? assert.fail();
  assert.equal(anew.approvalsNeeded, 2);
  assert.notDeepEqual(anew.subject, question.subject);
  responder.event(officerSays(grantBy(third, question, { approved_at: late })));
  assert.match(responder.last('refuse_approval')?.detail ?? '', /has changed since/);
});

test('[TRUST-77] the initiator checks again too: the same certificates, but approvals of before do not count', () => {
  const { exchange, question } = waiting('initiator');
  const { initiator } = exchange;
  initiator.event(officerSays(grantBy(first, question)));
  const late = instant(TEST_EPOCH + DAY_MS + 1);
  initiator.side = { ...initiator.side, context: { ...alpha.context, now: late } };
  initiator.event({ kind: 'clock' });
  assert.deepEqual(initiator.last('approvals_void'), { kind: 'approvals_void', count: 1, why: 'evidence' });
  const anew = initiator.last('ask_approval')?.question ?? assert.fail();
  assert.deepEqual([anew.subject, anew.approvalsNeeded], [question.subject, 2]);
  initiator.event(officerSays(grantBy(first, question)));
  assert.equal(initiator.last('refuse_approval')?.code, 'approval_expired');
  for (const officer of [first, second])
    initiator.event(officerSays(grantBy(officer, question, { approved_at: late })));
  exchange.responder.side = { ...exchange.responder.side, context: { ...bravo.context, now: instant(late - 2) } };
  finishTrustExchange(exchange);
  assert.deepEqual(phases(exchange), ['established', 'established']);
});

test('[TRUST-77] what the initiator finds when it checks again can end it, and the other side is told', () => {
  const { exchange } = waiting('initiator');
  const { initiator, responder } = exchange;
  const late = instant(TEST_EPOCH + DAY_MS + 1);
  const evidence = () => ({ findings: [], record: { incidents: 0, daysInForce: 0 } });
  initiator.side = { ...initiator.side, evidence, context: { ...alpha.context, now: late } };
  initiator.event({ kind: 'clock' });
  responder.side = { ...responder.side, context: { ...bravo.context, now: instant(late - 2) } };
  finishTrustExchange(exchange);
  assert.deepEqual(phases(exchange), ['ended', 'ended']);
  assert.match(responder.last('ended')?.detail ?? '', /evidence_rejected: level classified lacks domain_proof/);
});

test('[TRUST-77] another level makes other certificates: what was approved before is void', () => {
  const { exchange, question } = waiting('responder');
  const { responder } = exchange;
  responder.event(officerSays(grantBy(third, question)));
  responder.event({ ...officerSays(undefined), level: 'verified' });
  assert.deepEqual(responder.last('approvals_void'), { kind: 'approvals_void', count: 1, why: 'level' });
  // The initiator asked for two signatures whatever the level, so two officers sign the new certificates.
  const lower = responder.last('ask_approval')?.question ?? assert.fail();
  assert.deepEqual([lower.level, lower.approvalsNeeded], ['verified', 2]);
  for (const officer of [third, fourth]) responder.event(officerSays(grantBy(officer, lower)));
  finishTrustExchange(exchange);
  assert.deepEqual(phases(exchange), ['established', 'established']);
});

test("an officer's decline ends it on either side, and one that somebody made up does not", () => {
  for (const side of ['initiator', 'responder'] as const) {
    const { exchange, question } = waiting(side);
    const [own, other] = side === 'initiator' ? [first, third] : [third, first];
    const decline = { action: 'trust_decline', subject: question.subject, peer: question.peer } as const;
    exchange[side].event(officerSays(testApproval(other, decline), 'reject'));
    assert.equal(exchange[side].state?.phase, 'awaiting_approval');
    exchange[side].event(officerSays(grantBy(own, question), 'reject'));
    assert.equal(exchange[side].state?.phase, 'awaiting_approval');
    exchange[side].event({ ...officerSays(testApproval(own, decline), 'reject'), reason: 'not now' });
    finishTrustExchange(exchange);
    assert.deepEqual(phases(exchange), ['ended', 'ended']);
    const told = side === 'initiator' ? exchange.responder : exchange.initiator;
    assert.equal(told.last('ended')?.detail, 'trust_declined: not now');
  }
});

function withoutOfficers() {
  const { classified } = defaultPolicy().levels;
  return { ...classified, approvals: 1, evidence: { ...classified.evidence, officer_approval: 'none' } } as const;
}

test('[TRUST-75] each side brings as many officers as the stricter policy asks for', () => {
  const { levels } = defaultPolicy();
  const three = { levels: { ...levels, classified: { ...levels.classified, approvals: 3 } } };
  const strict = testSide(bravoOrg, { policy: three, ...officersSign([third, fourth, fifth]) });
  const { initiator, responder } = run(silent(alphaOrg), strict);
  assert.equal(initiator.last('ask_approval')?.question.approvalsNeeded, 3);
  assert.equal(responder.state?.phase, 'awaiting_acknowledgment');
  const relaxed = { levels: { ...levels, classified: withoutOfficers() } };
  const careless = testSide(bravoOrg, { policy: relaxed, ...officersSign([third, fourth]) });
  assert.equal(run(alpha, silent(bravoOrg, careless)).responder.last('ask_approval')?.question.signed, true);
});

test('a policy that was tightened while officers thought counts when they are done', () => {
  const { exchange, question } = waiting('responder');
  const { responder } = exchange;
  responder.event(officerSays(grantBy(third, question)));
  const policy = defaultPolicy({ levelMax: 'verified' });
  responder.side = { ...responder.side, context: { ...bravo.context, policy } };
  responder.event(officerSays(grantBy(fourth, question)));
  assert.equal(responder.last('ended')?.detail, 'policy allows verified at most');
});

test('[TRUST-39] a restart between any two steps of a classified exchange changes nothing', () => {
  const steady = run();
  const restarted = run(alpha, bravo, { restart: true });
  assert.deepEqual(restarted.initiator.state, steady.initiator.state);
  assert.deepEqual(restarted.responder.state, steady.responder.state);
  for (const side of ['initiator', 'responder'] as const) {
    const { exchange, question } = waiting(side);
    const { state } = exchange[side];
    const again =
      side === 'initiator' && exchange.initiator.state !== undefined
        ? resumeInitiator(alpha.context, exchange.initiator.state)
        : resumeResponder(bravo.context, exchange.responder.state ?? assert.fail());
    assert.deepEqual(again, [{ kind: 'ask_approval', question }]);
    assert.equal(exchange[side].state, state);
  }
});

const everybody = [asker, first, second, third, fourth, fifth, testOfficer(alphaOrg, 'stranger', {}, bravoOrg.root)];

test('[TRUST-76] whatever officers say in whatever order, two different ones of the own side are needed', () => {
  const { exchange, question } = waiting('initiator');
  const start = exchange.initiator.state ?? assert.fail();
  const anyApproval = fc.record({
    officer: fc.constantFrom(...everybody),
    shift: fc.constantFrom(0, 1, -400_000, 400_000),
    right: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(anyApproval, { maxLength: 8 }), (approvals) => {
      let state = start;
      const good = new Set<TestOfficer>();
      for (const { officer, shift, right } of approvals) {
        const subject = right ? question.subject : testBytes('other', 32);
        const signed = grantBy(officer, question, { subject, approved_at: TEST_EPOCH + shift });
        state = stepInitiator(alpha.context, state, officerSays(signed)).state;
        if (right && Math.abs(shift) <= 1 && (officer === first || officer === second)) good.add(officer);
      }
      assert.equal(state.phase, good.size >= 2 ? 'signing' : 'awaiting_approval');
    }),
    { numRuns: 60 },
  );
});

test('an exchange that is over while our officers think is declined, so that the other side does not wait for months', () => {
  const { exchange } = waiting('initiator');
  const later: Instant = instant(TEST_EPOCH + 15 * DAY_MS);
  const { initiator, responder } = exchange;
  initiator.side = { ...initiator.side, context: { ...alpha.context, now: later } };
  initiator.event({ kind: 'clock' });
  responder.side = { ...responder.side, context: { ...bravo.context, now: later } };
  finishTrustExchange(exchange);
  assert.deepEqual(phases(exchange), ['ended', 'ended']);
  assert.equal(responder.last('ended')?.code, 'exchange_expired');
});

test('[TRUST-75] officers may sign where they do not have to, and count as everybody else', () => {
  const question = runTrustExchange(alpha, silent(bravoOrg)).responder.last('ask_approval')?.question ?? assert.fail();
  assert.equal(question.signed, false);
  const decide = (asked: ApprovalQuestion) => signedDecision(third, asked);
  const { responder } = runTrustExchange(alpha, testSide(bravoOrg, { decide }));
  assert.ok(responder.state?.phase === 'established');
  assert.deepEqual(
    responder.state.review.approvals.map(({ by }) => by),
    [third.officerId],
  );
});
