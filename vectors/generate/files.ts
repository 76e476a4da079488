import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** One vector file: `vectors/<area>/<outcome>/<kind>.json`. Bytes are hexadecimal text. */
export interface VectorFile {
  readonly outcome: 'valid' | 'invalid';
  readonly kind: string;
  /** What the fields of a case mean: for somebody who implements from this file. */
  readonly about: string;
  /** Invalid cases name the registry error that a decoder must give. */
  readonly cases: readonly ({ readonly name: string; readonly error?: string } & Readonly<Record<string, unknown>>)[];
}

const root = new URL('../', import.meta.url);

/** Path (relative to `vectors/`) and text of every file of an area. The same on every machine. */
export function render(area: string, files: readonly VectorFile[]): ReadonlyMap<string, string> {
  return new Map(
    files.map(({ outcome, kind, about, cases }) => [
      `${area}/${outcome}/${kind}.json`,
      `${JSON.stringify({ about, cases }, undefined, 1)}\n`,
    ]),
  );
}

/**
 * The last line of a generator: `writeWhenRun(import.meta, 'wire', files)`. Writes the
 * area's files when the generator was started itself, does nothing when it is imported.
 */
export function writeWhenRun(meta: ImportMeta, area: string, files: readonly VectorFile[]): void {
  if (process.argv[1] !== fileURLToPath(meta.url)) return;
  for (const outcome of ['valid', 'invalid']) mkdirSync(new URL(`${area}/${outcome}/`, root), { recursive: true });
  for (const [path, text] of render(area, files)) writeFileSync(new URL(path, root), text);
}

/** Paths whose text on disk is not what the generator gives, or that it does not give at all. */
export function outdated(area: string, files: readonly VectorFile[]): readonly string[] {
  const rendered = render(area, files);
  const onDisk = ['valid', 'invalid'].flatMap((outcome) =>
    readdirSync(new URL(`${area}/${outcome}/`, root)).map((name) => `${area}/${outcome}/${name}`),
  );
  const paths = new Set([...onDisk, ...rendered.keys()]);
  return [...paths].filter(
    (path) => !onDisk.includes(path) || readFileSync(new URL(path, root), 'utf8') !== rendered.get(path),
  );
}
