import {
  compareBytes,
  type Domain,
  EVIDENCE,
  type EvidenceKind,
  LABELS,
  type Label,
  ok,
  PERMISSIONS,
  type Result,
} from '../../base/index.ts';
import {
  type Crypto,
  type DocumentKind,
  documentHash,
  documentKind,
  draftDocument,
  parseDocument,
  type SignedDocument,
} from '../../crypto/index.ts';
import {
  bool,
  bytes,
  choice,
  domain,
  fixedBytes,
  type Infer,
  list,
  optional,
  struct,
  text,
  uint,
} from '../../wire/index.ts';
import { officerId } from '../identifiers.ts';
import type { GrantedLevel } from '../levels.ts';
import { levelSchema, limitsSchema } from '../trust-certificate.ts';
import { ATTESTED_PERCENT, defaultPolicy, EVIDENCE_NEEDS, type LevelPolicy, type TrustPolicy } from './policy.ts';

/**
 * The canonical form of a trust policy (spec/trust-policy section 2): one document for one
 * policy, whatever the order in which a file says it. Its hash names the policy; what
 * officers sign is the change from one policy to the next.
 */

/** Bounds of a policy, each named once; the file's reader and the document's take the same. */
export const POLICY_LIMITS = {
  nameBytesMax: 64,
  kindBytesMax: 32,
  schemeBytesMax: 64,
  oidBytesMax: 128,
  domainsMax: 1024,
  conditionsMax: 16,
  anchorsMax: 64,
  anchorBytesMax: 8192,
  anchorPoliciesMax: 16,
  anchorUsagesMax: 16,
  documentsPerDomainMax: 16,
  compliancesMax: 64,
  approversMax: 256,
  approvalsMax: 16,
} as const;

const LABEL_NAMES = Object.keys(LABELS) as Label[]; // the keys of LABELS are the labels
const EVIDENCE_KINDS = Object.keys(EVIDENCE) as EvidenceKind[]; // the keys of EVIDENCE are the kinds

const need = () => optional(choice(EVIDENCE_NEEDS));
/** A kind that the document does not name is asked for as the registry says: it is newer than the document. */
const evidenceSchema = struct({
  domain_proof: need(),
  key_proof: need(),
  organisation_identity: need(),
  pki_chain: need(),
  device_attestation: need(),
  officer_approval: need(),
  post_quantum_signature: need(),
  recommendation: need(),
  compliance: need(),
});

const conditionRuleSchema = struct({
  name: text(POLICY_LIMITS.nameBytesMax),
  kind: text(POLICY_LIMITS.kindBytesMax),
  after_days: uint(),
  action: choice(['revoke', 'downgrade', 'notify']),
  level: optional(levelSchema),
});

const levelPolicySchema = struct({
  evidence: evidenceSchema,
  score_min: uint(),
  /** Absent: 100, so that a document keeps its hash that was made before there was a choice. */
  attested_percent_min: optional(uint()),
  life_days_max: uint(),
  approvals: uint(),
  renew_before_days: uint(),
  conditions: list(conditionRuleSchema, POLICY_LIMITS.conditionsMax),
});

const domainsSchema = list(domain(), POLICY_LIMITS.domainsMax);

const policyFields = {
  own_level: levelSchema,
  own_nato_capable: bool(),
  level_max: levelSchema,
  partner_level_max: list(struct({ domain: domain(), level: levelSchema }), POLICY_LIMITS.domainsMax),
  blocked: domainsSchema,
  levels: struct({
    basic: levelPolicySchema,
    verified: levelPolicySchema,
    classified: levelPolicySchema,
    nato: levelPolicySchema,
  }),
  label_levels: list(struct({ label: choice(LABEL_NAMES), level: levelSchema }), LABEL_NAMES.length),
  revocation_age_milliseconds_max: uint(),
  evidence_age_milliseconds_max: uint(),
  permissions: list(choice(PERMISSIONS), PERMISSIONS.length),
  limits: limitsSchema,
  anchors: list(
    struct({
      name: text(POLICY_LIMITS.nameBytesMax),
      certificate: bytes(POLICY_LIMITS.anchorBytesMax),
      purpose: choice(['organisation', 'pki', 'nato']),
      policies: list(text(POLICY_LIMITS.oidBytesMax), POLICY_LIMITS.anchorPoliciesMax),
      revocation_unknown: choice(['fail', 'accept']),
      /** Absent when there are none. */
      usages: optional(list(text(POLICY_LIMITS.oidBytesMax), POLICY_LIMITS.anchorUsagesMax)),
    }),
    POLICY_LIMITS.anchorsMax,
  ),
  documents: list(
    struct({ domain: domain(), hashes: list(fixedBytes(32), POLICY_LIMITS.documentsPerDomainMax) }),
    POLICY_LIMITS.domainsMax,
  ),
  recommenders: domainsSchema,
  compliance: list(
    struct({ scheme: text(POLICY_LIMITS.schemeBytesMax), stated_by: domainsSchema }),
    POLICY_LIMITS.compliancesMax,
  ),
  approvers: list(officerId(), POLICY_LIMITS.approversMax),
} as const;

export const policySchema = struct(policyFields);
export type PolicyBody = Infer<typeof policySchema>;
export const TRUST_POLICY: DocumentKind<PolicyBody> = documentKind('trust_policy', 1, policySchema);

/**
 * The canonical document of a policy. Throws RangeError for a policy that has none: a value
 * over its bound, or a whole above `documentBytesMax`.
 */
export function policyDocument(policy: TrustPolicy): SignedDocument<PolicyBody> {
  return draftDocument(TRUST_POLICY, policyToBody(policy));
}

/** What names a policy: two policies with one hash are the same. */
export function policyHash(crypto: Crypto, policy: TrustPolicy): Uint8Array {
  return documentHash(crypto, policyDocument(policy));
}

/** Errors: those of `parseDocument`. Says nothing about the protocol's floor: `policyFaults` does. */
export function parsePolicyDocument(document: Uint8Array): Result<TrustPolicy> {
  const parsed = parseDocument(TRUST_POLICY, document);
  return parsed.ok ? ok(policyFromBody(parsed.value.body)) : parsed;
}

export function policyToBody(policy: TrustPolicy): PolicyBody {
  const { basic, verified, classified, nato } = policy.levels;
  return {
    own_level: policy.ownLevel,
    own_nato_capable: policy.ownNatoCapable,
    level_max: policy.levelMax,
    partner_level_max: byKey(
      [...policy.partnerLevelMax].map(([name, level]) => ({ domain: name, level })),
      'domain',
    ),
    blocked: [...policy.blocked].sort(),
    levels: {
      basic: levelToBody(basic),
      verified: levelToBody(verified),
      classified: levelToBody(classified),
      nato: levelToBody(nato),
    },
    label_levels: byKey(
      [...policy.labelLevels].map(([label, level]) => ({ label, level })),
      'label',
    ),
    revocation_age_milliseconds_max: policy.revocationAgeMillisecondsMax,
    evidence_age_milliseconds_max: policy.evidenceAgeMillisecondsMax,
    permissions: PERMISSIONS.filter((one) => policy.permissions.includes(one)),
    limits: policy.limits,
    anchors: byKey(
      policy.anchors.map(({ name, certificate, purpose, policies, revocationUnknown, usages = [] }) => ({
        ...{ name, certificate, purpose },
        policies: [...new Set(policies)].sort(),
        revocation_unknown: revocationUnknown,
        ...(usages.length === 0 ? {} : { usages: [...new Set(usages)].sort() }),
      })),
      'name',
    ),
    documents: byKey(
      [...policy.documents].map(([name, hashes]) => ({ domain: name, hashes: [...hashes].sort(compareBytes) })),
      'domain',
    ),
    recommenders: [...policy.recommenders].sort(),
    compliance: byKey(
      policy.compliance.map(({ scheme, statedBy }) => ({ scheme, stated_by: [...statedBy].sort() })),
      'scheme',
    ),
    approvers: [...policy.approvers].sort(),
  };
}

function levelToBody(level: LevelPolicy): PolicyBody['levels'][GrantedLevel] {
  return {
    evidence: level.evidence,
    score_min: level.scoreMin,
    ...(level.attestedPercentMin === ATTESTED_PERCENT ? {} : { attested_percent_min: level.attestedPercentMin }),
    life_days_max: level.lifeDaysMax,
    approvals: level.approvals,
    renew_before_days: level.renewBeforeDays,
    conditions: byKey(
      level.conditions.map(({ name, kind, afterDays, action, level: down }) => ({
        ...{ name, kind, after_days: afterDays, action },
        ...(down === undefined ? {} : { level: down }),
      })),
      'name',
    ),
  };
}

export function policyFromBody(body: PolicyBody): TrustPolicy {
  const { basic, verified, classified, nato } = body.levels;
  return {
    ownLevel: body.own_level,
    ownNatoCapable: body.own_nato_capable,
    levelMax: body.level_max,
    partnerLevelMax: new Map(body.partner_level_max.map(({ domain: name, level }) => [name, level])),
    blocked: new Set(body.blocked),
    levels: {
      basic: levelFromBody('basic', basic),
      verified: levelFromBody('verified', verified),
      classified: levelFromBody('classified', classified),
      nato: levelFromBody('nato', nato),
    },
    labelLevels: new Map(body.label_levels.map(({ label, level }) => [label, level])),
    revocationAgeMillisecondsMax: body.revocation_age_milliseconds_max,
    evidenceAgeMillisecondsMax: body.evidence_age_milliseconds_max,
    permissions: body.permissions,
    limits: body.limits,
    anchors: body.anchors.map(({ revocation_unknown: revocationUnknown, ...anchor }) => ({
      ...anchor,
      revocationUnknown,
    })),
    documents: new Map<Domain, readonly Uint8Array[]>(body.documents.map((one) => [one.domain, one.hashes])),
    recommenders: new Set(body.recommenders),
    compliance: body.compliance.map(({ scheme, stated_by: statedBy }) => ({ scheme, statedBy: new Set(statedBy) })),
    approvers: new Set(body.approvers),
  };
}

function levelFromBody(level: GrantedLevel, body: PolicyBody['levels'][GrantedLevel]): LevelPolicy {
  const { evidence: fallback } = defaultPolicy().levels[level];
  const evidence = EVIDENCE_KINDS.map((kind) => [kind, body.evidence[kind] ?? fallback[kind]] as const);
  return {
    evidence: Object.fromEntries(evidence) as LevelPolicy['evidence'], // one entry for each kind
    scoreMin: body.score_min,
    attestedPercentMin: body.attested_percent_min ?? ATTESTED_PERCENT,
    lifeDaysMax: body.life_days_max,
    approvals: body.approvals,
    renewBeforeDays: body.renew_before_days,
    conditions: body.conditions.map(({ name, kind, after_days: afterDays, action, level: down }) => ({
      ...{ name, kind, afterDays, action },
      ...(down === undefined ? {} : { level: down }),
    })),
  };
}

/** One order for what has none: by UTF-16 code units. Throws RangeError when a key stands twice. */
function byKey<K extends string, T extends Readonly<Record<K, string>>>(items: readonly T[], key: K): readonly T[] {
  const sorted = [...items].sort((a, b) => (a[key] < b[key] ? -1 : 1));
  if (new Set(sorted.map((item) => item[key])).size < sorted.length) throw new RangeError(`${key} twice in a policy`);
  return sorted;
}

// ---- the change that officers sign ----

const policyChangeSchema = struct({
  org: domain(),
  /** Of the policy that it makes; the first one is 1. */
  number: uint(),
  /** Hash of the policy that it replaces: a change that was approved cannot undo another one that came between. */
  previous: fixedBytes(32),
  /** Names the effects that were shown [POLICY-31]. */
  plan: fixedBytes(32),
  policy: policySchema,
});
export type PolicyChangeBody = Infer<typeof policyChangeSchema>;
/** What an approval with the action `policy_apply` is about; its subject is BLAKE3 of the canonical bytes. */
export const POLICY_CHANGE: DocumentKind<PolicyChangeBody> = documentKind('policy_change', 1, policyChangeSchema);

const policyRecordSchema = struct({
  number: uint(),
  /** Hash of the policy before; for the first one of the built-in policy. */
  previous: fixedBytes(32),
  policy: policySchema,
  at: uint(),
  /** `file`: the first start took the configured file. `officers`: applied through the admin interface. */
  source: choice(['file', 'officers']),
  /** Who asked, as the audit log has it. */
  actor: text(128),
  /** Hashes of the officers' approvals, which are kept beside. */
  approvals: list(fixedBytes(32), POLICY_LIMITS.approvalsMax),
  loosens: uint(),
  tightens: uint(),
  neutral: uint(),
  /** Facts changed while officers signed, so that it opened something else than they saw. */
  plan_changed: bool(),
});
export type PolicyRecordBody = Infer<typeof policyRecordSchema>;
/** A policy that was, or is, in force, as the server keeps it. */
export const POLICY_RECORD: DocumentKind<PolicyRecordBody> = documentKind('policy_record', 1, policyRecordSchema);
