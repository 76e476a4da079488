import { type Domain, sameBytes, toHex } from '../../base/index.ts';
import { compareLevels, type GrantedLevel } from '../levels.ts';
import type { ConditionRule, TrustAnchor } from './policy.ts';
import { type ChangeEffect, type PolicyChange, setChanges } from './policy-change-parts.ts';

/** Changes in what a policy lists by name: conditions, anchors, documents. */

export function conditionChanges(
  level: GrantedLevel,
  before: readonly ConditionRule[],
  after: readonly ConditionRule[],
): readonly PolicyChange[] {
  return byName(before, after).flatMap(([name, a, b]): readonly PolicyChange[] => {
    const path = `levels.${level}.condition "${name}"`;
    if (a === undefined)
      return [{ effect: 'tightens', path, sentence: `Certificates at ${level} get the condition "${name}".` }];
    if (b === undefined)
      return [{ effect: 'loosens', path, sentence: `Certificates at ${level} lose the condition "${name}".` }];
    if (sameCondition(a, b)) return [];
    const effect = isStricterCondition(a, b) ? 'tightens' : 'loosens';
    return [
      {
        effect,
        path,
        sentence: `The condition "${name}" at ${level} goes from ${conditionText(a)} to ${conditionText(b)}.`,
      },
    ];
  });
}

const SEVERITY: Readonly<Record<ConditionRule['action'], number>> = { notify: 0, downgrade: 1, revoke: 2 };

/** The same thing to meet, no later, with no lesser consequence. */
function isStricterCondition(before: ConditionRule, after: ConditionRule): boolean {
  const lower =
    before.level === undefined || after.level === undefined || compareLevels(after.level, before.level) <= 0;
  return (
    before.kind === after.kind &&
    after.afterDays <= before.afterDays &&
    SEVERITY[after.action] >= SEVERITY[before.action] &&
    lower
  );
}

function sameCondition(a: ConditionRule, b: ConditionRule): boolean {
  return a.kind === b.kind && a.afterDays === b.afterDays && a.action === b.action && a.level === b.level;
}

function conditionText({ kind, afterDays, action, level }: ConditionRule): string {
  return `${kind} after ${afterDays} d, else ${action}${level === undefined ? '' : ` to ${level}`}`;
}

export function anchorChanges(before: readonly TrustAnchor[], after: readonly TrustAnchor[]): readonly PolicyChange[] {
  return byName(before, after).flatMap(([name, a, b]): readonly PolicyChange[] => {
    const path = `anchor "${name}"`;
    if (a === undefined) {
      return [{ effect: 'loosens', path, sentence: `The authority "${name}" is accepted (${b?.purpose}).` }];
    }
    if (b === undefined)
      return [{ effect: 'tightens', path, sentence: `The authority "${name}" is accepted no longer.` }];
    return anchorChange(path, a, b);
  });
}

function anchorChange(path: string, a: TrustAnchor, b: TrustAnchor): readonly PolicyChange[] {
  const [was, is] = [new Set(a.policies), new Set(b.policies)];
  const same = was.size === is.size && a.policies.every((oid) => is.has(oid));
  const unknown: Readonly<Record<TrustAnchor['revocationUnknown'], string>> = {
    fail: 'is refused',
    accept: 'is accepted',
  };
  const parts: readonly (readonly [changed: boolean, effect: ChangeEffect, sentence: string])[] = [
    [!sameBytes(a.certificate, b.certificate), 'loosens', `The authority "${b.name}" gets another certificate.`],
    [
      a.purpose !== b.purpose,
      a.purpose === 'nato' && b.purpose === 'pki' ? 'tightens' : 'loosens',
      `The authority "${b.name}" goes from ${a.purpose} to ${b.purpose}.`,
    ],
    [
      !same,
      narrows(was, is) ? 'tightens' : 'loosens',
      `The authority "${b.name}" is accepted with ${is.size === 0 ? 'any policy' : [...is].sort().join(', ')}.`,
    ],
    [
      a.revocationUnknown !== b.revocationUnknown,
      b.revocationUnknown === 'fail' ? 'tightens' : 'loosens',
      `A chain to "${b.name}" whose revocation is not known ${unknown[b.revocationUnknown]}.`,
    ],
  ];
  return [
    ...parts.filter(([changed]) => changed).map(([, effect, sentence]) => ({ effect, path, sentence })),
    ...setChanges(new Set(a.usages), new Set(b.usages), {
      path: () => path,
      added: ['loosens', (oid) => `Certificates for ${oid} count under the authority "${b.name}".`],
      removed: ['tightens', (oid) => `Certificates for ${oid} count under the authority "${b.name}" no longer.`],
    }),
  ];
}

/** An empty set takes any policy. */
function narrows(before: ReadonlySet<string>, after: ReadonlySet<string>): boolean {
  return after.size > 0 && (before.size === 0 || [...after].every((oid) => before.has(oid)));
}

type Documents = ReadonlyMap<Domain, readonly Uint8Array[]>;

export function documentChanges(before: Documents, after: Documents): readonly PolicyChange[] {
  const pairs = (documents: Documents) =>
    new Set([...documents].flatMap(([domain, hashes]) => hashes.map((hash) => `${domain} ${toHex(hash)}`)).sort());
  const empty = (documents: Documents) =>
    new Set([...documents].filter(([, list]) => list.length === 0).map(([name]) => name));
  const short = (pair: string) => pair.replace(/^(\S+) ([0-9a-f]{16})[0-9a-f]*$/, '$2… of $1');
  const path = (pair: string) => `partner ${pair.split(' ')[0] ?? ''} documents`;
  return [
    ...setChanges(pairs(before), pairs(after), {
      path,
      added: ['loosens', (pair) => `The document ${short(pair)} counts as evidence.`],
      removed: ['tightens', (pair) => `The document ${short(pair)} counts no longer.`],
    }),
    ...setChanges(empty(before), empty(after), {
      path,
      added: ['neutral', (name) => `An empty list of documents of ${name} is written.`],
      removed: ['neutral', (name) => `An empty list of documents of ${name} is left out.`],
    }),
  ];
}

type Named<T> = readonly [name: string, before: T | undefined, after: T | undefined];

function byName<T extends { readonly name: string }>(before: readonly T[], after: readonly T[]): readonly Named<T>[] {
  const [a, b] = [new Map(before.map((one) => [one.name, one])), new Map(after.map((one) => [one.name, one]))];
  return [...new Set([...a.keys(), ...b.keys()])].sort().map((name) => [name, a.get(name), b.get(name)] as const);
}
