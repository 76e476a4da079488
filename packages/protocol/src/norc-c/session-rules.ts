import { type MessageTypeName, ok, type Result, reject } from '../base/index.ts';
import { NORC_C_MESSAGES, type NORC_C_SCHEMAS } from './messages.ts';

/** Who may say what on a device session, when, and what answers it (spec/norc-c section 1). */

export type NorcCType = keyof typeof NORC_C_SCHEMAS;

export interface SessionRule {
  /** Types that may answer it, besides `error`; empty for what has no answer. Absent: a device never asks this. */
  readonly request?: readonly NorcCType[];
  /** Allowed to a device before it is authenticated; then it is allowed at no other time. */
  readonly proof?: true;
  /** The server also sends it without being asked. */
  readonly push?: true;
}

/** `session_key_exchange` is the channel's own and never comes this far (spec/handshake section 8). */
export const SESSION_RULES: Readonly<Record<Exclude<NorcCType, 'session_key_exchange'>, SessionRule>> = {
  auth_request: { push: true },
  auth_response: { request: ['auth_result'], proof: true },
  auth_result: {},
  device_register: { request: ['device_registered'], proof: true },
  device_registered: {},
  device_revoke: { request: ['device_list'] },
  device_list_request: { request: ['device_list'] },
  device_list: { push: true },
  message_send: { request: ['message_ack'] },
  message_ack: { push: true },
  log_entries: { push: true },
  cursor_ack: { request: [] },
  delivery_update: { push: true },
  conversation_create: { request: ['message_ack'] },
  commit_submit: { request: ['message_ack'] },
  conversation_closed: { push: true },
  log_request: { request: ['log_entries'] },
  key_request: { request: ['key_response'] },
  key_response: {},
  key_publish: { request: ['key_stock'] },
  key_stock: { push: true },
  org_request: { request: ['org_response'] },
  org_response: {},
  trust_notice: { push: true },
  time_sync: { request: ['time_sync'] },
};

/** Messages of every layer that need no rule of their own. */
const COMMON: readonly MessageTypeName[] = ['ping', 'pong', 'error'];

function ruleOf(type: MessageTypeName): SessionRule | undefined {
  const rules: Readonly<Partial<Record<MessageTypeName, SessionRule>>> = SESSION_RULES;
  return rules[type];
}

/**
 * Whether a device may send a message of this type now; before its body is decoded.
 * Errors: `unsupported_type` (the session goes on); `auth_required` and
 * `unexpected_message` (the session ends).
 */
export function admitFromDevice(authenticated: boolean, code: number): Result<MessageTypeName> {
  const definition = NORC_C_MESSAGES.byCode.get(code);
  if (definition === undefined) return reject('unsupported_type', 'message type');
  const { type } = definition;
  if (COMMON.includes(type)) return ok(type);
  const rule = ruleOf(type);
  if (rule?.request === undefined) return reject('unexpected_message', type);
  if (rule.proof === true) return authenticated ? reject('unexpected_message', type) : ok(type);
  return authenticated ? ok(type) : reject('auth_required', type);
}

/** Types that may answer a request of type `request`. */
export function repliesTo(request: MessageTypeName): readonly MessageTypeName[] {
  if (request === 'ping') return ['pong'];
  return ruleOf(request)?.request ?? [];
}

/** Whether the server may send this type without being asked. */
export function isPush(type: MessageTypeName): boolean {
  return COMMON.includes(type) || ruleOf(type)?.push === true;
}
