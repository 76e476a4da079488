import { type ErrorName, errorNameOf, type Instant, type MessageId } from '@norc/protocol/base';
import type { PinnedOrg } from '@norc/protocol/crypto';
import type { VersionList } from '@norc/protocol/handshake';
import {
  betterOffset,
  type ClockOffset,
  CONNECT,
  type Connecting,
  connected,
  disconnected,
  type NorcCBody,
  type NorcCMessage,
  type Online,
  type OwnDevice,
  offsetFromRoundTrip,
  type Ready,
  reconnect,
  type Stopped,
  type Waiting,
} from '@norc/protocol/norc-c';
import type { ReceivedMessage } from '@norc/protocol/wire';
import type { ClientStore } from '../store/port.ts';
import type { ServerAddress } from '../store/rows.ts';
import { type Answer, type Asking, type AskType, failure } from './ask.ts';
import { AskQueue } from './ask-queue.ts';
import { pinnedServer, type ServerEvidence } from './server-evidence.ts';
import { type LinkEnd, type LinkFacts, type LinkWorld, newMessageId, SessionLink } from './session-link.ts';
import { type SessionStatus, sessionFacts } from './status.ts';
import { Alarm } from './timers.ts';

export interface SessionOptions extends LinkWorld {
  readonly address: ServerAddress;
  readonly pinned: PinnedOrg;
  readonly device: OwnDevice;
  readonly versions: VersionList;
  /** A person decided that the server may be older than it was. */
  readonly allowOlderServer: boolean;
  readonly store: ClientStore;
}

export interface SessionListener {
  status(status: SessionStatus): void;
  /** Proven, and the server begins to push. */
  ready(ready: Ready, server: ServerEvidence): void;
  /** The ready connection is gone; every open request was answered `lost` before this. */
  lost(): void;
  push(message: ReceivedMessage<NorcCMessage>): void;
  /** Whoever answered did not prove to be the server; told once for each connection that comes about or reason. */
  unproven(code: ErrorName): void;
  /** What is known of the server's clock has become better. */
  clock(offset: ClockOffset): void;
  /** A dependency or this program failed. */
  fault(fault: unknown): void;
}

type ConnectionState = Connecting | Online | Waiting | Stopped | { readonly state: 'offline' };

/** How often a quiet connection is looked after. */
export const HEARTBEAT_MS = 30_000;

const TOLD_KEPT = 256;

/** The connection to the home server: made, kept, made again. At most one link at a time. */
export class ServerSession implements Asking {
  readonly #options: SessionOptions;
  readonly #listener: SessionListener;
  readonly #retry: Alarm;
  readonly #expiry: Alarm;
  readonly #heartbeat: Alarm;
  #connection: ConnectionState = { state: 'offline' };
  #link: SessionLink | undefined;
  #facts: LinkFacts | undefined;
  #asks: AskQueue | undefined;
  #status: SessionStatus = { state: 'offline' };
  #offset: ClockOffset | undefined;
  #heard = true;
  /** Of the last warning since the server was there. */
  #warned: ErrorName | undefined;
  /** Ids of what has no answer: an error about it ends nothing. */
  readonly #told = new Set<MessageId>();

  constructor(options: SessionOptions, listener: SessionListener) {
    this.#options = options;
    this.#listener = listener;
    this.#retry = new Alarm(options.timers);
    this.#expiry = new Alarm(options.timers);
    this.#heartbeat = new Alarm(options.timers);
  }

  get status(): SessionStatus {
    return this.#status;
  }

  get isReady(): boolean {
    return this.#asks !== undefined;
  }

  /** Connects, and keeps connecting. Also out of `stopped`, when the person tries again, and out of a wait. */
  start(): void {
    const { state } = this.#connection;
    if (state === 'connecting' || state === 'online') return;
    this.#retry.clear();
    this.#connection = this.#connection.state === 'waiting' ? reconnect(this.#connection) : CONNECT;
    this.#dial(this.#connection);
  }

  stop(): void {
    this.#connection = { state: 'offline' };
    this.#retry.clear();
    this.#link?.end('shutting_down');
    this.#show({ state: 'offline' });
  }

  ask<T extends AskType>(type: T, body: NorcCBody<T>, done: (answer: Answer<T>) => void): void {
    if (this.#asks === undefined) {
      done(failure('unsent', { code: 'no_route', detail: 'not connected' }));
      return;
    }
    this.#asks.ask(type, body, this.#now(), done);
    this.#watchDeadline();
  }

  request<T extends AskType>(type: T, body: NorcCBody<T>): Promise<Answer<T>> {
    return new Promise((resolve) => this.ask(type, body, resolve));
  }

  tell(message: NorcCMessage): void {
    if (!this.isReady) return;
    const id = newMessageId(this.#options.random);
    this.#told.add(id);
    const [oldest] = this.#told;
    if (this.#told.size > TOLD_KEPT && oldest !== undefined) this.#told.delete(oldest);
    this.#link?.send(id, message);
  }

  // ---- connecting ----

  #dial(connection: Connecting): void {
    this.#show({ state: 'connecting', failures: connection.failures });
    const { store, pinned } = this.#options;
    store.read
      .serverVersion(pinned.org)
      .then((seen) => {
        if (this.#connection === connection) this.#connect(seen?.major);
      })
      .catch((fault: unknown) => this.#broken(fault));
  }

  #connect(newestMajorSeen: number | undefined): void {
    const { pinned, crypto, allowOlderServer } = this.#options;
    const options = {
      ...this.#options,
      organisation: pinned.org,
      memory: { newestMajorSeen, allowOlder: allowOlderServer },
      verifyServer: pinnedServer(crypto, pinned),
    };
    // Told by a link that this session has already left, an event means nothing.
    let link: SessionLink | undefined;
    const current = () => link === undefined || this.#link === link;
    link = new SessionLink(options, {
      handshaken: (facts) => this.#handshaken(facts),
      ready: (ready) => this.#ready(ready),
      message: (id, message) => this.#received(id, message),
      ended: (end) => {
        if (current()) this.#ended(end);
      },
    });
    if (this.#connection.state === 'connecting') this.#link = link;
  }

  /** Does not wait: the memory is for the next connection. */
  #handshaken(facts: LinkFacts): undefined {
    this.#facts = facts;
    const { store, pinned } = this.#options;
    const version = { major: facts.newestMajorSeen, minor: 0 };
    store
      .transact([{ op: 'server.version', server: pinned.org, version }])
      .catch((fault: unknown) => this.#listener.fault(fault));
  }

  #ready(ready: Ready): void {
    const { random } = this.#options;
    if (this.#connection.state !== 'connecting' || this.#facts === undefined) return;
    this.#connection = connected(this.#connection, this.#now());
    this.#asks = new AskQueue(random, ({ id, message }) => this.#link?.send(id, message) ?? 'closed');
    this.#heard = true;
    this.#warned = undefined;
    this.#beat();
    this.#show({ state: 'ready', facts: sessionFacts(this.#facts) });
    this.#learn(ready.offset);
    this.#synchronize();
    this.#listener.ready(ready, this.#facts.server);
  }

  #ended({ code, unproven }: LinkEnd): void {
    const asks = this.#asks;
    this.#link = undefined;
    this.#asks = undefined;
    this.#facts = undefined;
    this.#expiry.clear();
    this.#heartbeat.clear();
    asks?.close();
    if (asks !== undefined) this.#listener.lost();
    const connection = this.#connection;
    if (connection.state !== 'connecting' && connection.state !== 'online') return;
    // What anybody on the way can bring about may only make us try again, and be told.
    const verdict = unproven ? undefined : code;
    if (unproven && code !== undefined) this.#warn(code);
    this.#connection = disconnected(connection, this.#now(), this.#options.random, verdict);
    if (this.#connection.state === 'stopped') this.#show({ state: 'stopped', code: this.#connection.code });
    else this.#wait(this.#connection, code);
  }

  #warn(code: ErrorName): void {
    if (this.#warned === code) return;
    this.#warned = code;
    this.#listener.unproven(code);
  }

  #wait(waiting: Waiting, code: LinkEnd['code']): void {
    const { retryAt, failures } = waiting;
    this.#show({ state: 'waiting', retryAt, failures, ...(code === undefined ? {} : { code }) });
    this.#retry.set(retryAt - this.#now(), () => this.start());
  }

  /** The store does not answer: without its memory a downgrade would go unseen. */
  #broken(fault: unknown): void {
    this.#connection = { state: 'stopped', code: 'internal' };
    this.#show({ state: 'stopped', code: 'internal' });
    this.#listener.fault(fault);
  }

  #show(status: SessionStatus): void {
    this.#status = status;
    this.#listener.status(status);
  }

  // ---- connected ----

  #received(id: MessageId, message: ReceivedMessage<NorcCMessage>): void {
    this.#heard = true;
    const sorted = this.#asks?.arrived(id, message, this.#now());
    this.#watchDeadline();
    if (sorted === 'unexpected') this.#link?.end('unexpected_message');
    if (sorted !== 'push' || message.type === 'pong' || this.#told.delete(id)) return;
    // Not about anything that we said: the server's last words.
    if (message.type === 'error') this.#link?.end(errorNameOf(message.body.code) ?? 'internal');
    else this.#listener.push(message);
  }

  #watchDeadline(): void {
    const deadline = this.#asks?.nextDeadline;
    if (deadline === undefined) this.#expiry.clear();
    else if (!this.#expiry.isSet) this.#expiry.set(deadline - this.#now(), () => this.#expire());
  }

  #expire(): void {
    this.#asks?.expire(this.#now());
    this.#watchDeadline();
  }

  /** A connection that is dead without knowing it, after a sleep or a change of network, is noticed by the second beat. */
  #beat(): void {
    this.#heartbeat.set(HEARTBEAT_MS, () => {
      if (!this.#heard) {
        this.#link?.end('no_route');
        return;
      }
      this.#heard = false;
      this.#link?.rekeyWhenDue();
      this.#asks?.ping(this.#now(), () => undefined);
      this.#watchDeadline();
      this.#beat();
    });
  }

  /** A round trip says more about the server's clock than its challenge, which took an unknown time. */
  #synchronize(): void {
    const sentAt = this.#now();
    this.ask('time_sync', {}, (answer) => {
      const time = answer.ok ? answer.value.server_time : undefined;
      if (time !== undefined) this.#learn(offsetFromRoundTrip(sentAt, time, this.#now()));
    });
  }

  #learn(offset: ClockOffset): void {
    this.#offset = this.#offset === undefined ? offset : betterOffset(this.#offset, offset);
    this.#listener.clock(this.#offset);
  }

  #now(): Instant {
    return this.#options.clock.now();
  }
}
