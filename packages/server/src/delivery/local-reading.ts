import { type ConversationId, ok, type Result, reject } from '@norc/protocol/base';
import { entryToWire, type LogEntry } from '@norc/protocol/norc-f';
import type { WireLogEntry } from '@norc/protocol/wire';
import type { AuthenticatedDevice, ConversationEntries } from '../services.ts';
import type { EntryRow, Store } from '../storage/port.ts';
import type { ConversationLog } from './conversation-log.ts';

/** What one device may read of a log: from the entry that added it to the one that removed it. */
interface ReadingRange {
  readonly joinedSeq: number;
  readonly leftSeq: number | undefined;
}

/** Reads logs on behalf of local devices. */
export class LocalReading {
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }

  async entriesFor(
    log: ConversationLog,
    device: AuthenticatedDevice,
    after: number,
    limit: number,
    bytesMax: number,
  ): Promise<Result<ConversationEntries>> {
    const range = await this.#range(log, device);
    if (range === undefined) return reject('forbidden', 'conversation');
    const from = Math.max(after, range.joinedSeq - 1);
    const rows =
      log.recent.after(from, limit, bytesMax) ??
      (await this.#store.read.entries(log.conversation, from, limit, bytesMax));
    const { hub, label } = log.state;
    const last = Math.min(log.durableSeq, range.leftSeq ?? log.durableSeq);
    const entries = rows.filter((row) => row.seq <= last).map((row) => wireEntry(row, range.joinedSeq));
    return ok({ conversation: log.conversation, hub, label, headSeq: last, entries });
  }

  /** The last entry that the device may read, as far as it is durable. */
  async #range(log: ConversationLog, device: AuthenticatedDevice): Promise<ReadingRange | undefined> {
    const member = log.state.members.get(device.deviceId);
    if (member !== undefined && member.user === device.user) return { joinedSeq: member.joinedSeq, leftSeq: undefined };
    return await this.#formerRange(log.conversation, device);
  }

  async #formerRange(conversation: ConversationId, device: AuthenticatedDevice): Promise<ReadingRange | undefined> {
    const memberships = await this.#store.read.memberships(device.deviceId);
    const former = memberships.find((one) => one.conversationId === conversation);
    return former === undefined ? undefined : { joinedSeq: former.joinedSeq, leftSeq: former.leftSeq };
  }
}

/** The Welcome goes to the devices that the entry adds, and to nobody else. */
function wireEntry(row: EntryRow, joinedSeq: number): WireLogEntry {
  const entry: LogEntry = row;
  return entryToWire(entry, row.seq === joinedSeq);
}
