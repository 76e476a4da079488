import { InvariantError, ok, type Reject, type Result, reject } from '../../base/index.ts';
import { draftDocument, parseDocument, type SignedDocument } from '../../crypto/index.ts';
import type { SignedApproval } from '../officers/officers.ts';
import { keysOf, openDocument } from '../party.ts';
import { TRUST_CERTIFICATE, type TrustCertificateBody } from '../trust-certificate.ts';
import {
  commonOf,
  ignore,
  materialField,
  openMessage,
  placeOf,
  type ReceivedMessage,
  reasonOf,
  refuse,
  sendEffect,
  stay,
  stored,
} from './exchange.ts';
import {
  approvalMaterial,
  checkOwnApproval,
  checkTheirApprovals,
  countedApprovals,
  grantSubject,
  OFFICER_APPROVAL_MATERIAL,
  signedApprovals,
  UNSIGNED,
} from './exchange-approvals.ts';
import { type CertificatePair, checkPair, storedPair, verifyPair } from './exchange-certificates.ts';
import {
  checkClaims,
  evidenceEnd,
  isEvidenceStale,
  reviewFault,
  sharedKinds,
  signingFault,
  withFindings,
} from './exchange-evidence.ts';
import { pairQuestion } from './exchange-question.ts';
import { postQuantumFault } from './exchange-signatures.ts';
import type { InitiatorState, InitiatorStates, Review } from './exchange-state.ts';
import type {
  ApprovalQuestion,
  EvidenceChecked,
  ExchangeContext,
  ExchangeEffect,
  ExchangeEvent,
  ExchangeStep,
  OfficerDecision,
} from './exchange-types.ts';
import {
  type AcknowledgmentBody,
  type DecisionBody,
  extendTranscript,
  TRUST_ACKNOWLEDGMENT,
  TRUST_CHALLENGE,
  TRUST_DECISION,
  TRUST_REQUEST,
  TRUST_RESPONSE,
} from './messages.ts';

/** How the initiator takes the decision: checks it, asks its own officers, signs, or declines. */

type Step = ExchangeStep<InitiatorState>;
type Pair = CertificatePair<SignedDocument<TrustCertificateBody>>;

export const EXPIRED: Reject = { code: 'exchange_expired', detail: 'trust exchange' };

/** What is asked about the responder: its own material is in the challenge. */
export function checkEffect(state: InitiatorStates['checking_evidence' | 'checking_again']): ExchangeEffect {
  const { material = [] } = stored(TRUST_CHALLENGE, state.challenge).body;
  return { kind: 'check_evidence', question: { peer: state.peer_party, level: state.review.level, material } };
}

export function onDecision(
  context: ExchangeContext,
  state: InitiatorStates['awaiting_decision'],
  message: ReceivedMessage,
): Step {
  const decision = parseDocument(TRUST_DECISION, message.bytes);
  if (!decision.ok) return refuse(state, decision.error);
  const opened = openMessage(context, decision.value, state, state.peer_party);
  if (!opened.ok) return refuse(state, opened.error);
  const { outcome, issued, counterpart } = decision.value.body;
  if (outcome === 'refused') return declined(state, message, decision.value.body);
  const transcript = extendTranscript(context.crypto, state.transcript, decision.value);
  const taken = { ...state, transcript, heard: message.hash };
  if (issued === undefined || counterpart === undefined) {
    return abort(context, taken, { code: 'missing_field', detail: 'certificates of the decision' });
  }
  const pair = openPair(context, state, { issued, counterpart });
  if (!pair.ok) return abort(context, taken, pair.error);
  const theirs = checkDecision(context, state, pair.value, decision.value.body);
  if (!theirs.ok) return abort(context, taken, theirs.error);
  const review = { ...state.review, level: pair.value.issued.body.level, theirs: theirs.value };
  return approvalStep(context, { ...taken, review, issued, counterpart });
}

function openPair(
  context: ExchangeContext,
  state: InitiatorStates['awaiting_decision'],
  { issued, counterpart }: CertificatePair<Uint8Array>,
): Result<Pair> {
  const { crypto, now } = context;
  const keys = keysOf(crypto, state.peer_party, 'trust', now);
  const first = openDocument(crypto, TRUST_CERTIFICATE, issued, keys);
  if (!first.ok) return first;
  const second = openDocument(crypto, TRUST_CERTIFICATE, counterpart, keys);
  if (!second.ok) return second;
  const pair = { issued: first.value.document, counterpart: second.value.document };
  const facts = {
    initiator: state.self,
    responder: state.peer_party,
    request: stored(TRUST_REQUEST, state.request).body,
    challenge: stored(TRUST_CHALLENGE, state.challenge).body,
    response: stored(TRUST_RESPONSE, state.response).body,
    transcript: state.transcript,
  };
  const checked = checkPair(facts, pair, now);
  return checked.ok ? ok(pair) : checked;
}

/** What the policy demands of a decision besides the certificates: second signatures, and the other side's officers. */
function checkDecision(
  context: ExchangeContext,
  state: InitiatorStates['awaiting_decision'],
  pair: Pair,
  { material, sent_at }: DecisionBody,
): Result<readonly SignedApproval[]> {
  const { crypto, policy } = context;
  const { body } = pair.issued;
  const end = evidenceEnd(stored(TRUST_RESPONSE, state.response).body.evidence, sharedKinds(policy, body.level));
  if (body.not_after > end) return reject('insufficient_trust', 'certificates outlive the evidence under them');
  const claims = checkClaims(context, body.evidence, state.self, stored(TRUST_RESPONSE, state.response));
  if (!claims.ok) return claims;
  const unsigned = postQuantumFault(context, [pair.issued, pair.counterpart], state.peer_party, body.level);
  if (unsigned !== undefined) return { ok: false, error: unsigned };
  return checkTheirApprovals(context, state.self, {
    party: state.peer_party,
    material,
    subject: grantSubject(crypto, pair),
    sentAt: sent_at,
    requestedBy: undefined, // it was an officer of this side who asked
    needed: signedApprovals(policy, body.level),
  });
}

type Waiting = Omit<InitiatorStates['awaiting_approval'], 'phase'>;

/** Signs when no officer has to; otherwise asks them. Either way on findings that are fresh, and that the policy of now takes. */
function approvalStep(context: ExchangeContext, state: Waiting, ...before: readonly ExchangeEffect[]): Step {
  if (isEvidenceStale(context, state.review)) return checkAgain(state, ...before);
  const fault = reviewFault(context, state.review, state.review.level, state.peer_party);
  if (fault !== undefined) return fail(context, waitingOf(state, state.review), fault);
  const waiting = waitingOf(state, state.review);
  const question = initiatorQuestion(context, waiting);
  if (question.approvalsNeeded > 0) return stay(waiting, ...before, { kind: 'ask_approval', question });
  const { phase: _, challenge: _challenge, ...rest } = waiting;
  return stay({ phase: 'signing', ...rest }, ...before, { kind: 'sign_certificates', ...storedPair(waiting) });
}

function waitingOf(state: Waiting, review: Review): InitiatorStates['awaiting_approval'] {
  const { request, peer_party, challenge, issued, counterpart, heard } = state;
  const place = { ...placeOf(state), heard, sent: [] };
  return { phase: 'awaiting_approval', ...place, request, review, peer_party, challenge, issued, counterpart };
}

function checkAgain(state: Waiting, ...before: readonly ExchangeEffect[]): Step {
  const { approvals } = state.review;
  const next = { ...waitingOf(state, { ...state.review, approvals: [] }), phase: 'checking_again' } as const;
  const voided: readonly ExchangeEffect[] =
    approvals.length === 0 ? [] : [{ kind: 'approvals_void', count: approvals.length, why: 'evidence' }];
  return stay(next, ...before, ...voided, checkEffect(next));
}

/** Officers of this side who have to sign: as many as either side's policy asks for. */
function officersOf({ policy }: ExchangeContext, state: Pick<Waiting, 'challenge' | 'review'>): number {
  const { approvals = 0 } = stored(TRUST_CHALLENGE, state.challenge).body;
  return Math.max(signedApprovals(policy, state.review.level), approvals);
}

/** What an officer of the initiator decides about, also when asked again after a restart. */
export function initiatorQuestion(
  context: ExchangeContext,
  state: InitiatorStates['awaiting_approval'],
): ApprovalQuestion {
  const pair = storedPair(state);
  const needed = officersOf(context, state);
  const counted = countedApprovals(context, state, grantSubject(context.crypto, pair));
  const request = stored(TRUST_REQUEST, state.request).body;
  return pairQuestion(context, state, {
    ...{ pair, signed: true, approvedBy: [...counted], approvalsNeeded: needed - counted.size, note: request.note },
    ...{ grants: pair.counterpart.body, receives: pair.issued.body },
  });
}

export function onChecked(
  context: ExchangeContext,
  state: InitiatorStates['checking_again'],
  event: EvidenceChecked,
): Step {
  if (context.now >= state.expires_at) return fail(context, state, EXPIRED);
  const keyProof = stored(TRUST_CHALLENGE, state.challenge);
  const review = withFindings(context, state.review, event, { party: state.peer_party, keyProof });
  return approvalStep(context, { ...state, review });
}

export function onOfficer(
  context: ExchangeContext,
  state: InitiatorStates['awaiting_approval'],
  event: OfficerDecision,
): Step {
  if (context.now >= state.expires_at) return fail(context, state, EXPIRED);
  const subject = grantSubject(context.crypto, storedPair(state));
  const { signed, decision, reason } = event;
  if (decision === 'reject') {
    const said =
      signed === undefined ? undefined : checkOwnApproval(context, state, signed, { action: 'trust_decline', subject });
    if (said?.ok === false) return stay(state, { kind: 'refuse_approval', ...said.error });
    return fail(context, state, { code: 'trust_declined', detail: reason ?? 'an officer declined' });
  }
  if (event.level !== undefined && event.level !== state.review.level) {
    return stay(state, { kind: 'refuse_approval', code: 'forbidden', detail: 'the level is decided already' });
  }
  if (isEvidenceStale(context, state.review)) {
    const late = { code: 'approval_expired', detail: 'the evidence is too old; it is checked again' } as const;
    return checkAgain(state, { kind: 'refuse_approval', ...late });
  }
  if (signed === undefined) return stay(state, { kind: 'refuse_approval', ...UNSIGNED });
  const checked = checkOwnApproval(context, state, signed, { action: 'trust_grant', subject });
  if (!checked.ok) return stay(state, { kind: 'refuse_approval', ...checked.error });
  const { officer, approvedAt: at } = checked.value;
  const { approvals } = state.review;
  if (approvals.some(({ by }) => by === officer.officerId)) return ignore(state, 'this officer approved already');
  const review = { ...state.review, approvals: [...approvals, { by: officer.officerId, at, signed }] };
  return approvalStep(context, { ...state, review });
}

export function onSigned(
  context: ExchangeContext,
  state: InitiatorStates['signing'],
  { issued, counterpart }: CertificatePair<Uint8Array>,
): Step {
  const late = signingFault(context, state);
  if (late !== undefined) return fail(context, state, late);
  const pair = { issued, counterpart };
  const complete = verifyPair(context, pair, state, { initiator: state.self, responder: state.peer_party });
  if (!complete.ok) throw new InvariantError(`our own signature: ${complete.error.detail}`);
  const approvals = state.review.approvals.flatMap(({ signed }) => signed ?? []);
  const body: AcknowledgmentBody = {
    ...commonOf(state, context.now),
    ...{ outcome: 'accepted', ...pair },
    ...materialField(approvalMaterial(OFFICER_APPROVAL_MATERIAL, approvals)),
  };
  const acknowledgment = draftDocument(TRUST_ACKNOWLEDGMENT, body);
  const next: InitiatorState = {
    phase: 'established',
    ...placeOf(state),
    transcript: extendTranscript(context.crypto, state.transcript, acknowledgment),
    heard: state.heard,
    sent: [acknowledgment.bytes],
    review: state.review,
    ...pair,
  };
  return stay(
    next,
    { kind: 'keep_certificates', given: counterpart, received: issued },
    sendEffect('trust_acknowledgment', acknowledgment),
  );
}

export function afterClock(context: ExchangeContext, state: InitiatorState): Step {
  if (state.phase === 'established' || state.phase === 'ended') return stay(state);
  const decided = ['awaiting_approval', 'checking_again', 'signing'].includes(state.phase);
  if (context.now >= state.expires_at) return decided ? fail(context, state, EXPIRED) : end(state, EXPIRED);
  return state.phase === 'awaiting_approval' ? onWaiting(context, state) : stay(state);
}

/** Evidence gets old, and by a policy that changed meanwhile fewer officers may be enough. */
function onWaiting(context: ExchangeContext, state: InitiatorStates['awaiting_approval']): Step {
  if (isEvidenceStale(context, state.review)) return checkAgain(state);
  return initiatorQuestion(context, state).approvalsNeeded > 0 ? stay(state) : approvalStep(context, state);
}

/** This side ends the exchange and tells the other, which waits for a response or for an acknowledgment. */
export function fail(
  context: ExchangeContext,
  state: Exclude<InitiatorState, { phase: 'ended' | 'established' }>,
  fault: Reject,
): Step {
  const body: AcknowledgmentBody = { ...commonOf(state, context.now), outcome: 'refused', ...reasonOf(fault) };
  const acknowledgment = draftDocument(TRUST_ACKNOWLEDGMENT, body);
  const transcript = extendTranscript(context.crypto, state.transcript, acknowledgment);
  const { state: ended, effects } = end({ ...state, transcript, sent: [acknowledgment.bytes] }, fault);
  return stay(ended, sendEffect('trust_acknowledgment', acknowledgment), ...effects);
}

/** The peer signed something that it may not sign: nothing better can follow in this exchange. */
function abort(context: ExchangeContext, state: InitiatorStates['awaiting_decision'], fault: Reject): Step {
  const { state: ended, effects } = fail(context, state, fault);
  return stay(ended, { kind: 'refuse', ...fault }, ...effects);
}

/**
 * The responder takes its decision back: the acknowledgment did not come in time, or its policy changed meanwhile
 * [TRUST-82]. What this side completed alone goes, or it would be in force on one side only.
 */
export function onWithdrawal(
  context: ExchangeContext,
  state: InitiatorStates['awaiting_approval' | 'checking_again' | 'signing' | 'established'],
  message: ReceivedMessage,
): Step {
  const decision = parseDocument(TRUST_DECISION, message.bytes);
  if (!decision.ok) return refuse(state, decision.error);
  const { issued, counterpart } = state;
  const party = stored(TRUST_CERTIFICATE, issued).body.issuer;
  const opened = openMessage(context, decision.value, decidedPlace(state), party);
  if (!opened.ok) return refuse(state, opened.error);
  if (decision.value.body.outcome !== 'refused')
    return refuse(state, { code: 'unexpected_message', detail: 'a second decision' });
  const { state: ended, effects } = declined(state, message, decision.value.body);
  if (state.phase !== 'established') return stay(ended, ...effects);
  return stay(ended, { kind: 'drop_certificates', given: counterpart, received: issued }, ...effects);
}

/** Where the exchange stood after the decision, for as long as the certificates last. */
function decidedPlace(state: InitiatorStates['awaiting_approval' | 'checking_again' | 'signing' | 'established']) {
  const { not_after } = stored(TRUST_CERTIFICATE, state.issued).body;
  const [acknowledgment] = state.phase === 'established' ? state.sent : [];
  const transcript =
    acknowledgment === undefined ? state.transcript : stored(TRUST_ACKNOWLEDGMENT, acknowledgment).body.previous;
  return { ...placeOf(state), transcript, expires_at: not_after };
}

export function declined(state: InitiatorState, message: ReceivedMessage, { code, reason }: DecisionBody): Step {
  const detail = `${code ?? 'trust_declined'}: ${reason ?? 'no reason given'}`;
  return end({ ...state, heard: message.hash, sent: [] }, { code: 'trust_declined', detail });
}

/** Nothing is sent: there is no link to a peer that was cut off. What it sent is refused. */
export function cut(state: InitiatorState, event: ExchangeEvent, fault: Reject): Step {
  const { state: ended, effects } = end({ ...state, sent: [] }, fault);
  return event.kind === 'received' ? stay(ended, { kind: 'refuse', ...fault }, ...effects) : stay(ended, ...effects);
}

function end(state: InitiatorState, { code, detail }: Reject): Step {
  const { heard, sent, review } = state;
  const kept = review === undefined ? {} : { review };
  return stay(
    { phase: 'ended', ...placeOf(state), heard, sent, ...kept, code, reason: reasonOf({ code, detail }).reason },
    { kind: 'ended', code, detail },
  );
}
