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
import { logVectors } from './norc/log.ts';
import { receiptVectors } from './norc/receipts.ts';
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

/** Test vectors for spec/norc-f: every message body in both encodings, the log's hashes, routes. */

const submission = {
  ...{ conversation: CONVERSATION, message_id: MESSAGE_ID, kind: 'application', sender: OTHER_DEVICE },
  ...{ sender_user: BEN, body: MESSAGE, route: [BRAVO] },
};
const commit = { ...submission, kind: 'commit', body: COMMIT, welcome: WELCOME, group_info: GROUP_INFO };
const result = { conversation: CONVERSATION, message_id: MESSAGE_ID, status: 'retry' };
const trustTypes = [
  ...(['trust_capabilities', 'trust_request', 'trust_challenge', 'trust_response', 'trust_decision'] as const),
  ...(['trust_acknowledgment', 'trust_revoke', 'trust_revoke_ack', 'trust_status', 'root_rotation'] as const),
];

const samples: readonly MessageSample[] = [
  { type: 'federation_auth', full: { signature: filled(64, 0x51) } },
  { type: 'federation_ready', full: { server_time: TIME } },
  { type: 'message_submit', full: { items: [submission, commit] } },
  { type: 'submit_result', full: { items: [{ ...result, status: 'ordered', seq: 7, code: 3018 }, result] } },
  {
    type: 'message_relay',
    full: { conversation: CONVERSATION, route: [ALPHA], entries: [ENTRY, { ...COMMIT_ENTRY, seq: 8 }] },
  },
  { type: 'relay_ack', full: { conversation: CONVERSATION, seq: 8 } },
  {
    type: 'conversation_announce',
    full: {
      ...{ conversation: CONVERSATION, label: 'unclassified', floor: 'basic', route: [ALPHA] },
      ...{ previous_hash: filled(32, 0xe2), entry: COMMIT_ENTRY, group_info: GROUP_INFO },
    },
  },
  { type: 'delivery_ack', full: { updates: [{ conversation: CONVERSATION, user: BEN, seq: 7 }] } },
  { type: 'key_claim', full: { requester: ANNA, users: [BEN] } },
  {
    type: 'key_claim_result',
    full: {
      packages: [{ user: BEN, device_id: DEVICE, key_package: KEY_PACKAGE }],
      unavailable: ['nobody@bravo.example'],
    },
  },
  ...trustTypes.map((type): MessageSample => ({ type, full: { document: DOCUMENT } })),
];

const bad: readonly BadBody[] = [
  {
    ...{ name: 'a route of five servers', type: 'message_submit', error: 'limit_exceeded' },
    body: { items: [{ ...submission, route: ['a', 'b', 'c', 'd', 'e'] }] },
  },
  {
    ...{ name: 'a kind that is none', type: 'message_submit', error: 'wrong_type' },
    body: { items: [{ ...submission, kind: 'rumour' }] },
  },
  {
    ...{ name: '65 submissions', type: 'message_submit', error: 'limit_exceeded' },
    body: { items: new Array<typeof submission>(65).fill(submission) },
  },
];

const invalid = invalidBodies([...spoiledBodies(samples), ...bad]);

const routes: readonly VectorFile[] = [
  {
    outcome: 'valid',
    kind: 'route',
    about:
      'A route that `self` accepts over its link to `peer`; its origin; the route under which it sends on to `next`.',
    cases: [
      { name: 'from its origin', route: [ALPHA], peer: ALPHA, self: BRAVO, origin: ALPHA, next: 'c.example' },
      {
        name: 'passed on twice',
        route: [ALPHA, 'c.example', 'd.example'],
        ...{ peer: 'd.example', self: BRAVO, origin: ALPHA, next: 'e.example' },
      },
    ],
  },
  {
    outcome: 'invalid',
    kind: 'route',
    about: 'A route that `self` refuses over its link to `peer`.',
    cases: [
      { name: 'empty', route: [], peer: ALPHA, self: BRAVO, error: 'malformed' },
      { name: 'the peer is not its last', route: [ALPHA], peer: 'c.example', self: BRAVO, error: 'malformed' },
      { name: 'a server twice', route: [ALPHA, 'c.example', ALPHA], peer: ALPHA, self: BRAVO, error: 'loop' },
      { name: 'this server was passed', route: [BRAVO, ALPHA], peer: ALPHA, self: BRAVO, error: 'loop' },
      {
        name: 'five servers',
        route: [ALPHA, 'c.example', 'd.example', 'e.example', 'f.example'],
        ...{ peer: 'f.example', self: BRAVO, error: 'ttl_expired' },
      },
    ],
  },
];

export const norcFVectors: readonly VectorFile[] = [
  validBodies(samples),
  { ...invalid, cases: [...invalid.cases, ...uncanonical('relay_ack', { conversation: CONVERSATION, seq: 8 })] },
  ...logVectors,
  ...routes,
  ...receiptVectors,
];

writeWhenRun(import.meta, 'norc-f', norcFVectors);
