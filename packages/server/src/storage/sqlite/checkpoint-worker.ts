import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { InvariantError } from '@norc/protocol/base';
import { openCheckpointer } from './database.ts';
import { type FaultMessage, faultMessage, storageErrorOf } from './faults.ts';
import type { CheckpointerStart, FromCheckpointer, Opened, ToCheckpointer } from './messages.ts';

/** The checkpoint thread: copies the write-ahead log into the database while commits go on. */
function main(port: MessagePort, start: CheckpointerStart): void {
  const database = openCheckpointer(start.file);
  const passive = database.prepare('PRAGMA wal_checkpoint(PASSIVE)');
  start.writer.on('message', () => {
    const fault = attempt(() => passive.get(), start.file);
    start.writer.postMessage({ fault } satisfies FromCheckpointer);
  });
  port.on('message', (message: ToCheckpointer) => {
    if (message !== 'close') return;
    database.close();
    start.writer.close();
    port.close();
  });
  port.postMessage({ kind: 'ready' } satisfies Opened);
}

/** A failed checkpoint loses nothing: its pages stay in the log for the next one. */
function attempt(action: () => void, file: string): FaultMessage | undefined {
  try {
    action();
    return undefined;
  } catch (error) {
    const known = storageErrorOf(error, file);
    if (known === undefined) throw error;
    return faultMessage(known);
  }
}

if (parentPort === null) throw new InvariantError('checkpoint-worker.ts runs as a worker thread only');
main(parentPort, workerData as CheckpointerStart); // set by store.ts
