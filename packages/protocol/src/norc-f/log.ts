import {
  type ConversationId,
  concatBytes,
  type DeviceId,
  type Domain,
  type Instant,
  instant,
  type Label,
  type MessageId,
  ok,
  type Result,
  reject,
  sameBytes,
  type UserAddress,
} from '../base/index.ts';
import { type Crypto, labelBytes } from '../crypto/index.ts';
import {
  choice,
  conversationId,
  deviceId,
  domain,
  ENTRY_KINDS,
  type EntryKind,
  encodeBody,
  fixedBytes,
  type LogEntryHeader,
  labelSchema,
  messageId,
  struct,
  uint,
  userAddress,
  type WireLogEntry,
  withEncodedBody,
} from '../wire/index.ts';

/** The hash chain of a conversation's log (spec/norc-f section 2). */

const EMPTY = new Uint8Array(0);

const genesisSchema = struct({ conversation: conversationId(), hub: domain() });

const headerSchema = struct({
  conversation: conversationId(),
  seq: uint(),
  kind: choice(ENTRY_KINDS),
  message_id: messageId(),
  sender: deviceId(),
  sender_user: userAddress(),
  epoch: uint(),
  label: labelSchema,
  body_hash: fixedBytes(32),
  welcome_hash: fixedBytes(32),
  stored_at: uint(),
});

/** Where a log ends: what the next entry must extend. */
export interface LogHead {
  readonly conversation: ConversationId;
  /** Sequence of the last entry; 0 before the first. */
  readonly seq: number;
  readonly hash: Uint8Array;
}

/** One entry, as it is held. Whether it belongs where it says, only `verifyEntry` can tell. */
export interface LogEntry {
  readonly seq: number;
  readonly kind: EntryKind;
  readonly messageId: MessageId;
  readonly sender: DeviceId;
  readonly senderUser: UserAddress;
  readonly epoch: number;
  readonly label: Label;
  /** An MLS message, opaque here. */
  readonly body: Uint8Array;
  /** Empty when there is none, or when it was not given to this side. */
  readonly welcome: Uint8Array;
  /** BLAKE3 of the Welcome, of no bytes when there is none. */
  readonly welcomeHash: Uint8Array;
  readonly hash: Uint8Array;
  readonly storedAt: Instant;
}

/** What the hub decides about an entry, before it has a place in the log. */
export type EntryContent = Omit<LogEntry, 'seq' | 'hash' | 'welcomeHash'>;

declare const linked: unique symbol;

/** Evidence: an entry whose hash extends a head that this side holds. Only this module makes one. */
export type LinkedEntry = LogEntry & { readonly [linked]: true };

/** The hash before the first entry: no log can be passed off as another conversation's, or another hub's. */
export function genesisHash(crypto: Crypto, conversation: ConversationId, hub: Domain): Uint8Array {
  return crypto.blake3(
    concatBytes(labelBytes('norc-log-genesis-v1'), encodeBody(genesisSchema, { conversation, hub }, 'cbor')),
  );
}

/** The head of an empty log. */
export function genesisHead(crypto: Crypto, conversation: ConversationId, hub: Domain): LogHead {
  return { conversation, seq: 0, hash: genesisHash(crypto, conversation, hub) };
}

export function headAfter(head: LogHead, entry: LogEntry): LogHead {
  return { conversation: head.conversation, seq: entry.seq, hash: entry.hash };
}

/** Holds most headers, whose fields are bounded; overwritten by each hash. */
const hashRoom = new Uint8Array(1024);

/** BLAKE3("norc-log-v1" || previous hash || canonical CBOR of the header): 32 bytes. */
export function entryHash(crypto: Crypto, previousHash: Uint8Array, header: LogEntryHeader): Uint8Array {
  return withEncodedBody(
    headerSchema,
    {
      conversation: header.conversation,
      seq: header.seq,
      kind: header.kind,
      message_id: header.messageId,
      sender: header.sender,
      sender_user: header.senderUser,
      epoch: header.epoch,
      label: header.label,
      body_hash: header.bodyHash,
      welcome_hash: header.welcomeHash,
      stored_at: header.storedAt,
    },
    'cbor',
    (encoded) => crypto.blake3(hashInput(previousHash, encoded)),
  );
}

function hashInput(previousHash: Uint8Array, encoded: Uint8Array): Uint8Array {
  const label = labelBytes('norc-log-v1');
  const length = label.length + previousHash.length + encoded.length;
  if (length > hashRoom.length) return concatBytes(label, previousHash, encoded);
  hashRoom.set(label);
  hashRoom.set(previousHash, label.length);
  hashRoom.set(encoded, length - encoded.length);
  return hashRoom.subarray(0, length);
}

/** The hub's act: gives `content` its place after `head`. */
export function linkEntry(crypto: Crypto, head: LogHead, content: EntryContent): LinkedEntry {
  const placed = { ...content, seq: head.seq + 1, welcomeHash: crypto.blake3(content.welcome) };
  const entry: LogEntry = { ...placed, hash: hashAfter(crypto, head, placed) };
  return entry as LinkedEntry; // hashed onto the head just now
}

/**
 * Checks that `entry` comes next after `head`. Errors: `log_gap` when entries are
 * missing between them; `log_fork` when the place is taken or the hash is another;
 * `malformed` when the Welcome is not the one that was hashed.
 */
export function verifyEntry(crypto: Crypto, head: LogHead, entry: LogEntry): Result<LinkedEntry> {
  if (entry.seq > head.seq + 1) return reject('log_gap', 'seq');
  if (entry.seq <= head.seq) return reject('log_fork', 'seq');
  if (!sameBytes(entry.hash, hashAfter(crypto, head, entry))) return reject('log_fork', 'hash');
  if (entry.welcome.length > 0 && !sameBytes(crypto.blake3(entry.welcome), entry.welcomeHash))
    return reject('malformed', 'welcome');
  return ok(entry as LinkedEntry); // the checks above are what the type stands for
}

function hashAfter(crypto: Crypto, head: LogHead, entry: Omit<LogEntry, 'hash'>): Uint8Array {
  return entryHash(crypto, head.hash, {
    ...entry,
    conversation: head.conversation,
    bodyHash: crypto.blake3(entry.body),
  });
}

export function entryFromWire(wire: WireLogEntry): LogEntry {
  return {
    seq: wire.seq,
    kind: wire.kind,
    messageId: wire.message_id,
    sender: wire.sender,
    senderUser: wire.sender_user,
    epoch: wire.epoch,
    label: wire.label,
    body: wire.body,
    welcome: wire.welcome ?? EMPTY,
    welcomeHash: wire.welcome_hash,
    hash: wire.hash,
    storedAt: instant(wire.stored_at),
  };
}

/** `withWelcome` only towards those that the entry adds. */
export function entryToWire(entry: LogEntry, withWelcome: boolean): WireLogEntry {
  const wire: WireLogEntry = {
    seq: entry.seq,
    kind: entry.kind,
    message_id: entry.messageId,
    sender: entry.sender,
    sender_user: entry.senderUser,
    epoch: entry.epoch,
    label: entry.label,
    body: entry.body,
    welcome_hash: entry.welcomeHash,
    hash: entry.hash,
    stored_at: entry.storedAt,
  };
  return withWelcome && entry.welcome.length > 0 ? { ...wire, welcome: entry.welcome } : wire;
}
