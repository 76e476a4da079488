import { memoryStore } from '../store/memory.ts';
import type { ClientReader, ClientStore, ClientWrite, TransactOutcome } from '../store/port.ts';

/**
 * A store in memory that remembers every transaction, so that a test can have the
 * device die after any of them and go on from exactly what was stored then.
 */
export class RecordingStore implements ClientStore {
  readonly read: ClientReader;
  /** Each transaction's writes, in order. */
  readonly transactions: (readonly ClientWrite[])[] = [];
  readonly #store = memoryStore();
  #dead = false;
  /** The device dies when this many transactions are stored: `true` at once, `false` when it asks for the next. */
  dieAfter: { readonly transactions: number; readonly atOnce: boolean } | undefined;
  onDeath: () => void = () => undefined;

  constructor() {
    const alive = <T>(answer: Promise<T>) => (this.#dead ? never<T>() : answer);
    const { read } = this.#store;
    this.read = new Proxy(read, {
      get: (target, name) => {
        const method: unknown = Reflect.get(target, name);
        if (typeof method !== 'function') return method;
        return (...parameters: unknown[]) => alive(Reflect.apply(method, target, parameters));
      },
    });
  }

  /** What a device finds that starts after this one died. */
  async reopened(): Promise<RecordingStore> {
    const store = new RecordingStore();
    for (const writes of this.transactions) await store.transact(writes);
    return store;
  }

  async transact(writes: readonly ClientWrite[]): Promise<TransactOutcome> {
    if (this.#dead) return await never();
    const death = this.dieAfter;
    if (death !== undefined && !death.atOnce && this.transactions.length >= death.transactions)
      return await this.#die();
    const outcome = await this.#store.transact(writes);
    if (outcome.ok) this.transactions.push(structuredClone(writes));
    if (death?.atOnce === true && this.transactions.length >= death.transactions) return await this.#die();
    return outcome;
  }

  #die(): Promise<never> {
    this.#dead = true;
    this.onDeath();
    return never();
  }

  get isDead(): boolean {
    return this.#dead;
  }

  async close(): Promise<void> {
    await this.#store.close();
  }
}

/** A dead device waits for nothing. */
function never<T>(): Promise<T> {
  return new Promise<T>(() => undefined);
}
