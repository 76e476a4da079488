import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:https';
import { type TestContext, test } from 'node:test';
import { nodeCrypto } from '@norc/crypto/node';
import { domainProofText } from '@norc/protocol/norc-t';
import { IDENTITY, WORLD } from '../../transport/device-test-support.ts';
import { DnsResolver } from '../../transport/dns-resolver.ts';
import { startDns, type Zone } from '../../transport/dns-test-server.ts';
import { checkDomain } from './domain.ts';
import { ALPHA, NOW, OTHER_KEY, question, ROOT_KEY, world } from './evidence.fixture.ts';

/** A real resolver asks a name server and a web server on loopback. */

const NAME = '_norc-trust.alpha.example';
const PROOF = domainProofText(ROOT_KEY);
const OTHER_PROOF = domainProofText(OTHER_KEY);
const PQ_KEY = new Uint8Array(1952).fill(7);
const HOME = { address: { 'alpha.example': ['127.0.0.1'] } };
const ABOUT_ALPHA = question([], { peer: { domain: ALPHA, root_key: ROOT_KEY, server_certificates: [] } });

async function web(t: TestContext, body: string): Promise<number> {
  const server = createServer({ key: IDENTITY.keyPem, cert: IDENTITY.certPem }, (_request, response) =>
    response.end(body),
  ).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  return address.port;
}

async function check(
  t: TestContext,
  zone: Zone,
  { body, isStatic = false }: { body?: string; isStatic?: boolean } = {},
) {
  const faults: unknown[] = [];
  const port = body === undefined ? 1 : await web(t, body);
  const resolver = new DnsResolver({
    ...{ servers: [await startDns(t, zone)], random: WORLD.random, timeoutMs: 100, tries: 1, allowed: () => true },
    wellKnown: { port, ca: IDENTITY.certPem },
  });
  const onFault = (_what: string, error: unknown) => void faults.push(error);
  const finding = await checkDomain(world({}, { resolver, onFault, isStatic: () => isStatic }), ABOUT_ALPHA);
  return { finding, faults };
}

test('[EVID-1] a TXT record names the root key, among others and in parts', async (t) => {
  const parts = [PROOF.slice(0, 20), PROOF.slice(20)];
  const { finding } = await check(t, { ...HOME, txt: { [NAME]: [['v=spf1 -all'], [OTHER_PROOF], parts] } });
  assert.equal(finding?.result, 'held');
  assert.equal(finding.method, 'dns');
  assert.equal(finding.weight, 1);
  assert.equal(finding.checkedAt, NOW);
  assert.equal(finding.hash?.length, 32);
});

test('[EVID-1] without a record, the file on the domain’s own web server counts', async (t) => {
  const { finding } = await check(t, HOME, { body: `# ours\n${OTHER_PROOF}\n${PROOF}\n` });
  assert.equal(finding?.result, 'held');
  assert.equal(finding.method, 'https');
});

test('[EVID-1] what the operator wrote down is named as such', async (t) => {
  const { finding } = await check(t, { ...HOME, txt: { [NAME]: [[PROOF]] } }, { isStatic: true });
  assert.equal(finding?.method, 'static');
});

test('[EVID-1] attack: where DNS names another key, the web server cannot name ours', async (t) => {
  const { finding } = await check(t, { ...HOME, txt: { [NAME]: [[OTHER_PROOF]] } }, { body: PROOF });
  assert.deepEqual([finding?.result, finding?.method], ['failed', 'dns']);
  assert.equal(finding?.detail, 'DNS: the domain names another root key');
});

test('[EVID-1] attack: where the operator wrote down another key, or nothing that names one, the web server is not asked', async (t) => {
  for (const text of [OTHER_PROOF, 'norc-trust=v1; root=misspelt']) {
    const zone = { ...HOME, txt: { [NAME]: [[text]] } };
    const { finding } = await check(t, zone, { isStatic: true, body: PROOF });
    assert.deepEqual([finding?.result, finding?.method], ['failed', 'static']);
    assert.match(finding?.detail ?? '', /^the configuration: the domain names (no|another) root key$/);
  }
});

test('[EVID-1] attack: a web server that leaves out the post-quantum key cannot undo what DNS says of it', async (t) => {
  const withPq = domainProofText(ROOT_KEY, nodeCrypto.blake3(PQ_KEY));
  const { finding } = await check(t, { ...HOME, txt: { [NAME]: [[withPq]] } }, { body: PROOF });
  assert.equal(finding?.detail, 'DNS: the domain names another post-quantum root key');
  const both = await check(t, { ...HOME, txt: { [NAME]: [[PROOF], [withPq]] } });
  assert.equal(both.finding?.result, 'failed', 'named in one line is named');
});

test('[EVID-1] the file counts where DNS has other texts only; one that names another key is told', async (t) => {
  const zone = { ...HOME, txt: { [NAME]: [['v=spf1 -all']] } };
  assert.equal((await check(t, zone, { body: PROOF })).finding?.method, 'https');
  const { finding } = await check(t, zone, { body: OTHER_PROOF });
  assert.equal(finding?.detail, 'DNS: the domain names no root key; HTTPS: the domain names another root key');
});

test('[EVID-1] a domain that says nothing fails; it is no fault', async (t) => {
  const { finding, faults } = await check(t, HOME);
  assert.equal(finding?.result, 'failed');
  assert.equal(finding.detail, 'DNS: the domain names no root key; HTTPS: no answer');
  assert.equal(faults.length, 0);
});

test('[EVID-2] a name service that is silent or broken says nothing about the domain: ask again', async (t) => {
  for (const trouble of [{ silent: [NAME] }, { broken: [NAME] }, { broken: ['alpha.example'] }]) {
    const { finding, faults } = await check(t, { ...HOME, ...trouble });
    assert.equal(finding, undefined);
    assert.equal(faults.length, 1);
  }
});
