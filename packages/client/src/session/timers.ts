/** The only source of delays in the client: injected, so that no test waits for a clock. */
export interface Timers {
  /** Runs `run` once after `delayMs`; the returned function cancels it and may be called at any time. */
  after(delayMs: number, run: () => void): () => void;
}

/** What JavaScript's timers can wait, almost 25 days: more would be no wait at all. */
export const DELAY_MS_MAX = 2 ** 31 - 1;

/** One delay at a time: setting it again replaces the one before. */
export class Alarm {
  readonly #timers: Timers;
  #cancel: (() => void) | undefined;

  constructor(timers: Timers) {
    this.#timers = timers;
  }

  get isSet(): boolean {
    return this.#cancel !== undefined;
  }

  set(delayMs: number, run: () => void): void {
    this.clear();
    this.#cancel = this.#timers.after(Math.min(Math.max(0, delayMs), DELAY_MS_MAX), () => {
      this.#cancel = undefined;
      run();
    });
  }

  clear(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }
}
