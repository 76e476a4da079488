import {
  type ConversationId,
  type DeviceId,
  type Instant,
  LABELS,
  type Label,
  LIMITS,
  type MessageId,
  type UserAddress,
} from '../base/index.ts';
import {
  bytes,
  choice,
  deviceId,
  fixedBytes,
  type Infer,
  messageId,
  optional,
  type Schema,
  struct,
  uint,
  userAddress,
} from './schema.ts';

/** Kinds of entries of a conversation's log (spec/norc-f section 2). */
export const ENTRY_KINDS = ['commit', 'proposal', 'application'] as const;
export type EntryKind = (typeof ENTRY_KINDS)[number];

export const labelSchema: Schema<Label> = choice(Object.keys(LABELS) as Label[]); // the keys of LABELS are the labels

/** An MLS message, Welcome or GroupInfo: opaque to NORC-C and NORC-F. */
export const mlsBytes: Schema<Uint8Array> = bytes(LIMITS.mlsMessageBytesMax);

/**
 * One entry of a conversation's log as it travels, from hub to follower and from
 * server to device. `hash` chains it to the entry before (spec/norc-f section 2).
 */
export const logEntrySchema = struct({
  seq: uint(),
  kind: choice(ENTRY_KINDS),
  message_id: messageId(),
  sender: deviceId(),
  sender_user: userAddress(),
  epoch: uint(),
  label: labelSchema,
  body: mlsBytes,
  /** Only towards those that the entry adds. Its BLAKE3 is in the hash in any case. */
  welcome: optional(mlsBytes),
  welcome_hash: fixedBytes(32),
  hash: fixedBytes(32),
  stored_at: uint(),
});

export type WireLogEntry = Infer<typeof logEntrySchema>;

/** What the hash of an entry covers besides the hash before it. */
export interface LogEntryHeader {
  readonly conversation: ConversationId;
  readonly seq: number;
  readonly kind: EntryKind;
  readonly messageId: MessageId;
  readonly sender: DeviceId;
  readonly senderUser: UserAddress;
  readonly epoch: number;
  readonly label: Label;
  readonly bodyHash: Uint8Array;
  readonly welcomeHash: Uint8Array;
  readonly storedAt: Instant;
}
