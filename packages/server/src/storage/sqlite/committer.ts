import type { CommitOutcome, StoreWrite } from '../port.ts';
import { StorageError } from '../port.ts';
import type { TransactionReport } from './core.ts';
import { Fifo } from './fifo.ts';
import {
  LINGER_COMMITS_MAX,
  LINGER_COMMITS_MIN,
  LINGER_MS,
  PACKET_BYTES_MAX,
  PACKET_COMMITS_MAX,
  PACKETS_IN_FLIGHT_MAX,
  QUEUED_BYTES_MAX,
  QUEUED_COMMITS_MAX,
} from './limits.ts';
import { type PackableWrite, type Packet, PacketBuilder } from './packet.ts';

interface Caller {
  readonly writes: readonly PackableWrite[];
  readonly resolve: (report: TransactionReport | undefined) => void;
  readonly reject: (error: Error) => void;
}

interface Sealed {
  readonly packet: Packet;
  readonly callers: readonly Caller[];
  /** Kept apart: a packet that was sent has lost its buffer. */
  readonly byteLength: number;
}

const COMMITTED: CommitOutcome = { ok: true };
const BUFFERS_KEPT_MAX = PACKETS_IN_FLIGHT_MAX + 1;

/**
 * Group commit, the caller's side: packs transactions as they come and hands a packet
 * over whenever the writer has room, so that packets grow exactly as large as the
 * disk is slow. Order of commits = order of calls.
 */
export class Committer {
  readonly #send: (packet: Packet) => void;
  readonly #rest: (resume: () => void) => void;
  readonly #spare: ArrayBuffer[] = [];
  #builder = new PacketBuilder();
  #callers: Caller[] = [];
  readonly #sealed = new Fifo<Sealed>();
  readonly #inFlight = new Fifo<Sealed>();
  readonly #blocked = new Fifo<Caller>();
  #queuedCommits = 0;
  #queuedBytes = 0;
  #scheduled = false;
  #resting = false;
  #stopped: Error | undefined;
  #idle: (() => void)[] = [];

  /**
   * `send` moves a packet to the writer; `done` must follow once for each, in order.
   * `rest` calls back after a pause (see LINGER_MS).
   */
  constructor(send: (packet: Packet) => void, rest: (resume: () => void) => void = linger) {
    this.#send = send;
    this.#rest = rest;
  }

  commit(writes: readonly StoreWrite[]): Promise<CommitOutcome> {
    return new Promise((resolve, reject) => {
      this.submit(writes, (report) => resolve(commitOutcome(report)), reject);
    });
  }

  submit(writes: readonly PackableWrite[], resolve: Caller['resolve'], reject: Caller['reject']): void {
    if (this.#stopped !== undefined) {
      reject(this.#stopped);
      return;
    }
    const caller = { writes, resolve, reject };
    if (this.#blocked.size > 0 || this.#full()) this.#blocked.push(caller);
    else this.#accept(caller);
  }

  /** The writer finished its oldest packet. */
  done(result: readonly TransactionReport[] | StorageError, buffer: ArrayBuffer): void {
    const sealed = this.#inFlight.shift();
    if (sealed === undefined) return;
    if (this.#spare.length < BUFFERS_KEPT_MAX && buffer.byteLength <= 2 * PACKET_BYTES_MAX) this.#spare.push(buffer);
    this.#queuedCommits -= sealed.callers.length;
    this.#queuedBytes -= sealed.byteLength;
    this.#admitBlocked();
    this.#flush();
    settle(sealed.callers, result);
    this.#tellIdle();
  }

  /** Resolves when everything that was accepted is settled. */
  drained(): Promise<void> {
    return new Promise((resolve) => {
      this.#idle.push(resolve);
      this.#tellIdle();
    });
  }

  /** Refuses what waits and what comes. */
  stop(error: Error): void {
    this.#stopped ??= error;
    for (const { callers } of this.#inFlight.drain()) for (const caller of callers) caller.reject(error);
    for (const { callers } of this.#sealed.drain()) for (const caller of callers) caller.reject(error);
    for (const caller of this.#callers) caller.reject(error);
    for (const caller of this.#blocked.drain()) caller.reject(error);
    this.#callers = [];
    this.#queuedCommits = 0;
    this.#queuedBytes = 0;
    this.#tellIdle();
  }

  /** Nothing new from here on; what was accepted goes its way. */
  refuse(error: Error): void {
    this.#stopped ??= error;
  }

  #full(): boolean {
    return this.#queuedCommits >= QUEUED_COMMITS_MAX || this.#queuedBytes >= QUEUED_BYTES_MAX;
  }

  #accept(caller: Caller): void {
    const before = this.#builder.byteLength;
    try {
      this.#builder.add(caller.writes);
    } catch (error) {
      caller.reject(error instanceof Error ? error : new TypeError('a write cannot be packed'));
      return;
    }
    this.#callers.push(caller);
    this.#queuedCommits += 1;
    this.#queuedBytes += this.#builder.byteLength - before;
    if (this.#callers.length >= PACKET_COMMITS_MAX || this.#builder.byteLength >= PACKET_BYTES_MAX) this.#seal();
    this.#schedule();
  }

  #admitBlocked(): void {
    while (this.#blocked.size > 0 && !this.#full()) {
      const caller = this.#blocked.shift();
      if (caller !== undefined) this.#accept(caller);
    }
  }

  #seal(): void {
    this.#sealed.push({ packet: this.#builder.packet(), callers: this.#callers, byteLength: this.#builder.byteLength });
    this.#builder = new PacketBuilder(this.#spare.pop());
    this.#callers = [];
  }

  /** At the end of the event loop's turn, so that the commits of one turn share a packet. */
  #schedule(): void {
    if (this.#scheduled || this.#waiting() || this.#inFlight.size >= PACKETS_IN_FLIGHT_MAX) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    while (this.#inFlight.size < PACKETS_IN_FLIGHT_MAX && !this.#waiting()) {
      if (this.#sealed.size === 0) this.#seal();
      const next = this.#sealed.shift();
      if (next === undefined) return;
      this.#inFlight.push(next);
      this.#send(next.packet);
      if (next.callers.length >= LINGER_COMMITS_MIN) this.#pause();
    }
  }

  /** Nothing to send, or too little to send it yet. */
  #waiting(): boolean {
    if (this.#sealed.size > 0) return false;
    return this.#callers.length === 0 || (this.#resting && this.#callers.length < LINGER_COMMITS_MAX);
  }

  #pause(): void {
    if (this.#resting) return;
    this.#resting = true;
    this.#rest(() => {
      this.#resting = false;
      this.#flush();
    });
  }

  #tellIdle(): void {
    if (this.#queuedCommits > 0 || this.#blocked.size > 0) return;
    for (const resolve of this.#idle.splice(0)) resolve();
  }
}

function linger(resume: () => void): void {
  setTimeout(resume, LINGER_MS);
}

export function commitOutcome(report: TransactionReport | undefined): CommitOutcome {
  if (report?.kind !== 'conflict') return COMMITTED;
  return { ok: false, conflict: report.op, index: report.index };
}

function settle(callers: readonly Caller[], result: readonly TransactionReport[] | StorageError): void {
  if (result instanceof StorageError) {
    for (const caller of callers) caller.reject(result);
    return;
  }
  let next = 0;
  callers.forEach((caller, index) => {
    const report = result[next];
    if (report === undefined || report.transaction !== index) {
      caller.resolve(undefined);
      return;
    }
    next += 1;
    if (report.kind === 'misuse') caller.reject(new TypeError(report.message));
    else caller.resolve(report);
  });
}
