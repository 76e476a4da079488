import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { idFromBytes, type MessageId, type UserAddress } from '../base/index.ts';
import { type CborValue, encodeCbor } from '../wire/index.ts';
import { CONTENT_KINDS, type ContentKind, decodeContent, encodeContent, type MessageContent } from './content.ts';

const id = (byte: number) => idFromBytes<MessageId>(new Uint8Array(16).fill(byte));
const common = { message_id: id(1), sent_at: 1_800_000_000_000 };
const bytes = (length: number) => new Uint8Array(length).fill(7);

const EXAMPLES: { readonly [K in ContentKind]: MessageContent } = {
  text: { kind: 'text', ...common, body: { text: 'hello' } },
  file: {
    kind: 'file',
    ...common,
    body: {
      file_id: bytes(16),
      name: 'plan.pdf',
      media_type: 'application/pdf',
      size: 70_000,
      chunk_count: 2,
      key: bytes(32),
      hash: bytes(32),
      chunk_hashes: bytes(64),
    },
  },
  reaction: { kind: 'reaction', ...common, body: { target: id(2), emoji: '👍' } },
  edit: { kind: 'edit', ...common, body: { target: id(2), text: 'hello!' } },
  delete: { kind: 'delete', ...common, body: { target: id(2) } },
  receipt: { kind: 'receipt', ...common, body: { targets: [id(2), id(3)] } },
  typing: { kind: 'typing', ...common, body: { active: true } },
  call: { kind: 'call', ...common, body: { call_id: bytes(16), step: 'offer', payload: bytes(5) } },
  control: { kind: 'control', ...common, body: { action: 'rename', text: 'Liaison' } },
};

function codeOf(encoded: Uint8Array): string {
  const decoded = decodeContent(encoded);
  return decoded.ok ? 'accepted' : decoded.error.code;
}

test('every kind of content reads back [MLS-23]', () => {
  assert.deepEqual(Object.keys(EXAMPLES), CONTENT_KINDS);
  for (const content of Object.values(EXAMPLES)) {
    const encoded = encodeContent(content);
    assert.deepEqual(decodeContent(encoded), { ok: true, value: content });
    for (let length = 0; length < encoded.length; length += 1)
      assert.notEqual(codeOf(encoded.subarray(0, length)), 'accepted');
  }
});

test('optional fields read back', () => {
  const mentions = ['ann@alpha.example' as UserAddress]; // of that form
  const full: MessageContent = {
    ...EXAMPLES.text,
    kind: 'text',
    reply_to: id(9),
    mentions,
    expires_at: 5,
    body: { text: '' },
  };
  assert.deepEqual(decodeContent(encodeContent(full)), { ok: true, value: full });
});

test('text of any characters reads back', () => {
  const text = fc.string({ unit: 'grapheme', maxLength: 200 });
  fc.assert(
    fc.property(text, (said) => {
      const content: MessageContent = { kind: 'text', ...common, body: { text: said } };
      assert.deepEqual(decodeContent(encodeContent(content)), { ok: true, value: content });
    }),
  );
});

test('a kind that this version does not know is named as such', () => {
  const sticker = new Map(Object.entries({ kind: 'sticker', message_id: bytes(16), sent_at: 1 }));
  assert.equal(codeOf(encodeCbor(sticker)), 'unsupported_type');
  assert.equal(codeOf(encodeCbor(new Map([['kind', 'toString']]))), 'unsupported_type');
});

test('what is missing, of another type or too long is refused', () => {
  const base = { kind: 'text', message_id: bytes(16), sent_at: 1 };
  const encode = (fields: Readonly<Record<string, CborValue>>) => encodeCbor(new Map(Object.entries(fields)));
  const withBody = (text: string) => encode({ ...base, body: new Map([['text', text]]) });
  assert.equal(codeOf(withBody('x')), 'accepted');
  assert.equal(codeOf(withBody('x'.repeat(49_153))), 'limit_exceeded');
  assert.equal(codeOf(encode(base)), 'missing_field');
  assert.equal(codeOf(encode({ ...base, body: 'x' })), 'wrong_type');
  assert.equal(codeOf(encodeCbor('text')), 'wrong_type');
  assert.throws(() => encodeContent({ kind: 'text', ...common, body: { text: 'x'.repeat(49_153) } }), RangeError);
});

test('arbitrary bytes never make the decoder throw', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), (input) => void decodeContent(input)));
});
