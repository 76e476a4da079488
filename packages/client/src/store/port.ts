import type { ConversationId, Instant, MessageId } from '@norc/protocol/base';
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
  OwnState,
  ServerVersion,
} from './rows.ts';

/**
 * Everything that one device knows, durably. Every implementation passes
 * store/contract.ts.
 *
 * `transact` applies its writes as one: all of them are on disk when it resolves to
 * `ok`, none of them after a conflict, a rejection or a crash. That is what makes
 * delivery exactly once to the application: "group state after opening the entry,
 * the message, the cursor" is one transaction, so an entry was either taken in whole
 * or will be opened again from the state before it. The application is told after
 * `transact` resolved, and reads from the store after a restart.
 *
 * What goes in and comes out is copied: a caller may zero or change its own bytes.
 */
export interface ClientStore {
  transact(writes: readonly ClientWrite[]): Promise<TransactOutcome>;
  readonly read: ClientReader;
  /** Finishes what was accepted, forgets the keys. Everything after it rejects with `closed`. */
  close(): Promise<void>;
}

export type TransactOutcome =
  /** `duplicates`: indexes of `message.add` writes whose message was already there and stays as it was. */
  | { readonly ok: true; readonly duplicates: readonly number[] }
  | { readonly ok: false; readonly conflict: ClientWrite['op']; readonly index: number };

export type StoreFault =
  /** The passphrase or secret does not open this store; nothing was changed. */
  | 'wrong_passphrase'
  /** Another process has this profile open. */
  | 'in_use'
  | 'newer_schema'
  /** Damaged, or changed by somebody without the key. */
  | 'corrupt'
  | 'disk_full'
  /** A file that others can read, or that this user cannot. */
  | 'permissions'
  /** No store at this place, and none was to be made. */
  | 'absent'
  | 'closed'
  | 'io';

/** A dependency failed. `fault` decides what callers do; the message is a sentence for a person and holds no data. */
export class StoreError extends Error {
  override readonly name = 'StoreError';
  readonly fault: StoreFault;
  readonly retryable: boolean;
  constructor(fault: StoreFault, message: string, options?: ErrorOptions) {
    super(message, options);
    this.fault = fault;
    this.retryable = fault === 'disk_full' || fault === 'in_use';
  }
}

export type ClientWrite =
  // device
  | { readonly op: 'device.put'; readonly device: DeviceRow }
  /** Remembers the highest version seen from a server; a lower one is ignored. */
  | { readonly op: 'server.version'; readonly server: string; readonly version: ServerVersion }
  // MLS key packages
  | { readonly op: 'keyPackages.add'; readonly packages: readonly KeyPackageRow[] }
  /** The server has them: a package is published once and never again. */
  | { readonly op: 'keyPackages.published'; readonly refs: readonly Uint8Array[] }
  /**
   * A Welcome consumed it. The secrets of a one-time package are gone with this write;
   * the last-resort one stays and is marked for replacement. Conflict when unknown.
   */
  | { readonly op: 'keyPackage.use'; readonly ref: Uint8Array; readonly usedAt: Instant }
  | { readonly op: 'keyPackages.delete'; readonly refs: readonly Uint8Array[] }
  // MLS groups
  /** Replaces the whole row, a pending commit with it. */
  | { readonly op: 'group.put'; readonly group: GroupRow }
  | { readonly op: 'group.delete'; readonly conversationId: ConversationId }
  // conversations
  /** Creates the conversation with its cursor at 0, or replaces what describes it. Cursor and markers stay. */
  | { readonly op: 'conversation.put'; readonly conversation: ConversationDetails }
  /** Conflict unless the conversation exists and its cursor is exactly `expectedSeq`. */
  | {
      readonly op: 'cursor.advance';
      readonly conversationId: ConversationId;
      readonly expectedSeq: number;
      readonly seq: number;
      /** Log hash at `seq`, so that a fork shows (spec/norc-f section 2). */
      readonly hash: Uint8Array;
    }
  /** What the user has seen. Only rises. */
  | { readonly op: 'readMarker.advance'; readonly conversationId: ConversationId; readonly seq: number }
  /** How far another participant's devices have come, or how far that person read. Only rises. */
  | { readonly op: 'mark.advance'; readonly conversationId: ConversationId; readonly mark: Mark }
  // timeline
  /** A message is one by conversation, sender and message id; a second add of it is a duplicate and changes nothing. */
  | { readonly op: 'message.add'; readonly message: MessageRow }
  /** The hub ordered an own message. Nothing happens when it is unknown or already has a place. */
  | {
      readonly op: 'message.order';
      readonly key: MessageKey;
      readonly seq: number;
    }
  /** Of an own message that is not ordered yet. */
  | { readonly op: 'message.state'; readonly key: MessageKey; readonly state: OwnState }
  /** Overwrites what the message said: it was deleted by its sender, or its time is over. */
  | { readonly op: 'message.scrub'; readonly key: MessageKey }
  /** Takes the row away as if it had never been: an unsent draft. */
  | { readonly op: 'message.discard'; readonly key: MessageKey }
  // outgoing
  /** Adds at the end, or replaces in place when `id` is queued. */
  | { readonly op: 'outgoing.put'; readonly item: OutgoingRow }
  | { readonly op: 'outgoing.delete'; readonly id: MessageId }
  // small things without a table: `key` names the owner, as in `org:alpha.example`
  | { readonly op: 'meta.put'; readonly key: string; readonly value: Uint8Array }
  | { readonly op: 'meta.delete'; readonly key: string };

export interface TimelineQuery {
  /** Only messages with a lower seq. Absent: from the end, own unordered messages included. */
  readonly before?: number;
  /** Only messages with a higher seq, in order, own unordered messages not included. Not together with `before`. */
  readonly after?: number;
  /** Most shown messages to return. */
  readonly limit: number;
}

export interface TimelinePage {
  /**
   * Shown messages in log order, then own unordered ones by time; after them, in any
   * order, every stored edit, deletion and reaction that targets one of those shown.
   */
  readonly rows: readonly MessageRow[];
  /** Whether shown messages beyond this page exist, in the direction of the query. */
  readonly more: boolean;
}

export interface ClientReader {
  device(): Promise<DeviceRow | undefined>;
  serverVersion(server: string): Promise<ServerVersion | undefined>;
  /** With its secrets. */
  keyPackage(ref: Uint8Array): Promise<KeyPackageRow | undefined>;
  /** Without secrets, oldest first. */
  keyPackages(): Promise<readonly KeyPackageStock[]>;
  group(conversationId: ConversationId): Promise<GroupRow | undefined>;
  conversation(conversationId: ConversationId): Promise<ConversationRow | undefined>;
  conversations(): Promise<readonly ConversationRow[]>;
  marks(conversationId: ConversationId): Promise<readonly Mark[]>;
  message(key: MessageKey): Promise<MessageRow | undefined>;
  /**
   * The messages with this id (one, unless somebody reused another's) and every row
   * that targets it. In log order, unordered last.
   */
  messagesAbout(conversationId: ConversationId, messageId: MessageId): Promise<readonly MessageRow[]>;
  timeline(conversationId: ConversationId, query: TimelineQuery): Promise<TimelinePage>;
  /** In the order in which they were first put. */
  outgoing(): Promise<readonly OutgoingRow[]>;
  meta(key: string): Promise<Uint8Array | undefined>;
}
