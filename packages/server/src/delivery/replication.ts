import {
  type ConversationId,
  type Domain,
  domainOf,
  LIMITS,
  MESSAGE_TYPES,
  type Random,
  retryDelayMilliseconds,
} from '@norc/protocol/base';
import { conversationAnnounce, entryToWire, originRoute, pathQuestion } from '@norc/protocol/norc-f';
import { atLeast, type TrustDecision, type TrustQuestion } from '@norc/protocol/norc-t';
import { decodeBody } from '@norc/protocol/wire';
import type { OutgoingRelay } from '../services.ts';
import type { EntryRow, Store, StoreWrite } from '../storage/port.ts';
import type { ConversationLog } from './conversation-log.ts';
import { departedAt } from './departures.ts';
import type { LogCache } from './log-cache.ts';
import { type Place, ReplicationFeed } from './replication-feed.ts';

const RELAY_BYTES_MAX = 512 * 1024;
const ANNOUNCEMENTS_READ = 256;

type FollowerAdvance = StoreWrite & { readonly op: 'follower.advance' };

export interface ReplicationDependencies {
  readonly self: Domain;
  readonly store: Store;
  readonly random: Random;
  readonly decide: (question: TrustQuestion) => TrustDecision;
  readonly after: (delayMilliseconds: number, run: () => void) => void;
  readonly wake: (peer: Domain) => void;
}

/** Brings followers what they lack of the logs that we order. */
export class Replication {
  readonly #d: ReplicationDependencies;
  readonly #logs: LogCache;
  readonly #advance: (write: FollowerAdvance) => void;
  readonly #feeds = new Map<Domain, ReplicationFeed>();
  #runs = 0;

  constructor(dependencies: ReplicationDependencies, logs: LogCache, advance: (write: FollowerAdvance) => void) {
    this.#d = dependencies;
    this.#logs = logs;
    this.#advance = advance;
  }

  /** A link is new: what was sent on an older one and not confirmed is sent again. */
  async linkUp(peer: Domain): Promise<void> {
    const feed = new ReplicationFeed(peer, () => {
      this.#runs += 1;
      return this.#runs;
    });
    this.#feeds.set(peer, feed); // before the store is asked: what is appended meanwhile must not be missed
    for (const conversation of await this.#unannounced(peer)) feed.joined(conversation);
    for (const { conversationId } of await this.#d.store.read.behind(peer)) feed.appended(conversationId);
    feed.ready = true;
  }

  /** Announcements are of the first priority: they are what the outbox gives first. */
  async #unannounced(peer: Domain): Promise<readonly ConversationId[]> {
    for (let limit = ANNOUNCEMENTS_READ; ; limit *= 2) {
      const rows = await this.#d.store.read.outbox(peer, limit);
      const announcements = rows.filter((row) => row.type === MESSAGE_TYPES.conversation_announce);
      if (announcements.length === limit) continue;
      return announcements.map((row) => {
        const body = decodeBody(conversationAnnounce, row.body, 'cbor');
        if (!body.ok) throw new TypeError('an outbox row of ours does not decode');
        return body.value.conversation;
      });
    }
  }

  appended(peer: Domain, conversation: ConversationId): void {
    this.#feeds.get(peer)?.appended(conversation);
  }

  joined(peer: Domain, conversation: ConversationId): void {
    this.#feeds.get(peer)?.joined(conversation);
  }

  /**
   * The follower took the announcement and holds everything up to `seq`. Less than announced
   * is believed only of one that was here before: others must not ask for what was said before they came.
   */
  async announced(peer: Domain, conversation: ConversationId, seq: number): Promise<void> {
    const { store } = this.#d;
    const follower = await this.#follower(peer, conversation);
    const departed = await departedAt(store, conversation, peer);
    if (follower !== undefined && departed !== undefined && seq >= departed && seq < follower.seq) {
      await store.commit([
        { op: 'follower.remove', conversationId: conversation, peer },
        { op: 'follower.add', conversationId: conversation, peer, seq },
      ]);
    }
    this.#feeds.get(peer)?.announced(conversation);
  }

  /** Whether trust lets `bytes` of this conversation go to `peer` now. */
  mayCarry(log: ConversationLog, peer: Domain, bytes: number): boolean {
    const path = this.#d.decide(pathQuestion(log.state, peer, this.#d.self, bytes));
    return path.kind === 'allow' && atLeast(path.level, log.state.floor);
  }

  /** The follower refused the relay: it is tried again after a while. */
  refused(peer: Domain, relay: OutgoingRelay): void {
    const feed = this.#feeds.get(peer);
    const place = feed?.place(relay.body.conversation);
    if (feed !== undefined && place?.run === relay.run) this.#hold(feed, relay.body.conversation, place);
  }

  #hold(feed: ReplicationFeed, conversation: ConversationId, place: Place): void {
    if (place.held) return;
    const delay = retryDelayMilliseconds(place.failures, this.#d.random);
    const run = feed.hold(conversation, place);
    this.#d.after(delay, () => {
      if (this.#feeds.get(feed.peer) === feed && feed.release(conversation, run)) this.#d.wake(feed.peer);
    });
  }

  async next(peer: Domain): Promise<OutgoingRelay | undefined> {
    const feed = this.#feeds.get(peer);
    if (feed?.ready !== true) return undefined;
    for (let next = feed.next(); next !== undefined; next = feed.next()) {
      const relay = await this.#relay(feed, next);
      if (relay !== undefined) return relay;
    }
    return undefined;
  }

  /** What is next of one conversation. Without a result the feed has changed: it was idle, held, or moved on meanwhile. */
  async #relay(feed: ReplicationFeed, conversation: ConversationId): Promise<OutgoingRelay | undefined> {
    const { peer } = feed;
    const log = await this.#logs.get(conversation);
    const place = await this.#place(feed, conversation);
    if (log === undefined || place === undefined) {
      feed.left(conversation);
      return undefined;
    }
    const after = place.sent;
    const until = await this.#until(log, peer);
    if (until !== undefined && place.acked >= until && (await this.#departed(feed, log, until))) return undefined;
    const rows = until === undefined ? [] : (await this.#rows(log, after)).filter(({ seq }) => seq <= until);
    if (feed.place(conversation) !== place || place.sent !== after || !feed.mayGo(conversation)) return undefined;
    const last = rows.at(-1);
    if (until !== undefined && after >= until) {
      const grown = this.#isMember(log, peer) && log.durableSeq > until;
      if (!grown) feed.sent(conversation, after, false);
      return undefined;
    }
    const largest = rows.reduce((most, { body }) => Math.max(most, body.length), 0);
    // Entries that were dropped after their time leave a gap which no relay closes.
    if (last === undefined || rows[0]?.seq !== after + 1 || !this.mayCarry(log, peer, largest)) {
      this.#hold(feed, conversation, place);
      return undefined;
    }
    feed.sent(conversation, last.seq, last.seq < (this.#isMember(log, peer) ? log.durableSeq : (until ?? 0)));
    const entries = rows.map((row) => entryToWire(row, welcomesAt(log, row, peer)));
    return { body: { conversation, route: originRoute(this.#d.self), entries }, run: place.run };
  }

  async #place(feed: ReplicationFeed, conversation: ConversationId): Promise<Place | undefined> {
    const known = feed.place(conversation);
    if (known !== undefined) return known;
    const follower = await this.#follower(feed.peer, conversation);
    return follower === undefined ? undefined : feed.begin(conversation, follower.seq);
  }

  async #follower(peer: Domain, conversation: ConversationId): Promise<{ readonly seq: number } | undefined> {
    return (await this.#d.store.read.followers(conversation)).find((one) => one.peer === peer);
  }

  #isMember(log: ConversationLog, peer: Domain): boolean {
    return log.state.organisations.has(peer);
  }

  /** The last entry that the peer is to get; `undefined` while its removal is not durable yet. */
  async #until(log: ConversationLog, peer: Domain): Promise<number | undefined> {
    if (this.#isMember(log, peer)) return log.durableSeq;
    const departed = await departedAt(this.#d.store, log.conversation, peer);
    return departed === undefined || departed > log.durableSeq ? undefined : departed;
  }

  /** One that is out and holds the commit that says so follows no longer. The check and the write are one step: it may come back at any time. */
  async #departed(feed: ReplicationFeed, log: ConversationLog, until: number): Promise<boolean> {
    const { conversation } = log;
    const acked = feed.place(conversation)?.acked ?? -1;
    if (this.#isMember(log, feed.peer) || acked < until) return false;
    feed.left(conversation);
    await this.#d.store.commit([{ op: 'follower.remove', conversationId: conversation, peer: feed.peer }]);
    return true;
  }

  async #rows(log: ConversationLog, after: number): Promise<readonly EntryRow[]> {
    const limit = LIMITS.entriesPerFrameMax;
    const recent = log.recent.after(after, limit, RELAY_BYTES_MAX);
    return recent ?? (await this.#d.store.read.entries(log.conversation, after, limit, RELAY_BYTES_MAX));
  }

  /** The follower holds everything up to `seq`. A lower number than was sent asks for the rest again; without any progress it waits. */
  async acked(peer: Domain, relay: OutgoingRelay, seq: number): Promise<void> {
    const { conversation, entries } = relay.body;
    const feed = this.#feeds.get(peer);
    const log = await this.#logs.get(conversation);
    const place = feed?.place(conversation);
    if (feed === undefined || log === undefined || place?.run !== relay.run) return;
    const held = Math.min(seq, log.durableSeq);
    const news = feed.acked(place, held);
    if (news) this.#advance({ op: 'follower.advance', conversationId: conversation, peer, seq: held });
    if (held < (entries.at(-1)?.seq ?? 0)) {
      if (news) feed.rewind(conversation, place);
      else this.#hold(feed, conversation, place);
    } else if (!this.#isMember(log, peer)) {
      const until = await this.#until(log, peer);
      if (until !== undefined) await this.#departed(feed, log, until);
    }
  }
}

/** A Welcome crosses the border only towards the organisation of somebody whom it welcomes. */
function welcomesAt(log: ConversationLog, row: EntryRow, peer: Domain): boolean {
  if (row.welcome.length === 0) return false;
  for (const { user, joinedSeq } of log.state.members.values()) {
    if (joinedSeq === row.seq && domainOf(user) === peer) return true;
  }
  return false;
}
