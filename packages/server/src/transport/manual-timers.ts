import type { Timers } from './timers.ts';

/** Timers that a test moves by hand. Imported by tests only. */
export class ManualTimers implements Timers {
  #now = 0;
  #next = 0;
  readonly #waiting = new Map<number, { readonly at: number; readonly run: () => void }>();

  after(delayMs: number, run: () => void): () => void {
    const id = this.#next;
    this.#next += 1;
    this.#waiting.set(id, { at: this.#now + delayMs, run });
    return () => {
      this.#waiting.delete(id);
    };
  }

  /** Timers set and neither run nor canceled: a test for leaks. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Moves time and runs what falls due, in order, including what that sets in turn. */
  advance(milliseconds: number): void {
    const end = this.#now + milliseconds;
    for (;;) {
      const due = this.#earliest(end);
      if (due === undefined) break;
      this.#waiting.delete(due[0]);
      this.#now = due[1].at;
      due[1].run();
    }
    this.#now = end;
  }

  #earliest(end: number): [number, { readonly at: number; readonly run: () => void }] | undefined {
    let found: [number, { readonly at: number; readonly run: () => void }] | undefined;
    for (const entry of this.#waiting) {
      if (entry[1].at <= end && (found === undefined || entry[1].at < found[1].at)) found = entry;
    }
    return found;
  }
}
