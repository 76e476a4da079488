import { clean } from './clean.ts';
import type { InputEvent, Key } from './keys.ts';
import { clusters } from './width.ts';

/** A line being written: user-perceived characters, and how many of them stand before the cursor. Immutable. */
export interface Line {
  readonly letters: readonly string[];
  readonly cursor: number;
}

export const EMPTY_LINE: Line = { letters: [], cursor: 0 };

export function lineOf(text: string): Line {
  const letters = lettersOf(text);
  return { letters, cursor: letters.length };
}

export function lineText(line: Line): string {
  return line.letters.join('');
}

const segmenter = new Intl.Segmenter('en', { granularity: 'grapheme' });

/** What is typed or pasted is cleaned too: an escape in a pasted text must not come back from the history. */
function lettersOf(text: string): readonly string[] {
  return Array.from(segmenter.segment(clean(text)), ({ segment }) => segment);
}

/** At the cursor. A mark that arrives after its letter joins it. */
export function insert(line: Line, text: string): Line {
  const kept = line.letters.slice(0, Math.max(0, line.cursor - 1));
  const last = line.letters.slice(kept.length, line.cursor).join('');
  const before = [...kept, ...lettersOf(last + text)];
  return { letters: [...before, ...line.letters.slice(line.cursor)], cursor: before.length };
}

/** The line after a key; `undefined` when the key means nothing to a line. */
export function edit(line: Line, key: Key): Line | undefined {
  const { cursor } = line;
  const end = line.letters.length;
  switch (key) {
    case 'left':
    case 'ctrl+b':
      return moved(line, cursor - 1);
    case 'right':
    case 'ctrl+f':
      return moved(line, cursor + 1);
    case 'home':
    case 'ctrl+a':
      return moved(line, 0);
    case 'end':
    case 'ctrl+e':
      return moved(line, end);
    case 'ctrl+left':
    case 'alt+b':
      return moved(line, wordStart(line));
    case 'ctrl+right':
    case 'alt+f':
      return moved(line, wordEnd(line));
    case 'backspace':
      return without(line, cursor - 1, cursor);
    case 'delete':
    case 'ctrl+d':
      return without(line, cursor, cursor + 1);
    case 'ctrl+w':
    case 'alt+backspace':
      return without(line, wordStart(line), cursor);
    case 'ctrl+u':
      return without(line, 0, cursor);
    case 'ctrl+j':
    case 'alt+enter':
      return insert(line, '\n');
    default:
      return undefined;
  }
}

function moved(line: Line, cursor: number): Line {
  return { ...line, cursor: Math.max(0, Math.min(line.letters.length, cursor)) };
}

function without(line: Line, from: number, to: number): Line {
  const start = Math.max(0, from);
  return { letters: [...line.letters.slice(0, start), ...line.letters.slice(to)], cursor: start };
}

const isSpace = (letter: string | undefined): boolean => letter === undefined || /^\s$/.test(letter);

function wordStart({ letters, cursor }: Line): number {
  let at = cursor;
  while (at > 0 && isSpace(letters[at - 1])) at -= 1;
  while (at > 0 && !isSpace(letters[at - 1])) at -= 1;
  return at;
}

function wordEnd({ letters, cursor }: Line): number {
  let at = cursor;
  while (at < letters.length && isSpace(letters[at])) at += 1;
  while (at < letters.length && !isSpace(letters[at])) at += 1;
  return at;
}

/** What was sent before, and the unsent line while one looks through it. */
export interface History {
  readonly past: readonly string[];
  /** How far back; 0 is the line being written. */
  readonly back: number;
  readonly draft: Line;
}

export const NO_HISTORY: History = { past: [], back: 0, draft: EMPTY_LINE };
const HISTORY_LENGTH_MAX = 200;

export function remember(history: History, text: string): History {
  const past = history.past.at(-1) === text ? history.past : [...history.past, text].slice(-HISTORY_LENGTH_MAX);
  return { past, back: 0, draft: EMPTY_LINE };
}

/** `by` 1 goes back, -1 forth. The same values come back where there is nothing further. */
export function recall(history: History, line: Line, by: 1 | -1): { readonly history: History; readonly line: Line } {
  const back = Math.max(0, Math.min(history.past.length, history.back + by));
  if (back === history.back) return { history, line };
  const draft = history.back === 0 ? line : history.draft;
  return { history: { ...history, back, draft }, line: back === 0 ? draft : lineOf(history.past.at(-back) ?? '') };
}

export interface LineWindow {
  readonly text: string;
  /** Cells before the cursor. */
  readonly cursor: number;
}

/** The part of a line around its cursor that fits `width` cells; line ends are shown as a mark. */
export function lineWindow(line: Line, width: number): LineWindow {
  const shown = line.letters.map((letter) => clusters(letter === '\n' ? '⏎' : letter)).map((list) => list[0]);
  const size = (from: number, to: number) =>
    shown.slice(from, to).reduce((sum, cluster) => sum + (cluster?.width ?? 0), 0);
  let start = 0;
  while (size(start, line.cursor) >= width && start < line.cursor) start += 1;
  const text = shown.slice(start).map((cluster) => cluster?.text ?? '');
  return { text: text.join(''), cursor: size(start, line.cursor) };
}

/** Applies typed text, pastes and editing keys; `undefined` when the event is none of them. */
export function editEvent(line: Line, event: InputEvent): Line | undefined {
  if (event.type === 'text' || event.type === 'paste') return insert(line, event.text);
  return event.type === 'key' ? edit(line, event.key) : undefined;
}
