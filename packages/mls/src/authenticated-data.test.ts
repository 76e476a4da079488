import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type ConversationId,
  concatBytes,
  idFromBytes,
  LABELS,
  type Label,
  type MessageId,
  utf8,
} from '@norc/protocol/base';
import fc from 'fast-check';
import { encodeAuthenticatedData, parseAuthenticatedData } from './authenticated-data.ts';

const id = fc.uint8Array({ minLength: 16, maxLength: 16 });
const conversation = idFromBytes<ConversationId>(new Uint8Array(16).fill(1));
const messageId = idFromBytes<MessageId>(new Uint8Array(16).fill(2));

function codeOf(bytes: Uint8Array): string {
  const parsed = parseAuthenticatedData(bytes);
  return parsed.ok ? 'accepted' : parsed.error.code;
}

test('authenticated data reads back, and has one encoding [MLS-22]', () => {
  const label = fc.constantFrom(...(Object.keys(LABELS) as Label[])); // the keys of LABELS are the labels
  fc.assert(
    fc.property(label, id, id, (name, c, m) => {
      const data = { label: name, conversation: idFromBytes<ConversationId>(c), messageId: idFromBytes<MessageId>(m) };
      const bytes = encodeAuthenticatedData(data);
      assert.deepEqual(parseAuthenticatedData(bytes), { ok: true, value: data });
      assert.equal(codeOf(concatBytes(bytes, Uint8Array.of(0))), 'trailing_bytes');
      assert.equal(codeOf(bytes.subarray(0, -1)), 'truncated');
    }),
  );
});

test('a label that is not in the registry is refused', () => {
  const encode = (label: string) => concatBytes(Uint8Array.of(1, label.length), utf8(label), new Uint8Array(32));
  assert.equal(codeOf(encode('secret')), 'accepted');
  for (const label of ['Secret', '', 'toString', '__proto__', 'top'])
    assert.equal(codeOf(encode(label)), 'label_not_allowed');
  const other = encode('secret');
  other[0] = 2;
  assert.equal(codeOf(other), 'malformed');
});

test('only ids and labels of the right form are encoded', () => {
  const short = 'ab' as MessageId; // a caller's mistake
  assert.throws(() => encodeAuthenticatedData({ label: 'secret', conversation, messageId: short }), RangeError);
  const label = 'public' as Label; // a caller's mistake
  assert.throws(() => encodeAuthenticatedData({ label, conversation, messageId }), RangeError);
});

test('arbitrary bytes never make the parser throw', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => void parseAuthenticatedData(bytes)));
});
