const ROUNDS = 5;
const WARM_UP_SHARE = 0.2;

export interface Sampling<T> {
  /** Seconds of measured time in all. */
  readonly seconds: number;
  /** Makes the input of one batch; not counted. */
  readonly prepare: () => T | Promise<T>;
  /** Returns how many operations the batch had. */
  readonly run: (input: T) => number | Promise<number>;
}

export interface Cost {
  readonly wallMicros: number;
  readonly cpuMicros: number;
}

/** What one operation costs on this thread: the median of five rounds, after a warm-up. */
export async function costOf<T>(sampling: Sampling<T>): Promise<Cost> {
  const meter = new Meter();
  await round(sampling, sampling.seconds * WARM_UP_SHARE, new Meter());
  for (let i = 0; i < ROUNDS; i += 1) await round(sampling, sampling.seconds / ROUNDS, meter);
  return meter.cost();
}

async function round<T>({ prepare, run }: Sampling<T>, seconds: number, meter: Meter): Promise<void> {
  const end = performance.now() + 4 * seconds * 1000;
  do {
    const input = await prepare();
    await meter.measure(() => run(input));
  } while (meter.countedMs < seconds * 1000 && performance.now() < end);
  meter.endRound();
}

/** Adds up the time of parts of a program, and gives the median over rounds of it. */
export class Meter {
  #wall = 0;
  #cpu = 0;
  #operations = 0;
  readonly #rounds: Cost[] = [];

  get countedMs(): number {
    return this.#wall;
  }

  /** Counts `run`, which returns how many operations it had. */
  async measure(run: () => number | Promise<number>): Promise<void> {
    const cpu = process.threadCpuUsage();
    const start = performance.now();
    const done = run();
    const operations = typeof done === 'number' ? done : await done;
    this.#wall += performance.now() - start;
    const used = process.threadCpuUsage(cpu);
    this.#cpu += used.user + used.system;
    this.#operations += operations;
  }

  /** Counts `run` as one part of an operation that has several; `endOperation` closes it. */
  part<T>(run: () => T): T {
    const cpu = process.threadCpuUsage();
    const start = performance.now();
    const result = run();
    this.#wall += performance.now() - start;
    const used = process.threadCpuUsage(cpu);
    this.#cpu += used.user + used.system;
    return result;
  }

  endOperation(): void {
    this.#operations += 1;
  }

  endRound(): void {
    if (this.#operations > 0) {
      this.#rounds.push({
        wallMicros: (this.#wall * 1000) / this.#operations,
        cpuMicros: this.#cpu / this.#operations,
      });
    }
    this.forget();
  }

  /** What was counted since the last round does not count. */
  forget(): void {
    this.#wall = 0;
    this.#cpu = 0;
    this.#operations = 0;
  }

  cost(): Cost {
    const middle = (values: readonly number[]) => [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0;
    return {
      wallMicros: middle(this.#rounds.map((one) => one.wallMicros)),
      cpuMicros: middle(this.#rounds.map((one) => one.cpuMicros)),
    };
  }
}
