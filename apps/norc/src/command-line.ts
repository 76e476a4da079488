import { parseArgs } from 'node:util';
import { AdminRefusal } from './admin-client.ts';
import { type Command, CommandError, type CommandInput, EXIT, type ExitCode, type OptionHelp } from './command.ts';
import { clean } from './terminal/clean.ts';

const COMMON: readonly OptionHelp[] = [{ name: 'help', text: 'Show this help.' }];

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

function findCommand(commands: readonly Command[], args: readonly string[]): Command | undefined {
  const matches = commands.filter((command) => command.words.every((word, index) => args[index] === word));
  return matches.sort((a, b) => b.words.length - a.words.length)[0];
}

function readInput(command: Command, args: readonly string[]): CommandInput {
  const known = [...command.options, ...COMMON];
  const options = Object.fromEntries(
    known.map(({ name, value }) => [name, { type: value === undefined ? ('boolean' as const) : ('string' as const) }]),
  );
  const { values, positionals } = parseStrictly(command, [...args], options);
  const texts = new Map<string, string>();
  const flags = new Set<string>();
  for (const [name, value] of Object.entries(values)) {
    if (typeof value === 'string') texts.set(name, value);
    else if (value === true) flags.add(name);
  }
  return { positionals, options: texts, flags };
}

function parseStrictly(command: Command, args: string[], options: Record<string, { type: 'boolean' | 'string' }>) {
  try {
    return parseArgs({ args, options, allowPositionals: true, strict: true });
  } catch (cause) {
    const reason = cause instanceof Error ? (cause.message.split('. ')[0] ?? '') : '';
    throw new CommandError(EXIT.usage, `${reason}.`, `See: norc ${command.words.join(' ')} --help`, { cause });
  }
}

function explain(error: unknown, command: Command): ExitCode {
  if (error instanceof CommandError) {
    complain(error.message, error.next);
    return error.exitCode;
  }
  if (error instanceof AdminRefusal) {
    complain(`${error.message} (${error.code})`, undefined);
    return EXIT.failure;
  }
  const words = error instanceof Error ? `${error.name}: ${error.message}` : 'unknown fault';
  complain(`norc ${command.words.join(' ')} failed. ${words}`, 'Run: norc doctor');
  if (process.env['NORC_DEBUG'] === '1' && error instanceof Error) process.stderr.write(`${error.stack}\n`);
  return EXIT.failure;
}

function complain(message: string, next: string | undefined): void {
  process.stderr.write(`norc: ${clean(message)}\n`);
  if (next !== undefined) process.stderr.write(`next: ${clean(next)}\n`);
}

/** No command matched: help when it was asked for, otherwise what is near. */
function explainChoice(commands: readonly Command[], args: readonly string[]): ExitCode {
  const first = args[0];
  if (first === undefined || first === 'help' || first === '--help' || first === '-h') {
    process.stdout.write(overview(commands));
    return first === undefined ? EXIT.usage : EXIT.ok;
  }
  const family = commands.filter((command) => command.words[0] === first);
  if (family.length > 0) {
    const wanted = args.includes('--help');
    const text = family.map((command) => `  norc ${usage(command)}\n      ${command.summary}\n`).join('');
    (wanted ? process.stdout : process.stderr).write(`${wanted ? '' : `norc: '${clean(args.slice(0, 2).join(' '))}' is not a command. One of:\n`}${text}`);
    return wanted ? EXIT.ok : EXIT.usage;
  }
  complain(`'${first}' is not a command.`, 'See: norc help');
  return EXIT.usage;
}

function usage(command: Command): string {
  return [...command.words, command.arguments].filter((part) => part !== '').join(' ');
}

function overview(commands: readonly Command[]): string {
  const width = Math.max(...commands.map((command) => usage(command).length));
  const rows = commands.map((command) => `  norc ${usage(command).padEnd(width)}  ${command.summary}\n`);
  return `NORC: secure communication between organisations.\n\n${rows.join('')}\nEach command explains itself with --help. Exit codes: 0 done, 1 failed, 2 not confirmed in time,\n64 wrong usage, 65 damaged input, 69 server not reachable, 73 cannot create, 77 not allowed, 78 wrong configuration.\n`;
}

function commandHelp(command: Command): string {
  const options = [...command.options, ...COMMON];
  const label = ({ name, value }: OptionHelp) => `--${name}${value === undefined ? '' : ` ${value}`}`;
  const width = Math.max(...options.map((option) => label(option).length));
  const rows = options.map((option) => `  ${label(option).padEnd(width)}  ${option.text}\n`).join('');
  const long = command.help === undefined ? '' : `\n${command.help.trim()}\n`;
  return `norc ${usage(command)} [options]\n\n${command.summary}\n${long}\nOptions:\n${rows}`;
}
