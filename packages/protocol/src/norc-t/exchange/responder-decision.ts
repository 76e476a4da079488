import { InvariantError, ok, type Reject, type Result, reject } from '../../base/index.ts';
import { draftDocument } from '../../crypto/index.ts';
import { compareLevels, type GrantedLevel } from '../levels.ts';
import { keysOf, openDocument, type Party } from '../party.ts';
import { TRUST_CERTIFICATE } from '../trust-certificate.ts';
import { commonOf, ignore, materialField, placeOf, reasonOf, sendEffect, stay, stored } from './exchange.ts';
import {
  approvalMaterial,
  checkOwnApproval,
  countedApprovals,
  grantSubject,
  OFFICER_APPROVAL_MATERIAL,
  signersNeeded,
  UNSIGNED,
} from './exchange-approvals.ts';
import {
  type CertificatePair,
  draftPair,
  type ExchangeFacts,
  type Grant,
  storedPair,
} from './exchange-certificates.ts';
import {
  evidenceEnd,
  evidenceIn,
  isEvidenceStale,
  requiredKinds,
  reviewFault,
  signingFault,
} from './exchange-evidence.ts';
import { pairQuestion } from './exchange-question.ts';
import type { Approval, ResponderState, ResponderStates, Review } from './exchange-state.ts';
import { beginning, grantable, lifeOf, validDays } from './exchange-terms.ts';
import type {
  ApprovalQuestion,
  ExchangeContext,
  ExchangeEffect,
  ExchangeEvent,
  ExchangePlace,
  ExchangeStep,
  OfficerDecision,
} from './exchange-types.ts';
import {
  type AcknowledgmentBody,
  type DecisionBody,
  extendTranscript,
  TRUST_CHALLENGE,
  TRUST_DECISION,
  TRUST_REQUEST,
  TRUST_RESPONSE,
} from './messages.ts';

/** How the responder comes to its decision: officers, certificates, or a refusal. */

const DAY_MS = 86_400_000;

export type ResponderStep = ExchangeStep<ResponderState>;

export const EXPIRED: Reject = { code: 'exchange_expired', detail: 'trust exchange' };

/** What is asked about the initiator: its material is in the response. */
export function checkInitiatorEffect(state: ResponderStates['checking_evidence']): ExchangeEffect {
  const { material = [] } = stored(TRUST_RESPONSE, state.response).body;
  return { kind: 'check_evidence', question: { peer: state.peer_party, level: state.review.level, material } };
}

type Checked = Omit<ResponderStates['checking_evidence'], 'phase'>;
type Approving = ResponderStates['awaiting_approval'];

/** The evidence is in: both certificates are drafted, dates and all, and officers are asked about exactly these. */
export function propose(context: ExchangeContext, state: Checked, ...before: readonly ExchangeEffect[]): ResponderStep {
  const drafted = draft(context, state);
  return drafted.ok ? askOfficers(context, drafted.value, ...before) : decline(context, state, drafted.error);
}

function draft(context: ExchangeContext, state: Checked): Result<Approving> {
  const { request, review, peer_party, challenge, response, heard } = state;
  const body = stored(TRUST_REQUEST, request).body;
  const facts = {
    initiator: peer_party,
    responder: state.self,
    request: body,
    challenge: stored(TRUST_CHALLENGE, challenge).body,
    response: stored(TRUST_RESPONSE, response).body,
    transcript: state.transcript,
  };
  const grant = grantOf(context, review, facts);
  if (grant.not_after - grant.not_before < DAY_MS) return reject('insufficient_trust', 'evidence expires within a day');
  const pair = draftPair(facts, grant);
  if (!pair.ok) return pair;
  const drafts = { issued: pair.value.issued.bytes, counterpart: pair.value.counterpart.bytes };
  const rest = { request, review, peer_party, challenge, response, ...drafts };
  return ok({ phase: 'awaiting_approval', ...placeOf(state), heard, sent: [], ...rest });
}

function grantOf(context: ExchangeContext, review: Review, { request, response }: ExchangeFacts): Grant {
  const { now, policy } = context;
  const { level } = review;
  const own = evidenceIn(context, review);
  const life = lifeOf(validDays(policy, level, request), beginning(now));
  // Neither side's certificate outlives what it rests on [TRUST-83].
  const required = requiredKinds(policy, level);
  const end = Math.min(life.not_after, evidenceEnd(own, required), evidenceEnd(response.evidence, required));
  return {
    level,
    granted: grantable(request.asks, policy, level, life.not_before),
    accepted: request.offers,
    evidence: own,
    ...{ not_before: life.not_before, not_after: end },
  };
}

/** Asks for the approvals that are still needed; grants when there are none. */
function askOfficers(context: ExchangeContext, state: Approving, ...before: readonly ExchangeEffect[]): ResponderStep {
  const question = approvalQuestion(context, state);
  if (question.approvalsNeeded > 0) return stay(state, ...before, { kind: 'ask_approval', question });
  const { phase: _, challenge: _challenge, response: _response, ...rest } = state;
  return stay({ phase: 'signing', ...rest }, ...before, { kind: 'sign_certificates', ...storedPair(state) });
}

/** Officers who have to sign, by their own keys, at a level; 0 where one person at the operator's interface is enough. */
function signersOf({ policy }: ExchangeContext, state: Approving): number {
  const { approvals = 0 } = stored(TRUST_REQUEST, state.request).body;
  return signersNeeded(policy, state.review.level, approvals);
}

/** Whom officers cut off before comes back by nobody's leave but theirs, whatever the level asks for [TRUST-79]. */
function unsignedApprovals({ policy, cutOff }: ExchangeContext, level: GrantedLevel): number {
  return Math.max(policy.levels[level].approvals, cutOff === undefined ? 0 : 1);
}

/** What an officer of this side decides about, also when asked again after a restart. */
export function approvalQuestion(context: ExchangeContext, state: Approving): ApprovalQuestion {
  const pair = storedPair(state);
  const signers = signersOf(context, state);
  const subject = grantSubject(context.crypto, pair);
  const counted =
    signers > 0 ? [...countedApprovals(context, state, subject)] : state.review.approvals.map(({ by }) => by);
  const needed = signers > 0 ? signers : unsignedApprovals(context, state.review.level);
  return pairQuestion(context, state, {
    ...{ pair, signed: signers > 0, approvedBy: counted, approvalsNeeded: needed - counted.length },
    ...{ grants: pair.issued.body, receives: pair.counterpart.body },
    note: stored(TRUST_REQUEST, state.request).body.note,
  });
}

export function onOfficer(context: ExchangeContext, state: Approving, event: OfficerDecision): ResponderStep {
  if (context.now >= state.expires_at) return end(state, EXPIRED);
  if (event.decision === 'reject') return onReject(context, state, event);
  if (isEvidenceStale(context, state.review)) {
    const late = { code: 'approval_expired', detail: 'the evidence is too old; it is checked again' } as const;
    return checkAgain(state, { kind: 'refuse_approval', ...late });
  }
  const { level = state.review.level } = event;
  return level === state.review.level ? onApproval(context, state, event) : onLevel(context, state, event, level);
}

function onReject(context: ExchangeContext, state: Approving, { signed, reason }: OfficerDecision): ResponderStep {
  const expected = { action: 'trust_decline', subject: grantSubject(context.crypto, storedPair(state)) } as const;
  const said = signed === undefined ? undefined : checkOwnApproval(context, state, signed, expected);
  if (said?.ok === false) return stay(state, { kind: 'refuse_approval', ...said.error });
  return decline(context, state, { code: 'trust_declined', detail: reason ?? 'an officer declined' });
}

/** Another level makes other certificates: nothing that was approved before counts for them [TRUST-77]. */
function onLevel(
  context: ExchangeContext,
  state: Approving,
  event: OfficerDecision,
  level: GrantedLevel,
): ResponderStep {
  const asked = stored(TRUST_REQUEST, state.request).body.level;
  if (compareLevels(level, asked) > 0) throw new RangeError('an officer cannot approve more than was asked for');
  const review = { ...state.review, level, approvals: [] };
  const fault = reviewFault(context, review, level, state.peer_party);
  if (fault !== undefined) return stay(state, { kind: 'refuse_approval', ...fault });
  const drafted = draft(context, { ...state, review });
  if (!drafted.ok) return stay(state, { kind: 'refuse_approval', ...drafted.error });
  const { approvals } = state.review;
  const voided: readonly ExchangeEffect[] =
    approvals.length === 0 ? [] : [{ kind: 'approvals_void', count: approvals.length, why: 'level' }];
  // Where officers sign, they have to see the new certificates first.
  if (signersOf(context, drafted.value) > 0) return askOfficers(context, drafted.value, ...voided);
  const { state: next, effects } = onApproval(context, drafted.value, event);
  return stay(next, ...voided, ...effects);
}

function onApproval(context: ExchangeContext, state: Approving, event: OfficerDecision): ResponderStep {
  const { approvals } = state.review;
  const approval = approvalOf(context, state, event);
  if (!approval.ok) return stay(state, { kind: 'refuse_approval', ...approval.error });
  if (approvals.some(({ by }) => by === approval.value.by)) return ignore(state, 'this officer approved already');
  const review = { ...state.review, approvals: [...approvals, approval.value] };
  const fault = reviewFault(context, review, review.level, state.peer_party); // the policy may have changed meanwhile
  if (fault !== undefined) return decline(context, { ...state, review }, fault);
  return askOfficers(context, { ...state, review });
}

function approvalOf(context: ExchangeContext, state: Approving, { by, at, signed }: OfficerDecision): Result<Approval> {
  if (signed === undefined) return signersOf(context, state) > 0 ? { ok: false, error: UNSIGNED } : ok({ by, at });
  const expected = { action: 'trust_grant', subject: grantSubject(context.crypto, storedPair(state)) } as const;
  const checked = checkOwnApproval(context, state, signed, expected);
  if (!checked.ok) return checked;
  return ok({ by: checked.value.officer.officerId, at: checked.value.approvedAt, signed });
}

/** Time passed, and perhaps the policy changed: evidence gets old, and fewer officers may be enough now. */
export function onWaiting(context: ExchangeContext, state: Approving): ResponderStep {
  if (isEvidenceStale(context, state.review)) return checkAgain(state);
  if (approvalQuestion(context, state).approvalsNeeded > 0) return stay(state);
  const fault = reviewFault(context, state.review, state.review.level, state.peer_party);
  return fault === undefined ? askOfficers(context, state) : decline(context, state, fault);
}

/** What was found is too old, or has expired: it is looked for again, and what was approved on it is void [TRUST-77]. */
function checkAgain(state: Approving, ...before: readonly ExchangeEffect[]): ResponderStep {
  const { issued: _, counterpart: _counterpart, review, ...rest } = state;
  const next = { ...rest, phase: 'checking_evidence', review: { ...review, approvals: [] } } as const;
  const { length: count } = review.approvals;
  const voided: readonly ExchangeEffect[] = count === 0 ? [] : [{ kind: 'approvals_void', count, why: 'evidence' }];
  return stay(next, ...before, ...voided, checkInitiatorEffect(next));
}

export function onSigned(
  context: ExchangeContext,
  state: ResponderStates['signing'],
  { issued, counterpart }: CertificatePair<Uint8Array>,
): ResponderStep {
  const late = signingFault(context, state);
  if (late !== undefined) return decline(context, state, late);
  const keys = keysOf(context.crypto, state.self, 'trust', context.now);
  for (const certificate of [issued, counterpart]) {
    const signed = openDocument(context.crypto, TRUST_CERTIFICATE, certificate, keys);
    if (!signed.ok) throw new InvariantError(`our own signature: ${signed.error.detail}`);
  }
  const approvals = state.review.approvals.flatMap(({ signed }) => signed ?? []);
  const body: DecisionBody = {
    ...commonOf(state, context.now),
    ...{ outcome: 'granted', issued, counterpart },
    ...materialField(approvalMaterial(OFFICER_APPROVAL_MATERIAL, approvals)),
  };
  const decision = draftDocument(TRUST_DECISION, body);
  const next: ResponderState = {
    phase: 'awaiting_acknowledgment',
    ...placeOf(state),
    expires_at: acknowledgedBy(context, stored(TRUST_CERTIFICATE, issued).body.not_after),
    transcript: extendTranscript(context.crypto, state.transcript, decision),
    heard: state.heard,
    sent: [decision.bytes],
    request: state.request,
    review: state.review,
    peer_party: state.peer_party,
    issued,
    counterpart,
  };
  return stay(next, sendEffect('trust_decision', decision));
}

/** What was found is as old as evidence may be, and once more, when the acknowledgment comes at the latest [TRUST-82]. */
function acknowledgedBy({ now, policy }: ExchangeContext, notAfter: number): number {
  return Math.min(notAfter, now + policy.evidenceAgeMillisecondsMax);
}

interface Ending extends ExchangePlace {
  readonly heard: Uint8Array;
  readonly sent: readonly Uint8Array[];
  readonly review?: Review;
  /** Sent along where the peer does not know it yet. */
  readonly party?: Party;
}

/** A signed refusal, so that the other side's officers can read why [TRUST-38]. */
export function decline(context: ExchangeContext, state: Ending, fault: Reject): ResponderStep {
  const party = state.party === undefined ? {} : { party: state.party };
  const body: DecisionBody = { ...commonOf(state, context.now), outcome: 'refused', ...reasonOf(fault), ...party };
  const decision = draftDocument(TRUST_DECISION, body);
  const transcript = extendTranscript(context.crypto, state.transcript, decision);
  const { state: ended, effects } = end({ ...state, transcript, sent: [decision.bytes] }, fault);
  return stay(ended, sendEffect('trust_decision', decision), ...effects);
}

export function declinedByPeer(state: Ending, heard: Uint8Array, { code, reason }: AcknowledgmentBody): ResponderStep {
  const detail = `${code ?? 'trust_declined'}: ${reason ?? 'no reason given'}`;
  return end({ ...state, heard, sent: [] }, { code: 'trust_declined', detail });
}

/** Nothing is sent: there is no link to a peer that was cut off. What it sent is refused. */
export function cut(state: ResponderState, event: ExchangeEvent, fault: Reject): ResponderStep {
  const { state: ended, effects } = end({ ...state, sent: [] }, fault);
  return event.kind === 'received' ? stay(ended, { kind: 'refuse', ...fault }, ...effects) : stay(ended, ...effects);
}

export function end(state: Ending, { code, detail }: Reject): ResponderStep {
  const { heard, sent, review } = state;
  const kept = review === undefined ? {} : { review };
  return stay(
    { phase: 'ended', ...placeOf(state), heard, sent, ...kept, code, reason: reasonOf({ code, detail }).reason },
    { kind: 'ended', code, detail },
  );
}
