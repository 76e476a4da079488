import type { Domain } from '@norc/protocol/base';
import type { Store, StoreWrite } from '../../storage/port.ts';
import type { TrustBoard } from '../trust-facts.ts';
import { forgetWrites, forgotten } from './exchange-room.ts';
import { cameToNothing, type Exchange, isOver, restoreExchange } from './exchange-rows.ts';

export interface BookDependencies {
  readonly board: TrustBoard;
  readonly store: Store;
  readonly onUnusable: (what: string, code: string) => void;
  /** An exchange is kept no longer. */
  readonly onForgotten: (id: string) => void;
}

/** The exchanges that are kept, in the order in which they began: all that are open, and of those that are over a few. */
export class ExchangeBook {
  readonly #d: BookDependencies;
  readonly #exchanges = new Map<string, Exchange>();

  constructor(dependencies: BookDependencies) {
    this.#d = dependencies;
  }

  async load(): Promise<void> {
    const rows = await this.#d.store.read.trustExchanges();
    const gone: StoreWrite[] = [];
    for (const row of [...rows].sort((a, b) => a.updatedAt - b.updatedAt)) {
      const exchange = restoreExchange(row);
      if (!exchange.ok) {
        this.#d.onUnusable('trust exchange', exchange.error.code);
        continue;
      }
      if (isOver(exchange.value)) gone.push(...this.forget(this.#forgottenWith(exchange.value)));
      this.#exchanges.set(exchange.value.id, exchange.value);
    }
    if (gone.length > 0) await this.#d.store.commit(gone);
  }

  get all(): readonly Exchange[] {
    return [...this.#exchanges.values()];
  }

  get(id: string): Exchange | undefined {
    return this.#exchanges.get(id);
  }

  noteRefused(exchange: Exchange, refused: Exchange['refused']): void {
    this.#exchanges.set(exchange.id, { ...exchange, refused });
  }

  /** There are certificates with the peer. */
  isKnown(peer: Domain): boolean {
    return this.#d.board.certificatesWith(peer).length > 0;
  }

  /** What goes from the store with a step after which an exchange is over. */
  goneWith(exchange: Exchange): readonly StoreWrite[] {
    return isOver(exchange) ? forgetWrites(this.#forgottenWith(exchange), (peer) => this.isKnown(peer)) : [];
  }

  /** Gives what is to be removed from the store. */
  forget(gone: readonly Exchange[]): readonly StoreWrite[] {
    for (const { id } of gone) {
      this.#exchanges.delete(id);
      this.#d.onForgotten(id);
    }
    return forgetWrites(gone, (peer) => this.isKnown(peer));
  }

  /** The step is stored: what is over in it replaces what was over before. */
  remember(before: Exchange | undefined, exchange: Exchange): void {
    if (isOver(exchange) && before !== undefined && before.state !== exchange.state)
      this.forget(this.#forgottenWith(exchange));
    if (cameToNothing(before, exchange)) this.#exchanges.delete(exchange.id);
    else this.#exchanges.set(exchange.id, exchange);
  }

  #forgottenWith(exchange: Exchange): readonly Exchange[] {
    return forgotten(exchange, this.all, (peer) => this.isKnown(peer));
  }
}
