import type { ConversationId, DeviceId, Domain, Instant, Label, MessageId, UserAddress } from '@norc/protocol/base';

/**
 * Durable state of one organisation. Every implementation passes storage/contract.ts.
 *
 * `commit` applies a list of writes as one transaction and resolves only when it is
 * on disk (group commit: many callers may share one fsync). A write with an
 * expectation that does not hold rolls back its own transaction alone, which then
 * resolves to a conflict that names the write. A failing disk rejects with
 * StorageError; nothing of the transaction was kept.
 */
export interface Store {
  commit(writes: readonly StoreWrite[]): Promise<CommitOutcome>;
  readonly read: StoreReader;
  /** Finishes what was accepted, then closes. */
  close(): Promise<void>;
}

export type CommitOutcome =
  | { readonly ok: true }
  | { readonly ok: false; readonly conflict: StoreWrite['op']; readonly index: number };

export type StorageFault = 'disk_full' | 'newer_schema' | 'corrupt' | 'locked' | 'io';

/** A dependency failed (STYLE 8). `fault` decides what callers do; the message is for operators. */
export class StorageError extends Error {
  override readonly name = 'StorageError';
  readonly fault: StorageFault;
  readonly retryable: boolean;
  constructor(fault: StorageFault, message: string, options?: ErrorOptions) {
    super(message, options);
    this.fault = fault;
    this.retryable = fault === 'disk_full' || fault === 'locked';
  }
}

export type StoreWrite =
  // directory
  | { readonly op: 'user.add'; readonly user: UserRow }
  | { readonly op: 'enrolment.add'; readonly enrolment: EnrolmentRow }
  /** Conflict when the code is absent, used or expired at `usedAt`. */
  | {
      readonly op: 'enrolment.use';
      readonly codeHash: Uint8Array;
      readonly usedAt: Instant;
      readonly deviceId: DeviceId;
    }
  /** Conflict when the device id exists. */
  | { readonly op: 'device.add'; readonly device: DeviceRow }
  | { readonly op: 'device.revoke'; readonly deviceId: DeviceId; readonly revokedAt: Instant }
  /** Adds one-time KeyPackages; a `lastResort` one replaces the device's former one. */
  | { readonly op: 'keyPackages.add'; readonly deviceId: DeviceId; readonly packages: readonly KeyPackageRow[] }
  | { readonly op: 'keyPackages.drop'; readonly deviceId: DeviceId }
  // conversations and logs
  /** Conflict when the conversation exists. */
  | {
      readonly op: 'conversation.create';
      readonly conversation: ConversationRow;
      readonly members: readonly MemberRow[];
    }
  /** Conflict unless the stored head is exactly `expectedHeadSeq` and, if given, the stored epoch `expectedEpoch`. */
  | LogAppend
  | { readonly op: 'conversation.freeze'; readonly conversationId: ConversationId; readonly frozen: boolean }
  /** Cursors only rise; a lower value is ignored. Never conflicts. */
  | {
      readonly op: 'cursor.advance';
      readonly deviceId: DeviceId;
      readonly conversationId: ConversationId;
      readonly seq: number;
    }
  /** Highest sequence that any device of a user acknowledged; only rises. */
  | {
      readonly op: 'delivered.advance';
      readonly conversationId: ConversationId;
      readonly user: UserAddress;
      readonly seq: number;
    }
  /** What a follower confirmed to hold durably; only rises. */
  | {
      readonly op: 'follower.advance';
      readonly conversationId: ConversationId;
      readonly peer: Domain;
      readonly seq: number;
    }
  /** A peer that follows already keeps its place. Conflict when the conversation does not exist. */
  | {
      readonly op: 'follower.add';
      readonly conversationId: ConversationId;
      readonly peer: Domain;
      readonly seq: number;
    }
  /** An organisation that is out holds no entries back. Never conflicts. */
  | { readonly op: 'follower.remove'; readonly conversationId: ConversationId; readonly peer: Domain }
  /** Drops entries that every local cursor and follower has passed, and those stored before `before`. Never the head. */
  | { readonly op: 'log.prune'; readonly conversationId: ConversationId; readonly before: Instant }
  // outbox
  | { readonly op: 'outbox.add'; readonly item: OutboxRow }
  | { readonly op: 'outbox.remove'; readonly peer: Domain; readonly ids: readonly MessageId[] }
  // trust
  | { readonly op: 'trust.exchange.put'; readonly exchange: TrustExchangeRow }
  | { readonly op: 'trust.exchange.delete'; readonly exchangeId: string }
  | { readonly op: 'trust.certificate.put'; readonly certificate: TrustCertificateRow }
  | { readonly op: 'trust.certificate.delete'; readonly issuer: Domain; readonly certificateId: string }
  /** Conflict unless `sequence` is the issuer's last plus one. */
  | { readonly op: 'trust.revocation.add'; readonly revocation: TrustRevocationRow }
  | { readonly op: 'trust.heard'; readonly peer: Domain; readonly at: Instant }
  /** Replaces the record of this kind and key. */
  | { readonly op: 'trust.record.put'; readonly record: TrustRecordRow }
  | { readonly op: 'trust.record.delete'; readonly kind: TrustRecordKind; readonly key: string }
  /** Adds to the count of this question and outcome on this day. */
  | { readonly op: 'trust.decided'; readonly decided: TrustDecidedRow }
  /** Forgets the days before `day`. */
  | { readonly op: 'trust.decided.prune'; readonly day: number }
  // audit
  /** Conflict unless `sequence` is the last plus one and `previousHash` is the last entry's hash. */
  | { readonly op: 'audit.append'; readonly entry: AuditRow }
  | { readonly op: 'meta.put'; readonly key: string; readonly value: Uint8Array };

/** Appends consecutive entries and applies what they change, as one write. */
export interface LogAppend {
  readonly op: 'log.append';
  readonly conversationId: ConversationId;
  readonly expectedHeadSeq: number;
  readonly entries: readonly EntryRow[];
  /** Present when the entries hold a commit. */
  readonly commit?: {
    readonly expectedEpoch: number;
    readonly epoch: number;
    /** Serialised public group state after the commit. */
    readonly view: Uint8Array;
    readonly added: readonly MemberRow[];
    readonly removed: readonly DeviceId[];
  };
  /** Serialised public group state after proposals among the entries. A commit has its own. */
  readonly view?: Uint8Array;
}

export interface UserRow {
  readonly user: UserAddress;
  readonly createdAt: Instant;
}

export interface EnrolmentRow {
  /** BLAKE3 of the one-time code's secret: the store never holds the code. */
  readonly codeHash: Uint8Array;
  readonly user: UserAddress;
  readonly expiresAt: Instant;
}

export interface DeviceRow {
  readonly deviceId: DeviceId;
  readonly user: UserAddress;
  readonly name: string;
  readonly publicKey: Uint8Array;
  /** Signed documents in canonical JSON: device certificate, then its issuer's. */
  readonly certificate: Uint8Array;
  readonly issuerCertificate: Uint8Array;
  readonly enrolledAt: Instant;
  readonly revokedAt?: Instant;
}

export interface KeyPackageRow {
  readonly bytes: Uint8Array;
  /** BLAKE3 of the bytes. */
  readonly ref: Uint8Array;
  readonly lastResort: boolean;
  readonly expiresAt: Instant;
}

export interface ClaimedKeyPackage extends KeyPackageRow {
  readonly deviceId: DeviceId;
  /** One-time packages left for that device after this claim. */
  readonly left: number;
}

export interface ConversationRow {
  readonly conversationId: ConversationId;
  readonly hub: Domain;
  readonly label: Label;
  readonly floor: 'basic' | 'verified' | 'classified' | 'nato';
  readonly createdAt: Instant;
  readonly frozen: boolean;
  readonly epoch: number;
  /** Sequence of the commit that began `epoch`; log.append keeps it, from the commit entry that it appends. */
  readonly epochSeq: number;
  readonly headSeq: number;
  readonly headHash: Uint8Array;
  /** Serialised public group state (tree, group context) at `epoch`. */
  readonly view: Uint8Array;
}

export interface MemberRow {
  readonly deviceId: DeviceId;
  readonly user: UserAddress;
  readonly leafIndex: number;
  /** The device reads entries from this one on. A local device gets its cursor just before it. */
  readonly joinedSeq: number;
  /** Whether the device belongs to this organisation and so has a cursor here. */
  readonly local: boolean;
}

export type EntryKind = 'commit' | 'proposal' | 'application';

export interface EntryRow {
  readonly seq: number;
  readonly kind: EntryKind;
  readonly messageId: MessageId;
  readonly sender: DeviceId;
  readonly senderUser: UserAddress;
  readonly epoch: number;
  readonly label: Label;
  /** MLS message, opaque here. */
  readonly body: Uint8Array;
  /** For those that the entry adds; empty otherwise, also where this organisation was not given it. */
  readonly welcome: Uint8Array;
  /** In the entry's hash, so kept also where the Welcome itself is not (spec/norc-f). */
  readonly welcomeHash: Uint8Array;
  /** Hash over this entry and the one before (spec/norc-f). */
  readonly hash: Uint8Array;
  readonly storedAt: Instant;
}

export interface OutboxRow {
  readonly id: MessageId;
  readonly peer: Domain;
  readonly priority: 'control' | 'interactive' | 'bulk';
  /** Message type code (spec/registry/message-types.json). */
  readonly type: number;
  /** Encoded body of the newest version that this side speaks. */
  readonly body: Uint8Array;
  readonly createdAt: Instant;
  readonly expiresAt: Instant;
}

export interface TrustExchangeRow {
  readonly exchangeId: string;
  readonly peer: Domain;
  readonly role: 'initiator' | 'responder';
  readonly state: string;
  /** Canonical JSON of the machine's state. */
  readonly document: Uint8Array;
  readonly updatedAt: Instant;
}

export interface TrustCertificateRow {
  readonly certificateId: string;
  readonly issuer: Domain;
  readonly subject: Domain;
  readonly notAfter: Instant;
  readonly document: Uint8Array;
}

export interface TrustRevocationRow {
  readonly issuer: Domain;
  readonly subject: Domain;
  readonly sequence: number;
  readonly document: Uint8Array;
}

/**
 * What is kept about trust besides the exchange, the certificates and the chains: documents,
 * each with the codec of the service that owns the kind.
 */
export type TrustRecordKind =
  /** Officer certificates and their revocations; key: officer id. */
  | 'officer'
  /** Something that waits for officers (a restore, a policy, a rotation); key: its id. */
  | 'proposal'
  /** What was found about a partner, piece by piece; key: exchange id and side. */
  | 'evidence'
  /** X.509 chains that a partner showed and that held; key: its domain, and whether its root key is the pinned one. */
  | 'chain'
  /** Officers' signed approvals that led to something; key: hash of the approval. */
  | 'approval'
  /** An organisation's acknowledgment of one statement; key: issuer, sequence and who acknowledges. */
  | 'ack'
  /** How far one of our own acts got: whom it concerns, its deadline; key: its last statement. */
  | 'propagation'
  /** A receipt of one effect of a revocation; key: issuer, sequence and conversation. */
  | 'receipt'
  /** Two histories that an issuer signed; key: issuer and sequence. */
  | 'fork'
  /** The policy in force and those before it; key: its number. */
  | 'policy'
  /** Replacements of organisation root keys; key: organisation and number. */
  | 'rotation'
  /** When we came to hold a certificate with a partner's recovery set; key: its certificate id. */
  | 'recovery'
  /** What was told to officers once (an expiry, a condition); key: what it is about. */
  | 'notice';

export interface TrustRecordRow {
  readonly kind: TrustRecordKind;
  readonly key: string;
  /** The partner that it is about; absent for what is our own. */
  readonly peer?: Domain;
  readonly at: Instant;
  readonly document: Uint8Array;
}

/** How often a question was decided in one way on one day: what a change of policy is replayed over. */
export interface TrustDecidedRow {
  /** Whole days since 1970, UTC. */
  readonly day: number;
  readonly peer: Domain;
  /** The question without the peer: direction, permission, label. */
  readonly question: string;
  /** `allow`, or the reason's name. */
  readonly outcome: string;
  readonly count: number;
}

export interface AuditRow {
  readonly sequence: number;
  readonly time: Instant;
  readonly type: string;
  readonly previousHash: Uint8Array;
  readonly hash: Uint8Array;
  /** Canonical JSON. */
  readonly entry: Uint8Array;
  readonly signature: Uint8Array;
}

export interface MemberOf {
  readonly conversationId: ConversationId;
  /** Last entry that the device acknowledged. */
  readonly cursor: number;
  readonly joinedSeq: number;
  /** Present when the device was removed: nothing after this entry is for it. */
  readonly leftSeq?: number;
  readonly headSeq: number;
}

export interface StoreReader {
  user(user: UserAddress): Promise<UserRow | undefined>;
  users(): Promise<readonly UserRow[]>;
  device(deviceId: DeviceId): Promise<DeviceRow | undefined>;
  devicesOf(user: UserAddress): Promise<readonly DeviceRow[]>;
  enrolment(
    codeHash: Uint8Array,
  ): Promise<(EnrolmentRow & { readonly usedAt?: Instant; readonly usedBy?: DeviceId }) | undefined>;
  /** Atomic take: one unexpired package per unrevoked device of the user; the last-resort one only when no other is left. Durable before it resolves. */
  claimKeyPackages(user: UserAddress, now: Instant): Promise<readonly ClaimedKeyPackage[]>;
  keyPackageCount(deviceId: DeviceId, now: Instant): Promise<number>;
  conversation(conversationId: ConversationId): Promise<ConversationRow | undefined>;
  conversationIds(): Promise<readonly ConversationId[]>;
  /** Conversations that have a member of another organisation now, or whose hub it is. */
  conversationsWith(domain: Domain): Promise<readonly ConversationId[]>;
  members(conversationId: ConversationId): Promise<readonly MemberRow[]>;
  /** Conversations of a local device, with its cursor. */
  memberships(deviceId: DeviceId): Promise<readonly MemberOf[]>;
  followers(conversationId: ConversationId): Promise<readonly { readonly peer: Domain; readonly seq: number }[]>;
  /** Conversations of which `peer` follows and lacks entries. */
  behind(
    peer: Domain,
  ): Promise<readonly { readonly conversationId: ConversationId; readonly seq: number; readonly headSeq: number }[]>;
  delivered(conversationId: ConversationId): Promise<readonly { readonly user: UserAddress; readonly seq: number }[]>;
  /** Entries after `after` in order, at most `limit` and about `bytesMax` (at least one when any exists). */
  entries(conversationId: ConversationId, after: number, limit: number, bytesMax: number): Promise<readonly EntryRow[]>;
  entryByMessageId(conversationId: ConversationId, messageId: MessageId): Promise<EntryRow | undefined>;
  outbox(peer: Domain, limit: number): Promise<readonly OutboxRow[]>;
  outboxPeers(): Promise<readonly Domain[]>;
  outboxItem(peer: Domain, id: MessageId): Promise<OutboxRow | undefined>;
  trustExchanges(): Promise<readonly TrustExchangeRow[]>;
  trustExchange(exchangeId: string): Promise<TrustExchangeRow | undefined>;
  trustCertificates(): Promise<readonly TrustCertificateRow[]>;
  trustRevocations(): Promise<readonly TrustRevocationRow[]>;
  trustHeard(peer: Domain): Promise<Instant | undefined>;
  /** All of a kind, oldest first; of one partner where it is named. */
  trustRecords(kind: TrustRecordKind, peer?: Domain): Promise<readonly TrustRecordRow[]>;
  trustRecord(kind: TrustRecordKind, key: string): Promise<TrustRecordRow | undefined>;
  /** Counts of `day` and later. */
  trustDecided(day: number): Promise<readonly TrustDecidedRow[]>;
  auditHead(): Promise<{ readonly sequence: number; readonly hash: Uint8Array } | undefined>;
  auditEntries(after: number, limit: number): Promise<readonly AuditRow[]>;
  meta(key: string): Promise<Uint8Array | undefined>;
}
