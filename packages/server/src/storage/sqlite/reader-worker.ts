import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { InvariantError } from '@norc/protocol/base';
import { openReader } from './database.ts';
import { faultMessage, storageErrorOf } from './faults.ts';
import type { Answer, FromReader, ReaderStart, ToReader } from './messages.ts';
import { openQueries, type Queries, type QueryCall, runQuery } from './queries.ts';

/** The reader thread: the calls of one message see one snapshot, and never wait for a commit. */
function main(port: MessagePort, start: ReaderStart): void {
  const say = (message: FromReader, transfer: ArrayBuffer[] = []): void => port.postMessage(message, transfer);
  const database = openReader(start.file);
  const queries = openQueries(database);
  const begin = database.prepare('BEGIN');
  const commit = database.prepare('COMMIT');
  port.on('message', (message: ToReader) => {
    if (message.kind === 'close') {
      database.close();
      port.close();
      return;
    }
    begin.run();
    const transfer: ArrayBuffer[] = [];
    const answers = message.calls.map((call) => answer(queries, call, start.file, transfer));
    endSnapshot(database, commit);
    say({ kind: 'answers', answers }, transfer);
  });
  say({ kind: 'ready' });
}

/** A damaged page makes even the COMMIT fail. There is nothing to lose: the calls have their answers. */
function endSnapshot(database: DatabaseSync, commit: StatementSync): void {
  try {
    commit.run();
  } catch {
    if (database.isTransaction) database.exec('ROLLBACK');
  }
}

/** Packed entries move; everything else is small and is copied. */
function answer(queries: Queries, call: QueryCall, file: string, transfer: ArrayBuffer[]): Answer {
  try {
    const value = runQuery(queries, call);
    if (value instanceof Uint8Array && value.buffer instanceof ArrayBuffer) transfer.push(value.buffer);
    return { kind: 'value', value };
  } catch (error) {
    const known = storageErrorOf(error, file);
    if (known !== undefined) return { kind: 'fault', fault: faultMessage(known) };
    return { kind: 'misuse', message: error instanceof Error ? error.message : 'a read failed' };
  }
}

if (parentPort === null) throw new InvariantError('reader-worker.ts runs as a worker thread only');
main(parentPort, workerData as ReaderStart); // set by store.ts
