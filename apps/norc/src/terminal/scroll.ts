import type { LogLine } from './chat-log.ts';

/**
 * Where the reader is: the line at the bottom of the window, named by its item, so
 * that messages that come in below or are loaded above do not move what is read.
 * Absent: at the end, following.
 */
export interface Anchor {
  readonly key: string;
  /** Lines of the same item below the anchored one. */
  readonly below: number;
}

/** Index after the last visible line. */
export function bottomOf(lines: readonly LogLine[], anchor: Anchor | undefined): number {
  if (anchor === undefined) return lines.length;
  const last = lines.findLastIndex((line) => line.key === anchor.key);
  return last < 0 ? lines.length : Math.max(1, last + 1 - anchor.below);
}

/** `by` lines down (negative: up) in a window of `height`. At the end it follows again. */
export function scrolled(
  lines: readonly LogLine[],
  anchor: Anchor | undefined,
  height: number,
  by: number,
): Anchor | undefined {
  const bottom = Math.max(Math.min(height, lines.length), Math.min(lines.length, bottomOf(lines, anchor) + by));
  if (bottom >= lines.length) return undefined;
  const key = lines[bottom - 1]?.key;
  if (key === undefined) return undefined;
  return { key, below: lines.findLastIndex((line) => line.key === key) - (bottom - 1) };
}

/** The lines in a window of `height`, and whether there are lines above and below it. */
export function windowOf(lines: readonly LogLine[], anchor: Anchor | undefined, height: number) {
  const bottom = Math.max(bottomOf(lines, anchor), Math.min(height, lines.length));
  const top = Math.max(0, bottom - height);
  return { lines: lines.slice(top, bottom), above: top, below: lines.length - bottom };
}
