import { type Domain, EVIDENCE, type EvidenceKind, LABELS, type Label, PERMISSIONS } from '../../base/index.ts';
import { labelLevel } from '../decision.ts';
import { compareLevels, GRANTED_LEVELS, type GrantedLevel } from '../levels.ts';
import type { EvidenceNeed, LevelPolicy, TrustPolicy } from './policy.ts';
import { anchorChanges, conditionChanges, documentChanges } from './policy-change-lists.ts';
import { type ChangeEffect, fromTo, numberChange, type PolicyChange, setChanges } from './policy-change-parts.ts';

/**
 * What changes from one policy to another (spec/trust-policy section 4). A change
 * loosens when anything may pass afterwards, or any requirement may be met, that could
 * not before; when that is in doubt, it loosens [POLICY-21].
 */

/** Every difference, in the order of the file; none when the policies say the same. */
export function comparePolicies(before: TrustPolicy, after: TrustPolicy): readonly PolicyChange[] {
  return Object.values(COMPARISONS).flatMap((compare) => compare(before, after));
}

/** Whether two persons are needed [POLICY-40]. */
export function loosens(changes: readonly PolicyChange[]): boolean {
  return changes.some(({ effect }) => effect === 'loosens');
}

type Compare = (before: TrustPolicy, after: TrustPolicy) => readonly PolicyChange[];

/** One comparison for each part of a policy: a part that is added later cannot be forgotten. */
const COMPARISONS: { readonly [K in keyof TrustPolicy]: Compare } = {
  ownLevel: (a, b) => levelChange('organisation.level', 'The own ceiling', a.ownLevel, b.ownLevel),
  ownNatoCapable: natoChange,
  levelMax: (a, b) => levelChange('partners.level_max', 'The highest level for any partner', a.levelMax, b.levelMax),
  partnerLevelMax: partnerChanges,
  blocked: (a, b) =>
    setChanges(a.blocked, b.blocked, {
      path: () => 'partners.blocked',
      added: ['tightens', (peer) => `${peer} is blocked: everything with it ends at once.`],
      removed: ['loosens', (peer) => `${peer} is no longer blocked.`],
    }),
  levels: (a, b) => GRANTED_LEVELS.flatMap((level) => levelRules(level, a.levels[level], b.levels[level])),
  labelLevels: labelChanges,
  revocationAgeMillisecondsMax: (a, b) =>
    numberChange('freshness.revocation_age_seconds_max', {
      what: 'Age of unconfirmed revocations at which trust stops',
      ...{ before: a.revocationAgeMillisecondsMax / 1000, after: b.revocationAgeMillisecondsMax / 1000 },
      ...{ unit: 's', more: 'loosens' },
    }),
  evidenceAgeMillisecondsMax: (a, b) =>
    numberChange('freshness.evidence_age_minutes_max', {
      what: 'Age of evidence at which approvals are void',
      ...{ before: a.evidenceAgeMillisecondsMax / 60_000, after: b.evidenceAgeMillisecondsMax / 60_000 },
      ...{ unit: 'min', more: 'loosens' },
    }),
  permissions: permissionChanges,
  limits: limitChanges,
  anchors: (a, b) => anchorChanges(a.anchors, b.anchors),
  documents: (a, b) => documentChanges(a.documents, b.documents),
  recommenders: (a, b) =>
    setChanges(a.recommenders, b.recommenders, {
      path: () => 'evidence.recommenders',
      added: ['loosens', (peer) => `Recommendations of ${peer} count.`],
      removed: ['tightens', (peer) => `Recommendations of ${peer} count no longer.`],
    }),
  compliance: complianceChanges,
  approvers: approverChanges,
};

function levelChange(path: string, what: string, a: GrantedLevel, b: GrantedLevel): readonly PolicyChange[] {
  if (a === b) return [];
  const raised = compareLevels(b, a) > 0;
  const sentence = `${what} ${raised ? 'rises' : 'falls'} ${fromTo(a, b)}.`;
  return [{ effect: raised ? 'loosens' : 'tightens', path, sentence }];
}

function natoChange({ ownNatoCapable: before }: TrustPolicy, { ownNatoCapable: after }: TrustPolicy) {
  if (before === after) return [];
  const [effect, may] = after ? (['loosens', 'may'] as const) : (['tightens', 'may not'] as const);
  return [{ effect, path: 'organisation.nato_capable', sentence: `Labels nato_* ${may} be used here.` }];
}

/** The caps as written, whatever `level_max` does to them: a cap that binds nothing today binds when that rises. */
function partnerChanges({ partnerLevelMax: a }: TrustPolicy, { partnerLevelMax: b }: TrustPolicy) {
  return sortedKeys(a, b).flatMap((peer: Domain): readonly PolicyChange[] => {
    const [before, after] = [a.get(peer) ?? TOP_LEVEL, b.get(peer) ?? TOP_LEVEL];
    const path = `partner ${peer} level_max`;
    if (before !== after) return levelChange(path, `The highest level for ${peer}`, before, after);
    if (a.has(peer) === b.has(peer)) return [];
    return [
      {
        effect: 'neutral',
        path,
        sentence: `A cap for ${peer} at the top level is ${b.has(peer) ? 'written' : 'left out'}.`,
      },
    ];
  });
}

const TOP_LEVEL: GrantedLevel = 'nato';

function levelRules(level: GrantedLevel, a: LevelPolicy, b: LevelPolicy): readonly PolicyChange[] {
  const path = `levels.${level}`;
  const kinds = Object.keys(EVIDENCE) as EvidenceKind[]; // the keys of EVIDENCE are the kinds
  return [
    ...kinds.flatMap((kind) => evidenceChange(level, kind, a.evidence[kind], b.evidence[kind])),
    ...numberChange(`${path}.score_min`, {
      ...{ what: `Least score at ${level}`, before: a.scoreMin, after: b.scoreMin, more: 'tightens' },
    }),
    ...numberChange(`${path}.attested_percent_min`, {
      ...{ what: `Least share of attested devices at ${level}`, more: 'tightens', unit: '%' },
      ...{ before: a.attestedPercentMin, after: b.attestedPercentMin },
    }),
    ...numberChange(`${path}.life_days_max`, {
      ...{ what: `Longest life of a certificate at ${level}`, before: a.lifeDaysMax, after: b.lifeDaysMax },
      ...{ unit: 'd', more: 'loosens' },
    }),
    ...numberChange(`${path}.approvals`, {
      ...{ what: `Approvals at ${level}`, before: a.approvals, after: b.approvals, more: 'tightens' },
    }),
    ...numberChange(`${path}.renew_before_days`, {
      ...{ what: `Renewal at ${level} before the end`, before: a.renewBeforeDays, after: b.renewBeforeDays },
      ...{ unit: 'd', more: 'neutral' },
    }),
    ...conditionChanges(level, a.conditions, b.conditions),
  ];
}

/** Between optional and none it cannot be said which lets more pass: what is not asked for cannot count against a partner. */
function evidenceChange(level: GrantedLevel, kind: EvidenceKind, a: EvidenceNeed, b: EvidenceNeed) {
  if (a === b) return [];
  const effect: ChangeEffect = b === 'required' ? 'tightens' : 'loosens';
  const sentence = `Evidence ${kind} at ${level} goes ${fromTo(a, b)}.`;
  return [{ effect, path: `levels.${level}.evidence.${kind}`, sentence }];
}

function labelChanges(before: TrustPolicy, after: TrustPolicy): readonly PolicyChange[] {
  const labels = Object.keys(LABELS) as Label[]; // the keys of LABELS are the labels
  return labels.flatMap((label): readonly PolicyChange[] => {
    const path = `labels.${label}`;
    const [a, b] = [labelLevel(before, label), labelLevel(after, label)];
    if (a !== b) {
      const effect = compareLevels(b, a) > 0 ? 'tightens' : 'loosens';
      return [{ effect, path, sentence: `Label ${label} needs ${b} where it needed ${a}.` }];
    }
    if (before.labelLevels.get(label) === after.labelLevels.get(label)) return [];
    return [{ effect: 'neutral', path, sentence: `Label ${label} needs ${b}, as before.` }];
  });
}

function permissionChanges({ permissions: a }: TrustPolicy, { permissions: b }: TrustPolicy) {
  const inOrder = (permissions: TrustPolicy['permissions']) =>
    new Set(PERMISSIONS.filter((one) => permissions.includes(one)));
  return setChanges(inOrder(a), inOrder(b), {
    path: () => 'grants.permissions',
    added: ['loosens', (permission) => `Partners may be granted ${permission}.`],
    removed: ['tightens', (permission) => `Partners may not do ${permission} here any more.`],
  });
}

function limitChanges({ limits: a }: TrustPolicy, { limits: b }: TrustPolicy): readonly PolicyChange[] {
  const names = ['message_bytes_max', 'messages_per_second', 'bytes_per_second'] as const;
  return names.flatMap((name) =>
    numberChange(`grants.${name}`, {
      ...{ what: `${name} in certificates to come`, before: a[name], after: b[name], more: 'loosens' },
    }),
  );
}

function complianceChanges({ compliance: a }: TrustPolicy, { compliance: b }: TrustPolicy): readonly PolicyChange[] {
  const pairs = (rules: TrustPolicy['compliance']) =>
    new Set(rules.flatMap(({ scheme, statedBy }) => [...statedBy].map((by) => `${scheme}, stated by ${by},`)));
  const schemes = (rules: TrustPolicy['compliance']) => new Set(rules.map(({ scheme }) => scheme));
  const path = () => 'compliance';
  return [
    ...setChanges(schemes(a), schemes(b), {
      path,
      added: ['loosens', (scheme) => `The compliance scheme ${scheme} counts.`],
      removed: ['tightens', (scheme) => `The compliance scheme ${scheme} counts no longer.`],
    }),
    ...setChanges(pairs(a), pairs(b), {
      path,
      added: ['loosens', (pair) => `A statement of ${pair} counts.`],
      removed: ['tightens', (pair) => `A statement of ${pair} counts no longer.`],
    }),
  ];
}

/** Whoever may approve can open everything else, and whoever may not cannot close it again: any change needs two [POLICY-22]. */
function approverChanges({ approvers: a }: TrustPolicy, { approvers: b }: TrustPolicy): readonly PolicyChange[] {
  const path = 'officers.approvers';
  if (a.size > 0 && b.size === 0) {
    return [{ effect: 'loosens', path, sentence: 'Every officer with the role trust may approve.' }];
  }
  const first: readonly PolicyChange[] =
    a.size === 0 && b.size > 0
      ? [{ effect: 'loosens', path, sentence: `Only ${b.size} named officers may approve; it was every officer.` }]
      : [];
  return [
    ...first,
    ...setChanges(a, b, {
      path: () => path,
      added: ['loosens', (officer) => `Officer ${officer} may approve.`],
      removed: ['loosens', (officer) => `Officer ${officer} may not approve any more.`],
    }),
  ];
}

function sortedKeys<K extends string>(a: ReadonlyMap<K, unknown>, b: ReadonlyMap<K, unknown>): readonly K[] {
  return [...new Set([...a.keys(), ...b.keys()])].sort();
}

export type { ChangeEffect, PolicyChange };
