import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { encodeAuthenticatedData, parseAuthenticatedData, peekMessage } from '@norc/mls';
import { toHex } from '@norc/protocol/base';
import { encodeContent } from '@norc/protocol/norc-c';
import { must } from '../mls/fixtures.ts';

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const spec = read('spec/mls-profile.md');

/** The bytes of a fenced block, without its remarks. */
function block(language: string): string {
  const text = new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\``, 'm').exec(spec)?.[1];
  assert.ok(text !== undefined, `no ${language} block`);
  return text.replaceAll(/#.*$/gm, '').replaceAll(/\s/g, '');
}

const vector: unknown = JSON.parse(read('vectors/mls/valid/passive-member.json'));
const message = /"bytes": "(0001[0-9a-f]+)"/.exec(JSON.stringify(vector, undefined, 1))?.[1] ?? '';

test('the example that opens spec/mls-profile is true [MLS-22] [MLS-23]', () => {
  const bytes = Uint8Array.from(Buffer.from(message, 'hex'));
  const peeked = must(peekMessage(bytes));
  assert.ok(peeked.wire === 'private');
  const data = must(parseAuthenticatedData(peeked.authenticatedData));
  assert.ok(message.startsWith(block('message')));
  assert.equal(peeked.encryptedSenderData.length, 28);
  assert.equal(peeked.ciphertext.length, 272);
  const sealed = {
    kind: 'text',
    message_id: data.messageId,
    sent_at: 1_800_000_000_000,
    body: { text: 'hello' },
  } as const;
  assert.equal(block('content'), toHex(encodeContent(sealed)));
  assert.ok(block('message').includes(toHex(encodeAuthenticatedData(data))));
});
