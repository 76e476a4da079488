import { closeSync, mkdirSync, openSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync, type SQLInputValue, type SQLOutputValue, type StatementSync } from 'node:sqlite';
import { InvariantError } from '@norc/protocol/base';
import { StoreError, type StoreFault } from '../../store/port.ts';
import { APPLICATION_ID, SCHEMA, SCHEMA_VERSION } from './store-schema.ts';

export type Row = Readonly<Record<string, SQLOutputValue>>;

/** Pages of write-ahead log before they go into the file and their old contents are overwritten. */
const CHECKPOINT_PAGES = 256;
const PAGE_BYTES = 4096;

/** One SQLite file, held by this process alone, with faults as StoreError. */
export class Database {
  readonly #sqlite: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  #open = true;

  private constructor(sqlite: DatabaseSync) {
    this.#sqlite = sqlite;
  }

  /** Takes the file for this process. Throws StoreError `absent`, `in_use`, `newer_schema`, `corrupt`, `permissions`. */
  static open(path: string, options: { readonly create: boolean; readonly bytesMax?: number }): Database {
    if (options.create) reserveFile(path);
    else if (statSync(path, { throwIfNoEntry: false }) === undefined) throw absent(path);
    return guarded(() => {
      const database = new Database(new DatabaseSync(path));
      try {
        database.#takeForThisProcess(options.bytesMax);
        if (database.isNew && !options.create) throw absent(path);
        return database;
      } catch (thrown) {
        database.close();
        throw thrown;
      }
    });
  }

  /** Nothing in it: a new file, or what a crash before the first transaction left. */
  get isNew(): boolean {
    return this.#sqlite.prepare('SELECT 1 FROM sqlite_schema').get() === undefined;
  }

  createSchema(): void {
    this.#sqlite.exec(SCHEMA);
    this.#sqlite.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${SCHEMA_VERSION}`);
  }

  run(sql: string, ...values: SQLInputValue[]): number {
    return guarded(() => Number(this.#statement(sql).run(...values).changes));
  }

  get(sql: string, ...values: SQLInputValue[]): Row | undefined {
    return guarded(() => this.#statement(sql).get(...values));
  }

  all(sql: string, ...values: SQLInputValue[]): readonly Row[] {
    return guarded(() => this.#statement(sql).all(...values));
  }

  /** Durable when it returns true; nothing is kept when `work` returns false or throws. */
  transaction(work: () => boolean): void {
    this.#check();
    guarded(() => this.#sqlite.exec('BEGIN IMMEDIATE'));
    try {
      const keep = work();
      guarded(() => this.#sqlite.exec(keep ? 'COMMIT' : 'ROLLBACK'));
    } catch (thrown) {
      if (this.#sqlite.isTransaction) this.#sqlite.exec('ROLLBACK');
      throw thrown;
    }
  }

  /** Empties the write-ahead log too: what was deleted is not left in it. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#statements.clear();
    this.#sqlite.close();
  }

  #takeForThisProcess(bytesMax: number | undefined): void {
    // Exclusive before the first read: the lock lasts as long as this process, and the kernel drops it after a crash.
    this.#sqlite.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA secure_delete = ON');
    this.#checkOrigin();
    this.#sqlite.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY;
      PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}; PRAGMA foreign_keys = ON;`);
    if (bytesMax !== undefined) this.#sqlite.exec(`PRAGMA max_page_count = ${Math.ceil(bytesMax / PAGE_BYTES)}`);
    this.#sqlite.exec('BEGIN EXCLUSIVE; COMMIT');
  }

  #checkOrigin(): void {
    const version = this.#pragma('user_version');
    if (version > SCHEMA_VERSION) {
      throw new StoreError('newer_schema', 'A newer NORC wrote this profile. Update this program to open it.');
    }
    if (!this.isNew && (version === 0 || this.#pragma('application_id') !== APPLICATION_ID)) {
      throw new StoreError('corrupt', 'This file is not a NORC profile.');
    }
  }

  #pragma(name: string): number {
    return Number(this.#sqlite.prepare(`PRAGMA ${name}`).get()?.[name]);
  }

  #statement(sql: string): StatementSync {
    this.#check();
    const known = this.#statements.get(sql);
    if (known !== undefined) return known;
    const made = this.#sqlite.prepare(sql);
    this.#statements.set(sql, made);
    return made;
  }

  #check(): void {
    if (!this.#open) throw new StoreError('closed', 'The store is closed.');
  }
}

/** SQLite would make the file readable by everybody; its journal inherits the mode. */
function reserveFile(path: string): void {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    closeSync(openSync(path, 'a', 0o600));
  } catch (cause) {
    throw new StoreError('permissions', `The profile ${path} cannot be created.`, { cause });
  }
}

function absent(path: string): StoreError {
  return new StoreError('absent', `There is no profile at ${path}.`);
}

/** SQLite's primary result codes (sqlite3.h). Its messages may hold values, so they stay in `cause`. */
const FAULTS: Readonly<Record<number, readonly [StoreFault, string]>> = {
  5: ['in_use', 'Another program has this profile open. Close it first.'],
  6: ['in_use', 'Another program has this profile open. Close it first.'],
  8: ['permissions', 'The profile cannot be written by this user.'],
  11: ['corrupt', 'The profile is damaged. Restore it from a backup.'],
  13: ['disk_full', 'The disk is full. Nothing was lost; free some space and try again.'],
  14: ['permissions', 'The profile cannot be opened by this user.'],
  26: ['corrupt', 'This file is not a NORC profile.'],
};

function guarded<T>(work: () => T): T {
  try {
    return work();
  } catch (cause) {
    if (!(cause instanceof Error) || !('errcode' in cause)) throw cause;
    const [fault, message] = FAULTS[Number(cause.errcode) & 0xff] ?? ['io', 'The profile cannot be read or written.'];
    throw new StoreError(fault, message, { cause });
  }
}

export function blobOf(row: Row, column: string): Uint8Array {
  const value = row[column];
  if (!(value instanceof Uint8Array)) throw new InvariantError(`column ${column} is not a blob`);
  return value;
}

export function textOf(row: Row, column: string): string {
  const value = row[column];
  if (typeof value !== 'string') throw new InvariantError(`column ${column} is not text`);
  return value;
}

export function integerOf(row: Row, column: string): number {
  const value = row[column];
  if (typeof value !== 'number') throw new InvariantError(`column ${column} is not an integer`);
  return value;
}
