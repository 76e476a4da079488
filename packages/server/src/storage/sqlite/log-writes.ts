import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { Conversation, Conversations } from './conversations.ts';
import type { Followers } from './followers.ts';
import { PRUNE_ENTRIES_MAX } from './limits.ts';
import { type MemberFields, Members } from './members.ts';
import { keyOf, type PacketReader } from './packet-reader.ts';
import { integerOf } from './rows.ts';

/** What follows the entries of an append in a packet; 0 when nothing does. */
const HAS_COMMIT = 1;
const HAS_VIEW = 2;

/** Writes of the logs: entries, commits, cursors, what was delivered, pruning. */
export class LogWrites {
  readonly members: Members;
  readonly #conversations: Conversations;
  readonly #followers: Followers;
  readonly #insert: StatementSync;
  readonly #epoch: StatementSync;
  readonly #view: StatementSync;
  readonly #cursor: StatementSync;
  readonly #delivered: StatementSync;
  readonly #passed: StatementSync;
  readonly #expired: StatementSync;
  readonly #drop: StatementSync;

  constructor(database: DatabaseSync, conversations: Conversations, followers: Followers) {
    this.members = new Members(database);
    this.#conversations = conversations;
    this.#followers = followers;
    this.#insert = database.prepare(`
      INSERT OR IGNORE INTO entry (conversation, seq, stored_at, message_id, hash, record) VALUES (?, ?, ?, ?, ?, ?)`);
    this.#epoch = database.prepare('UPDATE conversation SET epoch = ?, epoch_seq = ? WHERE number = ?');
    this.#view = database.prepare('UPDATE conversation_view SET view = ? WHERE conversation = ?');
    this.#cursor = database.prepare(`
      UPDATE member SET cursor = ?1 WHERE conversation = ?2 AND device = ?3 AND local = 1 AND cursor < ?1`);
    this.#delivered = database.prepare(`
      INSERT INTO delivered (conversation, user, seq) VALUES (?, ?, ?)
      ON CONFLICT DO UPDATE SET seq = excluded.seq WHERE excluded.seq > seq`);
    this.#passed = database.prepare(PASSED);
    this.#expired = database.prepare(`
      SELECT seq, stored_at FROM entry WHERE conversation = ? AND seq > ? AND seq < ? ORDER BY seq LIMIT ?`);
    this.#drop = database.prepare('DELETE FROM entry WHERE conversation = ? AND seq <= ?');
  }

  /** Returns false on a conflict, having changed nothing unless the transaction has a savepoint. */
  append(packet: PacketReader): boolean {
    const conversation = this.#conversations.change(packet.key());
    const expectedHead = packet.integer();
    if (conversation === undefined || conversation.headSeq !== expectedHead) return false;
    const entries = packet.u32();
    const start = packet.offset;
    if (!this.#epochFits(packet, entries, conversation)) return false;
    packet.skipTo(start);
    if (!this.#insertEntries(packet, entries, conversation)) return false;
    const what = packet.u8();
    if (what === HAS_COMMIT) this.#commit(packet, conversation);
    else if (what === HAS_VIEW) this.#view.run(packet.bytes(packet.u32()), conversation.number);
    this.#followers.headMoved(conversation);
    return true;
  }

  /** The commit stands after the entries, and its epoch is checked before any of them is written. */
  #epochFits(packet: PacketReader, entries: number, conversation: Conversation): boolean {
    for (let i = 0; i < entries; i += 1) {
      packet.skipTo(packet.offset + 24);
      packet.skipTo(packet.u8() + packet.offset);
      packet.skipTo(packet.u32() + packet.offset);
    }
    return packet.u8() !== HAS_COMMIT || packet.integer() === conversation.epoch;
  }

  #insertEntries(packet: PacketReader, entries: number, conversation: Conversation): boolean {
    let seq = conversation.headSeq;
    for (let i = 0; i < entries; i += 1) {
      seq += 1;
      const storedAt = packet.integer();
      const messageId = packet.id();
      const hash = packet.bytes(packet.u8());
      const record = packet.bytes(packet.u32());
      const { changes } = this.#insert.run(conversation.number, seq, storedAt, messageId, hash, record);
      if (changes === 0) return false; // the log holds this message id already
    }
    conversation.headSeq = seq;
    return true;
  }

  #commit(packet: PacketReader, conversation: Conversation): void {
    packet.integer(); // the expected epoch, checked above
    conversation.epoch = packet.integer();
    const commitSeq = packet.integer();
    this.#epoch.run(conversation.epoch, commitSeq, conversation.number);
    this.#view.run(packet.bytes(packet.u32()), conversation.number);
    const removed = packet.u32();
    for (let i = 0; i < removed; i += 1) this.members.remove(conversation.number, packet.id(), commitSeq);
    const added = packet.u32();
    for (let i = 0; i < added; i += 1) this.members.put(conversation.number, memberFields(packet));
  }

  /** An acknowledgement beyond the head counts as the head: later entries were not seen. */
  advanceCursor(packet: PacketReader): void {
    const conversation = this.#conversations.get(packet.key());
    const device = packet.id();
    const seq = packet.integer();
    if (conversation === undefined) return;
    this.#cursor.run(Math.min(seq, conversation.headSeq), conversation.number, device);
  }

  advanceDelivered(packet: PacketReader): void {
    const conversation = this.#conversations.get(packet.key());
    const seq = packet.integer();
    const user = packet.text();
    if (conversation !== undefined) this.#delivered.run(conversation.number, user, seq);
  }

  /** Drops from the front only, so that the log stays without a gap. */
  prune(id: Uint8Array, before: number): void {
    const conversation = this.#conversations.get(keyOf(id));
    if (conversation === undefined) return;
    const { number, headSeq } = conversation;
    const passed = this.#passed.get(number);
    const last = passed === undefined || passed['seq'] === null ? headSeq : integerOf(passed, 'seq');
    const rows = this.#expired.iterate(number, 0, headSeq, PRUNE_ENTRIES_MAX);
    let drop = 0;
    for (const row of rows) {
      const seq = integerOf(row, 'seq');
      if (seq > last && integerOf(row, 'stored_at') >= before) break;
      drop = seq;
    }
    if (drop > 0) this.#drop.run(number, drop);
    this.members.dropLeft(number);
  }
}

function memberFields(packet: PacketReader): MemberFields {
  return {
    device: packet.id(),
    leafIndex: packet.integer(),
    joinedSeq: packet.integer(),
    local: packet.u8(),
    user: packet.text(),
  };
}

/** The lowest entry up to which everybody who is entitled to the log has it. NULL: nobody waits for any. */
const PASSED = `
SELECT min(seq) AS seq FROM (
  SELECT cursor AS seq FROM member
  WHERE conversation = ?1 AND local = 1 AND (left_seq IS NULL OR cursor < left_seq)
  UNION ALL
  SELECT seq FROM follower WHERE conversation = ?1
)`;
