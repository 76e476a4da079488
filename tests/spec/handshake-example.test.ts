import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const spec = read('spec/handshake.md');

function block(language: string): string {
  const found = new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\``, 'm').exec(spec)?.[1];
  assert.ok(found !== undefined, `no ${language} block`);
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

test('the example that opens spec/handshake is the first case of the vectors', () => {
  const [example] = JSON.parse(read('vectors/handshake/valid/hello.json')).cases;
  assertShows(JSON.parse(block('hello')), JSON.parse(example.hello));
  assertShows(JSON.parse(block('answer')), JSON.parse(example.answer));
  const secrets = [
    example.transcript_hash,
    example.shared_secret.slice(0, 64),
    example.shared_secret.slice(64),
    example.master_secret,
    example.streams[0].c2s_key,
    example.streams[0].c2s_iv,
  ];
  assert.deepEqual(block('secrets').match(/[0-9a-f]{24,}/g), secrets);
});
