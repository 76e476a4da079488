import { type Domain, ok, type Reject, type Result, reject } from '@norc/protocol/base';
import type { NorcFMessage, NorcFType, Priority } from '@norc/protocol/norc-f';
import type { ReceivedMessage } from '@norc/protocol/wire';
import type { DeliveredUpdate } from '../delivery/index.ts';
import type { LinkStatus } from '../services.ts';
import type { OutboxRow } from '../storage/port.ts';
import type { LinkConnection, LinkHandler } from '../transport/port.ts';
import { type FederationRequests, trustMessage } from './federation-requests.ts';
import { IncomingLink } from './incoming-link.ts';
import type { LinkIdentity, PeerEvidence } from './link-identity.ts';
import { PeerWorker, type WorkerDependencies } from './peer-worker.ts';

export interface LinksDependencies extends WorkerDependencies {
  readonly identity: LinkIdentity;
  readonly requests: FederationRequests;
  readonly refer: (peer: Domain | undefined, code: string, detail: string) => string;
}

/** All links of one organisation: one worker per peer that we dial, and those that dialed us. */
export class LinksService {
  readonly #d: LinksDependencies;
  readonly #workers = new Map<Domain, PeerWorker>();
  readonly #incoming = new Set<IncomingLink>();
  #stopped = false;

  constructor(dependencies: LinksDependencies) {
    this.#d = dependencies;
  }

  /** For the listener: every connection that comes in. */
  accept(connection: LinkConnection): LinkHandler {
    const link: IncomingLink = new IncomingLink(
      {
        ...this.#d,
        serve: (peer, request) => this.#d.requests.serve(peer, request),
        onAuthenticated: (open, peer) => this.#authenticated(open, peer),
        onClosed: (closed) => this.#incoming.delete(closed),
      },
      connection,
    );
    this.#incoming.add(link);
    return link;
  }

  /** Whoever reaches us is back: what waits for it goes now. */
  #authenticated(_: IncomingLink, peer: PeerEvidence): void {
    this.#workers.get(peer.domain)?.heard(); // also one that is not trusted: it may have statements to hear
  }

  async request(
    peer: Domain,
    priority: Priority,
    message: NorcFMessage & { readonly type: NorcFType },
  ): Promise<Result<ReceivedMessage<NorcFMessage>, Reject>> {
    return await this.#worker(peer).request(priority, message);
  }

  /** Sends a trust document that needs no answer. Lost ones are sent again by whoever waits for what they cause. */
  async sendTrust(peer: Domain, type: number, document: Uint8Array): Promise<Result<undefined>> {
    return await this.#worker(peer).post('control', trustMessage(type, document));
  }

  /** As `sendTrust`, for a document that is answered by one. */
  async askTrust(peer: Domain, type: number, document: Uint8Array): Promise<Result<Uint8Array>> {
    const answer = await this.#worker(peer).request('control', trustMessage(type, document));
    if (!answer.ok) return answer;
    const { body } = answer.value;
    return 'document' in body && body.document instanceof Uint8Array
      ? ok(body.document)
      : reject('unexpected_message', answer.value.type);
  }

  sendDelivered(peer: Domain, updates: readonly DeliveredUpdate[]): void {
    for (let i = 0; i < updates.length; i += UPDATES_MAX) {
      this.#workers
        .get(peer)
        ?.sendIfUp('interactive', { type: 'delivery_ack', body: { updates: updates.slice(i, i + UPDATES_MAX) } });
    }
  }

  wake(peer: Domain, outbox?: OutboxRow | 'more'): void {
    if (!this.#stopped) this.#worker(peer).wake(outbox);
  }

  /** Trust changed: a new link says the new certificates. */
  renew(peer: Domain): void {
    for (const link of this.#incoming) if (link.isFrom(peer)) link.cut();
    this.#worker(peer).reconnect();
  }

  /** Trust ended: both directions close now. */
  cut(peer: Domain): void {
    for (const link of this.#incoming) if (link.isFrom(peer)) link.cut();
    this.#workers.get(peer)?.cut();
  }

  /** Called every minute. */
  tick(): void {
    for (const worker of this.#workers.values()) worker.tick();
  }

  status(): readonly Omit<LinkStatus, 'queued'>[] {
    return [...this.#workers.values()].map((worker) => worker.status());
  }

  stop(): void {
    this.#stopped = true;
    for (const worker of this.#workers.values()) worker.stop();
    for (const link of this.#incoming) link.cut();
  }

  #worker(peer: Domain): PeerWorker {
    const known = this.#workers.get(peer);
    if (known !== undefined) return known;
    const worker = new PeerWorker(peer, this.#d);
    this.#workers.set(peer, worker);
    return worker;
  }
}

const UPDATES_MAX = 256;
