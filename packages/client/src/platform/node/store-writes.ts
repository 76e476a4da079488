import { type ConversationId, toHex } from '@norc/protocol/base';
import { scrubbed } from '../../store/order.ts';
import type { ClientWrite } from '../../store/port.ts';
import type { GroupRow, KeyPackageRow, KeyPackageStock, Mark, MessageKey, MessageRow } from '../../store/rows.ts';
import {
  type GroupHead,
  markKey,
  type Position,
  readMessage,
  readPosition,
  readServerVersion,
  readSingleMark,
  stockOf,
} from './store-reader.ts';
import { placeOf, type Sealed, sealMessage, sealRow } from './store-sealed.ts';

export type Effect = 'done' | 'conflict' | 'duplicate';

/** Applies one write inside the caller's transaction. */
export function applyWrite(sealed: Sealed, write: ClientWrite): Effect {
  const { database, vault } = sealed;
  switch (write.op) {
    case 'device.put':
      return put(sealed, 'device', 'id', 1, '1', write.device);
    case 'server.version': {
      const seen = readServerVersion(sealed, write.server);
      const { major, minor } = write.version;
      if (seen !== undefined && (seen.major > major || (seen.major === major && seen.minor >= minor))) return 'done';
      const tag = vault.tag('server_version', write.server);
      return put(sealed, 'server_version', 'server', tag, toHex(tag), write.version);
    }
    case 'keyPackages.add':
      for (const row of write.packages) addKeyPackage(sealed, row);
      return 'done';
    case 'keyPackages.published':
      for (const ref of write.refs) changeStock(sealed, toHex(ref), { published: true });
      return 'done';
    case 'keyPackage.use':
      return useKeyPackage(sealed, write);
    case 'keyPackages.delete':
      for (const ref of write.refs) database.run('DELETE FROM key_package WHERE ref = ?', toHex(ref));
      return 'done';
    case 'group.put':
      return putGroup(sealed, write.group);
    case 'group.delete':
      database.run('DELETE FROM mls_group WHERE conversation = ?', write.conversationId);
      return 'done';
    case 'outgoing.put':
      return put(sealed, 'outgoing', 'id', write.item.id, write.item.id, write.item);
    case 'outgoing.delete':
      database.run('DELETE FROM outgoing WHERE id = ?', write.id);
      return 'done';
    case 'meta.put': {
      const tag = vault.tag('meta', write.key);
      const value = vault.seal({ table: 'meta', key: toHex(tag), column: 'value' }, write.value);
      database.run('INSERT INTO meta VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value', tag, value);
      return 'done';
    }
    case 'meta.delete':
      database.run('DELETE FROM meta WHERE key = ?', vault.tag('meta', write.key));
      return 'done';
    default:
      return applyToConversation(sealed, write);
  }
}

type ConversationWrite = Extract<
  ClientWrite,
  {
    op: `conversation.${string}` | `cursor.${string}` | `readMarker.${string}` | `mark.${string}` | `message.${string}`;
  }
>;

function applyToConversation(sealed: Sealed, write: ConversationWrite): Effect {
  switch (write.op) {
    case 'conversation.put':
      return putConversation(sealed, write.conversation.conversationId, write.conversation);
    case 'cursor.advance': {
      const position = readPosition(sealed, write.conversationId);
      if (position?.cursorSeq !== write.expectedSeq) return 'conflict';
      return movePosition(sealed, write.conversationId, {
        ...position,
        cursorSeq: write.seq,
        cursorHash: write.hash,
      });
    }
    case 'readMarker.advance': {
      const position = readPosition(sealed, write.conversationId);
      if (position === undefined || position.readSeq >= write.seq) return 'done';
      return movePosition(sealed, write.conversationId, { ...position, readSeq: write.seq });
    }
    case 'mark.advance':
      return advanceMark(sealed, write.conversationId, write.mark);
    case 'message.add':
      return addMessage(sealed, write.message);
    case 'message.order':
      return orderMessage(sealed, write.key, write.seq);
    case 'message.state':
      return changeMessage(sealed, write.key, (row) => (row.seq === undefined ? { ...row, state: write.state } : row));
    case 'message.scrub':
      return changeMessage(sealed, write.key, scrubbed);
    case 'message.discard': {
      const { conversation, messageId, sender } = placeOf(sealed, write.key);
      const sql = 'DELETE FROM message WHERE conversation = ? AND message_id = ? AND sender = ?';
      sealed.database.run(sql, conversation, messageId, sender);
      return 'done';
    }
  }
}

/** For the tables of one key column and one sealed row. `table` and `column` are this file's own texts. */
function put(
  sealed: Sealed,
  table: string,
  column: string,
  key: string | number | Uint8Array,
  keyText: string,
  row: object,
): 'done' {
  const value = sealRow(sealed, table, keyText, 'row', row);
  const sql = `INSERT INTO ${table} (${column}, row) VALUES (?, ?) ON CONFLICT (${column}) DO UPDATE SET row = excluded.row`;
  sealed.database.run(sql, key, value);
  return 'done';
}

function addKeyPackage(sealed: Sealed, row: KeyPackageRow): void {
  const { publicPackage, privatePackage, ...stock } = row;
  const ref = toHex(row.ref);
  sealed.database.run(
    `INSERT INTO key_package (ref, last_resort, stock, secret) VALUES (?, ?, ?, ?) ON CONFLICT (ref)
     DO UPDATE SET last_resort = excluded.last_resort, stock = excluded.stock, secret = excluded.secret`,
    ref,
    row.lastResort ? 1 : 0,
    sealRow(sealed, 'key_package', ref, 'stock', stock),
    sealRow(sealed, 'key_package', ref, 'secret', { publicPackage, privatePackage }),
  );
}

function changeStock(sealed: Sealed, ref: string, change: Partial<KeyPackageStock>): void {
  const stock = stockOf(sealed, ref);
  if (stock === undefined) return;
  const next = sealRow(sealed, 'key_package', ref, 'stock', { ...stock, ...change });
  sealed.database.run('UPDATE key_package SET stock = ? WHERE ref = ?', next, ref);
}

function useKeyPackage(sealed: Sealed, write: Extract<ClientWrite, { op: 'keyPackage.use' }>): Effect {
  const ref = toHex(write.ref);
  const stock = stockOf(sealed, ref);
  if (stock === undefined) return 'conflict';
  if (stock.lastResort) changeStock(sealed, ref, { usedAt: write.usedAt });
  else sealed.database.run('DELETE FROM key_package WHERE ref = ?', ref);
  return 'done';
}

function putGroup(sealed: Sealed, group: GroupRow): 'done' {
  const id = group.conversationId;
  const { state, pending, ...rest } = group;
  const head: GroupHead =
    pending === undefined ? rest : { ...rest, pending: { messageId: pending.messageId, epoch: pending.epoch } };
  const seal = (column: string, bytes: Uint8Array) => sealed.vault.seal({ table: 'mls_group', key: id, column }, bytes);
  sealed.database.run(
    `INSERT INTO mls_group VALUES (?, ?, ?, ?) ON CONFLICT
     DO UPDATE SET row = excluded.row, state = excluded.state, pending = excluded.pending`,
    id,
    sealRow(sealed, 'mls_group', id, 'row', head),
    seal('state', state),
    pending === undefined ? null : seal('pending', pending.state),
  );
  return 'done';
}

function putConversation(sealed: Sealed, id: ConversationId, details: object): 'done' {
  const start: Position = { cursorSeq: 0, cursorHash: new Uint8Array(), readSeq: 0 };
  sealed.database.run(
    `INSERT INTO conversation (conversation, details, position) VALUES (?, ?, ?)
     ON CONFLICT (conversation) DO UPDATE SET details = excluded.details`,
    id,
    sealRow(sealed, 'conversation', id, 'details', details),
    sealRow(sealed, 'conversation', id, 'position', start),
  );
  return 'done';
}

function movePosition(sealed: Sealed, id: ConversationId, position: Position): 'done' {
  const row = sealRow(sealed, 'conversation', id, 'position', position);
  sealed.database.run('UPDATE conversation SET position = ? WHERE conversation = ?', row, id);
  return 'done';
}

function advanceMark(sealed: Sealed, id: ConversationId, mark: Mark): 'done' {
  const user = sealed.vault.tag('mark', mark.user);
  const known = readSingleMark(sealed, id, mark, user);
  if (known !== undefined && known.seq >= mark.seq) return 'done';
  sealed.database.run(
    `INSERT INTO mark (conversation, mark, user, row) VALUES (?, ?, ?, ?)
     ON CONFLICT (conversation, mark, user) DO UPDATE SET row = excluded.row`,
    id,
    mark.mark,
    user,
    sealRow(sealed, 'mark', markKey(id, mark.mark, user), 'row', mark),
  );
  return 'done';
}

function addMessage(sealed: Sealed, row: MessageRow): Effect {
  if (readMessage(sealed, row) !== undefined) return 'duplicate';
  if (row.seq !== undefined && isTaken(sealed, row.conversationId, row.seq)) return 'conflict';
  const place = placeOf(sealed, row);
  sealed.database.run(
    'INSERT INTO message (conversation, message_id, sender, seq, target, row) VALUES (?, ?, ?, ?, ?, ?)',
    place.conversation,
    place.messageId,
    place.sender,
    row.seq ?? null,
    row.target ?? null,
    sealMessage(sealed, place, row),
  );
  return 'done';
}

function orderMessage(sealed: Sealed, key: MessageKey, seq: number): Effect {
  const row = readMessage(sealed, key);
  if (row === undefined || row.seq !== undefined) return 'done';
  if (isTaken(sealed, key.conversationId, seq)) return 'conflict';
  const { state: _state, ...rest } = row;
  return replaceMessage(sealed, { ...rest, seq });
}

function isTaken(sealed: Sealed, conversation: string, seq: number): boolean {
  return (
    sealed.database.get('SELECT 1 FROM message WHERE conversation = ? AND seq = ?', conversation, seq) !== undefined
  );
}

function changeMessage(sealed: Sealed, key: MessageKey, how: (row: MessageRow) => MessageRow): 'done' {
  const row = readMessage(sealed, key);
  return row === undefined ? 'done' : replaceMessage(sealed, how(row));
}

function replaceMessage(sealed: Sealed, row: MessageRow): 'done' {
  const place = placeOf(sealed, row);
  sealed.database.run(
    'UPDATE message SET seq = ?, row = ? WHERE conversation = ? AND message_id = ? AND sender = ?',
    row.seq ?? null,
    sealMessage(sealed, place, row),
    place.conversation,
    place.messageId,
    place.sender,
  );
  return 'done';
}
