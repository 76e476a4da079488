// The one way in: makes sure the exact dependencies are there (Node 26 among them),
// then runs a task with that Node. Plain JavaScript so that any Node from 20 can start it.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const NODE_MAJOR_MIN = 26;
const root = dirname(dirname(fileURLToPath(import.meta.url)));
const modules = join(root, 'node_modules');
const stamp = join(modules, '.norc-lock');

const [task, ...rest] = process.argv.slice(2);
const TASKS = {
  demo: ['apps/norc/src/main.ts', 'demo'],
  server: ['apps/norc/src/main.ts', 'server'],
  client: ['apps/norc/src/main.ts', 'client'],
  norc: ['apps/norc/src/main.ts'],
  bench: ['bench/run.ts'],
  test: ['tools/test.mjs'],
  typecheck: ['tools/checks.mjs', 'types'],
  lint: ['tools/checks.mjs', 'lint'],
  format: ['tools/checks.mjs', 'format'],
  generate: ['tools/checks.mjs', 'generate'],
  'verify:formal': ['tools/verify-formal.mjs'],
};

const command = TASKS[task];
if (command === undefined) fail(`unknown task '${task ?? ''}'; one of: ${Object.keys(TASKS).join(', ')}`);
ensureDependencies();
const node = findNode();
const child = spawn(
  node,
  ['--disable-warning=ExperimentalWarning', join(root, command[0]), ...command.slice(1), ...rest],
  {
    stdio: 'inherit',
    // npm runs scripts in the repository; a person's paths are relative to where they stand.
    cwd: task === 'norc' ? (process.env.INIT_CWD ?? process.cwd()) : root,
  },
);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
child.on('exit', (code, signal) => process.exit(code ?? 128 + (constants.signals[signal] ?? 1)));

function ensureDependencies() {
  const lock = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === lock) return;
  console.error('Installing the exact dependencies (once) …');
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
  const result = spawnSync(npm, ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
    shell: process.platform === 'win32',
  });
  if (result.status !== 0)
    fail('npm ci failed: see above. It needs the npm registry once; afterwards everything works offline.');
  writeFileSync(stamp, lock);
}

function findNode() {
  const file = process.platform === 'win32' ? 'node.exe' : 'node';
  const packaged = join(
    modules,
    `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`,
    'bin',
    file,
  );
  if (existsSync(packaged)) return packaged;
  if (Number(process.versions.node.split('.')[0]) >= NODE_MAJOR_MIN) return process.execPath;
  return fail(
    `no Node.js ${NODE_MAJOR_MIN} for ${process.platform}-${process.arch} in the locked dependencies; run this with Node.js ${NODE_MAJOR_MIN} or later`,
  );
}

function fail(message) {
  console.error(`norc: ${message}`);
  process.exit(1);
}
