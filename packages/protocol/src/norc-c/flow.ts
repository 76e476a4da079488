import { type ConversationId, LIMITS, ok, type Result, reject } from '../base/index.ts';

/** Entries to load and push next: at most `limit`, after sequence `after`. */
export interface PushOrder {
  readonly conversation: ConversationId;
  readonly after: number;
  readonly limit: number;
}

export interface PushLimits {
  /** Entries of one session that were pushed and not acknowledged. */
  readonly unackedMax: number;
  /** The part of it that one conversation may hold. */
  readonly unackedPerConversationMax: number;
  readonly entriesPerPushMax: number;
}

const DEFAULT_LIMITS: PushLimits = {
  unackedMax: LIMITS.unackedEntriesMax,
  unackedPerConversationMax: LIMITS.unackedEntriesPerConversationMax,
  entriesPerPushMax: LIMITS.entriesPerFrameMax,
};

interface Progress {
  acked: number;
  /** Pushed, or held by the device already. */
  sent: number;
  /** Last entry that is for this device. */
  head: number;
  /** Entries that a load under way may bring; 0 when none is. */
  reserved: number;
}

/**
 * What to push to one device session next (spec/norc-c section 3). Conversations
 * take turns; one that is not acknowledged holds at most its part of the window, so
 * it never silences the others. At most one load per conversation is under way, so
 * entries leave in order. Deterministic; advances in place, since a device may be
 * in thousands of conversations and a message must not cost a copy of them.
 */
export class PushWindow {
  readonly #limits: PushLimits;
  readonly #conversations = new Map<ConversationId, Progress>();
  /** Have something to push and may; in the order of their turns. */
  readonly #ready = new Set<ConversationId>();
  /** Of all conversations: pushed and not acknowledged, or being loaded. */
  #outstanding = 0;

  constructor(limits: PushLimits = DEFAULT_LIMITS) {
    this.#limits = limits;
  }

  /** A conversation of the device: it holds everything up to `cursor`. Opened again, only `headSeq` counts. */
  open(conversation: ConversationId, cursor: number, headSeq: number): void {
    if (!this.#conversations.has(conversation)) {
      this.#conversations.set(conversation, { acked: cursor, sent: cursor, head: cursor, reserved: 0 });
    }
    this.grown(conversation, headSeq);
  }

  has(conversation: ConversationId): boolean {
    return this.#conversations.has(conversation);
  }

  /** The log has grown. A conversation that is not open is left alone. */
  grown(conversation: ConversationId, headSeq: number): void {
    const progress = this.#conversations.get(conversation);
    if (progress === undefined || headSeq <= progress.head) return;
    progress.head = headSeq;
    this.#offer(conversation, progress);
  }

  /** Takes the next turn. Its caller loads the entries and then calls `pushed`, whatever came of it. */
  next(): PushOrder | undefined {
    const room = this.#limits.unackedMax - this.#outstanding;
    const [conversation] = this.#ready;
    if (conversation === undefined || room <= 0) return undefined;
    const progress = this.#conversations.get(conversation);
    this.#ready.delete(conversation);
    if (progress === undefined) return this.next();
    const part = this.#limits.unackedPerConversationMax - unacked(progress);
    const limit = Math.min(this.#limits.entriesPerPushMax, room, part, progress.head - progress.sent);
    progress.reserved = limit;
    this.#outstanding += limit;
    return { conversation, after: progress.sent, limit };
  }

  /**
   * What was ordered was pushed, up to entry `seq`. The order's own `after` says that
   * there was nothing: then nothing more is tried until the log grows.
   */
  pushed({ conversation, after, limit }: PushOrder, seq: number): void {
    if (seq < after || seq > after + limit) throw new RangeError('pushed what was not ordered');
    const progress = this.#conversations.get(conversation);
    if (progress === undefined) return;
    this.#outstanding -= progress.reserved + unacked(progress);
    progress.reserved = 0;
    if (seq === after) progress.head = progress.sent;
    progress.sent = Math.max(progress.sent, seq);
    this.#outstanding += unacked(progress);
    this.#offer(conversation, progress);
  }

  /**
   * The device holds everything up to `seq`; more than was pushed when an
   * acknowledgment of a former session was lost. Errors: `malformed` beyond the log.
   */
  acked(conversation: ConversationId, seq: number): Result<void> {
    const progress = this.#conversations.get(conversation);
    if (progress === undefined) return reject('forbidden', 'conversation');
    if (seq > progress.head) return reject('malformed', 'cursor is beyond the log');
    if (seq <= progress.acked) return ok(undefined);
    this.#outstanding -= unacked(progress);
    progress.acked = seq;
    progress.sent = Math.max(progress.sent, seq);
    this.#outstanding += unacked(progress);
    this.#offer(conversation, progress);
    return ok(undefined);
  }

  /** The device left the conversation, and everything that was for it has been acknowledged or given up. */
  close(conversation: ConversationId): void {
    const progress = this.#conversations.get(conversation);
    if (progress === undefined) return;
    this.#outstanding -= progress.reserved + unacked(progress);
    this.#conversations.delete(conversation);
    this.#ready.delete(conversation);
  }

  get outstanding(): number {
    return this.#outstanding;
  }

  /** Whether the device holds all there is. */
  get drained(): boolean {
    for (const progress of this.#conversations.values()) if (progress.acked < progress.head) return false;
    return true;
  }

  #offer(conversation: ConversationId, progress: Progress): void {
    const waits = progress.sent < progress.head && progress.reserved === 0;
    if (waits && unacked(progress) < this.#limits.unackedPerConversationMax) this.#ready.add(conversation);
  }
}

function unacked(progress: Progress): number {
  return progress.sent - progress.acked;
}
