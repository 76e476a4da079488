import { LIMITS, ok, type Reject, type Result, reject, sameBytes } from '../base/index.ts';
import { draftDocument, parseDocument } from '../crypto/index.ts';
import {
  capabilitiesOf,
  checkParty,
  commonOf,
  type DomainProof,
  type ExchangeContext,
  type ExchangeEvent,
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
import { verifyPair } from './exchange-certificates.ts';
import type { ResponderState, ResponderStates } from './exchange-state.ts';
import type { CertificateId } from './identifiers.ts';
import {
  extendTranscript,
  type RequestBody,
  TRANSCRIPT_START,
  TRUST_ACKNOWLEDGMENT,
  TRUST_CAPABILITIES,
  TRUST_CHALLENGE,
  TRUST_REQUEST,
  TRUST_RESPONSE,
} from './messages.ts';
import type { Party } from './party.ts';
import { CHECKED_EVIDENCE, levelFault, missingEvidence } from './policy.ts';
import {
  askOfficers,
  decline,
  declinedByPeer,
  EXPIRED,
  end,
  onOfficer,
  onSigned,
  type ResponderStep as Step,
} from './responder-decision.ts';

/** The responder of a trust exchange (spec/norc-t section 5): a pure machine over the states of exchange-state.ts. */

export interface TrustResponder {
  readonly self: Party;
  /** Fresh randomness: 16 and 32 bytes. */
  readonly certificateId: CertificateId;
  readonly nonce: Uint8Array;
}

/**
 * Takes the first message of an exchange that this side does not hold yet.
 * Errors: of parsing, signature_invalid, forbidden, transcript_mismatch, evidence_rejected
 * (root key), not_trusted (blocked by policy).
 */
export function startResponder(
  context: ExchangeContext,
  { self, certificateId, nonce }: TrustResponder,
  capabilities: Uint8Array,
): Result<Step> {
  const message = recognize(context.crypto, capabilities);
  if (!message.ok) return message;
  if (message.value.name !== 'trust_capabilities')
    return reject('unexpected_message', 'an exchange begins with trust_capabilities');
  const parsed = parseDocument(TRUST_CAPABILITIES, capabilities);
  if (!parsed.ok) return parsed;
  const { exchange_id, party } = parsed.value.body;
  if (context.policy.blocked.has(party.domain)) return reject('not_trusted', 'blocked by policy');
  if (party.domain === self.domain) return reject('forbidden', 'domain of the party');
  const known = checkParty(context, party, party.domain);
  if (!known.ok) return known;
  const expires_at = context.now + LIMITS.trustExchangeMillisecondsMax;
  const place = { exchange_id, self, peer: party.domain, transcript: TRANSCRIPT_START, expires_at };
  const opened = openMessage(context, parsed.value, place, party);
  if (!opened.ok) return opened;
  return ok(
    stay<ResponderState>({
      phase: 'awaiting_request',
      ...place,
      transcript: extendTranscript(context.crypto, place.transcript, parsed.value),
      heard: message.value.hash,
      sent: [],
      peer_party: party,
      nonce,
      certificate_id: certificateId,
    }),
  );
}

/** Total and pure: the same context, state and event give the same step. */
export function stepResponder(context: ExchangeContext, state: ResponderState, event: ExchangeEvent): Step {
  switch (event.kind) {
    case 'received':
      return onReceived(context, state, event.document);
    case 'domain_proof':
      return state.phase === 'proving_domain' ? onDomainProof(context, state, event) : ignore(state, 'domain proof');
    case 'officer':
      return state.phase === 'awaiting_approval' ? onOfficer(context, state, event) : ignore(state, 'officer decision');
    case 'signed':
      return state.phase === 'signing' ? onSigned(context, state, event) : ignore(state, 'signed certificates');
    case 'clock':
      return onClock(context, state);
  }
}

function onReceived(context: ExchangeContext, state: ResponderState, bytes: Uint8Array): Step {
  const message = recognize(context.crypto, bytes);
  if (!message.ok) return refuse(state, message.error);
  if (sameBytes(message.value.hash, state.heard)) return stay(state, ...resend(state.sent));
  const { name } = message.value;
  if (state.phase === 'awaiting_request' && name === 'trust_request') return onRequest(context, state, message.value);
  if (state.phase === 'awaiting_response' && name === 'trust_response')
    return onResponse(context, state, message.value);
  if (state.phase === 'awaiting_response' && name === 'trust_acknowledgment')
    return onRefusal(context, state, message.value);
  if (state.phase === 'awaiting_acknowledgment' && name === 'trust_acknowledgment') {
    return onAcknowledgment(context, state, message.value);
  }
  return refuse(state, { code: 'unexpected_message', detail: `${name} in ${state.phase}` });
}

function onRequest(
  context: ExchangeContext,
  state: ResponderStates['awaiting_request'],
  message: ReceivedMessage,
): Step {
  const request = parseDocument(TRUST_REQUEST, message.bytes);
  if (!request.ok) return refuse(state, request.error);
  const opened = openMessage(context, request.value, state, state.peer_party);
  if (!opened.ok) return refuse(state, opened.error);
  const { body } = request.value;
  const fault = requestFault(body, state);
  if (fault !== undefined) return refuse(state, fault);
  const next = {
    ...placeOf(state),
    transcript: extendTranscript(context.crypto, state.transcript, request.value),
    expires_at: Math.min(state.expires_at, body.expires_at),
    heard: message.hash,
    sent: [],
    request: message.bytes,
    peer_party: state.peer_party,
  };
  if (context.now >= next.expires_at) return refuse(state, EXPIRED);
  const above = levelFault(context.policy, body.level, CHECKED_EVIDENCE);
  if (above !== undefined)
    return decline(context, { ...next, party: state.self }, { code: 'insufficient_trust', detail: above });
  return challenge(context, { ...state, ...next }, body);
}

function requestFault(request: RequestBody, state: ResponderStates['awaiting_request']): Reject | undefined {
  if (request.valid_days < 1) return { code: 'malformed', detail: 'valid_days' };
  if (request.certificate_id === state.certificate_id) return { code: 'malformed', detail: 'certificate_id' };
  return undefined;
}

function challenge(
  context: ExchangeContext,
  state: ResponderStates['awaiting_request'] & { readonly request: Uint8Array },
  request: RequestBody,
): Step {
  const { now, policy, crypto } = context;
  const draft = draftDocument(TRUST_CHALLENGE, {
    ...commonOf(state, now),
    ...capabilitiesOf(state.self, policy),
    certificate_id: state.certificate_id,
    nonce: state.nonce,
    expires_at: Math.min(now + LIMITS.trustChallengeMillisecondsMax, state.expires_at),
    requires: missingEvidence(policy, request.level, []),
  });
  const next: ResponderState = {
    phase: 'awaiting_response',
    ...placeOf(state),
    transcript: extendTranscript(crypto, state.transcript, draft),
    heard: state.heard,
    sent: [draft.bytes],
    request: state.request,
    peer_party: state.peer_party,
    challenge: draft.bytes,
  };
  return stay(next, sendEffect('trust_challenge', draft));
}

function onResponse(
  context: ExchangeContext,
  state: ResponderStates['awaiting_response'],
  message: ReceivedMessage,
): Step {
  const response = parseDocument(TRUST_RESPONSE, message.bytes);
  if (!response.ok) return refuse(state, response.error);
  const opened = openMessage(context, response.value, state, state.peer_party);
  if (!opened.ok) return refuse(state, opened.error);
  const asked = stored(TRUST_CHALLENGE, state.challenge).body;
  if (!sameBytes(response.value.body.nonce, asked.nonce))
    return refuse(state, { code: 'evidence_rejected', detail: 'nonce' });
  if (context.now >= asked.expires_at) return refuse(state, { code: 'exchange_expired', detail: 'challenge' });
  const next: ResponderState = {
    phase: 'proving_domain',
    ...placeOf(state),
    transcript: extendTranscript(context.crypto, state.transcript, response.value),
    heard: message.hash,
    sent: [],
    request: state.request,
    peer_party: state.peer_party,
    challenge: state.challenge,
    response: message.bytes,
  };
  return stay(next, { kind: 'prove_domain', domain: state.peer, rootKey: state.peer_party.root_key });
}

function onDomainProof(context: ExchangeContext, state: ResponderStates['proving_domain'], proof: DomainProof): Step {
  if (context.now >= state.expires_at) return end(state, EXPIRED);
  const evidence = evidenceOf(context, proof, state.peer_party, stored(TRUST_RESPONSE, state.response));
  if (!evidence.ok) return decline(context, state, evidence.error);
  const { level } = stored(TRUST_REQUEST, state.request).body;
  const missing = missingEvidence(
    context.policy,
    level,
    evidence.value.map(({ kind }) => kind),
  );
  if (missing.length > 0) {
    return decline(context, state, { code: 'evidence_rejected', detail: `missing ${missing.join(', ')}` });
  }
  return askOfficers(context, {
    ...state,
    phase: 'awaiting_approval',
    evidence: evidence.value,
    level,
    approvals: [],
  });
}

/** The initiator gave up before the decision: its check of this side failed. */
function onRefusal(
  context: ExchangeContext,
  state: ResponderStates['awaiting_response'],
  message: ReceivedMessage,
): Step {
  const acknowledgment = parseDocument(TRUST_ACKNOWLEDGMENT, message.bytes);
  if (!acknowledgment.ok) return refuse(state, acknowledgment.error);
  const opened = openMessage(context, acknowledgment.value, state, state.peer_party);
  if (!opened.ok) return refuse(state, opened.error);
  const { outcome } = acknowledgment.value.body;
  if (outcome === 'refused') return declinedByPeer(state, message.hash, acknowledgment.value.body);
  return refuse(state, { code: 'unexpected_message', detail: 'trust_acknowledgment before the decision' });
}

function onAcknowledgment(
  context: ExchangeContext,
  state: ResponderStates['awaiting_acknowledgment'],
  message: ReceivedMessage,
): Step {
  const acknowledgment = parseDocument(TRUST_ACKNOWLEDGMENT, message.bytes);
  if (!acknowledgment.ok) return refuse(state, acknowledgment.error);
  const opened = openMessage(context, acknowledgment.value, state, state.peer_party);
  if (!opened.ok) return refuse(state, opened.error);
  const { outcome, issued, counterpart } = acknowledgment.value.body;
  if (outcome === 'refused') return declinedByPeer(state, message.hash, acknowledgment.value.body);
  if (issued === undefined || counterpart === undefined) {
    return refuse(state, { code: 'missing_field', detail: 'certificates of the acknowledgment' });
  }
  const parties = { initiator: state.peer_party, responder: state.self };
  const complete = verifyPair(context, { issued, counterpart }, state, parties);
  if (!complete.ok) return refuse(state, complete.error);
  const next: ResponderState = {
    phase: 'established',
    ...placeOf(state),
    transcript: extendTranscript(context.crypto, state.transcript, acknowledgment.value),
    heard: message.hash,
    sent: [],
    issued,
    counterpart,
  };
  return stay(next, { kind: 'keep_certificates', given: issued, received: counterpart });
}

function onClock(context: ExchangeContext, state: ResponderState): Step {
  if (state.phase === 'established' || state.phase === 'ended') return stay(state);
  const challenged =
    state.phase === 'awaiting_response' ? stored(TRUST_CHALLENGE, state.challenge).body.expires_at : undefined;
  return context.now < Math.min(state.expires_at, challenged ?? state.expires_at) ? stay(state) : end(state, EXPIRED);
}
