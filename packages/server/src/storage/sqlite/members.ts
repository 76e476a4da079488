import type { DatabaseSync, StatementSync } from 'node:sqlite';

export interface MemberFields {
  readonly device: Uint8Array;
  readonly user: string;
  readonly leafIndex: number;
  readonly joinedSeq: number;
  readonly local: number;
}

/** Who is in a conversation. A removed device of this organisation stays until it has read what it may. */
export class Members {
  readonly #put: StatementSync;
  readonly #leave: StatementSync;
  readonly #drop: StatementSync;
  readonly #dropLeft: StatementSync;

  constructor(database: DatabaseSync) {
    this.#put = database.prepare(`
      INSERT INTO member (conversation, device, user, leaf_index, joined_seq, left_seq, local, cursor)
      VALUES (?1, ?2, ?3, ?4, ?5, NULL, ?6, CASE ?6 WHEN 1 THEN max(?5 - 1, 0) ELSE 0 END)
      ON CONFLICT DO UPDATE SET user = excluded.user, leaf_index = excluded.leaf_index,
        joined_seq = excluded.joined_seq, left_seq = NULL, local = excluded.local, cursor = max(cursor, excluded.cursor)`);
    this.#leave = database.prepare(`
      UPDATE member SET left_seq = ? WHERE conversation = ? AND device = ? AND local = 1 AND left_seq IS NULL`);
    this.#drop = database.prepare('DELETE FROM member WHERE conversation = ? AND device = ? AND local = 0');
    this.#dropLeft = database.prepare(`
      DELETE FROM member WHERE conversation = ? AND left_seq IS NOT NULL AND cursor >= left_seq`);
  }

  put(conversation: number, member: MemberFields): void {
    this.#put.run(conversation, member.device, member.user, member.leafIndex, member.joinedSeq, member.local);
  }

  remove(conversation: number, device: Uint8Array, leftSeq: number): void {
    this.#leave.run(leftSeq, conversation, device);
    this.#drop.run(conversation, device);
  }

  /** Removed devices that have acknowledged the commit which removed them. */
  dropLeft(conversation: number): void {
    this.#dropLeft.run(conversation);
  }
}
