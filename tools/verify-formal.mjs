// npm run verify:formal: runs ProVerif over spec/formal and compares every result with
// spec/formal/expected.json. `npm run verify:formal -- revocation.pv …` runs only those.
// Without ProVerif there is nothing to compare: skipped, and a failure with NORC_STRICT=1.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const folder = join(import.meta.dirname, '..', 'spec', 'formal');
const MODEL_MILLISECONDS_MAX = 1_800_000;
const OUTPUT_BYTES_MAX = 256 * 1024 * 1024;

const expected = JSON.parse(readFileSync(join(folder, 'expected.json'), 'utf8'));
const chosen = process.argv.slice(2).filter((argument) => !argument.startsWith('--'));
const models = expected.models.filter(({ file }) => chosen.length === 0 || chosen.includes(file));
if (models.length === 0) fail(`no model is called ${chosen.join(', ')}`);

const version = proverifVersion();
if (version === undefined) {
  console.log(`verify:formal: skipped, no \`proverif\` on the PATH.
The models are for ProVerif ${expected.proverif}: https://proverif.inria.fr, or \`opam install proverif.${expected.proverif}\`.`);
  process.exit(process.env.NORC_STRICT === '1' ? 1 : 0);
}
console.log(
  `ProVerif ${version}${version === expected.proverif ? '' : ` (the results are those of ${expected.proverif})`}`,
);

const differing = models.filter((model) => !agrees(model));
if (differing.length > 0) fail(`not as expected: ${differing.map(({ file }) => file).join(', ')}`);
console.log(`All ${models.flatMap(({ queries }) => queries).length} results are as expected.`);

function proverifVersion() {
  const { error, stdout } = spawnSync('proverif', ['-help'], { encoding: 'utf8' });
  return error === undefined ? (/Proverif ([0-9.]*[0-9])/i.exec(stdout)?.[1] ?? 'of unknown version') : undefined;
}

function agrees({ file, queries }) {
  const started = performance.now();
  const run = spawnSync('proverif', [join(folder, file)], {
    encoding: 'utf8',
    timeout: MODEL_MILLISECONDS_MAX,
    maxBuffer: OUTPUT_BYTES_MAX,
  });
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const results = resultsIn(run.stdout ?? '');
  console.log(`\n${file}  ${seconds} s`);
  for (const [index, query] of queries.entries()) {
    const result = results[index] ?? 'no result';
    const mark = result === query.expected ? 'as expected' : `EXPECTED ${query.expected}`;
    console.log(`  ${String(index + 1).padStart(2)}  ${result.padEnd(16)} ${mark.padEnd(15)} ${query.words}`);
  }
  const same = results.length === queries.length && queries.every(({ expected: one }, index) => results[index] === one);
  if (!same && results.length === 0) console.log((run.error?.message ?? run.stdout + run.stderr).slice(-2000));
  return same;
}

/** In the order of the file. What ProVerif adds in brackets about weaker queries is not ours. */
function resultsIn(output) {
  return output
    .split('\n')
    .filter((line) => line.startsWith('RESULT ') && !line.startsWith('RESULT ('))
    .map((line) => / is (true|false)\.$/.exec(line)?.[1] ?? 'cannot be proved');
}

function fail(message) {
  console.error(`verify:formal: ${message}`);
  process.exit(1);
}
