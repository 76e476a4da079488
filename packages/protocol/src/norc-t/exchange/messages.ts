import { concatBytes, type MessageTypeName, utf8 } from '../../base/index.ts';
import type { Crypto, DocumentKind, SignedDocument } from '../../crypto/index.ts';
import { documentKind } from '../../crypto/index.ts';
import {
  bool,
  bytes,
  choice,
  domain,
  fixedBytes,
  type Infer,
  list,
  optional,
  type Schema,
  struct,
  text,
  uint,
} from '../../wire/index.ts';
import { certificateId, exchangeId } from '../identifiers.ts';
import { documentBytes, partySchema, SERVER_CERTIFICATE_BYTES_MAX } from '../party.ts';
import { TRUST_REVOCATION, TRUST_REVOCATION_ACK, TRUST_STATUS } from '../revocation/revocation.ts';
import { ROOT_ROTATION } from '../roots/root-rotation.ts';
import {
  conditionsSchema,
  evidenceListSchema,
  levelSchema,
  limitsSchema,
  permissionsSchema,
} from '../trust-certificate.ts';

/** The six messages of the trust exchange (spec/norc-t section 5), each a signed document. */

const NAME_BYTES_MAX = 32;
const NAMES_MAX = 32;
export const DECISION_REASON_BYTES_MAX = 512;
const CODE_BYTES_MAX = 32;
const VALID_DAYS_MAX = 365;
/** Officers of one side who sign. */
export const OFFICER_APPROVALS_MAX = 8;

/** In every message, so that none can be moved to another exchange, direction or place. */
const common = {
  exchange_id: exchangeId(),
  from: domain(),
  to: domain(),
  /** Transcript hash over the messages before; zeros in the first. */
  previous: fixedBytes(32),
  sent_at: uint(),
};

/** What one side can do. Names that the other side does not know are ignored. */
const capabilities = {
  party: partySchema,
  levels: list(text(NAME_BYTES_MAX), NAMES_MAX),
  evidence: list(text(NAME_BYTES_MAX), NAMES_MAX),
  permissions: permissionsSchema,
  /** Algorithms of signatures that this side checks. */
  algorithms: list(text(NAME_BYTES_MAX), NAMES_MAX),
};

/** What one certificate of the pair is to grant. */
export const termsSchema = struct({
  permissions: permissionsSchema,
  limits: limitsSchema,
  conditions: conditionsSchema,
});
export type TrustTerms = Infer<typeof termsSchema>;

const MATERIAL_MAX = 16;
const MATERIAL_BYTES_MAX = 32768;

/** What the other side needs to check evidence about the sender: chains, documents, statements. Unknown kinds are ignored. */
const materialSchema = struct({ kind: text(NAME_BYTES_MAX), data: bytes(MATERIAL_BYTES_MAX) });
export type EvidenceMaterial = Infer<typeof materialSchema>;
const material = optional(list(materialSchema, MATERIAL_MAX));

/** How many officers of the other side must sign, where the sender's policy asks for that. */
const approvals = optional(uint(OFFICER_APPROVALS_MAX));

const capabilitiesSchema = struct({ ...common, ...capabilities });
export type CapabilitiesBody = Infer<typeof capabilitiesSchema>;
export const TRUST_CAPABILITIES: DocumentKind<CapabilitiesBody> = documentKind(
  'trust_capabilities',
  1,
  capabilitiesSchema,
);

const requestSchema = struct({
  ...common,
  level: levelSchema,
  /** What the responder's certificate is to grant the initiator, at most. */
  asks: termsSchema,
  /** What the initiator's certificate will grant the responder, at most. */
  offers: termsSchema,
  valid_days: uint(VALID_DAYS_MAX),
  /** Whether the pair asks for nato-capable certificates. */
  nato_capable: optional(bool()),
  /** Of the certificate that the initiator will issue. */
  certificate_id: certificateId(),
  nonce: fixedBytes(32),
  /** The exchange ends then, whatever its state. */
  expires_at: uint(),
  /** For the officers of the other side. */
  note: optional(text(DECISION_REASON_BYTES_MAX)),
  approvals,
  /** Of kind `officer_request`: the initiator's officer who asks, where officers sign. */
  material,
});
export type RequestBody = Infer<typeof requestSchema>;
export const TRUST_REQUEST: DocumentKind<RequestBody> = documentKind('trust_request', 1, requestSchema);

const challengeSchema = struct({
  ...common,
  ...capabilities,
  /** Of the certificate that the responder will issue. */
  certificate_id: certificateId(),
  nonce: fixedBytes(32),
  /** The response must be there before. */
  expires_at: uint(),
  /** Kinds of evidence that the level needs. */
  requires: list(text(NAME_BYTES_MAX), NAMES_MAX),
  approvals,
  material,
});
export type ChallengeBody = Infer<typeof challengeSchema>;
export const TRUST_CHALLENGE: DocumentKind<ChallengeBody> = documentKind('trust_challenge', 1, challengeSchema);

const responseSchema = struct({
  ...common,
  /** The challenge's: with the signature, proof of the initiator's key. */
  nonce: fixedBytes(32),
  /** What the initiator found about the responder; goes into its certificate as it is. */
  evidence: evidenceListSchema,
  material,
});
export type ResponseBody = Infer<typeof responseSchema>;
export const TRUST_RESPONSE: DocumentKind<ResponseBody> = documentKind('trust_response', 1, responseSchema);

const decisionSchema = struct({
  ...common,
  outcome: choice(['granted', 'refused']),
  /** When there was no challenge before: who refuses. */
  party: optional(partySchema),
  /** With `refused`: a name of the error registry, and a sentence for people. */
  code: optional(text(CODE_BYTES_MAX)),
  reason: optional(text(DECISION_REASON_BYTES_MAX)),
  /** With `granted`: the responder's certificate for the initiator, signed by the responder. */
  issued: optional(documentBytes),
  /** With `granted`: the initiator's certificate for the responder, countersigned by the responder. */
  counterpart: optional(documentBytes),
  /** Of kind `officer_approval`: what the responder's officers signed. */
  material,
});
export type DecisionBody = Infer<typeof decisionSchema>;
export const TRUST_DECISION: DocumentKind<DecisionBody> = documentKind('trust_decision', 1, decisionSchema);

const acknowledgmentSchema = struct({
  ...common,
  outcome: choice(['accepted', 'refused']),
  code: optional(text(CODE_BYTES_MAX)),
  reason: optional(text(DECISION_REASON_BYTES_MAX)),
  /** With `accepted`: both certificates of the decision, now with both signatures. */
  issued: optional(documentBytes),
  counterpart: optional(documentBytes),
  /** Of kind `officer_approval`: what the initiator's officers signed. */
  material,
});
export type AcknowledgmentBody = Infer<typeof acknowledgmentSchema>;
export const TRUST_ACKNOWLEDGMENT: DocumentKind<AcknowledgmentBody> = documentKind(
  'trust_acknowledgment',
  1,
  acknowledgmentSchema,
);

const TRANSCRIPT_LABEL = utf8('norc-t-exchange-v1');
export const TRANSCRIPT_START: Uint8Array = new Uint8Array(32);

/**
 * Transcript hash after one more message: BLAKE3(label || hash before || signing input
 * of the message). Signatures are outside, so that a side knows the hash of what it
 * is about to sign; each signature covers `previous` [TRUST-30].
 */
export function extendTranscript(crypto: Crypto, before: Uint8Array, message: SignedDocument<unknown>): Uint8Array {
  return crypto.blake3(concatBytes(TRANSCRIPT_LABEL, before, message.signingInput));
}

/** Which document each message of NORC-T carries. */
export const TRUST_MESSAGES = {
  trust_capabilities: TRUST_CAPABILITIES,
  trust_request: TRUST_REQUEST,
  trust_challenge: TRUST_CHALLENGE,
  trust_response: TRUST_RESPONSE,
  trust_decision: TRUST_DECISION,
  trust_acknowledgment: TRUST_ACKNOWLEDGMENT,
  trust_revoke: TRUST_REVOCATION,
  trust_revoke_ack: TRUST_REVOCATION_ACK,
  trust_status: TRUST_STATUS,
  root_rotation: ROOT_ROTATION,
} as const satisfies Partial<Record<MessageTypeName, DocumentKind<unknown>>>;
export type TrustMessageName = keyof typeof TRUST_MESSAGES;

/**
 * Body of every NORC-T frame, in both encodings: the signed canonical JSON travels
 * unchanged. `certificate`: the sender's server certificate, where it may be newer
 * than what the receiver holds.
 */
export const trustMessageSchema: Schema<TrustMessage> = struct({
  document: documentBytes,
  certificate: optional(bytes(SERVER_CERTIFICATE_BYTES_MAX)),
});
export interface TrustMessage {
  readonly document: Uint8Array;
  readonly certificate?: Uint8Array;
}
