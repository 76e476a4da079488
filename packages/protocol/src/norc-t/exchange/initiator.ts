import { type Domain, LIMITS, ok, type Result, reject, sameBytes } from '../../base/index.ts';
import { draftDocument, parseDocument } from '../../crypto/index.ts';
import type { CertificateId, ExchangeId } from '../identifiers.ts';
import type { GrantedLevel } from '../levels.ts';
import type { SignedApproval } from '../officers/officers.ts';
import type { Party } from '../party.ts';
import { levelFault } from '../policy/policy.ts';
import { conditionsFault } from '../trust-certificate.ts';
import {
  CUT_OFF,
  capabilitiesOf,
  checkParty,
  commonOf,
  cutOffFault,
  cutOffField,
  ignore,
  materialField,
  openMessage,
  placeOf,
  type ReceivedMessage,
  recognize,
  refuse,
  resend,
  sendEffect,
  stay,
  stored,
} from './exchange.ts';
import {
  approvalMaterial,
  approvalsField,
  checkOwnApproval,
  OFFICER_REQUEST,
  type RequestDescription,
  requestSubject,
  signedApprovals,
} from './exchange-approvals.ts';
import { evidenceIn, newReview, reviewFault, withFindings } from './exchange-evidence.ts';
import type { InitiatorState, InitiatorStates, Review } from './exchange-state.ts';
import type { EvidenceChecked, ExchangeContext, ExchangeEvent, ExchangePlace, ExchangeStep } from './exchange-types.ts';
import {
  afterClock,
  checkEffect,
  cut,
  declined,
  EXPIRED,
  fail,
  onChecked,
  onDecision,
  onOfficer,
  onSigned,
  onWithdrawal,
} from './initiator-decision.ts';
import {
  extendTranscript,
  TRANSCRIPT_START,
  TRUST_CAPABILITIES,
  TRUST_CHALLENGE,
  TRUST_DECISION,
  TRUST_REQUEST,
  TRUST_RESPONSE,
  type TrustTerms,
} from './messages.ts';

/** The initiator of a trust exchange (spec/norc-t section 5): a pure machine over the states of exchange-state.ts. */

type Step = ExchangeStep<InitiatorState>;

export interface TrustRequest {
  readonly self: Party;
  readonly peer: Domain;
  readonly level: GrantedLevel;
  /** What the peer is to grant this side, and what this side will grant the peer. */
  readonly asks: TrustTerms;
  readonly offers: TrustTerms;
  readonly validDays: number;
  /** Whether both certificates are to say so, where each issuer holds the evidence for it. */
  readonly natoCapable?: boolean;
  readonly note?: string;
  /** Of action `trust_request` over `requestSubject`; needed at levels where officers sign. */
  readonly requested?: SignedApproval;
  /** Fresh randomness: 16, 16 and 32 bytes. */
  readonly exchangeId: ExchangeId;
  readonly certificateId: CertificateId;
  readonly nonce: Uint8Array;
}

/**
 * Errors: insufficient_trust when the own policy, or the evidence that can be checked, does not
 * allow the level; malformed for impossible conditions; approval_required when an officer has to
 * sign the request; those of `checkOwnApproval`.
 */
export function startInitiator(context: ExchangeContext, request: TrustRequest): Result<Step> {
  const { self, peer, exchangeId: exchange_id, level } = request;
  if (self.domain === peer) throw new RangeError('an organisation needs no trust in itself');
  const fault = levelFault(context.policy, level, context.checkable, peer);
  if (fault !== undefined) return reject('insufficient_trust', fault);
  const conditions =
    conditionsFault(request.offers.conditions, level) ?? conditionsFault(request.asks.conditions, level);
  if (conditions !== undefined) return reject('malformed', conditions);
  const review = reviewOf(context, request);
  if (!review.ok) return review;
  const { crypto, now } = context;
  const start = {
    exchange_id,
    self,
    peer,
    transcript: TRANSCRIPT_START,
    expires_at: now + LIMITS.trustExchangeMillisecondsMax,
    ...cutOffField(context),
  };
  const first = draftDocument(TRUST_CAPABILITIES, { ...commonOf(start, now), ...capabilitiesOf(self, peer, context) });
  const place = { ...start, transcript: extendTranscript(crypto, start.transcript, first) };
  const second = draftRequest(place, request, context);
  const state: InitiatorState = {
    phase: 'awaiting_challenge',
    ...place,
    transcript: extendTranscript(crypto, place.transcript, second),
    heard: new Uint8Array(32),
    sent: [first.bytes, second.bytes],
    request: second.bytes,
    review: review.value,
  };
  return ok(stay(state, sendEffect('trust_capabilities', first), sendEffect('trust_request', second)));
}

/** What an officer who asks for this signs. */
export function requestDescription(request: Omit<TrustRequest, 'self' | 'exchangeId' | 'certificateId' | 'nonce'>) {
  const { peer, level, validDays, natoCapable = false, asks, offers } = request;
  return { peer, level, valid_days: validDays, nato_capable: natoCapable, asks, offers } satisfies RequestDescription;
}

/** The officer's signature is checked before anything is sent [TRUST-73]. */
function reviewOf(context: ExchangeContext, request: TrustRequest): Result<Review> {
  const { self, peer, level, requested } = request;
  const review = newReview(level, {});
  if (requested === undefined) {
    const signed = signedApprovals(context.policy, level) > 0;
    return signed ? reject('approval_required', `an officer has to sign a request for ${level}`) : ok(review);
  }
  const subject = requestSubject(context.crypto, requestDescription(request));
  const by = checkOwnApproval(context, { self, peer, review }, requested, { action: 'trust_request', subject });
  return by.ok ? ok(newReview(level, { requested, requested_by: by.value.officer.officerId })) : by;
}

function draftRequest(place: ExchangePlace, request: TrustRequest, { now, policy }: ExchangeContext) {
  const { requested } = request;
  return draftDocument(TRUST_REQUEST, {
    ...commonOf(place, now),
    level: request.level,
    asks: request.asks,
    offers: request.offers,
    valid_days: request.validDays,
    certificate_id: request.certificateId,
    nonce: request.nonce,
    expires_at: place.expires_at,
    ...(request.natoCapable === true ? { nato_capable: true } : {}),
    ...(request.note === undefined ? {} : { note: request.note }),
    ...approvalsField(policy, request.level),
    ...materialField(requested === undefined ? [] : approvalMaterial(OFFICER_REQUEST, [requested])),
  });
}

/** Total and pure: the same context, state and event give the same step. */
export function stepInitiator(context: ExchangeContext, state: InitiatorState, event: ExchangeEvent): Step {
  const isOver = state.phase === 'established' || state.phase === 'ended';
  const fault = event.kind === 'cut_off' ? CUT_OFF : cutOffFault(context, state);
  if (fault !== undefined && !isOver) return cut(state, event, fault);
  switch (event.kind) {
    case 'cut_off':
      return stay(state);
    case 'received':
      return onReceived(context, state, event.document);
    case 'evidence_checked':
      if (state.phase === 'checking_evidence') return onEvidence(context, state, event);
      return state.phase === 'checking_again' ? onChecked(context, state, event) : ignore(state, 'findings');
    case 'signed':
      return state.phase === 'signing' ? onSigned(context, state, event) : ignore(state, 'signed certificates');
    case 'officer':
      return state.phase === 'awaiting_approval' ? onOfficer(context, state, event) : ignore(state, 'officer decision');
    case 'clock':
      return afterClock(context, state);
  }
}

function onReceived(context: ExchangeContext, state: InitiatorState, bytes: Uint8Array): Step {
  const message = recognize(context.crypto, bytes);
  if (!message.ok) return refuse(state, message.error);
  if (sameBytes(message.value.hash, state.heard)) return stay(state, ...resend(state.sent));
  const { name } = message.value;
  if (state.phase === 'awaiting_challenge' && name === 'trust_challenge')
    return onChallenge(context, state, message.value);
  if (state.phase === 'awaiting_challenge' && name === 'trust_decision')
    return onEarlyRefusal(context, state, message.value);
  if (state.phase === 'awaiting_decision' && name === 'trust_decision')
    return onDecision(context, state, message.value);
  if ('issued' in state && name === 'trust_decision') return onWithdrawal(context, state, message.value);
  return refuse(state, { code: 'unexpected_message', detail: `${name} in ${state.phase}` });
}

function onChallenge(
  context: ExchangeContext,
  state: InitiatorStates['awaiting_challenge'],
  message: ReceivedMessage,
): Step {
  const challenge = parseDocument(TRUST_CHALLENGE, message.bytes);
  if (!challenge.ok) return refuse(state, challenge.error);
  const { party, certificate_id } = challenge.value.body;
  const known = checkParty(context, party, state.peer);
  if (!known.ok) return refuse(state, known.error);
  const opened = openMessage(context, challenge.value, state, party);
  if (!opened.ok) return refuse(state, opened.error);
  const { request } = state;
  if (certificate_id === stored(TRUST_REQUEST, request).body.certificate_id) {
    return refuse(state, { code: 'malformed', detail: 'both certificates have one id' });
  }
  const next: InitiatorStates['checking_evidence'] = {
    phase: 'checking_evidence',
    ...placeOf(state),
    transcript: extendTranscript(context.crypto, state.transcript, challenge.value),
    heard: message.hash,
    sent: [],
    request,
    review: state.review,
    peer_party: party,
    challenge: message.bytes,
  };
  return stay(next, checkEffect(next));
}

function onEvidence(
  context: ExchangeContext,
  state: InitiatorStates['checking_evidence'],
  event: EvidenceChecked,
): Step {
  const challenge = stored(TRUST_CHALLENGE, state.challenge);
  const { crypto, now, material } = context;
  const review = withFindings(context, state.review, event, { party: state.peer_party, keyProof: challenge });
  const fault = reviewFault(context, review, review.level, state.peer_party);
  if (fault !== undefined) return fail(context, { ...state, review }, fault);
  if (now >= challenge.body.expires_at) return fail(context, { ...state, review }, EXPIRED);
  const response = draftDocument(TRUST_RESPONSE, {
    ...commonOf(state, now),
    nonce: challenge.body.nonce,
    evidence: evidenceIn(context, review),
    ...materialField(material),
  });
  const next: InitiatorState = {
    phase: 'awaiting_decision',
    ...placeOf(state),
    transcript: extendTranscript(crypto, state.transcript, response),
    heard: state.heard,
    sent: [response.bytes],
    request: state.request,
    review,
    peer_party: state.peer_party,
    challenge: state.challenge,
    response: response.bytes,
  };
  return stay(next, sendEffect('trust_response', response));
}

/** A refusal instead of a challenge: its sender names itself, since nothing did before. */
function onEarlyRefusal(
  context: ExchangeContext,
  state: InitiatorStates['awaiting_challenge'],
  message: ReceivedMessage,
): Step {
  const decision = parseDocument(TRUST_DECISION, message.bytes);
  if (!decision.ok) return refuse(state, decision.error);
  const { party, outcome } = decision.value.body;
  if (party === undefined || outcome !== 'refused') {
    return refuse(state, { code: 'unexpected_message', detail: 'trust_decision before the challenge' });
  }
  const known = checkParty(context, party, state.peer);
  if (!known.ok) return refuse(state, known.error);
  const opened = openMessage(context, decision.value, state, party);
  return opened.ok ? declined(state, message, decision.value.body) : refuse(state, opened.error);
}
