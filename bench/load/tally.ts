export interface Quantiles {
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export interface Counts {
  readonly delivered: number;
  readonly acked: number;
  readonly commits: number;
  readonly delivery: Quantiles;
  readonly acknowledgement: Quantiles;
}

/** What happened since the last look. */
export class Tally {
  #deliveries: number[] = [];
  #acknowledgements: number[] = [];
  #commits = 0;

  delivered(milliseconds: number): void {
    this.#deliveries.push(milliseconds);
  }

  acked(milliseconds: number): void {
    this.#acknowledgements.push(milliseconds);
  }

  committed(): void {
    this.#commits += 1;
  }

  take(): Counts {
    const counts = {
      delivered: this.#deliveries.length,
      acked: this.#acknowledgements.length,
      commits: this.#commits,
      delivery: quantiles(this.#deliveries),
      acknowledgement: quantiles(this.#acknowledgements),
    };
    this.#deliveries = [];
    this.#acknowledgements = [];
    this.#commits = 0;
    return counts;
  }
}

function quantiles(values: readonly number[]): Quantiles {
  const sorted = Float64Array.from(values).sort();
  const at = (share: number) => sorted[Math.floor(sorted.length * share)] ?? 0;
  return { p50Ms: at(0.5), p99Ms: at(0.99) };
}
