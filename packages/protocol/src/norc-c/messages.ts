import { LIMITS } from '../base/index.ts';
import {
  bool,
  bytes,
  choice,
  commonMessages,
  conversationId,
  type DefinitionsOf,
  defineMessages,
  deviceId,
  domain,
  fixedBytes,
  type Infer,
  labelSchema,
  list,
  logEntrySchema,
  type MessageOf,
  messageId,
  messageRegistry,
  mlsBytes,
  optional,
  struct,
  text,
  uint,
  userAddress,
} from '../wire/index.ts';

/**
 * Bodies of the messages between a device and its home server (spec/norc-c section 1),
 * by the names of spec/registry/message-types.json. Times are milliseconds since 1970.
 */

const document = bytes(LIMITS.documentBytesMax);
const cursor = struct({ conversation: conversationId(), seq: uint() });
const claimedPackage = struct({ user: userAddress(), device_id: deviceId(), key_package: mlsBytes });
const USERS_PER_REQUEST_MAX = 100;
const DEVICES_PER_LIST_MAX = 64;
const TRUST_LEVELS = ['untrusted', 'basic', 'verified', 'classified', 'nato'] as const;

/** Server's first frame: a fresh challenge, and its time so that the device learns its own offset. */
export const authRequest = struct({ challenge: fixedBytes(32), server_time: uint() });

/** Signature over the device proof of spec/handshake section 6. */
export const authResponse = struct({ device_id: deviceId(), timestamp: uint(), signature: fixedBytes(64) });

export const authResult = struct({
  user: userAddress(),
  device_id: deviceId(),
  server_time: uint(),
  /** One-time KeyPackages left on the server. */
  key_stock: uint(),
});

/** Spends a one-time enrolment code. The signature is a registration proof by the new device key (spec/handshake section 6). */
export const deviceRegister = struct({
  user: userAddress(),
  code: fixedBytes(16),
  device_id: deviceId(),
  name: text(LIMITS.deviceNameBytesMax),
  public_key: fixedBytes(32),
  timestamp: uint(),
  signature: fixedBytes(64),
});

/** `already_registered`: the same device repeats a registration whose answer it lost. */
export const deviceRegistered = struct({
  status: choice(['registered', 'already_registered']),
  device_certificate: document,
  issuer_certificate: document,
});

export const deviceRevoke = struct({ device_id: deviceId() });
export const deviceListRequest = struct({});

/** Own devices of the asking user; also pushed when the list changes. */
export const deviceList = struct({
  devices: list(
    struct({ device_id: deviceId(), name: text(LIMITS.deviceNameBytesMax), enrolled_at: uint(), revoked: bool() }),
    DEVICES_PER_LIST_MAX,
  ),
});

/** An MLS PrivateMessage; label, conversation and message id are in its authenticated data. */
export const messageSend = struct({ conversation: conversationId(), body: mlsBytes });

/**
 * `queued`: the home server holds it durably. `sent`: the hub ordered it at `seq`.
 * `refused`: it will not be ordered; `code` says why.
 *
 * With `hash` and `stored_at` of its entry, an acknowledgment of an application
 * message stands for the entry, which is then not pushed to the session that sent it:
 * the device has the rest, and checks the hash (spec/norc-f section 2).
 */
export const messageAck = struct({
  conversation: conversationId(),
  message_id: messageId(),
  state: choice(['queued', 'sent', 'refused']),
  seq: optional(uint()),
  hash: optional(fixedBytes(32)),
  stored_at: optional(uint()),
  code: optional(uint(65535)),
});

export const logEntries = struct({
  conversation: conversationId(),
  hub: domain(),
  label: labelSchema,
  head_seq: uint(),
  entries: list(logEntrySchema, LIMITS.entriesPerFrameMax),
});

/** The device holds everything up to `seq` of each named conversation. No answer. */
export const cursorAck = struct({ cursors: list(cursor, 256) });

/** How far the devices of other participants have come. Pushed. */
export const deliveryUpdate = struct({
  updates: list(struct({ conversation: conversationId(), user: userAddress(), seq: uint() }), 256),
});

/**
 * Starts a conversation: the first commit (which adds everybody), its Welcome, and
 * the GroupInfo after it with the ratchet tree. The creator's server becomes the hub.
 */
export const conversationCreate = struct({
  conversation: conversationId(),
  label: labelSchema,
  message_id: messageId(),
  commit: mlsBytes,
  welcome: mlsBytes,
  group_info: mlsBytes,
});

/**
 * A commit for the current epoch; `group_info` (after the commit) when it adds an
 * organisation's first device. Its fate shows in the log: the entry with this
 * message id, or another commit of the same epoch.
 */
export const commitSubmit = struct({
  conversation: conversationId(),
  message_id: messageId(),
  commit: mlsBytes,
  welcome: optional(mlsBytes),
  group_info: optional(mlsBytes),
});

export const logRequest = struct({ conversation: conversationId(), after: uint() });

/**
 * Nothing goes on in a conversation: trust between the own organisation and `org`, whose hub it is
 * or whom nobody is left to remove, is over. Pushed, also at the start of a session.
 */
export const conversationClosed = struct({
  conversation: conversationId(),
  org: domain(),
  cause: choice(['trust_revoked', 'trust_expired', 'trust_ended']),
});

/** KeyPackages of every device of the named users, to start or widen a conversation. */
export const keyRequest = struct({ users: list(userAddress(), USERS_PER_REQUEST_MAX) });

/** A user in `unavailable` does not exist, has no device, or is none that the requester may know of: one answer. */
export const keyResponse = struct({
  packages: list(claimedPackage, USERS_PER_REQUEST_MAX * 8),
  unavailable: list(userAddress(), USERS_PER_REQUEST_MAX),
});

export const keyPublish = struct({
  packages: list(mlsBytes, LIMITS.keyPackagesPerDeviceMax),
  last_resort: optional(mlsBytes),
});

/** Stock of one-time KeyPackages: the answer to key_publish, and pushed when it runs low. */
export const keyStock = struct({ count: uint() });

/** Of one organisation, for one device. */
const ROTATIONS_MAX = 16;

export const orgRequest = struct({ domain: domain() });

const STATEMENTS_MAX = 32;

/**
 * Both trust certificates of the pair in force, so that the device verifies them and their level itself: `trust_certificate`
 * is the one that its own organisation issued for `domain`, `received_certificate` the other one. About the own
 * organisation: its own ceiling, in `level` and `nato_capable`.
 */
export const orgResponse = struct({
  domain: domain(),
  level: choice(TRUST_LEVELS),
  trust_certificate: optional(document),
  issuer_certificate: optional(document),
  received_certificate: optional(document),
  /** `condition_met` statements about the two. */
  statements: optional(list(document, STATEMENTS_MAX)),
  /** May only say less than the certificates do; false unless there. */
  nato_capable: optional(bool()),
  /** Number of the trust reason, when the level is `untrusted`. */
  reason: optional(uint(255)),
  /** `root_rotation` documents of `domain`, in their order, where it replaced its root key. */
  rotations: optional(list(document, ROTATIONS_MAX)),
  /** The own organisation's `recovery_set`, when a device asks about that one. */
  recovery: optional(document),
});

const NOTICE_BYTES_MAX = 1024;

/** What changed with another organisation, for the people in conversations with it. */
export const trustNotice = struct({
  domain: domain(),
  level: choice(TRUST_LEVELS),
  state: choice(['in_force', 'ended', 'changed', 'stale']),
  /** One sentence in plain English, with the reason that was given. */
  text: text(NOTICE_BYTES_MAX),
  at: uint(),
});

export const timeSync = struct({ server_time: optional(uint()) });

/** A new key exchange inside the session (spec/handshake section 7). */
export const sessionKeyExchange = struct({
  step: choice(['offer', 'accept', 'confirm']),
  nonce: optional(fixedBytes(16)),
  ephemeral_pub: optional(fixedBytes(32)),
  pq_pub: optional(fixedBytes(1184)),
  pq_ciphertext: optional(fixedBytes(1088)),
});

/** Every NORC-C frame body by its type name. */
export const NORC_C_SCHEMAS = {
  auth_request: authRequest,
  auth_response: authResponse,
  auth_result: authResult,
  device_register: deviceRegister,
  device_registered: deviceRegistered,
  device_revoke: deviceRevoke,
  device_list_request: deviceListRequest,
  device_list: deviceList,
  message_send: messageSend,
  message_ack: messageAck,
  log_entries: logEntries,
  cursor_ack: cursorAck,
  delivery_update: deliveryUpdate,
  conversation_create: conversationCreate,
  commit_submit: commitSubmit,
  conversation_closed: conversationClosed,
  log_request: logRequest,
  key_request: keyRequest,
  key_response: keyResponse,
  key_publish: keyPublish,
  key_stock: keyStock,
  org_request: orgRequest,
  org_response: orgResponse,
  trust_notice: trustNotice,
  time_sync: timeSync,
  session_key_exchange: sessionKeyExchange,
} as const;

export type NorcCBody<Name extends keyof typeof NORC_C_SCHEMAS> = Infer<(typeof NORC_C_SCHEMAS)[Name]>;

/** The table that sessions decode by: every NORC-C body, and the common messages. */
export const NORC_C_MESSAGES = messageRegistry([...defineMessages(NORC_C_SCHEMAS), ...commonMessages]);
export type NorcCMessage = MessageOf<DefinitionsOf<typeof NORC_C_SCHEMAS> | (typeof commonMessages)[number]>;
