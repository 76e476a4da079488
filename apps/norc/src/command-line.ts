import { parseArgs } from 'node:util';
import { SERVER_VERSION } from '@norc/server';
import { type Command, CommandError, type CommandInput, EXIT, type ExitCode } from './command.ts';
import { explainFailure } from './failures.ts';
import { commandHelp, familyHelp, HELP_OPTION, overview } from './help.ts';
import { hint, note } from './output.ts';

/** Finds the command, reads its options, runs it, and turns every failure into a sentence and an exit code. */
export async function runCommandLine(commands: readonly Command[], args: readonly string[]): Promise<ExitCode> {
  const command = findCommand(commands, args);
  if (command === undefined) return explainChoice(commands, args);
  try {
    const input = readInput(command, args.slice(command.words.length));
    if (input.flags.has('help')) {
      process.stdout.write(commandHelp(command));
      return EXIT.ok;
    }
    return await command.run(input);
  } catch (error) {
    return explain(error, command);
  }
}

/** The longest one whose words begin the line. */
function findCommand(commands: readonly Command[], args: readonly string[]): Command | undefined {
  const matches = commands.filter((command) => command.words.every((word, index) => args[index] === word));
  return matches.sort((a, b) => b.words.length - a.words.length)[0];
}

function readInput(command: Command, args: readonly string[]): CommandInput {
  const known = [...command.options, HELP_OPTION];
  const types = Object.fromEntries(
    known.map(({ name, value }) => [name, { type: value === undefined ? ('boolean' as const) : ('string' as const) }]),
  );
  const { values, positionals } = parseStrictly(command, [...args], types);
  const max = command.argumentsMax ?? 0;
  const extra = positionals[max];
  if (extra !== undefined && values['help'] !== true) throw usageError(command, `'${extra}' is one argument too many.`);
  const options = new Map<string, string>();
  const flags = new Set<string>();
  for (const [name, value] of Object.entries(values)) {
    if (typeof value === 'string') options.set(name, value);
    else if (value === true) flags.add(name);
  }
  return { positionals, options, flags };
}

function parseStrictly(command: Command, args: string[], options: Record<string, { type: 'boolean' | 'string' }>) {
  try {
    return parseArgs({ args, options, allowPositionals: true, strict: true });
  } catch (cause) {
    const reason = cause instanceof Error ? (cause.message.split('. ')[0] ?? '') : 'The options are wrong';
    throw usageError(command, `${reason.replace(/\.$/, '')}.`);
  }
}

function usageError(command: Command, message: string): CommandError {
  return new CommandError(EXIT.usage, message, `norc ${command.words.join(' ')} --help`);
}

function explain(error: unknown, command: Command): ExitCode {
  const known = explainFailure(error);
  if (known === undefined) return explainBug(error, `norc ${command.words.join(' ')}`);
  complain(known.message, known.next);
  return known.exitCode;
}

/** A fault that nobody caught: the process ends, since what it does next could not be trusted. */
export function explainCrash(error: unknown): ExitCode {
  return explainBug(error, 'norc');
}

function explainBug(error: unknown, what: string): ExitCode {
  const words = error instanceof Error ? `${error.name}: ${error.message}` : 'unknown fault';
  complain(
    `${what} failed in a way that it should not. ${words}`,
    'Run it again with NORC_DEBUG=1, and report what it shows (SECURITY.md, CONTRIBUTING.md).',
  );
  if (process.env['NORC_DEBUG'] === '1' && error instanceof Error) note(error.stack ?? '');
  return EXIT.failure;
}

function complain(message: string, next: string | undefined): void {
  note(`norc: ${message}`);
  if (next !== undefined) hint(next);
}

/** No command matched: help when it was asked for, otherwise what is near. */
function explainChoice(commands: readonly Command[], args: readonly string[]): ExitCode {
  const asked = args[0] === 'help' || args.includes('--help') || args.includes('-h');
  const words = args.filter((word) => word !== 'help' && !word.startsWith('-'));
  if (args[0] === '--version') {
    process.stdout.write(`${SERVER_VERSION}\n`);
    return EXIT.ok;
  }
  const [first] = words;
  if (first === undefined) {
    (asked ? process.stdout : process.stderr).write(overview(commands));
    return asked ? EXIT.ok : EXIT.usage;
  }
  const command = findCommand(commands, words);
  if (asked && command !== undefined) {
    process.stdout.write(commandHelp(command));
    return EXIT.ok;
  }
  const family = commands.filter((one) => one.words[0] === first);
  if (asked && family.length > 0) {
    process.stdout.write(familyHelp(family));
    return EXIT.ok;
  }
  const typed = family.length > 0 ? words.slice(0, 2).join(' ') : first;
  complain(`'${typed}' is not a command.`, family.length > 0 ? undefined : 'norc help');
  if (family.length > 0) process.stderr.write(familyHelp(family));
  return EXIT.usage;
}
