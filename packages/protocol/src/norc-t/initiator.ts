import { type Domain, InvariantError, LIMITS, ok, type Reject, type Result, reject, sameBytes } from '../base/index.ts';
import { draftDocument, parseDocument, type SignedDocument } from '../crypto/index.ts';
import {
  capabilitiesOf,
  checkParty,
  commonOf,
  type DomainProof,
  type ExchangeContext,
  type ExchangeEvent,
  type ExchangePlace,
  type ExchangeStep,
  evidenceOf,
  ignore,
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
import { type CertificatePair, checkPair, verifyPair } from './exchange-certificates.ts';
import type { InitiatorState, InitiatorStates } from './exchange-state.ts';
import type { CertificateId, ExchangeId } from './identifiers.ts';
import type { GrantedLevel } from './levels.ts';
import {
  type AcknowledgmentBody,
  type DecisionBody,
  extendTranscript,
  TRANSCRIPT_START,
  TRUST_ACKNOWLEDGMENT,
  TRUST_CAPABILITIES,
  TRUST_CHALLENGE,
  TRUST_DECISION,
  TRUST_REQUEST,
  TRUST_RESPONSE,
  type TrustTerms,
} from './messages.ts';
import { keysOf, openDocument, type Party } from './party.ts';
import { CHECKED_EVIDENCE, levelFault, missingEvidence } from './policy.ts';
import { TRUST_CERTIFICATE, type TrustCertificateBody } from './trust-certificate.ts';

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
  readonly note?: string;
  /** Fresh randomness: 16, 16 and 32 bytes. */
  readonly exchangeId: ExchangeId;
  readonly certificateId: CertificateId;
  readonly nonce: Uint8Array;
}

/** Errors: insufficient_trust when the own policy, or the evidence that can be checked, does not allow the level. */
export function startInitiator(context: ExchangeContext, request: TrustRequest): Result<Step> {
  if (request.self.domain === request.peer) throw new RangeError('an organisation needs no trust in itself');
  const fault = levelFault(context.policy, request.level, CHECKED_EVIDENCE);
  if (fault !== undefined) return reject('insufficient_trust', fault);
  const { crypto, now, policy } = context;
  const { self, peer, exchangeId: exchange_id } = request;
  const start = {
    exchange_id,
    self,
    peer,
    transcript: TRANSCRIPT_START,
    expires_at: now + LIMITS.trustExchangeMillisecondsMax,
  };
  const first = draftDocument(TRUST_CAPABILITIES, { ...commonOf(start, now), ...capabilitiesOf(self, policy) });
  const place = { ...start, transcript: extendTranscript(crypto, start.transcript, first) };
  const second = draftRequest(place, request, context);
  const state: InitiatorState = {
    phase: 'awaiting_challenge',
    ...place,
    transcript: extendTranscript(crypto, place.transcript, second),
    heard: new Uint8Array(32),
    sent: [first.bytes, second.bytes],
    request: second.bytes,
  };
  return ok(stay(state, sendEffect('trust_capabilities', first), sendEffect('trust_request', second)));
}

function draftRequest(place: ExchangePlace, request: TrustRequest, { now }: ExchangeContext) {
  return draftDocument(TRUST_REQUEST, {
    ...commonOf(place, now),
    level: request.level,
    asks: request.asks,
    offers: request.offers,
    valid_days: request.validDays,
    certificate_id: request.certificateId,
    nonce: request.nonce,
    expires_at: place.expires_at,
    ...(request.note === undefined ? {} : { note: request.note }),
  });
}

/** Total and pure: the same context, state and event give the same step. */
export function stepInitiator(context: ExchangeContext, state: InitiatorState, event: ExchangeEvent): Step {
  switch (event.kind) {
    case 'received':
      return onReceived(context, state, event.document);
    case 'domain_proof':
      return state.phase === 'proving_domain' ? onDomainProof(context, state, event) : ignore(state, 'domain proof');
    case 'signed':
      return state.phase === 'signing' ? onSigned(context, state, event) : ignore(state, 'signed certificates');
    case 'officer':
      return ignore(state, 'decision of an officer');
    case 'clock':
      return onClock(context, state);
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
  const next: InitiatorState = {
    phase: 'proving_domain',
    ...placeOf(state),
    transcript: extendTranscript(context.crypto, state.transcript, challenge.value),
    heard: message.hash,
    sent: [],
    request,
    peer_party: party,
    challenge: message.bytes,
  };
  return stay(next, { kind: 'prove_domain', domain: state.peer, rootKey: party.root_key });
}

function onDomainProof(context: ExchangeContext, state: InitiatorStates['proving_domain'], proof: DomainProof): Step {
  const challenge = stored(TRUST_CHALLENGE, state.challenge);
  const evidence = evidenceOf(context, proof, state.peer_party, challenge);
  if (!evidence.ok) return fail(context, state, evidence.error);
  const { level } = stored(TRUST_REQUEST, state.request).body;
  const missing = missingEvidence(
    context.policy,
    level,
    evidence.value.map(({ kind }) => kind),
  );
  if (missing.length > 0)
    return fail(context, state, { code: 'evidence_rejected', detail: `missing ${missing.join(', ')}` });
  if (context.now >= challenge.body.expires_at) return fail(context, state, EXPIRED);
  const { nonce } = challenge.body;
  const common = commonOf(state, context.now);
  const response = draftDocument(TRUST_RESPONSE, { ...common, nonce, evidence: evidence.value });
  const next: InitiatorState = {
    phase: 'awaiting_decision',
    ...placeOf(state),
    transcript: extendTranscript(context.crypto, state.transcript, response),
    heard: state.heard,
    sent: [response.bytes],
    request: state.request,
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

function onDecision(
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
  if (issued === undefined || counterpart === undefined) {
    return abort(state, message, { code: 'missing_field', detail: 'certificates of the decision' });
  }
  const pair = openPair(context, state, { issued, counterpart });
  if (!pair.ok) return abort(state, message, pair.error);
  const next: InitiatorState = {
    phase: 'signing',
    ...placeOf(state),
    transcript: extendTranscript(context.crypto, state.transcript, decision.value),
    heard: message.hash,
    sent: [],
    request: state.request,
    peer_party: state.peer_party,
    issued,
    counterpart,
  };
  return stay(next, { kind: 'sign_certificates', ...pair.value });
}

function openPair(
  context: ExchangeContext,
  state: InitiatorStates['awaiting_decision'],
  { issued, counterpart }: CertificatePair<Uint8Array>,
): Result<CertificatePair<SignedDocument<TrustCertificateBody>>> {
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

function onSigned(
  context: ExchangeContext,
  state: InitiatorStates['signing'],
  { issued, counterpart }: CertificatePair<Uint8Array>,
): Step {
  const pair = { issued, counterpart };
  const complete = verifyPair(context, pair, state, { initiator: state.self, responder: state.peer_party });
  if (!complete.ok) throw new InvariantError(`our own signature: ${complete.error.detail}`);
  const body: AcknowledgmentBody = { ...commonOf(state, context.now), outcome: 'accepted', ...pair };
  const acknowledgment = draftDocument(TRUST_ACKNOWLEDGMENT, body);
  const next: InitiatorState = {
    phase: 'established',
    ...placeOf(state),
    transcript: extendTranscript(context.crypto, state.transcript, acknowledgment),
    heard: state.heard,
    sent: [acknowledgment.bytes],
    ...pair,
  };
  return stay(
    next,
    { kind: 'keep_certificates', given: counterpart, received: issued },
    sendEffect('trust_acknowledgment', acknowledgment),
  );
}

const EXPIRED: Reject = { code: 'exchange_expired', detail: 'trust exchange' };

function onClock(context: ExchangeContext, state: InitiatorState): Step {
  const over = state.phase === 'established' || state.phase === 'ended';
  return over || context.now < state.expires_at ? stay(state) : end(state, EXPIRED);
}

/** This side ends the exchange and tells the other, which waits for a response or a decision's acknowledgment. */
function fail(context: ExchangeContext, state: InitiatorStates['proving_domain'], { code, detail }: Reject): Step {
  const body: AcknowledgmentBody = { ...commonOf(state, context.now), outcome: 'refused', code, reason: detail };
  const acknowledgment = draftDocument(TRUST_ACKNOWLEDGMENT, body);
  const transcript = extendTranscript(context.crypto, state.transcript, acknowledgment);
  const { state: ended, effects } = end({ ...state, transcript, sent: [acknowledgment.bytes] }, { code, detail });
  return stay(ended, sendEffect('trust_acknowledgment', acknowledgment), ...effects);
}

/** The peer signed something that it may not sign: nothing better can follow in this exchange. */
function abort(state: InitiatorState, message: ReceivedMessage, error: Reject): Step {
  const { state: ended, effects } = end({ ...state, heard: message.hash, sent: [] }, error);
  return stay(ended, { kind: 'refuse', ...error }, ...effects);
}

function declined(state: InitiatorState, message: ReceivedMessage, { code, reason }: DecisionBody): Step {
  const detail = `${code ?? 'trust_declined'}: ${reason ?? 'no reason given'}`;
  return end({ ...state, heard: message.hash, sent: [] }, { code: 'trust_declined', detail });
}

function end(state: InitiatorState, { code, detail }: Reject): Step {
  const { heard, sent } = state;
  return stay(
    { phase: 'ended', ...placeOf(state), heard, sent, code, reason: detail },
    { kind: 'ended', code, detail },
  );
}
