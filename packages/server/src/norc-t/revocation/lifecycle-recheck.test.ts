import assert from 'node:assert/strict';
import { test } from 'node:test';
import { instant } from '@norc/protocol/base';
import { testOrganisation } from '@norc/testkit';
import type { ChainRecheck } from '../evidence/x509.ts';
import { ExchangeSide, exchangeAll } from '../exchange/exchange.fixture.ts';
import { Lifecycle } from './lifecycle.ts';

const DAY_MS = 86_400_000;
const ALPHA = testOrganisation('alpha.example');
const BRAVO = testOrganisation('bravo.example');

/** Lets what is under way without anybody waiting for it go on. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

test('[EVID-66] chains of partners in force are asked about once a day; a revoked one is an incident, and trust goes on', async () => {
  const [alpha, bravo] = [await ExchangeSide.start(ALPHA), await ExchangeSide.start(BRAVO)];
  assert.ok((await alpha.runner.request(BRAVO.domain, 'basic', 'officer:test')).ok);
  await exchangeAll(alpha, bravo);
  const [waiting] = bravo.runner.awaitingApproval(ALPHA.domain);
  assert.ok(waiting !== undefined);
  await bravo.runner.officer(waiting, { decision: 'approve', by: 'one' }, 'officer:one');
  await exchangeAll(alpha, bravo);
  const answers: (ChainRecheck | Error)[] = [
    { state: 'held', detail: 'chain of 3' },
    new Error('no network'),
    { state: 'failed', detail: 'nothing says whether it was revoked' },
    { state: 'revoked', detail: 'certificate 1 of 3 (CN Alpha) was revoked' },
  ];
  const incidents: string[] = [];
  const faults: unknown[] = [];
  let asked = 0;
  const lifecycle = new Lifecycle({
    ...{ party: { domain: BRAVO.domain }, clock: bravo.clock, board: bravo.board, onFault: (one) => faults.push(one) },
    notices: { has: () => true, once: async () => false },
    incidents: {
      stale: async () => {},
      chainRevoked: async (peer, detail) => void incidents.push(`${peer} ${detail}`),
    },
    renew: () => Promise.reject(new Error('not now')),
    isNegotiating: () => true,
    recheckChains: async () => {
      asked += 1;
      const answer = answers.shift();
      if (answer === undefined || answer instanceof Error) throw answer ?? new Error('asked too often');
      return answer;
    },
  });
  for (let day = 1; day <= 4; day += 1) {
    for (let look = 0; look < 3; look += 1) {
      await lifecycle.tick();
      await settled();
    }
    assert.equal(asked, day);
    bravo.now += DAY_MS;
    bravo.board.heard(ALPHA.domain, instant(bravo.now));
  }
  assert.deepEqual(incidents, ['alpha.example certificate 1 of 3 (CN Alpha) was revoked']);
  assert.equal(faults.length, 1);
  assert.equal(bravo.board.level(ALPHA.domain, instant(bravo.now)), 'basic');
});
