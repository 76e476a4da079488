import type { DatabaseSync } from 'node:sqlite';
import { type CommitOutcome, StorageError, type StorageFault, type Store } from './port.ts';
import { commitOutcome } from './sqlite/committer.ts';
import { SqliteCore, type TransactionReport } from './sqlite/core.ts';
import { openMemoryDatabase } from './sqlite/database.ts';
import { type PackableWrite, PacketBuilder } from './sqlite/packet.ts';
import { openQueries, runQuery } from './sqlite/queries.ts';
import { type RunQuery, storeReader } from './sqlite/read-client.ts';

/** What survives a crash of a simulated server: open it again with the same disk. */
export class MemoryDisk {
  readonly database: DatabaseSync = openMemoryDatabase();
  #failures = 0;
  #fault: StorageFault = 'io';

  /** The next `count` commits fail and keep nothing; those after them work again. */
  failNext(count: number, fault: StorageFault): void {
    this.#failures = count;
    this.#fault = fault;
  }

  /** The fault of a commit that begins now. */
  takeFault(): StorageError | undefined {
    if (this.#failures === 0) return undefined;
    this.#failures -= 1;
    return new StorageError(this.#fault, 'injected fault');
  }
}

/**
 * The SQLite store in memory, without threads: for unit tests and simulation. Each
 * call has taken effect when it returns; its promise is already settled.
 */
export function openMemoryStore(disk: MemoryDisk = new MemoryDisk()): Store {
  const core = new SqliteCore(disk.database, 'memory');
  const queries = openQueries(disk.database);
  let closed = false;

  function transact(writes: readonly PackableWrite[]): TransactionReport | undefined {
    if (closed) throw new StorageError('io', 'the store is closed');
    const builder = new PacketBuilder();
    builder.add(writes);
    const fault = disk.takeFault();
    if (fault !== undefined) throw fault;
    const report = core.run(builder.packet())[0];
    if (report?.kind === 'misuse') throw new TypeError(report.message);
    return report;
  }

  const run = (async (name, ...args) => {
    if (closed) throw new StorageError('io', 'the store is closed');
    return runQuery(queries, { name, args });
  }) as RunQuery; // the query named `name` gives its own result

  return {
    commit: async (writes): Promise<CommitOutcome> => commitOutcome(transact(writes)),
    read: storeReader(run, async (user, now) => {
      const report = transact([{ op: 'keyPackages.claim', user, now }]);
      return report?.kind === 'claimed' ? report.packages : [];
    }),
    close: async (): Promise<void> => {
      closed = true;
    },
  };
}
