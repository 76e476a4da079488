import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeCrypto } from '@norc/crypto/node';
import { instant } from '@norc/protocol/base';
import { defaultPolicy } from '@norc/protocol/norc-t';
import { TEST_EPOCH, testOrganisation, testParty } from '@norc/testkit';
import { openMemoryStore } from '../../storage/memory.ts';
import type { Store } from '../../storage/port.ts';
import { TrustBoard } from '../trust-facts.ts';
import { TrustNotices } from '../trust-notices.ts';
import { TrustIncidents } from './incidents.ts';

const MINUTE = 60_000;
const { domain } = testOrganisation('bravo.example');

function scene() {
  let time = TEST_EPOCH;
  const store = openMemoryStore();
  const audit = { commit: (writes: Parameters<Store['commit']>[0]) => store.commit(writes), note: () => undefined };
  const board = new TrustBoard(
    nodeCrypto,
    testParty(testOrganisation('alpha.example')),
    defaultPolicy(),
    () => undefined,
  );
  const base = { store, audit, board, clock: { now: () => time } };
  const notices = new TrustNotices(base);
  return {
    ...{ notices, incidents: new TrustIncidents({ ...base, notices }) },
    pass: (milliseconds: number) => {
      time = instant(time + milliseconds);
    },
  };
}

test('[TRUST-67] a partner that cannot be reached loses no points, whatever was under way when its link broke', async () => {
  const { incidents, notices, pass } = scene();
  await incidents.stale(domain, TEST_EPOCH);
  incidents.tellBehind(domain, 1);
  pass(MINUTE);
  incidents.tellBehind(domain, 1);
  pass(60 * MINUTE);
  await incidents.stale(domain, instant(TEST_EPOCH + MINUTE));
  assert.deepEqual(incidents.of(domain), []);
  assert.deepEqual(
    notices.of(domain).map(({ kind, about }) => `${kind} ${about}`),
    ['due stale', 'due stale'],
  );
});

test('[TRUST-67] one that goes on to speak of statements that it does not show holds them back', async () => {
  const { incidents, pass } = scene();
  for (let minute = 0; minute < 3; minute += 1) {
    incidents.tellBehind(domain, 1);
    pass(MINUTE);
  }
  await incidents.stale(domain, TEST_EPOCH);
  assert.deepEqual(
    incidents.of(domain).map(({ about }) => about),
    ['suppressed'],
  );
});
