/** Exit codes of every norc command (docs/commands.md); the numbers follow sysexits where one fits. */
export const EXIT = {
  ok: 0,
  /** It was tried and did not work. */
  failure: 1,
  /** Not confirmed in time. */
  timeout: 2,
  /** The command line is wrong. */
  usage: 64,
  /** What was given (a code, a file) is damaged. */
  badData: 65,
  /** A server that is needed is not there. */
  unavailable: 69,
  /** Something exists already, or cannot be made. */
  cannotCreate: 73,
  noPermission: 77,
  /** The configuration is wrong. */
  badConfig: 78,
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

export interface Command {
  /** The words that select it: `['trust', 'request']`. */
  readonly words: readonly string[];
  readonly arguments: string;
  readonly summary: string;
  readonly help?: string;
  readonly options: readonly OptionHelp[];
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
