import { type ConversationId, type Domain, domainOf, LIMITS } from '@norc/protocol/base';
import { entryToWire, type NorcFBody, originRoute } from '@norc/protocol/norc-f';
import type { EntryRow, Store, StoreWrite } from '../storage/port.ts';
import type { ConversationLog } from './conversation-log.ts';
import type { LogCache } from './log-cache.ts';
import { ReplicationFeed } from './replication-feed.ts';

const RELAY_BYTES_MAX = 512 * 1024;

type FollowerAdvance = StoreWrite & { readonly op: 'follower.advance' };

/** Brings followers what they lack of the logs that we order. */
export class Replication {
  readonly #self: Domain;
  readonly #store: Store;
  readonly #logs: LogCache;
  readonly #advance: (write: FollowerAdvance) => void;
  readonly #feeds = new Map<Domain, ReplicationFeed>();

  constructor(self: Domain, store: Store, logs: LogCache, advance: (write: FollowerAdvance) => void) {
    this.#self = self;
    this.#store = store;
    this.#logs = logs;
    this.#advance = advance;
  }

  /** A link is new: what was sent on an older one and not confirmed is sent again. */
  async linkUp(peer: Domain): Promise<void> {
    const behind = await this.#store.read.behind(peer);
    const feed = new ReplicationFeed(peer);
    feed.reset(behind);
    this.#feeds.set(peer, feed);
  }

  appended(peer: Domain, conversation: ConversationId, seq: number): void {
    this.#feeds.get(peer)?.appended(conversation, seq);
  }

  joined(peer: Domain, conversation: ConversationId, seq: number): void {
    this.#feeds.get(peer)?.joined(conversation, seq);
  }

  /** The follower refused: nothing more of this conversation until the next link or entry. */
  hold(peer: Domain, conversation: ConversationId): void {
    this.#feeds.get(peer)?.left(conversation);
  }

  async next(peer: Domain): Promise<NorcFBody<'message_relay'> | undefined> {
    const feed = this.#feeds.get(peer);
    for (let next = feed?.next(); feed !== undefined && next !== undefined; next = feed.next()) {
      const log = await this.#logs.get(next.conversation);
      const rows = log === undefined ? [] : await this.#rows(log, next.after);
      const last = rows.at(-1);
      if (log === undefined || last === undefined || !log.state.organisations.has(peer)) {
        feed.sent(next.conversation, next.after, false);
        continue;
      }
      feed.sent(next.conversation, last.seq, last.seq < log.durableSeq);
      const entries = rows.map((row) => entryToWire(row, welcomesAt(log, row, peer)));
      return { conversation: next.conversation, route: originRoute(this.#self), entries };
    }
    return undefined;
  }

  async #rows(log: ConversationLog, after: number): Promise<readonly EntryRow[]> {
    const limit = LIMITS.entriesPerFrameMax;
    const recent = log.recent.after(after, limit, RELAY_BYTES_MAX);
    return recent ?? (await this.#store.read.entries(log.conversation, after, limit, RELAY_BYTES_MAX));
  }

  /**
   * The follower holds everything up to `seq`, after a relay that ended at `sentSeq`.
   * A lower number asks for the rest again; without any progress it waits for the next link.
   */
  async acked(peer: Domain, conversation: ConversationId, seq: number, sentSeq: number): Promise<void> {
    const feed = this.#feeds.get(peer);
    const log = await this.#logs.get(conversation);
    if (feed === undefined || log === undefined) return;
    const news = feed.acked(conversation, seq, log.durableSeq);
    if (news) this.#advance({ op: 'follower.advance', conversationId: conversation, peer, seq });
    if (seq >= sentSeq) return;
    if (news) feed.rewind(conversation, seq);
    else feed.left(conversation);
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
