import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MESSAGE_TYPES, type MessageTypeName } from '@norc/protocol/base';
import { admitFromDevice, NORC_C_SCHEMAS, repliesTo, SESSION_RULES } from './index.ts';

const says = (authenticated: boolean, type: MessageTypeName) => {
  const admitted = admitFromDevice(authenticated, MESSAGE_TYPES[type]);
  return admitted.ok ? 'ok' : admitted.error.code;
};

test('[C-3] before the proof only proofs, after it everything else', () => {
  for (const type of ['auth_response', 'device_register'] as const)
    assert.deepEqual([says(false, type), says(true, type)], ['ok', 'unexpected_message']);
  for (const type of ['message_send', 'cursor_ack', 'key_request', 'time_sync', 'log_request'] as const)
    assert.deepEqual([says(false, type), says(true, type)], ['auth_required', 'ok']);
});

test('[C-3] what only a server says is not taken from a device', () => {
  for (const type of ['auth_request', 'log_entries', 'message_ack', 'key_response', 'auth_result'] as const)
    assert.deepEqual([says(false, type), says(true, type)], ['unexpected_message', 'unexpected_message']);
});

test('[C-4] a type that this side does not have is refused, and the session goes on', () => {
  assert.equal(says(true, 'presence_update'), 'unsupported_type');
  assert.equal(says(true, 'message_relay'), 'unsupported_type', 'of another layer');
  const unknown = admitFromDevice(false, 0xee);
  assert.ok(!unknown.ok && unknown.error.code === 'unsupported_type');
});

test('every reply has a schema, and every schema a rule', () => {
  const types = Object.keys(NORC_C_SCHEMAS);
  for (const [type, rule] of Object.entries(SESSION_RULES)) {
    assert.ok(types.includes(type));
    for (const reply of rule.request ?? []) assert.ok(types.includes(reply));
  }
  assert.deepEqual(
    types.filter((type) => !(type in SESSION_RULES)),
    ['session_key_exchange'],
  );
  assert.deepEqual(repliesTo('ping'), ['pong']);
  assert.deepEqual(repliesTo('auth_request'), []);
});
