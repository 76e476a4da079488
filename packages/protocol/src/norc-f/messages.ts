import { LIMITS } from '../base/index.ts';
import {
  bytes,
  choice,
  commonMessages,
  conversationId,
  type DefinitionsOf,
  defineMessages,
  deviceId,
  domain,
  ENTRY_KINDS,
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
  uint,
  userAddress,
} from '../wire/index.ts';

/** Bodies of the messages between two organisations' servers (spec/norc-f section 1). */

const document = bytes(LIMITS.documentBytesMax);
const ACKS_MAX = 256;
const USERS_PER_CLAIM_MAX = 100;

/** The dialer's proof of its server key, its first frame. */
export const federationAuth = struct({ signature: fixedBytes(64) });
export const federationReady = struct({ server_time: uint() });

/** What a member organisation's device wants ordered. `route` names the servers passed, the origin first. */
const submission = struct({
  conversation: conversationId(),
  message_id: messageId(),
  kind: choice(ENTRY_KINDS),
  sender: deviceId(),
  sender_user: userAddress(),
  body: mlsBytes,
  welcome: optional(mlsBytes),
  group_info: optional(mlsBytes),
  route: list(domain(), LIMITS.routeDomainsMax),
});

/** Follower to hub. Answered by submit_result. */
export const messageSubmit = struct({ items: list(submission, LIMITS.entriesPerFrameMax) });

/** `duplicate`: this message id was ordered before, at `seq`. */
export const submitResult = struct({
  items: list(
    struct({
      conversation: conversationId(),
      message_id: messageId(),
      status: choice(['ordered', 'duplicate', 'refused', 'retry']),
      seq: optional(uint()),
      code: optional(uint(65535)),
    }),
    LIMITS.entriesPerFrameMax,
  ),
});

/** Hub to follower: consecutive entries of one log. Answered by relay_ack. */
export const messageRelay = struct({
  conversation: conversationId(),
  route: list(domain(), LIMITS.routeDomainsMax),
  entries: list(logEntrySchema, LIMITS.entriesPerFrameMax),
});

/** The follower holds everything up to `seq` durably; a lower number than sent asks for the entries after it. */
export const relayAck = struct({ conversation: conversationId(), seq: uint() });

/**
 * Hub to a follower that joins: the entry that adds its first device, the hash before
 * it, and the GroupInfo after it. Answered by relay_ack.
 */
export const conversationAnnounce = struct({
  conversation: conversationId(),
  label: labelSchema,
  floor: choice(['basic', 'verified', 'classified', 'nato']),
  route: list(domain(), LIMITS.routeDomainsMax),
  previous_hash: fixedBytes(32),
  entry: logEntrySchema,
  group_info: mlsBytes,
});

/** How far users' devices have come; follower to hub, and hub to the other followers. No answer. */
export const deliveryAck = struct({
  updates: list(struct({ conversation: conversationId(), user: userAddress(), seq: uint() }), ACKS_MAX),
});

export const keyClaim = struct({ requester: userAddress(), users: list(userAddress(), USERS_PER_CLAIM_MAX) });

export const keyClaimResult = struct({
  packages: list(
    struct({ user: userAddress(), device_id: deviceId(), key_package: mlsBytes }),
    USERS_PER_CLAIM_MAX * 8,
  ),
  unavailable: list(userAddress(), USERS_PER_CLAIM_MAX),
});

/** A signed document of NORC-T, in canonical JSON whatever the link's version. */
export const trustDocument = struct({ document });

export const NORC_F_SCHEMAS = {
  federation_auth: federationAuth,
  federation_ready: federationReady,
  message_submit: messageSubmit,
  submit_result: submitResult,
  message_relay: messageRelay,
  relay_ack: relayAck,
  conversation_announce: conversationAnnounce,
  delivery_ack: deliveryAck,
  key_claim: keyClaim,
  key_claim_result: keyClaimResult,
  trust_capabilities: trustDocument,
  trust_request: trustDocument,
  trust_challenge: trustDocument,
  trust_response: trustDocument,
  trust_decision: trustDocument,
  trust_acknowledgment: trustDocument,
  trust_revoke: trustDocument,
  trust_revoke_ack: trustDocument,
  trust_status: trustDocument,
  root_rotation: trustDocument,
} as const;

export type NorcFBody<Name extends keyof typeof NORC_F_SCHEMAS> = Infer<(typeof NORC_F_SCHEMAS)[Name]>;

/** The table that links decode by: every NORC-F body, and the common messages. */
export const NORC_F_MESSAGES = messageRegistry([...defineMessages(NORC_F_SCHEMAS), ...commonMessages]);
export type NorcFMessage = MessageOf<DefinitionsOf<typeof NORC_F_SCHEMAS> | (typeof commonMessages)[number]>;
