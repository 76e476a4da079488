import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { Domain } from '@norc/protocol/base';
import {
  type ConditionRule,
  GRANTED_LEVELS,
  type GrantedLevel,
  type LevelPolicy,
  POLICY_LIMITS,
  type PolicyFault,
  policyDocument,
  policyFaults,
  type TrustAnchor,
  type TrustPolicy,
} from '@norc/protocol/norc-t';
import { errorCode } from '../transport/errors.ts';
import { parseToml } from './parse.ts';
import { ConfigError, type ConfigProblem } from './problem.ts';
import { findLines } from './trust-policy-lines.ts';
import { ShapeReader } from './trust-policy-read.ts';
import { POLICY_SETTINGS } from './trust-policy-settings.ts';
import type { ValuesOf } from './trust-policy-shape.ts';

export interface PolicySource {
  /** As a person named it, for messages. */
  readonly path: string;
  /** What relative paths in it start from. */
  readonly folder: string;
  readonly text: string;
}

type Values = ValuesOf<typeof POLICY_SETTINGS>;
type LevelValues = Values['levels'][GrantedLevel];

const FILE_BYTES_MAX = 1_048_576;

/** Reads and checks a policy file and the anchors that it names. Throws ConfigError that names every problem. */
export function loadTrustPolicy(path: string): TrustPolicy {
  const full = resolve(path);
  try {
    const text = readFileSync(full, 'utf8');
    return parseTrustPolicy({ path, folder: dirname(full), text });
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    const found = `a file that cannot be read (${errorCode(error) ?? 'unknown'})`;
    throw new ConfigError([{ source: path, key: 'the file', found, allowed: 'a trust policy in TOML' }]);
  }
}

/** As `loadTrustPolicy`, of a text. Anchors are read from their files. */
export function parseTrustPolicy({ path, folder, text }: PolicySource): TrustPolicy {
  if (text.length > FILE_BYTES_MAX) {
    const problem = { key: 'the file', found: `${text.length} characters`, allowed: `at most ${FILE_BYTES_MAX}` };
    throw new ConfigError([{ source: path, ...problem }]);
  }
  const reader = new ShapeReader(path, folder, findLines(text));
  const values = reader.read(POLICY_SETTINGS, parseToml(path, text));
  const policy = toPolicy(values, readAnchors(reader, values.anchor));
  for (const fault of policyFaults(policy)) {
    const { rule, path: key, found, allowed } = fault;
    reader.wrong(key, { found, allowed: `${allowed} [${rule}]` }, placeOf(fault, values));
  }
  if (reader.problems.length === 0) reader.problems.push(...sizeProblems(path, policy));
  if (reader.problems.length > 0) throw new ConfigError(reader.problems);
  return policy;
}

/** Where the file has what a fault names by its name. */
function placeOf({ path }: PolicyFault, values: Values): string {
  const [, table, name] = /^(.*) "(.*)"$/.exec(path) ?? [];
  const level = GRANTED_LEVELS.find((one) => table === `levels.${one}.condition`);
  if (table === undefined || name === undefined) return path;
  return placeIn(table, level === undefined ? values.anchor : values.levels[level].condition, name);
}

function placeIn(table: string, list: readonly { readonly name: string }[], name: string): string {
  return `${table}[${list.findIndex((one) => one.name === name) + 1}]`;
}

function sizeProblems(source: string, policy: TrustPolicy): readonly ConfigProblem[] {
  try {
    policyDocument(policy);
    return [];
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return [{ source, key: 'the policy', found: error.message, allowed: 'fewer or smaller anchors and lists' }];
  }
}

function toPolicy(values: Values, anchors: readonly TrustAnchor[]): TrustPolicy {
  const { organisation, partners, partner, levels, labels, freshness, grants, evidence, compliance, officers } = values;
  const { permissions, ...limits } = grants;
  return {
    ownLevel: organisation.level,
    ownNatoCapable: organisation.nato_capable,
    levelMax: partners.level_max,
    partnerLevelMax: new Map(
      partner.flatMap((one) => (one.level_max === undefined ? [] : [[one.domain, one.level_max]])),
    ),
    blocked: new Set(partners.blocked),
    levels: {
      basic: toLevel(levels.basic),
      verified: toLevel(levels.verified),
      classified: toLevel(levels.classified),
      nato: toLevel(levels.nato),
    },
    labelLevels: definedEntries(labels),
    revocationAgeMillisecondsMax: freshness.revocation_age_seconds_max * 1000,
    evidenceAgeMillisecondsMax: freshness.evidence_age_minutes_max * 60_000,
    permissions,
    limits,
    anchors,
    documents: new Map<Domain, readonly Uint8Array[]>(
      partner.filter((one) => one.documents.length > 0).map((one) => [one.domain, one.documents]),
    ),
    recommenders: new Set(evidence.recommenders),
    compliance: compliance.map(({ scheme, stated_by: statedBy }) => ({ scheme, statedBy: new Set(statedBy) })),
    approvers: new Set(officers.approvers),
  };
}

function definedEntries<K extends string, V>(table: Readonly<Record<K, V | undefined>>): ReadonlyMap<K, V> {
  const entries = Object.entries(table) as [K, V | undefined][]; // the shape has no other keys
  return new Map(entries.flatMap(([key, value]) => (value === undefined ? [] : [[key, value] as const])));
}

function toLevel({ evidence, condition, ...rules }: LevelValues): LevelPolicy {
  return {
    evidence,
    scoreMin: rules.score_min,
    attestedPercentMin: rules.attested_percent_min,
    lifeDaysMax: rules.life_days_max,
    approvals: rules.approvals,
    renewBeforeDays: rules.renew_before_days,
    conditions: condition.map(toCondition),
  };
}

function toCondition({
  name,
  kind,
  after_days: afterDays,
  action,
  level,
}: LevelValues['condition'][number]): ConditionRule {
  return { name, kind, afterDays, action, ...(level === undefined ? {} : { level }) };
}

// ---- anchors: what their files hold is part of the policy [POLICY-4] ----

const PEM_BLOCK = /-----BEGIN ([A-Z0-9 ]+)-----/g;

function readAnchors(reader: ShapeReader, tables: Values['anchor']): readonly TrustAnchor[] {
  return tables.flatMap(({ name, file, purpose, policies, usages, revocation_unknown: unknown }) => {
    const certificate = readCertificate(file ?? '');
    if (certificate instanceof Uint8Array) {
      const named = { name, certificate, purpose, policies, revocationUnknown: unknown ?? 'fail' };
      return [usages.length === 0 ? named : { ...named, usages }];
    }
    const place = `${placeIn('anchor', tables, name)}.file`;
    reader.wrong(`anchor "${name}" file`, { found: certificate, allowed: 'one CA certificate in PEM' }, place);
    return [];
  });
}

/** DER, or what is wrong, in words that do not quote the file: it may be a key that was put in the wrong place. */
function readCertificate(file: string): Uint8Array | string {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    return `a file that cannot be read (${errorCode(error) ?? 'unknown'})`;
  }
  const blocks = [...text.matchAll(PEM_BLOCK)].map((match) => match[1]);
  if (blocks.length !== 1 || blocks[0] !== 'CERTIFICATE') {
    return blocks.length === 0 ? 'no PEM' : `${blocks.length} PEM blocks that are not one certificate`;
  }
  try {
    const certificate = new X509Certificate(text);
    if (!certificate.ca) return 'a certificate that is no CA';
    const { raw } = certificate;
    return raw.length <= POLICY_LIMITS.anchorBytesMax ? Uint8Array.from(raw) : `a certificate of ${raw.length} bytes`;
  } catch {
    return 'a certificate that cannot be read';
  }
}
