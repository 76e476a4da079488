import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/**
 * Tables in `spec/*.md` that mirror a list of `spec/registry/*.json`. A table is
 * announced by a line of its own before it:
 *
 *     <!-- registry: errors.errors -->
 *     <!-- registry: message-types.types layer=norc-c also=from,answer -->
 *
 * File and list; then, if wanted, `field=value` to mirror only the rows that have it,
 * and `also=` with columns that the registry does not have. Every other column is
 * headed by the name of a registry field. Run this file to write the rows anew;
 * the cells of `also` columns are kept.
 */

const specFolder = new URL('../../spec/', import.meta.url);
const MARKER = /^<!-- registry: ([a-z-]+)\.([a-z]+)((?: [a-z]+=[a-z_,-]+)*) -->$/;

export interface SpecFile {
  readonly name: string;
  readonly text: string;
}

/** A row of a registry list: its fields by name, as they are in the JSON. */
export type RegistryRow = Readonly<Record<string, string | number | boolean>>;

export interface RegistryTable {
  readonly list: string;
  readonly registry: string;
  readonly filtered: boolean;
}

export function specFiles(): readonly SpecFile[] {
  return readdirSync(specFolder)
    .filter((name) => name.endsWith('.md'))
    .sort()
    .map((name) => ({ name, text: readFileSync(new URL(name, specFolder), 'utf8') }));
}

export function registry(name: string): Readonly<Record<string, unknown>> {
  return JSON.parse(readFileSync(new URL(`registry/${name}.json`, specFolder), 'utf8'));
}

export function registryNames(): readonly string[] {
  const files = readdirSync(new URL('registry/', specFolder));
  return files.filter((file) => file.endsWith('.json')).map((file) => file.slice(0, -'.json'.length));
}

/** The tables that a document announces. */
export function announcedTables(file: SpecFile): readonly RegistryTable[] {
  return file.text
    .split('\n')
    .map((line) => MARKER.exec(line))
    .filter((match) => match !== null)
    .map((match) => {
      const { filter } = options(match[3] ?? '');
      return { registry: match[1] ?? '', list: match[2] ?? '', filtered: filter.size > 0 };
    });
}

/** The document with the rows of its announced tables as the registry has them. Throws for a table of another shape. */
export function withRegistryRows(file: SpecFile): string {
  const lines = file.text.split('\n');
  const written: string[] = [];
  for (let at = 0; at < lines.length; at += 1) {
    const line = lines[at] ?? '';
    written.push(line);
    const match = MARKER.exec(line);
    if (match === null) {
      if (line.includes('<!-- registry')) throw new Error(`${file.name}: marker not understood: ${line}`);
      continue;
    }
    const table = lines.slice(at + 1, endOfTable(lines, at + 1));
    written.push(...rewritten(match, table, `${file.name}, ${line}`));
    at += table.length;
  }
  return written.join('\n');
}

function endOfTable(lines: readonly string[], from: number): number {
  let at = from;
  while (lines[at]?.startsWith('|')) at += 1;
  return at;
}

function options(text: string): { readonly filter: ReadonlyMap<string, string>; readonly also: readonly string[] } {
  const filter = new Map<string, string>();
  let also: readonly string[] = [];
  for (const option of text.split(' ').filter((one) => one !== '')) {
    const [name = '', value = ''] = option.split('=');
    if (name === 'also') also = value.split(',');
    else filter.set(name, value);
  }
  return { filter, also };
}

function rewritten(match: RegExpExecArray, table: readonly string[], where: string): readonly string[] {
  const { filter, also } = options(match[3] ?? '');
  const list = registry(match[1] ?? '')[match[2] ?? ''];
  const [header, rule] = table;
  if (!Array.isArray(list) || header === undefined || rule === undefined)
    throw new Error(`${where}: nothing to mirror`);
  const rows: readonly RegistryRow[] = list.map((row) => (typeof row === 'object' ? row : { name: row }));
  const columns = cells(header);
  const unknown = columns.filter((column) => !also.includes(column) && !rows.some((row) => row[column] !== undefined));
  if (unknown.length > 0) throw new Error(`${where}: no registry field for column ${unknown.join(', ')}`);
  const kept = keptCells(columns, table.slice(2));
  const wanted = rows.filter((row) => [...filter].every(([field, value]) => String(row[field]) === value));
  if (wanted.length === 0) throw new Error(`${where}: no rows`);
  return [
    header,
    rule,
    ...wanted.map((row) => {
      const own = kept.get(String(row['name']));
      return `| ${columns.map((column, i) => (also.includes(column) ? own?.[i] || '-' : cellText(row[column]))).join(' | ')} |`;
    }),
  ];
}

function keptCells(columns: readonly string[], rows: readonly string[]): ReadonlyMap<string, readonly string[]> {
  const nameAt = columns.indexOf('name');
  return new Map(rows.map((row) => [cells(row)[nameAt] ?? '', cells(row)]));
}

function cells(line: string): readonly string[] {
  const inner = line.slice(1, line.endsWith('|') ? -1 : undefined);
  return inner.split('|').map((cell) => cell.trim());
}

function cellText(value: string | number | boolean | undefined): string {
  if (value === undefined) return '-';
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  return String(value);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const file of specFiles()) {
    const text = withRegistryRows(file);
    if (text !== file.text) writeFileSync(new URL(file.name, specFolder), text);
  }
}
