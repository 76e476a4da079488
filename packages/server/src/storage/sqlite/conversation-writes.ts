import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { ConversationId } from '@norc/protocol/base';
import type { ConversationRow, MemberRow } from '../port.ts';
import { idBytes } from './directory-writes.ts';
import type { Members } from './members.ts';
import { integerOf } from './rows.ts';

/** Conversations themselves; what happens in them is in log-writes.ts. */
export class ConversationWrites {
  readonly #members: Members;
  readonly #insert: StatementSync;
  readonly #insertView: StatementSync;
  readonly #freeze: StatementSync;

  constructor(database: DatabaseSync, members: Members) {
    this.#members = members;
    this.#insert = database.prepare(`
      INSERT INTO conversation (id, hub, label, floor, created_at, frozen, epoch, epoch_seq, base_seq, base_hash)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING RETURNING number`);
    this.#insertView = database.prepare('INSERT INTO conversation_view (conversation, view) VALUES (?, ?)');
    this.#freeze = database.prepare('UPDATE conversation SET frozen = ? WHERE id = ?');
  }

  create(conversation: ConversationRow, members: readonly MemberRow[]): boolean {
    const row = this.#insert.get(
      idBytes(conversation.conversationId),
      conversation.hub,
      conversation.label,
      conversation.floor,
      conversation.createdAt,
      conversation.frozen ? 1 : 0,
      conversation.epoch,
      conversation.epochSeq,
      conversation.headSeq,
      conversation.headHash,
    );
    if (row === undefined) return false;
    const number = integerOf(row, 'number');
    this.#insertView.run(number, conversation.view);
    for (const { deviceId, user, leafIndex, joinedSeq, local } of members) {
      this.#members.put(number, { device: idBytes(deviceId), user, leafIndex, joinedSeq, local: local ? 1 : 0 });
    }
    return true;
  }

  freeze(conversationId: ConversationId, frozen: boolean): void {
    this.#freeze.run(frozen ? 1 : 0, idBytes(conversationId));
  }
}
