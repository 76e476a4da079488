import {
  type ConversationId,
  type DeviceId,
  type Domain,
  type Instant,
  idFromBytes,
  instant,
  type MessageId,
  type UserAddress,
  utf8,
} from '@norc/protocol/base';
import type { ClientWrite } from './port.ts';
import type { ConversationDetails, DeviceRow, GroupRow, KeyPackageRow, MessageRow, OutgoingRow } from './rows.ts';

/** Example rows for the contract suite. Numbers make them differ; the same number gives equal rows. */

export const ANNA = 'anna@alpha.example' as UserAddress; // a well-formed address
export const BRUNO = 'bruno@bravo.example' as UserAddress; // a well-formed address
const ALPHA = 'alpha.example' as Domain; // a well-formed domain

const id = (n: number, tag: number) => Uint8Array.from({ length: 16 }, (_, i) => (i === 0 ? tag : i === 15 ? n : 0));

export const at = (n: number): Instant => instant(1_790_000_000_000 + n);
export const hash = (n: number): Uint8Array => new Uint8Array(32).fill(n);
export const messageId = (n: number): MessageId => idFromBytes(id(n, 0xaa));
export const deviceId = (n: number): DeviceId => idFromBytes(id(n, 0xdd));
export const CONVERSATION: ConversationId = idFromBytes(id(1, 0xcc));

export function device(): DeviceRow {
  return {
    deviceId: deviceId(1),
    user: ANNA,
    domain: ALPHA,
    name: 'Anna’s laptop',
    server: { host: 'norc.alpha.example', port: 8843, tls: true },
    orgRootKey: hash(1),
    publicKey: hash(2),
    privateKey: hash(3),
    registration: { deviceCertificate: utf8('{"a":1}'), issuerCertificate: utf8('{"b":2}'), registeredAt: at(0) },
  };
}

export function keyPackage(n: number): KeyPackageRow {
  return {
    ref: hash(n),
    lastResort: false,
    published: false,
    createdAt: at(n),
    expiresAt: at(1000 + n),
    publicPackage: Uint8Array.of(n, 1),
    privatePackage: Uint8Array.of(n, 2),
  };
}

export function group(epoch: number): GroupRow {
  return { conversationId: CONVERSATION, epoch, state: new Uint8Array(1000).fill(epoch) };
}

export function conversation(): ConversationDetails {
  return {
    conversationId: CONVERSATION,
    kind: 'group',
    title: 'Joint logistics',
    participants: [ANNA, BRUNO],
    hub: ALPHA,
    label: 'unclassified',
    level: 'basic',
    createdAt: at(0),
    standing: 'open',
  };
}

/** By Anna's device, at log place `n`. */
export function message(n: number): MessageRow {
  return {
    conversationId: CONVERSATION,
    sender: deviceId(1),
    messageId: messageId(n),
    user: ANNA,
    seq: n,
    sentAt: at(n),
    body: { type: 'content', content: utf8(`convoy ${n} moved`) },
  };
}

/** Not ordered yet. */
export function ownMessage(n: number): MessageRow {
  const { seq: _seq, ...row } = message(n);
  return { ...row, state: { state: 'sending' } };
}

export function outgoing(n: number): OutgoingRow {
  return {
    id: messageId(n),
    conversationId: CONVERSATION,
    intent: { type: 'message', content: utf8(`convoy ${n} moved`) },
    createdAt: at(n),
    attempts: 0,
  };
}

/** At least one row of every kind, with every optional part. */
export function fullWrites(): readonly ClientWrite[] {
  const pending = { messageId: messageId(5), epoch: 2, state: Uint8Array.of(5) };
  const failed = { state: 'failed', problem: { cause: 'trust.revoked', org: 'bravo.example', at: at(1) } } as const;
  return [
    { op: 'device.put', device: device() },
    { op: 'server.version', server: 'alpha.example:8843', version: { major: 2, minor: 0 } },
    { op: 'keyPackages.add', packages: [keyPackage(1), { ...keyPackage(2), lastResort: true, usedAt: at(7) }] },
    { op: 'group.put', group: { ...group(1), pending } },
    { op: 'conversation.put', conversation: conversation() },
    { op: 'cursor.advance', conversationId: CONVERSATION, expectedSeq: 0, seq: 3, hash: hash(3) },
    { op: 'readMarker.advance', conversationId: CONVERSATION, seq: 2 },
    { op: 'mark.advance', conversationId: CONVERSATION, mark: { user: BRUNO, mark: 'delivered', seq: 2 } },
    { op: 'message.add', message: message(1) },
    { op: 'message.add', message: { ...message(2), body: { type: 'problem', problem: { cause: 'key.tampered' } } } },
    {
      op: 'message.add',
      message: { ...message(3), body: { type: 'notices', notices: [{ notice: 'created', by: ANNA }] } },
    },
    { op: 'message.add', message: { ...message(4), target: messageId(1) } },
    { op: 'message.add', message: { ...ownMessage(5), state: failed } },
    { op: 'outgoing.put', item: { ...outgoing(5), sealed: { epoch: 1, bytes: Uint8Array.of(1) } } },
    { op: 'outgoing.put', item: { ...outgoing(6), intent: { type: 'add', users: [BRUNO] } } },
    { op: 'meta.put', key: 'org:bravo.example', value: Uint8Array.of(1, 2, 3) },
  ];
}
