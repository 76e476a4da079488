import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { MESSAGE_TYPES, parseMessageId, toHex } from '@norc/protocol/base';
import { decodeBody, encodeBody, encodeFrame, errorBody, errorMessage, frameAad, padBody } from '@norc/protocol/wire';

const spec = (name: string): string => readFileSync(new URL(`../../spec/${name}.md`, import.meta.url), 'utf8');

/** The text of a document's first fenced block of this language. */
function block(document: string, language: string): string {
  const found = new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\``, 'm').exec(document)?.[1];
  assert.ok(found !== undefined, `no ${language} block`);
  return found;
}

const hexOf = (text: string): string => text.replaceAll(/#.*$/gm, '').replaceAll(/\s/g, '');

const body = errorBody('rate_limited', '7f3k-92qd', 1500);

test('the example that opens spec/wire is true', () => {
  const wire = spec('wire');
  const cbor = encodeBody(errorMessage.schema, body, 'cbor');
  assert.equal(hexOf(block(wire, 'cbor')), toHex(cbor));
  assert.equal(block(wire, 'json').trim(), Buffer.from(encodeBody(errorMessage.schema, body, 'json')).toString());
  const plaintext = padBody(cbor);
  assert.equal(plaintext.length, 256);
  assert.ok(wire.includes(`\`${toHex(plaintext.subarray(0, 4))} || body || ${256 - 4 - cbor.length} zero bytes\``));

  const messageId = parseMessageId('000102030405060708090a0b0c0d0e0f');
  assert.ok(messageId.ok);
  const header = {
    version: { major: 2, minor: 0 },
    type: MESSAGE_TYPES.error,
    messageId: messageId.value,
    sequence: 0xabcdef,
    prevHash: new Uint8Array(32),
  };
  assert.equal(hexOf(block(wire, 'header')), toHex(encodeFrame(header, new Uint8Array(272)).subarray(0, 62)));
  assert.equal(hexOf(block(wire, 'aad')), toHex(frameAad(header, 272, new Uint8Array(32).fill(0xcc))));
});

test('the error in spec/conventions is one', () => {
  const example = Uint8Array.from(Buffer.from(block(spec('conventions'), 'json').trim()));
  assert.deepEqual(decodeBody(errorMessage.schema, example, 'json'), { ok: true, value: body });
});
