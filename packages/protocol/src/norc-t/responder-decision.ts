import { InvariantError, LIMITS, type Reject } from '../base/index.ts';
import { draftDocument } from '../crypto/index.ts';
import {
  type ApprovalQuestion,
  commonOf,
  type ExchangeContext,
  type ExchangePlace,
  type ExchangeStep,
  ignore,
  type OfficerDecision,
  placeOf,
  sendEffect,
  stay,
  stored,
} from './exchange.ts';
import { type CertificatePair, draftPair, type Grant, grantable } from './exchange-certificates.ts';
import type { Approval, ResponderState, ResponderStates } from './exchange-state.ts';
import { compareLevels } from './levels.ts';
import {
  type AcknowledgmentBody,
  type DecisionBody,
  extendTranscript,
  type RequestBody,
  TRUST_CHALLENGE,
  TRUST_DECISION,
  TRUST_REQUEST,
  TRUST_RESPONSE,
} from './messages.ts';
import { keysOf, openDocument, type Party } from './party.ts';
import { TRUST_CERTIFICATE, type TrustEvidence } from './trust-certificate.ts';

/** How the responder comes to its decision: officers, certificates, or a refusal. */

export type ResponderStep = ExchangeStep<ResponderState>;

export const EXPIRED: Reject = { code: 'exchange_expired', detail: 'trust exchange' };
const DAY_MS = 86_400_000;

/** Asks for the approvals that are still needed; grants when there are none. */
export function askOfficers(context: ExchangeContext, state: ResponderStates['awaiting_approval']): ResponderStep {
  const question = approvalQuestion(context, state);
  return question.approvalsNeeded <= 0 ? grant(context, state) : stay(state, { kind: 'ask_approval', question });
}

/** What an officer of this side decides about, also when asked again after a restart. */
export function approvalQuestion(
  { policy }: ExchangeContext,
  state: ResponderStates['awaiting_approval'],
): ApprovalQuestion {
  const request = stored(TRUST_REQUEST, state.request).body;
  return {
    peer: state.peer,
    rootKey: state.peer_party.root_key,
    level: state.level,
    grants: grantable(request.asks, policy.permissions, policy.limits),
    receives: request.offers,
    validDays: validDays(policy.levels[state.level].lifeDaysMax, request),
    evidence: state.evidence,
    approvalsNeeded: policy.levels[state.level].approvals - state.approvals.length,
    ...(request.note === undefined ? {} : { note: request.note }),
  };
}

export function onOfficer(
  context: ExchangeContext,
  state: ResponderStates['awaiting_approval'],
  event: OfficerDecision,
): ResponderStep {
  if (context.now >= state.expires_at) return end(state, EXPIRED);
  if (event.decision === 'reject') {
    return decline(context, state, { code: 'trust_declined', detail: event.reason ?? 'an officer declined' });
  }
  const level = event.level ?? state.level;
  const asked = stored(TRUST_REQUEST, state.request).body.level;
  if (compareLevels(level, asked) > 0) throw new RangeError('an officer cannot approve more than was asked for');
  const earlier = level === state.level ? state.approvals : [];
  if (earlier.some(({ by }) => by === event.by)) return ignore(state, 'this officer approved already');
  const next = { ...state, level, approvals: [...earlier, approvalOf(event)] };
  return askOfficers(context, next);
}

function approvalOf({ by, at, statement }: OfficerDecision): Approval {
  return { by, at, ...(statement === undefined ? {} : { statement }) };
}

function grant(context: ExchangeContext, state: ResponderStates['awaiting_approval']): ResponderStep {
  const request = stored(TRUST_REQUEST, state.request).body;
  const facts = {
    initiator: state.peer_party,
    responder: state.self,
    request,
    challenge: stored(TRUST_CHALLENGE, state.challenge).body,
    response: stored(TRUST_RESPONSE, state.response).body,
    transcript: state.transcript,
  };
  const pair = draftPair(facts, grantOf(context, state, request));
  const next: ResponderState = {
    phase: 'signing',
    ...placeOf(state),
    heard: state.heard,
    sent: [],
    request: state.request,
    peer_party: state.peer_party,
    issued: pair.issued.bytes,
    counterpart: pair.counterpart.bytes,
  };
  return stay(next, { kind: 'sign_certificates', ...pair });
}

/** Begins a little earlier, so that it is in force at once where the other clock is behind. */
function grantOf(
  { now, policy }: ExchangeContext,
  state: ResponderStates['awaiting_approval'],
  request: RequestBody,
): Grant {
  const { level, approvals } = state;
  const not_before = now - LIMITS.trustClockSkewMillisecondsMax;
  return {
    level,
    granted: grantable(request.asks, policy.permissions, policy.limits),
    accepted: request.offers,
    evidence: [...state.evidence, ...approvals.flatMap(approvalEvidence)],
    not_before,
    not_after: not_before + validDays(policy.levels[level].lifeDaysMax, request) * DAY_MS,
  };
}

function approvalEvidence({ at, statement }: Approval): readonly TrustEvidence[] {
  return statement === undefined ? [] : [{ kind: 'officer_approval', hash: statement, checked_at: at }];
}

function validDays(lifeDaysMax: number, request: RequestBody): number {
  return Math.min(lifeDaysMax, request.valid_days);
}

export function onSigned(
  context: ExchangeContext,
  state: ResponderStates['signing'],
  { issued, counterpart }: CertificatePair<Uint8Array>,
): ResponderStep {
  const keys = keysOf(context.crypto, state.self, 'trust', context.now);
  for (const certificate of [issued, counterpart]) {
    const signed = openDocument(context.crypto, TRUST_CERTIFICATE, certificate, keys);
    if (!signed.ok) throw new InvariantError(`our own signature: ${signed.error.detail}`);
  }
  const body: DecisionBody = { ...commonOf(state, context.now), outcome: 'granted', issued, counterpart };
  const decision = draftDocument(TRUST_DECISION, body);
  const next: ResponderState = {
    phase: 'awaiting_acknowledgment',
    ...placeOf(state),
    // The initiator may hold both certificates from now on: an acknowledgment is good as long as they are.
    expires_at: stored(TRUST_CERTIFICATE, issued).body.not_after,
    transcript: extendTranscript(context.crypto, state.transcript, decision),
    heard: state.heard,
    sent: [decision.bytes],
    request: state.request,
    peer_party: state.peer_party,
    issued,
    counterpart,
  };
  return stay(next, sendEffect('trust_decision', decision));
}

interface Ending extends ExchangePlace {
  readonly heard: Uint8Array;
  readonly sent: readonly Uint8Array[];
  /** Sent along where the peer does not know it yet. */
  readonly party?: Party;
}

/** A signed refusal, so that the other side's officers can read why [TRUST-38]. */
export function decline(context: ExchangeContext, state: Ending, { code, detail }: Reject): ResponderStep {
  const party = state.party === undefined ? {} : { party: state.party };
  const body: DecisionBody = { ...commonOf(state, context.now), outcome: 'refused', code, reason: detail, ...party };
  const decision = draftDocument(TRUST_DECISION, body);
  const transcript = extendTranscript(context.crypto, state.transcript, decision);
  const { state: ended, effects } = end({ ...state, transcript, sent: [decision.bytes] }, { code, detail });
  return stay(ended, sendEffect('trust_decision', decision), ...effects);
}

export function declinedByPeer(state: Ending, heard: Uint8Array, { code, reason }: AcknowledgmentBody): ResponderStep {
  const detail = `${code ?? 'trust_declined'}: ${reason ?? 'no reason given'}`;
  return end({ ...state, heard, sent: [] }, { code: 'trust_declined', detail });
}

export function end(state: Ending, { code, detail }: Reject): ResponderStep {
  const { heard, sent } = state;
  return stay(
    { phase: 'ended', ...placeOf(state), heard, sent, code, reason: detail },
    { kind: 'ended', code, detail },
  );
}
