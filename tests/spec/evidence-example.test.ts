import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { nodeCrypto } from '@norc/crypto/node';
import { instant } from '@norc/protocol/base';
import { documentHash, type SignedDocument, signDocumentWith } from '@norc/protocol/crypto';
import {
  draftRecommendation,
  type RecommendationBody,
  verifyRecommendation,
  x509BindingInput,
} from '@norc/protocol/norc-t';
import { mustBe, type TestOrganisation, testOrganisation } from '@norc/testkit';

const text = readFileSync(new URL('../../spec/evidence.md', import.meta.url), 'utf8');
const [bravo, charlie, delta] = ['bravo.example', 'charlie.example', 'delta.example'].map((name) =>
  testOrganisation(name),
) as [TestOrganisation, TestOrganisation, TestOrganisation]; // three of them
const ABOUT = { subject: bravo.domain, root_key: bravo.root.publicKey };
const DATES = { issued_at: 1_790_000_000_000, expires_at: 1_805_552_000_000 };

function example(name: string): unknown {
  const found = new RegExp(`^\`\`\`${name}\\n([^]*?)^\`\`\``, 'm').exec(text)?.[1];
  assert.ok(found !== undefined, name);
  return JSON.parse(found);
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
  } else assert.equal(shown, whole);
}

function signed(by: TestOrganisation, body: RecommendationBody): SignedDocument<RecommendationBody> {
  return signDocumentWith(nodeCrypto, draftRecommendation(body), by.server);
}

test('the recommendation that opens spec/evidence is one, and holds', () => {
  const inner = signed(delta, { recommender: delta.domain, ...ABOUT, level: 'classified', hops: 1, ...DATES });
  const passes_on = {
    recommender: delta.domain,
    root_key: delta.root.publicKey,
    statement: documentHash(nodeCrypto, inner),
  };
  const terms = { level: 'verified', hops: 2, passes_on, ...DATES } as const;
  const outer = signed(charlie, { recommender: charlie.domain, ...ABOUT, ...terms });
  assertShows(example('charlie'), outer.json);
  assertShows(example('delta'), inner.json);
  const statements = [
    { document: outer.bytes, certificate: charlie.certificate.bytes },
    { document: inner.bytes, certificate: delta.certificate.bytes },
  ];
  const held = mustBe(
    verifyRecommendation(nodeCrypto, statements, {
      ...{ self: testOrganisation('alpha.example').domain, level: 'verified', blocked: new Set() },
      subject: { domain: bravo.domain, rootKey: bravo.root.publicKey },
      now: instant(DATES.issued_at),
      recommenders: new Set([charlie.domain]),
      rootKey: (domain) => (domain === charlie.domain ? charlie.root.publicKey : undefined),
    }),
  );
  assert.ok(Math.abs(held.weight - 0.95 * 0.95) < 1e-12);
});

test('[EVID-11] what the key of a leaf signs', () => {
  const input = x509BindingInput({ domain: bravo.domain, root_key: new Uint8Array(32), not_after: 5 });
  const key = Buffer.alloc(32).toString('base64url');
  const expected = `norc-x509-binding-v1{"domain":"bravo.example","not_after":5,"root_key":"${key}"}`;
  assert.equal(Buffer.from(input).toString(), expected);
});
