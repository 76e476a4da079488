/** Exit codes of every norc command (docs/commands.md is checked against this table); numbers follow sysexits where one fits. */
export const EXIT = {
  ok: 0,
  /** It was tried and did not work. */
  failure: 1,
  /** Not confirmed in time. */
  timeout: 2,
  /** What was planned would open something that is closed now. */
  wouldOpen: 3,
  /** The command line is wrong. */
  usage: 64,
  /** What was given or stored (a code, a file, a database) is damaged, or from a newer version. */
  badData: 65,
  /** A server that is needed is not there. */
  unavailable: 69,
  /** Something exists already, or cannot be made. */
  cannotCreate: 73,
  /** The disk is full or fails. */
  storage: 74,
  /** A port, a database or a profile is held by another program. */
  inUse: 75,
  /** A wrong passphrase, or a file of somebody else. */
  noPermission: 77,
  /** The configuration is wrong. */
  badConfig: 78,
  /** Ended by Ctrl-C at a question. */
  interrupted: 130,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** A failure for a person: what happened, and what to do next. Printed without a stack. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly exitCode: ExitCode;
  readonly next: string | undefined;
  constructor(exitCode: ExitCode, message: string, next?: string, options?: ErrorOptions) {
    super(message, options);
    this.exitCode = exitCode;
    this.next = next;
  }
}

/** One option of a command: `--name VALUE`, or a flag when `value` is absent. */
export interface OptionHelp {
  readonly name: string;
  readonly value?: string;
  readonly text: string;
}

/** Where a command stands in the overview. */
export type Topic = 'begin' | 'server' | 'people' | 'trust' | 'look';

export interface Command {
  /** The words that select it: `['trust', 'request']`. */
  readonly words: readonly string[];
  readonly topic: Topic;
  readonly arguments: string;
  readonly summary: string;
  readonly help?: string;
  readonly options: readonly OptionHelp[];
  /** How many arguments it takes at most; 0 when absent. */
  readonly argumentsMax?: number;
  readonly run: (input: CommandInput) => Promise<ExitCode>;
}

export interface CommandInput {
  readonly positionals: readonly string[];
  readonly options: ReadonlyMap<string, string>;
  readonly flags: ReadonlySet<string>;
}

/** The n-th positional, or a usage error that names it. */
export function positional(input: CommandInput, index: number, name: string): string {
  const value = input.positionals[index];
  if (value === undefined) throw new CommandError(EXIT.usage, `${name} is missing.`, 'Add it, or see --help.');
  return value;
}

/** A whole number from `min`, or a usage error that names the option. */
export function countOption(input: CommandInput, name: string, fallback: number, min = 0): number {
  const text = input.options.get(name);
  if (text === undefined) return fallback;
  const count = Number(text);
  if (/^\d{1,9}$/.test(text) && count >= min) return count;
  throw new CommandError(EXIT.usage, `--${name} is not a whole number from ${min}.`, '--help shows the options.');
}
