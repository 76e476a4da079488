/**
 * Where the settings of a TOML text stand. The text has been parsed already, so this
 * only has to find names, and says nothing where it is not sure: a wrong line costs a
 * person time, a missing one does not change what is accepted.
 */

/** Line of a path such as `levels.basic.condition[2].name`, or of the nearest table around it; undefined when unknown. */
export type LineOf = (path: string) => number | undefined;

const HEADER = /^[ \t]*(\[\[?)([^\]]+)\]/;
const KEY_PART = /\s*(?:"([^"\n]*)"|'([^'\n]*)'|([A-Za-z0-9_-]+))\s*(\.|=|$)/y;

export function findLines(text: string): LineOf {
  const lines = new Map<string, number>();
  const counts = new Map<string, number>();
  let prefix = '';
  let position = 0;
  let line = 1;
  while (position < text.length) {
    const end = endOfStatement(text, position);
    const statement = text.slice(position, end);
    const header = HEADER.exec(statement);
    if (header !== null) {
      prefix = tablePath(keyParts(header[2] ?? ''), header[1] === '[[', counts);
      remember(lines, prefix, line);
    } else {
      const key = keyParts(statement);
      if (key.length > 0) remember(lines, [prefix, ...key].filter((part) => part !== '').join('.'), line);
    }
    line += statement.split('\n').length - 1;
    position = end;
  }
  return (path) => nearest(lines, path);
}

function remember(lines: Map<string, number>, path: string, line: number): void {
  if (!lines.has(path)) lines.set(path, line);
}

function nearest(lines: ReadonlyMap<string, number>, path: string): number | undefined {
  for (let part = path; part !== ''; part = part.slice(0, Math.max(0, part.lastIndexOf('.')))) {
    const line = lines.get(part) ?? lines.get(part.replace(/\[\d+\]$/, ''));
    if (line !== undefined) return line;
  }
  return undefined;
}

/** `levels.basic.condition[2]`: a name that was a list of tables before means its newest. */
function tablePath(parts: readonly string[], isList: boolean, counts: Map<string, number>): string {
  let path = '';
  for (const [index, part] of parts.entries()) {
    path = path === '' ? part : `${path}.${part}`;
    if (isList && index === parts.length - 1) counts.set(path, (counts.get(path) ?? 0) + 1);
    const count = counts.get(path);
    if (count !== undefined) path = `${path}[${count}]`;
  }
  return path;
}

/** The parts of the dotted key at the beginning of a statement; none when there is no key. */
function keyParts(statement: string): readonly string[] {
  const parts: string[] = [];
  KEY_PART.lastIndex = 0;
  for (let match = KEY_PART.exec(statement); match !== null; match = KEY_PART.exec(statement)) {
    parts.push(match[1] ?? match[2] ?? match[3] ?? '');
    if (match[4] !== '.') return parts;
  }
  return [];
}

/** Just behind the line feed that ends the statement: not one in a text of several lines, nor in an open bracket. */
function endOfStatement(text: string, start: number): number {
  let depth = 0;
  let i = start;
  while (i < text.length) {
    const character = text[i] ?? '';
    if (character === '\n' && depth <= 0) return i + 1;
    if (character === '[' || character === '{') depth += 1;
    else if (character === ']' || character === '}') depth -= 1;
    if (character === '#') i = lineEnd(text, i);
    else if (character === '"' || character === "'") i = endOfText(text, i, character);
    else i += 1;
  }
  return text.length;
}

function lineEnd(text: string, from: number): number {
  const end = text.indexOf('\n', from);
  return end < 0 ? text.length : end;
}

function endOfText(text: string, start: number, quote: string): number {
  const closing = text.startsWith(quote.repeat(3), start) ? quote.repeat(3) : quote;
  let i = start + closing.length;
  while (i < text.length && !text.startsWith(closing, i)) i += quote === '"' && text[i] === '\\' ? 2 : 1;
  return i + closing.length;
}
