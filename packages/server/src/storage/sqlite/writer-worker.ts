import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { InvariantError } from '@norc/protocol/base';
import type { StorageError } from '../port.ts';
import { SqliteCore } from './core.ts';
import { openWriter, type WriterDatabase } from './database.ts';
import { type FaultMessage, faultMessage, storageErrorOf } from './faults.ts';
import type { FromCheckpointer, FromWriter, ToCheckpointer, ToWriter, WriterStart } from './messages.ts';
import type { Packet } from './packet.ts';
import { integerOf } from './rows.ts';
import { WalKeeper } from './wal-keeper.ts';

/** The writer thread: one packet, one transaction, one fsync. */
function main(port: MessagePort, start: WriterStart): void {
  const say = (message: FromWriter, transfer: ArrayBuffer[] = []): void => port.postMessage(message, transfer);
  let writer: WriterDatabase;
  let core: SqliteCore;
  try {
    writer = openWriter({ file: start.file, ...(start.pagesMax === undefined ? {} : { pagesMax: start.pagesMax }) });
    core = new SqliteCore(writer.database, start.file);
  } catch (error) {
    say({ kind: 'refused', fault: faultMessage(knownError(error, start.file)) });
    start.checkpoints.close();
    return;
  }
  const log = logKeeper(writer, start, say);
  port.on('message', (message: ToWriter) => {
    if (message.kind === 'packet') {
      log.before();
      const result = run(core, message.packet, start.file);
      say({ kind: 'done', buffer: message.packet.bytes.buffer, result }, [message.packet.bytes.buffer]);
      log.after(result);
      return;
    }
    start.checkpoints.close();
    writer.close();
    port.close();
  });
  say({ kind: 'ready' });
}

type Result = Extract<FromWriter, { kind: 'done' }>['result'];

function run(core: SqliteCore, packet: Packet, file: string): Result {
  try {
    return core.run(packet);
  } catch (error) {
    return faultMessage(knownError(error, file));
  }
}

/** Rethrows what is a bug: the thread ends, and the store with it. */
function knownError(error: unknown, file: string): StorageError {
  const known = storageErrorOf(error, file);
  if (known === undefined) throw error;
  return known;
}

/**
 * Keeps the log's length in bounds. After a full disk it copies the log before anything
 * else: a log that is copied is begun anew, in the space that it has already.
 */
function logKeeper(writer: WriterDatabase, start: WriterStart, say: (message: FromWriter) => void) {
  const keeper = new WalKeeper();
  const size = writer.database.prepare('PRAGMA wal_checkpoint(NOOP)');
  const finish = writer.database.prepare('PRAGMA wal_checkpoint(PASSIVE)');
  let diskWasFull = false;
  start.checkpoints.on('message', ({ fault }: FromCheckpointer) => {
    keeper.stopped();
    if (fault !== undefined) say({ kind: 'fault', fault });
  });
  /** A failed checkpoint loses nothing. */
  const attempt = (action: () => void): FaultMessage | undefined => {
    try {
      action();
      return undefined;
    } catch (error) {
      return faultMessage(knownError(error, start.file));
    }
  };
  return {
    before(): void {
      if (diskWasFull) diskWasFull = attempt(() => finish.get()) !== undefined;
    },
    after(result: Result): void {
      if ('fault' in result) diskWasFull ||= result.fault === 'disk_full';
      const fault = attempt(() => {
        const row = size.get();
        const step = keeper.step(integerOf(row, 'log'), integerOf(row, 'checkpointed'));
        if (step === 'start') start.checkpoints.postMessage('start' satisfies ToCheckpointer);
        else if (step === 'finish') finish.get();
      });
      if (fault !== undefined) say({ kind: 'fault', fault });
    },
  };
}

if (parentPort === null) throw new InvariantError('writer-worker.ts runs as a worker thread only');
main(parentPort, workerData as WriterStart); // set by store.ts
