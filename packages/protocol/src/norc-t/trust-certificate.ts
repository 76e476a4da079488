import {
  type Domain,
  type Instant,
  instant,
  LEVELS,
  ok,
  PERMISSIONS,
  type Permission,
  type Result,
  reject,
} from '../base/index.ts';
import type { Crypto, DocumentKind, PinnedOrg, SignedDocument, Verified } from '../crypto/index.ts';
import { documentHash, documentKind, draftDocument, parseDocument } from '../crypto/index.ts';
import {
  bool,
  choice,
  fixedBytes,
  type Infer,
  list,
  optional,
  type Schema,
  struct,
  text,
  uint,
} from '../wire/index.ts';
import { type CertificateId, certificateId, exchangeId } from './identifiers.ts';
import { compareLevels, GRANTED_LEVELS, type GrantedLevel } from './levels.ts';
import { keysOf, type Party, partySchema, samePartyKey, verifyBy } from './party.ts';

/** A trust certificate (spec/norc-t section 4): what its issuer lets its subject do. Not X.509. */

const NAME_BYTES_MAX = 64;
const KIND_BYTES_MAX = 32;
const PERMISSIONS_MAX = 32;
export const CONDITIONS_MAX = 16;
const EVIDENCE_MAX = 32;
const DAY_MS = 86_400_000;

export const levelSchema: Schema<GrantedLevel> = choice(GRANTED_LEVELS);

/** What the issuer's servers take from the subject. */
export const limitsSchema = struct({
  message_bytes_max: uint(),
  messages_per_second: uint(),
  bytes_per_second: uint(),
});
export type TrustLimits = Infer<typeof limitsSchema>;

/**
 * Something that must have happened by `deadline`; otherwise `action` is taken. A kind
 * that a reader does not know cannot be met for it, so it acts: unknown conditions fail closed.
 */
export const conditionSchema = struct({
  /** Unique in its certificate. */
  name: text(NAME_BYTES_MAX),
  kind: text(KIND_BYTES_MAX),
  deadline: uint(),
  action: choice(['revoke', 'downgrade', 'notify']),
  /** With `downgrade`: the level from then on. */
  level: optional(levelSchema),
});
export type TrustCondition = Infer<typeof conditionSchema>;

/** One check that the issuer made of the subject. */
export const evidenceSchema = struct({
  /** A name of spec/registry/trust-evidence.json, or one that this side does not know. */
  kind: text(KIND_BYTES_MAX),
  /** BLAKE3 of the material that was checked. */
  hash: fixedBytes(32),
  /** How, e.g. `dns`, `https`, `static`. */
  method: optional(text(KIND_BYTES_MAX)),
  checked_at: uint(),
  expires_at: optional(uint()),
});
export type TrustEvidence = Infer<typeof evidenceSchema>;

export const permissionsSchema: Schema<readonly string[]> = list(text(KIND_BYTES_MAX), PERMISSIONS_MAX);
export const conditionsSchema = list(conditionSchema, CONDITIONS_MAX);
export const evidenceListSchema = list(evidenceSchema, EVIDENCE_MAX);

const trustCertificateSchema = struct({
  certificate_id: certificateId(),
  exchange_id: exchangeId(),
  issuer: partySchema,
  subject: partySchema,
  level: levelSchema,
  nato_capable: optional(bool()),
  /** Names that this side does not know are ignored. */
  permissions: permissionsSchema,
  limits: limitsSchema,
  conditions: conditionsSchema,
  not_before: uint(),
  not_after: uint(),
  evidence: evidenceListSchema,
  /** Hash of the exchange up to its fourth message (spec/norc-t section 5). */
  transcript: fixedBytes(32),
});
export type TrustCertificateBody = Infer<typeof trustCertificateSchema>;
export const TRUST_CERTIFICATE: DocumentKind<TrustCertificateBody> = documentKind(
  'trust_certificate',
  1,
  trustCertificateSchema,
);

export interface TrustCertificate {
  readonly certificateId: CertificateId;
  readonly issuer: Domain;
  readonly issuerRootKey: Uint8Array;
  readonly subject: Domain;
  readonly subjectRootKey: Uint8Array;
  readonly level: GrantedLevel;
  readonly natoCapable: boolean;
  readonly permissions: ReadonlySet<Permission>;
  readonly limits: TrustLimits;
  readonly conditions: readonly TrustCondition[];
  readonly notBefore: Instant;
  /** The earliest end of the certificate and of the server certificates behind its signatures. */
  readonly notAfter: Instant;
  /** SHA-256 of the SubjectPublicKeyInfo of the TLS keys of issuer and subject, to pin links to. */
  readonly issuerTlsKeys: readonly Uint8Array[];
  readonly subjectTlsKeys: readonly Uint8Array[];
  /** `documentHash` of the certificate. */
  readonly hash: Uint8Array;
  readonly document: SignedDocument<TrustCertificateBody>;
}

/** Evidence that the issuer signed and the subject countersigned. Says nothing about dates and revocations: `decideTrust` does. */
export type VerifiedTrustCertificate = Verified<TrustCertificate>;

/** Unsigned. Throws RangeError for a body that no verifier would take. */
export function draftTrustCertificate(body: TrustCertificateBody): SignedDocument<TrustCertificateBody> {
  const fault = trustBodyFault(body);
  if (fault !== undefined) throw new RangeError(fault);
  return draftDocument(TRUST_CERTIFICATE, body);
}

/** Why no issuer may have written this body [TRUST-10] to [TRUST-13]; `undefined` when it is sound. */
export function trustBodyFault(body: TrustCertificateBody): string | undefined {
  if (body.issuer.domain === body.subject.domain) return 'issuer and subject are one organisation';
  if (body.not_after <= body.not_before) return 'dates of the trust certificate';
  if (body.not_after - body.not_before > LEVELS[body.level].lifeDaysMax * DAY_MS)
    return 'life of the trust certificate';
  return conditionsFault(body.conditions, body.level);
}

/** Why no certificate of this level may hold these conditions [TRUST-12]. */
export function conditionsFault(conditions: readonly TrustCondition[], level: GrantedLevel): string | undefined {
  const names = new Set(conditions.map(({ name }) => name));
  if (names.size !== conditions.length) return 'two conditions of one name';
  return conditions.some((condition) => !isSoundCondition(condition, level)) ? 'downgrade of a condition' : undefined;
}

export function isSoundCondition(
  { action, level: downgraded }: Pick<TrustCondition, 'action' | 'level'>,
  level: GrantedLevel,
): boolean {
  if (action !== 'downgrade') return downgraded === undefined;
  return downgraded !== undefined && compareLevels(downgraded, level) < 0;
}

export interface ExpectedTrustCertificate {
  readonly issuer: PinnedOrg;
  /** When the subject's root key is known already: it must be the one named. */
  readonly subject?: PinnedOrg;
  readonly now: Instant;
  /** Server certificates of either side that are newer than those in the certificate. */
  readonly serverCertificates?: readonly Uint8Array[];
}

/**
 * Checks both signatures of a trust certificate up to the issuer's pinned root key and
 * the subject's root key that the certificate names [TRUST-14] to [TRUST-17].
 * Errors: certificate_invalid, certificate_expired (a server certificate), signature_invalid, and those of parsing.
 */
export function verifyTrustCertificate(
  crypto: Crypto,
  certificate: Uint8Array | SignedDocument<TrustCertificateBody>,
  expected: ExpectedTrustCertificate,
): Result<VerifiedTrustCertificate> {
  const parsed = certificate instanceof Uint8Array ? parseDocument(TRUST_CERTIFICATE, certificate) : ok(certificate);
  if (!parsed.ok) return parsed;
  const document = parsed.value;
  const sound = checkBody(crypto, document.body, expected);
  if (!sound.ok) return sound;
  const { issuer, subject } = document.body;
  const signed = verifyBy(crypto, document, keysOf(crypto, issuer, 'trust', expected.now, expected.serverCertificates));
  if (!signed.ok) return signed;
  const keys = keysOf(crypto, subject, 'trust', expected.now, expected.serverCertificates);
  const countersigned = verifyBy(crypto, document, keys);
  if (!countersigned.ok) return countersigned;
  const chainEnd = Math.min(signed.value.signer.notAfter, countersigned.value.signer.notAfter);
  return ok(trustEvidence(crypto, document, instant(chainEnd), expected.now));
}

function checkBody(crypto: Crypto, body: TrustCertificateBody, expected: ExpectedTrustCertificate): Result<undefined> {
  if (!samePartyKey(body.issuer, expected.issuer)) return reject('certificate_invalid', 'issuer or its root key');
  if (expected.subject !== undefined && !samePartyKey(body.subject, expected.subject)) {
    return reject('certificate_invalid', 'subject or its root key');
  }
  if (!crypto.ed25519.isPublicKey(body.subject.root_key))
    return reject('certificate_invalid', 'root key of the subject');
  const fault = trustBodyFault(body);
  return fault === undefined ? ok(undefined) : reject('certificate_invalid', fault);
}

function trustEvidence(
  crypto: Crypto,
  document: SignedDocument<TrustCertificateBody>,
  chainEnd: Instant,
  now: Instant,
): VerifiedTrustCertificate {
  const { body } = document;
  const certificate: TrustCertificate = {
    certificateId: body.certificate_id,
    issuer: body.issuer.domain,
    issuerRootKey: body.issuer.root_key,
    subject: body.subject.domain,
    subjectRootKey: body.subject.root_key,
    level: body.level,
    natoCapable: body.nato_capable ?? false,
    permissions: new Set(PERMISSIONS.filter((permission) => body.permissions.includes(permission))),
    limits: body.limits,
    conditions: body.conditions,
    notBefore: instant(body.not_before),
    notAfter: instant(Math.min(body.not_after, chainEnd)),
    issuerTlsKeys: tlsKeysOf(crypto, body.issuer, now),
    subjectTlsKeys: tlsKeysOf(crypto, body.subject, now),
    hash: documentHash(crypto, document),
    document,
  };
  return certificate as VerifiedTrustCertificate; // its caller has just checked both signatures
}

function tlsKeysOf(crypto: Crypto, party: Party, now: Instant): readonly Uint8Array[] {
  return keysOf(crypto, party, 'server', now).flatMap((certificate) => certificate.tlsSpkiSha256);
}
