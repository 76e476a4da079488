import type { MessagePort } from 'node:worker_threads';
import type { TransactionReport } from './core.ts';
import type { FaultMessage } from './faults.ts';
import type { Packet } from './packet.ts';
import type { QueryCall } from './queries.ts';

/** What the store's threads say to each other. Each thread first says whether it could open the database. */
export type Opened = { readonly kind: 'ready' } | { readonly kind: 'refused'; readonly fault: FaultMessage };

export interface WriterStart {
  readonly file: string;
  readonly pagesMax: number | undefined;
  /** To the checkpoint thread. */
  readonly checkpoints: MessagePort;
}

export type ToWriter = { readonly kind: 'packet'; readonly packet: Packet } | { readonly kind: 'close' };

export type FromWriter =
  | Opened
  | {
      readonly kind: 'done';
      /** The packet's buffer, to be used again. */
      readonly buffer: ArrayBuffer;
      readonly result: TransactionReport[] | FaultMessage;
    }
  /** Something failed outside a transaction: nothing is lost, the operator should know. */
  | { readonly kind: 'fault'; readonly fault: FaultMessage };

export interface ReaderStart {
  readonly file: string;
}

export type ToReader = { readonly kind: 'calls'; readonly calls: readonly QueryCall[] } | { readonly kind: 'close' };

export type Answer =
  | { readonly kind: 'value'; readonly value: unknown }
  | { readonly kind: 'fault'; readonly fault: FaultMessage }
  | { readonly kind: 'misuse'; readonly message: string };

export type FromReader = Opened | { readonly kind: 'answers'; readonly answers: readonly Answer[] };

export interface CheckpointerStart {
  readonly file: string;
  /** To the writer thread. */
  readonly writer: MessagePort;
}

export type ToCheckpointer = 'start' | 'close';
export type FromCheckpointer = { readonly fault: FaultMessage | undefined };
