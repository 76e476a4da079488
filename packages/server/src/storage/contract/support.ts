import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import {
  type ConversationId,
  type DeviceId,
  type Domain,
  type Instant,
  instant,
  type MessageId,
  type UserAddress,
} from '@norc/protocol/base';
import type {
  AuditRow,
  CommitOutcome,
  ConversationRow,
  DeviceRow,
  EntryRow,
  KeyPackageRow,
  MemberRow,
  OutboxRow,
  Store,
  StoreWrite,
} from '../port.ts';

/** One implementation, on data of its own. */
export interface StoreUnderTest {
  readonly store: Store;
  /** Closes the store and opens the same data again: what was committed must be there. */
  reopen(): Promise<Store>;
  /** Closes the store and removes its data. */
  dispose(): Promise<void>;
}

export type OpenStore = () => Promise<StoreUnderTest>;

/** Gives each test the store of its group. Tests share it, so they use fresh ids. */
export type UseStore = () => StoreUnderTest;

export const T0: Instant = instant(1_800_000_000_000);

export function later(milliseconds: number): Instant {
  return instant(T0 + milliseconds);
}

export function freshId<T extends ConversationId | DeviceId | MessageId>(): T {
  return randomBytes(16).toString('hex') as T; // 16 bytes in hexadecimal
}

export function freshUser(): UserAddress {
  return `u${randomBytes(8).toString('hex')}@alpha.example` as UserAddress; // well formed
}

export function freshDomain(): Domain {
  return `d${randomBytes(8).toString('hex')}.example` as Domain; // well formed
}

/** Bytes in the middle of a larger buffer: what a decoder hands over. Storing more than the view is a leak. */
export function viewOf(length: number): Uint8Array {
  return new Uint8Array(randomBytes(length + 64)).subarray(32, 32 + length);
}

export function deviceRow(over: Partial<DeviceRow> = {}): DeviceRow {
  return {
    deviceId: freshId<DeviceId>(),
    user: freshUser(),
    name: 'Häuschen-Laptop',
    publicKey: viewOf(32),
    certificate: viewOf(300),
    issuerCertificate: viewOf(280),
    enrolledAt: T0,
    ...over,
  };
}

export function keyPackage(over: Partial<KeyPackageRow> = {}): KeyPackageRow {
  return { bytes: viewOf(500), ref: viewOf(32), lastResort: false, expiresAt: later(1000), ...over };
}

export function conversationRow(over: Partial<ConversationRow> = {}): ConversationRow {
  return {
    conversationId: freshId<ConversationId>(),
    hub: 'alpha.example' as Domain, // well formed
    label: 'unclassified',
    floor: 'basic',
    createdAt: T0,
    frozen: false,
    epoch: 0,
    epochSeq: 0,
    headSeq: 0,
    headHash: new Uint8Array(32),
    view: viewOf(400),
    ...over,
  };
}

export function memberRow(over: Partial<MemberRow> = {}): MemberRow {
  return { deviceId: freshId<DeviceId>(), user: freshUser(), leafIndex: 0, joinedSeq: 1, local: true, ...over };
}

export function entryRow(seq: number, over: Partial<EntryRow> = {}): EntryRow {
  return {
    seq,
    kind: 'application',
    messageId: freshId<MessageId>(),
    sender: freshId<DeviceId>(),
    senderUser: 'zoë@alpha.example' as UserAddress, // not ASCII, to see the text's bytes counted
    epoch: 0,
    label: 'official_use_only',
    body: viewOf(100),
    welcome: new Uint8Array(),
    welcomeHash: new Uint8Array(),
    hash: viewOf(32),
    storedAt: later(seq),
    ...over,
  };
}

export function outboxRow(over: Partial<OutboxRow> = {}): OutboxRow {
  return {
    id: freshId<MessageId>(),
    peer: freshDomain(),
    priority: 'interactive',
    type: 0x80,
    body: viewOf(200),
    createdAt: T0,
    expiresAt: later(60_000),
    ...over,
  };
}

export function auditRow(sequence: number, previousHash: Uint8Array, over: Partial<AuditRow> = {}): AuditRow {
  return {
    sequence,
    time: later(sequence),
    type: 'device.enrolled',
    previousHash,
    hash: viewOf(32),
    entry: viewOf(120),
    signature: viewOf(64),
    ...over,
  };
}

export function append(
  conversationId: ConversationId,
  expectedHeadSeq: number,
  ...entries: readonly EntryRow[]
): Extract<StoreWrite, { op: 'log.append' }> {
  return { op: 'log.append', conversationId, expectedHeadSeq, entries };
}

/** Creates a conversation with `count` entries. */
export async function conversationWith(
  store: Store,
  count: number,
  members: readonly MemberRow[] = [],
  over: Partial<ConversationRow> = {},
): Promise<ConversationId> {
  const conversation = conversationRow(over);
  const { conversationId, headSeq } = conversation;
  const entries = Array.from({ length: count }, (_, index) => entryRow(headSeq + index + 1));
  const writes: StoreWrite[] = [{ op: 'conversation.create', conversation, members }];
  if (count > 0) writes.push(append(conversationId, headSeq, ...entries));
  committed(await store.commit(writes));
  return conversationId;
}

export function committed(outcome: CommitOutcome): void {
  assert.deepEqual(outcome, { ok: true });
}

export function conflicted(outcome: CommitOutcome, conflict: StoreWrite['op'], index: number): void {
  assert.deepEqual(outcome, { ok: false, conflict, index });
}

/** A value as a store returns it: byte strings compare by content, whatever class or buffer holds them. */
export function plain<T>(value: T): T {
  return strip(value) as T; // same shape
}

function strip(value: unknown): unknown {
  if (value instanceof Uint8Array) return new Uint8Array(value);
  if (Array.isArray(value)) return value.map(strip);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, strip(part)]));
}
