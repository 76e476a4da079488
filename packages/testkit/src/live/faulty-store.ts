import {
  openSqliteStore,
  type SqliteStoreOptions,
  StorageError,
  type StorageFault,
  type Store,
  type StoreWrite,
} from '@norc/server/storage';

/** The real store on a disk that a test can make fail. */
export class FaultyDisk {
  #fault: StorageFault | undefined;
  #concerns: (writes: readonly StoreWrite[]) => boolean = () => true;
  refused = 0;

  /** From now on transactions that `concerns` names fail, and keep nothing. */
  fail(fault: StorageFault, concerns: (writes: readonly StoreWrite[]) => boolean = () => true): void {
    this.#fault = fault;
    this.#concerns = concerns;
  }

  repair(): void {
    this.#fault = undefined;
  }

  readonly openStore = async (options: SqliteStoreOptions): Promise<Store> => {
    const store = await openSqliteStore(options);
    return {
      read: store.read,
      close: () => store.close(),
      commit: async (writes) => await this.#commit(store, writes),
    };
  };

  #commit(store: Store, writes: readonly StoreWrite[]): ReturnType<Store['commit']> {
    if (this.#fault === undefined || !this.#concerns(writes)) return store.commit(writes);
    this.refused += 1;
    return Promise.reject(new StorageError(this.#fault, 'injected fault'));
  }
}
