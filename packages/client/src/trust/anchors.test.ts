import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeCrypto } from '@norc/crypto/node';
import { createMlsEngine } from '@norc/mls';
import { createNodeMlsProvider } from '@norc/mls/node';
import { type Domain, type Result, reject } from '@norc/protocol/base';
import { draftServerCertificate, signDocumentWith } from '@norc/protocol/crypto';
import type { NorcCBody } from '@norc/protocol/norc-c';
import * as testkit from '@norc/testkit';
import { type Answer, type Asking, type AskType, failure } from '../session/ask.ts';
import { memoryStore } from '../store/index.ts';
import { ManualTime } from '../testing/manual-time.ts';
import { standardWorld } from '../testing/standard-world.ts';
import { TrustAnchors } from './anchors.ts';

const alpha = testkit.testOrganisation('alpha.example');
const bravo = testkit.testOrganisation('bravo.example');
const echo = testkit.testOrganisation('echo.example');
const bravoName = bravo.domain;
const DAY_MS = 86_400_000;

type OrgAnswer = NorcCBody<'org_response'>;

function answerWith(issuer: typeof alpha, subject: typeof alpha, changes = {}): OrgAnswer {
  const { document } = testkit.testTrustCertificate(issuer, subject, changes);
  const issuer_certificate = issuer.certificate.bytes;
  return { domain: subject.domain, level: 'basic', trust_certificate: document.bytes, issuer_certificate };
}

/** Anchors of a device of alpha, whose server says what the test says. */
function anchorsWith(store = memoryStore(), time = new ManualTime(testkit.TEST_EPOCH)) {
  const forged: string[] = [];
  const asked: Domain[] = [];
  const server: { says: OrgAnswer | 'nothing' | 'refused' } = { says: 'nothing' };
  const request = async <T extends AskType>(_type: T, body: NorcCBody<T>): Promise<Answer<T>> => {
    asked.push((body as NorcCBody<'org_request'>).domain);
    if (server.says === 'nothing') return failure('unsent', { code: 'no_route', detail: 'test' });
    if (server.says === 'refused') return failure('refused', { code: 'rate_limited', detail: 'test' });
    return { ok: true, value: server.says } as Answer<T>; // only org_request is asked here
  };
  const session = { isReady: true, request } as unknown as Asking; // the rest is not used
  const anchors = new TrustAnchors({
    ...{ crypto: nodeCrypto, clock: time, store, session, own: alpha.pinned },
    onForged: (org, detail) => forged.push(`${org}: ${detail}`),
  });
  return { anchors, server, forged, asked, store, time };
}

const codeOf = (result: Result<unknown>) => (result.ok ? 'accepted' : result.error.code);

test('the own organisation is pinned; another one is believed from a certificate that the own one issued', async () => {
  const { anchors, server, asked, forged } = anchorsWith();
  assert.deepEqual(await anchors.pinned(alpha.domain), { ok: true, value: alpha.pinned });
  server.says = answerWith(alpha, bravo);
  const known = await anchors.organisation(bravoName);
  assert.ok(known.ok);
  assert.deepEqual([known.value.rootKey, known.value.level], [bravo.root.publicKey, 'basic']);
  await anchors.organisation(bravoName);
  assert.deepEqual(asked, [bravoName], 'the answer is good for a while');
  assert.deepEqual(forged, []);
});

test('a certificate by anybody else, about anybody else, or out of date is refused and reported', async () => {
  const { rootKey: _root, ...rest } = { rootKey: undefined, ...answerWith(alpha, bravo) };
  const cases: readonly OrgAnswer[] = [
    answerWith(bravo, alpha),
    { ...answerWith(echo, bravo), domain: bravoName },
    { ...answerWith(alpha, echo), domain: bravoName },
    answerWith(alpha, echo),
    { ...rest, trust_certificate: new Uint8Array([123, 125]) },
    { ...rest, trust_certificate: testkit.resigned(rest.trust_certificate ?? new Uint8Array(), echo, {}) },
    answerWith(alpha, bravo, { not_before: testkit.TEST_EPOCH + DAY_MS }),
  ];
  for (const says of cases) {
    const { anchors, server, forged } = anchorsWith();
    server.says = says;
    assert.equal(codeOf(await anchors.organisation(bravoName)), 'certificate_invalid');
    assert.equal(forged.length, 1);
  }
});

test('no certificate is no trust, and a server that cannot be asked is no verdict', async () => {
  const { anchors, server, forged } = anchorsWith();
  server.says = { domain: bravoName, level: 'untrusted' };
  assert.equal(codeOf(await anchors.organisation(bravoName)), 'not_trusted');
  server.says = 'nothing';
  assert.equal(codeOf(await anchors.organisation(bravoName)), 'no_route');
  server.says = 'refused';
  assert.equal(codeOf(await anchors.organisation(bravoName)), 'rate_limited');
  assert.deepEqual(forged, []);
});

test('what was learned outlives a restart and a dead connection, until the certificate ends', async () => {
  const first = anchorsWith();
  first.server.says = answerWith(alpha, bravo);
  assert.ok((await first.anchors.organisation(bravoName)).ok);
  const again = anchorsWith(first.store, first.time);
  assert.ok((await again.anchors.organisation(bravoName)).ok);
  assert.deepEqual(again.asked, [bravoName], 'asked first');
  await first.time.advance(91 * DAY_MS, async () => undefined);
  assert.equal(codeOf(await again.anchors.organisation(bravoName)), 'no_route');
});

test('a root key never changes by itself, not even after trust was withdrawn', async () => {
  const { anchors, server, forged, time } = anchorsWith();
  server.says = answerWith(alpha, bravo);
  assert.ok((await anchors.organisation(bravoName)).ok);
  await time.advance(DAY_MS, async () => undefined);
  server.says = { domain: bravoName, level: 'untrusted' };
  assert.equal(codeOf(await anchors.organisation(bravoName)), 'not_trusted');
  server.says = 'nothing';
  assert.equal(codeOf(await anchors.organisation(bravoName)), 'no_route', 'withdrawn trust is not remembered as trust');
  // The own organisation trusts somebody under the same name, with all signatures in order.
  server.says = answerWith(alpha, impostor());
  assert.equal(codeOf(await anchors.organisation(bravoName)), 'certificate_invalid');
  assert.deepEqual(forged, ['bravo.example: subject or its root key']);
  server.says = answerWith(alpha, bravo);
  assert.ok((await anchors.organisation(bravoName)).ok);
});

/** Another organisation under bravo's name. */
function impostor(): typeof bravo {
  const { root, server } = echo;
  const body = { ...bravo.certificate.body, public_key: server.publicKey };
  const certificate = signDocumentWith(nodeCrypto, draftServerCertificate(body), root);
  return { ...bravo, root, server, certificate, pinned: { org: bravoName, rootKey: root.publicKey } };
}

test('a ghost device, certified by nobody whom its organisation knows, is left out and reported', async () => {
  const world = standardWorld(testkit, { seed: 'ghost' });
  const anna = await world.device('anna@alpha.example');
  const bruno = await world.device('bruno@bravo.example');
  const ghost = testkit.testDevice(echo, 'eve', 'ghost');
  const engine = createMlsEngine({
    provider: createNodeMlsProvider(nodeCrypto),
    clock: world.time,
    verifyCredential: async () => reject('credential_invalid', 'not asked'),
  });
  const { keyPackage } = await engine.createKeyPackage({
    identity: {
      certificates: [ghost.chain.certificate, ghost.chain.issuer],
      signPrivateKey: ghost.keys.privateKey,
      publicKey: ghost.keys.publicKey,
    },
    lastResort: false,
  });
  const { mischief } = world.server(anna.user);
  mischief.answer = (message, answer) => {
    if (answer.type !== 'key_response' || message.type !== 'key_request') return answer;
    const planted = { user: bruno.user, device_id: ghost.deviceId, key_package: keyPackage };
    return { type: 'key_response', body: { ...answer.body, packages: [...answer.body.packages, planted] } };
  };
  const id = await anna.creates([bruno]);
  await anna.says(id, 'for bruno alone');
  const warned = anna.warnings.map(({ warning, problem }) => [warning, problem.cause]);
  assert.deepEqual(warned, [['device_refused', 'key.sender_unapproved']]);
  assert.deepEqual(
    (await anna.client.members(id)).map(({ devices }) => devices.length),
    [1, 1],
  );
  assert.deepEqual(await bruno.shown(id), ['for bruno alone']);
  await world.close();
});

test('a forged trust certificate keeps a conversation from starting, and a person is told', async () => {
  const world = standardWorld(testkit, { seed: 'forged' });
  const anna = await world.device('anna@alpha.example');
  await world.device('bruno@bravo.example');
  world.server(anna.user).mischief.answer = (_message, answer) =>
    answer.type === 'org_response'
      ? { type: 'org_response', body: { ...answerWith(echo, bravo), domain: bravoName } }
      : answer;
  const creating = anna.client.createConversation({ users: ['bruno@bravo.example' as typeof anna.user] });
  await world.settle();
  const outcome = await creating;
  assert.equal(outcome.ok ? 'created' : outcome.error.code, 'certificate_invalid');
  assert.deepEqual(
    anna.warnings.map(({ warning }) => warning),
    ['trust_forged'],
  );
  assert.equal(world.hub.logs.size, 0);
  await world.close();
});
