import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

/** The examples in spec/certificates, spec/norc-t and spec/audit-log are cases of the vectors. */

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const firstCase = (path: string) => JSON.parse(read(`vectors/${path}.json`)).cases[0];

function block(document: string, language: string): string {
  const found = new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\``, 'm').exec(read(`spec/${document}.md`))?.[1];
  assert.ok(found !== undefined, `no ${language} block in ${document}`);
  return found;
}

/** The same value, where a text that ends in … stands for any text that begins so. */
function assertShows(shown: unknown, whole: unknown): void {
  if (typeof shown === 'string' && shown.endsWith('…')) {
    assert.ok(typeof whole === 'string' && whole.startsWith(shown.slice(0, -1)), shown);
  } else if (typeof shown === 'object' && shown !== null) {
    assert.ok(typeof whole === 'object' && whole !== null);
    assert.deepEqual(Object.keys(shown).sort(), Object.keys(whole).sort());
    const values = new Map(Object.entries(whole));
    for (const [key, value] of Object.entries(shown)) assertShows(value, values.get(key));
  } else {
    assert.equal(shown, whole);
  }
}

test('the certificates that open spec/certificates', () => {
  const server = firstCase('norc-t/valid/server-certificate').document;
  const device = firstCase('norc-t/valid/device-certificate').certificate;
  assertShows(JSON.parse(block('certificates', 'server')), JSON.parse(server));
  assertShows(JSON.parse(block('certificates', 'device')), JSON.parse(device));
});

test('the rotation that opens spec/root-rotation', () => {
  const [rotation] = firstCase('root-keys/valid/root-rotation').rotations;
  assertShows(JSON.parse(block('root-rotation', 'rotation')), JSON.parse(rotation));
});

test('the trust certificate and the revocation in spec/norc-t', () => {
  const exchange = firstCase('norc-t/valid/exchange');
  assertShows(JSON.parse(block('norc-t', 'certificate')), JSON.parse(exchange.by_responder));
  const statement = firstCase('norc-t/valid/revocations').statements.at(-1);
  assertShows(JSON.parse(block('norc-t', 'revocation')), JSON.parse(statement));
});

test('the line that opens spec/audit-log', () => {
  assert.equal(block('audit-log', 'line').trim(), firstCase('audit/valid/chain').lines[2]);
});
