#!/usr/bin/env node
import { enableCompileCache } from 'node:module';
import { join } from 'node:path';

// Compiled code is kept in the repository's own cache folder (never in a shared one, where others could
// plant theirs): a command starts in half the time. The variable hands the folder on to threads and servers.
const cache = join(import.meta.dirname, '..', '..', '..', '.cache', 'node');
enableCompileCache(cache);
process.env['NODE_COMPILE_CACHE'] ??= cache;

const [{ COMMANDS }, { runCommandLine }] = await Promise.all([
  import('./commands/index.ts'),
  import('./command-line.ts'),
]);
process.exitCode = await runCommandLine(COMMANDS, process.argv.slice(2));
