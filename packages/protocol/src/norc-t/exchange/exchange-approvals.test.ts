import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeCrypto } from '@norc/crypto/node';
import {
  type ExchangeOptions,
  finishTrustExchange,
  grantBy,
  mustBe,
  officerAsks,
  officerSays,
  officersSign,
  parsedDocument,
  resigned,
  runTrustExchange,
  TEST_EPOCH,
  type TestOfficer,
  type TrustExchange,
  type TrustSide,
  testApproval,
  testBytes,
  testOfficer,
  testOrganisation,
  testSide,
  testTrustRequest,
} from '@norc/testkit';
import { type ErrorName, instant, toBase64Url } from '../../base/index.ts';
import { parseDocument } from '../../crypto/index.ts';
import type { JsonObject, JsonValue } from '../../wire/index.ts';
import {
  type ApprovalQuestion,
  defaultPolicy,
  type ExchangeEffect,
  encodeSignedApproval,
  grantSubject,
  officerIdOf,
  type SignedApproval,
  startInitiator,
  stepResponder,
  TRUST_CERTIFICATE,
} from '../index.ts';

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

test('[TRUST-75] classified needs two officers on each side, and both sides keep what all four signed', () => {
  const exchange = run();
  assert.deepEqual(phases(exchange), ['established', 'established']);
  const { initiator, responder } = exchange;
  assert.ok(initiator.state?.phase === 'established' && responder.state?.phase === 'established');
  const [ours, theirs] = [initiator.state.review, responder.state.review];
  assert.deepEqual(
    ours.approvals.map(({ by }) => by),
    [first.officerId, second.officerId],
  );
  assert.deepEqual(
    theirs.theirs,
    ours.approvals.map(({ signed }) => signed),
  );
  assert.deepEqual(
    ours.theirs,
    theirs.approvals.map(({ signed }) => signed),
  );
  assert.deepEqual([ours.requested_by, theirs.requested_by], [asker.officerId, asker.officerId]);
});

test('[TRUST-74] both sides ask their officers about the same two certificates', () => {
  const { initiator, responder } = run();
  const [ours, theirs] = [initiator.last('ask_approval')?.question, responder.last('ask_approval')?.question];
  assert.ok(ours !== undefined && theirs !== undefined);
  assert.deepEqual(ours.subject, theirs.subject);
  assert.deepEqual(ours.grants, theirs.receives);
  assert.deepEqual([ours.signed, ours.requestedBy], [true, asker.officerId]);
});

test('[TRUST-73] a request that no officer signed is not sent, and not answered', () => {
  const request = testTrustRequest(alpha, bravo, { request: { level: 'classified', validDays: 90 } });
  const started = startInitiator(alpha.context, request);
  assert.equal(started.ok ? '' : started.error.code, 'approval_required');
  const relaxed = { levels: { ...defaultPolicy().levels, classified: withoutOfficers() } };
  const careless = testSide(alphaOrg, { policy: relaxed, ...officersSign([first, second]) });
  const { initiator } = runTrustExchange(careless, bravo, { request: { level: 'classified', validDays: 90 } });
  assert.match(
    initiator.last('ended')?.detail ?? '',
    /approval_required: no officer of alpha.example signed the request/,
  );
});

function withoutOfficers() {
  const { classified } = defaultPolicy().levels;
  return { ...classified, approvals: 1, evidence: { ...classified.evidence, officer_approval: 'none' } } as const;
}

test('[TRUST-73] an officer signs exactly what is asked: nothing of it can be changed, and no other officer claims it', () => {
  const bad: [ExchangeOptions, ErrorName][] = [
    [{ request: { ...CLASSIFIED.request, validDays: 91 } }, 'forbidden'],
    [{ request: { ...CLASSIFIED.request, level: 'nato' } }, 'forbidden'],
    [{ request: { ...CLASSIFIED.request, natoCapable: true } }, 'forbidden'],
    [
      { request: { ...CLASSIFIED.request, offers: { ...testTrustRequest(alpha, bravo).offers, permissions: [] } } },
      'forbidden',
    ],
    [officerAsks(testOfficer(alphaOrg, 'old', { notAfter: TEST_EPOCH - 1 }), alpha, bravo), 'certificate_expired'],
    [officerAsks(third, alpha, bravo), 'certificate_invalid'],
  ];
  for (const [options, code] of bad) {
    const started = startInitiator(alpha.context, testTrustRequest(alpha, bravo, options));
    assert.equal(started.ok ? '' : started.error.code, code);
  }
  const intercept = (name: string, document: Uint8Array) => [
    name === 'trust_request' ? resigned(document, alphaOrg, { valid_days: 91 }) : document,
  ];
  const { responder } = run(alpha, bravo, { intercept });
  assert.equal(responder.last('ended')?.code, 'forbidden');
});

test('[TRUST-75] whoever has the server account approves nothing where officers sign', () => {
  for (const side of ['initiator', 'responder'] as const) {
    const { exchange } = waiting(side);
    const before = exchange[side].state;
    exchange[side].event(officerSays(undefined));
    assert.equal(exchange[side].last('refuse_approval')?.code, 'approval_required');
    assert.equal(exchange[side].state, before);
  }
});

test('[TRUST-76] the same officer twice, the one who asked, and officers of others are not counted', () => {
  const { exchange, question } = waiting('initiator');
  const { initiator } = exchange;
  const refusals = () => initiator.effects.filter(({ kind }) => kind === 'refuse_approval');
  initiator.event(officerSays(grantBy(first, question)));
  initiator.event(officerSays(grantBy(first, question, { approved_at: TEST_EPOCH + 1 })));
  assert.equal(initiator.last('ignored')?.detail, 'this officer approved already');
  initiator.event(officerSays(grantBy(asker, question)));
  assert.equal(initiator.last('refuse_approval')?.detail, 'nobody approves their own request');
  initiator.event(officerSays(grantBy(third, question)));
  assert.equal(refusals().length, 2);
  assert.ok(initiator.state?.phase === 'awaiting_approval' && initiator.state.review.approvals.length === 1);
  initiator.event(officerSays(grantBy(second, question)));
  finishTrustExchange(exchange);
  assert.deepEqual(phases(exchange), ['established', 'established']);
});

test('[TRUST-76] an approval of something else, by nobody in office, or of another time does not count', () => {
  const { exchange, question } = waiting('responder');
  const { responder } = exchange;
  const context = bravo.context;
  const elsewhere = run(alpha, silent(bravoOrg), { seed: 'another' }).responder.last('ask_approval')?.question;
  assert.ok(elsewhere !== undefined);
  const impostor = testOfficer(bravoOrg, 'impostor', {}, alphaOrg.root);
  const expired = testOfficer(bravoOrg, 'expired', { notAfter: TEST_EPOCH });
  const recovery = testOfficer(bravoOrg, 'recovery', { roles: ['recovery'] });
  const server = {
    ...testOfficer(bravoOrg, 'server', { publicKey: bravoOrg.server.publicKey }),
    ...{ keys: bravoOrg.server, officerId: officerIdOf(nodeCrypto, bravoOrg.server.publicKey) },
  };
  const cases: [SignedApproval | undefined, ErrorName][] = [
    [grantBy(third, elsewhere), 'forbidden'],
    [
      grantBy(third, question, { peer: alphaOrg.domain === question.peer ? bravoOrg.domain : alphaOrg.domain }),
      'forbidden',
    ],
    [grantBy(third, question, { action: 'trust_request' }), 'forbidden'],
    [grantBy(third, question, { subject: testBytes('other', 32) }), 'forbidden'],
    [grantBy(third, question, { approved_at: TEST_EPOCH + 300_001 }), 'clock_skew'],
    [grantBy(third, question, { approved_at: TEST_EPOCH - 300_001 }), 'approval_expired'],
    [grantBy(third, question, { approved_at: TEST_EPOCH - DAY_MS - 1 }), 'certificate_expired'],
    [grantBy(impostor, question), 'signature_invalid'],
    [grantBy(expired, question), 'certificate_expired'],
    [grantBy(recovery, question), 'forbidden'],
    [grantBy(server, question), 'forbidden'],
    [{ ...grantBy(third, question), certificate: fourth.certificate }, 'forbidden'],
  ];
  assert.ok(responder.state !== undefined);
  for (const [signed, code] of cases) {
    const step = stepResponder(context, responder.state, officerSays(signed));
    assert.equal(step.state, responder.state);
    const [refusal] = step.effects;
    assert.ok(refusal?.kind === 'refuse_approval');
    assert.equal(refusal.code, code, refusal.detail);
  }
  const left = { ...context, revokedOfficers: new Set([third.officerId]) };
  const others = { ...context, policy: defaultPolicy({ approvers: new Set([fourth.officerId]) }) };
  for (const strict of [left, others]) {
    const [refusal]: readonly ExchangeEffect[] = stepResponder(
      strict,
      responder.state,
      officerSays(grantBy(third, question)),
    ).effects;
    assert.ok(refusal?.kind === 'refuse_approval' && refusal.code === 'forbidden');
    const [counted]: readonly ExchangeEffect[] = stepResponder(
      strict,
      responder.state,
      officerSays(grantBy(fourth, question)),
    ).effects;
    assert.equal(counted?.kind, 'ask_approval');
  }
});

test('[TRUST-76] an officer who leaves between the first and the last approval is counted no longer', () => {
  const { exchange, question } = waiting('responder');
  const { responder } = exchange;
  responder.event(officerSays(grantBy(third, question)));
  responder.side = { ...responder.side, context: { ...bravo.context, revokedOfficers: new Set([third.officerId]) } };
  responder.event(officerSays(grantBy(fourth, question)));
  assert.equal(responder.last('ask_approval')?.question.approvalsNeeded, 1);
  responder.event(officerSays(grantBy(fifth, question)));
  assert.equal(responder.state?.phase, 'awaiting_acknowledgment');
});

/** What the other side's server sends in the place of its officers' approvals. */
function replacing(message: string, org: typeof alphaOrg, change: (material: JsonValue[]) => readonly JsonValue[]) {
  return (name: string, document: Uint8Array) => {
    if (name !== message) return [document];
    const material = (parsedDocument(document)['material'] ?? []) as JsonValue[];
    return [resigned(document, org, { material: change(material) })];
  };
}
const asMaterial = (signed: ReturnType<typeof grantBy>): JsonObject => ({
  ...{ kind: 'officer_approval', data: toBase64Url(encodeSignedApproval(signed)) },
});

test('[TRUST-76] a server that leaves out approvals, repeats one or makes some up gets no countersignature', () => {
  const other = run(alpha, bravo, { seed: 'another' }).responder.last('ask_approval')?.question;
  const changes: ((material: JsonValue[]) => readonly JsonValue[])[] = [
    () => [],
    (material) => material.slice(1),
    ([one = {}]) => [one, one],
    ([one = {}]) => [one, asMaterial(grantBy(fourth, other ?? assert.fail()))],
    ([one = {}]) => [
      one,
      asMaterial(grantBy(testOfficer(bravoOrg, 'new', {}, bravoOrg.server), other ?? assert.fail())),
    ],
    ([one = {}]) => [one, { kind: 'officer_approval', data: toBase64Url(testBytes('junk', 40)) }],
  ];
  for (const change of changes) {
    const { initiator, responder } = run(alpha, bravo, { intercept: replacing('trust_decision', bravoOrg, change) });
    assert.equal(initiator.first('refuse')?.code, 'approval_required');
    assert.equal(initiator.last('sign_certificates'), undefined);
    assert.notEqual(responder.state?.phase, 'established');
  }
  for (const change of changes.slice(0, 3)) {
    const { responder } = run(alpha, bravo, { intercept: replacing('trust_acknowledgment', alphaOrg, change) });
    assert.equal(responder.last('refuse')?.code, 'approval_required');
    assert.equal(responder.last('keep_certificates'), undefined);
  }
});

test('[TRUST-76] the one who asked is not counted by the other side either', () => {
  const sneaky = (name: string, document: Uint8Array) => {
    const question = exchange.initiator.last('ask_approval')?.question;
    if (name !== 'trust_acknowledgment' || question === undefined) return [document];
    const material = [first, asker].map((officer) => asMaterial(grantBy(officer, question)));
    return [resigned(document, alphaOrg, { material })];
  };
  const exchange = run(silent(alphaOrg), bravo);
  const { initiator, responder } = exchange;
  const question = initiator.last('ask_approval')?.question ?? assert.fail();
  for (const officer of [first, second]) initiator.event(officerSays(grantBy(officer, question)));
  finishTrustExchange(exchange, { intercept: sneaky });
  assert.match(responder.last('refuse')?.detail ?? '', /^1 of 2 officers of alpha.example approved exactly this/);
});

test('[TRUST-74] certificates that were altered after the approval are not those that were approved', () => {
  const intercept = (name: string, document: Uint8Array) => {
    if (name !== 'trust_decision') return [document];
    const { issued } = parsedDocument(document) as { issued: string };
    const rewritten = resigned(Buffer.from(issued, 'base64url'), bravoOrg, { permissions: ['message_relay'] });
    return [resigned(document, bravoOrg, { issued: toBase64Url(rewritten) })];
  };
  const { initiator } = run(alpha, bravo, { intercept });
  assert.equal(initiator.first('refuse')?.code, 'approval_required');
  assert.match(initiator.first('refuse')?.detail ?? '', /what was approved has changed since/);
});

/** The acknowledgment as alpha could write it: with approvals of these officers, signed and sent whenever it likes. */
function acknowledging(officers: readonly TestOfficer[], approvedAt: number, sentAt: number) {
  return (name: string, document: Uint8Array) => {
    if (name !== 'trust_acknowledgment') return [document];
    const json = parsedDocument(document);
    const certificate = (text: JsonValue | undefined) =>
      mustBe(parseDocument(TRUST_CERTIFICATE, Buffer.from(String(text), 'base64url')));
    const subject = grantSubject(nodeCrypto, {
      issued: certificate(json['issued']),
      counterpart: certificate(json['counterpart']),
    });
    const about = { action: 'trust_grant', subject, peer: bravoOrg.domain, approved_at: approvedAt } as const;
    const material = officers.map((one) => ({
      kind: 'officer_approval',
      data: toBase64Url(encodeSignedApproval(testApproval(one, about))),
    }));
    return [resigned(document, alphaOrg, { sent_at: sentAt, material })];
  };
}

test('[TRUST-35] [TRUST-76] a partner does not choose a day on which those who approve were still in office', () => {
  const term = { notBefore: instant(TEST_EPOCH - 400 * DAY_MS), notAfter: instant(TEST_EPOCH - 100 * DAY_MS) };
  const former = ['former', 'another'].map((name) => testOfficer(alphaOrg, name, term));
  const then = TEST_EPOCH - 150 * DAY_MS;
  const backdated = run(alpha, bravo, { intercept: acknowledging(former, then, then) });
  assert.equal(backdated.responder.last('refuse')?.code, 'clock_skew');
  assert.equal(backdated.responder.last('keep_certificates'), undefined);
  const now = run(alpha, bravo, { intercept: acknowledging(former, then, TEST_EPOCH) });
  assert.equal(now.responder.last('refuse')?.code, 'approval_required');
  const leaving = { notBefore: instant(TEST_EPOCH - DAY_MS), notAfter: instant(TEST_EPOCH) };
  const gone = ['former', 'another'].map((name) => testOfficer(alphaOrg, name, leaving));
  const late = run(alpha, bravo, { intercept: acknowledging(gone, TEST_EPOCH - 200_000, TEST_EPOCH - 200_000) });
  assert.equal(
    late.responder.last('refuse')?.code,
    'approval_required',
    'in office when it was sent, not when it came',
  );
  const sound = run(alpha, bravo, { intercept: acknowledging([first, second], TEST_EPOCH, TEST_EPOCH) });
  assert.deepEqual(phases(sound), ['established', 'established']);
});
