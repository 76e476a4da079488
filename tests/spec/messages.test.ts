import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeCrypto } from '@norc/crypto/node';
import { concatBytes, type MessageTypeName, parseDomain, toHex, utf8 } from '@norc/protocol/base';
import { NORC_C_MESSAGES } from '@norc/protocol/norc-c';
import { genesisHash, NORC_F_MESSAGES } from '@norc/protocol/norc-f';
import { decodeMessage } from '@norc/protocol/wire';
import { logVectors } from '../../vectors/generate/norc/log.ts';
import { CONVERSATION } from '../../vectors/generate/norc/samples.ts';
import { norcCVectors } from '../../vectors/generate/norc-c.ts';
import { MESSAGE_DOCUMENTS, readSpec, withMessageTables } from './message-tables.ts';

for (const name of MESSAGE_DOCUMENTS) {
  test(`spec/${name}: message tables are the schemas’ (run tests/spec/message-tables.ts to write them)`, () => {
    assert.equal(withMessageTables(readSpec(name)), readSpec(name));
  });
}

/** The text of a document's first fenced block of this language. */
function block(document: string, language: string): string {
  const found = new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\``, 'm').exec(document)?.[1];
  assert.ok(found !== undefined, `no ${language} block`);
  return found;
}

function decodes(type: MessageTypeName, text: string): unknown {
  const definition = NORC_F_MESSAGES.byType.get(type);
  assert.ok(definition !== undefined);
  const decoded = decodeMessage(NORC_F_MESSAGES, definition.code, utf8(text.trim()), 'json');
  assert.ok(decoded.ok, decoded.ok ? '' : decoded.error.detail);
  return decoded.value.body;
}

const norcF = readSpec('norc-f.md');

test('the submission that opens spec/norc-f is one, and its answer', () => {
  decodes('message_submit', block(norcF, 'submit'));
  decodes('submit_result', block(norcF, 'result'));
  decodes('relay_ack', block(norcF, 'relay-ack'));
});

test('[F-1] [F-2] the header and hashes that open spec/norc-f are those of the first log vector', () => {
  const hex = (text: string) => text.replaceAll(/#.*$/gm, '').replaceAll(/\s/g, '');
  const log = logVectors[0]?.cases[0];
  const entries = log?.['entries'] as readonly { readonly header: string; readonly hash: string }[]; // as log.ts writes them
  assert.equal(hex(block(norcF, 'header')), entries[1]?.header);
  const hashes = new Map(
    block(norcF, 'hashes')
      .trim()
      .split('\n')
      .map((line) => line.split(/ {2,}/) as [string, string]), // two columns
  );
  const alpha = parseDomain('alpha.example');
  assert.ok(alpha.ok);
  assert.equal(hashes.get('genesis'), toHex(genesisHash(nodeCrypto, toHex(CONVERSATION) as never, alpha.value)));
  assert.deepEqual([hashes.get('entry 1'), hashes.get('entry 2')], [entries[0]?.hash, entries[1]?.hash]);
  const previous = Uint8Array.from(Buffer.from(hashes.get('entry 1') ?? '', 'hex'));
  const header = Uint8Array.from(Buffer.from(hex(block(norcF, 'header')), 'hex'));
  const hash = nodeCrypto.blake3(concatBytes(utf8('norc-log-v1'), previous, header));
  assert.equal(toHex(hash), hashes.get('entry 2'));
});

/** A body with values cut at an ellipsis begins and ends like the whole one; what is cut is the same. */
function isCutOf(shown: string, whole: string): boolean {
  let from = 0;
  for (const piece of shown.split('…')) {
    const at = whole.indexOf(piece, from);
    if (at < 0) return false;
    from = at + piece.length;
  }
  return true;
}

test('the exchange that opens spec/norc-c is made of the vectors’ bodies', () => {
  const norcC = readSpec('norc-c.md');
  const lines = `${block(norcC, 'session')}${block(norcC, 'push')}`.trim().split('\n');
  const bodies = norcCVectors[0]?.cases ?? [];
  for (const line of lines) {
    const [sender = '', type = '', shown = ''] = line.split(/ {2,}/);
    assert.ok(sender === 'server' || sender === 'device');
    assert.ok(
      [...NORC_C_MESSAGES.byType.keys()].some((known) => known === type),
      type,
    );
    const whole = bodies.filter((one) => one['type'] === type).map((one) => String(one['json']));
    assert.ok(
      whole.some((json) => isCutOf(shown, json)),
      line,
    );
  }
});
