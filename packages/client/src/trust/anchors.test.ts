import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeCrypto } from '@norc/crypto/node';
import { createMlsEngine } from '@norc/mls';
import { createNodeMlsProvider } from '@norc/mls/node';
import { type Domain, instant, type Result, reject, TRUST_REASONS } from '@norc/protocol/base';
import { draftServerCertificate, signDocumentWith } from '@norc/protocol/crypto';
import type { NorcCBody } from '@norc/protocol/norc-c';
import { draftRevocation, emptyRevocations, type GrantedLevel } from '@norc/protocol/norc-t';
import * as testkit from '@norc/testkit';
import { type Answer, type Asking, type AskType, failure } from '../session/ask.ts';
import { memoryStore } from '../store/index.ts';
import { ManualTime } from '../testing/manual-time.ts';
import { standardWorld } from '../testing/standard-world.ts';
import { TrustAnchors } from './anchors.ts';
import { RootBook } from './root-book.ts';

const alpha = testkit.testOrganisation('alpha.example');
const bravo = testkit.testOrganisation('bravo.example');
const echo = testkit.testOrganisation('echo.example');
const bravoName = bravo.domain;
const DAY_MS = 86_400_000;

type OrgAnswer = NorcCBody<'org_response'>;

function answerWith(issuer: typeof alpha, subject: typeof alpha, changes = {}): OrgAnswer {
  const given = testkit.testTrustCertificate(issuer, subject, changes).document.bytes;
  const received_certificate = testkit.testTrustCertificate(subject, issuer, changes).document.bytes;
  const certificates = { trust_certificate: given, received_certificate };
  return { domain: subject.domain, level: 'nato', ...certificates, issuer_certificate: issuer.certificate.bytes };
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
    roots: new RootBook({ crypto: nodeCrypto, clock: time, store }),
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

const levelOf = async (anchors: TrustAnchors) => {
  const found = await anchors.organisation(bravoName);
  return found.ok ? found.value.level : found.error.code;
};

/** The pair with a level each way, and what the own server claims of it. */
function pairAt(
  given: GrantedLevel,
  received: GrantedLevel,
  claims: OrgAnswer['level'] = 'nato',
  changes = {},
): OrgAnswer {
  const certificate = (issuer: typeof alpha, subject: typeof alpha, level: GrantedLevel) =>
    testkit.testTrustCertificate(issuer, subject, { level, ...changes }).document.bytes;
  return {
    ...answerWith(alpha, bravo),
    ...{ level: claims, nato_capable: true, trust_certificate: certificate(alpha, bravo, given) },
    received_certificate: certificate(bravo, alpha, received),
  };
}

test('[DEV-13] the level is the lower of both certificates: the own server may say less and never more', async () => {
  const cases: readonly (readonly [OrgAnswer, string])[] = [
    [pairAt('verified', 'classified'), 'verified'],
    [pairAt('classified', 'basic'), 'basic'],
    [pairAt('classified', 'classified', 'verified'), 'verified'],
    [pairAt('classified', 'classified', 'untrusted'), 'not_trusted'],
  ];
  for (const [says, expected] of cases) {
    const { anchors, server } = anchorsWith();
    server.says = says;
    assert.equal(await levelOf(anchors), expected);
  }
  const { anchors, server } = anchorsWith();
  server.says = pairAt('verified', 'verified');
  assert.ok((await anchors.organisation(bravoName)).ok);
  assert.equal(anchors.current(bravoName)?.natoCapable, false, 'neither certificate says so');
});

test('[DEV-13] what the other organisation gave is checked too: nothing, or anybody else’s, is no trust', async () => {
  const { received_certificate: _kept, ...withheld } = answerWith(alpha, bravo);
  const foreign = testkit.testTrustCertificate(echo, alpha).document.bytes;
  const tampered = testkit.resigned(answerWith(alpha, bravo).received_certificate ?? new Uint8Array(), echo, {});
  const cases: readonly (readonly [OrgAnswer, string, number])[] = [
    [withheld, 'not_trusted', 0],
    [{ ...withheld, received_certificate: foreign }, 'certificate_invalid', 1],
    [{ ...withheld, received_certificate: tampered }, 'certificate_invalid', 1],
  ];
  for (const [says, code, reported] of cases) {
    const { anchors, server, forged } = anchorsWith();
    server.says = says;
    assert.equal(codeOf(await anchors.organisation(bravoName)), code);
    assert.equal(forged.length, reported);
  }
});

test('[DEV-13] a condition acts at its deadline, whatever the own server says, unless its issuer said that it was met', async () => {
  const deadline = testkit.TEST_EPOCH + DAY_MS;
  const condition = { name: 'audit', kind: 'audit', deadline, action: 'downgrade', level: 'basic' } as const;
  const says = pairAt('verified', 'verified', 'nato', { conditions: [condition] });
  const { anchors, server, time } = anchorsWith();
  server.says = says;
  assert.equal(await levelOf(anchors), 'verified');
  await time.advance(DAY_MS, async () => undefined);
  assert.equal(anchors.current(bravoName), undefined, 'what was learned does not outlive it');
  assert.equal(await levelOf(anchors), 'basic');
  const met = (issuer: typeof alpha, subject: typeof alpha, signer = issuer) => {
    const certificate_id = testkit.testTrustCertificate(issuer, subject, {
      level: 'verified',
      conditions: [condition],
    }).certificateId;
    const draft = draftRevocation(emptyRevocations(issuer.domain), {
      ...{ subject: subject.domain, certificate_id, action: 'condition_met', condition: 'audit', reason: 'it came' },
      ...{ issued_at: testkit.TEST_EPOCH, effective_at: testkit.TEST_EPOCH },
    });
    return signDocumentWith(nodeCrypto, draft, signer.server).bytes;
  };
  for (const [statements, expected] of [
    [[met(alpha, bravo), met(bravo, alpha)], 'verified'],
    [[met(alpha, bravo)], 'basic'],
    [[met(alpha, bravo), met(bravo, alpha, echo)], 'basic'],
  ] as const) {
    const other = anchorsWith(memoryStore(), time);
    other.server.says = { ...says, statements };
    assert.equal(await levelOf(other.anchors), expected);
  }
});

test('a notice of the own server ends what was learned before it: nothing is fallen back on', async () => {
  const { anchors, server, asked } = anchorsWith();
  server.says = answerWith(alpha, bravo);
  assert.equal(await levelOf(anchors), 'basic');
  await anchors.changed(bravoName, false);
  assert.equal(anchors.current(bravoName), undefined);
  server.says = 'nothing';
  assert.equal(await levelOf(anchors), 'no_route');
  assert.ok((await anchors.pinned(bravoName)).ok, 'who its people are has not changed');
  server.says = answerWith(alpha, bravo);
  assert.equal(await levelOf(anchors), 'basic');
  assert.equal(asked.length, 3 + 1);
});

test('stale trust carries nothing, and people stay who they are', async () => {
  const { anchors, server, time } = anchorsWith();
  server.says = answerWith(alpha, bravo);
  assert.equal(await levelOf(anchors), 'basic');
  await time.advance(600_001, async () => undefined);
  server.says = { domain: bravoName, level: 'untrusted', reason: TRUST_REASONS.stale.number };
  assert.equal(await levelOf(anchors), 'trust_stale');
  assert.ok((await anchors.pinned(bravoName)).ok);
  assert.ok((await anchors.receiving(bravoName, time.now())).ok, 'what an honest server has came before');
});

test('what was ordered before trust ended is judged by what counted then; what came later is not shown', async () => {
  const { anchors, server, time, store } = anchorsWith();
  server.says = answerWith(alpha, bravo);
  assert.equal(await levelOf(anchors), 'basic');
  await time.advance(DAY_MS, async () => undefined);
  const ended = time.now();
  await anchors.changed(bravoName, true);
  server.says = { domain: bravoName, level: 'untrusted', reason: TRUST_REASONS.revoked.number };
  assert.equal(await levelOf(anchors), 'trust_revoked');
  const again = anchorsWith(store, time);
  again.server.says = server.says;
  for (const one of [anchors, again.anchors]) {
    assert.ok((await one.receiving(bravoName, instant(ended - 1))).ok);
    assert.equal(codeOf(await one.receiving(bravoName, instant(ended + DAY_MS))), 'trust_revoked');
  }
});

test("inside the own organisation the own server's word counts, and the last one while it does not answer", async () => {
  const { anchors, server, time } = anchorsWith();
  assert.equal(codeOf(await anchors.standing(alpha.domain)), 'no_route');
  server.says = { domain: alpha.domain, level: 'verified' };
  assert.deepEqual(await anchors.standing(alpha.domain).then((found) => found.ok && found.value.level), 'verified');
  await time.advance(600_001, async () => undefined);
  server.says = 'nothing';
  assert.ok((await anchors.standing(alpha.domain)).ok);
  server.says = { domain: alpha.domain, level: 'untrusted' };
  assert.equal(codeOf(await anchors.standing(alpha.domain)), 'insufficient_trust');
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
