import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { CONVERSATIONS_CACHED_MAX } from './limits.ts';
import { idOfKey } from './packet-reader.ts';
import { integerOf } from './rows.ts';

export interface FollowerState {
  readonly peer: number;
  /** Whether the follower stands in the `lagging` table, which it may even when it caught up. */
  listed: boolean;
}

/** What the writer knows of a conversation without asking the database. */
export interface Conversation {
  readonly number: number;
  headSeq: number;
  epoch: number;
  followers: FollowerState[];
}

/**
 * The writer's memory of the conversations in use, so that the check of an append
 * costs no query. Only the writer changes conversations, so the memory is right as
 * long as a transaction that is rolled back takes its changes out of it.
 */
export class Conversations {
  readonly #known = new Map<string, Conversation>();
  readonly #changed: string[] = [];
  readonly #select: StatementSync;
  readonly #followers: StatementSync;

  constructor(database: DatabaseSync) {
    this.#select = database.prepare(`
      SELECT number, epoch,
        COALESCE((SELECT max(seq) FROM entry WHERE conversation = c.number), base_seq) AS head
      FROM conversation c WHERE id = ?`);
    this.#followers = database.prepare(`
      SELECT peer, EXISTS (SELECT 1 FROM lagging l WHERE l.peer = f.peer AND l.conversation = f.conversation) AS listed
      FROM follower f WHERE conversation = ?`);
  }

  /** `key`: the id as `PacketReader.key` gives it. */
  get(key: string): Conversation | undefined {
    return this.#known.get(key) ?? this.#load(key);
  }

  /** As `get`, for a caller that will change the conversation in this transaction. */
  change(key: string): Conversation | undefined {
    const conversation = this.get(key);
    if (conversation !== undefined) this.#changed.push(key);
    return conversation;
  }

  /** Forgets what the caller's transaction changed: it was rolled back. */
  undo(): void {
    for (const key of this.#changed) this.#known.delete(key);
    this.#changed.length = 0;
  }

  /** The caller's transaction stands. */
  keep(): void {
    this.#changed.length = 0;
  }

  /** The whole SQLite transaction was rolled back. */
  clear(): void {
    this.#known.clear();
    this.#changed.length = 0;
  }

  #load(key: string): Conversation | undefined {
    const row = this.#select.get(idOfKey(key));
    if (row === undefined) return undefined;
    const number = integerOf(row, 'number');
    const followers = this.#followers.all(number).map((follower) => ({
      peer: integerOf(follower, 'peer'),
      listed: integerOf(follower, 'listed') === 1,
    }));
    const loaded = { number, headSeq: integerOf(row, 'head'), epoch: integerOf(row, 'epoch'), followers };
    if (this.#known.size >= CONVERSATIONS_CACHED_MAX) this.#forgetOldest();
    this.#known.set(key, loaded);
    return loaded;
  }

  #forgetOldest(): void {
    let excess = CONVERSATIONS_CACHED_MAX / 8;
    for (const key of this.#known.keys()) {
      this.#known.delete(key);
      excess -= 1;
      if (excess === 0) return;
    }
  }
}
