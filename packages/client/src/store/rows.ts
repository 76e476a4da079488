import type {
  ConversationId,
  DeviceId,
  Domain,
  Instant,
  Label,
  MessageId,
  TrustLevel,
  UserAddress,
} from '@norc/protocol/base';
import type { Problem } from '../timeline/causes.ts';
import type { Notice } from '../timeline/notices.ts';

/** What the store keeps, as values. Times are milliseconds since 1970; bytes are opaque here. */

export interface DeviceRow {
  readonly deviceId: DeviceId;
  readonly user: UserAddress;
  readonly domain: Domain;
  /** As its owner named it. */
  readonly name: string;
  readonly server: ServerAddress;
  /** Ed25519 public key of the organisation, learned from the enrolment code. Never changes by itself. */
  readonly orgRootKey: Uint8Array;
  /** Ed25519. The private key never leaves the device. */
  readonly publicKey: Uint8Array;
  readonly privateKey: Uint8Array;
  /** Absent between the making of the key and the server's answer: registration is repeated with the same key. */
  readonly registration?: {
    /** Signed documents in canonical JSON. */
    readonly deviceCertificate: Uint8Array;
    readonly issuerCertificate: Uint8Array;
    readonly registeredAt: Instant;
  };
}

export interface ServerAddress {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
}

export interface ServerVersion {
  readonly major: number;
  readonly minor: number;
}

export interface KeyPackageRow extends KeyPackageStock {
  /** Engine's encoding of the public package, as published. */
  readonly publicPackage: Uint8Array;
  /** Engine's encoding of the init and encryption keys. */
  readonly privatePackage: Uint8Array;
}

export interface KeyPackageStock {
  /** Identifies the package in a Welcome. */
  readonly ref: Uint8Array;
  readonly lastResort: boolean;
  readonly published: boolean;
  readonly createdAt: Instant;
  readonly expiresAt: Instant;
  /** Only of a last-resort package: it was used and wants replacing. */
  readonly usedAt?: Instant;
}

export interface GroupRow {
  readonly conversationId: ConversationId;
  readonly epoch: number;
  /** Engine's encoding of the group. */
  readonly state: Uint8Array;
  /**
   * An own commit that was sent and whose fate is not known: the state to adopt when
   * the log shows it. `state` stays the one before it, so that a lost race can
   * process the winner.
   */
  readonly pending?: {
    readonly messageId: MessageId;
    readonly epoch: number;
    readonly state: Uint8Array;
  };
}

export interface ConversationDetails {
  readonly conversationId: ConversationId;
  readonly kind: 'direct' | 'group';
  /** Given by its members; absent for direct ones. Untrusted text: clean before showing. */
  readonly title?: string;
  /** Everybody in it, this user included. */
  readonly participants: readonly UserAddress[];
  readonly hub: Domain;
  readonly label: Label;
  readonly level: TrustLevel;
  readonly createdAt: Instant;
  /** `left`: this device is no member any more. `paused`: frozen until a removal is committed. */
  readonly standing: 'open' | 'paused' | 'left' | 'closed';
}

export interface ConversationRow extends ConversationDetails {
  /** Everything up to this log entry is taken in. */
  readonly cursorSeq: number;
  /** Log hash there; empty before the first entry. */
  readonly cursorHash: Uint8Array;
  /** Everything up to this entry was seen by the user. */
  readonly readSeq: number;
}

export interface Mark {
  readonly user: UserAddress;
  readonly mark: 'delivered' | 'read';
  readonly seq: number;
}

export interface MessageKey {
  readonly conversationId: ConversationId;
  readonly sender: DeviceId;
  readonly messageId: MessageId;
}

export interface MessageRow extends MessageKey {
  readonly user: UserAddress;
  /** Place in the log. Absent: an own message that the hub has not ordered. */
  readonly seq?: number;
  /** As its sender says. A device gives its own messages strictly rising times. */
  readonly sentAt: Instant;
  readonly body: RowBody;
  /** For an edit, a deletion or a reaction: the message that it changes. Such a row is not shown by itself. */
  readonly target?: MessageId;
  /** Only of own messages without a seq. */
  readonly state?: OwnState;
}

export type OwnState =
  /** `waits`: what has to pass before it goes, where that is known. */
  | { readonly state: 'sending'; readonly waits?: Problem }
  /** The home server holds it durably. */
  | { readonly state: 'accepted' }
  | { readonly state: 'failed'; readonly problem: Problem };

export type RowBody =
  /** As it was inside MLS (spec/norc-c section 5). */
  | { readonly type: 'content'; readonly content: Uint8Array }
  | { readonly type: 'problem'; readonly problem: Problem }
  /** What one commit changed. */
  | { readonly type: 'notices'; readonly notices: readonly Notice[] }
  /** There was content; it was deleted or its time is over. */
  | { readonly type: 'removed' };

export interface OutgoingRow {
  /** The message id that the log entry will carry, for a message and for a commit alike. */
  readonly id: MessageId;
  readonly conversationId: ConversationId;
  readonly intent: OutgoingIntent;
  readonly createdAt: Instant;
  readonly attempts: number;
  /**
   * What was sealed for `epoch` and may have been sent. It is sent again byte for
   * byte until the epoch is over: sealing twice would spend a second key on the
   * same words. Stored in the transaction that stores the group after sealing.
   */
  readonly sealed?: { readonly epoch: number; readonly bytes: Uint8Array };
}

/** What the user or the device wanted, so that it can be sealed or built again after a lost race. */
export type OutgoingIntent =
  | { readonly type: 'message'; readonly content: Uint8Array }
  | { readonly type: 'create'; readonly add: readonly UserAddress[]; readonly label: Label }
  | { readonly type: 'add'; readonly users: readonly UserAddress[] }
  | { readonly type: 'remove'; readonly devices: readonly DeviceId[] }
  /** A fresh path for this device's own keys. */
  | { readonly type: 'update' };
