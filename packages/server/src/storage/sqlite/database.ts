import { closeSync, existsSync, openSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { StorageError } from '../port.ts';
import { storageErrorOf } from './faults.ts';
import { BUSY_TIMEOUT_MS, READER_CACHE_KIB, WRITER_CACHE_KIB } from './limits.ts';
import { integerOf } from './rows.ts';
import { APPLICATION_ID, MIGRATIONS, SCHEMA, SCHEMA_VERSION } from './schema.ts';

export interface WriterOptions {
  readonly file: string;
  /** The database's size limit in pages of 4 KiB: reaching it is `disk_full`. */
  readonly pagesMax?: number;
}

/** The one writing connection of a database, with the lock that keeps a second server away. */
export interface WriterDatabase {
  readonly database: DatabaseSync;
  close(): void;
}

/**
 * Opens or creates the database of one organisation.
 * Throws StorageError: `locked`, `newer_schema`, `corrupt`, `disk_full`, `io`.
 */
export function openWriter(options: WriterOptions): WriterDatabase {
  const lock = acquireLock(options.file);
  let database: DatabaseSync | undefined;
  try {
    createPrivate(options.file); // SQLite gives its log and index files the same mode
    database = new DatabaseSync(options.file, { timeout: BUSY_TIMEOUT_MS });
    prepareWriter(database, options, lock);
    return writerDatabase(database, lock);
  } catch (error) {
    database?.close();
    lock.close();
    throw openError(error, options.file);
  }
}

function writerDatabase(database: DatabaseSync, lock: DatabaseSync): WriterDatabase {
  return {
    database,
    close(): void {
      try {
        database.exec('PRAGMA wal_checkpoint(TRUNCATE)');
      } finally {
        database.close();
        lock.close();
      }
    },
  };
}

function prepareWriter(database: DatabaseSync, options: WriterOptions, lock: DatabaseSync): void {
  const tables = pragma(database, 'schema_version'); // reads the header: NOTADB appears here
  if (tables === 0) {
    refuseLostDatabase(options.file, lock);
  } else {
    checkIdentity(database, options.file);
  }
  database.exec(`
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA wal_autocheckpoint = 0;
    PRAGMA temp_store = MEMORY;
    PRAGMA trusted_schema = OFF;
    PRAGMA cell_size_check = ON;
    PRAGMA cache_size = -${WRITER_CACHE_KIB};
  `);
  if (options.pagesMax !== undefined) database.exec(`PRAGMA max_page_count = ${Math.trunc(options.pagesMax)}`);
  if (tables === 0) createSchema(database);
  else migrate(database);
  if (pragma(lock, 'user_version') === 0) lock.exec('PRAGMA user_version = 1');
}

/** A connection that only reads: sees everything committed before each of its transactions began. */
export function openReader(file: string): DatabaseSync {
  try {
    const database = new DatabaseSync(file, { readOnly: true, timeout: BUSY_TIMEOUT_MS });
    database.exec(`PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA cache_size = -${READER_CACHE_KIB}`);
    return database;
  } catch (error) {
    throw openError(error, file);
  }
}

/** A connection for the checkpoint thread: never a transaction of its own. */
export function openCheckpointer(file: string): DatabaseSync {
  const database = new DatabaseSync(file, { timeout: BUSY_TIMEOUT_MS });
  database.exec('PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0');
  return database;
}

/** A database that lives as long as the process: for unit tests and simulation. */
export function openMemoryDatabase(): DatabaseSync {
  const database = new DatabaseSync(':memory:');
  createSchema(database);
  return database;
}

function createSchema(database: DatabaseSync): void {
  database.exec(
    `BEGIN IMMEDIATE; ${SCHEMA}
     PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${SCHEMA_VERSION}; COMMIT`,
  );
}

/** Each step is one transaction: a crash leaves the version before or the one after. */
function migrate(database: DatabaseSync): void {
  for (let version = pragma(database, 'user_version'); version < SCHEMA_VERSION; version += 1) {
    database.exec(`BEGIN IMMEDIATE; ${MIGRATIONS[version - 1]}; PRAGMA user_version = ${version + 1}; COMMIT`);
  }
}

function pragma(database: DatabaseSync, name: 'application_id' | 'user_version' | 'schema_version'): number {
  return integerOf(database.prepare(`PRAGMA ${name}`).get(), name);
}

function checkIdentity(database: DatabaseSync, file: string): void {
  if (pragma(database, 'application_id') !== APPLICATION_ID) {
    throw new StorageError('corrupt', `${file} is an SQLite database, but not one of NORC`);
  }
  const version = pragma(database, 'user_version');
  if (version > SCHEMA_VERSION) {
    throw new StorageError(
      'newer_schema',
      `${file} has schema version ${version}; this program knows versions up to ${SCHEMA_VERSION}. Run the newer program.`,
    );
  }
}

/**
 * The lock is a transaction on a second, tiny database beside the first: the system
 * drops it when the process dies, however it dies, so it never goes stale. Its
 * user_version remembers that the main database was created.
 */
function acquireLock(file: string): DatabaseSync {
  const lockFile = `${file}-lock`;
  let lock: DatabaseSync | undefined;
  try {
    createPrivate(lockFile);
    lock = new DatabaseSync(lockFile, { timeout: 0 });
    lock.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE; COMMIT');
    return lock;
  } catch (error) {
    lock?.close();
    const known = openError(error, lockFile);
    if (!(known instanceof StorageError) || known.fault !== 'locked') throw known;
    throw new StorageError('locked', `another NORC server is using ${file}; stop it first`, { cause: error });
  }
}

/**
 * Creates a file that only its owner can read. It must not open one that exists: closing
 * it again would drop this process's locks on it, and with them SQLite's (POSIX fcntl).
 */
function createPrivate(file: string): void {
  if (!existsSync(file)) closeSync(openSync(file, 'wx', 0o600));
}

/** Starting empty where data had been would look like a working server that has forgotten everybody. */
function refuseLostDatabase(file: string, lock: DatabaseSync): void {
  if (pragma(lock, 'user_version') === 0) return;
  throw new StorageError(
    'corrupt',
    `${file} is missing or empty, but a database was created there before. ` +
      `Restore it from a backup, or remove ${file}-lock too to begin with an empty one.`,
  );
}

function openError(error: unknown, file: string): unknown {
  const known = storageErrorOf(error, file);
  if (known !== undefined) return known;
  if (error instanceof Error && 'code' in error && 'syscall' in error) {
    const fault = error.code === 'ENOSPC' ? 'disk_full' : 'io';
    return new StorageError(fault, `cannot open ${file}: ${String(error.code)}`, { cause: error });
  }
  return error;
}

/** Whether a database file exists: `norc org init` must not overwrite one. */
export function databaseExists(file: string): boolean {
  return existsSync(file);
}
