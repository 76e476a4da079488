import assert from 'node:assert/strict';
import { globSync, readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

/**
 * spec/formal without ProVerif: the models, expected.json (what `npm run verify:formal`
 * compares with), the table in its README and the rules that cite a query agree.
 */

const folder = new URL('../../spec/formal/', import.meta.url);
const read = (name: string): string => readFileSync(new URL(name, folder), 'utf8');

interface Query {
  readonly expected: string;
  readonly words: string;
  readonly rules: readonly string[];
}
interface Model {
  readonly file: string;
  readonly about: string;
  readonly seconds: number;
  readonly queries: readonly Query[];
}
const models: readonly Model[] = JSON.parse(read('expected.json')).models;

test('every model is expected to give something, and nothing else is', () => {
  const files = globSync('**/*.pv', { cwd: folder }).map((name) => name.replaceAll('\\', '/'));
  assert.deepEqual(files.sort(), models.map(({ file }) => file).sort());
});

for (const { file, queries } of models) {
  const text = read(file);

  test(`spec/formal/${file}: each query has its expected result, and its number in the comment above it`, () => {
    const declared = text.match(/^(?:query|lemma)\b/gm) ?? [];
    assert.equal(declared.length, queries.length);
    const numbered = [...text.matchAll(/^\(\* (\d+)(?:(, | to )(\d+))?(?: \(query [^)]*\))?:/gm)].flatMap(
      ([, first, , last]) => {
        const count = Number(last ?? first) - Number(first) + 1;
        return Array.from({ length: count }, (_, index) => Number(first) + index);
      },
    );
    assert.deepEqual(
      numbered,
      queries.map((_, index) => index + 1),
    );
  });

  test(`spec/formal/${file}: true is expected of properties, false of what must be reachable`, () => {
    for (const [index, { expected, words, rules }] of queries.entries()) {
      assert.ok(expected === 'true' || expected === 'false', words);
      assert.equal(rules.length > 0, expected === 'true', `query ${index + 1} and the rules that it supports`);
    }
    const broken = file.startsWith('broken/');
    assert.equal(
      queries.some(({ expected }) => expected === 'true'),
      !broken,
    );
    assert.ok(
      queries.some(({ expected }) => expected === 'false'),
      'a model that cannot complete proves nothing',
    );
  });
}

test('the table in spec/formal/README.md is expected.json', () => {
  const rows = models.flatMap(({ file, seconds, queries }) =>
    queries.map(({ expected, words, rules }, index) => {
      const time = index === 0 ? `${seconds} s` : '';
      return `| [${file}](${file}) | ${index + 1} | ${words} | ${rules.join(', ')} | ${expected} | ${time} |`;
    }),
  );
  const shown = read('README.md')
    .split('\n')
    .filter((line) => /^\| \[\S+\.pv\]/.test(line));
  assert.deepEqual(shown, rows);
});

const RULE = /^(?:[-*] |\d+\. )?\*{0,2}\[([A-Z][A-Z0-9]*-\d+)\]/;

/** `Formal: [revocation.pv](formal/revocation.pv) 1, 4` stands below the rule that these queries support. */
function citations(name: string): readonly string[] {
  let rule = '';
  const cited: string[] = [];
  for (const line of readFileSync(new URL(`../${name}`, folder), 'utf8').split('\n')) {
    rule = RULE.exec(line)?.[1] ?? rule;
    if (!line.startsWith('Formal: ')) continue;
    for (const [, file, target, numbers] of line.matchAll(/\[(\S+\.pv)\]\(formal\/(\S+\.pv)\) (\d+(?:, \d+)*)/g)) {
      assert.equal(file, target, `${name}, below ${rule}`);
      for (const number of (numbers ?? '').split(', ')) cited.push(`${rule}: ${file} ${number}`);
    }
  }
  return cited;
}

test('each property is stated in the specification below the rule that it supports', () => {
  const cited = readdirSync(new URL('../', folder))
    .filter((name) => name.endsWith('.md'))
    .flatMap(citations);
  const supported = models.flatMap(({ file, queries }) =>
    queries.flatMap(({ rules }, index) => rules.map((rule) => `${rule}: ${file} ${index + 1}`)),
  );
  assert.deepEqual(cited.toSorted(), supported.toSorted());
});
