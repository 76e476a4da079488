import { type ConversationId, type MessageId, toHex } from '@norc/protocol/base';
import { checkQuery } from '../../store/check.ts';
import { compareMessages } from '../../store/order.ts';
import type { ClientReader, TimelinePage, TimelineQuery } from '../../store/port.ts';
import type {
  ConversationDetails,
  ConversationRow,
  DeviceRow,
  GroupRow,
  KeyPackageRow,
  KeyPackageStock,
  Mark,
  MessageKey,
  MessageRow,
  OutgoingRow,
  ServerVersion,
} from '../../store/rows.ts';
import { blobOf, type Row, textOf } from './store-database.ts';
import { openMessage, openRow, placeOf, type Sealed } from './store-sealed.ts';

export type Position = Pick<ConversationRow, 'cursorSeq' | 'cursorHash' | 'readSeq'>;
export type GroupHead = Pick<GroupRow, 'conversationId' | 'epoch'> & {
  readonly pending?: Omit<NonNullable<GroupRow['pending']>, 'state'>;
};

/** `closed` throws once the store is closed, so that an answer never comes from nowhere. */
export function storeReader(sealed: Sealed, checkOpen: () => void): ClientReader {
  const answer = async <T>(find: () => T): Promise<T> => {
    checkOpen();
    return find();
  };
  return {
    device: () => answer(() => readDevice(sealed)),
    serverVersion: (server) => answer(() => readServerVersion(sealed, server)),
    keyPackage: (ref) => answer(() => readKeyPackage(sealed, toHex(ref))),
    keyPackages: () => answer(() => readStock(sealed)),
    group: (id) => answer(() => readGroup(sealed, id)),
    conversation: (id) => answer(() => readConversations(sealed, id)[0]),
    conversations: () => answer(() => readConversations(sealed)),
    marks: (id) => answer(() => readMarks(sealed, id)),
    message: (key) => answer(() => readMessage(sealed, key)),
    messagesAbout: (id, messageId) => answer(() => readAbout(sealed, id, messageId)),
    timeline: (id, query) => answer(() => readTimeline(sealed, id, query)),
    outgoing: () => answer(() => readOutgoing(sealed)),
    meta: (key) => answer(() => readMeta(sealed, key)),
  };
}

function readDevice(sealed: Sealed): DeviceRow | undefined {
  const row = sealed.database.get('SELECT row FROM device');
  return row && openRow<DeviceRow>(sealed, 'device', '1', 'row', row);
}

export function readServerVersion(sealed: Sealed, server: string): ServerVersion | undefined {
  const tag = sealed.vault.tag('server_version', server);
  const row = sealed.database.get('SELECT row FROM server_version WHERE server = ?', tag);
  return row && openRow<ServerVersion>(sealed, 'server_version', toHex(tag), 'row', row);
}

function readKeyPackage(sealed: Sealed, ref: string): KeyPackageRow | undefined {
  const row = sealed.database.get('SELECT stock, secret FROM key_package WHERE ref = ?', ref);
  if (row === undefined) return undefined;
  const secret = openRow<Pick<KeyPackageRow, 'publicPackage' | 'privatePackage'>>(
    sealed,
    'key_package',
    ref,
    'secret',
    row,
  );
  return { ...openRow<KeyPackageStock>(sealed, 'key_package', ref, 'stock', row), ...secret };
}

function readStock(sealed: Sealed): readonly KeyPackageStock[] {
  return sealed.database
    .all('SELECT ref, stock FROM key_package ORDER BY position')
    .map((row) => openRow<KeyPackageStock>(sealed, 'key_package', textOf(row, 'ref'), 'stock', row));
}

function readGroup(sealed: Sealed, id: ConversationId): GroupRow | undefined {
  const row = sealed.database.get('SELECT row, state, pending FROM mls_group WHERE conversation = ?', id);
  if (row === undefined) return undefined;
  const { pending, ...head } = openRow<GroupHead>(sealed, 'mls_group', id, 'row', row);
  const open = (column: string) => sealed.vault.open({ table: 'mls_group', key: id, column }, blobOf(row, column));
  const group = { ...head, state: open('state') };
  return pending === undefined ? group : { ...group, pending: { ...pending, state: open('pending') } };
}

function readConversations(sealed: Sealed, id?: ConversationId): readonly ConversationRow[] {
  const columns = 'SELECT conversation, details, position FROM conversation';
  const rows =
    id === undefined
      ? sealed.database.all(`${columns} ORDER BY number`)
      : sealed.database.all(`${columns} WHERE conversation = ?`, id);
  return rows.map((row) => {
    const key = textOf(row, 'conversation');
    return {
      ...openRow<ConversationDetails>(sealed, 'conversation', key, 'details', row),
      ...openRow<Position>(sealed, 'conversation', key, 'position', row),
    };
  });
}

function readMarks(sealed: Sealed, id: ConversationId): readonly Mark[] {
  return sealed.database
    .all('SELECT mark, user, row FROM mark WHERE conversation = ? ORDER BY number', id)
    .map((row) => openRow<Mark>(sealed, 'mark', markKey(id, textOf(row, 'mark'), blobOf(row, 'user')), 'row', row));
}

export function markKey(conversation: string, mark: string, user: Uint8Array): string {
  return `${conversation}|${mark}|${toHex(user)}`;
}

export function readMessage(sealed: Sealed, key: MessageKey): MessageRow | undefined {
  const { sender } = placeOf(sealed, key);
  return readMessages(sealed, key.conversationId, 'message_id = ? AND sender = ?', key.messageId, sender)[0];
}

/** `where` is one of this file's own texts. */
function readMessages(
  sealed: Sealed,
  conversation: string,
  where: string,
  ...values: (string | number | Uint8Array)[]
): MessageRow[] {
  const sql = `SELECT message_id, sender, seq, target, row FROM message WHERE conversation = ? AND ${where}`;
  return sealed.database.all(sql, conversation, ...values).map((row) => openMessage(sealed, row, conversation));
}

function readAbout(sealed: Sealed, id: ConversationId, messageId: MessageId): readonly MessageRow[] {
  const rows = readMessages(sealed, id, '(message_id = ? OR target = ?)', messageId, messageId);
  return rows.sort(compareMessages);
}

function readTimeline(sealed: Sealed, id: ConversationId, query: TimelineQuery): TimelinePage {
  checkQuery(query);
  const { rows, more } = readShown(sealed, id, query);
  const targets = JSON.stringify([...new Set(rows.map((row) => row.messageId))]);
  const changes = readMessages(sealed, id, 'target IN (SELECT value FROM json_each(?))', targets);
  return { rows: [...rows.sort(compareMessages), ...changes], more };
}

/** One row more than asked for tells whether there are more. */
function readShown(sealed: Sealed, id: ConversationId, query: TimelineQuery): { rows: MessageRow[]; more: boolean } {
  const { before, after, limit } = query;
  if (after !== undefined) {
    const rows = readMessages(sealed, id, 'target IS NULL AND seq > ? ORDER BY seq LIMIT ?', after, limit + 1);
    return { rows: rows.slice(0, limit), more: rows.length > limit };
  }
  // Unordered messages are few: all of them are read, and the newest kept.
  const unordered = before === undefined ? readMessages(sealed, id, 'target IS NULL AND seq IS NULL') : [];
  const ordered = readMessages(
    sealed,
    id,
    'target IS NULL AND seq < ? ORDER BY seq DESC LIMIT ?',
    before ?? Number.MAX_SAFE_INTEGER,
    limit + 1,
  );
  const rows = [...unordered, ...ordered].sort(compareMessages);
  return { rows: rows.slice(-limit), more: rows.length > limit };
}

function readOutgoing(sealed: Sealed): readonly OutgoingRow[] {
  return sealed.database
    .all('SELECT id, row FROM outgoing ORDER BY position')
    .map((row) => openRow<OutgoingRow>(sealed, 'outgoing', textOf(row, 'id'), 'row', row));
}

function readMeta(sealed: Sealed, key: string): Uint8Array | undefined {
  const tag = sealed.vault.tag('meta', key);
  const row = sealed.database.get('SELECT value FROM meta WHERE key = ?', tag);
  return row && sealed.vault.open({ table: 'meta', key: toHex(tag), column: 'value' }, blobOf(row, 'value'));
}

export function readPosition(sealed: Sealed, id: ConversationId): Position | undefined {
  const row: Row | undefined = sealed.database.get('SELECT position FROM conversation WHERE conversation = ?', id);
  return row && openRow<Position>(sealed, 'conversation', id, 'position', row);
}

export function readSingleMark(sealed: Sealed, id: ConversationId, mark: Mark, user: Uint8Array): Mark | undefined {
  const row = sealed.database.get(
    'SELECT row FROM mark WHERE conversation = ? AND mark = ? AND user = ?',
    id,
    mark.mark,
    user,
  );
  return row && openRow<Mark>(sealed, 'mark', markKey(id, mark.mark, user), 'row', row);
}

export function stockOf(sealed: Sealed, ref: string): KeyPackageStock | undefined {
  const row = sealed.database.get('SELECT stock FROM key_package WHERE ref = ?', ref);
  return row && openRow<KeyPackageStock>(sealed, 'key_package', ref, 'stock', row);
}
