import { EVIDENCE, type EvidenceKind, LABELS, type Label, LEVELS, LIMITS } from '../../base/index.ts';
import { atLeast, compareLevels, GRANTED_LEVELS, type GrantedLevel, levelForLabel } from '../levels.ts';
import {
  type ConditionRule,
  type LevelPolicy,
  needsSignedApprovals,
  type TrustAnchor,
  type TrustPolicy,
} from './policy.ts';
import { POLICY_LIMITS } from './policy-document.ts';

/**
 * What no policy may say (spec/trust-policy section 3): it may ask for more than the
 * protocol, never for less, and it may not contradict itself.
 */
export interface PolicyFault {
  /** `POLICY-11` */
  readonly rule: string;
  /** As in the file: `levels.verified.score_min`. */
  readonly path: string;
  /** What is there, for a person. */
  readonly found: string;
  readonly allowed: string;
}

/** Below this a peer that is asked every minute would be stale between two answers. */
export const REVOCATION_AGE_MS_MIN = 120_000;
export const REVOCATION_AGE_MS_MAX = 3_600_000;
export const EVIDENCE_AGE_MS_MIN = 600_000;
export const EVIDENCE_AGE_MS_MAX = 86_400_000;
/** Two persons loosen a policy: with fewer approvers nobody ever could. */
export const APPROVERS_MIN = 2;
const OFFICERS_MIN: Readonly<Record<GrantedLevel, number>> = { basic: 1, verified: 1, classified: 2, nato: 2 };
export const MESSAGE_BYTES_MIN = 1024;
export const RATE_MAX = 1_000_000_000;

const EVIDENCE_KINDS = Object.keys(EVIDENCE) as EvidenceKind[]; // the keys of EVIDENCE are the kinds
const LABEL_NAMES = Object.keys(LABELS) as Label[]; // the keys of LABELS are the labels

/** Everything that is wrong with a policy, in the order of the file; empty when it may be applied. */
export function policyFaults(policy: TrustPolicy): readonly PolicyFault[] {
  return [
    ...GRANTED_LEVELS.flatMap((level) => levelFaults(policy, level)),
    ...labelFaults(policy),
    ...ageFaults(policy),
    ...limitFaults(policy),
    ...anchorFaults(policy.anchors),
    ...approverFaults(policy),
  ];
}

function levelFaults(policy: TrustPolicy, level: GrantedLevel): readonly PolicyFault[] {
  const rules = policy.levels[level];
  return [
    ...evidenceFaults(level, rules),
    ...scoreFaults(level, rules),
    ...attestationFaults(level, rules),
    ...lifeFaults(level, rules),
    ...approvalFaults(policy, level),
    ...conditionFaults(level, rules),
  ];
}

function evidenceFaults(level: GrantedLevel, { evidence }: LevelPolicy): readonly PolicyFault[] {
  return EVIDENCE_KINDS.filter((kind) => EVIDENCE[kind][level] === 'required' && evidence[kind] !== 'required').map(
    (kind) => ({
      rule: 'POLICY-10',
      path: `levels.${level}.evidence.${kind}`,
      found: `"${evidence[kind]}"`,
      allowed: `"required": the protocol asks for it at ${level}`,
    }),
  );
}

const SCORE_MAX = 100;
const PERCENT = 100;

function scoreFaults(level: GrantedLevel, { scoreMin }: LevelPolicy): readonly PolicyFault[] {
  const rules = LEVELS[level];
  const least = 'scoreMin' in rules ? rules.scoreMin : 0;
  if (isWhole(scoreMin, least, SCORE_MAX)) return [];
  const allowed = `${least} to ${SCORE_MAX}: the protocol asks for ${least} at ${level}`;
  return [{ rule: 'POLICY-11', path: `levels.${level}.score_min`, found: String(scoreMin), allowed }];
}

/** With 0, a statement that no device is attested would show that devices are. */
function attestationFaults(level: GrantedLevel, { attestedPercentMin: least }: LevelPolicy): readonly PolicyFault[] {
  if (isWhole(least, 1, PERCENT)) return [];
  const allowed = `1 to ${PERCENT} percent of the devices`;
  return [{ rule: 'POLICY-11', path: `levels.${level}.attested_percent_min`, found: String(least), allowed }];
}

function lifeFaults(level: GrantedLevel, { lifeDaysMax, renewBeforeDays }: LevelPolicy): readonly PolicyFault[] {
  const most = LEVELS[level].lifeDaysMax;
  if (!isWhole(lifeDaysMax, 1, most)) {
    const allowed = `1 to ${most} days: the protocol's longest life at ${level}`;
    return [{ rule: 'POLICY-12', path: `levels.${level}.life_days_max`, found: String(lifeDaysMax), allowed }];
  }
  if (isWhole(renewBeforeDays, 0, lifeDaysMax - 1)) return [];
  const allowed = `fewer days than life_days_max, ${lifeDaysMax}`;
  return [{ rule: 'POLICY-16', path: `levels.${level}.renew_before_days`, found: String(renewBeforeDays), allowed }];
}

function approvalFaults(policy: TrustPolicy, level: GrantedLevel): readonly PolicyFault[] {
  const { approvals } = policy.levels[level];
  const least = needsSignedApprovals(policy, level) ? OFFICERS_MIN[level] : 0;
  if (isWhole(approvals, least, POLICY_LIMITS.approvalsMax)) return [];
  const why =
    least === 0 ? '' : `: at ${level} ${least === 1 ? 'an officer signs' : `${least} different officers sign`}`;
  const allowed = `${least} to ${POLICY_LIMITS.approvalsMax}${why}`;
  return [{ rule: 'POLICY-13', path: `levels.${level}.approvals`, found: String(approvals), allowed }];
}

function conditionFaults(level: GrantedLevel, { conditions, lifeDaysMax }: LevelPolicy): readonly PolicyFault[] {
  const path = (name: string) => `levels.${level}.condition "${name}"`;
  const wrong = (name: string, found: string, allowed: string): PolicyFault => ({
    ...{ rule: 'POLICY-17', path: path(name), found, allowed },
  });
  const faults = repeated(conditions.map(({ name }) => name)).map((name) =>
    wrong(name, 'the name again', 'each name once in a level'),
  );
  for (const condition of conditions) {
    const { name, afterDays } = condition;
    if (!isWhole(afterDays, 1, lifeDaysMax)) {
      faults.push(wrong(name, `after_days ${afterDays}`, `1 to life_days_max, ${lifeDaysMax}`));
    }
    if (!isDowngradeSound(condition, level)) {
      const found = condition.level === undefined ? `${condition.action} without level` : `level "${condition.level}"`;
      faults.push(wrong(name, found, `a level below ${level} with "downgrade", none with the other actions`));
    }
  }
  return faults;
}

function isDowngradeSound({ action, level: down }: ConditionRule, level: GrantedLevel): boolean {
  return action === 'downgrade' ? down !== undefined && compareLevels(down, level) < 0 : down === undefined;
}

function labelFaults({ labelLevels }: TrustPolicy): readonly PolicyFault[] {
  return LABEL_NAMES.flatMap((label) => {
    const [own, least] = [labelLevels.get(label), levelForLabel(label)];
    if (own === undefined || atLeast(own, least)) return [];
    const allowed = `"${least}" or higher: a policy may ask for more than the protocol, not for less`;
    return [{ rule: 'POLICY-14', path: `labels.${label}`, found: `"${own}"`, allowed }];
  });
}

function ageFaults(policy: TrustPolicy): readonly PolicyFault[] {
  const { revocationAgeMillisecondsMax: revocation, evidenceAgeMillisecondsMax: evidence } = policy;
  return [
    ...ageFault('freshness.revocation_age_seconds_max', revocation, 1000, REVOCATION_AGE_MS_MIN, REVOCATION_AGE_MS_MAX),
    ...ageFault('freshness.evidence_age_minutes_max', evidence, 60_000, EVIDENCE_AGE_MS_MIN, EVIDENCE_AGE_MS_MAX),
  ];
}

function ageFault(path: string, age: number, unit: number, min: number, max: number): readonly PolicyFault[] {
  if (isWhole(age, min, max)) return [];
  return [{ rule: 'POLICY-15', path, found: String(age / unit), allowed: `${min / unit} to ${max / unit}` }];
}

function limitFaults({ limits }: TrustPolicy): readonly PolicyFault[] {
  const bounds = [
    ['message_bytes_max', MESSAGE_BYTES_MIN, LIMITS.bodyBytesMax],
    ['messages_per_second', 1, RATE_MAX],
    ['bytes_per_second', MESSAGE_BYTES_MIN, RATE_MAX],
  ] as const;
  return bounds
    .filter(([name, min, max]) => !isWhole(limits[name], min, max))
    .map(([name, min, max]) => ({
      ...{ rule: 'POLICY-16', path: `grants.${name}`, found: String(limits[name]), allowed: `${min} to ${max}` },
    }));
}

/** Dotted, at least two arcs, no leading zeros. */
export const OID = /^[0-2](?:\.(?:0|[1-9]\d{0,38})){1,32}$/;

function anchorFaults(anchors: readonly TrustAnchor[]): readonly PolicyFault[] {
  const wrong = (name: string, found: string, allowed: string): PolicyFault => ({
    ...{ rule: 'POLICY-18', path: `anchor "${name}"`, found, allowed },
  });
  const faults = repeated(anchors.map(({ name }) => name)).map((name) =>
    wrong(name, 'the name again', 'each name once'),
  );
  for (const { name, purpose, policies, usages = [] } of anchors) {
    if (purpose !== 'organisation' && policies.length === 0) {
      const allowed = `at least one certificate policy (OID): with purpose "${purpose}" the protocol asks for one`;
      faults.push(wrong(name, 'no policies', allowed));
    }
    const strange = policies.find((oid) => !OID.test(oid));
    if (strange !== undefined)
      faults.push(wrong(name, 'a policy that is no OID', 'dotted numbers such as "2.16.840.1"'));
    if (usages.some((oid) => !OID.test(oid)))
      faults.push(wrong(name, 'a usage that is no OID', 'dotted numbers such as "1.3.6.1.5.5.7.3.36"'));
  }
  return faults;
}

function approverFaults(policy: TrustPolicy): readonly PolicyFault[] {
  const { approvers } = policy;
  if (approvers.size === 0) return [];
  const signed = GRANTED_LEVELS.filter((level) => needsSignedApprovals(policy, level));
  const needed = Math.max(APPROVERS_MIN, ...signed.map((level) => policy.levels[level].approvals));
  if (approvers.size >= needed) return [];
  const allowed = `none (every officer with the role trust), or at least the ${needed} whose approval this policy asks for`;
  return [{ rule: 'POLICY-19', path: 'officers.approvers', found: `${approvers.size}`, allowed }];
}

function repeated(names: readonly string[]): string[] {
  return [...new Set(names.filter((name, index) => names.indexOf(name) < index))];
}

function isWhole(value: number, min: number, max: number): boolean {
  return Number.isSafeInteger(value) && value >= min && value <= max;
}
