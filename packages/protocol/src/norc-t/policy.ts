import { type Domain, EVIDENCE, type EvidenceKind, LEVELS, LIMITS, type Permission } from '../base/index.ts';
import { atLeast, GRANTED_LEVELS, type GrantedLevel } from './levels.ts';
import type { TrustLimits } from './trust-certificate.ts';

/** An organisation's trust policy (spec/norc-t section 3), as typed values. Reading it from a file is the server's work. */
export interface TrustPolicy {
  /** The highest label inside the own organisation follows from this level. */
  readonly ownLevel: GrantedLevel;
  readonly ownNatoCapable: boolean;
  /** No certificate above this is asked for or granted. */
  readonly levelMax: GrantedLevel;
  /** Organisations that are refused whatever they hold. */
  readonly blocked: ReadonlySet<Domain>;
  readonly levels: Readonly<Record<GrantedLevel, LevelPolicy>>;
  /** Age of a peer's last confirmation of its revocations from which on trust fails closed. */
  readonly revocationAgeMillisecondsMax: number;
  /** What the own organisation lets others do at most. */
  readonly permissions: readonly Permission[];
  readonly limits: TrustLimits;
}

export type EvidenceNeed = 'required' | 'optional' | 'none';

export interface LevelPolicy {
  readonly evidence: Readonly<Record<EvidenceKind, EvidenceNeed>>;
  /** Of 100; 0 where no score is asked for. */
  readonly scoreMin: number;
  readonly lifeDaysMax: number;
  /** Officers who must approve; 0 lets the policy itself approve. */
  readonly approvals: number;
}

/** Evidence that this implementation can check. */
export const CHECKED_EVIDENCE: readonly EvidenceKind[] = ['domain_proof', 'key_proof'];

const EVIDENCE_KINDS = Object.keys(EVIDENCE) as EvidenceKind[]; // the keys of EVIDENCE are the kinds
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
    ...changes,
  };
}

function defaultLevel(level: GrantedLevel): LevelPolicy {
  const rules = LEVELS[level];
  const officers = EVIDENCE.officer_approval[level] === 'required';
  return {
    evidence: evidenceOf(level),
    scoreMin: 'scoreMin' in rules ? rules.scoreMin : 0,
    lifeDaysMax: rules.lifeDaysMax,
    approvals: officers ? LEVEL_APPROVALS_TWO_OFFICERS : LEVEL_APPROVALS,
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
 * The level that this side can agree to, given the evidence that it can check; with the
 * reason when that is less than what was asked for. Agreeing to less is the peer's choice:
 * a request above the policy is refused, not lowered.
 */
export function levelFault(policy: TrustPolicy, asked: GrantedLevel, held: readonly string[]): string | undefined {
  if (!atLeast(policy.levelMax, asked)) return `policy allows ${policy.levelMax} at most`;
  const missing = missingEvidence(policy, asked, held);
  if (missing.length > 0) return `level ${asked} needs evidence kinds ${missing.join(', ')}`;
  return undefined;
}

/** The highest level for which nothing is missing, or undefined when even basic lacks something. */
export function highestLevel(policy: TrustPolicy, held: readonly string[]): GrantedLevel | undefined {
  return GRANTED_LEVELS.findLast((level) => levelFault(policy, level, held) === undefined);
}
