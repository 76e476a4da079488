import { WAL_CHECKPOINT_PAGES, WAL_PAGES_MAX } from './limits.ts';

export type CheckpointStep = 'none' | 'start' | 'finish';

/** Least growth of the log between two attempts of the writer to finish a checkpoint. */
const FINISH_PAGES = WAL_CHECKPOINT_PAGES / 4;

/**
 * When to copy the write-ahead log into the database. The checkpoint thread does the
 * bulk while commits go on, but under steady load it never quite catches up, and only
 * a log that is copied whole is begun anew. So the writer itself copies the small
 * rest once the log is large.
 */
export class WalKeeper {
  #running = false;
  #startedAt = 0;
  #finishedAt = 0;

  /** After a commit: pages in the log, and how many of them are in the database. */
  step(pages: number, copied: number): CheckpointStep {
    if (pages < this.#startedAt) this.#startedAt = 0; // the log was begun anew
    if (pages < this.#finishedAt) this.#finishedAt = 0;
    if (this.#running) return 'none';
    const rest = pages - copied;
    if (rest >= WAL_CHECKPOINT_PAGES && pages - this.#startedAt >= WAL_CHECKPOINT_PAGES) {
      this.#running = true;
      this.#startedAt = pages;
      return 'start';
    }
    if (pages >= WAL_PAGES_MAX && rest < WAL_CHECKPOINT_PAGES && pages - this.#finishedAt >= FINISH_PAGES) {
      this.#finishedAt = pages;
      return 'finish';
    }
    return 'none';
  }

  /** The checkpoint thread is done, or failed. */
  stopped(): void {
    this.#running = false;
  }
}
