import { execFileSync } from 'node:child_process';
import { cpus, totalmem } from 'node:os';

/** One answer. What was not measured is absent. */
export interface Line {
  readonly question: string;
  readonly perSecond?: number;
  /** CPU of the server, or of the only process there is, for one operation; of all its threads, summed over servers. */
  readonly cpuMicros?: number;
  /** CPU of the other side (client, load generator) for one operation. */
  readonly otherMicros?: number;
  /** From the sender's `send` to the receiver's push, or of the operation itself. */
  readonly p50Ms?: number;
  readonly p99Ms?: number;
  /** From the sender's `send` to its acknowledgement. */
  readonly ackP50Ms?: number;
  readonly ackP99Ms?: number;
  /** Memory for one connection. */
  readonly kilobytes?: number;
  /** More facts, in the JSON only. */
  readonly detail?: Readonly<Record<string, number | string>>;
}

type Column = readonly [title: string, key: Exclude<keyof Line, 'question' | 'detail'>, decimals: number];

const COLUMNS: readonly Column[] = [
  ['per second', 'perSecond', 0],
  ['CPU us', 'cpuMicros', 1],
  ['other us', 'otherMicros', 1],
  ['p50 ms', 'p50Ms', 2],
  ['p99 ms', 'p99Ms', 2],
  ['ack p50', 'ackP50Ms', 2],
  ['ack p99', 'ackP99Ms', 2],
  ['KB', 'kilobytes', 1],
];
const QUESTION_WIDTH = 52;
const COLUMN_WIDTH = 11;

export function tableHead(): string {
  return ''.padEnd(QUESTION_WIDTH) + COLUMNS.map(([title]) => title.padStart(COLUMN_WIDTH)).join('');
}

export function tableRow(line: Line): string {
  const cells = COLUMNS.map(([, key, decimals]) => (line[key]?.toFixed(decimals) ?? '').padStart(COLUMN_WIDTH));
  return (line.question.padEnd(QUESTION_WIDTH) + cells.join('')).trimEnd();
}

/** Of lines of several runs: each question once, with the median of each figure. Details are those of the middle run. */
export function medians(lines: readonly Line[]): readonly Line[] {
  const byQuestion = new Map<string, Line[]>();
  for (const line of lines) byQuestion.set(line.question, [...(byQuestion.get(line.question) ?? []), line]);
  return [...byQuestion.values()].map(median);
}

function median(lines: readonly Line[]): Line {
  const middle = [...lines].sort((a, b) => (a.cpuMicros ?? 0) - (b.cpuMicros ?? 0))[lines.length >> 1];
  if (middle === undefined) throw new RangeError('no lines');
  const figures = COLUMNS.flatMap(([, key]) => {
    const values = lines.flatMap((line) => line[key] ?? []).sort((a, b) => a - b);
    const value = values[values.length >> 1];
    return value === undefined ? [] : [[key, value] as const];
  });
  return { ...middle, ...Object.fromEntries(figures) };
}

/** Where and when the figures were taken: without it they mean nothing. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryMiB: number;
  readonly node: string;
  readonly commit: string;
  readonly date: string;
}

export function machine(): Machine {
  const processors = cpus();
  return {
    cpu: processors[0]?.model ?? 'unknown',
    cores: processors.length,
    memoryMiB: Math.round(totalmem() / 2 ** 20),
    node: process.version,
    commit: commit(),
    date: new Date().toISOString(),
  };
}

/** `+` after the commit: the working tree differs from it. */
function commit(): string {
  try {
    const head = git('rev-parse', '--short=12', 'HEAD');
    return git('status', '--porcelain', '--untracked-files=no') === '' ? head : `${head}+`;
  } catch {
    return 'unknown'; // a release archive has no history
  }
}

function git(...args: string[]): string {
  return execFileSync('git', args, { cwd: import.meta.dirname, encoding: 'utf8' }).trim();
}

export function round(value: number, decimals = 2): number {
  return Number(value.toFixed(decimals));
}
