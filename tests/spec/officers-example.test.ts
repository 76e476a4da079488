import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { nodeCrypto } from '@norc/crypto/node';
import { type Domain, utf8 } from '@norc/protocol/base';
import { testApproval, testOfficer, testOrganisation } from '@norc/testkit';

const document = readFileSync(new URL('../../spec/officers.md', import.meta.url), 'utf8');
const anna = testOfficer(testOrganisation('alpha.example'), 'anna');

/** The example with this name, in one line; cut texts end in `…`. */
function example(name: string): Record<string, unknown> {
  const found = new RegExp(`^\`\`\`${name}\\n([^]*?)^\`\`\``, 'm').exec(document)?.[1];
  assert.ok(found !== undefined, name);
  return JSON.parse(found);
}

function assertShows(shown: unknown, whole: unknown): void {
  if (typeof shown === 'string' && shown.endsWith('…')) {
    assert.ok(typeof whole === 'string' && whole.startsWith(shown.slice(0, -1)), shown);
  } else if (typeof shown === 'object' && shown !== null) {
    assert.ok(typeof whole === 'object' && whole !== null);
    assert.deepEqual(Object.keys(shown).sort(), Object.keys(whole).sort());
    const values = new Map(Object.entries(whole));
    for (const [key, value] of Object.entries(shown)) assertShows(value, values.get(key));
  } else assert.equal(shown, whole);
}

test('the certificate and the approval that open spec/officers', () => {
  const subject = nodeCrypto.blake3(utf8('the document'));
  const peer = 'bravo.example' as Domain; // well formed
  const { approval } = testApproval(anna, { action: 'trust_restore', peer, subject });
  assertShows(example('officer'), JSON.parse(Buffer.from(anna.certificate).toString()));
  assertShows(example('approval'), JSON.parse(Buffer.from(approval).toString()));
});
