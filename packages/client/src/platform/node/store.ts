import { checkWrites } from '../../store/check.ts';
import {
  type ClientReader,
  type ClientStore,
  type ClientWrite,
  StoreError,
  type TransactOutcome,
} from '../../store/port.ts';
import { Database, textOf } from './store-database.ts';
import { storeReader } from './store-reader.ts';
import type { Sealed } from './store-sealed.ts';
import { applyWrite } from './store-writes.ts';
import type { VaultDocument } from './vault.ts';
import { createVault, rewrapVault, type Unlock, unlockVault, type VaultTools } from './vault.ts';

export interface NodeStoreOptions extends VaultTools {
  /** The profile's file; its folder is made when it is missing. */
  readonly path: string;
  readonly unlock: Unlock;
  /** Make a new profile where there is none. Otherwise that is `absent`. */
  readonly create: boolean;
  /** Most bytes that the file may take; over it, writes fail with `disk_full`. */
  readonly bytesMax?: number;
}

/** A profile in an encrypted SQLite file. */
export interface NodeStore extends ClientStore {
  /**
   * From now on `next` opens the profile. `current` is asked for again, so that
   * somebody at an unlocked screen cannot lock its owner out: `wrong_passphrase` otherwise.
   */
  changeUnlock(current: Unlock, next: Unlock): Promise<void>;
}

/** Opens or makes a profile. Throws StoreError with the faults of the port; the file of a failed opening is unchanged. */
export async function openNodeStore(options: NodeStoreOptions): Promise<NodeStore> {
  const database = Database.open(options.path, options);
  try {
    const vault = database.isNew
      ? await fillNewProfile(database, options)
      : await unlockVault(options, readDocument(database), options.unlock);
    return new SqliteClientStore({ database, vault }, options);
  } catch (thrown) {
    database.close();
    throw thrown;
  }
}

async function fillNewProfile(database: Database, options: NodeStoreOptions) {
  const { document, vault } = await createVault(options, options.unlock);
  database.transaction(() => {
    database.createSchema();
    writeDocument(database, document);
    return true;
  });
  return vault;
}

function readDocument(database: Database): VaultDocument {
  const row = database.get('SELECT document FROM vault');
  try {
    if (row === undefined) throw new TypeError('no vault');
    return checkedDocument(JSON.parse(textOf(row, 'document')));
  } catch (cause) {
    throw new StoreError('corrupt', 'The profile is damaged: its key record is not readable.', { cause });
  }
}

/** Not sealed, so anybody could have changed it: checked field by field. Ranges are checked where they are used. */
function checkedDocument(value: VaultDocument): VaultDocument {
  const { version, wrap, wrapped } = value;
  const texts = typeof wrapped === 'string' && typeof wrap.salt === 'string';
  const method = wrap.method === 'secret-file' || (wrap.method === 'argon2id' && typeof wrap.cost === 'object');
  if (version !== 1 || !texts || !method) throw new TypeError('vault document');
  return value;
}

function writeDocument(database: Database, document: VaultDocument): void {
  const sql = 'INSERT INTO vault VALUES (1, ?) ON CONFLICT DO UPDATE SET document = excluded.document';
  database.run(sql, JSON.stringify(document));
}

class SqliteClientStore implements NodeStore {
  readonly #sealed: Sealed;
  readonly #tools: VaultTools;
  #open = true;
  readonly read: ClientReader;

  constructor(sealed: Sealed, tools: VaultTools) {
    this.#sealed = sealed;
    this.#tools = tools;
    this.read = storeReader(sealed, () => this.#check());
  }

  async transact(writes: readonly ClientWrite[]): Promise<TransactOutcome> {
    this.#check();
    checkWrites(writes);
    let outcome: TransactOutcome = { ok: true, duplicates: [] };
    this.#sealed.database.transaction(() => {
      outcome = this.#apply(writes);
      return outcome.ok;
    });
    return outcome;
  }

  #apply(writes: readonly ClientWrite[]): TransactOutcome {
    const duplicates: number[] = [];
    for (const [index, write] of writes.entries()) {
      const effect = applyWrite(this.#sealed, write);
      if (effect === 'conflict') return { ok: false, conflict: write.op, index };
      if (effect === 'duplicate') duplicates.push(index);
    }
    return { ok: true, duplicates };
  }

  async changeUnlock(current: Unlock, next: Unlock): Promise<void> {
    this.#check();
    const { database } = this.#sealed;
    const document = await rewrapVault(this.#tools, readDocument(database), current, next);
    this.#check();
    database.transaction(() => {
      writeDocument(database, document);
      return true;
    });
  }

  async close(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    this.#sealed.vault.close();
    this.#sealed.database.close();
  }

  #check(): void {
    if (!this.#open) throw new StoreError('closed', 'The store is closed.');
  }
}
