import assert from 'node:assert/strict';
import { test } from 'node:test';
import { instant } from '@norc/protocol/base';
import type { Finding, TrustAnchor } from '@norc/protocol/norc-t';
import { anchor, type ChainOptions, chainMaterial, der, findingFor, NOW, question, world } from './evidence.fixture.ts';
import type { CertificateFetch, FetchQuestion } from './web-fetch.ts';
import { checkX509 } from './x509.ts';

const STRICT = anchor({ revocationUnknown: 'fail' });

async function chain(
  name: string,
  options: ChainOptions = {},
  {
    anchors = [STRICT],
    fetch,
    now = NOW,
  }: { anchors?: readonly TrustAnchor[]; fetch?: CertificateFetch; now?: number } = {},
): Promise<Finding> {
  const changes = { clock: { now: () => instant(now) }, ...(fetch === undefined ? {} : { fetch }) };
  return findingFor(
    await checkX509(world({ anchors }, changes), question([chainMaterial(name, options)])),
    'pki_chain',
  );
}

test('[EVID-16] a chain whose revocation is not known is refused, or held for less, as the anchor says', async () => {
  const strict = await chain('good');
  assert.equal(strict.result, 'failed');
  assert.match(strict.detail, /not known whether .* certificate 2 of 3 \(CN Sub CA\): nothing says/);
  const lenient = await chain('good', {}, { anchors: [anchor()] });
  assert.equal(lenient.result, 'held');
  assert.equal(lenient.weight, 0.5);
  assert.match(lenient.detail, /accepted although/);
});

test('[EVID-16] lists of every authority of the chain make it known', async () => {
  const whole = await chain('good', { crls: ['sub', 'root'] });
  assert.equal(whole.result, 'held', whole.detail);
  assert.equal(whole.weight, 1);
  assert.match((await chain('good', { crls: ['sub'] })).detail, /not known .* certificate 2 of 3 \(CN Sub CA\)/);
  assert.match((await chain('good', { crls: ['root'] })).detail, /not known .* certificate 1 of 3/);
});

test('[EVID-17] a revoked certificate is refused, with the day and the reason, whatever else is said', async () => {
  const cases: readonly (readonly [ChainOptions, RegExp])[] = [
    [
      { crls: ['sub-revoked', 'root'] },
      /^certificate 1 of 3 \(CN Bravo\) was revoked on 2026-09-01, reason keyCompromise$/,
    ],
    [{ crls: ['sub-hold', 'root'] }, /revoked on 2026-09-01, reason certificateHold/],
    [
      { crls: ['sub', 'root-revoked'] },
      /^certificate 2 of 3 \(CN Sub CA\) was revoked on 2026-09-01, reason cACompromise/,
    ],
    [{ crls: ['sub', 'sub-revoked', 'root'] }, /was revoked/],
    [
      { ocsp: ['good', 'revoked'], crls: ['sub', 'root'] },
      /certificate 1 of 3 .* revoked on 2026-09-01, reason keyCompromise/,
    ],
    [{ crls: ['sub-users', 'root'] }, /was revoked/],
  ];
  for (const [options, reason] of cases) {
    for (const anchors of [[STRICT], [anchor()]]) {
      const finding = await chain('good', options, { anchors });
      assert.equal(finding.result, 'failed', JSON.stringify(options));
      assert.match(finding.detail, reason);
    }
  }
});

/** Lists that say nothing about the leaf, for one reason each; and the reason. */
const UNUSABLE: readonly (readonly [string, RegExp])[] = [
  ['sub-stale', /revocation list is out of date/],
  ['sub-future', /revocation list is from the future/],
  ['namesake', /nothing says|another issuer/],
  ['other', /another issuer/],
  ['sub-sha1', /revocation list is signed with SHA-1/],
  ['sub-attributes', /for attribute certificates/],
  ['sub-reasons', /covers only some reasons/],
  ['sub-authorities', /for authorities only/],
  ['sub-part', /another part of the certificates/],
  ['sub-delta', /critical extension 2\.5\.29\.27/],
  ['sub-critical', /critical extension 1\.3\.6\.1/],
];

for (const [name, reason] of UNUSABLE) {
  test(`[EVID-17] the list ${name} makes nothing known`, async () => {
    const finding = await chain('good', { crls: [name, 'root'] });
    assert.equal(finding.result, 'failed');
    assert.match(finding.detail, reason);
  });
}

test('[EVID-17] attack: a list by an authority of the same name, with another key, counts for nothing', async () => {
  const finding = await chain('direct', { crls: ['namesake'] });
  assert.match(finding.detail, /revocation list has a wrong signature/);
  assert.equal((await chain('direct', { crls: ['root'] })).result, 'held');
});

test('[EVID-17] an authority that may not sign lists signs none that count', async () => {
  assert.match(
    (await chain('no-crl-sign', { crls: ['sub-nocrl', 'root'] })).detail,
    /CN No CRL CA may not sign revocation lists/,
  );
});

test('[EVID-18] OCSP: by the authority, or by a responder that it appointed', async () => {
  for (const ocsp of [['good'], ['good-by-authority'], ['stale', 'good']]) {
    const finding = await chain('good', { ocsp, crls: ['root'] });
    assert.equal(finding.result, 'held', finding.detail);
    assert.equal(finding.weight, 1);
  }
});

const OCSP_UNUSABLE: readonly (readonly [string, RegExp])[] = [
  ['stale', /OCSP response is out of date/],
  ['other-serial', /OCSP response is about another certificate/],
  ['wrong-key', /not signed by the issuer or a responder that it appointed/],
  ['bare', /not signed by the issuer or a responder that it appointed/],
  ['responder-expired', /not signed by the issuer or a responder that it appointed/],
  ['unknown', /responder does not know the certificate/],
];

for (const [name, reason] of OCSP_UNUSABLE) {
  test(`[EVID-18] attack: the OCSP response ${name} makes nothing known`, async () => {
    const finding = await chain('good', { ocsp: [name], crls: ['root'] });
    assert.equal(finding.result, 'failed');
    assert.match(finding.detail, reason);
  });
}

test('[EVID-18] an OCSP response from the future, a changed one, and one that is no response', async () => {
  const early = Date.UTC(2026, 8, 2); // after the lists, before the responses
  const finding = await chain('good', { ocsp: ['good'], crls: ['root'] }, { now: early });
  assert.match(finding.detail, /OCSP response is from the future/);
  const changed = der('good.ocsp');
  changed[changed.length - 700] = (changed[changed.length - 700] ?? 0) ^ 1;
  const answer = (bytes: Uint8Array) => chain('where', { crls: ['root'] }, { fetch: async () => bytes });
  assert.equal((await answer(changed)).result, 'failed');
  assert.match((await answer(new Uint8Array(3))).detail, /cannot be read/);
});

/** In date by NOW, and young; the lists of the fixtures are of 1 September 2026. */
const YOUNG = Date.UTC(2026, 8, 1, 20);

test('[EVID-19] attack: an old list sent along and a leaf whose addresses are slow hide no revoked authority', async () => {
  const stapled = { crls: ['root', 'sub-where'] };
  for (const anchors of [[STRICT], [anchor()]]) {
    const asked: string[] = [];
    const fetch: CertificateFetch = async ({ address }) => {
      asked.push(address);
      return address.includes('root') ? der('root-revoked-where.crl') : undefined;
    };
    const finding = await chain('where', stapled, { anchors, fetch, now: YOUNG });
    assert.equal(finding.result, 'failed');
    assert.match(finding.detail, /^certificate 2 of 3 \(CN Sub CA Where\) was revoked/);
    assert.deepEqual(asked, ['http://pki.bravo.example/root.crl'], 'a revoked authority says nothing about others');
  }
});

test('[EVID-19] every certificate is asked about, however much others name', async () => {
  const asked = new Set<string>();
  const fetch: CertificateFetch = async ({ address }) => {
    asked.add(address);
    return address.includes('sub') ? der('sub-where-revoked.crl') : undefined;
  };
  const finding = await chain('where', { crls: ['root'] }, { fetch, now: YOUNG });
  assert.match(finding.detail, /^certificate 1 of 3 \(CN Bravo\) was revoked/);
  assert.equal(asked.size, 3);
  const many = Array.from({ length: 4 }, () => chainMaterial('where'));
  let calls = 0;
  const counting: CertificateFetch = async () => {
    calls += 1;
    return undefined;
  };
  await checkX509(world({ anchors: [anchor(), anchor()] }, { fetch: counting }), question(many));
  assert.equal(calls, 3, 'nothing is fetched twice for one question');
});

test('[EVID-19] what was sent along stands alone only while it is young, where the issuer names an address', async () => {
  const stapled = { crls: ['root', 'sub-where'] };
  const young = await chain('where', stapled, { now: YOUNG });
  assert.equal(young.result, 'held', young.detail);
  const old = await chain('where', stapled, { now: YOUNG + 2 * 86_400_000 });
  assert.equal(old.result, 'failed');
  assert.match(old.detail, /certificate 2 of 3 \(CN Sub CA Where\): what was sent along is too old to stand alone/);
  const lenient = await chain('where', stapled, { now: YOUNG + 2 * 86_400_000, anchors: [anchor()] });
  assert.equal(lenient.weight, 0.5);
  const rubbish = await chain('where', stapled, { now: YOUNG + 2 * 86_400_000, fetch: async () => der('other.crl') });
  assert.equal(rubbish.result, 'failed', 'an answer that is none is no answer');
});

test('[EVID-18] a responder that its authority does not exempt must itself not have been revoked', async () => {
  const listed = (options: ChainOptions, list?: string) => {
    const fetch = async () => (list === undefined ? undefined : der(list));
    return chain('good', { ocsp: ['good-by-listed'], ...options }, { fetch });
  };
  const unknown = await listed({ crls: ['root'] });
  assert.match(unknown.detail, /not known whether the OCSP responder was revoked/);
  const checked = await listed({ crls: ['root'] }, 'responders.crl');
  assert.equal(checked.result, 'held', checked.detail);
  const revoked = await listed({ crls: ['root', 'responders'] }, 'responders-revoked.crl');
  assert.match(revoked.detail, /the OCSP responder was revoked/);
  const old = await listed({ crls: ['root', 'responders'] });
  assert.match(
    old.detail,
    /not known whether the OCSP responder was revoked/,
    'its list is old, and its address silent',
  );
  const word = await chain('good', { ocsp: ['revoked-by-listed'], crls: ['root'] });
  assert.match(word.detail, /certificate 1 of 3 .* was revoked/, 'a word that it was revoked needs no more');
});

test('[EVID-19] what the authorities publish is fetched, and counts like what was sent along', async () => {
  const asked: FetchQuestion[] = [];
  const files: Record<string, string> = {
    'http://pki.bravo.example/sub.crl': 'sub-where.crl',
    'http://pki.bravo.example/root.crl': 'root.crl',
    'http://ocsp.bravo.example/': 'where.ocsp',
  };
  const fetch: CertificateFetch = async (one) => {
    asked.push(one);
    const name = files[one.address];
    return name === undefined ? undefined : der(name);
  };
  const finding = await chain('where', {}, { fetch });
  assert.equal(finding.result, 'held', finding.detail);
  assert.equal(asked.length, 3);
  const post = asked.find(({ address }) => address.includes('ocsp'))?.post;
  assert.equal(post?.type, 'application/ocsp-request');
  assert.ok((post?.body.length ?? 0) > 40);
  delete files['http://pki.bravo.example/sub.crl'];
  assert.equal((await chain('where', {}, { fetch })).result, 'held', 'the responder is enough');
  delete files['http://ocsp.bravo.example/'];
  assert.match((await chain('where', {}, { fetch })).detail, /could not be fetched/);
});
