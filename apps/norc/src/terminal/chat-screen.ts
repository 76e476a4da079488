import { type ConversationSummary, en, LEVEL_CHIPS, MARKINGS } from '@norc/client';
import type { TrustLevel } from '@norc/protocol/base';
import { type LogLine, logLines, type Span } from './chat-log.ts';
import { type ChatModel, matching } from './chat-model.ts';
import { cleanName } from './clean.ts';
import { Grid, type Point } from './grid.ts';
import { type Line, lineWindow } from './line-editor.ts';
import { type Anchor, windowOf } from './scroll.ts';
import { type Palette, PLAIN, type Style } from './style.ts';
import { fit, pad, textWidth, wrap } from './width.ts';
import { connectionText, type Words } from './words.ts';

/** Everything on the screen, as values. `renderChat` makes the same picture of the same values. */
export interface ChatScreen {
  readonly model: ChatModel;
  readonly line: Line;
  /** The list of conversations has the keyboard: what was typed to narrow it, and which row is chosen. */
  readonly list?: { readonly typed: string; readonly index: number };
  /** Help or an answer, over the log. */
  readonly panel?: { readonly title: string; readonly lines: readonly string[]; readonly top: number };
  /** Hints and warnings above the input. */
  readonly notice?: { readonly text: string; readonly warning: boolean };
  readonly anchor?: Anchor;
  readonly newFrom?: string;
}

export interface Size {
  readonly columns: number;
  readonly rows: number;
}

export interface Picture {
  readonly grid: Grid;
  readonly cursor: Point | undefined;
  /** The log as laid out, for scrolling. */
  readonly log: readonly LogLine[];
  readonly logHeight: number;
}

export interface Look {
  readonly words: Words;
  readonly palette: Palette;
}

const SIDEBAR_COLUMNS = 30;
/** Below this the list hides, and takes the whole window when it is asked for. */
export const WIDE_COLUMNS_MIN = 80;
const COLUMNS_MIN = 24;
const ROWS_MIN = 8;
const NOTICE_ROWS_MAX = 3;

const RULE: Style = { dim: true };
const HEAD: Style = { bold: true };
const DIM: Style = { dim: true };
const CHOSEN: Style = { inverse: true };
const UNREAD: Style = { bold: true };
const WARNING: Style = { bold: true, fg: 'yellow' };
const LEVEL_STYLES: Readonly<Record<TrustLevel, Style>> = {
  untrusted: { fg: 'red', bold: true },
  basic: { fg: 'gray' },
  verified: { fg: 'cyan' },
  classified: { fg: 'magenta' },
  nato: { fg: 'brightBlue' },
};

export function renderChat(screen: ChatScreen, size: Size, look: Look): Picture {
  const grid = new Grid(size.columns, size.rows);
  if (size.columns < COLUMNS_MIN || size.rows < ROWS_MIN) {
    grid.put(0, 0, 'Make the window larger.');
    return { grid, cursor: undefined, log: [], logHeight: 0 };
  }
  drawMarking(grid, screen.model);
  const isWide = size.columns >= WIDE_COLUMNS_MIN;
  if (isWide) drawSidebar(grid, screen, 0, SIDEBAR_COLUMNS, look);
  if (!isWide && screen.list !== undefined) {
    drawSidebar(grid, screen, 0, size.columns, look);
    return { grid, cursor: listCursor(screen), log: [], logHeight: 0 };
  }
  const left = isWide ? SIDEBAR_COLUMNS + 1 : 0;
  if (isWide) for (let y = 1; y < size.rows - 1; y += 1) grid.put(SIDEBAR_COLUMNS, y, '│', RULE);
  return drawConversation(grid, screen, left, look);
}

/** At the top and at the bottom, always, over nothing: the highest marking that this conversation carries. */
function drawMarking(grid: Grid, { open, ceiling }: ChatModel): void {
  const label = open?.label ?? ceiling;
  if (label === undefined) return;
  const { banner, tone } = MARKINGS[label];
  for (const y of [0, grid.rows - 1]) {
    grid.fill(0, y, grid.columns, { marking: tone });
    grid.put(Math.max(0, Math.floor((grid.columns - banner.length) / 2)), y, banner, { marking: tone });
  }
}

function drawConversation(grid: Grid, screen: ChatScreen, left: number, look: Look): Picture {
  const width = grid.columns - left - 1;
  const notice = noticeLines(screen, width);
  const helpY = grid.rows - 2;
  const inputY = helpY - 1;
  const ruleY = inputY - 1;
  const logTop = 3;
  const logHeight = Math.max(1, ruleY - notice.length - logTop);
  drawHeader(grid, screen, left, look);
  for (const y of [2, ruleY]) grid.fill(left, y, grid.columns, RULE, '─');
  const log = screen.model.open === undefined ? [] : logLines(screen.model.open, width, look.words, screen.newFrom);
  if (screen.panel === undefined) drawLog(grid, screen, { left: left + 1, top: logTop, height: logHeight, ruleY, log });
  else drawPanel(grid, screen.panel, left + 1, logTop, logHeight);
  for (const [i, text] of notice.entries()) {
    grid.put(left + 1, ruleY - notice.length + i, text, screen.notice?.warning ? WARNING : DIM);
  }
  const cursor = drawInput(grid, screen, left + 1, inputY);
  drawHelp(grid, screen, left + 1, helpY);
  return { grid, cursor: screen.list === undefined ? cursor : listCursor(screen), log, logHeight };
}

function noticeLines(screen: ChatScreen, width: number): readonly string[] {
  if (screen.notice === undefined) return [];
  const lines = wrap(`! ${screen.notice.text}`, width - 1);
  return lines.length > NOTICE_ROWS_MAX
    ? [...lines.slice(0, NOTICE_ROWS_MAX - 1), fit(`${lines[NOTICE_ROWS_MAX - 1]}…`, width - 1)]
    : lines;
}

/** Title, people of other organisations, and the trust chip with its word. */
function drawHeader(grid: Grid, { model }: ChatScreen, left: number, look: Look): void {
  const { open } = model;
  if (open === undefined) {
    grid.put(left + 1, 1, 'NORC', HEAD);
    return;
  }
  const chip = chipText(open.level, look);
  const chipX = grid.columns - textWidth(chip) - 1;
  grid.put(chipX, 1, chip, LEVEL_STYLES[open.level]);
  const end = grid.put(left + 1, 1, fit(cleanName(open.title), chipX - left - 3), HEAD);
  const orgs = [...new Set(open.people.flatMap((person) => person.org ?? []))].map(cleanName).join(', ');
  const room = chipX - end - 3;
  if (orgs !== '' && room > 8) grid.put(end + 1, 1, fit(orgs, room), DIM);
}

function chipText(level: TrustLevel, { palette }: Look): string {
  const { bar, ascii, word } = LEVEL_CHIPS[level];
  return `${palette.unicode ? bar : ascii} ${word}`;
}

interface LogPlace {
  readonly left: number;
  readonly top: number;
  readonly height: number;
  /** The rule under it says how much is below. */
  readonly ruleY: number;
  readonly log: readonly LogLine[];
}

function drawLog(grid: Grid, screen: ChatScreen, { left, top, height, ruleY, log }: LogPlace): void {
  const { lines, below } = windowOf(log, screen.anchor, height);
  if (log.length === 0) {
    const text = screen.model.open === undefined ? emptyText(screen.model) : en.noMessages;
    for (const [i, line] of wrap(text, grid.columns - left - 1).entries()) grid.put(left, top + i, line, DIM);
    return;
  }
  // A short log stands at the bottom, by the input.
  const start = top + height - lines.length;
  for (const [i, line] of lines.entries()) putSpans(grid, left, start + i, line.spans);
  if (below > 0) {
    const more = ` ${below === 1 ? 'One more line' : `${below} more lines`} below: Page Down, End `;
    grid.put(Math.max(left, grid.columns - more.length - 2), ruleY, more, CHOSEN);
  }
}

function emptyText(model: ChatModel): string {
  return model.conversations.length === 0
    ? `${en.noConversations} Start one: /new name@organisation`
    : 'Choose a conversation: Ctrl+K, or /to NAME';
}

function putSpans(grid: Grid, x: number, y: number, spans: readonly Span[]): void {
  let at = x;
  for (const span of spans) at = grid.put(at, y, span.text, span.style);
}

function drawPanel(grid: Grid, panel: NonNullable<ChatScreen['panel']>, x: number, y: number, height: number): void {
  const lines = panel.lines.flatMap((line) => wrap(line, grid.columns - x - 1));
  const room = Math.max(1, height - 2);
  const top = Math.min(panel.top, Math.max(0, lines.length - room));
  grid.put(x, y, panel.title, HEAD);
  for (const [i, line] of lines.slice(top, top + room).entries()) grid.put(x, y + 1 + i, line);
  const more =
    lines.length > room
      ? `  Page Up, Page Down: lines ${top + 1} to ${Math.min(lines.length, top + room)} of ${lines.length}`
      : '';
  grid.put(x, y + height - 1, `Esc: back${more}`, DIM);
}

function drawInput(grid: Grid, screen: ChatScreen, x: number, y: number): Point {
  const { open } = screen.model;
  const prompt = open === undefined ? '> ' : `(${MARKINGS[open.label].portion}) > `;
  const start = grid.put(x, y, prompt, HEAD);
  const { text, cursor } = lineWindow(screen.line, grid.columns - start - 1);
  grid.put(start, y, text);
  return { x: Math.min(grid.columns - 1, start + cursor), y };
}

/** The keys that matter now on the left, the connection on the right: its words win when there is no room. */
function drawHelp(grid: Grid, screen: ChatScreen, x: number, y: number): void {
  const state = connectionText(screen.model.connection);
  const isWell = screen.model.connection.state === 'connected';
  const stateX = Math.max(x, grid.columns - textWidth(state) - 1);
  grid.put(stateX, y, state, isWell ? DIM : WARNING);
  const keys =
    screen.list === undefined ? 'F1 help  ^K go to  PgUp older  ^C quit' : 'Enter open  Up Down choose  Esc back';
  const parts = keys.split('  ');
  while (parts.length > 0 && textWidth(parts.join('  ')) > stateX - x - 2) parts.pop();
  grid.put(x, y, parts.join('  '), DIM);
}

const LIST_PROMPT = 'Go to: ';

function listCursor(screen: ChatScreen): Point {
  return { x: 1 + LIST_PROMPT.length + textWidth(screen.list?.typed ?? ''), y: 1 };
}

function drawSidebar(grid: Grid, screen: ChatScreen, x: number, width: number, look: Look): void {
  const { model, list } = screen;
  const last = grid.rows - 2;
  if (list !== undefined) grid.put(x + 1, 1, fit(LIST_PROMPT + list.typed, width - 2), HEAD);
  const rows = sidebarRows(screen);
  let y = list === undefined ? 1 : 2;
  for (const row of rows) {
    if (y > last) break;
    if (typeof row === 'string') grid.put(x + 1, y, row, DIM);
    else
      drawRow(
        grid,
        row,
        { x, y, width, isOpen: row.conversationId === model.open?.conversationId, chosen: row === chosenRow(screen) },
        look,
      );
    y += 1;
  }
  if (rows.length === 0)
    grid.put(x + 1, y, fit(list === undefined ? en.noConversations : 'Nothing matches.', width - 2), DIM);
}

/** Headings and conversations; what needs somebody first. */
function sidebarRows({ model, list }: ChatScreen): readonly (string | ConversationSummary)[] {
  if (list !== undefined) return matching(model.conversations, list.typed);
  const urgent = model.conversations.filter(needsAttention);
  const rest = model.conversations.filter((one) => !needsAttention(one));
  return [
    ...(urgent.length > 0 ? ['Needs attention', ...urgent] : []),
    ...(rest.length > 0 ? ['Conversations', ...rest] : []),
  ];
}

export function needsAttention(one: ConversationSummary): boolean {
  return one.failed > 0 || one.standing === 'paused' || one.standing === 'closed';
}

/** Which conversation Enter would open. */
export function chosenRow({ model, list }: ChatScreen): ConversationSummary | undefined {
  if (list === undefined) return undefined;
  const rows = matching(model.conversations, list.typed);
  return rows[Math.max(0, Math.min(rows.length - 1, list.index))];
}

interface RowPlace {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly isOpen: boolean;
  readonly chosen: boolean;
}

/** Level bar, title, and on the right what is new: a number only for direct messages and mentions. */
function drawRow(grid: Grid, row: ConversationSummary, place: RowPlace, look: Look): void {
  const { x, y, width } = place;
  const { unread, level } = row;
  const right = rowMark(row, look);
  const style = place.chosen ? CHOSEN : unread.count > 0 ? UNREAD : PLAIN;
  if (place.chosen) grid.fill(x, y, x + width, CHOSEN);
  grid.put(x, y, place.isOpen ? '>' : ' ', place.chosen ? CHOSEN : HEAD);
  const { bar, ascii } = LEVEL_CHIPS[row.standing === 'left' || row.standing === 'closed' ? 'untrusted' : level];
  grid.put(x + 1, y, look.palette.unicode ? bar : ascii, place.chosen ? CHOSEN : LEVEL_STYLES[level]);
  const titleWidth = width - 4 - textWidth(right) - 1;
  grid.put(x + 3, y, pad(cleanName(row.title), titleWidth), style);
  grid.put(x + width - textWidth(right) - 1, y, right, needsAttention(row) ? WARNING : style);
}

function rowMark(row: ConversationSummary, { palette }: Look): string {
  if (needsAttention(row)) return '!';
  if (row.unread.mentions > 0) return `@${row.unread.mentions}`;
  if (row.unread.count === 0) return '';
  if (row.kind === 'direct') return String(row.unread.count);
  return palette.unicode ? '•' : '*';
}
