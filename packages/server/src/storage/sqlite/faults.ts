import { StorageError, type StorageFault } from '../port.ts';

/** SQLite's primary result codes (https://sqlite.org/rescode.html) that mean a failing environment. */
const FAULTS: ReadonlyMap<number, StorageFault> = new Map([
  [3, 'io'], // PERM
  [5, 'locked'], // BUSY
  [6, 'locked'], // LOCKED
  [7, 'io'], // NOMEM
  [8, 'io'], // READONLY
  [10, 'io'], // IOERR
  [11, 'corrupt'], // CORRUPT
  [13, 'disk_full'], // FULL
  [14, 'io'], // CANTOPEN
  [15, 'locked'], // PROTOCOL: lost a race for the log's locks
  [26, 'corrupt'], // NOTADB
]);

/** The shared-memory index could not grow: a full disk, which SQLite reports as an I/O error. */
const IOERR_SHMSIZE = 4874;

const CONSTRAINT = 19;

function resultCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('errcode' in error)) return undefined;
  return typeof error.errcode === 'number' ? error.errcode : undefined;
}

/** The StorageError that `error` means, or `undefined` when it is a bug and not a failing environment. */
export function storageErrorOf(error: unknown, file: string): StorageError | undefined {
  if (error instanceof StorageError) return error;
  const code = resultCode(error);
  if (code === undefined) return undefined;
  const fault = code === IOERR_SHMSIZE ? 'disk_full' : FAULTS.get(code & 0xff);
  if (fault === undefined) return undefined;
  return new StorageError(fault, `${ADVICE[fault]}: ${file} (SQLite result ${code})`, { cause: error });
}

/** A value that a STRICT table refuses: the caller's fault, not the disk's. */
export function isConstraint(error: unknown): boolean {
  const code = resultCode(error);
  return code !== undefined && (code & 0xff) === CONSTRAINT;
}

const ADVICE: Readonly<Record<StorageFault, string>> = {
  disk_full: 'no space left for the database',
  newer_schema: 'the database was written by a newer version',
  corrupt: 'the database is damaged or not a NORC database; restore it from a backup',
  locked: 'another process holds the database',
  io: 'the database cannot be read or written',
};

/** A fault in a form that survives the way between threads. */
export interface FaultMessage {
  readonly fault: StorageFault;
  readonly message: string;
}

export function faultMessage(error: StorageError): FaultMessage {
  return { fault: error.fault, message: error.message };
}

export function faultFrom(message: FaultMessage): StorageError {
  return new StorageError(message.fault, message.message);
}

/** After these the state of the disk is unknown, so the store stops for good: a failed fsync may or may not have kept its data. */
export function isFatal(fault: StorageFault): boolean {
  return fault === 'io' || fault === 'corrupt' || fault === 'newer_schema';
}
