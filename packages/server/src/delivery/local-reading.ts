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
    const range = memberRange(log, device) ?? (await this.#formerRange(log.conversation, device));
    if (range === undefined) return reject('forbidden', 'conversation');
    const from = Math.max(after, range.joinedSeq - 1);
    const rows =
      log.recent.after(from, limit, bytesMax) ??
      (await this.#store.read.entries(log.conversation, from, limit, bytesMax));
    return ok(entriesOf(log, range, rows));
  }

  /** The same without waiting, for a member, when memory reaches back that far. */
  recentFor(
    log: ConversationLog,
    device: AuthenticatedDevice,
    after: number,
    limit: number,
    bytesMax: number,
  ): ConversationEntries | undefined {
    const range = memberRange(log, device);
    const rows = range && log.recent.after(Math.max(after, range.joinedSeq - 1), limit, bytesMax);
    return range && rows && entriesOf(log, range, rows);
  }

  async #formerRange(conversation: ConversationId, device: AuthenticatedDevice): Promise<ReadingRange | undefined> {
    const memberships = await this.#store.read.memberships(device.deviceId);
    const former = memberships.find((one) => one.conversationId === conversation);
    return former === undefined ? undefined : { joinedSeq: former.joinedSeq, leftSeq: former.leftSeq };
  }
}

function memberRange({ state }: ConversationLog, device: AuthenticatedDevice): ReadingRange | undefined {
  const member = state.members.get(device.deviceId);
  return member?.user === device.user ? { joinedSeq: member.joinedSeq, leftSeq: undefined } : undefined;
}

function entriesOf(log: ConversationLog, range: ReadingRange, rows: readonly EntryRow[]): ConversationEntries {
  const { hub, label } = log.state;
  const headSeq = Math.min(log.durableSeq, range.leftSeq ?? log.durableSeq);
  const entries = rows.filter((row) => row.seq <= headSeq).map((row) => wireEntry(row, range.joinedSeq));
  return { conversation: log.conversation, hub, label, headSeq, entries };
}

/** The Welcome goes to the devices that the entry adds, and to nobody else. */
function wireEntry(row: EntryRow, joinedSeq: number): WireLogEntry {
  const entry: LogEntry = row;
  return entryToWire(entry, row.seq === joinedSeq);
}
