import type { MessageId } from '@norc/protocol/base';
import type { EntryRow } from '../storage/port.ts';

const ENTRIES_MAX = 256;
const BYTES_MAX = 1 << 20;

/**
 * The newest durable entries of one log, kept in memory so that pushing to devices
 * that are up to date reads nothing from disk. Bounded by number and by bytes.
 */
export class RecentEntries {
  #entries: EntryRow[] = [];
  #bytes = 0;
  readonly #byMessage = new Map<MessageId, EntryRow>();

  append(entry: EntryRow): void {
    this.#entries.push(entry);
    this.#bytes += entry.body.length + entry.welcome.length;
    this.#byMessage.set(entry.messageId, entry);
    while (this.#entries.length > ENTRIES_MAX || (this.#bytes > BYTES_MAX && this.#entries.length > 1))
      this.#dropOldest();
  }

  #dropOldest(): void {
    const dropped = this.#entries.shift();
    if (dropped === undefined) return;
    this.#bytes -= dropped.body.length + dropped.welcome.length;
    this.#byMessage.delete(dropped.messageId);
  }

  /** Entries after `after`, or `undefined` when memory does not reach back that far. */
  after(after: number, limit: number, bytesMax: number): readonly EntryRow[] | undefined {
    const first = this.#entries[0];
    if (first === undefined || after < first.seq - 1) return undefined;
    const chosen: EntryRow[] = [];
    let bytes = 0;
    for (let i = after - first.seq + 1; i < this.#entries.length && chosen.length < limit; i += 1) {
      const entry = this.#entries[i] as EntryRow; // i is inside the array
      bytes += entry.body.length + entry.welcome.length;
      if (chosen.length > 0 && bytes > bytesMax) break;
      chosen.push(entry);
    }
    return chosen;
  }

  find(messageId: MessageId): EntryRow | undefined {
    return this.#byMessage.get(messageId);
  }

  /** Hashes of what is in memory, by sequence. */
  *hashes(): Iterable<readonly [number, Uint8Array]> {
    for (const entry of this.#entries) yield [entry.seq, entry.hash];
  }

  clear(): void {
    this.#entries = [];
    this.#bytes = 0;
    this.#byMessage.clear();
  }
}
