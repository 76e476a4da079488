/** How many cells of a terminal a text takes. */
export interface Cluster {
  /** One user-perceived character. */
  readonly text: string;
  readonly width: 1 | 2;
  /** Terminals disagree about its width: what follows must be placed anew. */
  readonly uncertain: boolean;
}

/** Code points that are two cells wide (Unicode 16, East Asian Width W and F), as pairs of first and last. */
const WIDE: readonly (readonly [number, number])[] = [
  [0x1100, 0x115f],
  [0x231a, 0x231b],
  [0x2329, 0x232a],
  [0x23e9, 0x23ec],
  [0x23f0, 0x23f0],
  [0x23f3, 0x23f3],
  [0x25fd, 0x25fe],
  [0x2614, 0x2615],
  [0x2630, 0x2637],
  [0x2648, 0x2653],
  [0x267f, 0x267f],
  [0x268a, 0x268f],
  [0x2693, 0x2693],
  [0x26a1, 0x26a1],
  [0x26aa, 0x26ab],
  [0x26bd, 0x26be],
  [0x26c4, 0x26c5],
  [0x26ce, 0x26ce],
  [0x26d4, 0x26d4],
  [0x26ea, 0x26ea],
  [0x26f2, 0x26f3],
  [0x26f5, 0x26f5],
  [0x26fa, 0x26fa],
  [0x26fd, 0x26fd],
  [0x2705, 0x2705],
  [0x270a, 0x270b],
  [0x2728, 0x2728],
  [0x274c, 0x274c],
  [0x274e, 0x274e],
  [0x2753, 0x2755],
  [0x2757, 0x2757],
  [0x2795, 0x2797],
  [0x27b0, 0x27b0],
  [0x27bf, 0x27bf],
  [0x2b1b, 0x2b1c],
  [0x2b50, 0x2b50],
  [0x2b55, 0x2b55],
  [0x2e80, 0x303e],
  [0x3041, 0x33ff],
  [0x3400, 0x4dbf],
  [0x4dc0, 0xa4cf],
  [0xa960, 0xa97f],
  [0xac00, 0xd7a3],
  [0xf900, 0xfaff],
  [0xfe10, 0xfe19],
  [0xfe30, 0xfe6f],
  [0xff01, 0xff60],
  [0xffe0, 0xffe6],
  [0x16fe0, 0x18dff],
  [0x1aff0, 0x1b2ff],
  [0x1d300, 0x1d376],
  [0x1f004, 0x1f004],
  [0x1f0cf, 0x1f0cf],
  [0x1f18e, 0x1f18e],
  [0x1f191, 0x1f19a],
  [0x1f200, 0x1f265],
  [0x1f300, 0x1f320],
  [0x1f32d, 0x1f335],
  [0x1f337, 0x1f37c],
  [0x1f37e, 0x1f393],
  [0x1f3a0, 0x1f3ca],
  [0x1f3cf, 0x1f3d3],
  [0x1f3e0, 0x1f3f0],
  [0x1f3f4, 0x1f3f4],
  [0x1f3f8, 0x1f43e],
  [0x1f440, 0x1f440],
  [0x1f442, 0x1f4fc],
  [0x1f4ff, 0x1f53d],
  [0x1f54b, 0x1f54e],
  [0x1f550, 0x1f567],
  [0x1f57a, 0x1f57a],
  [0x1f595, 0x1f596],
  [0x1f5a4, 0x1f5a4],
  [0x1f5fb, 0x1f64f],
  [0x1f680, 0x1f6c5],
  [0x1f6cc, 0x1f6cc],
  [0x1f6d0, 0x1f6d2],
  [0x1f6d5, 0x1f6df],
  [0x1f6eb, 0x1f6ec],
  [0x1f6f4, 0x1f6fc],
  [0x1f7e0, 0x1f7f0],
  [0x1f90c, 0x1f93a],
  [0x1f93c, 0x1f945],
  [0x1f947, 0x1f9ff],
  [0x1fa70, 0x1faff],
  [0x20000, 0x3fffd],
];

const segmenter = new Intl.Segmenter('en', { granularity: 'grapheme' });
const ZERO_WIDTH = /^[\p{Mn}\p{Me}\p{Cf}]/u;
const FLAG = /^\p{RI}/u;
const SELECTOR = /\ufe0f/g;
const ASCII = /^[\u0020-\u007e]*$/;

/**
 * Cleaned text (clean.ts) as cells. A variation selector that would only make a narrow
 * sign wide is dropped: no two terminals agree on it. Marks without a letter are dropped.
 */
export function clusters(text: string): readonly Cluster[] {
  if (ASCII.test(text)) return Array.from(text, (letter) => ({ text: letter, width: 1, uncertain: false }));
  const list: Cluster[] = [];
  for (const { segment } of segmenter.segment(text)) {
    const cluster = clusterOf(segment);
    if (cluster !== undefined) list.push(cluster);
  }
  return list;
}

function clusterOf(segment: string): Cluster | undefined {
  if (ZERO_WIDTH.test(segment)) return undefined;
  const point = segment.codePointAt(0) ?? 0;
  const wide = isWide(point) || (FLAG.test(segment) && segment.length > 2);
  const text = wide ? segment : segment.replace(SELECTOR, '');
  return { text, width: wide ? 2 : 1, uncertain: text.length > String.fromCodePoint(point).length };
}

function isWide(point: number): boolean {
  if (point < 0x1100) return false;
  let low = 0;
  let high = WIDE.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    const [first, last] = WIDE[middle] ?? [0, 0];
    if (point < first) high = middle - 1;
    else if (point > last) low = middle + 1;
    else return true;
  }
  return false;
}

/** In cells. */
export function textWidth(text: string): number {
  return clusters(text).reduce((sum, cluster) => sum + cluster.width, 0);
}

/** The longest beginning that fits, with an ellipsis where something was cut. */
export function fit(text: string, width: number): string {
  if (width <= 0) return '';
  const all = clusters(text);
  if (all.reduce((sum, cluster) => sum + cluster.width, 0) <= width) return all.map((cluster) => cluster.text).join('');
  let used = 0;
  let kept = '';
  for (const cluster of all) {
    if (used + cluster.width > width - 1) break;
    used += cluster.width;
    kept += cluster.text;
  }
  return `${kept}…`;
}

/** Filled with spaces, or cut, to exactly `width` cells. */
export function pad(text: string, width: number): string {
  const fitted = fit(text, width);
  return fitted + ' '.repeat(Math.max(0, width - textWidth(fitted)));
}

/**
 * Words on lines of at most `width` cells (at least 2). Line ends in the text end a
 * line; a word longer than a line is cut. Never gives an empty list.
 */
export function wrap(text: string, width: number): readonly string[] {
  return text.split('\n').flatMap((line) => wrapLine(line, Math.max(2, width)));
}

function wrapLine(text: string, width: number): readonly string[] {
  const lines: string[] = [];
  let line = '';
  let used = 0;
  for (const word of text.match(/ +|[^ ]+/g) ?? []) {
    const size = textWidth(word);
    if (used + size > width && used > 0) {
      lines.push(line.trimEnd());
      line = '';
      used = 0;
      if (word.startsWith(' ')) continue;
    }
    if (size <= width) {
      line += word;
      used += size;
      continue;
    }
    const pieces = cutWord(word, width);
    lines.push(...pieces.slice(0, -1));
    line = pieces.at(-1) ?? '';
    used = textWidth(line);
  }
  return [...lines, line];
}

function cutWord(word: string, width: number): readonly string[] {
  const pieces: string[] = [];
  let piece = '';
  let used = 0;
  for (const cluster of clusters(word)) {
    if (used + cluster.width > width) {
      pieces.push(piece);
      piece = '';
      used = 0;
    }
    piece += cluster.text;
    used += cluster.width;
  }
  return [...pieces, piece];
}
