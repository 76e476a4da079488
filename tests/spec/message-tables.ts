import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { MESSAGE_TYPES, type MessageTypeName } from '@norc/protocol/base';
import { NORC_C_SCHEMAS, SESSION_RULES, type SessionRule } from '@norc/protocol/norc-c';
import { LINK_RULES, type LinkRule, NORC_F_SCHEMAS } from '@norc/protocol/norc-f';
import { labelSchema, logEntrySchema, mlsBytes, type Schema, type SchemaNode } from '@norc/protocol/wire';

/**
 * Tables of spec/norc-c and spec/norc-f that are made from the schemas and rules in
 * the code. A table is announced by a line of its own before it:
 *
 *     <!-- messages: norc-c -->
 *
 * Run this file to write the tables anew.
 */

const specFolder = new URL('../../spec/', import.meta.url);
const MARKER = /^<!-- messages: ([a-z-]+) -->$/;

/** Schemas that have a name of their own in the documents. */
const NAMED: ReadonlyMap<SchemaNode, string> = new Map<SchemaNode, string>([
  [labelSchema, 'label'],
  [mlsBytes, 'mls'],
  [logEntrySchema, 'entry'],
]);

/** A schema in the notation of spec/wire section 3. */
export function notation(schema: SchemaNode): string {
  return NAMED.get(schema) ?? spelledOut(schema);
}

function spelledOut(schema: SchemaNode): string {
  switch (schema.kind) {
    case 'bytes':
      return `bytes(${schema.lengthMin === schema.lengthMax ? '=' : ''}${schema.lengthMax})`;
    case 'text':
      return `text(${schema.bytesMax})`;
    case 'uint':
      return schema.max === Number.MAX_SAFE_INTEGER ? 'uint' : `uint(${schema.max})`;
    case 'choice':
      return `choice(${schema.values.join(', ')})`;
    case 'list':
      return `list(${notation(schema.item)}, ${schema.lengthMax})`;
    case 'struct':
      return `{${fieldsOf(schema).join(', ')}}`;
    default:
      return schema.kind;
  }
}

function fieldsOf(schema: SchemaNode): readonly string[] {
  if (schema.kind !== 'struct') return [];
  return Object.entries(schema.fields).map(
    ([name, { schema: field, optional }]) => `${name}${optional ? '?' : ''}: ${notation(field)}`,
  );
}

function fieldsCell(schema: SchemaNode): string {
  return fieldsOf(schema).map(code).join(', ') || 'none';
}

const code = (text: string): string => `\`${text}\``;
const row = (...cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
const codes = (types: readonly string[]): string => types.map(code).join(', ') || '-';

function byCode<T>(schemas: Readonly<Record<string, T>>): readonly (readonly [MessageTypeName, T])[] {
  const entries = Object.entries(schemas) as [MessageTypeName, T][]; // message tables are keyed by type names
  return entries.sort(([a], [b]) => MESSAGE_TYPES[a] - MESSAGE_TYPES[b]);
}

const hex = (type: MessageTypeName): string => MESSAGE_TYPES[type].toString(16).padStart(2, '0').toUpperCase();

function sessionRows(): readonly string[] {
  const rules: Readonly<Record<string, SessionRule>> = SESSION_RULES;
  const answers = new Set(Object.values(rules).flatMap((rule) => rule.request ?? []));
  const head = [row('message', 'code', 'sent by', 'answered by', 'fields'), '|---|---|---|---|---|'];
  const rows = byCode<Schema<unknown>>(NORC_C_SCHEMAS).map(([type, schema]) => {
    const by = senders(rules[type], answers.has(type as never)); // a set of types may be asked for any type
    return row(code(type), hex(type), by, codes(rules[type]?.request ?? []), fieldsCell(schema));
  });
  return [...head, ...rows];
}

function senders(rule: SessionRule | undefined, isAnswer: boolean): string {
  if (rule === undefined) return 'the channel';
  const by: string[] = [];
  if (rule.request !== undefined) by.push(rule.proof === true ? 'device, before its proof' : 'device');
  if (rule.push === true) by.push(isAnswer ? 'server, also unasked' : 'server, unasked');
  else if (isAnswer) by.push('server');
  return by.join('; ');
}

function linkRows(): readonly string[] {
  const rules: Readonly<Partial<Record<string, LinkRule>>> = LINK_RULES;
  const head = [
    row('message', 'code', 'streams', 'answered by', 'without trust', 'fields'),
    '|---|---|---|---|---|---|',
  ];
  const rows = byCode<Schema<unknown>>(NORC_F_SCHEMAS).map(([type, schema]) => {
    const rule = rules[type];
    const streams = rule?.streams.join(', ') ?? 'of its request';
    const untrusted = rule === undefined ? '-' : rule.untrusted ? 'yes' : 'no';
    return row(code(type), hex(type), streams, replyCell(rule), untrusted, fieldsCell(schema));
  });
  return [...head, ...rows];
}

function replyCell(rule: LinkRule | undefined): string {
  const replies = rule?.replies ?? [];
  return replies.length > 2 ? 'the next step' : codes(replies);
}

function typeRows(): readonly string[] {
  const rows = [...NAMED].map(([schema, name]) => row(code(name), code(spelledOut(schema))));
  return [row('type', 'meaning'), '|---|---|', ...rows];
}

const TABLES: ReadonlyMap<string, () => readonly string[]> = new Map([
  ['norc-c', sessionRows],
  ['norc-f', linkRows],
  ['types', typeRows],
]);

/** The document with its announced tables as the code has them. Throws for a table that nobody makes. */
export function withMessageTables(text: string): string {
  const lines = text.split('\n');
  const written: string[] = [];
  for (let at = 0; at < lines.length; at += 1) {
    const line = lines[at] ?? '';
    written.push(line);
    const name = MARKER.exec(line)?.[1];
    if (name === undefined) continue;
    const make = TABLES.get(name);
    if (make === undefined) throw new Error(`no table is called ${name}`);
    written.push(...make());
    while (lines[at + 1]?.startsWith('|')) at += 1;
  }
  return written.join('\n');
}

export const MESSAGE_DOCUMENTS = ['norc-c.md', 'norc-f.md'] as const;

export function readSpec(name: string): string {
  return readFileSync(new URL(name, specFolder), 'utf8');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const name of MESSAGE_DOCUMENTS) {
    const text = readSpec(name);
    if (withMessageTables(text) !== text) writeFileSync(new URL(name, specFolder), withMessageTables(text));
  }
}
