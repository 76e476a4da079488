import { LIMITS, ok, type Reject, type Result, reject, sameBytes } from '../../base/index.ts';
import { draftDocument, parseDocument } from '../../crypto/index.ts';
import type { CertificateId } from '../identifiers.ts';
import type { SignedApproval } from '../officers/officers.ts';
import type { Party } from '../party.ts';
import { levelFault, missingEvidence } from '../policy/policy.ts';
import { conditionsFault, type VerifiedTrustCertificate } from '../trust-certificate.ts';
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
  approvalsField,
  checkRequester,
  checkTheirApprovals,
  grantSubject,
  signedApprovals,
} from './exchange-approvals.ts';
import { type CertificatePair, completePair } from './exchange-certificates.ts';
import { acknowledgmentFault, checkClaims, newReview, reviewFault, withFindings } from './exchange-evidence.ts';
import { ownPostQuantumFault, postQuantumFault } from './exchange-signatures.ts';
import type { ResponderState, ResponderStates, Review } from './exchange-state.ts';
import type { EvidenceChecked, ExchangeContext, ExchangeEvent } from './exchange-types.ts';
import {
  type AcknowledgmentBody,
  extendTranscript,
  type RequestBody,
  TRANSCRIPT_START,
  TRUST_ACKNOWLEDGMENT,
  TRUST_CAPABILITIES,
  TRUST_CHALLENGE,
  TRUST_REQUEST,
  TRUST_RESPONSE,
} from './messages.ts';
import {
  checkInitiatorEffect,
  cut,
  decline,
  declinedByPeer,
  EXPIRED,
  end,
  onOfficer,
  onSigned,
  onWaiting,
  propose,
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
  // Whoever begins goes on at once: what waits for a request is a stranger's, and holds room [TRUST-36].
  const expires_at = context.now + LIMITS.trustChallengeMillisecondsMax;
  const place = {
    exchange_id,
    self,
    peer: party.domain,
    transcript: TRANSCRIPT_START,
    expires_at,
    ...cutOffField(context),
  };
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
  const isOver = state.phase === 'established' || state.phase === 'ended';
  const fault = event.kind === 'cut_off' ? CUT_OFF : cutOffFault(context, state);
  if (fault !== undefined && !isOver) return cut(state, event, fault);
  switch (event.kind) {
    case 'cut_off':
      return stay(state);
    case 'received':
      return onReceived(context, state, event.document);
    case 'evidence_checked':
      return state.phase === 'checking_evidence' ? onEvidence(context, state, event) : ignore(state, 'findings');
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
  // A decision that was taken back: the initiator did not hear of it [TRUST-82].
  const again = state.phase === 'ended' && name === 'trust_acknowledgment' ? resend(state.sent) : [];
  return stay(state, ...again, {
    kind: 'refuse',
    code: 'unexpected_message',
    detail: `${name} in ${state.phase}`,
  });
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
    expires_at: Math.min(context.now + LIMITS.trustExchangeMillisecondsMax, body.expires_at),
    heard: message.hash,
    sent: [],
    request: message.bytes,
    peer_party: state.peer_party,
  };
  if (context.now >= next.expires_at) return refuse(state, EXPIRED);
  const refused = { ...next, review: newReview(body.level, {}), party: state.self };
  const above = levelFault(context.policy, body.level, context.checkable, state.peer);
  if (above !== undefined) return decline(context, refused, { code: 'insufficient_trust', detail: above });
  const requested = requesterOf(context, state, body);
  if (!requested.ok) return decline(context, refused, requested.error);
  return challenge(context, { ...state, ...next, review: newReview(body.level, requested.value) }, body);
}

/** Where officers sign, one of the initiator's has to have signed what it asks for [TRUST-73]. */
function requesterOf(context: ExchangeContext, state: ResponderStates['awaiting_request'], request: RequestBody) {
  const requested = checkRequester(context, state.self, state.peer_party, request);
  if (!requested.ok || requested.value.requested_by !== undefined) return requested;
  if (signedApprovals(context.policy, request.level) === 0) return requested;
  return reject('approval_required', `no officer of ${state.peer} signed the request for ${request.level}`);
}

function requestFault(request: RequestBody, state: ResponderStates['awaiting_request']): Reject | undefined {
  const { valid_days, certificate_id, asks, offers, level } = request;
  if (valid_days < 1) return { code: 'malformed', detail: 'valid_days' };
  if (certificate_id === state.certificate_id) return { code: 'malformed', detail: 'certificate_id' };
  const conditions = conditionsFault(asks.conditions, level) ?? conditionsFault(offers.conditions, level);
  return conditions === undefined ? undefined : { code: 'malformed', detail: conditions };
}

function challenge(
  context: ExchangeContext,
  state: ResponderStates['awaiting_request'] & { readonly request: Uint8Array; readonly review: Review },
  request: RequestBody,
): Step {
  const { now, policy, crypto, material } = context;
  const draft = draftDocument(TRUST_CHALLENGE, {
    ...commonOf(state, now),
    ...capabilitiesOf(state.self, state.peer, context),
    certificate_id: state.certificate_id,
    nonce: state.nonce,
    expires_at: Math.min(now + LIMITS.trustChallengeMillisecondsMax, state.expires_at),
    requires: missingEvidence(policy, request.level, []),
    ...approvalsField(policy, request.level),
    ...materialField(material),
  });
  const next: ResponderState = {
    phase: 'awaiting_response',
    ...placeOf(state),
    transcript: extendTranscript(crypto, state.transcript, draft),
    heard: state.heard,
    sent: [draft.bytes],
    request: state.request,
    review: state.review,
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
  const next: ResponderStates['checking_evidence'] = {
    phase: 'checking_evidence',
    ...placeOf(state),
    transcript: extendTranscript(context.crypto, state.transcript, response.value),
    heard: message.hash,
    sent: [],
    request: state.request,
    review: state.review,
    peer_party: state.peer_party,
    challenge: state.challenge,
    response: message.bytes,
  };
  const claims = checkClaims(
    context,
    response.value.body.evidence,
    state.self,
    stored(TRUST_CHALLENGE, state.challenge),
  );
  return claims.ok ? stay(next, checkInitiatorEffect(next)) : decline(context, next, claims.error);
}

function onEvidence(
  context: ExchangeContext,
  state: ResponderStates['checking_evidence'],
  event: EvidenceChecked,
): Step {
  if (context.now >= state.expires_at) return end(state, EXPIRED);
  const keyProof = stored(TRUST_RESPONSE, state.response);
  const review = withFindings(context, state.review, event, { party: state.peer_party, keyProof });
  const fault = reviewFault(context, review, review.level, state.peer_party);
  if (fault !== undefined) return decline(context, { ...state, review }, fault);
  return propose(context, { ...state, review });
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
  if (context.now >= state.expires_at) return decline(context, state, EXPIRED);
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
  const complete = completePair(context, state, { issued, counterpart }, { ...parties, peer: state.peer_party });
  if (!complete.ok) return refuse(state, complete.error);
  const theirs = checkAcknowledgment(context, state, complete.value, acknowledgment.value.body);
  if (!theirs.ok) return refuse(state, theirs.error);
  const fault = acknowledgmentFault(context, state.review, state.peer_party); // the policy may have changed meanwhile
  if (fault !== undefined) return decline(context, state, fault);
  const kept = {
    issued: complete.value.issued.document.bytes,
    counterpart: complete.value.counterpart.document.bytes,
  };
  const next: ResponderState = {
    phase: 'established',
    ...placeOf(state),
    transcript: extendTranscript(context.crypto, state.transcript, acknowledgment.value),
    heard: message.hash,
    sent: [],
    review: { ...state.review, theirs: theirs.value },
    ...kept,
  };
  return stay(next, { kind: 'keep_certificates', given: kept.issued, received: kept.counterpart });
}

/** What the policy demands of an acknowledgment besides the certificates: second signatures, and the initiator's officers. */
function checkAcknowledgment(
  context: ExchangeContext,
  state: ResponderStates['awaiting_acknowledgment'],
  pair: CertificatePair<VerifiedTrustCertificate>,
  { material, sent_at }: AcknowledgmentBody,
): Result<readonly SignedApproval[]> {
  const { level, requested_by } = state.review;
  const documents = { issued: pair.issued.document, counterpart: pair.counterpart.document };
  const both = [documents.issued, documents.counterpart];
  const unsigned =
    postQuantumFault(context, both, state.peer_party, level) ?? ownPostQuantumFault(context, both, state.self, level);
  if (unsigned !== undefined) return { ok: false, error: unsigned };
  return checkTheirApprovals(context, state.self, {
    party: state.peer_party,
    material,
    subject: grantSubject(context.crypto, documents),
    sentAt: sent_at,
    requestedBy: requested_by,
    needed: signedApprovals(context.policy, level),
  });
}

function onClock(context: ExchangeContext, state: ResponderState): Step {
  if (state.phase === 'established' || state.phase === 'ended') return stay(state);
  const challenged =
    state.phase === 'awaiting_response' ? stored(TRUST_CHALLENGE, state.challenge).body.expires_at : undefined;
  if (context.now >= Math.min(state.expires_at, challenged ?? state.expires_at)) {
    // The initiator may hold both certificates: it is told that they are not in force here.
    return state.phase === 'awaiting_acknowledgment' ? decline(context, state, EXPIRED) : end(state, EXPIRED);
  }
  return state.phase === 'awaiting_approval' ? onWaiting(context, state) : stay(state);
}
