import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { frames } from './frames.ts';
import { handshakes } from './handshakes.ts';
import { idle } from './idle.ts';
import { mls } from './mls.ts';
import { parts } from './parts.ts';
import { relay } from './relay.ts';
import { revocation } from './revocation.ts';
import { storage } from './storage.ts';
import type { Question, RunOptions } from './support/question.ts';
import { type Line, machine, medians, tableHead, tableRow } from './support/report.ts';

/*
 * npm run bench [-- QUESTION …] [--quick] [--seconds N] [--runs N] [--only PART] [--out FILE] [--profile FOLDER]
 *
 * One table for people; then every line of it as JSON, with the machine it was taken on.
 */

const QUESTIONS: readonly Question[] = [frames, handshakes, mls, storage, relay, parts, idle, revocation];

const HELP = `npm run bench -- [question ...] [options]

Questions (all when none is named):
${QUESTIONS.map(({ name, about }) => `  ${name.padEnd(12)}${about}`).join('\n')}

Options:
  --quick           everything once, briefly: shows that it works, not how fast
  --seconds N       length of each measured phase (default 5)
  --runs N          everything N times; figures are medians (default 1)
  --only PART       only lines of 'relay' and 'storage' whose name has this part
  --out FILE        write the JSON lines there too
  --profile FOLDER  CPU profiles of every process, for the developer tools of a browser
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    seconds: { type: 'string' },
    runs: { type: 'string', default: '1' },
    only: { type: 'string' },
    out: { type: 'string' },
    profile: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});

function optionsOf(): RunOptions {
  const seconds = Number(values.seconds ?? (values.quick ? 0.05 : 5));
  if (!(seconds > 0)) throw new RangeError('--seconds needs a number above 0');
  return {
    ...{ seconds, quick: values.quick },
    ...(values.only === undefined ? {} : { only: values.only }),
    ...(values.profile === undefined ? {} : { profileFolder: resolve(values.profile) }),
  };
}

async function main(): Promise<void> {
  if (values.help) return console.log(HELP);
  const unknown = positionals.find((name) => !QUESTIONS.some((question) => question.name === name));
  if (unknown !== undefined) throw new RangeError(`no question '${unknown}'\n\n${HELP}`);
  const lines: (Line & { readonly bench: string })[] = [];
  console.log(tableHead());
  for (const question of QUESTIONS) {
    if (positionals.length > 0 && !positionals.includes(question.name)) continue;
    for await (const line of answers(question)) {
      console.log(tableRow(line));
      lines.push({ bench: question.name, ...line });
    }
  }
  const about = machine();
  const json = lines.map((line) => JSON.stringify({ ...line, ...about }));
  console.log(`\n${json.join('\n')}`);
  if (values.out !== undefined) await save(values.out, json);
}

/** One run shows its lines as they come; of several, only the medians are worth showing. */
async function* answers(question: Question): AsyncIterable<Line> {
  const runs = Number(values.runs);
  if (!Number.isInteger(runs) || runs < 1) throw new RangeError('--runs needs a whole number above 0');
  if (runs === 1) {
    yield* question.run(optionsOf());
    return;
  }
  const all: Line[] = [];
  for (let i = 0; i < runs; i += 1) for await (const line of question.run(optionsOf())) all.push(line);
  yield* medians(all);
}

async function save(file: string, json: readonly string[]): Promise<void> {
  await mkdir(dirname(resolve(file)), { recursive: true });
  await writeFile(file, `[\n${json.join(',\n')}\n]\n`);
}

try {
  await main();
} catch (error) {
  console.error(error instanceof RangeError ? `bench: ${error.message}` : error);
  process.exitCode = 1;
}
