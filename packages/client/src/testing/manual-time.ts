import { type Clock, type Instant, instant } from '@norc/protocol/base';
import type { Timers } from '../session/timers.ts';

/** A clock and timers that a test moves by hand. Imported by tests only. */
export class ManualTime implements Clock, Timers {
  #now: number;
  #next = 0;
  readonly #waiting = new Map<number, { readonly at: number; readonly run: () => void }>();

  constructor(start: Instant) {
    this.#now = start;
  }

  now(): Instant {
    return instant(this.#now);
  }

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

  /** Moves time step by step; `settle` lets everything happen that a step set off. */
  async advance(milliseconds: number, settle: () => Promise<void>): Promise<void> {
    const end = this.#now + milliseconds;
    for (;;) {
      const due = this.#earliest(end);
      if (due === undefined) break;
      this.#waiting.delete(due.id);
      this.#now = Math.max(this.#now, due.at);
      due.run();
      await settle();
    }
    this.#now = end;
    await settle();
  }

  #earliest(end: number) {
    const due = [...this.#waiting].map(([id, timer]) => ({ id, ...timer })).filter(({ at }) => at <= end);
    return due.sort((a, b) => a.at - b.at || a.id - b.id)[0];
  }
}

/**
 * Lets everything happen that can without time or input. Nothing in these tests waits
 * for the outside: each turn of the event loop carries every message one step further,
 * and no exchange takes as many steps as there are turns.
 */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < SETTLE_TURNS; turn += 1) await new Promise<void>((resolve) => setImmediate(resolve));
}

const SETTLE_TURNS = 60;
