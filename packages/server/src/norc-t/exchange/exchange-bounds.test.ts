import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeCrypto } from '@norc/crypto/node';
import { instant, toBase64Url } from '@norc/protocol/base';
import { defaultPolicy, type TrustPolicy } from '@norc/protocol/norc-t';
import { canonicalJson, type JsonObject } from '@norc/protocol/wire';
import {
  grantBy,
  mustBe,
  parsedDocument,
  resigned,
  testOfficer,
  testOrganisation,
  testPostQuantum,
} from '@norc/testkit';
import { ExchangeSide, exchangeAll, type SideOptions } from './exchange.fixture.ts';
import { partnerRecord } from './partner-record.ts';

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
const alphaOrg = testOrganisation('alpha.example');
const bravoOrg = testOrganisation('bravo.example');

async function pair(of: SideOptions = {}, other: SideOptions = {}): Promise<[ExchangeSide, ExchangeSide]> {
  return [await ExchangeSide.start(alphaOrg, of), await ExchangeSide.start(bravoOrg, other)];
}

async function approve(side: ExchangeSide, peer: typeof alphaOrg): Promise<void> {
  const [exchange] = side.runner.awaitingApproval(peer.domain);
  assert.ok(exchange !== undefined);
  mustBe(await side.runner.officer(exchange, { decision: 'approve', by: 'admin' }, 'officer:admin'));
}

/** Until bravo's decision lies in its outbox. */
async function decided(alpha: ExchangeSide, bravo: ExchangeSide): Promise<void> {
  mustBe(await alpha.runner.request(bravoOrg.domain, 'basic', 'officer:test'));
  await exchangeAll(alpha, bravo);
  await approve(bravo, alphaOrg);
}

async function basic(alpha: ExchangeSide, bravo: ExchangeSide): Promise<void> {
  await decided(alpha, bravo);
  await exchangeAll(alpha, bravo);
}

async function deliver(from: ExchangeSide, to: ExchangeSide): Promise<void> {
  for (const { document } of from.outbox.splice(0)) await to.runner.receive(from.organisation.domain, document);
}

function levelPolicy(changes: Partial<TrustPolicy['levels']['basic']>): SideOptions {
  const { levels } = defaultPolicy();
  return { policy: { levels: { ...levels, basic: { ...levels.basic, ...changes } } } };
}

/** A stranger's first two messages. */
async function stranger(name: string) {
  const organisation = testOrganisation(`${name}.example`);
  const side = await ExchangeSide.start(organisation);
  mustBe(await side.runner.request(bravoOrg.domain, 'basic', 'officer:test'));
  const [capabilities, request] = side.outbox.splice(0).map(({ document }) => document);
  assert.ok(capabilities !== undefined && request !== undefined);
  return { organisation, capabilities, request };
}

test('[TRUST-82] a lost acknowledgment is sent again within its day; after it both sides are without trust', async () => {
  const [alpha, bravo] = await pair();
  await decided(alpha, bravo);
  await deliver(bravo, alpha);
  alpha.outbox.length = 0;
  bravo.now += 60 * MINUTE_MS;
  await bravo.runner.retry();
  await exchangeAll(alpha, bravo);
  assert.equal(bravo.board.level(alphaOrg.domain, bravo.clock.now()), 'basic');

  const [one, other] = await pair();
  await decided(one, other);
  await deliver(other, one);
  one.outbox.length = 0;
  assert.equal(one.board.level(bravoOrg.domain, one.clock.now()), 'basic');
  for (const side of [one, other]) side.now += DAY_MS + 1;
  await other.runner.retry();
  other.outbox.length = 0; // the refusal is lost as well
  await one.runner.retry(); // the acknowledgment again
  await exchangeAll(one, other);
  assert.equal(one.board.pair(bravoOrg.domain, one.clock.now()), undefined);
  assert.deepEqual([await one.store.read.trustCertificates(), await other.store.read.trustCertificates()], [[], []]);
  await one.restart();
  assert.deepEqual([one.board.pair(bravoOrg.domain, one.clock.now()), one.unusable], [undefined, []]);
});

test('[TRUST-85] strangers do not keep a partner out, nor each other, and leave nothing behind', async () => {
  const [alpha, bravo] = await pair();
  await basic(alpha, bravo);
  const first = await stranger('first');
  mustBe(await bravo.runner.receive(first.organisation.domain, first.capabilities));
  for (let n = 0; n < 64; n += 1) {
    const { organisation } = await stranger(`s${n}`);
    for (let i = 0; i < 4; i += 1) {
      const side = await ExchangeSide.start(organisation);
      for (let skip = 0; skip <= i; skip += 1) mustBe(await side.runner.request(bravoOrg.domain, 'basic', 'x'));
      const document = side.outbox[2 * i]?.document ?? new Uint8Array();
      mustBe(await bravo.runner.receive(organisation.domain, document));
    }
  }
  assert.ok(bravo.runner.all.length <= 258);
  assert.ok(!bravo.runner.all.some(({ peer }) => peer === first.organisation.domain)); // the oldest made way
  assert.equal((await bravo.store.read.trustExchanges()).length, 1);
  mustBe(await alpha.runner.request(bravoOrg.domain, 'basic', 'system:server', { renewal: true }));
  await exchangeAll(alpha, bravo);
  assert.equal(bravo.runner.awaitingApproval(alphaOrg.domain).length, 1);
  bravo.now += 10 * MINUTE_MS;
  await bravo.runner.retry();
  assert.deepEqual(new Set(bravo.runner.all.map(({ peer }) => peer)), new Set([alphaOrg.domain]));
});

test('[TRUST-85] of strangers whose requests came to nothing only the latest are kept', async () => {
  const [, bravo] = await pair();
  for (let n = 0; n < 70; n += 1) {
    const { organisation, capabilities, request } = await stranger(`t${n}`);
    mustBe(await bravo.runner.receive(organisation.domain, capabilities));
    await bravo.runner.receive(organisation.domain, resigned(request, organisation, { level: 'nato' }));
  }
  assert.equal(bravo.runner.all.length, 64);
  assert.equal((await bravo.store.read.trustExchanges()).length, 64);
  await bravo.restart();
  assert.equal(bravo.runner.all.length, 64);
});

test('[TRUST-85] an exchange that is over does not begin anew, and no certificate gets the id of another', async () => {
  const [alpha, bravo] = await pair();
  mustBe(await alpha.runner.request(bravoOrg.domain, 'basic', 'officer:test'));
  const [first, request] = alpha.outbox.map(({ document }) => document);
  await exchangeAll(alpha, bravo);
  await approve(bravo, alphaOrg);
  await exchangeAll(alpha, bravo);
  await basic(alpha, bravo);
  const again = await bravo.runner.receive(alphaOrg.domain, first ?? new Uint8Array());
  assert.equal(again.ok ? '' : again.error.code, 'unexpected_message');
  const used = parsedDocument(request ?? new Uint8Array())['certificate_id'] as string;
  mustBe(await alpha.runner.request(bravoOrg.domain, 'basic', 'officer:test'));
  const [capabilities, next] = alpha.outbox.splice(0).map(({ document }) => document);
  mustBe(await bravo.runner.receive(alphaOrg.domain, capabilities ?? new Uint8Array()));
  const same = resigned(next ?? new Uint8Array(), alphaOrg, { certificate_id: used });
  const refused = await bravo.runner.receive(alphaOrg.domain, same);
  assert.match(refused.ok ? '' : refused.error.detail, /certificate_id/);
});

test('trust counts when it is stored, and not before', async () => {
  const [alpha, bravo] = await pair();
  await decided(alpha, bravo);
  await deliver(bravo, alpha);
  const { store } = bravo;
  bravo.store = { ...store, commit: () => Promise.reject(new Error('disk full')) };
  const [acknowledgment] = alpha.outbox;
  await assert.rejects(bravo.runner.receive(alphaOrg.domain, acknowledgment?.document ?? new Uint8Array()));
  assert.equal(bravo.board.pair(alphaOrg.domain, bravo.clock.now()), undefined);
  assert.deepEqual(bravo.granted, []);
  bravo.store = store;
  await deliver(alpha, bravo);
  assert.equal(bravo.board.level(alphaOrg.domain, bravo.clock.now()), 'basic');
});

test('what is sent again does not wait for checks, which are few at a time and asked less and less often', async () => {
  const bravo = await ExchangeSide.start(bravoOrg);
  bravo.evidence = () => undefined;
  for (let n = 0; n < 6; n += 1) {
    const side = await ExchangeSide.start(testOrganisation(`s${n}.example`));
    mustBe(await side.runner.request(bravoOrg.domain, 'basic', 'officer:test'));
    await exchangeAll(side, bravo);
  }
  mustBe(await bravo.runner.request(alphaOrg.domain, 'basic', 'officer:test'));
  bravo.outbox.length = 0;
  let asked = 0;
  let sentBefore = 0;
  bravo.evidence = () => {
    if (asked === 0) sentBefore = bravo.outbox.length;
    asked += 1;
    return undefined;
  };
  await Promise.all([bravo.runner.retry(), bravo.runner.retry()]); // one at a time
  assert.deepEqual([asked, sentBefore], [6, 2]);
  await bravo.runner.retry();
  assert.equal(asked, 6);
  bravo.now += MINUTE_MS;
  await bravo.runner.retry();
  assert.equal(asked, 12);
});

test('[TRUST-84] a peer cannot lower the number of our officers, and two of them are two people', async () => {
  const [alpha, bravo] = await pair({}, levelPolicy({ approvals: 2 }));
  mustBe(await alpha.runner.request(bravoOrg.domain, 'basic', 'officer:test'));
  await exchangeAll(alpha, bravo);
  const [exchange] = bravo.runner.awaitingApproval(alphaOrg.domain);
  assert.ok(exchange !== undefined);
  const question = bravo.runner.question(exchange);
  assert.ok(question !== undefined);
  assert.deepEqual([question.signed, question.approvalsNeeded], [true, 2]);
  const unsigned = await bravo.runner.officer(exchange, { decision: 'approve', by: 'admin' }, 'officer:admin');
  assert.equal(unsigned.ok ? '' : unsigned.error.code, 'approval_required');
  const says = (name: string) => {
    const signed = grantBy(testOfficer(bravoOrg, name), question, { approved_at: bravo.now });
    return bravo.runner.officer(exchange, { decision: 'approve', by: 'x', signed }, 'officer:x');
  };
  mustBe(await says('me'));
  assert.equal(bravo.runner.awaitingApproval(alphaOrg.domain).length, 1);
  assert.equal(bravo.summary(alphaOrg.domain).approvals?.needed, 2);
  mustBe(await says('you'));
  assert.equal(bravo.runner.awaitingApproval(alphaOrg.domain).length, 0);
});

test('the other side cannot take our second signature off what we keep', async () => {
  const { levels } = defaultPolicy();
  const evidence = { ...levels.basic.evidence, post_quantum_signature: 'required' } as const;
  const of = (org: typeof alphaOrg) => ({ pq: testPostQuantum(org), ...levelPolicy({ evidence }) });
  const [alpha, bravo] = await pair(of(alphaOrg), of(bravoOrg));
  await decided(alpha, bravo);
  await deliver(bravo, alpha);
  const ours = toKeyId(testPostQuantum(bravoOrg).server.publicKey);
  const [acknowledgment] = alpha.outbox.splice(0);
  const json = parsedDocument(acknowledgment?.document ?? new Uint8Array());
  const stripped = Object.fromEntries(
    ['issued', 'counterpart'].map((name) => {
      const certificate = parsedDocument(Buffer.from(json[name] as string, 'base64url'));
      const kept = (certificate['signatures'] as JsonObject[]).filter(({ key_id }) => key_id !== ours);
      return [name, toBase64Url(canonicalJson({ ...certificate, signatures: kept }))];
    }),
  );
  const document = resigned(acknowledgment?.document ?? new Uint8Array(), alphaOrg, stripped);
  mustBe(await bravo.runner.receive(alphaOrg.domain, document));
  for (const row of await bravo.store.read.trustCertificates()) {
    const algorithms = (parsedDocument(row.document)['signatures'] as JsonObject[]).map(({ algorithm }) => algorithm);
    assert.deepEqual(algorithms.sort(), ['ed25519', 'ed25519', 'ml-dsa-65', 'ml-dsa-65']);
  }
});

function toKeyId(publicKey: Uint8Array): string {
  return Buffer.from(nodeCrypto.blake3(publicKey)).subarray(0, 16).toString('hex');
}

test('days of trust count from our own check, whatever date a partner writes', async () => {
  const [alpha, bravo] = await pair();
  await basic(alpha, bravo);
  const { given } = alpha.board.pair(bravoOrg.domain, alpha.clock.now()) ?? assert.fail();
  const backdated = { ...given, notBefore: instant(given.notBefore - 300 * DAY_MS) };
  const board = { chain: () => ({ statements: [] }), certificatesWith: () => [backdated] };
  const asked = { self: alphaOrg.domain, peer: bravoOrg.domain, now: instant(alpha.now + 2 * DAY_MS) };
  assert.equal(partnerRecord(board as unknown as typeof alpha.board, asked).daysInForce, 2);
});
