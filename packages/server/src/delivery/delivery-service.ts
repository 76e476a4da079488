import type { Clock } from '@norc/protocol/base';
import {
  type ConversationId,
  type DeviceId,
  type Domain,
  ok,
  type Random,
  type Result,
  reject,
} from '@norc/protocol/base';
import type { Crypto, Signer } from '@norc/protocol/crypto';
import type { NorcFBody, Submission } from '@norc/protocol/norc-f';
import type { TrustDecision, TrustQuestion } from '@norc/protocol/norc-t';
import type { EntryKind } from '@norc/protocol/wire';
import type {
  AuthenticatedDevice,
  Closure,
  ConversationEntries,
  ConversationExpulsion,
  CreateRequest,
  Delivery,
  DeliveryEar,
  ExpelledConversation,
  ExpulsionProgress,
  LocalMessage,
  LocalSubmission,
  Membership,
  OrderedPlace,
  OutgoingRelay,
  SendListener,
  SubmitOutcome,
  TrustEnd,
} from '../services.ts';
import type { OutboxRow, Store } from '../storage/port.ts';
import { ConversationLog } from './conversation-log.ts';
import { CreationService } from './creation.ts';
import type { DeliveredUpdate } from './delivered-batch.ts';
import { directRoute } from './direct-route.ts';
import { Expulsions, type Settling } from './expulsion.ts';
import { FanOut } from './fan-out.ts';
import { FollowedLogs } from './followed-logs.ts';
import { FollowerService } from './follower-service.ts';
import { Freezing } from './freezing.ts';
import { HubOutbox } from './hub-outbox.ts';
import { HubService } from './hub-service.ts';
import { LocalReading } from './local-reading.ts';
import { LogCache } from './log-cache.ts';
import { LogSweep } from './log-sweep.ts';
import { Marks } from './marks.ts';
import { readHeader } from './mls-header.ts';
import type { PublicGroups } from './public-group.ts';
import { Replication } from './replication.ts';
import { submitAnswer } from './submit-item.ts';

export interface DeliveryDependencies {
  readonly self: Domain;
  readonly store: Store;
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly groups: PublicGroups;
  readonly decide: (question: TrustQuestion) => TrustDecision;
  /** The server key: signs what the hub proposes, and receipts. */
  readonly signer: Signer;
  /** Spreads retries in time. */
  readonly random: Random;
  /** Runs once after a delay; never keeps the process alive. */
  readonly after: (delayMilliseconds: number, run: () => void) => void;
  /** There is something for this organisation's server. */
  readonly wake: (peer: Domain, outbox?: OutboxRow | 'more') => void;
  /** Delivery marks for another server; losing one costs a tick on a screen. */
  readonly sendDelivered: (peer: Domain, updates: readonly DeliveredUpdate[]) => void;
  readonly onMisbehavior: (hub: Domain, code: string, detail: string) => void;
  /** A member of another organisation brought in one that we do not trust. */
  readonly onUntrusted?: (organisation: Domain) => void;
  /** A background write failed; the data it carried is asked for again. */
  readonly onFault: (error: unknown) => void;
}

export function createDelivery(dependencies: DeliveryDependencies): DeliveryService {
  return new DeliveryService(dependencies);
}

/** The logs of conversations, as their hub and as a follower (services.ts). */
export class DeliveryService implements Delivery {
  readonly #d: DeliveryDependencies;
  readonly #logs: LogCache;
  readonly #hub: HubService;
  readonly #toHub: HubOutbox;
  readonly #followed: FollowedLogs;
  readonly #creation: CreationService;
  readonly #reading: LocalReading;
  readonly #replication: Replication;
  readonly #ears = new FanOut();
  readonly #marks: Marks;
  readonly #sweep: LogSweep;
  readonly #expulsions: Expulsions;
  readonly #freezing: Freezing;
  /** Logs whose growth is to be told. */
  readonly #grewLogs = new Set<ConversationLog>();

  constructor(dependencies: DeliveryDependencies) {
    const { store, groups, self } = dependencies;
    this.#d = dependencies;
    this.#logs = new LogCache((conversation) => ConversationLog.load(store, groups, self, conversation));
    this.#expulsions = new Expulsions(dependencies, this.#logs, {
      grew: (log) => this.#grew(log),
      closed: (log, closure) => this.#ears.closed(log.localDevices(), log.conversation, closure),
    });
    this.#freezing = new Freezing(dependencies, this.#logs, this.#expulsions);
    const settling: Settling = (before, after, entry) => this.#expulsions.settling(before, after, entry);
    this.#hub = new HubService({
      ...dependencies,
      settling,
      expelling: (state) => this.#expulsions.expelling(state),
      endedPairs: () => this.#expulsions.endedPairs(),
    });
    this.#toHub = new HubOutbox(dependencies, this.#logs, this.#ears);
    this.#creation = new CreationService(dependencies);
    const follower = new FollowerService({ ...dependencies, settling });
    this.#followed = new FollowedLogs(self, this.#logs, { follower, creation: this.#creation }, (log, news) => {
      for (const { sender, messageId, place } of news.own) {
        this.#ears.resolved(sender, log.conversation, messageId, place);
      }
      if (news.changed && !log.state.frozen) this.#expulsions.reopened(log.conversation);
      this.#grown(log, news.devices);
    });
    this.#reading = new LocalReading(store);
    this.#sweep = new LogSweep(store, dependencies.clock);
    this.#marks = new Marks(dependencies, this.#logs, this.#ears, (conversation) => this.#sweep.touch(conversation));
    this.#replication = new Replication(dependencies, this.#logs, (write) => this.#marks.follower(write));
  }

  // ---- local devices ----

  async create(sender: AuthenticatedDevice, request: CreateRequest): Promise<Result<SubmitOutcome>> {
    const outcome = await this.#creation.create(sender, request);
    if (!outcome.ok) return outcome;
    const { created, seq } = outcome.value;
    if (created !== undefined) {
      this.#joined(request.conversation, created.joined); // at once: before the announcement can be answered
      await this.#logs.get(request.conversation);
      this.#ears.grown(created.state.members.keys(), request.conversation, seq);
    }
    return ok({ state: 'sent', seq });
  }

  async submit(sender: AuthenticatedDevice, submission: LocalSubmission): Promise<Result<SubmitOutcome>> {
    const log = this.#logs.peek(submission.conversation) ?? (await this.#logs.get(submission.conversation));
    if (log === undefined) return reject('forbidden', 'conversation');
    const whole: Submission = { ...submission, sender: sender.deviceId, senderUser: sender.user, origin: this.#d.self };
    if (log.state.hub !== this.#d.self) return await this.#toHub.submit(log, whole);
    const outcome = await this.#order(log, whole);
    return outcome.ok ? ok(sentOutcome(outcome.value)) : outcome;
  }

  send(sender: AuthenticatedDevice, { conversation, header, body }: LocalMessage, listener: SendListener): void {
    const { messageId } = header.authenticatedData;
    const message = { conversation, messageId, kind: 'application', body } as const;
    const log = this.#logs.peek(conversation);
    if (log === undefined || log.state.hub !== this.#d.self) {
      this.submit(sender, message)
        .then((outcome) => listener.settled(outcome))
        .catch((error: unknown) => listener.failed(error));
      return;
    }
    const submission = { ...message, sender: sender.deviceId, senderUser: sender.user, origin: this.#d.self };
    this.#hub.send(log, submission, header, {
      settled: (outcome) => {
        if (outcome.ok && !outcome.value.duplicate) this.#grew(log);
        listener.settled(outcome.ok ? ok(sentOutcome(outcome.value)) : outcome);
      },
      failed: (error) => listener.failed(error),
    });
  }

  async #order(
    log: ConversationLog,
    submission: Submission,
  ): Promise<Result<OrderedPlace & { readonly duplicate: boolean }>> {
    const header = readHeader(submission.body);
    if (!header.ok) return header;
    const before = submission.kind === 'commit' ? log.localDevices() : undefined;
    const outcome = await this.#hub.submit(log, submission, header.value);
    if (!outcome.ok || outcome.value.duplicate) return outcome;
    this.#joined(log.conversation, outcome.value.joined);
    for (const peer of outcome.value.left) {
      this.#replication.appended(peer, log.conversation);
      this.#d.wake(peer);
    }
    if (before !== undefined && !log.state.frozen) this.#expulsions.reopened(log.conversation);
    if (before === undefined) this.#grew(log);
    else this.#grown(log, new Set([...before, ...log.localDevices()]));
    return outcome;
  }

  cursors(device: AuthenticatedDevice, cursors: Parameters<Delivery['cursors']>[1]): void {
    this.#marks.cursors(device, cursors);
  }

  async memberships(device: AuthenticatedDevice): Promise<readonly Membership[]> {
    const memberships = await this.#d.store.read.memberships(device.deviceId);
    return memberships
      .filter((one) => one.cursor < (one.leftSeq ?? Number.MAX_SAFE_INTEGER))
      .map(({ conversationId, cursor, leftSeq, headSeq }) => ({
        conversation: conversationId,
        cursor,
        headSeq: leftSeq ?? headSeq,
      }));
  }

  async entriesFor(
    device: AuthenticatedDevice,
    conversation: ConversationId,
    after: number,
    limit: number,
    bytesMax: number,
  ): Promise<Result<ConversationEntries>> {
    const log = await this.#logs.get(conversation);
    if (log === undefined) return reject('forbidden', 'conversation');
    return await this.#reading.entriesFor(log, device, after, limit, bytesMax);
  }

  recentFor(
    device: AuthenticatedDevice,
    conversation: ConversationId,
    after: number,
    limit: number,
    bytesMax: number,
  ): ConversationEntries | undefined {
    const log = this.#logs.peek(conversation);
    return log === undefined ? undefined : this.#reading.recentFor(log, device, after, limit, bytesMax);
  }

  async deliveredIn(conversation: ConversationId): Promise<readonly DeliveredUpdate[]> {
    const marks = await this.#d.store.read.delivered(conversation);
    return marks.map(({ user, seq }) => ({ conversation, user, seq }));
  }

  attach(device: AuthenticatedDevice, ear: DeliveryEar): () => void {
    return this.#ears.attach(device.deviceId, ear);
  }

  // ---- other servers: as the hub ----

  async submitFrom(
    peer: Domain,
    item: NorcFBody<'message_submit'>['items'][number],
  ): Promise<NorcFBody<'submit_result'>['items'][number]> {
    const { conversation, message_id } = item;
    const answer = (outcome: Result<{ readonly seq: number; readonly duplicate: boolean }>) =>
      submitAnswer(conversation, message_id, outcome);
    const route = directRoute(item.route, peer, this.#d.self);
    if (!route.ok) return answer(route);
    const log = await this.#logs.get(conversation);
    if (log === undefined || log.state.hub !== this.#d.self) return answer(reject('forbidden', 'conversation'));
    const { kind, sender, sender_user, body, welcome, group_info } = item;
    if (kind === 'proposal') return answer(reject('unsupported_type', 'proposal'));
    return answer(
      await this.#order(log, {
        ...{
          conversation,
          kind,
          sender,
          body,
          messageId: message_id,
          senderUser: sender_user,
          origin: route.value.origin,
        },
        ...(welcome === undefined ? {} : { welcome }),
        ...(group_info === undefined ? {} : { groupInfo: group_info }),
      }),
    );
  }

  linkUp(peer: Domain): Promise<void> {
    return this.#replication.linkUp(peer);
  }

  nextRelay(peer: Domain): Promise<OutgoingRelay | undefined> {
    return this.#replication.next(peer);
  }

  relayAcked(peer: Domain, relay: OutgoingRelay, seq: number): Promise<void> {
    return this.#replication.acked(peer, relay, seq);
  }

  relayRefused(peer: Domain, relay: OutgoingRelay): void {
    this.#replication.refused(peer, relay);
  }

  announced(peer: Domain, conversation: ConversationId, seq: number): Promise<void> {
    return this.#replication.announced(peer, conversation, seq);
  }

  async mayCarry(peer: Domain, conversation: ConversationId, bytes: number, kind?: EntryKind): Promise<boolean> {
    const log = await this.#logs.get(conversation);
    // [F-34] Its hub would still order it, and pass it on to somebody with whom our own trust has ended.
    if (log === undefined || (kind === 'application' && log.state.frozen)) return false;
    return this.#replication.mayCarry(log, peer, bytes);
  }

  // ---- other servers: as a follower ----

  acceptRelay(peer: Domain, relay: NorcFBody<'message_relay'>): Promise<Result<{ readonly seq: number }>> {
    return this.#followed.relay(peer, relay);
  }

  acceptAnnounce(
    peer: Domain,
    announce: NorcFBody<'conversation_announce'>,
  ): Promise<Result<{ readonly seq: number }>> {
    return this.#followed.announce(peer, announce);
  }

  submissionResolved(peer: Domain, results: NorcFBody<'submit_result'>['items']): Promise<void> {
    return this.#toHub.resolved(peer, results);
  }

  // ---- both ----

  acceptDelivered(peer: Domain, updates: NorcFBody<'delivery_ack'>['updates']): Promise<void> {
    return this.#marks.acceptDelivered(peer, updates);
  }

  freezeWith(domain: Domain): Promise<number> {
    return this.#freezing.freeze(domain);
  }

  readmit(domain: Domain): Promise<number> {
    return this.#freezing.thaw(domain);
  }

  /** Ends of trust that were not carried out to their end before the start, also those of others. */
  unfinished(): Promise<readonly TrustEnd[]> {
    return this.#expulsions.load();
  }

  expel(end: TrustEnd): Promise<ExpulsionProgress> {
    return this.#expulsions.expel(end);
  }

  expulsions(about?: Parameters<Delivery['expulsions']>[0]): readonly ExpulsionProgress[] {
    return this.#expulsions.progress(about);
  }

  expelledFrom(end: Omit<TrustEnd, 'cause'>): readonly ConversationExpulsion[] {
    return this.#expulsions.conversations(end);
  }

  onExpelled(listener: (done: ExpelledConversation) => void): void {
    this.#expulsions.onExpelled(listener);
  }

  expelDevice(deviceId: DeviceId): Promise<number> {
    return this.#freezing.expelDevice(deviceId, (log) => this.#grew(log));
  }

  closure(conversation: ConversationId): Closure | undefined {
    return this.#expulsions.closure(conversation);
  }

  /** Drops entries that are not needed any more. Called every hour. */
  sweep(): Promise<void> {
    return this.#sweep.run();
  }

  /** Writes what waits, for a clean stop. */
  flush(): void {
    this.#marks.flush();
  }

  #joined(conversation: ConversationId, peers: readonly Domain[]): void {
    for (const peer of peers) {
      this.#replication.joined(peer, conversation);
      this.#d.wake(peer, 'more');
    }
  }

  /** Several messages are told of at once: all that became durable in this turn of the event loop. */
  #grew(log: ConversationLog): void {
    if (this.#grewLogs.size === 0) queueMicrotask(() => this.#tellGrowth());
    this.#grewLogs.add(log);
  }

  #tellGrowth(): void {
    const grown = [...this.#grewLogs];
    this.#grewLogs.clear();
    for (const log of grown) this.#grown(log, log.localDevices());
  }

  /**
   * Tells local sessions and followers that the log has new entries, all durable.
   * `devices`: with those that a commit may have removed, who see it too.
   */
  #grown(log: ConversationLog, devices: Iterable<DeviceId>): void {
    this.#ears.grown(devices, log.conversation, log.durableSeq);
    if (log.state.hub !== this.#d.self) return;
    for (const peer of log.state.organisations) {
      if (peer === this.#d.self) continue;
      this.#replication.appended(peer, log.conversation);
      this.#d.wake(peer);
    }
  }
}

function sentOutcome({ seq, proof }: OrderedPlace): SubmitOutcome {
  return proof === undefined ? { state: 'sent', seq } : { state: 'sent', seq, proof };
}
