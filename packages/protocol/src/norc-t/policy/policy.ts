import {
  type Domain,
  EVIDENCE,
  type EvidenceKind,
  type Label,
  LEVELS,
  LIMITS,
  type Permission,
} from '../../base/index.ts';
import type { OfficerId } from '../identifiers.ts';
import { atLeast, GRANTED_LEVELS, type GrantedLevel, lowestLevel } from '../levels.ts';
import type { TrustLimits } from '../trust-certificate.ts';

/**
 * An organisation's trust policy (spec/norc-t section 3), as typed values: what
 * `trust-policy.toml` says, with the defaults filled in. Reading the file is the server's work.
 */
export interface TrustPolicy {
  /** The highest label inside the own organisation follows from this level. */
  readonly ownLevel: GrantedLevel;
  readonly ownNatoCapable: boolean;
  /** No certificate above this is asked for or granted. */
  readonly levelMax: GrantedLevel;
  /** Lower caps for single partners. */
  readonly partnerLevelMax: ReadonlyMap<Domain, GrantedLevel>;
  /** Organisations that are refused whatever they hold. */
  readonly blocked: ReadonlySet<Domain>;
  readonly levels: Readonly<Record<GrantedLevel, LevelPolicy>>;
  /** Labels that need more here than the registry asks for; never less. */
  readonly labelLevels: ReadonlyMap<Label, GrantedLevel>;
  /** Age of a peer's last confirmation of its revocations from which on trust fails closed. */
  readonly revocationAgeMillisecondsMax: number;
  /** Age of evidence from which on approvals that rest on it are void, and it is checked anew. */
  readonly evidenceAgeMillisecondsMax: number;
  /** What the own organisation lets others do at most. */
  readonly permissions: readonly Permission[];
  readonly limits: TrustLimits;
  /** X.509 authorities that are accepted, and for what. */
  readonly anchors: readonly TrustAnchor[];
  /** BLAKE3 of documents that identify an organisation: exchanged by another channel. */
  readonly documents: ReadonlyMap<Domain, readonly Uint8Array[]>;
  /** Organisations whose recommendations count. */
  readonly recommenders: ReadonlySet<Domain>;
  /** Names of compliance schemes that count, and who may state them. */
  readonly compliance: readonly ComplianceRule[];
  /** Who approves; empty: every officer with the role `trust`. */
  readonly approvers: ReadonlySet<OfficerId>;
}

export const EVIDENCE_NEEDS = ['required', 'optional', 'none'] as const;
export type EvidenceNeed = (typeof EVIDENCE_NEEDS)[number];

export interface LevelPolicy {
  readonly evidence: Readonly<Record<EvidenceKind, EvidenceNeed>>;
  /** Of 100; 0 where no score is asked for. */
  readonly scoreMin: number;
  /** Least share of a partner's devices, in percent of each platform, that its attestation must state to count. */
  readonly attestedPercentMin: number;
  readonly lifeDaysMax: number;
  /**
   * Officers who must approve; 0 lets the policy itself approve. Where `officer_approval` is required
   * they sign with their own keys, on both sides, and the one who asked does not count.
   */
  readonly approvals: number;
  /** How long before the end a certificate is renewed by itself. */
  readonly renewBeforeDays: number;
  /** Put into every certificate that this side issues at the level. */
  readonly conditions: readonly ConditionRule[];
}

/** A condition of certificates to come: its deadline counts from their beginning. */
export interface ConditionRule {
  readonly name: string;
  readonly kind: string;
  readonly afterDays: number;
  readonly action: 'revoke' | 'downgrade' | 'notify';
  /** With `downgrade`. */
  readonly level?: GrantedLevel;
}

export interface TrustAnchor {
  readonly name: string;
  /** DER. */
  readonly certificate: Uint8Array;
  /** `organisation`: names organisations; `pki`: counts as government or enterprise PKI; `nato`: a NATO anchor, which is `pki` too. */
  readonly purpose: 'organisation' | 'pki' | 'nato';
  /** Of the certificate policies, one of these must be valid for the path; empty: any. Dotted OIDs. */
  readonly policies: readonly string[];
  /** What to do when it cannot be learned whether a certificate was revoked. `fail` for `pki` and `nato` unless the policy says otherwise. */
  readonly revocationUnknown: 'fail' | 'accept';
  /** Purposes (extended key usage, dotted OIDs) that count for its chains beside TLS, mail and documents; none when absent. */
  readonly usages?: readonly string[];
}

export interface ComplianceRule {
  /** Such as `iso27001`. */
  readonly scheme: string;
  /** Organisations whose statements count. */
  readonly statedBy: ReadonlySet<Domain>;
}

/** Whether a level asks for approvals that officers sign with their own keys. */
export function needsSignedApprovals(policy: TrustPolicy, level: GrantedLevel): boolean {
  return policy.levels[level].evidence.officer_approval === 'required';
}

/** The highest level that may be agreed with a partner. */
export function levelMaxFor(policy: TrustPolicy, peer: Domain): GrantedLevel {
  return lowestLevel(policy.levelMax, policy.partnerLevelMax.get(peer) ?? policy.levelMax);
}

const EVIDENCE_KINDS = Object.keys(EVIDENCE) as EvidenceKind[]; // the keys of EVIDENCE are the kinds
const EVIDENCE_AGE_MS_MAX = 86_400_000;
const RENEW_BEFORE_LIFE_DIVISOR = 6;
/** Unless the policy says otherwise, every device. */
export const ATTESTED_PERCENT = 100;
const LEVEL_APPROVALS = 1;
const LEVEL_APPROVALS_TWO_OFFICERS = 2;

export const DEFAULT_LIMITS: TrustLimits = {
  message_bytes_max: LIMITS.bodyBytesMax,
  messages_per_second: 1000,
  bytes_per_second: 10_000_000,
};

/** PROTOCOL's table: the registry's evidence per level, one officer, two where the level asks for officers. */
export function defaultPolicy(changes: Partial<TrustPolicy> = {}): TrustPolicy {
  return {
    ownLevel: 'classified',
    ownNatoCapable: false,
    levelMax: 'nato',
    partnerLevelMax: new Map(),
    blocked: new Set(),
    levels: {
      basic: defaultLevel('basic'),
      verified: defaultLevel('verified'),
      classified: defaultLevel('classified'),
      nato: defaultLevel('nato'),
    },
    revocationAgeMillisecondsMax: LIMITS.revocationAgeMillisecondsMax,
    permissions: ['message_relay', 'user_discovery', 'presence', 'file_transfer'],
    limits: DEFAULT_LIMITS,
    labelLevels: new Map(),
    evidenceAgeMillisecondsMax: EVIDENCE_AGE_MS_MAX,
    anchors: [],
    documents: new Map(),
    recommenders: new Set(),
    compliance: [],
    approvers: new Set(),
    ...changes,
  };
}

function defaultLevel(level: GrantedLevel): LevelPolicy {
  const rules = LEVELS[level];
  const officers = EVIDENCE.officer_approval[level] === 'required';
  return {
    evidence: evidenceOf(level),
    scoreMin: 'scoreMin' in rules ? rules.scoreMin : 0,
    attestedPercentMin: ATTESTED_PERCENT,
    lifeDaysMax: rules.lifeDaysMax,
    approvals: officers ? LEVEL_APPROVALS_TWO_OFFICERS : LEVEL_APPROVALS,
    renewBeforeDays: Math.floor(rules.lifeDaysMax / RENEW_BEFORE_LIFE_DIVISOR),
    conditions: [],
  };
}

function evidenceOf(level: GrantedLevel): Record<EvidenceKind, EvidenceNeed> {
  const needs = EVIDENCE_KINDS.map((kind) => [kind, EVIDENCE[kind][level]] as const);
  return Object.fromEntries(needs) as Record<EvidenceKind, EvidenceNeed>; // one entry for each kind
}

/** Kinds that the policy requires at a level and that are not among those held, in the registry's order. */
export function missingEvidence(
  policy: TrustPolicy,
  level: GrantedLevel,
  held: readonly string[],
): readonly EvidenceKind[] {
  const { evidence } = policy.levels[level];
  return EVIDENCE_KINDS.filter((kind) => evidence[kind] === 'required' && !held.includes(kind));
}

/**
 * Why this side cannot agree to a level, given the kinds of evidence that are held, or that it
 * can check; undefined when it can. Agreeing to less is the peer's choice: a request above
 * the policy is refused, not lowered.
 */
export function levelFault(
  policy: TrustPolicy,
  asked: GrantedLevel,
  held: readonly string[],
  peer?: Domain,
): string | undefined {
  const levelMax = peer === undefined ? policy.levelMax : levelMaxFor(policy, peer);
  if (!atLeast(levelMax, asked)) return `policy allows ${levelMax} at most`;
  const missing = missingEvidence(policy, asked, held);
  if (missing.length > 0) return `level ${asked} needs evidence kinds ${missing.join(', ')}`;
  return undefined;
}

/** The highest level for which nothing is missing, or undefined when even basic lacks something. */
export function highestLevel(policy: TrustPolicy, held: readonly string[]): GrantedLevel | undefined {
  return GRANTED_LEVELS.findLast((level) => levelFault(policy, level, held) === undefined);
}
