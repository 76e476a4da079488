import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ERRORS, type ErrorName, MESSAGE_TYPES } from '../base/index.ts';
import {
  commonMessages,
  decodeMessage,
  defineMessage,
  encodeMessage,
  errorBody,
  type MessageOf,
  messageRegistry,
  optional,
  struct,
  text,
  uint,
} from './index.ts';

const send = defineMessage('message_send', struct({ seq: uint(), note: optional(text(9)) }));
const registry = messageRegistry([...commonMessages, send]);
type Message = MessageOf<(typeof commonMessages)[number] | typeof send>;

const messages: readonly Message[] = [
  { type: 'message_send', body: { seq: 7 } },
  { type: 'message_send', body: { seq: 7, note: 'x' } },
  { type: 'ping', body: {} },
  { type: 'pong', body: {} },
  { type: 'error', body: errorBody('rate_limited', 'r-1', 1500) },
];

test('messages come back as what they were, in both encodings', () => {
  for (const message of messages) {
    for (const encoding of ['cbor', 'json'] as const) {
      const bytes = encodeMessage(registry, message, encoding);
      const decoded = decodeMessage(registry, MESSAGE_TYPES[message.type], bytes, encoding);
      assert.deepEqual(decoded, { ok: true, value: message });
    }
  }
});

test('the type of a decoded message says what its body holds', () => {
  const decoded = decodeMessage(registry, 0x10, encodeMessage(registry, messages[0] as Message, 'cbor'), 'cbor');
  assert.ok(decoded.ok && decoded.value.type === 'message_send');
  const seq: number = decoded.value.body.seq;
  assert.equal(seq, 7);
});

test('[WIRE-13] a type that is not in the table is unsupported, whatever the body is', () => {
  for (const code of [0x11, 0x7f, 0x00, 256, -1]) {
    const decoded = decodeMessage(registry, code, Uint8Array.of(0xff), 'cbor');
    assert.ok(!decoded.ok && decoded.error.code === 'unsupported_type');
  }
});

test('an error in a body names the message and the field', () => {
  const decoded = decodeMessage(registry, 0x10, Uint8Array.of(0xa0), 'cbor');
  assert.deepEqual(decoded, {
    ok: false,
    error: { code: 'missing_field', detail: 'message_send: seq: required field is absent' },
  });
});

test('a table holds a type once, and encodes only its own', () => {
  assert.throws(() => messageRegistry([send, send]), RangeError);
  const small = messageRegistry(commonMessages);
  // A caller that is not type-checked.
  assert.throws(() => encodeMessage(small, Object({ type: 'message_send', body: { seq: 1 } }), 'cbor'), RangeError);
});

test('[CONV-7] every error of the registry has a body that says the registry’s words only', () => {
  for (const name of Object.keys(ERRORS) as ErrorName[]) {
    const body = errorBody(name, 'ref');
    assert.deepEqual(body, { code: ERRORS[name].code, name, retryable: ERRORS[name].retryable, reference: 'ref' });
    assert.ok(encodeMessage(registry, { type: 'error', body }, 'cbor').length > 0);
  }
});
