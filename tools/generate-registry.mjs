// Writes packages/protocol/src/base/registry.generated.ts from spec/registry/*.json.
// `--check` fails when the file on disk differs from what would be written.
import { readFileSync, writeFileSync } from 'node:fs';

const root = new URL('..', import.meta.url);
const read = (name) => JSON.parse(readFileSync(new URL(`spec/registry/${name}.json`, root), 'utf8'));
const target = new URL('packages/protocol/src/base/registry.generated.ts', root);
const quote = (text) => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
const literal = (value) => (typeof value === 'string' ? quote(value) : String(value));

const { errors } = read('errors');
const { types } = read('message-types');
const { levels, labels, permissions } = read('levels');
const { suites } = read('suites');
const { limits } = read('limits');
const { evidence } = read('trust-evidence');
const { reasons } = read('trust-reasons');
const { types: auditTypes } = read('audit-types');

const lines = ['// Generated from spec/registry by `npm run generate`. Do not edit.', ''];
const table = (name, entries) => {
  lines.push(`export const ${name} = {`, ...entries, '} as const;', '');
};
const row = (name, fields) =>
  `  ${name}: { ${Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key}: ${literal(value)}`)
    .join(', ')} },`;

table(
  'ERRORS',
  errors.map((e) => row(e.name, { code: e.code, retryable: e.retryable, meaning: e.meaning })),
);
lines.push('export type ErrorName = keyof typeof ERRORS;', '');
table(
  'MESSAGE_TYPES',
  types.map((t) => `  ${t.name}: 0x${t.code.toLowerCase()},`),
);
lines.push('export type MessageTypeName = keyof typeof MESSAGE_TYPES;', '');
table(
  'LEVELS',
  levels.map((l) => row(l.name, l)),
);
lines.push('export type TrustLevel = keyof typeof LEVELS;', '');
table(
  'LABELS',
  labels.map((l) => row(l.name, { ...l, nato: l.nato ?? false })),
);
lines.push('export type Label = keyof typeof LABELS;', '');
lines.push(`export const PERMISSIONS = [${permissions.map(quote).join(', ')}] as const;`);
lines.push('export type Permission = (typeof PERMISSIONS)[number];', '');
table(
  'EVIDENCE',
  evidence.map(({ meaning: _, ...e }) => row(e.name, e)),
);
lines.push('export type EvidenceKind = keyof typeof EVIDENCE;', '');
table(
  'TRUST_REASONS',
  reasons.map((r) => row(r.name, r)),
);
lines.push('export type TrustReason = keyof typeof TRUST_REASONS;', '');
lines.push('/** What the audit log records. */', 'export const AUDIT_TYPES = [');
for (const { name } of auditTypes) lines.push(`  ${quote(name)},`);
lines.push('] as const;', 'export type AuditType = (typeof AUDIT_TYPES)[number];', '');
table(
  'SUITES',
  suites.map((s) => row(s.name, { ...s, id: Number.parseInt(s.id, 16) })),
);
lines.push('export type SuiteName = keyof typeof SUITES;', '');
lines.push('export const LIMITS = {');
for (const limit of limits) lines.push(`  /** ${limit.meaning} */`, `  ${limit.name}: ${limit.value},`);
lines.push('} as const;', '');

const text = lines.join('\n');
if (process.argv.includes('--check')) {
  const current = readFileSync(target, 'utf8');
  if (normalize(current) !== normalize(text)) {
    console.error('registry.generated.ts is out of date: run npm run generate');
    process.exit(1);
  }
} else {
  writeFileSync(target, text);
}

/** The formatter may wrap lines; only the words count. */
function normalize(source) {
  return source.replace(/[\s,]+/g, '');
}
