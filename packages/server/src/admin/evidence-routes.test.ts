import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeCrypto } from '@norc/crypto/node';
import { ok, type Result, reject, toBase64Url } from '@norc/protocol/base';
import type { EvidenceQuestion, Finding } from '@norc/protocol/norc-t';
import { chainMaterial, NOW, ROOT_KEY, statementBy } from '../norc-t/evidence/evidence.fixture.ts';
import type { OrgNode } from '../org-node.ts';
import { evidenceRoutes } from './evidence-routes.ts';
import { AdminInputError } from './router.ts';

/** What a route asked the service for. */
type Call = readonly [name: string, terms: unknown];

function routesOver(answers: Readonly<Record<string, unknown>>) {
  const calls: Call[] = [];
  const evidence = new Proxy({} as OrgNode['evidence'], {
    get: (_, name) => (terms: unknown) => {
      calls.push([String(name), terms]);
      return answers[String(name)];
    },
  });
  const routes = evidenceRoutes({ evidence });
  const ask = async (path: string, fields: Readonly<Record<string, unknown>> = {}): Promise<Result<object>> => {
    const route = routes.find((one) => one.path === path);
    assert.ok(route !== undefined, path);
    const optionalText = (name: string) => fields[name] as string | undefined; // as the router gives it
    return await route.run({
      optionalText,
      text(name) {
        const text = optionalText(name);
        if (text === undefined) throw new AdminInputError(`${name} is missing`);
        return text;
      },
      optionalCount: (name) => fields[name] as number | undefined, // as the router gives it
    });
  };
  return { ask, calls };
}

const KEPT = ok({ kind: 'x509_chain', name: 'x', title: 'a chain', expiresAt: NOW });

test('own evidence is listed and added', async () => {
  const own = { file: 'x509-chain.json', kind: 'x509_chain', title: 'a chain', expiresAt: NOW };
  const { ask, calls } = routesOver({ list: [own], add: KEPT });
  assert.deepEqual(
    await ask('/evidence'),
    ok({ evidence: [{ file: own.file, kind: own.kind, title: own.title, expires_at: NOW, fault: undefined }] }),
  );
  assert.deepEqual(
    await ask('/evidence/add', { material: 'AQI' }),
    ok({ kind: 'x509_chain', title: 'a chain', expires_at: NOW }),
  );
  assert.deepEqual(calls.at(-1), ['add', Uint8Array.of(1, 2)]);
  await assert.rejects(ask('/evidence/add', { material: 'not base64 !' }), AdminInputError);
  await assert.rejects(ask('/evidence/add'), /material is missing/);
});

test('statements about others are made with the terms that were asked for', async () => {
  const made = ok(Uint8Array.of(9));
  const { ask, calls } = routesOver({ vouch: made, state: made, attest: KEPT });
  assert.deepEqual(
    await ask('/evidence/vouch', { peer: 'Bravo.Example', level: 'verified', days: 30, note: 'n' }),
    ok({ material: 'CQ' }),
  );
  assert.deepEqual(calls.at(-1), ['vouch', { peer: 'bravo.example', level: 'verified', days: 30, note: 'n' }]);
  const document = toBase64Url(new Uint8Array(32));
  await ask('/evidence/state', { peer: 'bravo.example', scheme: 's', scope: 'x', document });
  assert.deepEqual(calls.at(-1), [
    'state',
    { peer: 'bravo.example', scheme: 's', scope: 'x', days: 180, document: new Uint8Array(32) },
  ]);
  await ask('/evidence/attest', { platforms: 'ios=100, linux=5', policy: document });
  assert.deepEqual(calls.at(-1)?.[1], {
    platforms: [
      { platform: 'ios', attested_percent: 100 },
      { platform: 'linux', attested_percent: 5 },
    ],
    policy: new Uint8Array(32),
    days: 180,
  });
  for (const platforms of ['ios', 'ios=101', 'ios=-1', 'IOS=1', 'ios=1;linux=2', '']) {
    await assert.rejects(ask('/evidence/attest', { platforms, policy: document }), AdminInputError, platforms);
  }
  await assert.rejects(ask('/evidence/attest', { platforms: 'ios=1', policy: 'AQ' }), /BLAKE3/);
  await assert.rejects(ask('/evidence/vouch', { peer: 'no domain', level: 'basic' }), AdminInputError);
  await assert.rejects(ask('/evidence/vouch', { peer: 'bravo.example', level: 'highest' }), /none of basic/);
  await assert.rejects(ask('/evidence/vouch', { peer: 'bravo.example', level: 'basic', days: 0 }), /days/);
});

test('a check finds the root key, and tells material by its form', async () => {
  const finding: Finding = {
    kind: 'domain_proof',
    result: 'held',
    method: 'dns',
    weight: 1,
    checkedAt: NOW,
    detail: 'd',
  };
  const { ask, calls } = routesOver({ rootKeyOf: ok(ROOT_KEY), check: [finding] });
  const material = [
    chainMaterial('good'),
    statementBy('recommendation'),
    statementBy('compliance'),
    statementBy('attestation'),
    { kind: 'document', data: Uint8Array.of(1) },
  ];
  const texts = material.map(({ data }) => toBase64Url(data)).join(',');
  const checked = await ask('/evidence/check', { peer: 'bravo.example', level: 'classified', material: texts });
  assert.ok(checked.ok);
  const question = calls.at(-1)?.[1] as EvidenceQuestion; // what `check` was called with
  assert.deepEqual(question.material, material);
  assert.equal(question.level, 'classified');
  assert.match(
    JSON.stringify(checked.value),
    /"findings":\[\{"kind":"domain_proof","result":"held","method":"dns","weight":1,"detail":"d"\}\]/,
  );
  assert.equal(nodeCrypto.equal(question.peer.root_key, ROOT_KEY), true);
  const many = Array.from({ length: 9 }, () => 'AQ').join(',');
  await assert.rejects(ask('/evidence/check', { peer: 'bravo.example', material: many }), /more than 8/);
  const silent = routesOver({ rootKeyOf: ok(ROOT_KEY), check: undefined });
  assert.deepEqual(
    await silent.ask('/evidence/check', { peer: 'bravo.example' }),
    reject('no_route', 'the name service does not answer'),
  );
  const unknown = routesOver({ rootKeyOf: reject('evidence_rejected', 'the domain names no root key') });
  assert.equal((await unknown.ask('/evidence/check', { peer: 'bravo.example' })).ok, false);
});
