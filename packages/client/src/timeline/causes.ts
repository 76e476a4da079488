import type { ErrorName, Instant, Label, TrustLevel, UserAddress } from '@norc/protocol/base';

/**
 * Why something did not go as its owner wanted: one enumeration for every client,
 * in logs, stores and texts (the words are in messages-*.ts). Each cause carries
 * what its sentence needs, as data, never as text.
 */
export interface CauseDetails {
  /** A message is here, its key is not: nothing for the reader to do. */
  'key.waiting': { readonly user: UserAddress; readonly count: number };
  'key.needs_recovery': { readonly count: number };
  /** Sent before this device joined; never readable here. */
  'key.before_join': None;
  'key.sender_unapproved': { readonly user: UserAddress };
  /** Not authentic, or not what its sender sealed. It was dropped. */
  'key.tampered': None;
  'trust.none': { readonly org?: string };
  /** `org`: with whom the level is so; absent, the conversation's own. */
  'trust.too_low': { readonly label?: Label; readonly level?: TrustLevel; readonly org?: string };
  /** An organisation that may not be in a conversation with this floor. */
  'trust.below_floor': { readonly org?: string; readonly level?: TrustLevel; readonly floor?: TrustLevel };
  'trust.suspended': { readonly org?: string };
  /** A message that came and is not shown. `level`: absent when trust with `org` is over. */
  'trust.withheld': {
    readonly user: UserAddress;
    readonly org: string;
    readonly label: Label;
    readonly level?: TrustLevel;
  };
  'trust.revoked': { readonly org?: string; readonly at?: Instant };
  'trust.expired': { readonly org?: string };
  'trust.expiring': { readonly org: string; readonly days: number };
  'trust.stale': { readonly org?: string };
  'peer.unreachable': { readonly org?: string; readonly attempts?: number; readonly retrySeconds?: number };
  'version.mismatch': { readonly org?: string };
  'person.changed': { readonly user: UserAddress };
  'person.unknown': { readonly user?: UserAddress };
  'conversation.paused': None;
  'conversation.left': None;
  'message.too_big': { readonly bytesMax?: number };
  'message.expired': None;
  'message.too_fast': { readonly retrySeconds?: number };
  'device.not_accepted': None;
  'device.storage_lost': None;
  'device.clock': { readonly seconds?: number };
  'device.passphrase': None;
  'device.in_use': None;
  'enrolment.mistyped': None;
  'enrolment.refused': None;
  'server.unreachable': { readonly address?: string };
  /** Somebody else answers at the server's address. */
  'server.not_genuine': { readonly address?: string };
  'server.busy': { readonly retrySeconds?: number };
  'server.full': None;
  'server.failed': { readonly reference?: string };
  'file.too_big': { readonly bytesMax?: number };
  'file.type_blocked': None;
  'call.not_encrypted': None;
}

type None = Readonly<Record<never, never>>;

export type Cause = keyof CauseDetails;

/** A cause with its details: what is stored and shown. */
export type Problem = { readonly [C in Cause]: { readonly cause: C } & CauseDetails[C] }[Cause];

/**
 * What a refusal by a server or a peer means to the person whose message or action
 * it concerned. Total: a new error code does not compile until it has a meaning here.
 */
const CAUSE_OF_ERROR: Readonly<Record<ErrorName, PlainCause>> = {
  auth_required: 'device.not_accepted',
  auth_failed: 'device.not_accepted',
  clock_skew: 'device.clock',
  enrolment_invalid: 'enrolment.refused',
  certificate_invalid: 'server.not_genuine',
  certificate_expired: 'server.not_genuine',
  forbidden: 'conversation.left',
  label_not_allowed: 'trust.too_low',
  below_floor: 'trust.below_floor',
  conversation_frozen: 'conversation.paused',
  approval_required: 'trust.too_low',
  approval_expired: 'trust.too_low',
  malformed: 'server.failed',
  unsupported_type: 'server.failed',
  unexpected_message: 'server.failed',
  version_span: 'version.mismatch',
  no_compatible_version: 'version.mismatch',
  hybrid_required: 'version.mismatch',
  frame_too_large: 'message.too_big',
  downgrade_refused: 'version.mismatch',
  suite_downgrade: 'server.not_genuine',
  not_canonical: 'server.failed',
  duplicate_key: 'server.failed',
  trailing_bytes: 'server.failed',
  limit_exceeded: 'message.too_big',
  missing_field: 'server.failed',
  wrong_type: 'server.failed',
  truncated: 'server.failed',
  no_compatible_suite: 'version.mismatch',
  epoch_conflict: 'server.busy',
  epoch_stale: 'server.busy',
  rekey_required: 'server.busy',
  log_gap: 'server.busy',
  log_fork: 'server.not_genuine',
  crypto: 'server.not_genuine',
  signature_invalid: 'server.not_genuine',
  frame_rejected: 'server.not_genuine',
  transcript_mismatch: 'server.not_genuine',
  commit_invalid: 'server.failed',
  credential_invalid: 'key.tampered',
  message_rejected: 'key.tampered',
  not_trusted: 'trust.none',
  trust_expired: 'trust.expired',
  trust_revoked: 'trust.revoked',
  insufficient_trust: 'trust.too_low',
  trust_stale: 'trust.stale',
  evidence_rejected: 'trust.none',
  exchange_expired: 'trust.none',
  trust_declined: 'trust.none',
  revocation_gap: 'trust.stale',
  revocation_fork: 'trust.stale',
  rotation_gap: 'trust.stale',
  rotation_fork: 'trust.stale',
  no_route: 'peer.unreachable',
  ttl_expired: 'message.expired',
  loop: 'peer.unreachable',
  user_not_found: 'person.unknown',
  rate: 'message.too_fast',
  too_large: 'message.too_big',
  rate_limited: 'message.too_fast',
  queue_full: 'server.busy',
  too_many_connections: 'server.busy',
  internal: 'server.failed',
  storage_full: 'server.full',
  shutting_down: 'server.busy',
};

/** Causes whose sentence stands without any detail. */
export type PlainCause = { [C in Cause]: None extends CauseDetails[C] ? C : never }[Cause];

export function causeOfError(name: ErrorName): PlainCause {
  return CAUSE_OF_ERROR[name];
}

/** A refusal as a problem; a client adds the details that it knows. */
export function problemOfError(name: ErrorName): Problem {
  return { cause: causeOfError(name) } as Problem; // a PlainCause needs no detail, so the cause alone is a Problem
}
