import { ok, type Result } from '../../base/index.ts';
import { type DocumentKind, documentKind, draftDocument, type SignedDocument } from '../../crypto/index.ts';
import {
  bytes,
  decodeBody,
  domain,
  encodeBody,
  fixedBytes,
  type Infer,
  list,
  optional,
  struct,
  text,
  uint,
} from '../../wire/index.ts';
import { SERVER_CERTIFICATE_BYTES_MAX } from '../party.ts';
import { levelSchema } from '../trust-certificate.ts';

/**
 * Signed statements that count as evidence (spec/evidence section 4): what a third
 * organisation says about a partner, and what a partner says about its own devices. Each
 * is signed by a server key with usage `trust` and travels with that key's certificate.
 */

/** Kinds of evidence material that this implementation reads. */
export const MATERIAL = {
  x509Chain: 'x509_chain',
  document: 'document',
  documentHash: 'document_hash',
  recommendation: 'trust_recommendation',
  compliance: 'compliance_statement',
  attestation: 'device_attestation',
} as const;

/** Organisations in a row that recommend: the last one knows the partner itself. */
export const RECOMMENDATION_HOPS_MAX = 4;
const DAY_MS = 86_400_000;
/** No statement is valid for longer. */
export const STATEMENT_LIFE_DAYS_MAX = 366;

const NAME_BYTES_MAX = 32;
const NOTE_BYTES_MAX = 512;
const PLATFORMS_MAX = 16;
const PERCENT_MAX = 100;
const STATEMENT_BYTES_MAX = 12288;

const dates = {
  issued_at: uint(),
  expires_at: uint(),
};

const recommendationSchema = struct({
  recommender: domain(),
  subject: domain(),
  /** The subject's organisation root key. */
  root_key: fixedBytes(32),
  /** The highest level that the recommender would agree to itself. */
  level: levelSchema,
  /** 1: the recommender knows the subject itself. */
  hops: uint(RECOMMENDATION_HOPS_MAX),
  /** With more than one hop: whose recommendation is passed on. */
  passes_on: optional(
    struct({
      recommender: domain(),
      root_key: fixedBytes(32),
      /** `documentHash` of that recommendation. */
      statement: fixedBytes(32),
    }),
  ),
  ...dates,
  /** For officers. */
  note: optional(text(NOTE_BYTES_MAX)),
});
export type RecommendationBody = Infer<typeof recommendationSchema>;
export const TRUST_RECOMMENDATION: DocumentKind<RecommendationBody> = documentKind(
  'trust_recommendation',
  1,
  recommendationSchema,
);

const complianceSchema = struct({
  stated_by: domain(),
  subject: domain(),
  root_key: fixedBytes(32),
  /** Such as `iso27001`. */
  scheme: text(NAME_BYTES_MAX),
  /** What was looked at, for officers. */
  scope: text(NOTE_BYTES_MAX),
  ...dates,
  /** BLAKE3 of the report or certificate that the statement rests on. */
  document: optional(fixedBytes(32)),
});
export type ComplianceBody = Infer<typeof complianceSchema>;
export const COMPLIANCE_STATEMENT: DocumentKind<ComplianceBody> = documentKind(
  'compliance_statement',
  1,
  complianceSchema,
);

const attestationSchema = struct({
  org: domain(),
  root_key: fixedBytes(32),
  platforms: list(
    struct({
      /** Such as `ios`. */
      platform: text(NAME_BYTES_MAX),
      /** Percent of the organisation's devices of this platform whose hardware attests their keys. */
      attested_percent: uint(PERCENT_MAX),
    }),
    PLATFORMS_MAX,
  ),
  /** BLAKE3 of the organisation's rules for its devices. */
  policy: fixedBytes(32),
  ...dates,
});
export type AttestationBody = Infer<typeof attestationSchema>;
export const DEVICE_ATTESTATION_STATEMENT: DocumentKind<AttestationBody> = documentKind(
  'device_attestation_statement',
  1,
  attestationSchema,
);

const signedStatementSchema = struct({
  document: bytes(STATEMENT_BYTES_MAX),
  /** Of the server key that signed it. */
  certificate: bytes(SERVER_CERTIFICATE_BYTES_MAX),
});
/** A statement with the certificate of the key that signed it, both canonical JSON. */
export type SignedStatement = Infer<typeof signedStatementSchema>;
const recommendationChainSchema = struct({ statements: list(signedStatementSchema, RECOMMENDATION_HOPS_MAX) });

/** Canonical JSON: the material of kinds `compliance_statement` and `device_attestation`. */
export function encodeStatement(statement: SignedStatement): Uint8Array {
  return encodeBody(signedStatementSchema, statement, 'json');
}

/** Errors: those of `decodeBody`. */
export function decodeStatement(material: Uint8Array): Result<SignedStatement> {
  return decodeBody(signedStatementSchema, material, 'json');
}

/** Canonical JSON: the material of kind `trust_recommendation`. The one that we know comes first. */
export function encodeRecommendation(statements: readonly SignedStatement[]): Uint8Array {
  return encodeBody(recommendationChainSchema, { statements }, 'json');
}

/** Errors: those of `decodeBody`. */
export function decodeRecommendation(material: Uint8Array): Result<readonly SignedStatement[]> {
  const decoded = decodeBody(recommendationChainSchema, material, 'json');
  return decoded.ok ? ok(decoded.value.statements) : decoded;
}

/** Unsigned. Throws RangeError when it could never hold. */
export function draftRecommendation(body: RecommendationBody): SignedDocument<RecommendationBody> {
  checkDraft(body);
  if (body.recommender === body.subject) throw new RangeError('nobody recommends themselves');
  if (body.hops < 1 || body.hops > 1 !== (body.passes_on !== undefined)) throw new RangeError('hops of the statement');
  return draftDocument(TRUST_RECOMMENDATION, body);
}

/** Unsigned. Throws RangeError when it could never hold. */
export function draftCompliance(body: ComplianceBody): SignedDocument<ComplianceBody> {
  checkDraft(body);
  if (body.stated_by === body.subject) throw new RangeError('nobody states compliance of themselves');
  return draftDocument(COMPLIANCE_STATEMENT, body);
}

/** Unsigned. Throws RangeError when it could never hold. */
export function draftAttestation(body: AttestationBody): SignedDocument<AttestationBody> {
  checkDraft(body);
  if (body.platforms.length === 0) throw new RangeError('a statement names a platform');
  return draftDocument(DEVICE_ATTESTATION_STATEMENT, body);
}

function checkDraft(body: Dates): void {
  const fault = lifeFault(body);
  if (fault !== undefined) throw new RangeError(fault);
}

interface Dates {
  readonly issued_at: number;
  readonly expires_at: number;
}

/** Undefined when the dates of a statement go together. */
export function lifeFault({ issued_at, expires_at }: Dates): string | undefined {
  if (expires_at <= issued_at) return 'the statement ends before it begins';
  const days = (expires_at - issued_at) / DAY_MS;
  return days > STATEMENT_LIFE_DAYS_MAX ? `the statement lives longer than ${STATEMENT_LIFE_DAYS_MAX} days` : undefined;
}
