// npm test: types, lint and format, then every test file, in parallel processes.
// `npm test -- PATH …` runs only the test files below those paths.
// NORC_TEST_SEED chooses what the property tests draw (tools/test-setup.mjs).
// NORC_STRICT=1 (set by .ci/run) turns every skipped test into a failure.
import { spawn } from 'node:child_process';
import { globSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { runCheck } from './checks.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const chosen = process.argv.slice(2).filter((argument) => !argument.startsWith('--'));

if (chosen.length === 0) {
  for (const check of ['types', 'lint']) {
    const failed = runCheck(check);
    if (failed !== undefined) process.exit(failed.status ?? 1);
  }
}

const files = globSync(['packages/**/*.test.ts', 'apps/**/*.test.ts', 'tests/**/*.test.ts'], {
  cwd: root,
  exclude: (name) => name === 'node_modules',
})
  .filter((file) => chosen.length === 0 || chosen.some((prefix) => file.startsWith(prefix.replace(/\/$/, ''))))
  .sort();
if (files.length === 0) {
  console.error(`npm test: no test file below ${chosen.join(' ')}`);
  process.exit(1);
}

const child = spawn(
  process.execPath,
  [
    '--disable-warning=ExperimentalWarning',
    `--import=${pathToFileURL(join(root, 'tools', 'test-setup.mjs'))}`,
    '--test',
    `--test-concurrency=${Math.max(2, availableParallelism())}`,
    `--test-reporter=${join(root, 'tools', 'test-reporter.mjs')}`,
    ...files,
  ],
  { cwd: root, stdio: 'inherit' },
);
child.on('exit', (code) => process.exit(code ?? 1));
