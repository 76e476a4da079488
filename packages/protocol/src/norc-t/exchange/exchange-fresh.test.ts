import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  finishTrustExchange,
  runTrustExchange,
  TEST_EPOCH,
  type TrustExchange,
  testOrganisation,
  testSide,
} from '@norc/testkit';
import { instant } from '../../base/index.ts';
import { defaultPolicy, type ExchangeEffect, resumeResponder, stepInitiator, stepResponder } from '../index.ts';

const DAY_MS = 86_400_000;
const alphaOrg = testOrganisation('alpha.example');
const [alpha, bravo] = [testSide(alphaOrg), testSide(testOrganisation('bravo.example'))];
const phases = ({ initiator, responder }: TrustExchange) => [initiator.state?.phase, responder.state?.phase];

test('[TRUST-82] an acknowledgment counts for a day; later both sides know that nothing is in force', () => {
  let acknowledgment: Uint8Array | undefined;
  const exchange = runTrustExchange(alpha, bravo, {
    intercept: (message, document) => {
      if (message !== 'trust_acknowledgment') return [document];
      acknowledgment = document;
      return [];
    },
  });
  const { initiator, responder } = exchange;
  assert.ok(responder.state?.phase === 'awaiting_acknowledgment' && acknowledgment !== undefined);
  const received = { kind: 'received', document: acknowledgment } as const;
  const at = (now: number) => ({ ...bravo.context, now: instant(now) });
  const soon = stepResponder(at(TEST_EPOCH + DAY_MS - 1), responder.state, received);
  assert.equal(soon.state.phase, 'established');
  const late = at(TEST_EPOCH + DAY_MS);
  assert.equal(stepResponder(late, responder.state, received).state.phase, 'ended');
  responder.side = { ...responder.side, context: late };
  initiator.side = { ...initiator.side, context: { ...alpha.context, now: late.now } };
  responder.event({ kind: 'clock' });
  assert.equal(responder.last('ended')?.code, 'exchange_expired');
  responder.outbox.length = 0; // the refusal is lost; whoever acknowledges again gets it again
  responder.event(received);
  const established = initiator.state;
  assert.equal(established?.phase, 'established');
  finishTrustExchange(exchange);
  assert.deepEqual(phases(exchange), ['ended', 'ended']);
  const dropped = initiator.last('drop_certificates');
  const kept = initiator.last('keep_certificates');
  assert.deepEqual([dropped?.given, dropped?.received], [kept?.given, kept?.received]);
});

test('[TRUST-82] the policy of the day counts when the acknowledgment comes, and what the other side completed goes', () => {
  let acknowledgment: Uint8Array | undefined;
  const exchange = runTrustExchange(alpha, bravo, {
    request: { level: 'verified', validDays: 180 },
    intercept: (message, document) => {
      if (message !== 'trust_acknowledgment') return [document];
      acknowledgment = document;
      return [];
    },
  });
  const { initiator, responder } = exchange;
  assert.ok(initiator.state?.phase === 'established' && acknowledgment !== undefined);
  const policy = defaultPolicy({ partnerLevelMax: new Map([[alphaOrg.domain, 'basic']]) });
  responder.side = { ...responder.side, context: { ...bravo.context, policy } };
  responder.event({ kind: 'received', document: acknowledgment });
  finishTrustExchange(exchange);
  assert.deepEqual(phases(exchange), ['ended', 'ended']);
  assert.equal(responder.last('keep_certificates'), undefined);
  assert.ok(initiator.last('drop_certificates') !== undefined);
  assert.match(initiator.last('ended')?.detail ?? '', /policy allows basic at most/);
});

test('[TRUST-82] whoever signs checks again, with officers or without: old evidence, and a policy that changed', () => {
  for (const [what, policy, days, code] of [
    ['old evidence', {}, 2, undefined],
    ['policy', { levelMax: 'basic' }, 0, 'insufficient_trust'],
  ] as const) {
    let decision: Uint8Array | undefined;
    const { initiator } = runTrustExchange(alpha, bravo, {
      request: { level: 'verified', validDays: 180 },
      intercept: (message, document) => {
        if (message !== 'trust_decision') return [document];
        decision = document;
        return [];
      },
    });
    const context = { ...alpha.context, policy: defaultPolicy(policy), now: instant(TEST_EPOCH + days * DAY_MS) };
    assert.ok(initiator.state !== undefined && decision !== undefined);
    const step = stepInitiator(context, initiator.state, { kind: 'received', document: decision });
    assert.equal(step.state.phase, code === undefined ? 'checking_again' : 'ended', what);
    const ended = step.effects.find((effect) => effect.kind === 'ended');
    assert.equal(ended?.code, code, what);
    assert.ok(step.effects.every(({ kind }) => kind !== 'sign_certificates'));
  }
});

test('[TRUST-82] certificates that a restart found unsigned are not signed days later', () => {
  const lose = (effect: ExchangeEffect) => effect.kind === 'sign_certificates';
  const { responder } = runTrustExchange(alpha, bravo, { lose });
  assert.ok(responder.state?.phase === 'signing');
  const [asked] = resumeResponder(bravo.context, responder.state);
  assert.ok(asked?.kind === 'sign_certificates');
  const late = { ...bravo.context, now: instant(TEST_EPOCH + 2 * DAY_MS) };
  const signed = { kind: 'signed', issued: asked.issued.bytes, counterpart: asked.counterpart.bytes } as const;
  const step = stepResponder(late, responder.state, signed);
  assert.equal(step.state.phase, 'ended');
  const sent = step.effects.find((effect) => effect.kind === 'send');
  assert.ok(sent?.message === 'trust_decision' && !('issued' in (sent.draft.body as object)));
});
