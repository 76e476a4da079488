import {
  type Domain,
  EVIDENCE,
  type EvidenceKind,
  fromHex,
  LABELS,
  type Label,
  LIMITS,
  PERMISSIONS,
  utf8Length,
} from '@norc/protocol/base';
import {
  defaultPolicy,
  EVIDENCE_NEEDS,
  type EvidenceNeed,
  GRANTED_LEVELS,
  type GrantedLevel,
  type OfficerId,
  OID,
  POLICY_LIMITS,
  parseOfficerId,
  RATE_MAX,
} from '@norc/protocol/norc-t';
import { choice, flag, integer, list, optionalPath, readDomain, type Setting } from './setting.ts';
import { type Table, table, tables } from './trust-policy-shape.ts';

/**
 * Every setting of `trust-policy.toml` (docs/trust-policy.md). What it falls back to is
 * the default policy, so an empty file is the default policy [POLICY-1]. Bounds here say what
 * can be meant at all; `policyFaults` says what the protocol allows.
 */

const DAYS_MAX = 3650;
const SCORE_MAX = 100;
const SECONDS_MAX = 31_536_000;
const MINUTES_MAX = 525_600;
const DEFAULTS = defaultPolicy();
const EVIDENCE_KINDS = Object.keys(EVIDENCE) as EvidenceKind[]; // the keys of EVIDENCE are the kinds
const LABEL_NAMES = Object.keys(LABELS) as Label[]; // the keys of LABELS are the labels

const level = (about: string, fallback: GrantedLevel) => choice(about, fallback, GRANTED_LEVELS);
const domainList = (about: string) => list(about, 'domain names in lower case', [], readDomain);

/** Nothing stands in for it. */
function required<T>(setting: Setting<T>): Setting<T> {
  return { ...setting, fallback: undefined, required: true };
}

/** Absent where the file is silent. */
function optional<T>(setting: Setting<T>): Setting<T | undefined> {
  return { ...setting, fallback: undefined };
}

function textSetting(about: string, bytesMax: number): Setting<string> {
  return required({
    ...choice(about, '', ['']),
    allowed: `text of 1 to ${bytesMax} bytes without control characters`,
    read: (value) =>
      typeof value === 'string' && value !== '' && utf8Length(value) <= bytesMax && !/\p{C}/u.test(value)
        ? value
        : undefined,
  });
}

const domainSetting = (about: string) =>
  required<Domain>({
    ...choice(about, '', ['']),
    fallback: undefined,
    allowed: 'a domain name in lower case',
    read: (value) => (typeof value === 'string' ? readDomain(value) : undefined),
  });

const condition = tables('name', POLICY_LIMITS.conditionsMax, {
  name: textSetting('Unique in its level.', POLICY_LIMITS.nameBytesMax),
  kind: textSetting('What has to happen; recorded as met by an officer.', POLICY_LIMITS.kindBytesMax),
  after_days: required(integer('Days from the beginning of a certificate to the deadline.', 1, 1, DAYS_MAX)),
  action: required(choice('What happens at the deadline.', 'notify', ['revoke', 'downgrade', 'notify'])),
  level: optional(level('With "downgrade": the level from then on.', 'basic')),
});

function levelTable(name: GrantedLevel) {
  const fallback = DEFAULTS.levels[name];
  const needs = EVIDENCE_KINDS.map(
    (kind) => [kind, choice(`Evidence ${kind}.`, fallback.evidence[kind], EVIDENCE_NEEDS)] as const,
  );
  // One setting for each kind of evidence.
  const evidence = Object.fromEntries(needs) as Record<EvidenceKind, Setting<EvidenceNeed>>;
  return table({
    score_min: integer('Least score, of 100.', fallback.scoreMin, 0, SCORE_MAX),
    attested_percent_min: integer(
      'Least share of devices, in percent of each platform, that an attestation must state to count.',
      fallback.attestedPercentMin,
      1,
      SCORE_MAX,
    ),
    life_days_max: integer('Longest life of a certificate, in days.', fallback.lifeDaysMax, 1, DAYS_MAX),
    approvals: integer('Officers who approve, on each side.', fallback.approvals, 0, POLICY_LIMITS.approvalsMax),
    renew_before_days: integer(
      'Days before its end that a certificate is renewed.',
      fallback.renewBeforeDays,
      0,
      DAYS_MAX,
    ),
    evidence: table(evidence),
    condition,
  });
}

function labelTable(): Table<Readonly<Record<Label, Setting<GrantedLevel | undefined>>>> {
  const labels = LABEL_NAMES.map((label) => [label, optional(level(`Least level for ${label}.`, 'basic'))] as const);
  return table(Object.fromEntries(labels) as Record<Label, Setting<GrantedLevel | undefined>>); // one for each label
}

const HASH_BYTES = 32;

function readHash(text: string): Uint8Array | undefined {
  const hash = fromHex(text);
  return hash?.length === HASH_BYTES ? hash : undefined;
}

function readOfficer(text: string): OfficerId | undefined {
  const officer = parseOfficerId(text);
  return officer.ok ? officer.value : undefined;
}

const readPermission = (text: string) => PERMISSIONS.find((name) => name === text);

export const POLICY_SETTINGS = {
  organisation: table({
    level: level('The own ceiling: labels inside the organisation follow from it.', DEFAULTS.ownLevel),
    nato_capable: flag('Labels nato_* may be used inside the organisation.', DEFAULTS.ownNatoCapable),
  }),
  partners: table({
    level_max: level('No partner gets more than this.', DEFAULTS.levelMax),
    blocked: domainList('Organisations that are refused whatever they hold.'),
  }),
  partner: tables('domain', POLICY_LIMITS.domainsMax, {
    domain: domainSetting('The partner.'),
    level_max: optional(level('A lower cap for this partner.', 'basic')),
    documents: list(
      'BLAKE3 hashes of documents that identify the partner.',
      'hashes of 64 hexadecimal digits',
      [],
      readHash,
    ),
  }),
  levels: table({
    basic: levelTable('basic'),
    verified: levelTable('verified'),
    classified: levelTable('classified'),
    nato: levelTable('nato'),
  }),
  labels: labelTable(),
  freshness: table({
    revocation_age_seconds_max: integer(
      'Seconds without confirmation of its revocations after which trust in a partner stops.',
      DEFAULTS.revocationAgeMillisecondsMax / 1000,
      1,
      SECONDS_MAX,
    ),
    evidence_age_minutes_max: integer(
      'Minutes after which evidence is checked anew, and approvals that rest on it are void.',
      DEFAULTS.evidenceAgeMillisecondsMax / 60_000,
      1,
      MINUTES_MAX,
    ),
  }),
  grants: table({
    permissions: list(
      'What partners may be granted here at most.',
      `permissions of ${PERMISSIONS.map((name) => `"${name}"`).join(', ')}`,
      DEFAULTS.permissions,
      readPermission,
    ),
    message_bytes_max: integer('Largest message, in bytes.', DEFAULTS.limits.message_bytes_max, 1, LIMITS.bodyBytesMax),
    messages_per_second: integer('Messages from a partner.', DEFAULTS.limits.messages_per_second, 1, RATE_MAX),
    bytes_per_second: integer('Bytes from a partner.', DEFAULTS.limits.bytes_per_second, 1, RATE_MAX),
  }),
  evidence: table({
    recommenders: domainList('Organisations whose recommendations count.'),
  }),
  anchor: tables('name', POLICY_LIMITS.anchorsMax, {
    name: textSetting('How officers call the authority.', POLICY_LIMITS.nameBytesMax),
    file: required({
      ...optionalPath('Its certificate, one, PEM.'),
      allowed: 'a path, absolute or from the folder of the policy',
    }),
    purpose: required(choice('What a chain to it counts as.', 'organisation', ['organisation', 'pki', 'nato'])),
    policies: list(
      'Certificate policies of which one must be valid for the chain; any when empty.',
      'OIDs such as "2.16.840.1.101.3.2.1.3.13"',
      [],
      (text) => (OID.test(text) && text.length <= POLICY_LIMITS.oidBytesMax ? text : undefined),
    ),
    usages: list(
      'Purposes (extended key usage) that count beside TLS, mail and documents.',
      'OIDs such as "1.3.6.1.5.5.7.3.9"',
      [],
      (text) => (OID.test(text) && text.length <= POLICY_LIMITS.oidBytesMax ? text : undefined),
    ),
    revocation_unknown: optional(
      choice('When it cannot be learned whether a certificate was revoked.', 'fail', ['fail', 'accept']),
    ),
  }),
  compliance: tables('scheme', POLICY_LIMITS.compliancesMax, {
    scheme: textSetting('Such as "iso27001".', POLICY_LIMITS.schemeBytesMax),
    stated_by: domainList('Organisations whose statements about it count.'),
  }),
  officers: table({
    approvers: list(
      'Officers who may approve; every officer with the role trust when empty.',
      'officer ids of 32 hexadecimal digits',
      [],
      readOfficer,
    ),
  }),
} as const;
