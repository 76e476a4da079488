import { MessageChannel, Worker } from 'node:worker_threads';
import { InvariantError } from '@norc/protocol/base';
import { StorageError, type Store } from '../port.ts';
import { claimThrough } from './claims.ts';
import { Committer } from './committer.ts';
import { faultFrom, isFatal } from './faults.ts';
import type {
  CheckpointerStart,
  FromReader,
  FromWriter,
  Opened,
  ReaderStart,
  ToReader,
  ToWriter,
  WriterStart,
} from './messages.ts';
import { ReadQueue, type RunQuery, storeReader } from './read-client.ts';

export interface SqliteStoreOptions {
  /** The database; `-wal`, `-shm` and `-lock` files stand beside it. */
  readonly file: string;
  /** Told when the disk fails, once per failing commit or read. The callers of `commit` are told too. */
  readonly onFault: (fault: StorageError) => void;
  /** The database's size limit in pages of 4 KiB: reaching it is `disk_full`. */
  readonly pagesMax?: number;
}

/**
 * The store of one organisation on SQLite. Three threads: a writer that commits many
 * callers' transactions at once, a reader, and one that checkpoints.
 * Rejects with StorageError: `locked`, `newer_schema`, `corrupt`, `disk_full`, `io`.
 */
export async function openSqliteStore(options: SqliteStoreOptions): Promise<Store> {
  const { port1, port2 } = new MessageChannel();
  const writerStart: WriterStart = { file: options.file, pagesMax: options.pagesMax, checkpoints: port1 };
  const writer = await startThread('writer', writerStart, [port1]); // first: it creates the tables
  const others = await Promise.allSettled([
    startThread('reader', { file: options.file } satisfies ReaderStart),
    startThread('checkpoint', { file: options.file, writer: port2 } satisfies CheckpointerStart, [port2]),
  ]);
  const [reader, checkpointer] = others;
  if (reader.status === 'fulfilled' && checkpointer.status === 'fulfilled') {
    return new SqliteStore(options, { writer, reader: reader.value, checkpointer: checkpointer.value });
  }
  const running = [writer, ...others.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))];
  await Promise.all(running.map((thread) => thread.terminate()));
  throw others.find((one) => one.status === 'rejected')?.reason;
}

interface Threads {
  readonly writer: Worker;
  readonly reader: Worker;
  readonly checkpointer: Worker;
}

class SqliteStore implements Store {
  readonly read: Store['read'];
  readonly #committer: Committer;
  readonly #reads: ReadQueue;
  readonly #threads: Threads;
  readonly #onFault: (fault: StorageError) => void;
  #closing: Promise<void> | undefined;

  constructor(options: SqliteStoreOptions, threads: Threads) {
    this.#onFault = options.onFault;
    this.#threads = threads;
    this.#committer = new Committer((packet) => {
      threads.writer.postMessage({ kind: 'packet', packet } satisfies ToWriter, [packet.bytes.buffer]);
    });
    this.#reads = new ReadQueue((calls) => threads.reader.postMessage({ kind: 'calls', calls } satisfies ToReader));
    const run = ((name, ...args) => this.#reads.run({ name, args })) as RunQuery; // the reader runs `name` itself
    this.read = storeReader(run, claimThrough(this.#committer));
    threads.writer.on('message', (message: FromWriter) => this.#fromWriter(message));
    threads.reader.on('message', (message: FromReader) => this.#fromReader(message));
    for (const thread of Object.values(threads)) {
      thread.on('error', (error: unknown) => this.#threadFailed(error));
      thread.on('exit', () => this.#threadFailed(undefined));
    }
  }

  commit(writes: Parameters<Store['commit']>[0]): ReturnType<Store['commit']> {
    return this.#committer.commit(writes);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const closed = new StorageError('io', 'the store is closed');
    this.#committer.refuse(closed);
    this.#reads.refuse(closed);
    await Promise.all([this.#committer.drained(), this.#reads.drained()]);
    await ended(this.#threads.reader, { kind: 'close' });
    await ended(this.#threads.checkpointer, 'close');
    await ended(this.#threads.writer, { kind: 'close' });
  }

  #fromWriter(message: FromWriter): void {
    if (message.kind === 'fault') this.#onFault(faultFrom(message.fault));
    if (message.kind !== 'done') return;
    if (Array.isArray(message.result)) {
      this.#committer.done(message.result, message.buffer);
      return;
    }
    const fault = faultFrom(message.result);
    this.#committer.done(fault, message.buffer);
    if (isFatal(fault.fault)) this.#committer.stop(fault);
    this.#onFault(fault);
  }

  #fromReader(message: FromReader): void {
    if (message.kind !== 'answers') return;
    this.#reads.answered(message.answers);
    for (const answer of message.answers) if (answer.kind === 'fault') this.#onFault(faultFrom(answer.fault));
  }

  /** A thread that ends by itself met a bug; nothing can be stored or read any more. */
  #threadFailed(error: unknown): void {
    if (this.#closing !== undefined) return;
    const cause = new InvariantError('a storage thread ended', error === undefined ? {} : { cause: error });
    const fault = new StorageError('io', 'the store stopped after an internal error', { cause });
    this.#committer.stop(fault);
    this.#reads.stop(fault);
    this.#onFault(fault);
  }
}

type ThreadName = 'writer' | 'reader' | 'checkpoint';

/** Resolves when the thread has opened the database. */
function startThread(name: ThreadName, data: unknown, transfer: MessagePort[] = []): Promise<Worker> {
  const worker = new Worker(new URL(`./${name}-worker.ts`, import.meta.url), {
    workerData: data,
    transferList: transfer,
    name: `norc-store-${name}`,
  });
  return new Promise((resolve, reject) => {
    worker.once('error', reject);
    worker.once('message', (message: Opened) => {
      worker.off('error', reject);
      if (message.kind === 'ready') resolve(worker);
      else worker.terminate().then(() => reject(faultFrom(message.fault)), reject);
    });
  });
}

function ended(worker: Worker, message: ToReader | ToWriter | 'close'): Promise<void> {
  return new Promise((resolve) => {
    if (worker.threadId === -1) {
      resolve(); // it ended before
      return;
    }
    worker.once('exit', () => resolve());
    worker.postMessage(message);
  });
}
