import { styleText } from 'node:util';
import { clean, cleanJson, cleanLine } from './terminal/clean.ts';
import { pad, textWidth } from './terminal/width.ts';

/**
 * What commands print. Data goes to standard output, progress and advice to standard
 * error. Every text passes `clean` here, whoever wrote it, before it reaches a terminal.
 */

export function print(...lines: readonly string[]): void {
  for (const line of lines) process.stdout.write(`${cleanLine(line)}\n`);
}

/** For a person who waits; not part of the result. */
export function note(text: string): void {
  process.stderr.write(`${clean(text)}\n`);
}

/** What to do next. Commands in it are written as this person starts them. */
export function hint(text: string): void {
  note(`next: ${startedByNpm() ? text.replace(COMMAND, 'npx norc ') : text}`);
}

const COMMAND = /(?<!npx )\bnorc (?=[a-z])/g;

/** `npx norc …` or an npm script: then there is no `norc` on the person's path. */
function startedByNpm(): boolean {
  return process.env['npm_command'] !== undefined;
}

export function printJson(value: unknown): void {
  process.stdout.write(`${cleanJson(value, 2)}\n`);
}

export function printTable(head: readonly string[], rows: readonly (readonly string[])[]): void {
  const [first = '', ...rest] = tableLines(head, rows);
  printStyled(['bold', first]);
  print(...rest);
}

export function printFacts(facts: readonly Fact[]): void {
  print(...factLines(facts));
}

/** A name and what it is; several values stand below each other. */
export type Fact = readonly [name: string, value: string | readonly string[]];

const COLUMN_GAP = '  ';
const INDENT = '  ';

/** Aligned columns; the last one is as long as it is. */
export function tableLines(head: readonly string[], rows: readonly (readonly string[])[]): readonly string[] {
  const all = [head, ...rows].map((row) => row.map(cleanLine));
  const widths = head.map((_, column) => Math.max(...all.map((row) => textWidth(row[column] ?? ''))));
  return all.map((row) =>
    row
      .map((cell, column) => (column === row.length - 1 ? cell : pad(cell, widths[column] ?? 0)))
      .join(COLUMN_GAP)
      .trimEnd(),
  );
}

export function factLines(facts: readonly Fact[]): readonly string[] {
  const width = Math.max(...facts.map(([name]) => textWidth(cleanLine(name))));
  return facts.flatMap(([title, value]) => {
    const name = cleanLine(title);
    // Each value on its line: a partner's text must not begin one that looks like ours.
    const values = (typeof value === 'string' ? [value] : value).map(cleanLine);
    return values.map((text, i) => `${INDENT}${pad(i === 0 ? name : '', width)}${COLUMN_GAP}${text}`);
  });
}

/** A root key's fingerprint for comparing by eye: two lines of eight groups. */
export function fingerprintLines(fingerprint: string): readonly string[] {
  const groups = fingerprint.split(' ');
  const half = Math.ceil(groups.length / 2);
  return [groups.slice(0, half).join(' '), groups.slice(half).join(' ')];
}

type Look = Parameters<typeof styleText>[0];
/** A part of a line, plain or with a look. */
export type Piece = string | readonly [look: Look, text: string];

/** One line whose parts look different where the output is a terminal that wants it (NO_COLOR, TERM). */
export function printStyled(...pieces: readonly Piece[]): void {
  const parts = pieces.map((piece) => (typeof piece === 'string' ? cleanLine(piece) : styled(...piece)));
  process.stdout.write(`${parts.join('')}\n`);
}

function styled(look: Look, text: string): string {
  return styleText(look, cleanLine(text), { stream: process.stdout });
}
