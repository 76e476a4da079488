import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeCrypto } from '@norc/crypto/node';
import { type EvidenceKind, utf8 } from '@norc/protocol/base';
import { defaultPolicy, domainProofText, type Finding, MATERIAL, type TrustPolicy } from '@norc/protocol/norc-t';
import { testOrganisation } from '@norc/testkit';
import { createEvidenceChecker } from './checker.ts';
import {
  anchor,
  BRAVO,
  chainMaterial,
  domainOf,
  findingFor,
  NOW,
  OTHER_KEY,
  question,
  ROOT_KEY,
  recommendedBy,
  SERVER_LIFE,
  statementBy,
  TRUSTED,
  world,
  YEAR_MS,
} from './evidence.fixture.ts';

const DOCUMENT = utf8('Charter of Bravo');
const HASH = nodeCrypto.blake3(DOCUMENT);
const PROVED = { trustTxt: async () => [domainProofText(ROOT_KEY)] };
const RESOLVER = { federationEndpoints: async () => [], trustWellKnown: async () => undefined, ...PROVED };
const rootKey = (domain: string) => (domain === TRUSTED.domain ? TRUSTED.root.publicKey : undefined);

async function check(
  material: Parameters<typeof question>[0],
  policy: Parameters<typeof world>[0] = {},
  changes: Parameters<typeof world>[1] = {},
): Promise<readonly Finding[]> {
  const checker = createEvidenceChecker(world(policy, { resolver: RESOLVER, rootKey, ...changes }));
  const findings = await checker.check(question(material));
  assert.ok(findings !== undefined);
  return findings;
}

/** The levels of the default policy with another least share of attested devices at classified. */
function attested(attestedPercentMin: number): TrustPolicy['levels'] {
  const { levels } = defaultPolicy();
  return { ...levels, classified: { ...levels.classified, attestedPercentMin } };
}

const results = (findings: readonly Finding[]) => findings.map(({ kind, result }) => `${kind} ${result}`);

test('[EVID-3] every kind has a finding, also when nothing was sent', async () => {
  assert.deepEqual(results(await check([])), [
    'domain_proof held',
    'organisation_identity absent',
    'pki_chain absent',
    'device_attestation absent',
    'recommendation absent',
    'compliance absent',
  ]);
});

test('[EVID-2] a name service that does not answer makes the whole question one to ask again', async () => {
  const faults: string[] = [];
  const silent = { ...RESOLVER, trustTxt: () => Promise.reject(new Error('no answer')) };
  const checker = createEvidenceChecker(world({}, { resolver: silent, onFault: (what) => void faults.push(what) }));
  assert.equal(await checker.check(question([])), undefined);
  assert.deepEqual(faults, ['domain_proof']);
});

test('[EVID-20] documents: whole, by hash, another one, and without a policy', async () => {
  const documents = new Map([[BRAVO, [OTHER_KEY, HASH]]]);
  const identity = async (kind: string, data: Uint8Array, policy = { documents }) =>
    findingFor(await check([{ kind, data }], policy), 'organisation_identity');
  const whole = await identity(MATERIAL.document, DOCUMENT);
  assert.deepEqual([whole.result, whole.method, whole.weight], ['held', 'documents', 1]);
  const hash = await identity(MATERIAL.documentHash, HASH);
  assert.deepEqual([hash.result, hash.weight], ['held', 0.5]);
  assert.equal((await identity(MATERIAL.document, utf8('Another'))).result, 'failed');
  assert.equal((await identity(MATERIAL.documentHash, HASH.subarray(1))).result, 'absent');
  assert.match((await identity(MATERIAL.document, DOCUMENT, { documents: new Map() })).detail, /names no document/);
  const others = new Map([[domainOf('charlie.example'), [HASH]]]);
  assert.equal((await identity(MATERIAL.document, DOCUMENT, { documents: others })).result, 'failed');
});

test('[EVID-20] a chain and documents both show the identity; each has its finding', async () => {
  const both = [chainMaterial('good'), { kind: MATERIAL.document, data: DOCUMENT }];
  const findings = await check(both, { anchors: [anchor()], documents: new Map([[BRAVO, [HASH]]]) });
  const found = findings.filter(({ kind }) => kind === 'organisation_identity').map(({ method }) => method);
  assert.deepEqual(found, ['x509', 'documents']);
});

test('[EVID-30] [EVID-40] [EVID-50] statements become findings with weight, hash and end', async () => {
  const policy = {
    recommenders: new Set([TRUSTED.domain]),
    compliance: [{ scheme: 'iso27001', statedBy: new Set([TRUSTED.domain]) }],
    levels: attested(80),
  };
  const material = [statementBy('recommendation'), statementBy('compliance'), statementBy('attestation')];
  const findings = await check(material, policy);
  const told = (kind: EvidenceKind) => {
    const { result, weight, detail, expiresAt } = findingFor(findings, kind);
    assert.equal(expiresAt, NOW + YEAR_MS / 2);
    return [result, weight, detail];
  };
  assert.deepEqual(told('recommendation'), ['held', 0.95, 'recommended up to classified by trusted.example']);
  assert.deepEqual(told('compliance'), ['held', 1, 'iso27001 is stated by trusted.example']);
  assert.deepEqual(told('device_attestation'), [
    'held',
    0.8,
    'own statement: devices attested: ios 100 %, windows 80 %',
  ]);
  assert.deepEqual(findingFor(findings, 'recommendation').hash, nodeCrypto.blake3(material[0]?.data ?? HASH));
});

test('[EVID-50] attack: where attested devices are required, a statement of fewer than the policy asks for is none', async () => {
  const found = async (levels: TrustPolicy['levels']) =>
    findingFor(await check([statementBy('attestation')], { levels }), 'device_attestation');
  for (const levels of [defaultPolicy().levels, attested(81)]) {
    const finding = await found(levels);
    const least = levels.classified.attestedPercentMin;
    const detail = `own statement: devices attested: ios 100 %, windows 80 %; the policy asks for ${least} %`;
    assert.deepEqual([finding.result, finding.weight, finding.detail], ['failed', 0, detail]);
  }
  assert.equal((await found(attested(80))).result, 'held');
});

test('[EVID-37] attack: one voice counts once, sent twice, said anew, or heard over two others', async () => {
  const charlie = testOrganisation('charlie.example', SERVER_LIFE);
  const delta = testOrganisation('delta.example', SERVER_LIFE);
  const keys = new Map([TRUSTED, charlie].map((one) => [one.domain, one.root.publicKey]));
  const policy = { recommenders: new Set([TRUSTED.domain, charlie.domain]) };
  const weights = async (...material: Parameters<typeof question>[0]) => {
    const findings = await check(material, policy, { rootKey: (domain) => keys.get(domain) });
    return findings.filter(({ kind }) => kind === 'recommendation').map(({ result, weight }) => [result, weight]);
  };
  const counts = ['held', 0.95];
  const not = ['failed', 0];
  const own = statementBy('recommendation');
  assert.deepEqual(await weights(own, own), [counts, not]);
  assert.deepEqual(await weights(recommendedBy([TRUSTED], 'verified'), own), [['failed', 0], counts]);
  assert.deepEqual(await weights(own, recommendedBy([TRUSTED], 'nato')), [counts, not]);
  assert.deepEqual(await weights(own, recommendedBy([charlie])), [counts, counts], 'two voices');
  const over = [recommendedBy([TRUSTED, delta]), recommendedBy([charlie, delta])];
  const two = [['held', 0.95 ** 2], not];
  assert.deepEqual(await weights(...over), two, 'delta is one voice');
  const renamed = testOrganisation('echo.example', SERVER_LIFE, 'delta.example');
  assert.deepEqual(
    await weights(over[0] ?? own, recommendedBy([charlie, renamed])),
    two,
    'so is its key by another name',
  );
  assert.deepEqual(await weights(recommendedBy([charlie, TRUSTED]), own), [not, counts], 'the shorter way counts');
});

test('[EVID-30] attack: when trust with a recommender ends, what it said ends too', async () => {
  const policy = { recommenders: new Set([TRUSTED.domain]) };
  const finding = findingFor(
    await check([statementBy('recommendation')], policy, { rootKey: () => undefined }),
    'recommendation',
  );
  assert.deepEqual([finding.result, finding.detail], ['failed', 'trusted.example is not trusted now']);
});

test('[EVID-4] attack: more material than is looked at, unknown kinds and rubbish harm nothing', async () => {
  const rubbish = Object.values(MATERIAL).flatMap((kind) =>
    Array.from({ length: 20 }, (_, i) => ({ kind, data: Uint8Array.of(i) })),
  );
  const findings = await check([...rubbish, { kind: 'horoscope', data: DOCUMENT }], { anchors: [anchor()] });
  assert.ok(findings.length < 40, String(findings.length));
  assert.equal(findings.filter(({ result }) => result === 'held').length, 1, 'the domain alone');
});
