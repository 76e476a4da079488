import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { ERRORS, type ErrorName, fromHex, type Reject, type Result } from '@norc/protocol/base';
import { isJsonObject, type JsonObject, type JsonValue, parseJson } from '@norc/protocol/wire';
import { outdated, type VectorFile } from '../../vectors/generate/files.ts';

/**
 * Runs `vectors/<area>/valid/*.json` and `vectors/<area>/invalid/*.json` (format:
 * vectors/README.md). A file's name without `.json` is its kind; a kind has one
 * runner, a runner has one file, and nothing else may lie in the folders.
 */
export interface VectorRunners {
  /** Asserts what the case says. */
  readonly valid: Readonly<Record<string, (vector: VectorCase) => void | Promise<void>>>;
  /** Returns what the code under test made of the case; it must be the refusal that the case names. */
  readonly invalid: Readonly<Record<string, (vector: VectorCase) => Result<unknown> | Promise<Result<unknown>>>>;
}

/** `generated`: what the area's generator gives; the files must be exactly that. */
export function runVectors(area: string, runners: VectorRunners, generated: readonly VectorFile[]): void {
  test(`vectors/${area}: the files are what the generator writes`, () => {
    assert.deepEqual(outdated(area, generated), []);
  });
  for (const [kind, vectors] of load(area, 'valid', Object.keys(runners.valid))) {
    for (const vector of vectors) {
      test(`vectors/${area}/valid/${kind}: ${vector.name}`, () => runners.valid[kind]?.(vector));
    }
  }
  for (const [kind, vectors] of load(area, 'invalid', Object.keys(runners.invalid))) {
    for (const vector of vectors) {
      test(`vectors/${area}/invalid/${kind}: ${vector.name}`, async () => {
        assertRefused(await runners.invalid[kind]?.(vector), vector.error());
      });
    }
  }
}

function assertRefused(result: Result<unknown, Reject> | undefined, expected: ErrorName): void {
  assert.ok(result !== undefined && !result.ok, 'the case was accepted');
  assert.equal(result.error.code, expected, result.error.detail);
}

type Outcome = 'valid' | 'invalid';

function load(area: string, outcome: Outcome, kinds: readonly string[]): [string, readonly VectorCase[]][] {
  const folder = new URL(`../../vectors/${area}/${outcome}/`, import.meta.url);
  const found = readdirSync(folder).sort();
  const expected = kinds.map((kind) => `${kind}.json`).sort();
  test(`vectors/${area}/${outcome}: every file has a runner, every runner a file`, () => {
    assert.deepEqual(found, expected);
  });
  return kinds
    .filter((kind) => found.includes(`${kind}.json`))
    .map((kind) => [kind, casesOf(readFileSync(new URL(`${kind}.json`, folder)), `${area}/${outcome}/${kind}`)]);
}

/** Vector files are large and hold JSON of any shape, but they are strict JSON. */
const FILE_LIMITS = { bytesMax: 64 * 1024 * 1024, depthMax: 64 };

function casesOf(file: Uint8Array, where: string): readonly VectorCase[] {
  const parsed = parseJson(file, FILE_LIMITS);
  assert.ok(parsed.ok, `${where} is not strict JSON`);
  const document = new VectorCase(parsed.value, where);
  document.text('about');
  const cases = document.list('cases').map((value) => new VectorCase(value, where));
  assert.ok(cases.length > 0, `${where} has no cases`);
  assert.equal(new Set(cases.map((one) => one.name)).size, cases.length, `${where} names a case twice`);
  return cases;
}

/** One case, read by field. A field that is absent or of another type fails the test. */
export class VectorCase {
  readonly fields: JsonObject;
  readonly #where: string;

  constructor(value: JsonValue, where: string) {
    assert.ok(isJsonObject(value), `${where}: a case is an object`);
    this.fields = value;
    this.#where = where;
  }

  get name(): string {
    return this.text('name');
  }

  has(field: string): boolean {
    return Object.hasOwn(this.fields, field);
  }

  json(field: string): JsonValue {
    const value = this.fields[field];
    assert.ok(value !== undefined, `${this.#where}: field ${field} is absent`);
    return value;
  }

  text(field: string): string {
    const value = this.json(field);
    assert.ok(typeof value === 'string', `${this.#where}: field ${field} is not a text`);
    return value;
  }

  /** Bytes, written as hexadecimal. */
  hex(field: string): Uint8Array {
    const bytes = fromHex(this.text(field));
    assert.ok(bytes !== undefined, `${this.#where}: field ${field} is not hexadecimal`);
    return bytes;
  }

  number(field: string): number {
    const value = this.json(field);
    assert.ok(typeof value === 'number', `${this.#where}: field ${field} is not a number`);
    return value;
  }

  bool(field: string): boolean {
    const value = this.json(field);
    assert.ok(typeof value === 'boolean', `${this.#where}: field ${field} is not a boolean`);
    return value;
  }

  list(field: string): readonly JsonValue[] {
    const value = this.json(field);
    assert.ok(Array.isArray(value), `${this.#where}: field ${field} is not a list`);
    return value;
  }

  /** A nested object, read the same way. */
  object(field: string): VectorCase {
    return new VectorCase(this.json(field), `${this.#where} ${field}`);
  }

  /** The registry error that an invalid case must give. */
  error(): ErrorName {
    const name = this.text('error');
    assert.ok(isErrorName(name), `${this.#where}: ${name} is not in the error registry`);
    return name;
  }
}

function isErrorName(name: string): name is ErrorName {
  return Object.hasOwn(ERRORS, name);
}
