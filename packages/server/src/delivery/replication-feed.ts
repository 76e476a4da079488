import type { ConversationId, Domain } from '@norc/protocol/base';

/** How far one follower is in one log. Replaced, never reused, when the conversation starts over. */
export interface Place {
  /** Sent up to here on the current link. */
  sent: number;
  /** The follower confirmed that it holds everything up to here. */
  acked: number;
  /** Which run of sending this is: an answer to a relay of an earlier run says nothing of this one. */
  run: number;
  /** Runs without progress one after the other. */
  failures: number;
  /** Nothing is sent until a delay has passed. */
  held: boolean;
}

/**
 * What one follower still lacks of the logs that we order: which conversations have
 * entries after the last one sent. Built from the store when a link comes up, kept
 * up to date by appends; the truth stays in the store.
 */
export class ReplicationFeed {
  readonly peer: Domain;
  /** The store was asked what is missing; before that nothing is sent. */
  ready = false;
  readonly #places = new Map<ConversationId, Place>();
  readonly #lagging = new Set<ConversationId>();
  /** The follower does not know of these yet: their announcements are still in the outbox. */
  readonly #unannounced = new Set<ConversationId>();
  readonly #nextRun: () => number;

  constructor(peer: Domain, nextRun: () => number) {
    this.peer = peer;
    this.#nextRun = nextRun;
  }

  /** There is, or may be, something to send. Where from is read from the store when no place is known. */
  appended(conversation: ConversationId): void {
    this.#lagging.add(conversation);
  }

  /** The conversation is being announced: no relay before the follower has answered. */
  joined(conversation: ConversationId): void {
    this.#places.delete(conversation);
    this.#unannounced.add(conversation);
  }

  announced(conversation: ConversationId): void {
    this.#places.delete(conversation);
    this.#unannounced.delete(conversation);
    this.#lagging.add(conversation);
  }

  left(conversation: ConversationId): void {
    this.#places.delete(conversation);
    this.#lagging.delete(conversation);
  }

  place(conversation: ConversationId): Place | undefined {
    return this.#places.get(conversation);
  }

  /** The follower holds everything up to `seq`, says the store; a place that is known is better. */
  begin(conversation: ConversationId, seq: number): Place {
    const known = this.#places.get(conversation);
    if (known !== undefined) return known;
    const place = { sent: seq, acked: seq, run: this.#nextRun(), failures: 0, held: false };
    this.#places.set(conversation, place);
    return place;
  }

  mayGo(conversation: ConversationId): boolean {
    return this.#places.get(conversation)?.held !== true && !this.#unannounced.has(conversation);
  }

  /** The next conversation that may have something to send. */
  next(): ConversationId | undefined {
    for (const conversation of this.#lagging) {
      if (this.mayGo(conversation)) return conversation;
      this.#lagging.delete(conversation); // comes back when it is released or announced
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

  /** True when this is news to be stored. */
  acked(place: Place, seq: number): boolean {
    if (seq <= place.acked) return false;
    place.acked = seq;
    place.failures = 0;
    if (place.sent < seq) place.sent = seq;
    return true;
  }

  /** Goes on from what the follower confirmed; what is under way is not listened to any more. */
  rewind(conversation: ConversationId, place: Place): void {
    place.sent = place.acked;
    place.run = this.#nextRun();
    this.#lagging.add(conversation);
  }

  /** As `rewind`, after a delay: `release` with the returned run ends it. */
  hold(conversation: ConversationId, place: Place): number {
    this.rewind(conversation, place);
    place.held = true;
    place.failures += 1;
    return place.run;
  }

  /** True when there is something to look at again. */
  release(conversation: ConversationId, run: number): boolean {
    const place = this.#places.get(conversation);
    if (place === undefined || place.run !== run || !place.held) return false;
    place.held = false;
    this.#lagging.add(conversation);
    return true;
  }
}
