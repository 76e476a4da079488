import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeCrypto, nodeRandom } from '@norc/crypto/node';
import { type ErrorName, instant, ok, type Result, reject } from '@norc/protocol/base';
import type { Signer } from '@norc/protocol/crypto';
import {
  defaultPolicy,
  type GrantedLevel,
  type OfficerId,
  type TrustCertificateBody,
  type VerifiedApproval,
} from '@norc/protocol/norc-t';
import { mustBe, TEST_EPOCH, testOrganisation, testParty, testTrustCertificate } from '@norc/testkit';
import type { Officers, Proposals } from '../../services.ts';
import { openMemoryStore } from '../../storage/memory.ts';
import type { Store } from '../../storage/port.ts';
import { TrustBoard } from '../trust-facts.ts';
import { TrustNotices } from '../trust-notices.ts';
import { Freshness } from './freshness.ts';
import { TrustIncidents } from './incidents.ts';
import { Propagation } from './propagation.ts';
import { RevocationService } from './revocation-service.ts';
import { decodeOrder } from './trust-order.ts';

const DAY = 86_400_000;
const alpha = testOrganisation('alpha.example');
const bravo = testOrganisation('bravo.example');
const OFFICER = 'officer:test';
const signer: Signer = {
  algorithm: 'ed25519',
  publicKey: alpha.server.publicKey,
  sign: async (message) => nodeCrypto.ed25519.sign(alpha.server.privateKey, message),
};

type Opened = Parameters<Proposals['open']>[0];

/** The service over a real board, with one certificate each way; proposals are only noted, until the test runs them. */
function scene(level: GrantedLevel, changes: Partial<TrustCertificateBody> = {}, withProposals = true) {
  let time = TEST_EPOCH;
  const clock = { now: () => time };
  const store = openMemoryStore();
  const audit = {
    commit: (writes: Parameters<Store['commit']>[0]) => store.commit(writes),
    note: () => undefined,
  };
  const board = new TrustBoard(nodeCrypto, testParty(alpha), defaultPolicy(), () => undefined);
  for (const one of [
    testTrustCertificate(alpha, bravo, { level, ...changes }),
    testTrustCertificate(bravo, alpha, { level }),
  ])
    mustBe(board.addCertificate(one.document.bytes, time));
  board.heard(bravo.domain, time);
  const opened: Opened[] = [];
  const checked: string[] = [];
  const officers: Pick<Officers, 'check'> = {
    check: (_, { action, subject }) => {
      checked.push(action);
      const officer = { officerId: 'anna' as OfficerId }; // no more of it is looked at
      return ok({ officer, action, subject } as VerifiedApproval); // as if the signature were good
    },
  };
  let run: Parameters<Proposals['onApproved']>[1] | undefined;
  const proposals: Proposals = {
    open: async (proposal) => {
      opened.push(proposal);
      return ok({
        ...{ proposalId: 'one', action: proposal.action, document: proposal.document, subject: new Uint8Array(32) },
        ...{ needed: proposal.needed, approvedBy: [], openedAt: time, expiresAt: instant(time + DAY), state: 'open' },
      });
    },
    list: () => [],
    approve: async () => reject('forbidden', 'fake'),
    withdraw: async () => reject('forbidden', 'fake'),
    onApproved: (_, carryOut) => {
      run = carryOut;
    },
  };
  const onFault = (error: unknown) => assert.fail(String(error));
  const base = {
    ...{ store, audit, clock, board, signer, crypto: nodeCrypto, random: nodeRandom, onFault },
    party: testParty(alpha),
  };
  const notices = new TrustNotices(base);
  const incidents = new TrustIncidents({ ...base, notices });
  const link = { send: () => undefined, ask: async () => reject('no_route', 'fake') };
  const looks = { onLook: () => undefined, onLacking: () => undefined };
  const freshness = new Freshness({ ...base, ...link, ...looks, incidents });
  const propagation = new Propagation({
    ...base,
    ...link,
    freshness,
    look: async () => undefined,
    toldOf: () => undefined,
  });
  const service = new RevocationService({
    ...base,
    notices,
    propagation,
    cutOff: () => ({ signed: [], writes: [], events: [], done: () => undefined, undone: () => undefined }),
    ...(withProposals ? { proposals: () => proposals, officers: () => officers as Officers } : {}), // no more of it is called
  });
  return {
    ...{ service, board, opened, store, checked },
    level: () => board.level(bravo.domain, time),
    pass: (milliseconds: number) => {
      time = instant(time + milliseconds);
      board.heard(bravo.domain, time);
    },
    approve: async (number = 0) => {
      const proposal = opened[number];
      assert.ok(proposal !== undefined && run !== undefined);
      return await run({
        ...{ proposalId: 'one', action: proposal.action, document: proposal.document, subject: new Uint8Array(32) },
        ...{ approvals: [], actor: OFFICER, commit: (writes) => store.commit(writes) },
      });
    },
  };
}

function refused(result: Result<unknown>, code: ErrorName): void {
  assert.equal(result.ok ? 'done' : result.error.code, code);
}

const about = { peer: bravo.domain, reason: 'test' } as const;
/** Of the officer who asks; who counts approvals checks it. */
const ASKED = { approval: new Uint8Array(1), certificate: new Uint8Array(1) };

test('[TRUST-53] to suspend takes one person; to restore takes the officers of the level, about exactly these certificates', async () => {
  const { service, level, opened, approve, board } = scene('classified');
  mustBe(await service.order({ ...about, action: 'suspend' }, OFFICER));
  assert.equal(level(), 'untrusted');
  const asked = mustBe(await service.order({ ...about, action: 'restore' }, OFFICER, ASKED));
  assert.ok('proposal' in asked);
  assert.equal(level(), 'untrusted', 'nothing happens before they signed');
  const [proposal] = opened;
  assert.deepEqual([proposal?.action, proposal?.needed, proposal?.peer], ['trust_restore', 2, bravo.domain]);
  const order = mustBe(decodeOrder(proposal?.document ?? new Uint8Array()));
  const [held] = board.standings(alpha.domain, bravo.domain, TEST_EPOCH);
  assert.deepEqual(order.certificates, [held?.certificate.certificateId]);
  mustBe(await approve());
  assert.equal(level(), 'classified');
  refused(await approve(), 'approval_expired');
});

test('[TRUST-53] what officers signed for one suspension brings nothing back after another', async () => {
  const { service, level, approve, opened } = scene('classified');
  for (const round of [0, 1]) {
    mustBe(await service.order({ ...about, action: 'suspend' }, OFFICER));
    assert.equal(level(), 'untrusted');
    if (round === 1) refused(await approve(0), 'approval_expired');
    assert.equal(level(), 'untrusted');
    mustBe(await service.order({ ...about, action: 'restore' }, OFFICER, ASKED));
    assert.equal(opened.length, round + 1);
    mustBe(await approve(round));
    assert.equal(level(), 'classified');
  }
  assert.notDeepEqual(opened[0]?.document, opened[1]?.document, 'another statement is another subject');
});

test('[TRUST-53] officers sign the statement that comes next: anything said before it voids what they signed', async () => {
  const { service, approve, level } = scene('classified');
  mustBe(await service.order({ ...about, action: 'downgrade', level: 'verified' }, OFFICER));
  mustBe(await service.order({ ...about, action: 'restore' }, OFFICER, ASKED));
  mustBe(await service.order({ ...about, action: 'downgrade', level: 'basic' }, OFFICER));
  refused(await approve(), 'approval_expired');
  assert.equal(level(), 'basic');
});

test('[TRUST-53] a downgrade takes one person, and is taken back as a suspension is', async () => {
  const { service, level, approve } = scene('classified');
  mustBe(await service.order({ ...about, action: 'downgrade', level: 'basic' }, OFFICER));
  assert.equal(level(), 'basic');
  refused(await service.order({ ...about, action: 'downgrade', level: 'verified' }, OFFICER), 'not_trusted');
  assert.ok('proposal' in mustBe(await service.order({ ...about, action: 'restore' }, OFFICER, ASKED)));
  mustBe(await approve());
  assert.equal(level(), 'classified');
});

test('[TRUST-53] nothing takes a revocation back', async () => {
  const { service, level } = scene('basic');
  mustBe(await service.order({ ...about, action: 'revoke' }, OFFICER));
  refused(await service.order({ ...about, action: 'restore' }, OFFICER), 'not_trusted');
  refused(await service.order({ ...about, action: 'revoke' }, OFFICER), 'not_trusted');
  assert.equal(level(), 'untrusted');
});

test('without officers at hand what needs several is refused, and what needs one is done', async () => {
  const high = scene('classified', {}, false);
  mustBe(await high.service.order({ ...about, action: 'suspend' }, OFFICER));
  refused(await high.service.order({ ...about, action: 'restore' }, OFFICER, ASKED), 'approval_required');
  const low = scene('basic', {}, false);
  mustBe(await low.service.order({ ...about, action: 'suspend' }, OFFICER));
  mustBe(await low.service.order({ ...about, action: 'restore' }, OFFICER));
  assert.equal(low.level(), 'basic');
});

test('[TRUST-69] a condition said to be met in time takes one person, afterwards the officers of the level', async () => {
  const conditions = [{ name: 'clearance', kind: 'document', deadline: TEST_EPOCH + DAY, action: 'revoke' as const }];
  const met = { ...about, action: 'condition_met', condition: 'clearance' } as const;
  const inTime = scene('classified', { conditions });
  refused(await inTime.service.order(met, OFFICER), 'approval_required');
  assert.ok('sequence' in mustBe(await inTime.service.order(met, OFFICER, ASKED)));
  assert.deepEqual(inTime.checked, ['trust_restore'], 'an officer signs exactly this order');
  inTime.pass(2 * DAY);
  assert.equal(inTime.level(), 'classified');
  const low = scene('basic', { conditions });
  assert.ok('sequence' in mustBe(await low.service.order(met, OFFICER)));
  const late = scene('classified', { conditions });
  late.pass(2 * DAY);
  assert.equal(late.level(), 'untrusted');
  refused(await late.service.order(met, OFFICER), 'approval_required');
  assert.ok('proposal' in mustBe(await late.service.order(met, OFFICER, ASKED)));
  mustBe(await late.approve());
  assert.equal(late.level(), 'classified');
  refused(await late.service.order({ ...met, condition: 'another' }, OFFICER), 'not_trusted');
});

test('[TRUST-66] after two histories the officers of the level may go on, and the server remembers it', async () => {
  const { service, level, board, store, approve } = scene('classified');
  board.markForked(bravo.domain);
  await store.commit([
    {
      op: 'trust.record.put',
      record: {
        kind: 'fork',
        key: 'bravo.example 1',
        peer: bravo.domain,
        at: instant(TEST_EPOCH - 1),
        document: new Uint8Array(2),
      },
    },
  ]);
  assert.equal(level(), 'untrusted');
  assert.ok('proposal' in mustBe(await service.order({ ...about, action: 'restore' }, OFFICER, ASKED)));
  mustBe(await approve());
  assert.equal(level(), 'classified');
  const again = new TrustBoard(nodeCrypto, testParty(alpha), defaultPolicy(), () => undefined);
  await again.load(store, TEST_EPOCH);
  assert.equal(again.isForked(bravo.domain), false);
  assert.equal((await store.read.trustRecords('fork')).length, 1, 'the evidence stays');
});

test('[OFFICER-11] where officers sign, nobody asks for a restore without a name: the one who asks is not counted', async () => {
  const { service, opened, level } = scene('classified');
  mustBe(await service.order({ ...about, action: 'suspend' }, OFFICER));
  refused(await service.order({ ...about, action: 'restore' }, OFFICER), 'approval_required');
  assert.equal(opened.length, 0);
  const draft = mustBe(service.draft({ ...about, action: 'restore' }));
  mustBe(await service.order({ ...about, action: 'restore' }, OFFICER, ASKED));
  assert.deepEqual(
    [opened[0]?.document, opened[0]?.requested],
    [draft.document, ASKED],
    'what was drafted is what waits',
  );
  assert.deepEqual([draft.action, draft.signed, level()], ['trust_restore', true, 'untrusted']);
});

test('an order that makes no sense changes nothing', async () => {
  const { service, level } = scene('classified');
  refused(await service.order({ ...about, action: 'downgrade' }, OFFICER), 'malformed');
  refused(await service.order({ ...about, action: 'revoke', level: 'basic' }, OFFICER), 'malformed');
  refused(
    await service.order({ ...about, action: 'revoke', effectiveAt: instant(TEST_EPOCH - 1) }, OFFICER),
    'malformed',
  );
  refused(
    await service.order({ ...about, action: 'restore', effectiveAt: instant(TEST_EPOCH + DAY) }, OFFICER),
    'malformed',
  );
  refused(
    await service.order({ ...about, peer: testOrganisation('evil.example').domain, action: 'revoke' }, OFFICER),
    'not_trusted',
  );
  assert.equal(level(), 'classified');
});

test('[TRUST-61] one order is one statement for each certificate, also for a renewal that has not begun', async () => {
  const { service, board, store } = scene('basic');
  const renewal = testTrustCertificate(alpha, bravo, {
    not_before: TEST_EPOCH + DAY,
    not_after: TEST_EPOCH + 100 * DAY,
  });
  mustBe(board.addCertificate(renewal.document.bytes, TEST_EPOCH));
  mustBe(await service.order({ ...about, action: 'revoke' }, OFFICER));
  assert.equal((await store.read.trustRevocations()).length, 2);
  assert.equal((await store.read.trustRecords('propagation')).length, 1);
  for (const { standing } of board.standings(alpha.domain, bravo.domain, instant(TEST_EPOCH + 2 * DAY)))
    assert.equal(standing.kind, 'revoked');
});
