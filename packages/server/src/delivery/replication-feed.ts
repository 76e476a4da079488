import type { ConversationId, Domain } from '@norc/protocol/base';

interface Place {
  /** Sent up to here on the current link. */
  sent: number;
  /** The follower confirmed that it holds everything up to here. */
  acked: number;
}

/**
 * What one follower still lacks of the logs that we order: which conversations have
 * entries after the last one sent. Built from the store when a link comes up, kept
 * up to date by appends; the truth stays in the store.
 */
export class ReplicationFeed {
  readonly peer: Domain;
  readonly #places = new Map<ConversationId, Place>();
  readonly #lagging = new Set<ConversationId>();

  constructor(peer: Domain) {
    this.peer = peer;
  }

  /** What the store says is missing, after the link came up. */
  reset(behind: readonly { readonly conversationId: ConversationId; readonly seq: number }[]): void {
    this.#places.clear();
    this.#lagging.clear();
    for (const { conversationId, seq } of behind) {
      this.#places.set(conversationId, { sent: seq, acked: seq });
      this.#lagging.add(conversationId);
    }
  }

  /** An entry was appended at `seq`; the follower has everything before it or is being sent it. */
  appended(conversation: ConversationId, seq: number): void {
    if (!this.#places.has(conversation)) this.#places.set(conversation, { sent: seq - 1, acked: seq - 1 });
    this.#lagging.add(conversation);
  }

  /** The follower got everything up to `seq` by an announcement. */
  joined(conversation: ConversationId, seq: number): void {
    this.#places.set(conversation, { sent: seq, acked: seq });
  }

  left(conversation: ConversationId): void {
    this.#places.delete(conversation);
    this.#lagging.delete(conversation);
  }

  /** The next conversation with something to send, and after which entry. */
  next(): { readonly conversation: ConversationId; readonly after: number } | undefined {
    for (const conversation of this.#lagging) {
      const place = this.#places.get(conversation);
      if (place !== undefined) return { conversation, after: place.sent };
      this.#lagging.delete(conversation);
    }
    return undefined;
  }

  /** Sent up to `seq`; `more` when the log goes on after it. Conversations take turns. */
  sent(conversation: ConversationId, seq: number, more: boolean): void {
    const place = this.#places.get(conversation);
    if (place !== undefined && seq > place.sent) place.sent = seq;
    this.#lagging.delete(conversation);
    if (more) this.#lagging.add(conversation);
  }

  /** True when this is news to be stored. A number below what was sent asks for the entries after it again. */
  acked(conversation: ConversationId, seq: number, headSeq: number): boolean {
    const place = this.#places.get(conversation);
    if (place === undefined) return false;
    const news = seq > place.acked;
    if (news) place.acked = seq;
    return news && seq <= headSeq;
  }

  /** The follower holds only up to `seq`: go on from there. */
  rewind(conversation: ConversationId, seq: number): void {
    const place = this.#places.get(conversation);
    if (place === undefined) return;
    place.sent = seq;
    this.#lagging.add(conversation);
  }
}
