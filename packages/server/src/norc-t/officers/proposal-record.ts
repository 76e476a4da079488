import { type Domain, type Instant, instant, ok, type Result, toHex } from '@norc/protocol/base';
import { type Crypto, documentHash, parseDocument } from '@norc/protocol/crypto';
import {
  APPROVAL_ACTIONS,
  type ApprovalAction,
  OFFICER_APPROVAL,
  type OfficerId,
  officerId,
  type SignedApproval,
  signedApprovalSchema,
} from '@norc/protocol/norc-t';
import {
  bytes,
  choice,
  decodeBody,
  domain,
  encodeBody,
  fixedBytes,
  list,
  optional,
  struct,
  text,
  uint,
} from '@norc/protocol/wire';
import type { ProposalView } from '../../services.ts';
import type { StoreWrite } from '../../storage/port.ts';

/** A policy with its anchors is the largest thing that officers approve. */
export const PROPOSAL_DOCUMENT_BYTES_MAX = 1_048_576;
const APPROVALS_MAX = 64;
const NEEDED_MAX = 64;
const ACTOR_BYTES_MAX = 64;
const REFUSED_BYTES_MAX = 512;
const ID_BYTES_MAX = 32;

/** One thing that waits, or waited, for officers. */
export interface ProposalRecord {
  readonly proposalId: string;
  readonly action: ApprovalAction;
  readonly peer?: Domain;
  readonly document: Uint8Array;
  readonly subject: Uint8Array;
  readonly needed: number;
  readonly actor: string;
  readonly requested?: SignedApproval;
  readonly requestedBy?: OfficerId;
  /** As they came; counted anew whenever it matters. */
  readonly approvals: readonly SignedApproval[];
  readonly state: ProposalView['state'];
  readonly refused?: string;
  readonly openedAt: Instant;
  readonly expiresAt: Instant;
}

const recordSchema = struct({
  id: text(ID_BYTES_MAX),
  action: choice(APPROVAL_ACTIONS),
  peer: optional(domain()),
  document: bytes(PROPOSAL_DOCUMENT_BYTES_MAX),
  subject: fixedBytes(32),
  needed: uint(NEEDED_MAX),
  actor: text(ACTOR_BYTES_MAX),
  requested: optional(signedApprovalSchema),
  requested_by: optional(officerId()),
  approvals: list(signedApprovalSchema, APPROVALS_MAX),
  state: choice(['open', 'approved', 'done', 'withdrawn', 'expired']),
  refused: optional(text(REFUSED_BYTES_MAX)),
  opened_at: uint(),
  expires_at: uint(),
});

export function isClosed(state: ProposalView['state']): boolean {
  return state === 'done' || state === 'withdrawn' || state === 'expired';
}

/** Canonical JSON, as the store keeps it. Throws RangeError for a document that is too large. */
export function encodeProposal(record: ProposalRecord): Uint8Array {
  const { proposalId: id, requestedBy, openedAt, expiresAt, refused, actor, ...rest } = record;
  return encodeBody(
    recordSchema,
    {
      ...{ ...rest, id, actor: actor.slice(0, ACTOR_BYTES_MAX), opened_at: openedAt, expires_at: expiresAt },
      ...(requestedBy === undefined ? {} : { requested_by: requestedBy }),
      ...(refused === undefined ? {} : { refused: refused.slice(0, REFUSED_BYTES_MAX / 4) }),
    },
    'json',
  );
}

/** Errors: those of `decodeBody`. */
export function decodeProposal(document: Uint8Array): Result<ProposalRecord> {
  const decoded = decodeBody(recordSchema, document, 'json');
  if (!decoded.ok) return decoded;
  const { id, requested_by, opened_at, expires_at, ...rest } = decoded.value;
  return ok({
    ...{ ...rest, proposalId: id, openedAt: instant(opened_at), expiresAt: instant(expires_at) },
    ...(requested_by === undefined ? {} : { requestedBy: requested_by }),
  });
}

/** Keeps an approval that led to something, for whoever asks later who answered for it. */
export function approvalRecord(
  crypto: Crypto,
  approval: SignedApproval,
  peer: Domain | undefined,
  at: Instant,
): StoreWrite {
  const parsed = parseDocument(OFFICER_APPROVAL, approval.approval);
  const hash = parsed.ok ? documentHash(crypto, parsed.value) : crypto.blake3(approval.approval);
  const document = encodeBody(signedApprovalSchema, approval, 'json');
  return {
    op: 'trust.record.put',
    record: { kind: 'approval', key: toHex(hash), at, document, ...(peer === undefined ? {} : { peer }) },
  };
}
