import { type Domain, type Instant, instant, ok, type Result, reject, sameBytes } from '../../base/index.ts';
import {
  type Crypto,
  type DocumentKind,
  documentHash,
  documentKind,
  draftDocument,
  keyId,
  type PinnedOrg,
  parseDocument,
  rootKeysOf,
  type SignedDocument,
  type Verified,
  verifyDocument,
} from '../../crypto/index.ts';
import { bytes, choice, domain, fixedBytes, type Infer, list, optional, struct, text, uint } from '../../wire/index.ts';
import { type OfficerId, officerId } from '../identifiers.ts';

/**
 * Officers (spec/officers): the people who answer for trust. Each has a key of their own,
 * certified by the organisation's root key, so that a server that was taken over can
 * neither invent an officer nor approve in one's name. Certificates hold no names; the id
 * is that of the key, so that one key never counts as two people [OFFICER-2].
 */

const ROLE_BYTES_MAX = 32;
const ROLES_MAX = 8;
const REASON_BYTES_MAX = 512;
const CERTIFICATE_BYTES_MAX = 4096;
const APPROVAL_BYTES_MAX = 4096;
const DAY_MS = 86_400_000;
/** Nobody stays in office because they were forgotten. */
export const OFFICER_LIFE_DAYS_MAX = 1096;
/** Unless the caller asks for less, or knows why an older one counts. */
export const APPROVAL_AGE_MS_MAX = DAY_MS;

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

/** An officer is named by the key: hexadecimal of the first 16 bytes of BLAKE3(public key) [OFFICER-2]. */
export function officerIdOf(crypto: Crypto, publicKey: Uint8Array): OfficerId {
  return keyId(crypto, publicKey) as OfficerId; // 16 bytes in hexadecimal
}

export interface NewOfficer {
  readonly org: Domain;
  readonly publicKey: Uint8Array;
  readonly roles: readonly OfficerRole[];
  readonly notBefore: number;
  readonly notAfter: number;
}

/** Unsigned; sign it with the organisation root key. Throws RangeError for a life or roles that no verifier takes. */
export function draftOfficerCertificate(crypto: Crypto, officer: NewOfficer): SignedDocument<OfficerCertificateBody> {
  const { org, publicKey, roles, notBefore, notAfter } = officer;
  if (!crypto.ed25519.isPublicKey(publicKey)) throw new RangeError('not the public key of an officer');
  if (roles.length === 0) throw new RangeError('an officer has a role');
  if (lifeFault(notBefore, notAfter)) throw new RangeError(`an officer's term is 1 to ${OFFICER_LIFE_DAYS_MAX} days`);
  return draftDocument(OFFICER_CERTIFICATE, {
    officer_id: officerIdOf(crypto, publicKey),
    org,
    public_key: publicKey,
    roles: [...new Set(roles)],
    not_before: notBefore,
    not_after: notAfter,
  });
}

/** Unsigned; sign it with the organisation root key. */
export function draftOfficerRevocation(body: OfficerRevocationBody): SignedDocument<OfficerRevocationBody> {
  return draftDocument(OFFICER_REVOCATION, body);
}

function lifeFault(notBefore: number, notAfter: number): boolean {
  return notAfter <= notBefore || notAfter - notBefore > OFFICER_LIFE_DAYS_MAX * DAY_MS;
}

/**
 * Checks an officer's certificate up to the pinned root key, and that it is in date at `at` [OFFICER-1] to [OFFICER-4].
 * Errors: certificate_expired, and those of `openOfficer`.
 */
export function verifyOfficer(
  crypto: Crypto,
  certificate: Uint8Array,
  { pinned, at }: { readonly pinned: PinnedOrg; readonly at: Instant },
): Result<VerifiedOfficer> {
  const officer = openOfficer(crypto, certificate, pinned);
  if (!officer.ok || inDate(officer.value, at)) return officer;
  return reject('certificate_expired', 'certificate of the officer');
}

/**
 * As `verifyOfficer`, whatever the date: for lists and records.
 * Errors: certificate_invalid, signature_invalid, and those of parsing.
 */
export function openOfficer(crypto: Crypto, certificate: Uint8Array, pinned: PinnedOrg): Result<VerifiedOfficer> {
  const parsed = parseDocument(OFFICER_CERTIFICATE, certificate);
  if (!parsed.ok) return parsed;
  const { body } = parsed.value;
  if (body.org !== pinned.org) return reject('certificate_invalid', 'organisation of the officer');
  if (!crypto.ed25519.isPublicKey(body.public_key)) return reject('certificate_invalid', 'key of the officer');
  if (rootKeysOf(pinned).some((key) => sameBytes(body.public_key, key)))
    return reject('certificate_invalid', 'the root key is no officer');
  if (body.officer_id !== officerIdOf(crypto, body.public_key)) return reject('certificate_invalid', 'officer_id');
  if (lifeFault(body.not_before, body.not_after)) return reject('certificate_invalid', 'term of the officer');
  const signed = verifyDocument(crypto, parsed.value, pinned.rootKey);
  if (!signed.ok) return signed;
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

function inDate({ notBefore, notAfter }: Officer, at: number): boolean {
  return at >= notBefore && at < notAfter;
}

/** Evidence that the organisation's root key ended an officer's time. Made by `verifyOfficerRevocation` alone. */
export type VerifiedOfficerRevocation = Verified<{
  readonly officerId: OfficerId;
  readonly revokedAt: Instant;
  readonly reason: string;
  readonly document: SignedDocument<OfficerRevocationBody>;
}>;

/**
 * Checks the revocation of an officer against the pinned root key, or one that it replaced: what an
 * organisation took back stays taken back [OFFICER-5]. `stored`: it was taken when its key still counted, so that a key
 * that was stolen or ended since does: else the rotation would bring the officer back.
 * Errors: certificate_invalid (another organisation), signature_invalid, and those of parsing.
 */
export function verifyOfficerRevocation(
  crypto: Crypto,
  revocation: Uint8Array,
  pinned: PinnedOrg,
  { stored = false }: { readonly stored?: boolean } = {},
): Result<VerifiedOfficerRevocation> {
  const parsed = parseDocument(OFFICER_REVOCATION, revocation);
  if (!parsed.ok) return parsed;
  const { body } = parsed.value;
  if (body.org !== pinned.org) return reject('certificate_invalid', 'organisation of the revocation');
  const keys = [...rootKeysOf(pinned), ...(stored ? (pinned.former ?? []) : [])];
  const signed = keys.map((key) => verifyDocument(crypto, parsed.value, key));
  if (!signed.some(({ ok }) => ok)) return reject('signature_invalid', 'revocation of the officer');
  const { officer_id, revoked_at, reason } = body;
  const facts = { officerId: officer_id, revokedAt: instant(revoked_at), reason, document: parsed.value };
  return ok(facts as unknown as VerifiedOfficerRevocation); // the root key's signature was checked just now
}

export interface ExpectedApproval {
  /** The officer's organisation. */
  readonly pinned: PinnedOrg;
  readonly action: ApprovalAction;
  readonly subject: Uint8Array;
  readonly peer?: Domain;
  readonly role?: OfficerRole;
  readonly now: Instant;
  /** Approvals that are older count for nothing; `APPROVAL_AGE_MS_MAX` when absent. */
  readonly ageMillisecondsMax?: number;
  /** Keys that belong to servers: certified as an officer's by mistake or deceit, they would make a server a person. */
  readonly serverKeys?: readonly Uint8Array[];
}

/** Clocks of two machines may differ by this much. */
const CLOCK_SKEW_MS = 300_000;

/**
 * Checks one approval: of exactly this, by an officer in office both when it was signed,
 * which the signer states alone, and now [OFFICER-6] to [OFFICER-11].
 * Errors: forbidden (another officer, action, partner, subject or role), approval_expired (too old), clock_skew, and
 * those of `verifyOfficer` and `verifyDocument`.
 */
export function verifyApproval(
  crypto: Crypto,
  { approval, certificate }: SignedApproval,
  expected: ExpectedApproval,
): Result<VerifiedApproval> {
  const { pinned, now } = expected;
  const parsed = parseDocument(OFFICER_APPROVAL, approval);
  if (!parsed.ok) return parsed;
  const { body } = parsed.value;
  const approvedAt = instant(body.approved_at);
  if (approvedAt > now + CLOCK_SKEW_MS) return reject('clock_skew', 'approved_at of the approval');
  const officer = verifyOfficer(crypto, certificate, { pinned, at: approvedAt });
  if (!officer.ok) return officer;
  if (!inDate(officer.value, Math.max(approvedAt, now))) return reject('certificate_expired', 'no longer in office');
  const { officerId: id, publicKey } = officer.value;
  if (body.org !== pinned.org || body.officer_id !== id) return reject('forbidden', 'officer of the approval');
  const signed = verifyDocument(crypto, parsed.value, publicKey);
  if (!signed.ok) return signed;
  const other = approvalFault(body, officer.value, expected);
  if (other !== undefined) return reject('forbidden', other);
  if (now - approvedAt > (expected.ageMillisecondsMax ?? APPROVAL_AGE_MS_MAX))
    return reject('approval_expired', 'the approval is too old');
  const verified = {
    officer: officer.value,
    action: body.action,
    subject: body.subject,
    approvedAt,
    hash: documentHash(crypto, parsed.value),
  };
  return ok(verified as unknown as VerifiedApproval); // both signatures were checked just now
}

/** Why a sound signature is not the approval that is needed. */
function approvalFault(body: ApprovalBody, officer: Officer, expected: ExpectedApproval): string | undefined {
  const { serverKeys = [], role = 'trust' } = expected;
  if (serverKeys.some((key) => sameBytes(key, officer.publicKey))) return "a server's key is no officer";
  if (!officer.roles.has(role)) return 'role of the officer';
  if (body.action !== expected.action || body.peer !== expected.peer) return 'the approval is for something else';
  return sameBytes(body.subject, expected.subject) ? undefined : 'what was approved has changed since';
}

/** Different officers among these approvals, those of `except` not counted: nobody approves their own request. */
export function distinctOfficers(approvals: readonly VerifiedApproval[], except?: OfficerId): ReadonlySet<OfficerId> {
  return new Set(approvals.map(({ officer }) => officer.officerId).filter((id) => id !== except));
}

/** Unsigned: what an officer's key signs. */
export function draftApproval(body: ApprovalBody): SignedDocument<ApprovalBody> {
  return draftDocument(OFFICER_APPROVAL, body);
}
