/** The only source of delays in the client: injected, so that no test waits for a clock. */
export interface Timers {
  /** Runs `run` once after `delayMs`; the returned function cancels it and may be called at any time. */
  after(delayMs: number, run: () => void): () => void;
}

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
    this.#cancel = this.#timers.after(Math.max(0, delayMs), () => {
      this.#cancel = undefined;
      run();
    });
  }

  clear(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }
}
