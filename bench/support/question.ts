import type { Line } from './report.ts';

export interface RunOptions {
  /** Seconds for each measured phase. */
  readonly seconds: number;
  /** A short run that shows that everything works; its figures mean little. */
  readonly quick: boolean;
  /** Where server processes leave CPU profiles, if they are to. */
  readonly profileFolder?: string;
  /** Only plans whose name has this part. */
  readonly only?: string;
}

/** One file of this folder. */
export interface Question {
  readonly name: string;
  readonly about: string;
  run(options: RunOptions): AsyncIterable<Line>;
}
