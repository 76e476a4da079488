import { type Domain, ok, type Result, reject, retryDelayMilliseconds } from '@norc/protocol/base';
import {
  attemptFailed,
  attemptStarted,
  attemptSucceeded,
  type Breaker,
  CLOSED,
  failsFast,
  mayAttempt,
  type NorcFMessage,
  type NorcFType,
  type Priority,
  peerHeard,
} from '@norc/protocol/norc-f';
import type { ReceivedMessage } from '@norc/protocol/wire';
import type { Delivery, LinkStatus } from '../services.ts';
import type { OutboxRow, Store } from '../storage/port.ts';
import { ResolverError } from '../transport/errors.ts';
import type { LinkCloseCause, LinkEndpoint } from '../transport/port.ts';
import { OutboxDrain } from './outbox-drain.ts';
import { dialLink, type OutgoingDependencies, type OutgoingLink } from './outgoing-link.ts';

const RELAYS_IN_FLIGHT_MAX = 32;
/** Waits like the fourth retry: up to 2 s. */
const PUMP_RETRY = 3;

export interface WorkerDependencies extends Omit<OutgoingDependencies, 'onClosed'> {
  readonly store: Store;
  readonly delivery: Delivery;
  readonly endpoints: (peer: Domain) => Promise<readonly LinkEndpoint[]>;
  readonly onFault: (error: unknown) => void;
  readonly onState: (peer: Domain, state: 'up' | 'down', detail: string) => void;
}

/**
 * Keeps one peer supplied: dials when there is something to send, sends requests,
 * drains the outbox, replicates logs, and comes back after failures by the breaker.
 */
export class PeerWorker {
  readonly peer: Domain;
  readonly #d: WorkerDependencies;
  #breaker: Breaker = CLOSED;
  #link: OutgoingLink | undefined;
  #drain: OutboxDrain | undefined;
  #dialing: Promise<Result<OutgoingLink>> | undefined;
  #cause: string | undefined;
  #upSince = 0;
  #pumping = false;
  #again = false;
  #lookingAgain = false;
  #relays = 0;
  #stopped = false;
  /** Of trust: a link that began to be dialed in an older one is as old. */
  #generation = 0;
  #cancelRetry: () => void = () => undefined;

  constructor(peer: Domain, dependencies: WorkerDependencies) {
    this.peer = peer;
    this.#d = dependencies;
  }

  get link(): OutgoingLink | undefined {
    return this.#link?.isOpen === true ? this.#link : undefined;
  }

  /** Something waits for the peer: entries of logs, or what its outbox has just got (`more`: not named here). */
  wake(outbox?: OutboxRow | 'more'): void {
    if (this.#stopped) return;
    if (outbox === 'more') this.#drain?.look();
    else if (outbox !== undefined) this.#drain?.offer(outbox);
    this.#again = true;
    if (!this.#pumping) void this.#pump().catch((error: unknown) => this.#pumpFailed(error));
  }

  /** The peer dialed us: it is back. */
  heard(): void {
    this.#breaker = peerHeard(this.#breaker, this.#d.identity.clock.now());
    if (this.#breaker.state === 'waiting') this.wake();
  }

  async request(
    priority: Priority,
    message: NorcFMessage & { readonly type: NorcFType },
  ): Promise<Result<ReceivedMessage<NorcFMessage>>> {
    const link = await this.#connected(true);
    if (!link.ok) return link;
    if (!this.#mayCarry(link.value, message.type)) return reject('not_trusted', 'link');
    return await link.value.request(priority, message);
  }

  /** Nothing but the trust exchange is said to a server that is not trusted now, whatever it was when the link was made. */
  #mayCarry(link: OutgoingLink, type: NorcFMessage['type']): boolean {
    return type.startsWith('trust_') || (link.peer.trusted && this.#d.trust.pins(this.peer) !== undefined);
  }

  /** One-way, over a link that is dialed if need be. */
  async post(priority: Priority, message: NorcFMessage): Promise<Result<undefined>> {
    const open = this.link;
    if (open !== undefined) {
      open.send(priority, message); // before anything is waited for: a revocation goes out ahead of the cut that it causes
      return ok(undefined);
    }
    const link = await this.#connected(true);
    if (!link.ok) return link;
    link.value.send(priority, message);
    return ok(undefined);
  }

  /** One-way, only when the link is there: what it carries may be lost. */
  sendIfUp(priority: Priority, message: NorcFMessage): void {
    const { link } = this;
    if (link !== undefined && this.#mayCarry(link, message.type)) link.send(priority, message);
  }

  /** A link that was made before trust changed says the wrong thing: the next one says the right one. */
  reconnect(): void {
    this.#generation += 1;
    this.#link?.close();
    this.#link = undefined;
    this.#breaker = CLOSED;
    this.wake();
  }

  cut(): void {
    this.#link?.cut();
    this.#link = undefined;
  }

  /** Called every minute: keys age, and rows of the outbox reach their end. */
  tick(): void {
    this.link?.tick();
    if (this.#drain !== undefined) this.wake('more');
  }

  stop(): void {
    this.#stopped = true;
    this.#cancelRetry();
    this.#link?.close();
  }

  status(): Omit<LinkStatus, 'queued'> {
    const since = this.#breaker.state === 'closed' ? this.#upSince : this.#breaker.since;
    const base = {
      peer: this.peer,
      since: since as LinkStatus['since'],
      attempts: this.#breaker.state === 'closed' ? 0 : this.#breaker.failures,
    };
    const cause = this.#cause === undefined ? {} : { cause: this.#cause };
    if (this.link !== undefined) return { ...base, state: 'up', version: this.link.version };
    if (this.#d.trust.pins(this.peer) === undefined) return { ...base, ...cause, state: 'blocked' };
    if (this.#breaker.state === 'waiting')
      return { ...base, ...cause, state: 'waiting', nextAttemptAt: this.#breaker.retryAt };
    return { ...base, ...cause, state: this.#dialing === undefined ? 'waiting' : 'connecting' };
  }

  /** Something of ours broke, the disk for example: one look again after a while. */
  #pumpFailed(error: unknown): void {
    this.#d.onFault(error);
    if (this.#lookingAgain) return;
    this.#lookingAgain = true;
    this.#d.timers.after(retryDelayMilliseconds(PUMP_RETRY, this.#d.identity.random), () => {
      this.#lookingAgain = false;
      this.wake();
    });
  }

  async #pump(): Promise<void> {
    this.#pumping = true;
    try {
      while (this.#again && !this.#stopped) {
        this.#again = false;
        if (this.#d.trust.pins(this.peer) === undefined) return; // nothing but the trust exchange goes out, by request()
        const link = await this.#connected(false);
        if (!link.ok || !link.value.peer.trusted) return;
        const drain = this.#drain;
        if (drain === undefined) return; // the link comes up; it wakes us
        await drain.run();
        await this.#replicate(link.value);
      }
    } finally {
      this.#pumping = false;
    }
  }

  async #replicate(link: OutgoingLink): Promise<void> {
    while (link.isOpen && this.#relays < RELAYS_IN_FLIGHT_MAX) {
      const relay = await this.#d.delivery.nextRelay(this.peer);
      if (relay === undefined) return;
      this.#relays += 1;
      void link
        .request('interactive', { type: 'message_relay', body: relay.body })
        .then(async (answer) => {
          if (answer.ok && answer.value.type === 'relay_ack') {
            await this.#d.delivery.relayAcked(this.peer, relay, answer.value.body.seq);
          } else if (link.isOpen) this.#d.delivery.relayRefused(this.peer, relay);
        })
        .catch(this.#d.onFault)
        .finally(() => {
          if (this.#link === link) this.#relays -= 1; // a new link counts its own
          this.wake();
        });
    }
  }

  /** The link, dialed if need be. With `now`, requests that cannot wait fail while the peer is known to be away. */
  async #connected(now: boolean): Promise<Result<OutgoingLink>> {
    const link = this.link;
    if (link !== undefined) return ok(link);
    if (this.#dialing !== undefined) return await this.#dialing;
    // When an attempt is due, the request is the attempt: nothing else dials a peer that is not trusted.
    const isDue = mayAttempt(this.#breaker, this.#d.identity.clock.now());
    if (now && failsFast(this.#breaker) && !isDue) return reject('no_route', this.#cause ?? 'unreachable');
    if (!now && !mayAttempt(this.#breaker, this.#d.identity.clock.now())) {
      this.#retryLater(); // a timer may fire a millisecond before the clock says so
      return reject('no_route', 'waiting');
    }
    this.#dialing = this.#dial().finally(() => {
      this.#dialing = undefined;
      if (this.link === undefined) this.wake(); // trust may have changed while we dialed: then the next attempt is due now
    });
    return await this.#dialing;
  }

  async #dial(): Promise<Result<OutgoingLink>> {
    const { clock } = this.#d.identity;
    const generation = this.#generation;
    if (mayAttempt(this.#breaker, clock.now())) this.#breaker = attemptStarted(this.#breaker, clock.now());
    try {
      const dialed = await this.#tryEndpoints();
      if (generation !== this.#generation && !this.#stopped) {
        if (dialed.ok) dialed.value.close();
        return await this.#dial();
      }
      if (!dialed.ok) return this.#attemptFailed(dialed.error.detail);
      await this.#opened(dialed.value);
      return dialed;
    } catch (error) {
      // Whatever broke, the breaker must not wait for this attempt for ever.
      if (error instanceof ResolverError) return this.#attemptFailed('the name service does not answer');
      this.#d.onFault(error);
      return this.#attemptFailed('internal fault');
    }
  }

  #attemptFailed(cause: string): Result<OutgoingLink> {
    const link = this.#link;
    this.#link = undefined; // first: its end is told here and not a second time
    this.#drain = undefined;
    link?.close();
    this.#down(cause);
    return reject('no_route', cause);
  }

  #down(cause: string): void {
    const { clock, random } = this.#d.identity;
    this.#breaker = attemptFailed(this.#breaker, clock.now(), random);
    this.#cause = cause;
    this.#d.onState(this.peer, 'down', cause);
    this.#retryLater();
  }

  async #opened(link: OutgoingLink): Promise<void> {
    const { clock, random } = this.#d.identity;
    this.#breaker = attemptSucceeded();
    this.#cause = undefined;
    this.#upSince = clock.now();
    this.#relays = 0;
    this.#drain = undefined;
    this.#link = link;
    if (link.peer.trusted) await this.#d.delivery.linkUp(this.peer);
    if (this.#link !== link) return; // closed or replaced meanwhile
    this.#drain = new OutboxDrain(this.peer, link, {
      ...this.#d,
      random,
      now: () => clock.now(),
      later: () => this.wake(),
      after: (delay, run) => void this.#d.timers.after(delay, run),
    });
    this.#d.onState(this.peer, 'up', `version ${link.version}`);
    this.wake();
  }

  async #tryEndpoints(): Promise<Result<OutgoingLink>> {
    let detail = 'no address is known';
    for (const endpoint of await this.#d.endpoints(this.peer)) {
      const dialed = await dialLink(
        { ...this.#d, onClosed: (link, cause) => this.#closed(link, cause) },
        this.peer,
        endpoint,
      );
      if (dialed.ok) return ok(dialed.value);
      detail = `${dialed.error.cause}: ${dialed.error.detail}`;
    }
    return reject('no_route', detail);
  }

  #closed(link: OutgoingLink, cause: LinkCloseCause): void {
    if (this.#link !== link) return;
    this.#link = undefined;
    this.#drain = undefined;
    this.#down(cause);
  }

  #retryLater(): void {
    if (this.#breaker.state !== 'waiting' || this.#stopped) return;
    this.#cancelRetry();
    const wait = Math.max(1, this.#breaker.retryAt - this.#d.identity.clock.now());
    this.#cancelRetry = this.#d.timers.after(wait, () => this.wake());
  }
}
