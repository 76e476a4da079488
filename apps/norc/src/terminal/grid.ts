import { cleanLine } from './clean.ts';
import { type Palette, PLAIN, type Style, sgr } from './style.ts';
import { clusters } from './width.ts';

interface Cell {
  /** Empty for the second half of a wide character. */
  readonly text: string;
  readonly style: Style;
  readonly uncertain: boolean;
}

const BLANK: Cell = { text: ' ', style: PLAIN, uncertain: false };
const ESC = '\u001b';

export interface Point {
  readonly x: number;
  readonly y: number;
}

/** A screen of cells, drawn in memory. Everything that is put on it is cleaned here: there is no other way to the terminal. */
export class Grid {
  readonly columns: number;
  readonly rows: number;
  readonly #cells: Cell[];

  constructor(columns: number, rows: number) {
    this.columns = columns;
    this.rows = rows;
    this.#cells = new Array<Cell>(columns * rows).fill(BLANK);
  }

  /** Draws one line from (x, y), cut at `xEnd` (not included) and at the border. Returns the x after it. */
  put(x: number, y: number, text: string, style: Style = PLAIN, xEnd: number = this.columns): number {
    const end = Math.min(xEnd, this.columns);
    let at = x;
    if (y < 0 || y >= this.rows) return at;
    for (const cluster of clusters(cleanLine(text))) {
      if (at + cluster.width > end) break;
      this.#set(at, y, { text: cluster.text, style, uncertain: cluster.uncertain });
      if (cluster.width === 2) this.#set(at + 1, y, { text: '', style, uncertain: false });
      at += cluster.width;
    }
    return at;
  }

  fill(x: number, y: number, xEnd: number, style: Style, text = ' '): void {
    for (let at = x; at < Math.min(xEnd, this.columns); at += 1) this.put(at, y, text, style);
  }

  /** Half of a wide character never stays behind. */
  #set(x: number, y: number, cell: Cell): void {
    const index = y * this.columns + x;
    const isSecondHalf = cell.text === '';
    if (this.#cells[index]?.text === '' && !isSecondHalf && x > 0) this.#cells[index - 1] = BLANK;
    if (x + 1 < this.columns && this.#cells[index + 1]?.text === '' && this.#cells[index]?.text !== '') {
      this.#cells[index + 1] = BLANK;
    }
    this.#cells[index] = cell;
  }

  cell(x: number, y: number): Cell {
    return this.#cells[y * this.columns + x] ?? BLANK;
  }

  /** Text only, without trailing spaces: what a snapshot compares. */
  toLines(): readonly string[] {
    return Array.from({ length: this.rows }, (_, y) =>
      Array.from({ length: this.columns }, (__, x) => this.cell(x, y).text)
        .join('')
        .trimEnd(),
    );
  }
}

/**
 * The bytes that turn the screen that shows `before` into `after`: one write per frame,
 * only what changed. Without `before`, or after a resize, every cell is written.
 */
export function difference(before: Grid | undefined, after: Grid, palette: Palette): string {
  const known = before?.columns === after.columns && before.rows === after.rows ? before : undefined;
  const writer = new FrameWriter(palette);
  for (let y = 0; y < after.rows; y += 1) writeRow(writer, known, after, y);
  return writer.finish();
}

/** Where the user writes; without a place the cursor stays hidden. */
export function cursorAt(cursor: Point | undefined): string {
  return cursor === undefined ? `${ESC}[?25l` : `${ESC}[${cursor.y + 1};${cursor.x + 1}H${ESC}[?25h`;
}

function writeRow(writer: FrameWriter, before: Grid | undefined, after: Grid, y: number): void {
  let rest = false;
  for (let x = 0; x < after.columns; x += 1) {
    const cell = after.cell(x, y);
    const old = before?.cell(x, y);
    const changed = old === undefined || old.text !== cell.text || !writer.sameStyle(old.style, cell.style);
    // A terminal that draws such a character wider than we count has covered its neighbours: draw them again.
    if (changed && (cell.uncertain || old?.uncertain)) rest = true;
    if (changed || rest) writer.write(x, y, cell);
  }
}

class FrameWriter {
  readonly #palette: Palette;
  readonly #codes = new Map<Style, string>();
  #text = '';
  #x = -1;
  #y = -1;
  #style = '';

  constructor(palette: Palette) {
    this.#palette = palette;
  }

  sameStyle(a: Style, b: Style): boolean {
    return a === b || this.#code(a) === this.#code(b);
  }

  write(x: number, y: number, cell: Cell): void {
    if (cell.text === '') return;
    if (x !== this.#x || y !== this.#y) this.#text += `${ESC}[${y + 1};${x + 1}H`;
    const code = this.#code(cell.style);
    if (code !== this.#style) {
      this.#text += `${ESC}[${code}m`;
      this.#style = code;
    }
    this.#text += this.#palette.unicode ? cell.text : asciiOf(cell.text);
    // After anything but a plain narrow character the next cell is placed anew.
    this.#x = cell.uncertain || cell.text.charCodeAt(0) >= 0x1100 ? -1 : x + 1;
    this.#y = y;
  }

  /** The cursor is hidden while the frame is drawn, and the style left as it was found. */
  finish(): string {
    return this.#text === '' ? '' : `${ESC}[?25l${this.#text}${ESC}[0m`;
  }

  #code(style: Style): string {
    const known = this.#codes.get(style);
    if (known !== undefined) return known;
    const code = sgr(style, this.#palette);
    this.#codes.set(style, code);
    return code;
  }
}

const ASCII_FORMS: Readonly<Record<string, string>> = {
  '│': '|',
  '─': '-',
  '•': '*',
  '…': '.',
  '⏎': '^',
  '↪': '>',
  '·': '-',
};

/** For terminals of another character set: as many cells, and never a byte that means something else there. */
function asciiOf(text: string): string {
  const point = text.codePointAt(0) ?? 0;
  if (point < 0x7f) return text;
  return ASCII_FORMS[text] ?? '?';
}
