import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { Conversation, Conversations } from './conversations.ts';
import { CAUGHT_UP_MAX } from './limits.ts';
import { keyOf } from './packet-reader.ts';
import { integerOf } from './rows.ts';

interface CaughtUp {
  readonly key: string;
  readonly conversation: number;
  readonly peer: number;
}

/**
 * Followers and the list of those that lag. A follower is listed in the transaction
 * that puts it behind, and taken off later and in bulk, so that a busy conversation
 * does not pay for both with every message. The list may name followers that are
 * level with the head; it never misses one that is not.
 */
export class Followers {
  readonly #conversations: Conversations;
  readonly #caughtUp = new Map<string, CaughtUp>();
  readonly #add: StatementSync;
  readonly #remove: StatementSync;
  readonly #advance: StatementSync;
  readonly #list: StatementSync;
  readonly #unlist: StatementSync;
  readonly #unlistCaughtUp: StatementSync;
  readonly #sweepAll: StatementSync;

  constructor(database: DatabaseSync, conversations: Conversations) {
    this.#conversations = conversations;
    this.#add = database.prepare('INSERT INTO follower (conversation, peer, seq) VALUES (?, ?, ?)');
    this.#remove = database.prepare('DELETE FROM follower WHERE conversation = ? AND peer = ?');
    this.#advance = database.prepare('UPDATE follower SET seq = ?1 WHERE conversation = ?2 AND peer = ?3 AND seq < ?1');
    this.#list = database.prepare('INSERT OR IGNORE INTO lagging (peer, conversation) VALUES (?, ?)');
    this.#unlist = database.prepare('DELETE FROM lagging WHERE peer = ? AND conversation = ?');
    this.#unlistCaughtUp = database.prepare(`DELETE FROM lagging WHERE peer = ?1 AND conversation = ?2 AND ${LEVEL}`);
    this.#sweepAll = database.prepare(`DELETE FROM lagging WHERE ${LEVEL}`);
  }

  /** Returns false when there is no such conversation. */
  add(id: Uint8Array, peer: number, seq: number): boolean {
    const conversation = this.#conversations.change(keyOf(id));
    if (conversation === undefined) return false;
    if (conversation.followers.some((follower) => follower.peer === peer)) return true;
    const held = Math.min(seq, conversation.headSeq);
    this.#add.run(conversation.number, peer, held);
    const follower = { peer, listed: false };
    conversation.followers.push(follower);
    if (held < conversation.headSeq) this.#listFollower(conversation, follower);
    return true;
  }

  remove(id: Uint8Array, peer: number): void {
    const conversation = this.#conversations.change(keyOf(id));
    if (conversation === undefined) return;
    this.#remove.run(conversation.number, peer);
    this.#unlist.run(peer, conversation.number);
    conversation.followers = conversation.followers.filter((follower) => follower.peer !== peer);
  }

  /** The head has moved: every follower lacks entries now. */
  headMoved(conversation: Conversation): void {
    for (const follower of conversation.followers) {
      if (!follower.listed) this.#listFollower(conversation, follower);
    }
  }

  /** A confirmation beyond the head counts as the head: what does not exist yet cannot be held. */
  advance(key: string, peer: number, seq: number): void {
    const conversation = this.#conversations.get(key);
    if (conversation === undefined) return;
    const held = Math.min(seq, conversation.headSeq);
    if (this.#advance.run(held, conversation.number, peer).changes === 0) return;
    if (held === conversation.headSeq) {
      this.#caughtUp.set(`${conversation.number}/${peer}`, { key, conversation: conversation.number, peer });
    }
  }

  /** Inside a transaction: shortens the list when enough followers have caught up. */
  sweepWhenDue(): void {
    if (this.#caughtUp.size < CAUGHT_UP_MAX) return;
    for (const { key, conversation, peer } of this.#caughtUp.values()) {
      if (this.#unlistCaughtUp.run(peer, conversation).changes === 0) continue;
      for (const follower of this.#conversations.get(key)?.followers ?? []) {
        if (follower.peer === peer) follower.listed = false;
      }
    }
    this.#caughtUp.clear();
  }

  /** At opening, when no conversation is in memory yet. */
  sweepAll(): void {
    this.#sweepAll.run();
  }

  #listFollower(conversation: Conversation, follower: Conversation['followers'][number]): void {
    this.#list.run(follower.peer, conversation.number);
    follower.listed = true;
  }
}

/** Condition on a row of `lagging`: its follower is gone or holds everything up to the head. */
const LEVEL = `NOT EXISTS (
  SELECT 1 FROM follower f JOIN conversation c ON c.number = f.conversation
  WHERE f.peer = lagging.peer AND f.conversation = lagging.conversation
    AND f.seq < COALESCE((SELECT max(seq) FROM entry WHERE conversation = c.number), c.base_seq))`;

/** Organisations by number, so that hot tables hold no domain names. */
export class Peers {
  readonly #numbers = new Map<string, number>();
  readonly #select: StatementSync;
  readonly #insert: StatementSync;

  constructor(database: DatabaseSync) {
    this.#select = database.prepare('SELECT number FROM peer WHERE domain = ?');
    this.#insert = database.prepare('INSERT INTO peer (domain) VALUES (?) RETURNING number');
  }

  number(domain: string): number {
    const known = this.#numbers.get(domain);
    if (known !== undefined) return known;
    const number = integerOf(this.#select.get(domain) ?? this.#insert.get(domain), 'number');
    this.#numbers.set(domain, number);
    return number;
  }

  /** A rollback may have taken numbers back. */
  clear(): void {
    this.#numbers.clear();
  }
}
