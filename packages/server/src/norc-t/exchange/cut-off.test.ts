import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeCrypto, nodeRandom } from '@norc/crypto/node';
import { instant, ok, type Result, reject } from '@norc/protocol/base';
import type { Signer } from '@norc/protocol/crypto';
import { defaultPolicy, type RevocationAction } from '@norc/protocol/norc-t';
import { mustBe, TEST_EPOCH, testOrganisation, testParty } from '@norc/testkit';
import type { AuditEvent } from '../../services.ts';
import { Freshness } from '../revocation/freshness.ts';
import { TrustIncidents } from '../revocation/incidents.ts';
import { Lifecycle } from '../revocation/lifecycle.ts';
import { Propagation } from '../revocation/propagation.ts';
import { RevocationService } from '../revocation/revocation-service.ts';
import { TrustNotices } from '../trust-notices.ts';
import { ExchangeSide, exchangeAll } from './exchange.fixture.ts';

const DAY = 86_400_000;
const alphaOrg = testOrganisation('alpha.example');
const bravoOrg = testOrganisation('bravo.example');
const OFFICER = 'officer:test';

/** Orders of alpha over the exchanges of `side`. */
function orders(side: ExchangeSide) {
  const signer: Signer = {
    ...{ algorithm: 'ed25519', publicKey: alphaOrg.server.publicKey },
    sign: async (message) => nodeCrypto.ed25519.sign(alphaOrg.server.privateKey, message),
  };
  const { store, clock, board, runner, events } = side;
  const audit = {
    commit: (writes: Parameters<typeof store.commit>[0], told: readonly AuditEvent[] = []) => {
      events.push(...told);
      return store.commit(writes);
    },
    note: () => undefined,
  };
  const onFault = (error: unknown) => assert.fail(String(error));
  const base = {
    ...{ store, audit, clock, board, signer, crypto: nodeCrypto, random: nodeRandom, onFault },
    party: testParty(alphaOrg),
  };
  const notices = new TrustNotices(base);
  const incidents = new TrustIncidents({ ...base, notices });
  const link = { send: () => undefined, ask: async () => reject('no_route', 'fake') };
  const freshness = new Freshness({
    ...{ ...base, ...link, incidents },
    ...{ onLook: () => undefined, onLacking: () => undefined },
  });
  const look = async () => undefined;
  const propagation = new Propagation({ ...base, ...link, freshness, look, toldOf: () => undefined });
  const service = new RevocationService({
    ...{ ...base, notices, propagation },
    cutOff: (peer) => runner.cutOff(peer),
  });
  return (action: RevocationAction, effectiveAt?: number) =>
    service.order(
      {
        ...{ peer: bravoOrg.domain, action, reason: 'compromised' },
        ...(effectiveAt === undefined ? {} : { effectiveAt: instant(effectiveAt) }),
      },
      OFFICER,
    );
}

const level = (side: ExchangeSide, of: typeof alphaOrg) => {
  side.board.heard(of.domain, side.clock.now());
  return side.board.level(of.domain, side.clock.now());
};
const codeOf = (result: Result<unknown>) => (result.ok ? 'ok' : result.error.code);

async function approve(side: ExchangeSide, peer: typeof alphaOrg): Promise<void> {
  const [exchange] = side.runner.awaitingApproval(peer.domain);
  assert.ok(exchange !== undefined);
  mustBe(await side.runner.officer(exchange, { decision: 'approve', by: 'x' }, OFFICER));
}

/** Trust in force, asked for by `asker`, approved by `giver`. */
async function trusted(): Promise<[ExchangeSide, ExchangeSide]> {
  const [alpha, bravo] = [await ExchangeSide.start(alphaOrg), await ExchangeSide.start(bravoOrg)];
  mustBe(await bravo.runner.request(alphaOrg.domain, 'basic', OFFICER));
  await exchangeAll(alpha, bravo);
  await approve(alpha, bravoOrg);
  await exchangeAll(alpha, bravo);
  assert.equal(level(alpha, bravoOrg), 'basic');
  return [alpha, bravo];
}

/** Bravo asks for a renewal, alpha approves, bravo does not say that it took it. */
async function withheld(alpha: ExchangeSide, bravo: ExchangeSide): Promise<readonly Uint8Array[]> {
  mustBe(await bravo.runner.request(alphaOrg.domain, 'basic', OFFICER, { renewal: true }));
  await exchangeAll(alpha, bravo);
  await approve(alpha, bravoOrg);
  for (const { document } of alpha.outbox.splice(0)) mustBe(await bravo.runner.receive(alphaOrg.domain, document));
  return bravo.outbox.splice(0).map(({ document }) => document);
}

for (const action of ['revoke', 'suspend'] as const) {
  test(`[TRUST-79] an acknowledgment that was held back until after a ${action} brings no trust back`, async () => {
    const [alpha, bravo] = await trusted();
    const late = await withheld(alpha, bravo);
    assert.equal(alpha.runner.all.at(-1)?.state.phase, 'awaiting_acknowledgment');
    mustBe(await orders(alpha)(action));
    assert.equal(level(alpha, bravoOrg), 'untrusted');
    assert.equal((await alpha.store.read.trustRevocations()).length, 2, 'also about the certificate that bravo holds');
    assert.ok((await alpha.store.read.trustExchanges()).every(({ state }) => state !== 'awaiting_acknowledgment'));
    for (const again of [false, true]) {
      if (again) await alpha.restart();
      alpha.now += DAY;
      for (const document of late) assert.notEqual(codeOf(await alpha.runner.receive(bravoOrg.domain, document)), 'ok');
      assert.equal(level(alpha, bravoOrg), 'untrusted');
    }
  });
}

test('[TRUST-79] a crash that loses the end of the exchange does not: its next step is judged by our own chain', async () => {
  const [alpha, bravo] = await trusted();
  const late = await withheld(alpha, bravo);
  const before = (await alpha.store.read.trustExchanges()).find(({ state }) => state === 'awaiting_acknowledgment');
  assert.ok(before !== undefined);
  mustBe(await orders(alpha)('revoke'));
  await alpha.store.commit([{ op: 'trust.exchange.put', exchange: before }]);
  await alpha.restart();
  assert.ok(alpha.runner.all.some(({ state }) => state.phase === 'awaiting_acknowledgment'));
  for (const document of late)
    assert.equal(codeOf(await alpha.runner.receive(bravoOrg.domain, document)), 'not_trusted');
  assert.equal(level(alpha, bravoOrg), 'untrusted');
});

test('[TRUST-79] what comes into force while a revocation is written is refused', async () => {
  const [alpha, bravo] = await trusted();
  const late = await withheld(alpha, bravo);
  const revoking = orders(alpha)('revoke');
  const taken = Promise.all(late.map((document) => alpha.runner.receive(bravoOrg.domain, document)));
  mustBe(await revoking);
  assert.deepEqual((await taken).map(codeOf), ['not_trusted']);
  assert.equal(level(alpha, bravoOrg), 'untrusted');
});

test('[TRUST-79] a decision that arrives after our revocation is not taken, nor after a held one', async () => {
  for (const delay of [undefined, DAY]) {
    const [alpha, bravo] = await trusted();
    mustBe(await alpha.runner.request(bravoOrg.domain, 'basic', OFFICER, { renewal: true }));
    await exchangeAll(alpha, bravo);
    await approve(bravo, alphaOrg);
    mustBe(await orders(alpha)('revoke', delay === undefined ? undefined : alpha.now + delay));
    for (const { document } of bravo.outbox.splice(0))
      assert.notEqual(codeOf(await alpha.runner.receive(bravoOrg.domain, document)), 'ok');
    alpha.now += 2 * DAY;
    assert.equal(level(alpha, bravoOrg), 'untrusted');
  }
});

test('[TRUST-79] a revocation ends what is negotiated, also where no trust is in force yet', async () => {
  const [alpha, bravo] = [await ExchangeSide.start(alphaOrg), await ExchangeSide.start(bravoOrg)];
  mustBe(await alpha.runner.request(bravoOrg.domain, 'basic', OFFICER));
  await exchangeAll(alpha, bravo);
  assert.equal(codeOf(await orders(alpha)('revoke')), 'not_trusted');
  assert.equal(alpha.runner.all.at(-1)?.state.phase, 'ended');
  await approve(bravo, alphaOrg);
  await exchangeAll(alpha, bravo);
  assert.equal(level(alpha, bravoOrg), 'untrusted');
});

test('[TRUST-79] a policy that blocks the peer ends what is open with it, also when it is unblocked later', async () => {
  const [alpha, bravo] = await trusted();
  const late = await withheld(alpha, bravo);
  alpha.board.setPolicy(defaultPolicy({ blocked: new Set([bravoOrg.domain]) }));
  for (const document of late)
    assert.equal(codeOf(await alpha.runner.receive(bravoOrg.domain, document)), 'not_trusted');
  alpha.board.setPolicy(defaultPolicy());
  const open = alpha.runner.all.filter(({ state }) => state.phase === 'awaiting_acknowledgment');
  assert.equal(open.length, 0);
  const [one, other] = await trusted();
  await withheld(one, other);
  one.board.setPolicy(defaultPolicy({ blocked: new Set([bravoOrg.domain]) }));
  await one.runner.endBlocked();
  one.board.setPolicy(defaultPolicy());
  assert.ok(one.runner.all.every(({ state }) => state.phase === 'established' || state.phase === 'ended'));
  assert.equal((await one.store.read.trustExchanges()).filter(({ state }) => state === 'ended').length, 1);
});

test('[TRUST-79] whoever was cut off asks anew, and somebody here says yes', async () => {
  const [alpha, bravo] = await trusted();
  const { levels } = defaultPolicy();
  alpha.board.setPolicy(defaultPolicy({ levels: { ...levels, basic: { ...levels.basic, approvals: 0 } } }));
  mustBe(await orders(alpha)('revoke'));
  mustBe(await bravo.runner.request(alphaOrg.domain, 'basic', OFFICER));
  await exchangeAll(alpha, bravo);
  assert.equal(level(alpha, bravoOrg), 'untrusted');
  await approve(alpha, bravoOrg);
  await exchangeAll(alpha, bravo);
  assert.equal(level(alpha, bravoOrg), 'basic');
});

test('[TRUST-81] a renewal asks for what is in force: what was lowered stays lowered', async () => {
  const [alpha, bravo] = await trusted();
  const more = await alpha.runner.request(bravoOrg.domain, 'verified', OFFICER, { renewal: true });
  assert.equal(codeOf(more), 'approval_required');
  assert.equal(alpha.board.levelInForce(bravoOrg.domain, instant(TEST_EPOCH + 30 * DAY)), 'basic', 'staleness aside');
  const { levels } = defaultPolicy();
  alpha.board.setPolicy(defaultPolicy({ levels: { ...levels, basic: { ...levels.basic, approvals: 2 } } }));
  mustBe(await orders(alpha)('suspend'));
  assert.equal(codeOf(await alpha.runner.request(bravoOrg.domain, 'basic', OFFICER)), 'approval_required');
  assert.equal(bravo.board.level(alphaOrg.domain, bravo.clock.now()), 'basic');
});

test('[TRUST-81] what begins by itself asks for the level in force, and for nothing while the end is held', async () => {
  const [alpha] = await trusted();
  const pair = alpha.board.pair(bravoOrg.domain, alpha.clock.now());
  assert.ok(pair !== undefined);
  const asked: string[] = [];
  const look = async () => {
    alpha.board.heard(bravoOrg.domain, alpha.clock.now());
    const notices = { has: () => false, once: async () => true };
    const lifecycle = new Lifecycle({
      ...{
        party: testParty(alphaOrg),
        clock: alpha.clock,
        board: alpha.board,
        onFault: (error) => assert.fail(String(error)),
      },
      notices: notices as unknown as TrustNotices, // nothing else of them is called
      incidents: {} as TrustIncidents, // nothing is stale
      isNegotiating: () => false,
      renew: async (_, asks) => {
        asked.push(asks);
        return ok(undefined) as Result<unknown>;
      },
    });
    await lifecycle.tick();
  };
  alpha.now = pair.given.notAfter - DAY;
  await look();
  alpha.board.setPolicy(defaultPolicy({ levelMax: 'basic' }));
  await look();
  assert.deepEqual(asked, ['basic', 'basic']);
  mustBe(await orders(alpha)('revoke', alpha.now + DAY / 2));
  await look();
  assert.equal(asked.length, 2);
});
