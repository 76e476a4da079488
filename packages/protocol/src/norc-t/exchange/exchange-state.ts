import { type Result, reject } from '../../base/index.ts';
import {
  choice,
  decodeBody,
  domain,
  encodeBody,
  fixedBytes,
  type Infer,
  list,
  optional,
  type Schema,
  struct,
  text,
  uint,
} from '../../wire/index.ts';
import { FINDINGS_MAX, findingSchema } from '../evidence/finding-codec.ts';
import { certificateId, exchangeId, officerId } from '../identifiers.ts';
import { signedApprovalSchema } from '../officers/officers.ts';
import { documentBytes, partySchema } from '../party.ts';
import { levelSchema } from '../trust-certificate.ts';
import { OFFICER_APPROVALS_MAX } from './messages.ts';

/**
 * States of the trust exchange, named for what they wait for. Each is a schema, so that
 * a state is stored as canonical JSON and comes back the same after a crash. Documents
 * in a state are canonical JSON; those that this side wrote carry no signature.
 */

const OFFICER_BYTES_MAX = 64;
const SENT_MAX = 2;
const NAME_BYTES_MAX = 32;
const REASON_BYTES_MAX = 1024;

const approvalSchema = struct({
  /** Pseudonym or officer id; each may approve once. */
  by: text(OFFICER_BYTES_MAX),
  at: uint(),
  /** Where the officer signed with their own key. */
  signed: optional(signedApprovalSchema),
});
export type Approval = Infer<typeof approvalSchema>;

/** What this side knows of the other, and what officers of both said: from the request on until the end. */
export const reviewSchema = struct({
  /** As asked for, or lower where an officer lowered it. */
  level: levelSchema,
  /** What was found about the peer, all of it; empty before the first check. */
  findings: list(findingSchema, FINDINGS_MAX),
  /** When the last check was answered; 0 before. */
  checked_at: uint(),
  incidents: uint(),
  days_in_force: uint(),
  /** The officer of the initiator who asked, where one signed the request. */
  requested: optional(signedApprovalSchema),
  requested_by: optional(officerId()),
  /** Of this side's officers. */
  approvals: list(approvalSchema, OFFICER_APPROVALS_MAX),
  /** Of the other side's officers, checked. */
  theirs: list(signedApprovalSchema, OFFICER_APPROVALS_MAX),
});
export type Review = Infer<typeof reviewSchema>;

const base = {
  exchange_id: exchangeId(),
  self: partySchema,
  peer: domain(),
  /** Over all messages so far. */
  transcript: fixedBytes(32),
  /** `documentHash` of the last message taken from the peer, zeros before the first. */
  heard: fixedBytes(32),
  /** What answered it, so that a repeated message gets the same answer. */
  sent: list(documentBytes, SENT_MAX),
  expires_at: uint(),
  /** Number of this side's last statement that revoked or suspended the peer, as the exchange began. */
  cut_off: optional(uint()),
};
const withRequest = { ...base, request: documentBytes, review: reviewSchema };
const withPeer = { ...withRequest, peer_party: partySchema };
const withChallenge = { ...withPeer, challenge: documentBytes };
const withResponse = { ...withChallenge, response: documentBytes };
const ended = {
  ...base,
  /** Absent when it ended before the request came. */
  review: optional(reviewSchema),
  code: text(NAME_BYTES_MAX),
  reason: text(REASON_BYTES_MAX),
};
const pair = { issued: documentBytes, counterpart: documentBytes };
const established = { ...base, review: reviewSchema, ...pair };

const initiatorSchemas = {
  awaiting_challenge: struct({ phase: choice(['awaiting_challenge']), ...withRequest }),
  checking_evidence: struct({ phase: choice(['checking_evidence']), ...withChallenge }),
  awaiting_decision: struct({ phase: choice(['awaiting_decision']), ...withResponse }),
  /** The decision is good, but what was found about the responder is too old by now for officers to rest on. */
  checking_again: struct({ phase: choice(['checking_again']), ...withChallenge, ...pair }),
  awaiting_approval: struct({ phase: choice(['awaiting_approval']), ...withChallenge, ...pair }),
  signing: struct({ phase: choice(['signing']), ...withPeer, ...pair }),
  established: struct({ phase: choice(['established']), ...established }),
  ended: struct({ phase: choice(['ended']), ...ended }),
};
export type InitiatorStates = { [P in keyof typeof initiatorSchemas]: Infer<(typeof initiatorSchemas)[P]> };
export type InitiatorState = InitiatorStates[keyof InitiatorStates];

const responderSchemas = {
  awaiting_request: struct({
    phase: choice(['awaiting_request']),
    ...base,
    peer_party: partySchema,
    nonce: fixedBytes(32),
    certificate_id: certificateId(),
  }),
  awaiting_response: struct({ phase: choice(['awaiting_response']), ...withChallenge }),
  checking_evidence: struct({ phase: choice(['checking_evidence']), ...withResponse }),
  /** `issued` and `counterpart`: drafts. What is in them is what officers approve. */
  awaiting_approval: struct({ phase: choice(['awaiting_approval']), ...withResponse, ...pair }),
  signing: struct({ phase: choice(['signing']), ...withPeer, ...pair }),
  awaiting_acknowledgment: struct({ phase: choice(['awaiting_acknowledgment']), ...withPeer, ...pair }),
  established: struct({ phase: choice(['established']), ...established }),
  ended: struct({ phase: choice(['ended']), ...ended }),
};
export type ResponderStates = { [P in keyof typeof responderSchemas]: Infer<(typeof responderSchemas)[P]> };
export type ResponderState = ResponderStates[keyof ResponderStates];

/** Canonical JSON of a state. */
export function encodeInitiatorState(state: InitiatorState): Uint8Array {
  return encodeBody(initiatorSchemas[state.phase] as Schema<InitiatorState>, state, 'json'); // the phase names its schema
}

/** Errors: those of `decodeBody`; malformed for an unknown phase. */
export function decodeInitiatorState(bytes: Uint8Array): Result<InitiatorState> {
  return decodeState<InitiatorState>(initiatorSchemas, bytes);
}

/** Canonical JSON of a state. */
export function encodeResponderState(state: ResponderState): Uint8Array {
  return encodeBody(responderSchemas[state.phase] as Schema<ResponderState>, state, 'json'); // the phase names its schema
}

/** Errors: those of `decodeBody`; malformed for an unknown phase. */
export function decodeResponderState(bytes: Uint8Array): Result<ResponderState> {
  return decodeState<ResponderState>(responderSchemas, bytes);
}

const phaseSchema = struct({ phase: text(NAME_BYTES_MAX) });

function decodeState<S>(schemas: Readonly<Record<string, Schema<S>>>, bytes: Uint8Array): Result<S> {
  const named = decodeBody(phaseSchema, bytes, 'json');
  if (!named.ok) return named;
  const { phase } = named.value;
  const schema = Object.hasOwn(schemas, phase) ? schemas[phase] : undefined;
  return schema === undefined ? reject('malformed', 'phase of the exchange') : decodeBody(schema, bytes, 'json');
}
