import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { announcedTables, registry, registryNames, specFiles, withRegistryRows } from './registry-tables.ts';

const root = new URL('../../', import.meta.url);
const files = specFiles();

for (const file of files) {
  test(`spec/${file.name}: registry tables are the registry's (run tests/spec/registry-tables.ts to write them)`, () => {
    assert.equal(withRegistryRows(file), file.text);
  });
}

/** `spec/wire section 2` names the document that shows the list whole. */
test('every registry list is shown whole in the document that its registry names', () => {
  for (const name of registryNames()) {
    const content = registry(name);
    const source = /^spec\/([a-z0-9-]+)/.exec(String(content['source']))?.[1];
    const document = files.find((file) => file.name === `${source}.md`);
    assert.ok(document !== undefined, `${name}.json names ${source}.md, which is not there`);
    const shown = announcedTables(document)
      .filter((table) => table.registry === name && !table.filtered)
      .map((table) => table.list);
    const lists = Object.keys(content).filter((key) => Array.isArray(content[key]));
    assert.deepEqual(new Set(shown), new Set(lists), `spec/${document.name} and ${name}.json`);
  }
});

/** What tells the rows of a list apart, besides their names. */
const NUMBERS = new Map([
  ['errors', 'code'],
  ['message-types', 'code'],
  ['suites', 'id'],
]);

test('names and numbers of a registry list are used once', () => {
  for (const name of registryNames()) {
    for (const list of Object.values(registry(name)).filter(Array.isArray)) {
      for (const field of ['name', NUMBERS.get(name) ?? 'name']) {
        const values = list.map((row) => (typeof row === 'object' ? row[field] : row));
        assert.ok(!values.includes(undefined), `${name}.json has a row without a ${field}`);
        assert.equal(new Set(values).size, values.length, `${name}.json repeats a ${field}`);
      }
    }
  }
});

/** A rule starts a line or a list item: its id in brackets, then what MUST be. */
const RULE = /^(?:[-*] |\d+\. )?\*{0,2}\[([A-Z][A-Z0-9]*(?:-[A-Z]+)*-\d+)\]/;
const CITATION = /\[([A-Z][A-Z0-9]*(?:-[A-Z]+)*-\d+)\](?!\()/g;

const rules = files.flatMap((file) =>
  file.text.split('\n').flatMap((line) => {
    const id = RULE.exec(line)?.[1];
    return id === undefined ? [] : [{ id, file: file.name }];
  }),
);
const ruleIds = new Set(rules.map((rule) => rule.id));

test('every rule id is defined once', () => {
  const twice = rules.filter((rule, i) => rules.findIndex((other) => other.id === rule.id) !== i);
  assert.deepEqual(twice, []);
});

test('a rule that is cited is there', () => {
  const sources = globSync('{spec/**/*.md,packages/*/src/**/*.ts,apps/*/src/**/*.ts,tests/**/*.ts}', { cwd: root });
  const dangling = sources.flatMap((path) => {
    const cited = readFileSync(new URL(path, root), 'utf8').matchAll(CITATION);
    return [...cited]
      .map((match) => match[1] ?? '')
      .filter((id) => !ruleIds.has(id))
      .map((id) => `${path}: ${id}`);
  });
  assert.deepEqual(dangling, []);
});

/** Prefixes whose every rule must be quoted by a test. */
const PROVEN = ['WIRE', 'CERT', 'TRUST', 'AUDIT', 'ROOT'];

test('every rule of a proven prefix is quoted by a test', () => {
  const tests = globSync('{packages/*/src/**/*.test.ts,tests/**/*.test.ts}', { cwd: root });
  const text = tests.map((path) => readFileSync(new URL(path, root), 'utf8')).join('\n');
  const quoted = new Set([...text.matchAll(CITATION)].map((match) => match[1]));
  const missing = [...ruleIds].filter((id) => PROVEN.includes(id.split('-')[0] ?? '') && !quoted.has(id));
  assert.deepEqual(missing, []);
});
