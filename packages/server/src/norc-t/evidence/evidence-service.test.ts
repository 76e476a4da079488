import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { nodeCrypto } from '@norc/crypto/node';
import { type Domain, type Result, utf8 } from '@norc/protocol/base';
import {
  decodeRecommendation,
  decodeStatement,
  defaultPolicy,
  domainProofText,
  MATERIAL,
  RECOMMENDATION_HOPS_MAX,
  verifyCompliance,
  verifyRecommendation,
} from '@norc/protocol/norc-t';
import { testOrganisation } from '@norc/testkit';
import type { AuditEvent } from '../../services.ts';
import { openMemoryStore } from '../../storage/memory.ts';
import {
  anchor,
  BRAVO,
  chainMaterial,
  der,
  domainOf,
  findingFor,
  NOW,
  OTHER_KEY,
  question,
  ROOT_KEY,
  statementBy,
  TRUSTED,
  world,
  YEAR_MS,
} from './evidence.fixture.ts';
import { EvidenceService } from './evidence-service.ts';
import { MATERIAL_BYTES_MAX, MATERIAL_ITEM_BYTES_MAX } from './own-material.ts';
import type { FetchQuestion } from './web-fetch.ts';

const ACTOR = 'officer:test';
const LIFE = { not_before: NOW - YEAR_MS / 12, not_after: NOW + YEAR_MS };
const CHARLIE = testOrganisation('charlie.example', LIFE);

/** Bravo's evidence, or that of another organisation; it trusts trusted.example at classified and charlie at basic. */
async function service(t: TestContext, organisation = testOrganisation('bravo.example', LIFE), changes = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'norc-evidence-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const events: AuditEvent[] = [];
  const trusted = new Map([
    [TRUSTED.domain, { key: TRUSTED.root.publicKey, level: 'classified' }],
    [CHARLIE.domain, { key: CHARLIE.root.publicKey, level: 'basic' }],
  ] as const);
  const evidence = new EvidenceService({
    ...world({ recommenders: new Set([TRUSTED.domain]) }),
    ...{ self: organisation.domain, ownRootKey: organisation.root.publicKey, folder },
    signer: {
      algorithm: 'ed25519',
      publicKey: organisation.server.publicKey,
      sign: async (message) => nodeCrypto.ed25519.sign(organisation.server.privateKey, message),
    },
    certificate: organisation.certificate.bytes,
    rootKey: (domain) => trusted.get(domain)?.key,
    level: (domain) => trusted.get(domain)?.level ?? 'untrusted',
    audit: { commit: async () => ({ ok: true }), note: (event) => void events.push(event) },
    ...changes,
  });
  return { evidence, folder, events };
}

function refused(result: Result<unknown>, reason: RegExp): void {
  assert.ok(!result.ok, 'must be refused');
  assert.match(`${result.error.code} ${result.error.detail}`, reason);
}

test('[EVID-60] what is added is kept in its place, and shown to others', async (t) => {
  const { evidence, folder, events } = await service(t);
  assert.deepEqual(evidence.list(), []);
  const all = [
    chainMaterial('good'),
    ...(['attestation', 'compliance', 'recommendation'] as const).map((kind) => statementBy(kind)),
  ];
  for (const { data } of all) assert.ok((await evidence.add(data, ACTOR)).ok);
  await mkdir(join(folder, 'documents'));
  await writeFile(join(folder, 'documents', 'charter.pdf'), 'Charter');
  const listed = evidence.list();
  assert.deepEqual(
    listed.map(({ file, title }) => `${file}: ${title}`),
    [
      'x509-chain.json: X.509 chain of 2, CN Bravo',
      'attestation.json: devices attested: ios 100 %, windows 80 %',
      'compliance/trusted.example-iso27001.json: iso27001 stated by trusted.example',
      'recommendations/trusted.example.json: recommended up to classified by trusted.example',
      'documents/charter.pdf: document',
    ],
  );
  assert.deepEqual(evidence.material(), [...all, { kind: MATERIAL.document, data: utf8('Charter') }]);
  assert.equal(listed[0]?.expiresAt, NOW + YEAR_MS);
  assert.equal((await stat(join(folder, 'x509-chain.json'))).mode & 0o777, 0o600);
  assert.deepEqual(events[0]?.detail, { action: 'evidence_added', what: 'x509_chain' });
  assert.deepEqual(
    (await readdir(folder)).filter((name) => name.endsWith('.new')),
    [],
  );
});

test('[EVID-61] what is not about us, not in date, not signed or too large is not kept', async (t) => {
  const { evidence } = await service(t);
  const about = (domain: typeof BRAVO, rootKey: Uint8Array) => statementBy('recommendation', { domain, rootKey }).data;
  refused(await evidence.add(about(CHARLIE.domain, ROOT_KEY), ACTOR), /about charlie/);
  refused(await evidence.add(about(BRAVO, OTHER_KEY), ACTOR), /another root key than ours/);
  refused(await evidence.add(chainMaterial('good', { rootKey: OTHER_KEY }).data, ACTOR), /another root key/);
  refused(await evidence.add(chainMaterial('good', { notAfter: NOW }).data, ACTOR), /expired/);
  refused(await evidence.add(utf8('{}'), ACTOR), /no evidence material/);
  refused(await evidence.add(new Uint8Array(MATERIAL_ITEM_BYTES_MAX + 1), ACTOR), /limit_exceeded/);
  const late = await service(t, undefined, { clock: { now: () => NOW + YEAR_MS } });
  refused(await late.evidence.add(statementBy('compliance').data, ACTOR), /expired/);
  const decoded = decodeStatement(statementBy('compliance').data);
  assert.ok(decoded.ok);
  const text = Buffer.from(statementBy('compliance').data).toString();
  const other = Buffer.from(CHARLIE.certificate.bytes).toString('base64url');
  const swapped = text.replace(Buffer.from(decoded.value.certificate).toString('base64url'), other);
  refused(await evidence.add(utf8(swapped), ACTOR), /another one’s/);
});

test('[EVID-62] a damaged, misplaced or oversize file is named, and keeps nobody from seeing the rest', async (t) => {
  const { evidence, folder } = await service(t);
  await evidence.add(statementBy('attestation').data, ACTOR);
  await writeFile(join(folder, 'x509-chain.json'), 'damaged');
  await mkdir(join(folder, 'recommendations'));
  await writeFile(join(folder, 'recommendations', 'big.json'), new Uint8Array(MATERIAL_ITEM_BYTES_MAX + 1));
  await writeFile(join(folder, 'recommendations', 'wrong.json'), statementBy('compliance').data);
  await writeFile(join(folder, 'recommendations', '.hidden'), 'x');
  const faults = evidence.list().flatMap(({ file, fault }) => (fault === undefined ? [] : [`${file}: ${fault}`]));
  assert.deepEqual(faults, [
    'x509-chain.json: this is no evidence material that is known',
    'recommendations/big.json: the file is too large',
    'recommendations/wrong.json: this is material of kind compliance_statement',
  ]);
  assert.deepEqual(
    evidence.material().map(({ kind }) => kind),
    [MATERIAL.attestation],
  );
});

test('[EVID-63] a message has room for so much: documents go as hashes, what is left over is named', async (t) => {
  const { evidence, folder } = await service(t);
  await mkdir(join(folder, 'documents'));
  await writeFile(join(folder, 'documents', 'a'), new Uint8Array(30_000));
  await writeFile(join(folder, 'documents', 'b'), new Uint8Array(10_000).fill(1));
  await writeFile(join(folder, 'documents', 'c'), new Uint8Array(100_000).fill(2));
  for (let i = 0; i < 20; i += 1) await writeFile(join(folder, 'documents', `d${i}`), `document ${i}`);
  const material = evidence.material();
  assert.deepEqual(
    material.slice(0, 3).map(({ kind }) => kind),
    ['document', 'document_hash', 'document_hash'],
  );
  assert.deepEqual(material[2]?.data, nodeCrypto.blake3(new Uint8Array(100_000).fill(2)));
  assert.equal(material.length, 16);
  assert.ok(material.reduce((sum, { data }) => sum + data.length, 0) <= MATERIAL_BYTES_MAX);
  assert.equal(evidence.list().filter(({ fault }) => fault?.includes('no room')).length, 7);
});

test('[EVID-64] a vouch says no more than we would grant, and its subject can show it', async (t) => {
  const { evidence, events } = await service(t);
  const terms = { peer: TRUSTED.domain, days: 30 };
  const made = await evidence.vouch({ ...terms, level: 'verified', note: 'since 2020' }, ACTOR);
  assert.ok(made.ok);
  const decoded = decodeRecommendation(made.value);
  assert.ok(decoded.ok);
  const subject = { domain: TRUSTED.domain, rootKey: TRUSTED.root.publicKey };
  const view = {
    ...{ self: domainOf('delta.example'), subject, now: NOW, rootKey: () => ROOT_KEY, level: 'verified' as const },
    ...{ recommenders: new Set([BRAVO]), blocked: new Set<never>() },
  };
  const checked = verifyRecommendation(nodeCrypto, decoded.value, view);
  assert.ok(checked.ok, checked.ok ? '' : checked.error.detail);
  assert.equal(checked.value.expiresAt, NOW + 30 * 86_400_000);
  assert.equal(events.at(-1)?.detail?.['action'], 'evidence_vouch');
  refused(await evidence.vouch({ ...terms, level: 'nato' }, ACTOR), /insufficient_trust/);
  refused(await evidence.vouch({ ...terms, peer: domainOf('nobody.example'), level: 'basic' }, ACTOR), /not_trusted/);
  refused(await evidence.vouch({ ...terms, level: 'basic', days: 400 }, ACTOR), /malformed .* longer than 366/);
});

test('[EVID-31] a recommendation is passed on from hand to hand, as far as four', async (t) => {
  const delta = domainOf('delta.example');
  const subject = { domain: delta, rootKey: OTHER_KEY };
  let chain = statementBy('recommendation', subject).data;
  let last = TRUSTED;
  for (let hops = 2; hops <= RECOMMENDATION_HOPS_MAX + 1; hops += 1) {
    const own = testOrganisation(`hop${hops}.example`, LIFE);
    const before = last;
    const policy = () => ({ ...world().policy(), recommenders: new Set([before.domain]) });
    const rootKey = (domain: string) => (domain === before.domain ? before.root.publicKey : undefined);
    const { evidence } = await service(t, own, { policy, rootKey });
    const made = await evidence.vouch({ peer: delta, days: 30, level: 'basic', passOn: chain }, ACTOR);
    if (hops > RECOMMENDATION_HOPS_MAX) return refused(made, /too many hops/);
    assert.ok(made.ok, made.ok ? '' : made.error.detail);
    const decoded = decodeRecommendation(made.value);
    assert.ok(decoded.ok);
    const view = {
      ...{ self: BRAVO, subject, now: NOW, level: 'basic' as const, blocked: new Set<never>() },
      ...{ recommenders: new Set([own.domain]), rootKey: () => own.root.publicKey },
    };
    // Only the first is known to whoever reads it.
    const known = { ...view, rootKey: (domain: string) => (domain === own.domain ? own.root.publicKey : undefined) };
    const checked = verifyRecommendation(nodeCrypto, decoded.value, known);
    assert.ok(checked.ok, checked.ok ? '' : checked.error.detail);
    assert.equal(checked.value.recommenders.length, hops);
    chain = made.value;
    last = own;
  }
  assert.fail('the last one must be refused');
});

test('[EVID-31] nobody passes on what they would not believe themselves', async (t) => {
  const { evidence } = await service(t);
  const delta = domainOf('delta.example');
  const chain = statementBy('recommendation', { domain: delta, rootKey: OTHER_KEY }).data;
  const terms = { peer: delta, days: 30, passOn: chain };
  refused(await evidence.vouch({ ...terms, level: 'nato' }, ACTOR), /recommends for classified at most/);
  refused(await evidence.vouch({ ...terms, peer: CHARLIE.domain, level: 'basic' }, ACTOR), /about delta/);
  const strict = await service(t, undefined, { rootKey: () => undefined });
  refused(await strict.evidence.vouch({ ...terms, level: 'basic' }, ACTOR), /not trusted now/);
});

test('[EVID-40] a compliance statement is about a partner that we trust', async (t) => {
  const { evidence } = await service(t);
  const terms = { peer: CHARLIE.domain, days: 30, scheme: 'iso27001', scope: 'hosting' };
  const made = await evidence.state({ ...terms, document: new Uint8Array(32) }, ACTOR);
  assert.ok(made.ok);
  const decoded = decodeStatement(made.value);
  assert.ok(decoded.ok);
  const checked = verifyCompliance(nodeCrypto, decoded.value, {
    ...{ self: TRUSTED.domain, subject: { domain: CHARLIE.domain, rootKey: CHARLIE.root.publicKey }, now: NOW },
    ...{ rootKey: () => ROOT_KEY, rules: [{ scheme: 'iso27001', statedBy: new Set([BRAVO]) }] },
  });
  assert.ok(checked.ok, checked.ok ? '' : checked.error.detail);
  refused(await evidence.state({ ...terms, peer: domainOf('nobody.example') }, ACTOR), /not_trusted/);
});

test('[EVID-50] an attestation is signed and kept', async (t) => {
  const { evidence } = await service(t);
  const platforms = [{ platform: 'ios', attested_percent: 90 }];
  const kept = await evidence.attest({ platforms, policy: new Uint8Array(32), days: 90 }, ACTOR);
  assert.ok(kept.ok);
  assert.equal(kept.value.title, 'devices attested: ios 90 %');
  assert.equal(evidence.material().length, 1);
  refused(await evidence.attest({ platforms: [], policy: new Uint8Array(32), days: 90 }, ACTOR), /names a platform/);
});

test('[EVID-65] the root key of a domain: the pinned one, else the only one that it names', async (t) => {
  const named = async (lines: readonly string[], file?: string) => {
    const resolver = {
      ...world().resolver,
      trustTxt: async () => lines,
      trustWellKnown: async () => file,
    };
    return (await service(t, undefined, { resolver })).evidence;
  };
  const proofs = [domainProofText(ROOT_KEY), domainProofText(OTHER_KEY)];
  const key = async (evidence: EvidenceService, domain = 'delta.example') => {
    const found = await evidence.rootKeyOf(domainOf(domain));
    return found.ok ? found.value : found.error.detail;
  };
  assert.deepEqual(await key(await named(proofs), TRUSTED.domain), TRUSTED.root.publicKey);
  assert.deepEqual(await key(await named(['other', proofs[1] ?? ''])), OTHER_KEY);
  assert.deepEqual(await key(await named([], proofs[1])), OTHER_KEY);
  assert.equal(await key(await named(proofs)), 'the domain names several root keys');
  assert.equal(await key(await named([])), 'the domain names no root key');
  const silent = { ...world().resolver, trustTxt: () => Promise.reject(new Error('silent')) };
  const { evidence } = await service(t, undefined, { resolver: silent });
  assert.equal(await key(evidence), 'the name service does not answer');
});

test('[EVID-66] chains of a partner in force are asked about again; one that was revoked since is told', async (t) => {
  const published: Record<string, string> = {
    'http://pki.bravo.example/root.crl': 'root.crl',
    'http://pki.bravo.example/sub.crl': 'sub-where.crl',
  };
  const pinned: { bravo?: Uint8Array } = {};
  const store = openMemoryStore();
  const { evidence } = await service(t, testOrganisation('alpha.example', LIFE), {
    store,
    resolver: { ...world().resolver, trustTxt: async () => [domainProofText(ROOT_KEY), domainProofText(OTHER_KEY)] },
    fetch: async ({ address }: FetchQuestion) => {
      const name = published[address];
      return name === undefined ? undefined : der(name);
    },
    policy: () => defaultPolicy({ anchors: [anchor({ revocationUnknown: 'fail' })] }),
    rootKey: (domain: Domain) => (domain === BRAVO ? pinned.bravo : undefined),
    level: () => (pinned.bravo === undefined ? 'untrusted' : 'classified'),
  });
  const shown = question([chainMaterial('where')]);
  const before = await evidence.checkPartner(shown);
  assert.equal(findingFor(before ?? [], 'pki_chain').result, 'held');
  assert.equal((await evidence.recheck(BRAVO)).state, 'none', 'no partner yet');
  pinned.bravo = ROOT_KEY;
  assert.equal((await evidence.recheck(BRAVO)).state, 'held');
  // Whoever has another certificate of the domain shows it with another key: it takes nobody's place.
  const other = { domain: BRAVO, root_key: OTHER_KEY, server_certificates: [] };
  await evidence.checkPartner(question([chainMaterial('where', { rootKey: OTHER_KEY })], { peer: other }));
  assert.equal((await evidence.recheck(BRAVO)).state, 'held');
  published['http://pki.bravo.example/root.crl'] = 'root-revoked-where.crl';
  const revoked = await evidence.recheck(BRAVO);
  assert.equal(revoked.state, 'revoked');
  assert.match(revoked.detail, /CN Sub CA Where\) was revoked on 2026-09-01/);
  delete published['http://pki.bravo.example/root.crl'];
  assert.equal((await evidence.recheck(BRAVO)).state, 'failed', 'silence is no word that it was revoked');
  assert.equal((await store.read.trustRecords('chain')).length, 2, 'no more is kept, however much is shown');
});

test('[EVID-66] a look without an exchange keeps nothing, and neither does a chain that does not hold', async (t) => {
  const store = openMemoryStore();
  const { evidence } = await service(t, testOrganisation('alpha.example', LIFE), {
    store,
    policy: () => defaultPolicy({ anchors: [anchor()] }),
  });
  await evidence.check(question([chainMaterial('good')]));
  await evidence.checkPartner(question([chainMaterial('good', { rootKey: OTHER_KEY }), chainMaterial('expired')]));
  assert.deepEqual(await store.read.trustRecords('chain'), []);
});

test('[EVID-62] a folder that cannot be read is named, and the rest is read', async (t) => {
  const { evidence, folder } = await service(t);
  await evidence.add(statementBy('attestation').data, ACTOR);
  await writeFile(join(folder, 'documents'), 'no folder');
  const faults = evidence.list().flatMap(({ file, fault }) => (fault === undefined ? [] : [`${file}: ${fault}`]));
  assert.deepEqual(faults, ['documents: it cannot be read (ENOTDIR)']);
  assert.equal(evidence.material().length, 1);
});
