import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MESSAGE_TYPES, type MessageTypeName } from '@norc/protocol/base';
import { admitReply, admitRequest, LINK_RULES, type LinkPhase, NORC_F_SCHEMAS, type Priority } from './index.ts';

const ready: LinkPhase = { authenticated: true, trusted: true };
const stranger: LinkPhase = { authenticated: true, trusted: false };
const dialing: LinkPhase = { authenticated: false, trusted: false };
const ask = (phase: LinkPhase, stream: Priority, type: MessageTypeName) => {
  const admitted = admitRequest(phase, stream, MESSAGE_TYPES[type]);
  return admitted.ok ? 'ok' : admitted.error.code;
};

test('[F-60] before its proof the dialer may only prove itself', () => {
  assert.equal(ask(dialing, 'control', 'federation_auth'), 'ok');
  assert.equal(ask(dialing, 'control', 'message_submit'), 'unexpected_message');
  assert.equal(ask(dialing, 'control', 'trust_request'), 'unexpected_message');
  assert.equal(ask(ready, 'control', 'federation_auth'), 'unexpected_message');
});

test('[F-61] without trust everything but the trust exchange is one answer', () => {
  for (const stream of ['control', 'interactive', 'bulk'] as const) {
    for (const type of [
      'message_submit',
      'message_relay',
      'key_claim',
      'conversation_announce',
      'submit_result',
    ] as const)
      assert.equal(ask(stranger, stream, type), 'not_trusted');
    const unknown = admitRequest(stranger, stream, 0xee);
    assert.ok(!unknown.ok && unknown.error.code === 'not_trusted', 'also for types that do not exist');
  }
  assert.equal(ask(stranger, 'control', 'trust_request'), 'ok');
  assert.equal(ask(stranger, 'control', 'trust_revoke'), 'ok');
  assert.equal(ask(stranger, 'control', 'ping'), 'not_trusted');
});

test('[F-62] control messages stay on control, data stays off it', () => {
  assert.equal(ask(ready, 'bulk', 'trust_revoke'), 'unexpected_message');
  assert.equal(ask(ready, 'control', 'message_relay'), 'unexpected_message');
  assert.equal(ask(ready, 'interactive', 'message_relay'), 'ok');
  assert.equal(ask(ready, 'bulk', 'message_relay'), 'ok');
  const unknown = admitRequest(ready, 'control', 0xee);
  assert.ok(!unknown.ok && unknown.error.code === 'unsupported_type');
});

test('[F-63] a reply is of a type that answers its request, or an error', () => {
  const answer = (request: keyof typeof NORC_F_SCHEMAS, type: MessageTypeName) => {
    const admitted = admitReply(request, MESSAGE_TYPES[type]);
    return admitted.ok ? 'ok' : admitted.error.code;
  };
  assert.equal(answer('message_submit', 'submit_result'), 'ok');
  assert.equal(answer('message_submit', 'error'), 'ok');
  assert.equal(answer('message_submit', 'relay_ack'), 'unexpected_message');
  assert.equal(answer('delivery_ack', 'relay_ack'), 'unexpected_message');
  const unknown = admitReply('key_claim', 0xee);
  assert.ok(!unknown.ok && unknown.error.code === 'unsupported_type');
});

test('every type of the schemas is a request, a reply, or both', () => {
  const replies = new Set(Object.values(LINK_RULES).flatMap((rule) => rule.replies));
  for (const type of Object.keys(NORC_F_SCHEMAS) as (keyof typeof NORC_F_SCHEMAS)[])
    assert.ok(type in LINK_RULES || replies.has(type), type);
});
