import { type MessageTypeName, ok, type Result, reject } from '../base/index.ts';
import { NORC_F_MESSAGES, type NORC_F_SCHEMAS } from './messages.ts';
import type { Priority } from './outbox.ts';

/**
 * What may be said on a link, on which stream, and what answers it (spec/norc-f
 * section 1). Requests come from the dialer, replies go back on the same stream.
 */

export type NorcFType = keyof typeof NORC_F_SCHEMAS;

export interface LinkRule {
  readonly streams: readonly Priority[];
  /** Types that may answer it; empty for what has no answer. */
  readonly replies: readonly NorcFType[];
  /** Whether a peer without a trust certificate in force may send it. */
  readonly untrusted: boolean;
}

const CONTROL: readonly Priority[] = ['control'];
const DATA: readonly Priority[] = ['interactive', 'bulk'];
const TRUST_TYPES = [
  'trust_capabilities',
  'trust_request',
  'trust_challenge',
  'trust_response',
  'trust_decision',
  'trust_acknowledgment',
] as const;

const trust = (): LinkRule => ({ streams: CONTROL, replies: TRUST_TYPES, untrusted: true });
const data = (...replies: readonly NorcFType[]): LinkRule => ({ streams: DATA, replies, untrusted: false });

/** Requests and one-way messages, by type. What is only ever a reply is not here. */
export const LINK_RULES: Readonly<Partial<Record<NorcFType, LinkRule>>> = {
  federation_auth: { streams: CONTROL, replies: ['federation_ready'], untrusted: true },
  message_submit: data('submit_result'),
  message_relay: data('relay_ack'),
  conversation_announce: data('relay_ack'),
  delivery_ack: data(),
  key_claim: data('key_claim_result'),
  trust_capabilities: trust(),
  trust_request: trust(),
  trust_challenge: trust(),
  trust_response: trust(),
  trust_decision: trust(),
  trust_acknowledgment: trust(),
  /** A status says that the statement is held until its time; the acknowledgment follows then. */
  trust_revoke: { streams: CONTROL, replies: ['trust_revoke_ack', 'trust_status'], untrusted: true },
  trust_status: { streams: CONTROL, replies: ['trust_status'], untrusted: true },
  root_rotation: { streams: CONTROL, replies: [], untrusted: true },
};

export interface LinkPhase {
  /** The dialer has proven its server key. */
  readonly authenticated: boolean;
  /** A trust certificate between the two is in force now. */
  readonly trusted: boolean;
}

/** Messages of every layer that need no rule of their own. */
const COMMON: readonly MessageTypeName[] = ['ping', 'pong', 'error'];

/**
 * Whether the listening side takes a request of this type on this stream now.
 * Errors: `unsupported_type`, `unexpected_message`, `not_trusted`. Without trust
 * everything but the trust exchange gets one answer: a stranger learns nothing.
 */
export function admitRequest(phase: LinkPhase, stream: Priority, code: number): Result<MessageTypeName> {
  const definition = NORC_F_MESSAGES.byCode.get(code);
  if (phase.authenticated && !phase.trusted && !isOpenToStrangers(definition?.type)) {
    return reject('not_trusted', 'message type');
  }
  if (definition === undefined) return reject('unsupported_type', 'message type');
  const { type } = definition;
  if (COMMON.includes(type)) return ok(type);
  const rule = ruleOf(type);
  if (rule === undefined || !rule.streams.includes(stream)) return reject('unexpected_message', 'message type');
  // Before the dialer's proof only the proof itself; after it, never a second one.
  if ((type === 'federation_auth') === phase.authenticated) return reject('unexpected_message', 'message type');
  return ok(type);
}

/** Whether the dialing side takes a message of this type as the answer to its request of type `request`. */
export function admitReply(request: NorcFType, code: number): Result<MessageTypeName> {
  const definition = NORC_F_MESSAGES.byCode.get(code);
  if (definition === undefined) return reject('unsupported_type', 'message type');
  const replies: readonly MessageTypeName[] = ruleOf(request)?.replies ?? [];
  return definition.type === 'error' || replies.includes(definition.type)
    ? ok(definition.type)
    : reject('unexpected_message', 'message type');
}

function ruleOf(type: MessageTypeName): LinkRule | undefined {
  const rules: Readonly<Partial<Record<MessageTypeName, LinkRule>>> = LINK_RULES;
  return rules[type];
}

function isOpenToStrangers(type: MessageTypeName | undefined): boolean {
  return type === 'error' || (type !== undefined && (ruleOf(type)?.untrusted ?? false));
}
