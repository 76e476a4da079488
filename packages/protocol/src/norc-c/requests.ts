import { type Instant, instant, LIMITS, type MessageId, type MessageTypeName } from '../base/index.ts';
import { isPush, repliesTo } from './session-rules.ts';

/** A request that waits for its reply. `context` is the caller's own. */
export interface OpenRequest<C> {
  readonly id: MessageId;
  readonly type: MessageTypeName;
  readonly sentAt: Instant;
  readonly deadline: Instant;
  readonly context: C;
}

/** What a received message is: an answer, something pushed, an answer that came too late, or a breach of the protocol. */
export type Arrival<C> =
  | { readonly is: 'reply'; readonly request: OpenRequest<C> }
  | { readonly is: 'push' }
  | { readonly is: 'late' }
  | { readonly is: 'unexpected' };

/**
 * The requests of one session, by the id that their replies carry (spec/norc-c
 * section 3). Bounded; an id is used once. Deterministic; advances in place.
 */
export class OpenRequests<C = undefined> {
  readonly #open = new Map<MessageId, OpenRequest<C>>();
  /** Expired ids, oldest first, so that a late reply is not taken for a breach. */
  readonly #expired = new Set<MessageId>();

  get size(): number {
    return this.#open.size;
  }

  /** Whether another request may be sent now. */
  get hasRoom(): boolean {
    return this.#open.size < LIMITS.requestsOutstandingMax;
  }

  /** Throws RangeError when there is no room, for a repeated id, or for a type that has no reply. */
  add(id: MessageId, type: MessageTypeName, now: Instant, context: C): OpenRequest<C> {
    if (!this.hasRoom) throw new RangeError('too many requests wait for a reply');
    if (this.#open.has(id) || this.#expired.has(id)) throw new RangeError('a request id is used once');
    if (repliesTo(type).length === 0) throw new RangeError(`${type} has no reply`);
    const request = { id, type, sentAt: now, deadline: instant(now + LIMITS.requestMillisecondsMax), context };
    this.#open.set(id, request);
    return request;
  }

  /** Sorts a message from the server; a reply closes its request. */
  arrived(id: MessageId, type: MessageTypeName): Arrival<C> {
    const request = this.#open.get(id);
    if (request === undefined) {
      if (this.#expired.delete(id)) return { is: 'late' };
      return isPush(type) ? { is: 'push' } : { is: 'unexpected' };
    }
    if (type !== 'error' && !repliesTo(request.type).includes(type)) return { is: 'unexpected' };
    this.#open.delete(id);
    return { is: 'reply', request };
  }

  /** Closes and returns what waits no longer. All deadlines are equally far, so the oldest come first. */
  expire(now: Instant): readonly OpenRequest<C>[] {
    const expired: OpenRequest<C>[] = [];
    for (const request of this.#open.values()) {
      if (request.deadline > now) break;
      expired.push(request);
    }
    for (const { id } of expired) this.#forget(id);
    return expired;
  }

  #forget(id: MessageId): void {
    this.#open.delete(id);
    this.#expired.add(id);
    const [oldest] = this.#expired;
    if (this.#expired.size > LIMITS.requestsOutstandingMax && oldest !== undefined) this.#expired.delete(oldest);
  }

  /** When `expire` is due next. */
  get nextDeadline(): Instant | undefined {
    const [first] = this.#open.values();
    return first?.deadline;
  }

  /** The session ended: closes and returns everything that waits. */
  close(): readonly OpenRequest<C>[] {
    const open = [...this.#open.values()];
    this.#open.clear();
    return open;
  }
}
