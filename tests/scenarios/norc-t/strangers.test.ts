import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { nodeRandom } from '@norc/crypto/node';
import { type Domain, type MessageTypeName, parseUserAddress } from '@norc/protocol/base';
import type { NorcFMessage } from '@norc/protocol/norc-f';
import { mustBe } from '@norc/testkit';
import { newId, TestDevice, TestLink, type TestServer, TestServers, trustState, until } from '@norc/testkit/live';

let world: TestServers;
let alpha: TestServer;
let bravo: TestServer;
let carol: TestServer;
let ann: TestDevice;
let conversation: Awaited<ReturnType<TestDevice['create']>>;

before(async () => {
  world = await TestServers.start('alpha.example', 'bravo.example', 'carol.example');
  [alpha, bravo, carol] = [world.at(0), world.at(1), world.at(2)];
  await world.trust(alpha, bravo);
  ann = await TestDevice.enrol(alpha, 'ann@alpha.example');
  await TestDevice.enrol(bravo, 'bob@bravo.example');
  conversation = await ann.create(['bob@bravo.example']);
});
after(() => world.dispose());

/** The references that a genuine link of bravo to alpha has in its hello. */
function bravosTrust() {
  const references = bravo.node().trust.references(alpha.domain) ?? assert.fail('trust');
  return { issued: references.given, held: references.received };
}

const claim = (by: string, user: string): NorcFMessage => ({
  type: 'key_claim',
  body: { requester: mustBe(parseUserAddress(by)), users: [mustBe(parseUserAddress(user))] },
});

const submission = (id: typeof conversation.id, domain: Domain): NorcFMessage => ({
  type: 'message_submit',
  body: {
    items: [
      {
        ...{ conversation: id, message_id: newId(), kind: 'application', sender: ann.deviceId },
        ...{ sender_user: mustBe(parseUserAddress(`eve@${domain}`)), body: nodeRandom.bytes(64), route: [domain] },
      },
    ],
  },
});

test('a server that is not trusted gets one answer, whoever and whatever it asks about', async () => {
  const link = await TestLink.dial(carol, alpha);
  assert.equal(await link.hello(alpha), 'open');
  assert.equal((await link.prove()).type, 'federation_ready');
  const stock = await alpha.node().directory.keyStock(ann.deviceId);
  const answers: (readonly [MessageTypeName | 'closed', string])[] = [];
  for (const question of [
    claim('eve@carol.example', 'ann@alpha.example'),
    claim('eve@carol.example', 'nobody@alpha.example'),
    claim('eve@carol.example', 'bob@bravo.example'),
    submission(conversation.id, carol.domain),
    submission(newId(), carol.domain),
  ]) {
    const answer = await link.request('interactive', question);
    answers.push([answer.type, answer.type === 'error' ? answer.body.name : '']);
  }
  assert.deepEqual(
    answers,
    answers.map(() => ['error', 'not_trusted']),
  );
  assert.equal(await alpha.node().directory.keyStock(ann.deviceId), stock);
  link.close();
});

test('another server cannot pass itself off as a trusted one', async () => {
  // With its own TLS key and server certificate, it names the partner's trust certificates.
  const thief = await TestLink.dial(carol, alpha);
  assert.equal(await thief.hello(alpha, { trust: bravosTrust() }), 'open');
  await thief.prove();
  const answer = await thief.request('interactive', claim('eve@carol.example', 'ann@alpha.example'));
  assert.ok(answer.type === 'error' && answer.body.name === 'not_trusted');
  thief.close();
  // With the partner's server certificate, which is public, and its own TLS key.
  const masked = await TestLink.dial(bravo, alpha, carol);
  assert.equal(await masked.hello(alpha, { trust: bravosTrust() }), 'closed');
  masked.close();
});

test("the partner's own TLS key and server key are both needed", async () => {
  const genuine = await TestLink.dial(bravo, alpha);
  assert.equal(await genuine.hello(alpha, { trust: bravosTrust() }), 'open');
  assert.equal((await genuine.prove()).type, 'federation_ready');
  const answer = await genuine.request('interactive', claim('bob@bravo.example', 'ann@alpha.example'));
  assert.equal(answer.type, 'key_claim_result');
  genuine.close();
  const unproven = await TestLink.dial(bravo, alpha);
  assert.equal(await unproven.hello(alpha, { trust: bravosTrust() }), 'open');
  const refused = await unproven.prove(async () => new Uint8Array(64));
  assert.equal(refused.type, 'closed');
  const early = await TestLink.dial(bravo, alpha);
  assert.equal(await early.hello(alpha, { trust: bravosTrust() }), 'open');
  const answered = await early.request('interactive', claim('bob@bravo.example', 'ann@alpha.example'));
  assert.ok(answered.type === 'closed' || answered.type === 'error');
  unproven.close();
  early.close();
});

test('a partner speaks for its own people only', async () => {
  const link = await TestLink.dial(bravo, alpha);
  await link.hello(alpha, { trust: bravosTrust() });
  await link.prove();
  const answer = await link.request('interactive', claim('eve@carol.example', 'ann@alpha.example'));
  assert.ok(answer.type === 'error' && answer.body.name === 'forbidden');
  const results = [];
  for (const id of [conversation.id, newId<typeof conversation.id>()]) {
    for (const domain of [bravo.domain, carol.domain, alpha.domain]) {
      const result = await link.request('interactive', submission(id, domain));
      if (result.type === 'submit_result') results.push(result.body.items[0]?.status, result.body.items[0]?.code);
    }
  }
  assert.equal(results.length, 12);
  assert.ok(results.every((one) => one !== 'ordered'));
  link.close();
});

test('a domain proof that names another root key opens nothing', async () => {
  await using other = await TestServers.start('alpha.example', {
    domains: ['bravo.example'],
    claimedRootKey: nodeRandom.bytes(32),
  });
  const [first, second] = [other.at(0), other.at(1)];
  assert.ok((await first.node().trust.request(second.domain, 'basic', 'officer:test')).ok);
  await until('the exchange is over', () => trustState(first.node(), second.domain) === 'refused');
  assert.equal(second.node().trust.level(first.domain), 'untrusted');
  assert.deepEqual(await first.node().store.read.trustCertificates(), []);
});

test('trust documents that are sent again bring nothing back', async () => {
  await using other = await TestServers.start('alpha.example', 'bravo.example');
  const [first, second] = [other.at(0), other.at(1)];
  const { trust } = second.node();
  const heard: Parameters<typeof trust.receive>[] = [];
  const receive = trust.receive.bind(trust);
  trust.receive = (...args) => {
    heard.push(args);
    return receive(...args);
  };
  await other.trust(first, second);
  assert.ok((await second.node().trust.revoke(first.domain, 'officer:test', 'test')).ok);
  await until('the peer knows', () => trustState(first.node(), second.domain) === 'revoked');
  const count = (await second.node().store.read.trustCertificates()).length;
  assert.ok(heard.length >= 3);
  for (const args of heard) await receive(...args);
  assert.equal(trustState(second.node(), first.domain), 'revoked');
  assert.equal((await second.node().store.read.trustCertificates()).length, count);
});

test("a partner cannot use up everybody's KeyPackages", async () => {
  const link = await TestLink.dial(bravo, alpha);
  await link.hello(alpha, { trust: bravosTrust() });
  await link.prove();
  const requester = mustBe(parseUserAddress('bob@bravo.example'));
  const users = Array.from({ length: 100 }, (_, i) => mustBe(parseUserAddress(`guess${i}@alpha.example`)));
  const answers: string[] = [];
  for (let i = 0; i < 11; i += 1) {
    const answer = await link.request('interactive', { type: 'key_claim', body: { requester, users } });
    answers.push(answer.type === 'error' ? answer.body.name : answer.type);
  }
  assert.equal(answers[0], 'key_claim_result');
  assert.equal(answers.at(-1), 'rate');
  link.close();
});
