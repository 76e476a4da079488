#!/usr/bin/env node
import { enableCompileCache } from 'node:module';
import { join } from 'node:path';

// Compiled code is kept in the repository's own cache folder (never in a shared one, where others could
// plant theirs): a command starts in half the time. The variable hands the folder on to threads and servers.
const cache = join(import.meta.dirname, '..', '..', '..', '.cache', 'node');
enableCompileCache(cache);
process.env['NODE_COMPILE_CACHE'] ??= cache;

const [{ COMMANDS }, { explainCrash, runCommandLine }] = await Promise.all([
  import('./commands/index.ts'),
  import('./command-line.ts'),
]);

/** Something that a command began and gave up, after an interruption, must not keep the person. */
const LINGER_MS_MAX = 2_000;

// Whoever reads the output has seen enough (`norc audit list | head`): that is no failure.
process.stdout.on('error', () => process.exit());
process.on('uncaughtException', (error) => process.exit(explainCrash(error)));
process.exitCode = await runCommandLine(COMMANDS, process.argv.slice(2));
setTimeout(() => process.exit(), LINGER_MS_MAX).unref();
