import { type ConversationId, type MessageId, toHex } from '@norc/protocol/base';
import { scrubbed } from './order.ts';
import type { ClientWrite } from './port.ts';
import type {
  ConversationDetails,
  ConversationRow,
  DeviceRow,
  GroupRow,
  KeyPackageRow,
  Mark,
  MessageKey,
  MessageRow,
  OutgoingRow,
  ServerVersion,
} from './rows.ts';

export type Position = Pick<ConversationRow, 'cursorSeq' | 'cursorHash' | 'readSeq'>;

export interface MemoryTables {
  readonly device: Map<'this', DeviceRow>;
  readonly serverVersions: Map<string, ServerVersion>;
  readonly keyPackages: Map<string, KeyPackageRow>;
  readonly groups: Map<ConversationId, GroupRow>;
  readonly details: Map<ConversationId, ConversationDetails>;
  readonly positions: Map<ConversationId, Position>;
  readonly marks: Map<ConversationId, Map<string, Mark>>;
  readonly messages: Map<ConversationId, Map<string, MessageRow>>;
  readonly outgoing: Map<MessageId, OutgoingRow>;
  readonly meta: Map<string, Uint8Array>;
}

export function emptyTables(): MemoryTables {
  return {
    device: new Map(),
    serverVersions: new Map(),
    keyPackages: new Map(),
    groups: new Map(),
    details: new Map(),
    positions: new Map(),
    marks: new Map(),
    messages: new Map(),
    outgoing: new Map(),
    meta: new Map(),
  };
}

export type Undo = () => void;
export type Effect = 'done' | 'conflict' | 'duplicate';

export function messageKeyText(key: MessageKey): string {
  return `${key.sender}|${key.messageId}`;
}

/** Applies one write and notes how to take it back. A conflict has changed nothing. */
export function applyWrite(tables: MemoryTables, write: ClientWrite, undo: Undo[]): Effect {
  switch (write.op) {
    case 'device.put':
      return set(tables.device, 'this', write.device, undo);
    case 'server.version': {
      const seen = tables.serverVersions.get(write.server);
      if (seen !== undefined && !isHigher(write.version, seen)) return 'done';
      return set(tables.serverVersions, write.server, write.version, undo);
    }
    case 'keyPackages.add':
      for (const row of write.packages) set(tables.keyPackages, toHex(row.ref), row, undo);
      return 'done';
    case 'keyPackages.published':
      for (const ref of write.refs)
        change(tables.keyPackages, toHex(ref), (row) => ({ ...row, published: true }), undo);
      return 'done';
    case 'keyPackage.use':
      return useKeyPackage(tables, write, undo);
    case 'keyPackages.delete':
      for (const ref of write.refs) remove(tables.keyPackages, toHex(ref), undo);
      return 'done';
    case 'group.put':
      return set(tables.groups, write.group.conversationId, write.group, undo);
    case 'group.delete':
      return remove(tables.groups, write.conversationId, undo);
    case 'outgoing.put':
      return set(tables.outgoing, write.item.id, write.item, undo);
    case 'outgoing.delete':
      return remove(tables.outgoing, write.id, undo);
    case 'meta.put':
      return set(tables.meta, write.key, write.value, undo);
    case 'meta.delete':
      return remove(tables.meta, write.key, undo);
    default:
      return applyToConversation(tables, write, undo);
  }
}

type ConversationWrite = Extract<
  ClientWrite,
  {
    op: `conversation.${string}` | `cursor.${string}` | `readMarker.${string}` | `mark.${string}` | `message.${string}`;
  }
>;

function applyToConversation(tables: MemoryTables, write: ConversationWrite, undo: Undo[]): Effect {
  switch (write.op) {
    case 'conversation.put': {
      const id = write.conversation.conversationId;
      if (!tables.positions.has(id)) {
        set(tables.positions, id, { cursorSeq: 0, cursorHash: new Uint8Array(), readSeq: 0 }, undo);
      }
      return set(tables.details, id, write.conversation, undo);
    }
    case 'cursor.advance': {
      const position = tables.positions.get(write.conversationId);
      if (position?.cursorSeq !== write.expectedSeq) return 'conflict';
      const next = { ...position, cursorSeq: write.seq, cursorHash: write.hash };
      return set(tables.positions, write.conversationId, next, undo);
    }
    case 'readMarker.advance': {
      const raise = (row: Position) => ({ ...row, readSeq: Math.max(row.readSeq, write.seq) });
      return change(tables.positions, write.conversationId, raise, undo);
    }
    case 'mark.advance': {
      const marks = submap(tables.marks, write.conversationId);
      const key = `${write.mark.mark}|${write.mark.user}`;
      if ((marks.get(key)?.seq ?? -1) >= write.mark.seq) return 'done';
      return set(marks, key, write.mark, undo);
    }
    default:
      return applyToMessage(tables, write, undo);
  }
}

type MessageWrite = Extract<ClientWrite, { op: `message.${string}` }>;

function applyToMessage(tables: MemoryTables, write: MessageWrite, undo: Undo[]): Effect {
  if (write.op === 'message.add') return addMessage(tables, write.message, undo);
  const messages = submap(tables.messages, write.key.conversationId);
  const key = messageKeyText(write.key);
  switch (write.op) {
    case 'message.order':
      if (messages.get(key) !== undefined && isTaken(messages, write.seq, key)) return 'conflict';
      return change(messages, key, (row) => (row.seq === undefined ? ordered(row, write.seq) : row), undo);
    case 'message.state':
      return change(messages, key, (row) => (row.seq === undefined ? { ...row, state: write.state } : row), undo);
    case 'message.scrub':
      return change(messages, key, scrubbed, undo);
    case 'message.discard':
      return remove(messages, key, undo);
  }
}

function addMessage(tables: MemoryTables, message: MessageRow, undo: Undo[]): Effect {
  const messages = submap(tables.messages, message.conversationId);
  const key = messageKeyText(message);
  if (messages.has(key)) return 'duplicate';
  if (message.seq !== undefined && isTaken(messages, message.seq, key)) return 'conflict';
  return set(messages, key, message, undo);
}

function isTaken(messages: Map<string, MessageRow>, seq: number, by: string): boolean {
  for (const [key, row] of messages) if (row.seq === seq && key !== by) return true;
  return false;
}

function ordered(row: MessageRow, seq: number): MessageRow {
  const { state: _state, ...rest } = row;
  return { ...rest, seq };
}

function useKeyPackage(
  tables: MemoryTables,
  write: Extract<ClientWrite, { op: 'keyPackage.use' }>,
  undo: Undo[],
): Effect {
  const ref = toHex(write.ref);
  const row = tables.keyPackages.get(ref);
  if (row === undefined) return 'conflict';
  if (!row.lastResort) return remove(tables.keyPackages, ref, undo);
  return set(tables.keyPackages, ref, { ...row, usedAt: write.usedAt }, undo);
}

export function isHigher(a: ServerVersion, b: ServerVersion): boolean {
  return a.major > b.major || (a.major === b.major && a.minor > b.minor);
}

function submap<K, V>(maps: Map<K, Map<string, V>>, key: K): Map<string, V> {
  const found = maps.get(key);
  if (found !== undefined) return found;
  const made = new Map<string, V>();
  maps.set(key, made);
  return made;
}

function set<K, V>(table: Map<K, V>, key: K, value: V, undo: Undo[]): 'done' {
  const before = table.get(key);
  undo.push(() => (before === undefined ? table.delete(key) : table.set(key, before)));
  table.set(key, value);
  return 'done';
}

function change<K, V>(table: Map<K, V>, key: K, how: (value: V) => V, undo: Undo[]): 'done' {
  const before = table.get(key);
  return before === undefined ? 'done' : set(table, key, how(before), undo);
}

/** Taking a removal back must not move the row to the end of the table: its order means something. */
function remove<K, V>(table: Map<K, V>, key: K, undo: Undo[]): 'done' {
  if (!table.has(key)) return 'done';
  const before = [...table];
  undo.push(() => {
    table.clear();
    for (const [k, v] of before) table.set(k, v);
  });
  table.delete(key);
  return 'done';
}
