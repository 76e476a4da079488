import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EvidenceKind } from '@norc/protocol/base';
import { decodeX509Chain, encodeX509Chain, type Finding, MATERIAL, type TrustAnchor } from '@norc/protocol/norc-t';
import {
  ALPHA,
  anchor,
  BRAVO,
  type ChainOptions,
  certificates,
  chainMaterial,
  findingFor,
  NOW,
  OTHER_KEY,
  POLICY_1,
  POLICY_2,
  patched,
  privateKey,
  question,
  ROOT_KEY,
  world,
  YEAR_MS,
} from './evidence.fixture.ts';
import type { FetchQuestion } from './web-fetch.ts';
import { checkX509 } from './x509.ts';
import { bindX509 } from './x509-binding.ts';

async function found(
  material: ReturnType<typeof chainMaterial>,
  anchors: readonly TrustAnchor[] = [anchor()],
  kind: EvidenceKind = 'organisation_identity',
): Promise<Finding> {
  return findingFor(await checkX509(world({ anchors }), question([material])), kind);
}

const chain = (name: string, options?: ChainOptions, anchors?: readonly TrustAnchor[]) =>
  found(chainMaterial(name, options), anchors);

function refused(finding: Finding, reason: RegExp): void {
  assert.equal(finding.result, 'failed', finding.detail);
  assert.match(finding.detail, reason);
  assert.equal(finding.weight, 0);
}

const CODE_SIGNING = '1.3.6.1.5.5.7.3.3';
const MS_2046 = Date.UTC(2046, 0, 1);

test('[EVID-10] a chain to an accepted anchor holds, for as long as its parts do', async () => {
  const finding = await chain('good');
  assert.equal(finding.result, 'held', finding.detail);
  assert.equal(finding.method, 'x509');
  assert.equal(finding.expiresAt, NOW + YEAR_MS);
  assert.equal(finding.hash?.length, 32);
  const long = await chain('good', { notAfter: MS_2046 + YEAR_MS });
  assert.equal(long.expiresAt, MS_2046);
  const far = await chain('far', { notAfter: MS_2046 + YEAR_MS });
  assert.equal(far.expiresAt, MS_2046, 'the authority ends before the leaf');
});

test('[EVID-10] chains of every accepted algorithm hold, with the anchor among the certificates or not', async () => {
  for (const name of ['direct', 'with-anchor', 'ed25519-ca', 'rsa-ca', 'pss-ca', 'path-length-kept', 'uncritical']) {
    assert.equal((await chain(name)).result, 'held', name);
  }
  for (const [name, key] of [
    ['p384', 'p384'],
    ['rsa', 'rsa2048'],
    ['ed25519', 'ed25519'],
  ] as const) {
    const finding = await chain(name, { key });
    assert.equal(finding.result, 'held', finding.detail);
  }
});

/** One chain for each rule of RFC 5280 that it breaks. `lets`: the library alone lets it pass. */
const BROKEN: readonly (readonly [name: string, reason: RegExp, anchorFile?: string])[] = [
  ['expired', /^certificate 1 of 3 \(CN Bravo\) expired on 2026-06-01$/],
  ['early', /^certificate 1 of 3 \(CN Bravo\) is not valid before 2040-01-01$/],
  ['expired-ca', /^certificate 2 of 3 \(CN Old CA\) expired/],
  ['expired-anchor', /^certificate 2 of 2 \(CN Old Root\) expired/, 'root-expired'],
  ['namesake', /does not lead to CN Test Root/],
  ['no-ca', /^certificate 2 of 3 \(CN No CA\) may not issue certificates \(basic constraints\)/],
  ['no-constraints', /^certificate 2 of 3 \(CN Plain\) may not issue certificates \(basic constraints\)/],
  ['no-cert-sign', /^certificate 2 of 3 \(CN No Sign\) may not issue certificates \(key usage\)/],
  ['path-length', /^certificate 3 of 4 \(CN Length 0\) allows 0 authorities below it, and has 1/],
  ['anchor-path-length', /^certificate 3 of 3 \(CN Root Length 0\) allows 0 authorities/, 'root-len0'],
  ['critical-leaf', /^certificate 1 of 2 has the critical extension 1\.3\.6\.1\.4\.1\.32473\.9\.9/],
  ['critical-ca', /^certificate 2 of 2 has the critical extension/],
  ['broken-extension', /^certificate 2 of 2 has a malformed extension 2\.5\.29\.30/],
  ['no-signature-usage', /^certificate 1 of 3 \(CN Bravo\) may not be used for signatures/],
  ['leaf-is-ca', /^certificate 1 of 3 \(CN Bravo\) may not be used for signatures/],
  ['sha1', /^certificate 1 of 2 is signed with SHA-1/],
  ['sha1-ca', /^certificate 2 of 2 is signed with SHA-1/],
  ['pss-sha1', /^certificate 1 of 2 is signed with RSA-PSS over a weak/],
  ['rsa1024-ca', /^certificate 2 of 2 has an RSA key of only 1024 bits/],
  ['names-permitted', /^certificate 1 of 3 \(CN Bravo\) has a domain that is not permitted by CN nc-permitted/],
  ['names-excluded', /has a domain that is excluded by CN nc-excluded/],
  ['names-widened', /has a domain that is not permitted by CN nc-permitted/],
  ['names-part-label', /has a domain that is not permitted/],
  ['names-directory', /has a directory name that is not permitted/],
  ['names-directory-excluded', /has a directory name that is excluded/],
  ['names-mail', /has a mail address that is not permitted/],
  ['names-address', /has a IP address that is not permitted|has an IP address/],
  ['names-unknown-form', /has a name of an unknown form that is excluded/],
  ['names-anchor', /has a domain that is not permitted by CN Constrained Root/, 'root-nc'],
  ['policy-explicit', /an authority of the chain requires a certificate policy/],
  ['loop', /does not lead to/],
];

for (const [name, reason, file] of BROKEN) {
  test(`[EVID-12] RFC 5280: the chain ${name} is refused`, async () => {
    const binding = { domain: BRAVO, root_key: ROOT_KEY, not_after: NOW + YEAR_MS };
    const data = bindUnchecked(name, binding);
    refused(await found({ kind: MATERIAL.x509Chain, data }, [anchor(file === undefined ? {} : { file })]), reason);
  });
}

/** `bindX509` itself refuses chains with certificates of a bad form. */
function bindUnchecked(name: string, binding: { domain: typeof BRAVO; root_key: Uint8Array; not_after: number }) {
  const good = bindX509({ certificates: certificates('chain-good'), privateKey: privateKey('p256'), binding });
  const decoded = decodeX509Chain(good);
  assert.ok(decoded.ok);
  return encodeX509Chain({ ...decoded.value, certificates: certificates(`chain-${name}`) });
}

test('[EVID-12] RFC 5280: what keeps to the rules is not refused', async () => {
  for (const name of ['names-kept', 'names-directory-kept', 'path-length-self-issued', 'policy-explicit-kept']) {
    const finding = await chain(name);
    assert.equal(finding.result, 'held', `${name}: ${finding.detail}`);
  }
});

test('[EVID-12] a key that is too short is refused in the leaf too', async () => {
  assert.throws(() => chainMaterial('rsa1024', { key: 'rsa1024' }), /RSA key of only 1024 bits/);
});

test('[EVID-12] a signature that was changed, or is of another length, is refused', async () => {
  const decoded = decodeX509Chain(chainMaterial('good').data);
  assert.ok(decoded.ok);
  const [leaf = new Uint8Array(), sub = new Uint8Array()] = decoded.value.certificates;
  const flipped = Uint8Array.from(leaf);
  flipped[flipped.length - 3] = (flipped[flipped.length - 3] ?? 0) ^ 1;
  const with_ = (...all: readonly Uint8Array[]) =>
    found({ kind: MATERIAL.x509Chain, data: encodeX509Chain({ ...decoded.value, certificates: all }) });
  refused(await with_(flipped, sub), /does not lead to|not an X.509/);
  refused(await with_(Uint8Array.from([...leaf, 0]), sub), /followed by other bytes/);
  refused(await with_(leaf.subarray(0, -1), sub), /not an X.509 certificate/);
  refused(await with_(leaf), /does not lead to/);
  refused(await with_(leaf, leaf, sub), /does not lead to/);
  refused(await with_(sub, leaf), /does not name bravo/);
  refused(await with_(), /no certificate/);
});

test('[EVID-12] two different names of the signature algorithm are refused', async () => {
  const [leaf = new Uint8Array(), sub = new Uint8Array()] = certificates('chain-good');
  // ecdsa-with-SHA256 becomes ecdsa-with-SHA384, in the signed part only
  const oid = (last: number) => Uint8Array.of(0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, last);
  const decoded = decodeX509Chain(chainMaterial('good').data);
  assert.ok(decoded.ok);
  const data = encodeX509Chain({ ...decoded.value, certificates: [patched(leaf, oid(2), oid(3)), sub] });
  refused(await found({ kind: MATERIAL.x509Chain, data }), /two different signature algorithms/);
});

test('[EVID-12] an extension that comes twice is refused', async () => {
  const [leaf = new Uint8Array(), sub = new Uint8Array()] = certificates('chain-twice');
  const oid = (last: number) => Uint8Array.of(0x06, 0x0a, 0x2b, 6, 1, 4, 1, 0x81, 0xfd, 0x59, 9, last);
  const decoded = decodeX509Chain(chainMaterial('good').data);
  assert.ok(decoded.ok);
  const data = encodeX509Chain({ ...decoded.value, certificates: [patched(leaf, oid(8), oid(9)), sub] });
  refused(await found({ kind: MATERIAL.x509Chain, data }), /has the extension 1\.3\.6\.1\.4\.1\.32473\.9\.9 twice/);
});

test('[EVID-12] a leaf or an authority for other purposes is refused', async () => {
  for (const name of ['eku-mail', 'eku-any', 'eku-same-ca']) assert.equal((await chain(name)).result, 'held', name);
  for (const name of ['eku-code', 'eku-code-uncritical']) {
    refused(await chain(name), /^certificate 1 of 3 \(CN Bravo\) is for other purposes .* 1\.3\.6\.1\.5\.5\.7\.3\.3\)/);
  }
  refused(await chain('eku-code-ca'), /^certificate 2 of 3 \(CN Code CA\) is for other purposes/);
  refused(await chain('eku-other-ca'), /^certificate 2 of 3 \(CN TLS CA\) is for other purposes/);
  assert.equal((await chain('eku-code', {}, [anchor({ usages: [CODE_SIGNING] })])).result, 'held');
  refused(await chain('eku-other-ca', {}, [anchor({ usages: [CODE_SIGNING] })]), /CN TLS CA/);
});

/** Written as years of two digits until 2049, of four from then on. */
const DATES: readonly (readonly [string, string, readonly string[]])[] = [
  [
    'chain-good',
    '460101000000Z',
    ['460231000000Z', '461301000000Z', '460101240000Z', '460101000060Z', '46010100000aZ'],
  ],
  ['chain-far', '20990101000000Z', ['20990231000000Z', '99999999999999Z', '20990101000000 ', '209901010000.5Z']],
];

test('[EVID-12] attack: a date that is none is refused, and not read as another one', async () => {
  assert.equal((await chain('far')).result, 'held');
  const decoded = decodeX509Chain(chainMaterial('good').data);
  assert.ok(decoded.ok);
  for (const [name, date, others] of DATES) {
    const [leaf = new Uint8Array(), sub = new Uint8Array()] = certificates(name);
    for (const other of others) {
      const changed = patched(leaf, Buffer.from(date), Buffer.from(other));
      const data = encodeX509Chain({ ...decoded.value, certificates: [changed, sub] });
      const finding = await found({ kind: MATERIAL.x509Chain, data });
      refused(finding, /^certificate 1 of 2 (has a date that is none \("|is not an X\.509)/);
    }
  }
});

test('[EVID-11] the leaf must name the domain itself', async () => {
  for (const name of ['other-domain', 'wildcard', 'subdomain', 'common-name']) {
    const binding = { domain: BRAVO, root_key: ROOT_KEY, not_after: NOW + YEAR_MS };
    assert.throws(() => chainMaterial(name), /does not name bravo.example/, name);
    refused(
      await found({ kind: MATERIAL.x509Chain, data: bindUnchecked(name, binding) }),
      /does not name bravo\.example/,
    );
  }
});

test('[EVID-11] attack: somebody else’s chain, or a binding made for another key or domain, is refused', async () => {
  refused(await chain('good', { rootKey: OTHER_KEY }), /bound to another root key/);
  refused(await chain('good', { notAfter: NOW }), /binding has expired/);
  const decoded = decodeX509Chain(chainMaterial('good', { rootKey: OTHER_KEY }).data);
  assert.ok(decoded.ok);
  const change = (changes: object) =>
    found({ kind: MATERIAL.x509Chain, data: encodeX509Chain({ ...decoded.value, ...changes }) });
  const binding = { domain: BRAVO, root_key: ROOT_KEY, not_after: NOW + YEAR_MS };
  refused(await change({ binding }), /not signed by the key of the leaf/);
  refused(await change({ binding: { ...binding, domain: ALPHA } }), /bound to alpha\.example/);
  refused(await change({ binding, signature: new Uint8Array() }), /not signed by the key of the leaf/);
  refused(await change({ binding, algorithm: 'rsa-pss-sha256' }), /the key of the leaf is another kind/);
  assert.throws(() => chainMaterial('good', { key: 'p384' }), /not the one of the first certificate/);
});

test('[EVID-14] a required policy must be valid for the whole path', async () => {
  const requires = (...policies: string[]) => [anchor({ policies })];
  const CASES: readonly (readonly [string, readonly string[], boolean])[] = [
    ['good', [POLICY_1], true],
    ['good', [POLICY_2], false],
    ['good', [POLICY_2, POLICY_1], true],
    ['policy-none', [POLICY_1], false],
    ['policy-other', [POLICY_1], false],
    ['policy-other', [POLICY_2], false], // the authority does not have it
    ['policy-gap', [POLICY_1], false],
    ['policy-any-ca', [POLICY_1], true], // where the library refuses
    ['policy-any-ca', [POLICY_2], false],
    ['policy-any-leaf', [POLICY_1], true],
    ['policy-any-inhibited', [POLICY_1], false],
    ['policy-any-once', [POLICY_1], true],
    ['policy-mapped', [POLICY_1], true],
    ['policy-mapped', [POLICY_2], false], // known to the authority below only
    ['policy-mapped-away', [POLICY_1], false],
    ['policy-mapping-inhibited', [POLICY_1], false], // where the library lets it pass
    ['policy-explicit-kept', [POLICY_1], true],
    ['policy-explicit', [POLICY_1], false],
  ];
  for (const [name, policies, holds] of CASES) {
    const finding = await chain(name, {}, requires(...policies));
    assert.equal(finding.result, holds ? 'held' : 'failed', `${name} ${policies.join()}: ${finding.detail}`);
    if (!holds) assert.match(finding.detail, /polic/i);
  }
  for (const name of ['policy-none', 'policy-gap', 'policy-other']) {
    assert.equal((await chain(name)).result, 'held', `${name}: nothing is required`);
  }
});

test('[EVID-15] the purpose of the anchor decides what a chain counts as', async () => {
  const results = async (purpose: TrustAnchor['purpose'], level: 'classified' | 'nato') => {
    const findings = await checkX509(
      world({ anchors: [anchor({ purpose })] }),
      question([chainMaterial('good')], { level }),
    );
    return ['organisation_identity', 'pki_chain'].map((kind) => {
      const finding = findingFor(findings, kind as EvidenceKind); // one of the two
      return finding.result === 'held' ? finding.method : finding.result;
    });
  };
  assert.deepEqual(await results('organisation', 'classified'), ['x509', 'failed']);
  assert.deepEqual(await results('pki', 'classified'), ['x509', 'x509']);
  assert.deepEqual(await results('nato', 'classified'), ['nato', 'nato']);
  assert.deepEqual(await results('pki', 'nato'), ['x509', 'failed']);
  assert.deepEqual(await results('nato', 'nato'), ['nato', 'nato']);
});

test('[EVID-15] the best of several anchors and chains counts, and the most telling refusal is shown', async () => {
  const anchors = [anchor({ file: 'root-other', name: 'Other' }), anchor({ policies: [POLICY_2] }), anchor()];
  assert.equal((await chain('good', {}, anchors)).result, 'held');
  refused(await chain('expired', {}, [anchor({ file: 'root-other' }), anchor()]), /expired on/);
  refused(await chain('good', {}, []), /the policy names no anchor/);
  const findings = await checkX509(
    world({ anchors: [anchor()] }),
    question([chainMaterial('expired'), chainMaterial('good')]),
  );
  assert.equal(findingFor(findings, 'pki_chain').result, 'held');
});

test('[EVID-13] who was not asked to, fetches nothing: only a chain that is valid otherwise is asked about', async () => {
  const asked: FetchQuestion[] = [];
  const fetch = async (one: FetchQuestion) => {
    asked.push(one);
    return undefined;
  };
  const check = (name: string, options?: ChainOptions) =>
    checkX509(
      world({ anchors: [anchor(), anchor({ purpose: 'nato' })] }, { fetch }),
      question([chainMaterial(name, options)]),
    );
  await check('where', { rootKey: OTHER_KEY });
  await check('where', { notAfter: NOW - 1 });
  assert.equal(asked.length, 0);
  await check('where');
  assert.deepEqual(
    asked.map(({ address }) => address),
    ['http://pki.bravo.example/root.crl', 'http://pki.bravo.example/sub.crl', 'http://ocsp.bravo.example/'],
  );
});

test('material that is damaged, oversize or missing is told apart', async () => {
  refused(await found({ kind: MATERIAL.x509Chain, data: new Uint8Array(10) }), /cannot be read/);
  refused(
    await found({ kind: MATERIAL.x509Chain, data: new TextEncoder().encode('{"certificates":[]}') }),
    /cannot be read/,
  );
  const many = Array.from({ length: 9 }, () => new Uint8Array(1));
  const decoded = decodeX509Chain(chainMaterial('good').data);
  assert.ok(decoded.ok);
  assert.throws(() => encodeX509Chain({ ...decoded.value, certificates: many }));
  const none = await checkX509(world({ anchors: [anchor()] }), question([]));
  assert.deepEqual(
    none.map(({ result }) => result),
    ['absent', 'absent'],
  );
});
