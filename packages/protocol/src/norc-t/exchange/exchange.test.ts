import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeCrypto } from '@norc/crypto/node';
import {
  type ExchangeOptions,
  finishTrustExchange,
  grantBy,
  mustBe,
  receiveAsResponder,
  runTrustExchange,
  TEST_EPOCH,
  TEST_TERMS,
  type TrustExchange,
  type TrustSide,
  testOfficer,
  testOrganisation,
  testParty,
  testSide,
  testTrustRequest,
  trueEvidence,
} from '@norc/testkit';
import fc from 'fast-check';
import { instant, LIMITS } from '../../base/index.ts';
import {
  defaultPolicy,
  type ExchangeEffect,
  type ExchangeEvent,
  encodeInitiatorState,
  encodeResponderState,
  resumeInitiator,
  resumeResponder,
  startInitiator,
  stepInitiator,
  stepResponder,
  verifyTrustCertificate,
} from '../index.ts';

const crypto = nodeCrypto;
const alphaOrg = testOrganisation('alpha.example');
const bravoOrg = testOrganisation('bravo.example');
const alpha = testSide(alphaOrg);
const bravo = testSide(bravoOrg);
const MESSAGES = [
  'trust_capabilities',
  'trust_request',
  'trust_challenge',
  'trust_response',
  'trust_decision',
  'trust_acknowledgment',
];

function phases({ initiator, responder }: TrustExchange): readonly (string | undefined)[] {
  return [initiator.state?.phase, responder.state?.phase];
}

/** Every document that crossed, by message name. */
function record(first: TrustSide, second: TrustSide, options: ExchangeOptions = {}): Map<string, Uint8Array> {
  const sent = new Map<string, Uint8Array>();
  const intercept = (message: string, document: Uint8Array) => {
    sent.set(message, document);
    return [document];
  };
  runTrustExchange(first, second, { ...options, intercept });
  return sent;
}

test('[TRUST-30] [TRUST-41] six messages give each side the same two certificates', () => {
  const sent = record(alpha, bravo);
  assert.deepEqual([...sent.keys()], MESSAGES);
  const { initiator, responder } = runTrustExchange(alpha, bravo);
  const [ours, theirs] = [initiator.last('keep_certificates'), responder.last('keep_certificates')];
  assert.ok(ours !== undefined && theirs !== undefined);
  assert.deepEqual(ours.given, theirs.received);
  assert.deepEqual(ours.received, theirs.given);
  const given = mustBe(verifyTrustCertificate(crypto, ours.given, { issuer: alphaOrg.pinned, now: TEST_EPOCH }));
  const received = mustBe(
    verifyTrustCertificate(crypto, ours.received, {
      issuer: bravoOrg.pinned,
      subject: alphaOrg.pinned,
      now: TEST_EPOCH,
    }),
  );
  assert.equal(given.subject, 'bravo.example');
  assert.deepEqual(given.subjectRootKey, bravoOrg.root.publicKey);
  assert.deepEqual([given.level, received.level], ['basic', 'basic']);
  assert.deepEqual(given.document.body.transcript, received.document.body.transcript);
  assert.deepEqual([...received.permissions], TEST_TERMS.permissions);
  assert.deepEqual(
    received.document.body.evidence.map(({ kind }) => kind),
    ['domain_proof', 'key_proof'],
  );
  assert.deepEqual(given.subjectTlsKeys, [bravoOrg.tlsSpkiSha256]);
});

test('[TRUST-39] a restart between any two steps changes nothing', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 8 }), fc.boolean(), (seed, approve) => {
      const officers = [{ decision: approve ? 'approve' : 'reject', by: 'officer-1', at: TEST_EPOCH }] as const;
      const judged = testSide(bravoOrg, { officers });
      const steady = runTrustExchange(alpha, judged, { seed });
      const restarted = runTrustExchange(alpha, judged, { seed, restart: true });
      assert.deepEqual(restarted.initiator.state, steady.initiator.state);
      assert.deepEqual(restarted.responder.state, steady.responder.state);
      assert.deepEqual(restarted.initiator.effects, steady.initiator.effects);
      assert.deepEqual(restarted.responder.effects, steady.responder.effects);
      assert.deepEqual(phases(steady), approve ? ['established', 'established'] : ['ended', 'ended']);
    }),
    { numRuns: 10 },
  );
});

test('[TRUST-39] what was under way when the power went is asked for again, and the exchange ends the same', () => {
  const whole = runTrustExchange(alpha, bravo);
  for (let crashAt = 0; crashAt < 14; crashAt += 1) {
    let steps = 0;
    const crashed = (effect: ExchangeEffect) => effect.kind !== 'keep_certificates' && steps++ === crashAt;
    const exchange = runTrustExchange(alpha, bravo, { lose: crashed });
    const { initiator, responder } = exchange;
    assert.ok(initiator.state !== undefined);
    initiator.resume(resumeInitiator(alpha.context, initiator.state));
    if (responder.state !== undefined) responder.resume(resumeResponder(bravo.context, responder.state));
    finishTrustExchange(exchange);
    assert.deepEqual(phases(exchange), ['established', 'established'], `effect ${crashAt}`);
    assert.deepEqual(initiator.state, whole.initiator.state);
    assert.deepEqual(responder.state, whole.responder.state);
  }
});

test('[TRUST-37] a message that arrives twice gets the same answer, and nothing happens twice', () => {
  const plain = runTrustExchange(alpha, bravo);
  for (const repeated of MESSAGES) {
    const intercept = (message: string, document: Uint8Array) =>
      message === repeated ? [document, document] : [document];
    const exchange = runTrustExchange(alpha, bravo, { intercept });
    assert.deepEqual(phases(exchange), ['established', 'established'], repeated);
    assert.deepEqual(exchange.initiator.state, plain.initiator.state, repeated);
    assert.deepEqual(exchange.responder.state, plain.responder.state, repeated);
  }
});

test('[TRUST-37] a lost answer comes again when the message does', () => {
  for (const lost of ['trust_challenge', 'trust_decision']) {
    const before = lost === 'trust_challenge' ? 'trust_request' : 'trust_response';
    let losses = 0;
    let again: Uint8Array | undefined;
    const { initiator, responder } = runTrustExchange(alpha, bravo, {
      intercept: (message, document) => {
        if (message === before) again = document;
        if (message === lost && losses++ === 0) return [];
        return [document];
      },
    });
    assert.notEqual(initiator.state?.phase, 'established');
    assert.ok(again !== undefined);
    receiveAsResponder(responder, again);
    const [answered] = responder.outbox;
    assert.equal(answered?.message, lost);
    initiator.event({ kind: 'received', document: answered?.document ?? new Uint8Array() });
    assert.notEqual(initiator.state?.phase, lost === 'trust_challenge' ? 'awaiting_challenge' : 'awaiting_decision');
  }
});

test('[TRUST-5] a request that needs evidence which nobody here can check is not sent; the reason names the kinds', () => {
  const context = { ...alpha.context, checkable: ['domain_proof', 'key_proof'] as const };
  const request = testTrustRequest(alpha, bravo, { request: { level: 'classified' } });
  const needed = 'organisation_identity, pki_chain, device_attestation, officer_approval';
  assert.deepEqual(startInitiator(context, request), {
    ok: false,
    error: { code: 'insufficient_trust', detail: `level classified needs evidence kinds ${needed}` },
  });
  assert.throws(() => startInitiator(alpha.context, { ...request, level: 'basic', peer: alphaOrg.domain }), RangeError);
});

test('[TRUST-5] no partner is asked for more than the policy allows with it', () => {
  const capped = testSide(alphaOrg, { policy: { partnerLevelMax: new Map([[bravoOrg.domain, 'basic']]) } });
  const started = startInitiator(capped.context, testTrustRequest(alpha, bravo, { request: { level: 'verified' } }));
  assert.ok(!started.ok && started.error.detail === 'policy allows basic at most');
  const wary = testSide(bravoOrg, { policy: { partnerLevelMax: new Map([[alphaOrg.domain, 'basic']]) } });
  const { initiator } = runTrustExchange(alpha, wary, { request: { level: 'verified', validDays: 180 } });
  assert.match(initiator.last('ended')?.detail ?? '', /insufficient_trust: policy allows basic at most/);
});

test('[TRUST-38] a request above what the other side can check is declined with a signed reason', () => {
  const { context } = bravo;
  const simple = { ...bravo, context: { ...context, checkable: ['domain_proof', 'key_proof'] as const } };
  const exchange = runTrustExchange(alpha, simple, { request: { level: 'verified' } });
  assert.deepEqual(phases(exchange), ['ended', 'ended']);
  const told = exchange.initiator.last('ended');
  assert.equal(told?.code, 'trust_declined');
  assert.match(told?.detail ?? '', /insufficient_trust: level verified needs evidence kinds organisation_identity$/);
});

test('an officer may decline, and the other side reads why', () => {
  const officers = [{ decision: 'reject', by: 'officer-1', at: TEST_EPOCH, reason: 'no project yet' }] as const;
  const exchange = runTrustExchange(alpha, testSide(bravoOrg, { officers }));
  assert.deepEqual(phases(exchange), ['ended', 'ended']);
  assert.equal(exchange.responder.last('ended')?.code, 'trust_declined');
  assert.equal(exchange.initiator.last('ended')?.detail, 'trust_declined: no project yet');
});

/** Every level as easy as basic, with two officers. */
const anyLevel = { ...defaultPolicy().levels.basic, approvals: 2 };
const liberal = { basic: anyLevel, verified: anyLevel, classified: anyLevel, nato: anyLevel };

test('officers may approve less than was asked for, which voids earlier approvals; two must be two', () => {
  const policy = { levels: liberal };
  const silent = testSide(bravoOrg, { policy, officers: [] });
  const waiting = runTrustExchange(testSide(alphaOrg, { policy }), silent, { request: { level: 'verified' } });
  const { responder } = waiting;
  const asked = () => responder.last('ask_approval')?.question ?? assert.fail();
  const says = { kind: 'officer', decision: 'approve', by: 'officer', at: TEST_EPOCH } as const;
  const signs = (name: string) =>
    responder.event({ ...says, signed: grantBy(testOfficer(bravoOrg, name), asked(), { approved_at: TEST_EPOCH }) });
  signs('one');
  responder.event({ ...says, level: 'basic' });
  assert.deepEqual(responder.last('approvals_void'), { kind: 'approvals_void', count: 1, why: 'level' });
  signs('two');
  assert.deepEqual(phases(waiting), ['awaiting_decision', 'awaiting_approval']);
  assert.equal(asked().approvalsNeeded, 1);
  signs('two');
  assert.equal(responder.last('ignored')?.detail, 'this officer approved already');
  assert.equal(responder.state?.phase, 'awaiting_approval');
  signs('three');
  const [decision] = waiting.responder.outbox;
  waiting.initiator.event({ kind: 'received', document: decision?.document ?? new Uint8Array() });
  const kept = waiting.initiator.last('keep_certificates');
  assert.ok(kept !== undefined);
  const given = mustBe(verifyTrustCertificate(crypto, kept.given, { issuer: alphaOrg.pinned, now: TEST_EPOCH }));
  assert.equal(given.level, 'basic');
});

test('no officer approves more than was asked for', () => {
  const policy = { levels: liberal };
  const { responder } = runTrustExchange(alpha, testSide(bravoOrg, { policy, officers: [] }));
  assert.equal(responder.state?.phase, 'awaiting_approval');
  const above = { kind: 'officer', decision: 'approve', by: 'officer-1', at: TEST_EPOCH, level: 'nato' } as const;
  assert.throws(() => responder.event(above), RangeError);
});

test('a policy that needs no officer grants by itself, and never more than it allows', () => {
  const { levels, limits } = defaultPolicy();
  const policy = {
    levels: { ...levels, basic: { ...levels.basic, approvals: 0, lifeDaysMax: 30 } },
    permissions: ['message_relay'] as const,
    limits: { ...limits, message_bytes_max: 1000 },
  };
  const { initiator, responder } = runTrustExchange(alpha, testSide(bravoOrg, { policy, officers: [] }));
  assert.equal(responder.last('ask_approval'), undefined);
  const kept = initiator.last('keep_certificates');
  assert.ok(kept !== undefined);
  const received = mustBe(verifyTrustCertificate(crypto, kept.received, { issuer: bravoOrg.pinned, now: TEST_EPOCH }));
  assert.deepEqual([...received.permissions], ['message_relay']);
  assert.equal(received.limits.message_bytes_max, 1000);
  const { not_before, not_after } = received.document.body;
  assert.equal(not_after - not_before, 30 * 86_400_000);
});

test('time ends an exchange wherever it stands, but not an established one', () => {
  const lost = (name: string) => ({ intercept: (m: string, d: Uint8Array) => (m === name ? [] : [d]) });
  const waitingSides = [
    runTrustExchange(alpha, bravo, lost('trust_request')),
    runTrustExchange(alpha, bravo, lost('trust_response')),
    runTrustExchange(alpha, testSide(bravoOrg, { officers: [] })),
  ];
  const late = { ...alpha.context, now: instant(TEST_EPOCH + LIMITS.trustExchangeMillisecondsMax) };
  const tick: ExchangeEvent = { kind: 'clock' };
  for (const { initiator, responder } of waitingSides) {
    assert.ok(initiator.state !== undefined && responder.state !== undefined);
    assert.equal(stepInitiator(alpha.context, initiator.state, tick).state, initiator.state);
    assert.equal(stepInitiator(late, initiator.state, tick).state.phase, 'ended');
    assert.equal(stepResponder(bravo.context, responder.state, tick).state, responder.state);
    assert.equal(stepResponder(late, responder.state, tick).state.phase, 'ended');
  }
  const challenged = waitingSides[1]?.responder.state;
  const afterChallenge = { ...bravo.context, now: instant(TEST_EPOCH + LIMITS.trustChallengeMillisecondsMax) };
  assert.ok(challenged?.phase === 'awaiting_response');
  assert.equal(stepResponder(afterChallenge, challenged, tick).state.phase, 'ended');
  const { initiator, responder } = runTrustExchange(alpha, bravo);
  assert.ok(initiator.state !== undefined && responder.state !== undefined);
  assert.equal(stepInitiator(late, initiator.state, tick).state.phase, 'established');
  assert.equal(stepResponder(late, responder.state, tick).state.phase, 'established');
});

test('the machines are total: any event in any state gives a step, and storage holds any state', () => {
  const sent = [...record(alpha, bravo).values()];
  const found = { kind: 'officer', decision: 'approve', by: 'officer-1', at: TEST_EPOCH } as const;
  const events: ExchangeEvent[] = [
    ...sent.map((document) => ({ kind: 'received', document }) as const),
    { kind: 'received', document: new Uint8Array([0x7b, 0x7d]) },
    {
      kind: 'evidence_checked',
      ...trueEvidence({ peer: testParty(bravoOrg), level: 'basic', material: [] }, TEST_EPOCH),
    },
    found,
    { kind: 'clock' },
  ];
  const anyEvents = fc.array(fc.constantFrom(...events), { maxLength: 12 });
  fc.assert(
    fc.property(anyEvents, anyEvents, (forInitiator, forResponder) => {
      const { initiator, responder } = runTrustExchange(alpha, bravo, {
        intercept: (_, document) => [document].slice(1),
      });
      for (const document of sent.slice(0, 1)) receiveAsResponder(responder, document);
      for (const event of forInitiator) initiator.event(event);
      for (const event of forResponder) responder.event(event);
      assert.ok(initiator.state !== undefined && responder.state !== undefined);
      encodeInitiatorState(initiator.state);
      encodeResponderState(responder.state);
    }),
    { numRuns: 40 },
  );
});
