import type { StoreReader } from '../port.ts';
import { unpackEntries } from './entry-record.ts';
import { faultFrom } from './faults.ts';
import { Fifo } from './fifo.ts';
import { READ_BATCH_MAX, READ_BATCHES_IN_FLIGHT_MAX } from './limits.ts';
import type { Answer } from './messages.ts';
import type { Queries, QueryCall, QueryName } from './queries.ts';

/** How a query is run: at once, or by another thread. */
export type RunQuery = <Name extends QueryName>(
  name: Name,
  ...args: Parameters<Queries[Name]>
) => Promise<ReturnType<Queries[Name]>>;

/** The port's reader over `run`. */
export function storeReader(run: RunQuery, claim: StoreReader['claimKeyPackages']): StoreReader {
  return {
    claimKeyPackages: claim,
    user: (user) => run('user', user),
    users: () => run('users'),
    device: (id) => run('device', id),
    devicesOf: (user) => run('devicesOf', user),
    enrolment: (codeHash) => run('enrolment', new Uint8Array(codeHash)), // a view would take its whole buffer along
    keyPackageCount: (id, now) => run('keyPackageCount', id, now),
    conversation: (id) => run('conversation', id),
    conversationIds: () => run('conversationIds'),
    conversationsWith: (domain) => run('conversationsWith', domain),
    members: (id) => run('members', id),
    memberships: (id) => run('memberships', id),
    followers: (id) => run('followers', id),
    behind: (peer) => run('behind', peer),
    delivered: (id) => run('delivered', id),
    entries: (id, after, limit, bytesMax) => run('entries', id, after, limit, bytesMax).then(unpackEntries),
    entryByMessageId: (id, message) => run('entryByMessageId', id, message).then((packed) => unpackEntries(packed)[0]),
    outbox: (peer, limit) => run('outbox', peer, limit),
    outboxPeers: () => run('outboxPeers'),
    outboxItem: (peer, id) => run('outboxItem', peer, id),
    trustExchanges: () => run('trustExchanges'),
    trustExchange: (id) => run('trustExchange', id),
    trustCertificates: () => run('trustCertificates'),
    trustRevocations: () => run('trustRevocations'),
    trustHeard: (peer) => run('trustHeard', peer),
    trustRecords: (kind, peer) => run('trustRecords', kind, peer),
    trustRecord: (kind, key) => run('trustRecord', kind, key),
    trustDecided: (day) => run('trustDecided', day),
    auditHead: () => run('auditHead'),
    auditEntries: (after, limit) => run('auditEntries', after, limit),
    meta: (key) => run('meta', key),
  };
}

interface Caller {
  readonly call: QueryCall;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** Gathers the reads of one turn of the event loop, so that they share a message and a snapshot. */
export class ReadQueue {
  readonly #send: (calls: readonly QueryCall[]) => void;
  readonly #waiting = new Fifo<Caller>();
  readonly #inFlight = new Fifo<readonly Caller[]>();
  #scheduled = false;
  #stopped: Error | undefined;
  #idle: (() => void)[] = [];

  /** `send` moves calls to the reader; `answered` must follow once for each, in order. */
  constructor(send: (calls: readonly QueryCall[]) => void) {
    this.#send = send;
  }

  run(call: QueryCall): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#stopped !== undefined) {
        reject(this.#stopped);
        return;
      }
      this.#waiting.push({ call, resolve, reject });
      this.#schedule();
    });
  }

  answered(answers: readonly Answer[]): void {
    const callers = this.#inFlight.shift() ?? [];
    this.#flush();
    callers.forEach((caller, index) => {
      settle(caller, answers[index]);
    });
    this.#tellIdle();
  }

  drained(): Promise<void> {
    return new Promise((resolve) => {
      this.#idle.push(resolve);
      this.#tellIdle();
    });
  }

  stop(error: Error): void {
    this.#stopped ??= error;
    for (const callers of this.#inFlight.drain()) for (const caller of callers) caller.reject(error);
    for (const caller of this.#waiting.drain()) caller.reject(error);
    this.#tellIdle();
  }

  /** Nothing new from here on; what was accepted is answered. */
  refuse(error: Error): void {
    this.#stopped ??= error;
  }

  #schedule(): void {
    if (this.#scheduled || this.#inFlight.size >= READ_BATCHES_IN_FLIGHT_MAX) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    while (this.#inFlight.size < READ_BATCHES_IN_FLIGHT_MAX && this.#waiting.size > 0) {
      const batch: Caller[] = [];
      while (batch.length < READ_BATCH_MAX) {
        const caller = this.#waiting.shift();
        if (caller === undefined) break;
        batch.push(caller);
      }
      this.#inFlight.push(batch);
      this.#send(batch.map(({ call }) => call));
    }
  }

  #tellIdle(): void {
    if (this.#waiting.size > 0 || this.#inFlight.size > 0) return;
    for (const resolve of this.#idle.splice(0)) resolve();
  }
}

function settle(caller: Caller, answer: Answer | undefined): void {
  if (answer?.kind === 'value') caller.resolve(answer.value);
  else if (answer?.kind === 'fault') caller.reject(faultFrom(answer.fault));
  else caller.reject(new TypeError(answer?.message ?? 'a read was not answered'));
}
