/** One wrong setting. */
export interface ConfigProblem {
  /** The file, `environment`, or `command line`. */
  readonly source: string;
  /** `listen.port`, `federation.peer[2].domain`, or an environment variable's name. */
  readonly key: string;
  /** What is there, in words that hold no secret; absent when nothing is. */
  readonly found?: string;
  readonly allowed: string;
}

/** The operator's settings are wrong: all of them are named, and the server does not start. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly ConfigProblem[]) {
    const count = problems.length === 1 ? 'a setting is wrong' : `${problems.length} settings are wrong`;
    super([`${count}:`, ...problems.map((problem) => `  ${describeProblem(problem)}`)].join('\n'));
    this.problems = problems;
  }
}

export function describeProblem({ source, key, found, allowed }: ConfigProblem): string {
  return `${source}: ${key}: ${found === undefined ? '' : `found ${found}; `}allowed: ${allowed}`;
}

const SHOWN_LENGTH_MAX = 60;

/**
 * What was found, for a message. Secrets are never shown, and neither is text of several
 * lines or great length: that is where a key lands that was pasted in place of its path.
 */
export function describeFound(value: unknown, secret: boolean): string {
  if (typeof value === 'string') {
    const hidden = secret || value.length > SHOWN_LENGTH_MAX || /[\n\r]/.test(value);
    return hidden ? `text of ${value.length} characters` : JSON.stringify(value);
  }
  if (Array.isArray(value)) {
    const text = secret ? '' : value.map((item: unknown) => describeFound(item, false)).join(', ');
    return text === '' || text.length > 2 * SHOWN_LENGTH_MAX ? `a list of ${value.length}` : `[${text}]`;
  }
  if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean') {
    return secret ? `a ${typeof value}` : String(value);
  }
  return value instanceof Date ? 'a date' : 'a table';
}
