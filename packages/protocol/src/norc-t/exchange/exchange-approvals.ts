import {
  concatBytes,
  type Instant,
  instant,
  LIMITS,
  ok,
  type Reject,
  type Result,
  reject,
  utf8,
} from '../../base/index.ts';
import type { Crypto, SignedDocument } from '../../crypto/index.ts';
import { parseDocument, SERVER_CERTIFICATE } from '../../crypto/index.ts';
import { bool, decodeBody, domain, encodeBody, type Infer, struct, uint } from '../../wire/index.ts';
import type { OfficerId } from '../identifiers.ts';
import type { GrantedLevel } from '../levels.ts';
import {
  type ApprovalAction,
  distinctOfficers,
  type SignedApproval,
  signedApprovalSchema,
  type VerifiedApproval,
  verifyApproval,
} from '../officers/officers.ts';
import type { Party } from '../party.ts';
import { needsSignedApprovals, type TrustPolicy } from '../policy/policy.ts';
import { levelSchema, type TrustCertificateBody } from '../trust-certificate.ts';
import type { CertificatePair } from './exchange-certificates.ts';
import type { Review } from './exchange-state.ts';
import type { ExchangeContext, ExchangePlace } from './exchange-types.ts';
import { type EvidenceMaterial, type RequestBody, termsSchema } from './messages.ts';

/** Officers in an exchange (spec/norc-t section 5.1): what they sign, and how both sides count it. */

const GRANT_LABEL = utf8('norc-t-grant-v1');
const REQUEST_LABEL = utf8('norc-t-request-v1');
/** Kinds of material. */
export const OFFICER_REQUEST = 'officer_request';
export const OFFICER_APPROVAL_MATERIAL = 'officer_approval';

/** What officers who grant trust sign: the pair of certificates as drafted, without any signature [TRUST-74]. */
export function grantSubject(
  crypto: Crypto,
  { issued, counterpart }: CertificatePair<SignedDocument<TrustCertificateBody>>,
): Uint8Array {
  return crypto.blake3(concatBytes(GRANT_LABEL, issued.signingInput, counterpart.signingInput));
}

const descriptionSchema = struct({
  /** Whom trust is asked of. */
  peer: domain(),
  level: levelSchema,
  valid_days: uint(),
  nato_capable: bool(),
  asks: termsSchema,
  offers: termsSchema,
});
/** What an officer asks for, in full. */
export type RequestDescription = Infer<typeof descriptionSchema>;

/** Canonical JSON, to be shown to the officer who signs. */
export function encodeRequestDescription(description: RequestDescription): Uint8Array {
  return encodeBody(descriptionSchema, description, 'json');
}

/** Errors: those of `decodeBody`. */
export function decodeRequestDescription(document: Uint8Array): Result<RequestDescription> {
  return decodeBody(descriptionSchema, document, 'json');
}

/** What the officer who asks signs: BLAKE3("norc-t-request-v1" || canonical description) [TRUST-73]. */
export function requestSubject(crypto: Crypto, description: RequestDescription): Uint8Array {
  return crypto.blake3(concatBytes(REQUEST_LABEL, encodeRequestDescription(description)));
}

/** The description of a request that was sent to `peer`. */
export function descriptionOf(request: RequestBody): RequestDescription {
  const { to, level, valid_days, nato_capable = false, asks, offers } = request;
  return { peer: to, level, valid_days, nato_capable, asks, offers };
}

/** How many officers of each side have to sign at a level; 0 where the policy asks for no signatures. */
export function signedApprovals(policy: TrustPolicy, level: GrantedLevel): number {
  return needsSignedApprovals(policy, level) ? Math.max(1, policy.levels[level].approvals) : 0;
}

/**
 * How many officers of the responder sign with their own keys: never fewer than its own policy's number, whatever the
 * other side asks for; and wherever two have to, since one person may have a key and the operator's
 * interface [TRUST-84]. 0: one person there is enough.
 */
export function signersNeeded(policy: TrustPolicy, level: GrantedLevel, askedByPeer: number): number {
  const { approvals } = policy.levels[level];
  const signed = Math.max(signedApprovals(policy, level), askedByPeer);
  return signed > 0 || approvals > 1 ? Math.max(signed, approvals) : 0;
}

/** As a message announces it to the other side. */
export function approvalsField(policy: TrustPolicy, level: GrantedLevel): { readonly approvals?: number } {
  const count = signedApprovals(policy, level);
  return count === 0 ? {} : { approvals: count };
}

/** Where officers sign, whoever has the server's account approves nothing. */
export const UNSIGNED: Reject = { code: 'approval_required', detail: 'an officer has to sign this with their own key' };

export interface ApprovalExpectation {
  readonly action: ApprovalAction;
  readonly subject: Uint8Array;
}

type Place = Pick<ExchangePlace, 'self' | 'peer'>;

/**
 * An approval of this side's own officer, given now. Errors: approval_expired (older than what
 * was found about the peer), forbidden (not an approver, has left, the one who asked), and those of `verifyApproval`.
 */
export function checkOwnApproval(
  context: ExchangeContext,
  { self, peer, review }: Place & { readonly review: Review },
  approval: SignedApproval,
  expected: ApprovalExpectation,
): Result<VerifiedApproval> {
  const { crypto, now, policy } = context;
  const verified = verifyApproval(crypto, approval, {
    ...expectedOf(self, expected),
    peer,
    now,
    ageMillisecondsMax: policy.evidenceAgeMillisecondsMax,
  });
  if (!verified.ok) return verified;
  const { officer, approvedAt } = verified.value;
  if (hasLeft(context, officer.officerId)) return reject('forbidden', 'this officer has left');
  if (policy.approvers.size > 0 && !policy.approvers.has(officer.officerId))
    return reject('forbidden', 'the policy names other approvers');
  if (expected.action === 'trust_grant' && officer.officerId === review.requested_by)
    return reject('forbidden', 'nobody approves their own request');
  if (approvedAt + LIMITS.trustClockSkewMillisecondsMax < review.checked_at)
    return reject('approval_expired', 'the evidence was checked again since');
  return verified;
}

/** Those of this side's stored approvals that count now: an officer may have left since. */
export function countedApprovals(
  context: ExchangeContext,
  state: Place & { readonly review: Review },
  subject: Uint8Array,
): ReadonlySet<OfficerId> {
  const counted = state.review.approvals.flatMap(({ signed }) => {
    const checked =
      signed === undefined ? undefined : checkOwnApproval(context, state, signed, { action: 'trust_grant', subject });
    return checked?.ok === true ? [checked.value] : [];
  });
  return distinctOfficers(counted, state.review.requested_by);
}

export interface TheirApprovals {
  /** Whose officers. */
  readonly party: Party;
  readonly material: readonly EvidenceMaterial[] | undefined;
  readonly subject: Uint8Array;
  /** When the message that holds them was sent. */
  readonly sentAt: number;
  readonly requestedBy: OfficerId | undefined;
  readonly needed: number;
}

/**
 * The approvals of the other side's officers, those that count [TRUST-76]. What does not is passed
 * over; what is left has to be enough. Errors: approval_required, naming the first fault.
 */
export function checkTheirApprovals(
  context: ExchangeContext,
  self: Party,
  { party, material, subject, sentAt, requestedBy, needed }: TheirApprovals,
): Result<readonly SignedApproval[]> {
  const expected = { action: 'trust_grant', subject } as const;
  const counted = new Map<OfficerId, SignedApproval>();
  let fault: Reject | undefined;
  for (const { kind, data } of material ?? []) {
    if (kind !== OFFICER_APPROVAL_MATERIAL) continue;
    const opened = openTheirs(context, self, party, { data, expected, sentAt });
    if (!opened.ok) fault ??= opened.error;
    else if (opened.value.officer !== requestedBy) counted.set(opened.value.officer, opened.value.approval);
  }
  if (counted.size >= needed) return ok([...counted.values()]);
  const why = fault === undefined ? '' : ` (${fault.code}: ${fault.detail})`;
  const count = `${counted.size} of ${needed} officers of ${party.domain} approved`;
  return reject('approval_required', `${count} exactly this${why}`);
}

/**
 * The officer of the initiator who signed the request [TRUST-73]; undefined when nobody did.
 * Errors: those of `verifyApproval`, forbidden for one who is known to have left.
 */
export function checkRequester(
  context: ExchangeContext,
  self: Party,
  party: Party,
  request: RequestBody,
): Result<Partial<Pick<Review, 'requested' | 'requested_by'>>> {
  const found = request.material?.find(({ kind }) => kind === OFFICER_REQUEST);
  if (found === undefined) return ok({});
  const expected = {
    action: 'trust_request',
    subject: requestSubject(context.crypto, descriptionOf(request)),
  } as const;
  const opened = openTheirs(context, self, party, { data: found.data, expected, sentAt: request.sent_at });
  return opened.ok ? ok({ requested: opened.value.approval, requested_by: opened.value.officer }) : opened;
}

function openTheirs(
  context: ExchangeContext,
  self: Party,
  party: Party,
  { data, expected, sentAt }: { readonly data: Uint8Array; readonly expected: ApprovalExpectation; sentAt: number },
): Result<{ readonly officer: OfficerId; readonly approval: SignedApproval }> {
  const approval = decodeBody(signedApprovalSchema, data, 'json');
  if (!approval.ok) return approval;
  const verified = verifyApproval(context.crypto, approval.value, {
    ...expectedOf(party, expected),
    peer: self.domain,
    now: instant(sentAt),
    ageMillisecondsMax: context.policy.evidenceAgeMillisecondsMax + LIMITS.trustClockSkewMillisecondsMax,
  });
  if (!verified.ok) return verified;
  const { officerId, notAfter } = verified.value.officer;
  if (hasLeft(context, officerId)) return reject('forbidden', 'this officer has left');
  // `sentAt` is what the peer says: whose term is over by our own clock approves nothing any more.
  if (context.now >= notAfter) return reject('certificate_expired', 'this officer is no longer in office');
  return ok({ officer: officerId, approval: approval.value });
}

/** As the other side gets them. */
export function approvalMaterial(kind: string, approvals: readonly SignedApproval[]): readonly EvidenceMaterial[] {
  return approvals.map((approval) => ({ kind, data: encodeSignedApproval(approval) }));
}

/** Canonical JSON: as an approval travels and is stored. */
export function encodeSignedApproval(approval: SignedApproval): Uint8Array {
  return encodeBody(signedApprovalSchema, approval, 'json');
}

/** Errors: those of `decodeBody`. */
export function decodeSignedApproval(bytes: Uint8Array): Result<SignedApproval> {
  return decodeBody(signedApprovalSchema, bytes, 'json');
}

function hasLeft({ revokedOfficers }: ExchangeContext, officer: OfficerId): boolean {
  return revokedOfficers?.has(officer) === true;
}

function expectedOf(party: Party, { action, subject }: ApprovalExpectation) {
  const pinned = { org: party.domain, rootKey: party.root_key };
  return { pinned, action, subject, role: 'trust', serverKeys: serverKeysOf(party) } as const;
}

/** A server's key certified as an officer's would make a server a person. */
function serverKeysOf({ server_certificates }: Party): readonly Uint8Array[] {
  return server_certificates.flatMap((certificate) => {
    const parsed = parseDocument(SERVER_CERTIFICATE, certificate);
    return parsed.ok ? [parsed.value.body.public_key] : [];
  });
}

/** When the approvals of a review were given, for officers. */
export function approvalTimes(review: Review): readonly { readonly by: string; readonly at: Instant }[] {
  return review.approvals.map(({ by, at }) => ({ by, at: instant(at) }));
}
