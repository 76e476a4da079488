import { type ConfigProblem, describeFound } from './problem.ts';
import { suggest } from './suggest.ts';
import { isTable, type RawTable } from './table.ts';
import type { LineOf } from './trust-policy-lines.ts';
import { type Fields, isSetting, type Shape, type Table, type Tables, type ValuesOf } from './trust-policy-shape.ts';

/** Reads a parsed file into the values of its shape, and lists everything that is wrong in it. */
export class ShapeReader {
  readonly problems: ConfigProblem[] = [];
  readonly #file: string;
  readonly #folder: string;
  readonly #lineOf: LineOf;

  constructor(file: string, folder: string, lineOf: LineOf) {
    this.#file = file;
    this.#folder = folder;
    this.#lineOf = lineOf;
  }

  /** `path` is where it stands in the file, `place` where a line is looked for when they differ. */
  wrong(path: string, problem: Pick<ConfigProblem, 'found' | 'allowed'>, place = path): void {
    const line = this.#lineOf(place);
    const source = line === undefined ? this.#file : `${this.#file}, line ${line}`;
    this.problems.push({ source, key: path, ...problem });
  }

  /** Wrong and absent values become what they fall back to: the caller looks at `problems` first. */
  read<F extends Fields>(fields: F, raw: RawTable): ValuesOf<F> {
    return this.#fields(fields, raw, '') as ValuesOf<F>; // each value was read by the shape that gives it its type
  }

  #fields(fields: Fields, raw: RawTable, path: string): Readonly<Record<string, unknown>> {
    const at = (name: string) => (path === '' ? name : `${path}.${name}`);
    for (const name of Object.keys(raw).filter((written) => !Object.hasOwn(fields, written))) {
      const meant = suggest(name, Object.keys(fields));
      const allowed = meant === undefined ? Object.keys(fields).join(', ') : `did you mean "${meant}"?`;
      this.wrong(at(name), { found: path === '' ? 'an unknown table' : 'an unknown setting', allowed });
    }
    const values = Object.entries(fields).map(([name, shape]) => {
      const given = Object.hasOwn(raw, name) ? raw[name] : undefined;
      return [name, this.#value(shape, given, at(name))] as const;
    });
    return Object.fromEntries(values);
  }

  #value(shape: Shape, given: unknown, path: string): unknown {
    if (isSetting(shape)) {
      if (given === undefined) {
        if (shape.required) this.wrong(path, { found: 'nothing', allowed: shape.allowed });
        return shape.fallback === undefined ? undefined : shape.read(shape.fallback, this.#folder);
      }
      const value = shape.read(given, this.#folder);
      if (value !== undefined) return value;
      this.wrong(path, { found: describeFound(given, shape.secret), allowed: shape.allowed });
      return shape.fallback;
    }
    return shape.kind === 'table' ? this.#table(shape, given, path) : this.#tables(shape, given, path);
  }

  #table({ fields }: Table, given: unknown, path: string): unknown {
    if (given === undefined || isTable(given)) return this.#fields(fields, given ?? {}, path);
    this.wrong(path, { found: describeFound(given, false), allowed: `a table [${path}]` });
    return this.#fields(fields, {}, path);
  }

  #tables({ fields, key, lengthMax }: Tables, given: unknown, path: string): unknown {
    if (given === undefined) return [];
    if (!Array.isArray(given) || !given.every(isTable)) {
      this.wrong(path, { found: describeFound(given, false), allowed: `tables [[${path}]]` });
      return [];
    }
    if (given.length > lengthMax) {
      this.wrong(path, { found: `${given.length} tables`, allowed: `at most ${lengthMax}` });
      return [];
    }
    const seen = new Set<unknown>();
    return given.flatMap((raw, index) => {
      const before = this.problems.length;
      const place = `${path}[${index + 1}]`;
      const values = this.#fields(fields, raw, place);
      const name = values[key];
      if (name !== undefined && seen.has(name)) {
        this.wrong(`${place}.${key}`, { found: `${describeFound(name, false)} again`, allowed: `each ${key} once` });
      }
      seen.add(name);
      return this.problems.length > before ? [] : [values];
    });
  }
}
