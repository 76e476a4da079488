import { type Clock, type ConversationId, instant } from '@norc/protocol/base';
import type { Store } from '../storage/port.ts';

/** What nobody fetched for this long is dropped; its senders were told `delivered` of nothing. */
export const LOG_LIFE_MS = 30 * 86_400_000;
const FULL_SWEEP_EVERY = 24;
const CONVERSATIONS_PER_COMMIT = 64;

/**
 * Drops entries that every local device and follower has, and those whose time is over.
 * An hourly sweep visits what changed since the last one; one sweep a day visits all.
 */
export class LogSweep {
  readonly #store: Store;
  readonly #clock: Clock;
  #touched = new Set<ConversationId>();
  #sweeps = 0;

  constructor(store: Store, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /** Something was acknowledged in this conversation: there may be something to drop. */
  touch(conversation: ConversationId): void {
    this.#touched.add(conversation);
  }

  async run(): Promise<void> {
    const all = this.#sweeps % FULL_SWEEP_EVERY === 0 ? await this.#store.read.conversationIds() : [...this.#touched];
    this.#touched = new Set();
    this.#sweeps += 1;
    const before = instant(Math.max(0, this.#clock.now() - LOG_LIFE_MS));
    for (let i = 0; i < all.length; i += CONVERSATIONS_PER_COMMIT) {
      const batch = all.slice(i, i + CONVERSATIONS_PER_COMMIT);
      await this.#store.commit(batch.map((conversationId) => ({ op: 'log.prune', conversationId, before })));
    }
  }
}
