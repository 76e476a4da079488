import type { Domain, Instant, MessageId } from '../base/index.ts';

export interface ReplayCachePolicy {
  /** An id is remembered at least this long, whatever comes. */
  readonly millisecondsMin: number;
  /** And never longer than this. */
  readonly millisecondsMax: number;
  /** Ids of one origin. What is over the minimum age makes room. */
  readonly entriesPerOriginMax: number;
}

/** `full`: this origin sent more within the minimum age than its rate allows; refuse it with `rate`. */
export type ReplayVerdict = 'fresh' | 'seen' | 'full';

/**
 * Which (origin, message id) pairs were relayed lately (spec/norc-f section 5). One
 * origin's flood can fill only its own part, and never pushes out an id that is
 * younger than the minimum: otherwise a flood would open the way for a replay.
 *
 * A `seen` id is not refused: the answer to it was perhaps lost. Its caller looks
 * up what became of it. Deterministic; advances in place, since copying it for
 * every message would make a message's cost grow with the traffic.
 */
export class ReplayCache {
  readonly #policy: ReplayCachePolicy;
  readonly #origins = new Map<Domain, Map<MessageId, Instant>>();

  constructor(policy: ReplayCachePolicy) {
    const { millisecondsMin, millisecondsMax, entriesPerOriginMax } = policy;
    if (millisecondsMin > millisecondsMax || entriesPerOriginMax < 1) throw new RangeError('replay cache policy');
    this.#policy = policy;
  }

  /** Remembers a fresh id. `seen` does not renew its age: a replayer cannot keep an id in memory for ever. */
  check(origin: Domain, id: MessageId, now: Instant): ReplayVerdict {
    const ids = this.#idsOf(origin);
    this.#forget(ids, now);
    if (ids.has(id)) return 'seen';
    if (ids.size >= this.#policy.entriesPerOriginMax && !this.#makeRoom(ids, now)) return 'full';
    ids.set(id, now);
    return 'fresh';
  }

  /** Ids held of all origins. */
  get size(): number {
    let size = 0;
    for (const ids of this.#origins.values()) size += ids.size;
    return size;
  }

  /** Drops what is too old, also of origins that send nothing any more. */
  sweep(now: Instant): void {
    for (const [origin, ids] of this.#origins) {
      this.#forget(ids, now);
      if (ids.size === 0) this.#origins.delete(origin);
    }
  }

  #idsOf(origin: Domain): Map<MessageId, Instant> {
    let ids = this.#origins.get(origin);
    if (ids === undefined) {
      ids = new Map();
      this.#origins.set(origin, ids);
    }
    return ids;
  }

  /** A Map iterates in the order of insertion: the oldest come first. */
  #forget(ids: Map<MessageId, Instant>, now: Instant): void {
    for (const [id, at] of ids) {
      if (now - at < this.#policy.millisecondsMax) return;
      ids.delete(id);
    }
  }

  #makeRoom(ids: Map<MessageId, Instant>, now: Instant): boolean {
    for (const [id, at] of ids) {
      if (now - at < this.#policy.millisecondsMin) return false;
      ids.delete(id);
      return true;
    }
    return false;
  }
}
