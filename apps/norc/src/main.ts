#!/usr/bin/env node
import { COMMANDS } from './commands/index.ts';
import { runCommandLine } from './command-line.ts';

process.exitCode = await runCommandLine(COMMANDS, process.argv.slice(2));
