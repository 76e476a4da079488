// Generated from spec/registry by `npm run generate`. Do not edit.

export const ERRORS = {
  auth_required: { code: 1001, retryable: false, meaning: 'The session is not authenticated for this request.' },
  auth_failed: { code: 1002, retryable: false, meaning: 'The device is unknown, revoked, or its signature does not match. The three are one answer.' },
  clock_skew: { code: 1003, retryable: true, meaning: 'The timestamp is more than 5 seconds from the server\'s time.' },
  enrolment_invalid: { code: 1006, retryable: false, meaning: 'The enrolment code is wrong, used or expired.' },
  certificate_invalid: { code: 1007, retryable: false, meaning: 'A certificate does not chain to the pinned organisation root key, or is not for this use.' },
  certificate_expired: { code: 1008, retryable: false, meaning: 'A certificate is outside its dates.' },
  forbidden: { code: 2001, retryable: false, meaning: 'The requester may not do this, or the object does not exist for it.' },
  label_not_allowed: { code: 2002, retryable: false, meaning: 'The label is above what the trust level carries, or differs from the conversation\'s.' },
  below_floor: { code: 2003, retryable: false, meaning: 'An organisation is below the conversation\'s trust floor.' },
  conversation_frozen: { code: 2004, retryable: true, meaning: 'The conversation is frozen until a removal is committed.' },
  approval_required: { code: 2005, retryable: false, meaning: 'Officers have to approve this with their own signatures first.' },
  approval_expired: { code: 2006, retryable: false, meaning: 'An officer\'s approval is too old, or what it approved has changed since.' },
  malformed: { code: 3001, retryable: false, meaning: 'The bytes are not a message of this format.' },
  unsupported_type: { code: 3002, retryable: false, meaning: 'The message type is not known; the session goes on.' },
  unexpected_message: { code: 3003, retryable: false, meaning: 'The message is not allowed in this state.' },
  version_span: { code: 3004, retryable: false, meaning: 'The version list spans more than two adjacent majors.' },
  no_compatible_version: { code: 3005, retryable: false, meaning: 'The two version lists have nothing in common.' },
  hybrid_required: { code: 3006, retryable: false, meaning: 'This session has no hybrid key exchange and may only register a device.' },
  frame_too_large: { code: 3007, retryable: false, meaning: 'A frame or body is over its limit.' },
  downgrade_refused: { code: 3008, retryable: false, meaning: 'The peer offers a lower major version than was seen from it before.' },
  suite_downgrade: { code: 3009, retryable: false, meaning: 'The chosen suite is not the highest that both sides offered.' },
  not_canonical: { code: 3010, retryable: false, meaning: 'The encoding is not the canonical form.' },
  duplicate_key: { code: 3011, retryable: false, meaning: 'A map holds a key twice.' },
  trailing_bytes: { code: 3012, retryable: false, meaning: 'Bytes follow the end of the message.' },
  limit_exceeded: { code: 3013, retryable: false, meaning: 'A string, list, number or depth is over its limit.' },
  missing_field: { code: 3014, retryable: false, meaning: 'A required field is absent.' },
  wrong_type: { code: 3015, retryable: false, meaning: 'A field has another type or length than the schema says.' },
  truncated: { code: 3016, retryable: false, meaning: 'The bytes end before the message does.' },
  no_compatible_suite: { code: 3017, retryable: false, meaning: 'The two suite lists have nothing in common.' },
  epoch_conflict: { code: 3018, retryable: true, meaning: 'Another commit won this epoch; process it, rebuild and retry.' },
  epoch_stale: { code: 3019, retryable: true, meaning: 'The message was sealed for an epoch that is no longer accepted; seal it again.' },
  rekey_required: { code: 3020, retryable: true, meaning: 'The session or the epoch has used up its keys; rekey first.' },
  log_gap: { code: 3021, retryable: true, meaning: 'Log entries are missing before this one.' },
  log_fork: { code: 3022, retryable: false, meaning: 'A log entry does not extend the log that this side holds.' },
  crypto: { code: 4001, retryable: false, meaning: 'A cryptographic step of the handshake failed.' },
  signature_invalid: { code: 4002, retryable: false, meaning: 'A signature does not verify.' },
  frame_rejected: { code: 4003, retryable: false, meaning: 'A frame was not authentic, not in order or not fresh. The sender is not told which.' },
  transcript_mismatch: { code: 4004, retryable: false, meaning: 'The two sides do not agree on the transcript.' },
  commit_invalid: { code: 4005, retryable: false, meaning: 'An MLS commit or proposal is not well formed, not by a member, or against policy.' },
  credential_invalid: { code: 4006, retryable: false, meaning: 'An MLS credential does not chain to the pinned organisation root key.' },
  message_rejected: { code: 4007, retryable: false, meaning: 'An MLS application message is not authentic, was seen before, or its key is gone.' },
  not_trusted: { code: 5001, retryable: false, meaning: 'No trust certificate is in force between the two organisations.' },
  trust_expired: { code: 5002, retryable: false, meaning: 'The trust certificate is outside its dates.' },
  trust_revoked: { code: 5003, retryable: false, meaning: 'The trust certificate was revoked.' },
  insufficient_trust: { code: 5004, retryable: false, meaning: 'The trust level or its permissions do not allow this.' },
  trust_stale: { code: 5005, retryable: true, meaning: 'Trust data is older than the policy allows; it waits.' },
  evidence_rejected: { code: 5006, retryable: false, meaning: 'Evidence for a trust request did not verify.' },
  exchange_expired: { code: 5007, retryable: false, meaning: 'The trust exchange, or its challenge, is past its time; start a new one.' },
  trust_declined: { code: 5008, retryable: false, meaning: 'The other organisation declined the trust request.' },
  revocation_gap: { code: 5009, retryable: true, meaning: 'Revocations of this issuer are missing before this one.' },
  revocation_fork: { code: 5010, retryable: false, meaning: 'A revocation does not extend the issuer\'s chain that this side holds.' },
  rotation_gap: { code: 5011, retryable: true, meaning: 'Root key rotations before this one are missing.' },
  rotation_fork: { code: 5012, retryable: false, meaning: 'A root key rotation, or a recovery set, is another one than the one of its number that this side holds.' },
  no_route: { code: 5201, retryable: true, meaning: 'The other organisation\'s server cannot be reached.' },
  ttl_expired: { code: 5202, retryable: false, meaning: 'The hop count or the message\'s time ran out.' },
  loop: { code: 5203, retryable: false, meaning: 'The route names a server twice.' },
  user_not_found: { code: 5204, retryable: false, meaning: 'No such user, or none that the requester may know of.' },
  rate: { code: 5401, retryable: true, meaning: 'The organisation is over its rate.' },
  too_large: { code: 5602, retryable: false, meaning: 'The entry is over the trust certificate\'s size limit.' },
  rate_limited: { code: 6001, retryable: true, meaning: 'The device is over its rate; retry_after says when.' },
  queue_full: { code: 6002, retryable: true, meaning: 'A bounded queue is full.' },
  too_many_connections: { code: 6003, retryable: true, meaning: 'The server has as many connections as it allows.' },
  internal: { code: 9001, retryable: true, meaning: 'The server failed; the reference finds the story in its log.' },
  storage_full: { code: 9002, retryable: true, meaning: 'The server cannot store; nothing was accepted.' },
  shutting_down: { code: 9003, retryable: true, meaning: 'The server is draining; connect again.' },
} as const;

export type ErrorName = keyof typeof ERRORS;

export const MESSAGE_TYPES = {
  client_hello: 0x00,
  server_hello: 0x01,
  device_register: 0x02,
  auth_request: 0x03,
  auth_response: 0x04,
  device_revoke: 0x05,
  device_registered: 0x06,
  auth_result: 0x07,
  device_list_request: 0x08,
  device_list: 0x09,
  message_send: 0x10,
  message_ack: 0x11,
  log_entries: 0x12,
  cursor_ack: 0x13,
  delivery_update: 0x14,
  conversation_create: 0x15,
  commit_submit: 0x16,
  conversation_closed: 0x17,
  log_request: 0x18,
  presence_update: 0x20,
  key_request: 0x30,
  key_response: 0x31,
  session_key_exchange: 0x32,
  time_sync: 0x33,
  key_publish: 0x34,
  key_stock: 0x35,
  org_request: 0x36,
  org_response: 0x37,
  trust_notice: 0x38,
  file_manifest: 0x40,
  federation_hello: 0x70,
  federation_hello_response: 0x71,
  federation_auth: 0x72,
  federation_ready: 0x73,
  message_relay: 0x80,
  delivery_ack: 0x81,
  message_submit: 0x82,
  submit_result: 0x83,
  relay_ack: 0x84,
  conversation_announce: 0x85,
  key_claim: 0x88,
  key_claim_result: 0x89,
  server_discovery: 0x90,
  server_info: 0x91,
  trust_capabilities: 0x9f,
  trust_request: 0xa0,
  trust_challenge: 0xa1,
  trust_response: 0xa2,
  trust_revoke: 0xa3,
  trust_decision: 0xa4,
  trust_acknowledgment: 0xa5,
  trust_revoke_ack: 0xa6,
  trust_status: 0xa7,
  root_rotation: 0xa8,
  ping: 0xf0,
  pong: 0xf1,
  error: 0xff,
} as const;

export type MessageTypeName = keyof typeof MESSAGE_TYPES;

export const LEVELS = {
  untrusted: { name: 'untrusted', rank: 0 },
  basic: { name: 'basic', rank: 1, lifeDaysMax: 365, deviceLifeDaysMax: 365, revocationSecondsMax: 120, epochMessagesMax: 500, epochsRetained: 4, forwardRatchetMax: 1000 },
  verified: { name: 'verified', rank: 2, scoreMin: 70, lifeDaysMax: 180, deviceLifeDaysMax: 270, revocationSecondsMax: 90, epochMessagesMax: 200, epochsRetained: 2, forwardRatchetMax: 500 },
  classified: { name: 'classified', rank: 3, scoreMin: 85, lifeDaysMax: 90, deviceLifeDaysMax: 90, revocationSecondsMax: 60, epochMessagesMax: 1, epochsRetained: 1, forwardRatchetMax: 32 },
  nato: { name: 'nato', rank: 4, scoreMin: 85, lifeDaysMax: 90, deviceLifeDaysMax: 60, revocationSecondsMax: 60, epochMessagesMax: 1, epochsRetained: 1, forwardRatchetMax: 32 },
} as const;

export type TrustLevel = keyof typeof LEVELS;

export const LABELS = {
  unclassified: { name: 'unclassified', level: 'basic', order: 0, nato: false },
  official_use_only: { name: 'official_use_only', level: 'basic', order: 1, nato: false },
  nato_restricted: { name: 'nato_restricted', level: 'verified', order: 2, nato: true },
  confidential: { name: 'confidential', level: 'verified', order: 3, nato: false },
  nato_confidential: { name: 'nato_confidential', level: 'classified', order: 4, nato: true },
  secret: { name: 'secret', level: 'classified', order: 5, nato: false },
  nato_secret: { name: 'nato_secret', level: 'nato', order: 6, nato: true },
  top_secret: { name: 'top_secret', level: 'nato', order: 7, nato: false },
} as const;

export type Label = keyof typeof LABELS;

export const PERMISSIONS = ['message_relay', 'user_discovery', 'presence', 'file_transfer', 'voice_calls', 'media_relay', 'archive_sync'] as const;
export type Permission = (typeof PERMISSIONS)[number];

export const EVIDENCE = {
  domain_proof: { name: 'domain_proof', basic: 'required', verified: 'required', classified: 'required', nato: 'required' },
  key_proof: { name: 'key_proof', basic: 'required', verified: 'required', classified: 'required', nato: 'required' },
  organisation_identity: { name: 'organisation_identity', basic: 'none', verified: 'required', classified: 'required', nato: 'required' },
  pki_chain: { name: 'pki_chain', basic: 'none', verified: 'none', classified: 'required', nato: 'required' },
  device_attestation: { name: 'device_attestation', basic: 'none', verified: 'optional', classified: 'required', nato: 'required' },
  officer_approval: { name: 'officer_approval', basic: 'none', verified: 'none', classified: 'required', nato: 'required' },
  post_quantum_signature: { name: 'post_quantum_signature', basic: 'none', verified: 'none', classified: 'optional', nato: 'required' },
  recommendation: { name: 'recommendation', basic: 'optional', verified: 'optional', classified: 'optional', nato: 'optional' },
  compliance: { name: 'compliance', basic: 'optional', verified: 'optional', classified: 'optional', nato: 'optional' },
} as const;

export type EvidenceKind = keyof typeof EVIDENCE;

export const TRUST_REASONS = {
  blocked: { number: 1, name: 'blocked', code: 'not_trusted', meaning: 'The policy blocks this organisation.' },
  forked: { number: 15, name: 'forked', code: 'not_trusted', meaning: 'The other organisation signed two different histories of its revocations.' },
  none_given: { number: 2, name: 'none_given', code: 'not_trusted', meaning: 'This organisation gave the other no trust certificate.' },
  none_received: { number: 3, name: 'none_received', code: 'not_trusted', meaning: 'The other organisation gave this one no trust certificate.' },
  revoked: { number: 4, name: 'revoked', code: 'trust_revoked', meaning: 'The newest certificate of one direction was revoked by its issuer.' },
  condition_failed: { number: 5, name: 'condition_failed', code: 'trust_revoked', meaning: 'A condition of the newest certificate of one direction passed its deadline unmet, and revokes.' },
  expired: { number: 6, name: 'expired', code: 'trust_expired', meaning: 'The newest certificate of one direction, or a server certificate behind it, has ended.' },
  not_yet_valid: { number: 7, name: 'not_yet_valid', code: 'trust_expired', meaning: 'The newest certificate of one direction has not begun.' },
  suspended: { number: 8, name: 'suspended', code: 'trust_revoked', meaning: 'The newest certificate of one direction is suspended by its issuer.' },
  keys_differ: { number: 9, name: 'keys_differ', code: 'not_trusted', meaning: 'The two directions name different root keys.' },
  stale: { number: 10, name: 'stale', code: 'trust_stale', meaning: 'The other organisation has not confirmed its revocations for longer than the policy allows.' },
  permission: { number: 11, name: 'permission', code: 'insufficient_trust', meaning: 'The certificate does not grant this permission.' },
  label: { number: 12, name: 'label', code: 'label_not_allowed', meaning: 'The label needs a higher level than the lower of the two directions.' },
  nato: { number: 13, name: 'nato', code: 'label_not_allowed', meaning: 'The label needs both organisations to hold nato-capable certificates.' },
  size: { number: 14, name: 'size', code: 'too_large', meaning: 'The entry is over the certificate\'s size limit.' },
} as const;

export type TrustReason = keyof typeof TRUST_REASONS;

/** What the audit log records. */
export const AUDIT_TYPES = [
  'log_started',
  'server_started',
  'server_stopped',
  'server_key_changed',
  'config_changed',
  'policy_changed',
  'admin_action',
  'user_added',
  'user_removed',
  'enrolment_created',
  'enrolment_refused',
  'device_registered',
  'device_refused',
  'device_revoked',
  'key_packages_claimed',
  'trust_requested',
  'trust_request_received',
  'trust_evidence_checked',
  'trust_approved',
  'trust_declined',
  'trust_exchange_failed',
  'trust_established',
  'trust_renewed',
  'trust_expired',
  'trust_condition_acted',
  'revocation_issued',
  'revocation_received',
  'revocation_acknowledged',
  'revocation_rejected',
  'trust_stale',
  'revocation_enforced',
  'trust_notice',
  'officer_added',
  'officer_revoked',
  'approval_given',
  'approval_refused',
  'proposal_opened',
  'proposal_closed',
  'root_rotated',
  'link_opened',
  'link_closed',
  'link_refused',
  'downgrade_refused',
  'protocol_violation',
  'relay_refused',
  'lookup_refused',
  'routing_summary',
  'conversation_created',
  'conversation_frozen',
  'member_removed',
  'clock_adjusted',
  'storage_fault',
] as const;
export type AuditType = (typeof AUDIT_TYPES)[number];

export const SUITES = {
  hybrid_chacha20_blake3: { id: 257, name: 'hybrid_chacha20_blake3', signature: 'ed25519', kem: 'x25519+ml-kem-768', aead: 'chacha20-poly1305', hash: 'blake3', status: 'active' },
  hybrid_aes256_sha256: { id: 258, name: 'hybrid_aes256_sha256', signature: 'ed25519', kem: 'x25519+ml-kem-768', aead: 'aes-256-gcm', hash: 'sha256', status: 'active' },
  classical_chacha20_blake3: { id: 1, name: 'classical_chacha20_blake3', signature: 'ed25519', kem: 'x25519', aead: 'chacha20-poly1305', hash: 'blake3', status: 'registration_only' },
  classical_p256_aes256: { id: 2, name: 'classical_p256_aes256', signature: 'ecdsa-p256', kem: 'x25519', aead: 'aes-256-gcm', hash: 'sha256', status: 'reserved' },
} as const;

export type SuiteName = keyof typeof SUITES;

export const LIMITS = {
  /** An interactive message body before padding. */
  bodyBytesMax: 4194304,
  /** A whole frame: header, padded body of at most bodyBytesMax + 64 KiB, tag. */
  frameBytesMax: 4260864,
  /** A hello, as text. */
  helloBytesMax: 16384,
  /** Maps and lists inside one another in a body. */
  nestingDepthMax: 16,
  /** Versions in one list. */
  versionsMax: 16,
  /** Suites in one list. */
  suitesMax: 16,
  /** Capabilities in one list. */
  capabilitiesMax: 64,
  /** Frames in one direction before a new key exchange; with 10 % jitter. */
  rekeyFramesMax: 10000,
  /** Age of session keys before a new key exchange; with 10 % jitter. */
  rekeyMillisecondsMax: 3600000,
  /** Distance of an authentication timestamp from the server's time. */
  authSkewMillisecondsMax: 5000,
  /** From the connection to the end of authentication. */
  handshakeMillisecondsMax: 10000,
  /** One-time KeyPackages that a server keeps for a device. */
  keyPackagesPerDeviceMax: 200,
  /** One-time KeyPackages that a device keeps on its server. */
  keyPackagesPerDevice: 100,
  /** Stock below which a device tops up. */
  keyPackagesLow: 25,
  /** Lifetime of a KeyPackage. */
  keyPackageDaysMax: 30,
  /** Users in one conversation. */
  participantsMax: 1000,
  /** Log entries in one frame. */
  entriesPerFrameMax: 64,
  /** Log entries sent to a device session before it acknowledges. */
  unackedEntriesMax: 512,
  /** The part of unackedEntriesMax that one conversation may hold. */
  unackedEntriesPerConversationMax: 256,
  /** Ceiling of the first wait before a retry. */
  retryDelayMillisecondsMin: 250,
  /** Ceiling of every later wait before a retry. */
  retryDelayMillisecondsMax: 30000,
  /** Failures in a row before requests to a peer fail at once. */
  breakerFailuresMax: 3,
  /** How long a relayed message id is remembered at least. */
  relayCacheMillisecondsMin: 600000,
  /** How long a relayed message id is remembered at most. */
  relayCacheMillisecondsMax: 86400000,
  /** Requests of one device session that wait for a reply. */
  requestsOutstandingMax: 256,
  /** How long a request waits for its reply. */
  requestMillisecondsMax: 30000,
  /** Times that a device rebuilds a commit that lost its epoch. */
  commitAttemptsMax: 8,
  /** One log entry's bytes, its Welcome not counted. */
  entryBytesMax: 3000000,
  /** One MLS message, Welcome or GroupInfo. */
  mlsMessageBytesMax: 3000000,
  /** A device's name, in UTF-8. */
  deviceNameBytesMax: 128,
  /** A signed document in canonical JSON. */
  documentBytesMax: 262144,
  /** Messages a device may send; policy raises it. */
  messagesPerMinute: 60,
  /** Messages a device may send at once; policy raises it. */
  messagesBurst: 120,
  /** KeyPackage requests of a device. */
  keyLookupsPerMinute: 30,
  /** Failed device registrations from one source address. */
  registrationsPerHour: 3,
  /** Messages from one remote organisation; policy raises it. */
  peerMessagesPerMinute: 1000,
  /** Servers that an entry may pass. */
  hopsMax: 4,
  /** Domains in a route. */
  routeDomainsMax: 4,
  /** Age of a peer's revocation data before trust is stale. */
  revocationAgeMillisecondsMax: 600000,
  /** How long a relay waits for company. */
  followerBatchMilliseconds: 5,
  /** Signatures of one document. */
  documentSignaturesMax: 8,
  /** An audit entry in canonical JSON. */
  auditEntryBytesMax: 8192,
  /** How far a trust message or certificate may be ahead of the receiver's time. */
  trustClockSkewMillisecondsMax: 300000,
  /** From a trust challenge to its response. */
  trustChallengeMillisecondsMax: 600000,
  /** From the first message of a trust exchange to the decision. */
  trustExchangeMillisecondsMax: 1209600000,
  /** Between two trust status messages to one peer. */
  trustStatusMillisecondsMax: 60000,
} as const;
