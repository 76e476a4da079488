import { type Domain, type Instant, instant, ok, type Result, reject, sameBytes } from '../base/index.ts';
import {
  type Crypto,
  type DocumentKind,
  documentHash,
  documentKind,
  draftDocument,
  type PinnedOrg,
  parseDocument,
  type SignedDocument,
  type Verified,
  verifyDocument,
} from '../crypto/index.ts';
import { bytes, choice, domain, fixedBytes, type Infer, list, optional, struct, text, uint } from '../wire/index.ts';
import { type OfficerId, officerId } from './identifiers.ts';

/**
 * Officers (spec/officers): the people who answer for trust. Each has a key of their own,
 * certified by the organisation's root key, so that a server that was taken over can
 * neither invent an officer nor approve in one's name. Certificates hold no names.
 */

const ROLE_BYTES_MAX = 32;
const ROLES_MAX = 8;
const REASON_BYTES_MAX = 512;
const CERTIFICATE_BYTES_MAX = 4096;
const APPROVAL_BYTES_MAX = 4096;

/** `trust`: approves trust and policy. `recovery`: holds a share of the power to replace a lost root key. */
export const OFFICER_ROLES = ['trust', 'recovery'] as const;
export type OfficerRole = (typeof OFFICER_ROLES)[number];

const officerCertificateSchema = struct({
  officer_id: officerId(),
  org: domain(),
  /** Ed25519, the officer's own. */
  public_key: fixedBytes(32),
  /** Names that this side does not know are ignored. */
  roles: list(text(ROLE_BYTES_MAX), ROLES_MAX),
  not_before: uint(),
  not_after: uint(),
});
export type OfficerCertificateBody = Infer<typeof officerCertificateSchema>;
/** Signed by the organisation root key. */
export const OFFICER_CERTIFICATE: DocumentKind<OfficerCertificateBody> = documentKind(
  'officer_certificate',
  1,
  officerCertificateSchema,
);

const officerRevocationSchema = struct({
  officer_id: officerId(),
  org: domain(),
  reason: text(REASON_BYTES_MAX),
  /** What the officer signed from then on counts for nothing. */
  revoked_at: uint(),
});
export type OfficerRevocationBody = Infer<typeof officerRevocationSchema>;
/** Signed by the organisation root key. */
export const OFFICER_REVOCATION: DocumentKind<OfficerRevocationBody> = documentKind(
  'officer_revocation',
  1,
  officerRevocationSchema,
);

/** What an officer can sign. A signature for one means nothing for another. */
export const APPROVAL_ACTIONS = [
  /** Begins an exchange at a level that asks for officers; `subject`: hash of the request's terms. */
  'trust_request',
  /** `subject`: hash of the pair of certificates that would come into force. */
  'trust_grant',
  'trust_decline',
  'trust_revoke',
  'trust_restore',
  'policy_apply',
  'root_rotate',
] as const;
export type ApprovalAction = (typeof APPROVAL_ACTIONS)[number];

const approvalSchema = struct({
  org: domain(),
  officer_id: officerId(),
  action: choice(APPROVAL_ACTIONS),
  /** The partner that it is about, where there is one. */
  peer: optional(domain()),
  /** Hash of exactly what is approved: anything else that changes voids it. */
  subject: fixedBytes(32),
  approved_at: uint(),
});
export type ApprovalBody = Infer<typeof approvalSchema>;
/** Signed by the officer's key. */
export const OFFICER_APPROVAL: DocumentKind<ApprovalBody> = documentKind('officer_approval', 1, approvalSchema);

/** An approval as it travels and is kept: with the certificate of who signed it. */
export const signedApprovalSchema = struct({
  approval: bytes(APPROVAL_BYTES_MAX),
  certificate: bytes(CERTIFICATE_BYTES_MAX),
});
export type SignedApproval = Infer<typeof signedApprovalSchema>;

export interface Officer {
  readonly officerId: OfficerId;
  readonly org: Domain;
  readonly publicKey: Uint8Array;
  readonly roles: ReadonlySet<OfficerRole>;
  readonly notBefore: Instant;
  readonly notAfter: Instant;
  readonly document: SignedDocument<OfficerCertificateBody>;
}
/** Evidence that the organisation's root key certified an officer's key. Made by `verifyOfficer` alone. */
export type VerifiedOfficer = Verified<Officer>;

/** Evidence that an officer in office approved exactly this. Made by `verifyApproval` alone. */
export type VerifiedApproval = Verified<{
  readonly officer: VerifiedOfficer;
  readonly action: ApprovalAction;
  readonly subject: Uint8Array;
  readonly approvedAt: Instant;
  /** `documentHash` of the approval. */
  readonly hash: Uint8Array;
}>;

/**
 * Checks an officer's certificate up to the pinned root key.
 * Errors: certificate_invalid, certificate_expired (not in date at `at`), signature_invalid, and those of parsing.
 */
export function verifyOfficer(
  crypto: Crypto,
  certificate: Uint8Array,
  { pinned, at }: { readonly pinned: PinnedOrg; readonly at: Instant },
): Result<VerifiedOfficer> {
  const parsed = parseDocument(OFFICER_CERTIFICATE, certificate);
  if (!parsed.ok) return parsed;
  const { body } = parsed.value;
  if (body.org !== pinned.org) return reject('certificate_invalid', 'organisation of the officer');
  if (!crypto.ed25519.isPublicKey(body.public_key)) return reject('certificate_invalid', 'key of the officer');
  if (sameBytes(body.public_key, pinned.rootKey)) return reject('certificate_invalid', 'the root key is no officer');
  const signed = verifyDocument(crypto, parsed.value, pinned.rootKey);
  if (!signed.ok) return signed;
  if (at < body.not_before || at >= body.not_after) return reject('certificate_expired', 'certificate of the officer');
  const officer: Officer = {
    officerId: body.officer_id,
    org: body.org,
    publicKey: body.public_key,
    roles: new Set(OFFICER_ROLES.filter((role) => body.roles.includes(role))),
    notBefore: instant(body.not_before),
    notAfter: instant(body.not_after),
    document: parsed.value,
  };
  return ok(officer as VerifiedOfficer); // the root key's signature was checked just now
}

export interface ExpectedApproval {
  /** The officer's organisation. */
  readonly pinned: PinnedOrg;
  readonly action: ApprovalAction;
  readonly subject: Uint8Array;
  readonly peer?: Domain;
  readonly role?: OfficerRole;
  readonly now: Instant;
  /** Approvals that are older count for nothing. */
  readonly ageMillisecondsMax?: number;
}

/** Clocks of two machines may differ by this much. */
const CLOCK_SKEW_MS = 300_000;

/**
 * Checks one approval: of exactly this, by an officer in office when it was signed.
 * Errors: forbidden (another action, partner, subject or role), approval_expired (too old), clock_skew, and those of `verifyOfficer`.
 */
export function verifyApproval(
  crypto: Crypto,
  { approval, certificate }: SignedApproval,
  expected: ExpectedApproval,
): Result<VerifiedApproval> {
  const parsed = parseDocument(OFFICER_APPROVAL, approval);
  if (!parsed.ok) return parsed;
  const { body } = parsed.value;
  const approvedAt = instant(body.approved_at);
  if (approvedAt > expected.now + CLOCK_SKEW_MS) return reject('clock_skew', 'approved_at of the approval');
  const officer = verifyOfficer(crypto, certificate, { pinned: expected.pinned, at: approvedAt });
  if (!officer.ok) return officer;
  const { officerId: id, publicKey, roles } = officer.value;
  if (body.org !== expected.pinned.org || body.officer_id !== id) return reject('forbidden', 'officer of the approval');
  const signed = verifyDocument(crypto, parsed.value, publicKey);
  if (!signed.ok) return signed;
  if (!roles.has(expected.role ?? 'trust')) return reject('forbidden', 'role of the officer');
  if (body.action !== expected.action || body.peer !== expected.peer)
    return reject('forbidden', 'the approval is for something else');
  if (!sameBytes(body.subject, expected.subject)) return reject('forbidden', 'what was approved has changed since');
  if (expected.now - approvedAt > (expected.ageMillisecondsMax ?? Number.MAX_SAFE_INTEGER)) {
    return reject('approval_expired', 'the approval is too old');
  }
  const verified = {
    officer: officer.value,
    action: body.action,
    subject: body.subject,
    approvedAt,
    hash: documentHash(crypto, parsed.value),
  };
  return ok(verified as unknown as VerifiedApproval); // both signatures were checked just now
}

/** Different officers among these approvals, those of `except` not counted: nobody approves their own request. */
export function distinctOfficers(approvals: readonly VerifiedApproval[], except?: OfficerId): ReadonlySet<OfficerId> {
  return new Set(approvals.map(({ officer }) => officer.officerId).filter((id) => id !== except));
}

/** Unsigned: what an officer's key signs. */
export function draftApproval(body: ApprovalBody): SignedDocument<ApprovalBody> {
  return draftDocument(OFFICER_APPROVAL, body);
}
