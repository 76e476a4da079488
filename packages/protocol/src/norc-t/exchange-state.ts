import { type Result, reject } from '../base/index.ts';
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
} from '../wire/index.ts';
import { certificateId, exchangeId } from './identifiers.ts';
import { documentBytes, partySchema } from './party.ts';
import { evidenceListSchema, levelSchema } from './trust-certificate.ts';

/**
 * States of the trust exchange, named for what they wait for. Each is a schema, so that
 * a state is stored as canonical JSON and comes back the same after a crash. Documents
 * in a state are canonical JSON; those that this side wrote carry no signature.
 */

const APPROVALS_MAX = 8;
const OFFICER_BYTES_MAX = 64;
const SENT_MAX = 2;
const NAME_BYTES_MAX = 32;
const REASON_BYTES_MAX = 1024;

const approvalSchema = struct({
  /** Pseudonym or key id of the officer; each may approve once. */
  by: text(OFFICER_BYTES_MAX),
  at: uint(),
  /** `documentHash` of the officer's signed approval, where there is one. */
  statement: optional(fixedBytes(32)),
});
export type Approval = Infer<typeof approvalSchema>;

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
};
const withRequest = { ...base, request: documentBytes };
const withPeer = { ...withRequest, peer_party: partySchema };
const withChallenge = { ...withPeer, challenge: documentBytes };
const withResponse = { ...withChallenge, response: documentBytes };
const ended = { ...base, code: text(NAME_BYTES_MAX), reason: text(REASON_BYTES_MAX) };
const pair = { issued: documentBytes, counterpart: documentBytes };

const initiatorSchemas = {
  awaiting_challenge: struct({ phase: choice(['awaiting_challenge']), ...withRequest }),
  proving_domain: struct({ phase: choice(['proving_domain']), ...withChallenge }),
  awaiting_decision: struct({ phase: choice(['awaiting_decision']), ...withResponse }),
  signing: struct({ phase: choice(['signing']), ...withPeer, ...pair }),
  established: struct({ phase: choice(['established']), ...base, ...pair }),
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
  proving_domain: struct({ phase: choice(['proving_domain']), ...withResponse }),
  awaiting_approval: struct({
    phase: choice(['awaiting_approval']),
    ...withResponse,
    /** What this side found about the peer. */
    evidence: evidenceListSchema,
    level: levelSchema,
    approvals: list(approvalSchema, APPROVALS_MAX),
  }),
  signing: struct({ phase: choice(['signing']), ...withPeer, ...pair }),
  awaiting_acknowledgment: struct({ phase: choice(['awaiting_acknowledgment']), ...withPeer, ...pair }),
  established: struct({ phase: choice(['established']), ...base, ...pair }),
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
