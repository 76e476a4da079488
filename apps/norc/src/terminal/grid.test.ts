import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { cursorAt, difference, Grid } from './grid.ts';
import { type Palette, paletteOf, type Style, sgr } from './style.ts';
import { clusters, fit, pad, textWidth, wrap } from './width.ts';

const PALETTE: Palette = { color: true, trueColor: false, unicode: true };

/** A terminal that understands what `difference` writes, and nothing else. */
class Screen {
  readonly cells: string[][];
  styles: string[][];
  #x = 0;
  #y = 0;
  #style = '0';

  constructor(columns: number, rows: number) {
    this.cells = Array.from({ length: rows }, () => new Array<string>(columns).fill('·'));
    this.styles = Array.from({ length: rows }, () => new Array<string>(columns).fill('?'));
  }

  take(bytes: string): void {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the sequences that are allowed
    const pieces = bytes.match(/\u001b\[[?0-9;]*[A-Za-z]|[^\u001b]+/g) ?? [];
    assert.equal(pieces.join(''), bytes, 'only known sequences');
    for (const piece of pieces) this.#piece(piece);
  }

  #piece(piece: string): void {
    if (!piece.startsWith('\u001b')) {
      for (const cluster of clusters(piece)) this.#draw(cluster.text, cluster.width);
      return;
    }
    const final = piece.at(-1);
    const values = piece.slice(2, -1);
    if (final === 'H')
      [this.#y, this.#x] = values.split(';').map((value) => Number(value) - 1) as [number, number]; // written as two numbers
    else if (final === 'm') this.#style = values;
    else assert.match(piece, /\[\?25[lh]$/);
  }

  #draw(text: string, width: number): void {
    const [row, styles] = [this.cells[this.#y], this.styles[this.#y]];
    assert.ok(row !== undefined && styles !== undefined && this.#x + width <= row.length, 'inside the screen');
    row[this.#x] = text;
    styles[this.#x] = this.#style;
    if (width === 2) row[this.#x + 1] = '';
    this.#x += width;
  }

  lines(): string[] {
    return this.cells.map((row) => row.join('').trimEnd());
  }
}

test('text is cut at the border, wide characters whole', () => {
  const grid = new Grid(6, 2);
  assert.equal(grid.put(0, 0, '漢字漢字'), 6);
  assert.equal(grid.put(1, 1, '漢字漢'), 5);
  assert.deepEqual(grid.toLines(), ['漢字漢', ' 漢字']);
});

test('half of a wide character never stays behind', () => {
  const grid = new Grid(6, 1);
  grid.put(0, 0, '漢字漢');
  grid.put(1, 0, 'x');
  grid.put(4, 0, 'y');
  assert.deepEqual(grid.toLines(), [' x字y']);
});

test('what is put on the grid is cleaned: no escape reaches the terminal', () => {
  const grid = new Grid(40, 1);
  grid.put(0, 0, '\u001b]52;c;eA==\u0007 \u202eevil\nline');
  const frame = difference(undefined, grid, PALETTE);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: only our own sequences may be there
  assert.doesNotMatch(frame.replace(/\u001b\[[?0-9;]*[Hmhl]/g, ''), /[\u0000-\u001f\u007f-\u009f]/);
  assert.doesNotMatch(frame, /\u202e/);
});

const style: fc.Arbitrary<Style> = fc.constantFrom<Style>({}, { bold: true }, { fg: 'cyan' }, { inverse: true });
const piece = fc.tuple(
  fc.integer({ min: -1, max: 20 }),
  fc.integer({ min: -1, max: 6 }),
  fc.string({ unit: fc.constantFrom('a', 'b', ' ', '漢', '🚚', 'e\u0301', '👩‍👩‍👧', '🇳🇴'), maxLength: 12 }),
  style,
);

function gridOf(pieces: readonly [number, number, string, Style][]): Grid {
  const grid = new Grid(20, 5);
  for (const [x, y, text, look] of pieces) grid.put(Math.max(0, x), y, text, look);
  return grid;
}

test('applying the difference shows exactly the new screen', () => {
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), fc.array(piece, { maxLength: 12 }), (first, second) => {
      const [before, after] = [gridOf(first), gridOf([...first.slice(2), ...second])];
      const screen = new Screen(20, 5);
      screen.take(difference(undefined, before, PALETTE));
      assert.deepEqual(screen.lines(), before.toLines());
      screen.take(difference(before, after, PALETTE) + cursorAt({ x: 3, y: 4 }));
      assert.deepEqual(screen.lines(), after.toLines());
      for (let y = 0; y < 5; y += 1) {
        for (let x = 0; x < 20; x += 1) {
          const cell = after.cell(x, y);
          if (cell.text !== '') assert.equal(screen.styles[y]?.[x], sgr(cell.style, PALETTE));
        }
      }
    }),
    { numRuns: 300 },
  );
});

test('nothing changed means nothing written, one letter changed means little', () => {
  const grid = gridOf([[0, 0, 'hello', {}]]);
  assert.equal(difference(grid, gridOf([[0, 0, 'hello', {}]]), PALETTE), '');
  const frame = difference(grid, gridOf([[0, 0, 'hellO', {}]]), PALETTE);
  assert.equal(frame, '\u001b[?25l\u001b[1;5H\u001b[0mO\u001b[0m');
});

test('widths: letters, ideographs, emoji, flags, marks, selectors', () => {
  const cases: Readonly<Record<string, number>> = {
    abc: 3,
    漢字: 4,
    '🚚': 2,
    '👩‍👩‍👧': 2,
    '🇳🇴': 2,
    'e\u0301': 1,
    '❤\ufe0f': 1,
    '▁▃▅▇': 4,
    '\u0301': 0,
  };
  for (const [text, width] of Object.entries(cases)) assert.equal(textWidth(text), width, text);
});

test('wrapping keeps every word, in lines that fit', () => {
  assert.deepEqual(wrap('Convoy 28 moved to the depot', 12), ['Convoy 28', 'moved to the', 'depot']);
  assert.deepEqual(wrap('abcdefgh ij', 4), ['abcd', 'efgh', 'ij']);
  assert.deepEqual(wrap('', 4), ['']);
  assert.deepEqual(wrap('a\n\nb', 4), ['a', '', 'b']);
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom('a', ' ', '漢', '\n', '🚚') }),
      fc.integer({ min: 2, max: 9 }),
      (text, width) => {
        const lines = wrap(text, width);
        assert.ok(lines.every((line) => textWidth(line) <= width));
        assert.equal(lines.join('').replaceAll(' ', ''), text.replaceAll('\n', '').replaceAll(' ', ''));
      },
    ),
  );
});

test('fitting and padding', () => {
  assert.equal(fit('logistics', 5), 'logi…');
  assert.equal(fit('漢字漢字', 5), '漢字…');
  assert.equal(fit('x', 0), '');
  assert.equal(pad('ab', 4), 'ab  ');
  assert.equal(textWidth(pad('漢字', 3)), 3);
});

test('colors follow NO_COLOR and COLORTERM, and a marking stays visible without them', () => {
  assert.equal(sgr({ fg: 'cyan', bold: true }, PALETTE), '0;1;36');
  assert.equal(sgr({ fg: 'cyan', bold: true }, { ...PALETTE, color: false }), '0;1');
  assert.equal(sgr({ marking: 'secret' }, { ...PALETTE, color: false }), '0;1;7');
  assert.equal(sgr({ marking: 'secret' }, { ...PALETTE, trueColor: true }), '0;1;48;2;200;16;46;38;2;255;255;255');
  assert.equal(paletteOf({ NO_COLOR: '1' }).color, false);
  assert.equal(paletteOf({ NO_COLOR: '' }).color, true);
  assert.equal(paletteOf({ COLORTERM: 'truecolor' }).trueColor, true);
});
