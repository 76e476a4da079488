import { type VectorFile, writeWhenRun } from './files.ts';
import {
  type BadBody,
  filled,
  invalidBodies,
  type MessageSample,
  spoiledBodies,
  uncanonical,
  validBodies,
} from './norc/bodies.ts';
import {
  ALPHA,
  ANNA,
  BEN,
  BRAVO,
  COMMIT,
  COMMIT_ENTRY,
  CONVERSATION,
  DEVICE,
  DOCUMENT,
  ENTRY,
  GROUP_INFO,
  KEY_PACKAGE,
  MESSAGE,
  MESSAGE_ID,
  OTHER_DEVICE,
  TIME,
  WELCOME,
} from './norc/samples.ts';

/** Test vectors for spec/norc-c: every message body in both encodings. */

const signature = filled(64, 0x51);
const ack = { conversation: CONVERSATION, message_id: MESSAGE_ID, state: 'sent' };
const commit = { conversation: CONVERSATION, message_id: MESSAGE_ID, commit: COMMIT };
const device = { device_id: DEVICE, name: 'Anna’s phone', enrolled_at: TIME, revoked: false };
const claimed = { user: BEN, device_id: OTHER_DEVICE, key_package: KEY_PACKAGE };

const samples: readonly MessageSample[] = [
  { type: 'auth_request', full: { challenge: filled(32, 0xca), server_time: TIME } },
  { type: 'auth_response', full: { device_id: DEVICE, timestamp: TIME, signature } },
  { type: 'auth_result', full: { user: ANNA, device_id: DEVICE, server_time: TIME, key_stock: 100 } },
  {
    type: 'device_register',
    full: {
      ...{ user: ANNA, code: filled(16, 0x0c), device_id: DEVICE, name: 'Anna’s phone' },
      ...{ public_key: filled(32, 0x4b), timestamp: TIME, signature },
    },
  },
  {
    type: 'device_registered',
    full: { status: 'already_registered', device_certificate: DOCUMENT, issuer_certificate: DOCUMENT },
  },
  { type: 'device_revoke', full: { device_id: OTHER_DEVICE } },
  { type: 'device_list_request', full: {} },
  { type: 'device_list', full: { devices: [device, { ...device, device_id: OTHER_DEVICE, revoked: true }] } },
  { type: 'message_send', full: { conversation: CONVERSATION, body: MESSAGE } },
  {
    type: 'message_ack',
    full: { ...ack, seq: 7, hash: filled(32, 0xe1), stored_at: TIME, code: 3019 },
    least: ack,
  },
  {
    type: 'log_entries',
    full: {
      ...{ conversation: CONVERSATION, hub: ALPHA, label: 'unclassified', head_seq: 8 },
      entries: [ENTRY, { ...COMMIT_ENTRY, seq: 8 }],
    },
  },
  { type: 'cursor_ack', full: { cursors: [{ conversation: CONVERSATION, seq: 8 }] } },
  { type: 'delivery_update', full: { updates: [{ conversation: CONVERSATION, user: BEN, seq: 8 }] } },
  {
    type: 'conversation_create',
    full: { ...commit, label: 'official_use_only', welcome: WELCOME, group_info: GROUP_INFO },
  },
  { type: 'commit_submit', full: { ...commit, welcome: WELCOME, group_info: GROUP_INFO }, least: commit },
  { type: 'conversation_closed', full: { conversation: CONVERSATION, org: BRAVO, cause: 'trust_revoked' } },
  { type: 'log_request', full: { conversation: CONVERSATION, after: 0 } },
  { type: 'key_request', full: { users: [BEN] } },
  { type: 'key_response', full: { packages: [claimed], unavailable: ['nobody@bravo.example'] } },
  {
    type: 'key_publish',
    full: { packages: [KEY_PACKAGE, KEY_PACKAGE], last_resort: KEY_PACKAGE },
    least: { packages: [] },
  },
  { type: 'key_stock', full: { count: 24 } },
  { type: 'org_request', full: { domain: BRAVO } },
  {
    type: 'org_response',
    full: {
      ...{ domain: BRAVO, level: 'basic', trust_certificate: DOCUMENT, issuer_certificate: DOCUMENT },
      ...{ received_certificate: DOCUMENT, statements: [DOCUMENT], nato_capable: true, reason: 8 },
      ...{ rotations: [DOCUMENT], recovery: DOCUMENT },
    },
    least: { domain: BRAVO, level: 'untrusted' },
  },
  {
    type: 'trust_notice',
    full: {
      ...{ domain: BRAVO, level: 'untrusted', state: 'ended', at: TIME },
      text: 'Trust with bravo.example ended: the contract ended',
    },
  },
  { type: 'time_sync', full: { server_time: TIME }, least: {} },
  {
    type: 'session_key_exchange',
    full: {
      ...{ step: 'offer', nonce: filled(16, 1), ephemeral_pub: filled(32, 2) },
      ...{ pq_pub: filled(1184, 3), pq_ciphertext: filled(1088, 4) },
    },
    least: { step: 'confirm' },
  },
];

const many = <T>(length: number, item: T): readonly T[] => new Array<T>(length).fill(item);
const cursor = { conversation: CONVERSATION, seq: 1 };
const listed = { conversation: CONVERSATION, hub: ALPHA, label: 'unclassified', head_seq: 99 };

const bad: readonly BadBody[] = [
  { name: '257 cursors', type: 'cursor_ack', error: 'limit_exceeded', body: { cursors: many(257, cursor) } },
  { name: '65 entries', type: 'log_entries', error: 'limit_exceeded', body: { ...listed, entries: many(65, ENTRY) } },
  { name: '101 users', type: 'key_request', error: 'limit_exceeded', body: { users: many(101, BEN) } },
  {
    ...{ name: 'an error code above 65535', type: 'message_ack', error: 'limit_exceeded' },
    body: { ...ack, code: 65536 },
  },
  { name: 'a state that is none', type: 'message_ack', error: 'wrong_type', body: { ...ack, state: 'lost' } },
  {
    name: 'a label that is none',
    type: 'log_entries',
    error: 'wrong_type',
    body: { ...listed, label: 'x', entries: [] },
  },
  {
    ...{ name: 'a user in upper case', type: 'key_request', error: 'wrong_type' },
    body: { users: ['Ben@bravo.example'] },
  },
  { name: 'an id of 15 bytes', type: 'device_revoke', error: 'wrong_type', body: { device_id: filled(15, 1) } },
  {
    ...{ name: 'a challenge of 31 bytes', type: 'auth_request', error: 'wrong_type' },
    body: { challenge: filled(31, 1), server_time: TIME },
  },
  {
    ...{ name: 'an entry without its hash', type: 'log_entries', error: 'missing_field' },
    body: { ...listed, entries: [Object.fromEntries(Object.entries(ENTRY).filter(([name]) => name !== 'hash'))] },
  },
];

const invalid = invalidBodies([...spoiledBodies(samples), ...bad]);

export const norcCVectors: readonly VectorFile[] = [
  validBodies([...samples, { type: 'message_ack', full: { ...ack, seq: 7 } }]),
  { ...invalid, cases: [...invalid.cases, ...uncanonical('message_ack', { ...ack, seq: 7 })] },
];

writeWhenRun(import.meta, 'norc-c', norcCVectors);
