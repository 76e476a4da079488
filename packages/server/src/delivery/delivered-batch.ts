import type { ConversationId, UserAddress } from '@norc/protocol/base';

export interface DeliveredUpdate {
  readonly conversation: ConversationId;
  readonly user: UserAddress;
  readonly seq: number;
}

/**
 * Collects how far users' devices have come and hands it on at most every
 * `everyMilliseconds` (PROTOCOL 7: low-priority acknowledgements are batched). Only
 * the highest sequence of a user in a conversation survives a batch.
 */
export class DeliveredBatch {
  readonly #pending = new Map<string, DeliveredUpdate>();
  readonly #flush: (updates: readonly DeliveredUpdate[]) => void;
  readonly #schedule: (run: () => void) => void;
  #scheduled = false;

  constructor(schedule: (run: () => void) => void, flush: (updates: readonly DeliveredUpdate[]) => void) {
    this.#schedule = schedule;
    this.#flush = flush;
  }

  add(update: DeliveredUpdate): void {
    const key = `${update.conversation} ${update.user}`;
    const known = this.#pending.get(key);
    if (known !== undefined && known.seq >= update.seq) return;
    this.#pending.set(key, update);
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#schedule(() => this.flush());
  }

  /** Hands on what is there now. */
  flush(): void {
    this.#scheduled = false;
    if (this.#pending.size === 0) return;
    const updates = [...this.#pending.values()];
    this.#pending.clear();
    this.#flush(updates);
  }
}
