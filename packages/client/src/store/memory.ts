import type { ConversationId } from '@norc/protocol/base';
import { toHex } from '@norc/protocol/base';
import { checkQuery, checkWrites } from './check.ts';
import { applyWrite, emptyTables, type MemoryTables, messageKeyText, type Undo } from './memory-writes.ts';
import { compareMessages, isShown } from './order.ts';
import {
  type ClientReader,
  type ClientStore,
  type ClientWrite,
  StoreError,
  type TimelinePage,
  type TimelineQuery,
  type TransactOutcome,
} from './port.ts';
import type { ConversationRow, KeyPackageRow, KeyPackageStock, MessageKey, MessageRow } from './rows.ts';

/** A store that lives as long as its object: for tests and for devices that keep nothing. */
export function memoryStore(): ClientStore {
  return new MemoryStore();
}

class MemoryStore implements ClientStore {
  readonly #tables: MemoryTables = emptyTables();
  #open = true;
  readonly read: ClientReader = this.#reader();

  async transact(writes: readonly ClientWrite[]): Promise<TransactOutcome> {
    this.#check();
    checkWrites(writes);
    const undo: Undo[] = [];
    const duplicates: number[] = [];
    for (const [index, write] of structuredClone(writes).entries()) {
      const effect = applyWrite(this.#tables, write, undo);
      if (effect === 'conflict') {
        for (const step of undo.reverse()) step();
        return { ok: false, conflict: write.op, index };
      }
      if (effect === 'duplicate') duplicates.push(index);
    }
    return { ok: true, duplicates };
  }

  async close(): Promise<void> {
    this.#open = false;
    for (const table of Object.values(this.#tables)) table.clear();
  }

  #check(): void {
    if (!this.#open) throw new StoreError('closed', 'The store is closed.');
  }

  #reader(): ClientReader {
    const tables = this.#tables;
    /** Every answer is a copy, and none comes after `close`. */
    const answer = async <T>(find: () => T): Promise<T> => {
      this.#check();
      return structuredClone(find());
    };
    return {
      device: () => answer(() => tables.device.get('this')),
      serverVersion: (server) => answer(() => tables.serverVersions.get(server)),
      keyPackage: (ref) => answer(() => tables.keyPackages.get(toHex(ref))),
      keyPackages: () => answer(() => [...tables.keyPackages.values()].map(withoutSecrets)),
      group: (id) => answer(() => tables.groups.get(id)),
      conversation: (id) => answer(() => conversationRow(tables, id)),
      conversations: () => answer(() => [...tables.details.keys()].flatMap((id) => conversationRow(tables, id) ?? [])),
      marks: (id) => answer(() => [...(tables.marks.get(id)?.values() ?? [])]),
      message: (key) => answer(() => messageOf(tables, key)),
      messagesAbout: (id, messageId) =>
        answer(() => messagesOf(tables, id).filter((row) => row.messageId === messageId || row.target === messageId)),
      timeline: (id, query) => answer(() => page(messagesOf(tables, id), query)),
      outgoing: () => answer(() => [...tables.outgoing.values()]),
      meta: (key) => answer(() => tables.meta.get(key)),
    };
  }
}

function withoutSecrets(row: KeyPackageRow): KeyPackageStock {
  const { publicPackage: _public, privatePackage: _private, ...stock } = row;
  return stock;
}

function conversationRow(tables: MemoryTables, id: ConversationId): ConversationRow | undefined {
  const details = tables.details.get(id);
  const position = tables.positions.get(id);
  return details === undefined || position === undefined ? undefined : { ...details, ...position };
}

function messageOf(tables: MemoryTables, key: MessageKey): MessageRow | undefined {
  return tables.messages.get(key.conversationId)?.get(messageKeyText(key));
}

function messagesOf(tables: MemoryTables, id: ConversationId): MessageRow[] {
  return [...(tables.messages.get(id)?.values() ?? [])].sort(compareMessages);
}

/** `all` is in timeline order. */
function page(all: readonly MessageRow[], query: TimelineQuery): TimelinePage {
  checkQuery(query);
  const { before, after, limit } = query;
  const inRange = all.filter(isShown).filter((row) => {
    if (before !== undefined) return row.seq !== undefined && row.seq < before;
    return after === undefined || (row.seq !== undefined && row.seq > after);
  });
  const shown = after === undefined ? inRange.slice(-limit) : inRange.slice(0, limit);
  const ids = new Set(shown.map((row) => row.messageId));
  const changes = all.filter((row) => row.target !== undefined && ids.has(row.target));
  return { rows: [...shown, ...changes], more: shown.length < inRange.length };
}
