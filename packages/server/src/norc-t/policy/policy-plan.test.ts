import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeCrypto } from '@norc/crypto/node';
import { type ConversationId, instant, LABELS, type Label } from '@norc/protocol/base';
import {
  defaultPolicy,
  type GRANTED_LEVELS,
  missingEvidence,
  type TrustPolicy,
  type VerifiedTrustCertificate,
} from '@norc/protocol/norc-t';
import { TEST_EPOCH, testOrganisation, testTrustCertificate } from '@norc/testkit';
import fc from 'fast-check';
import { dayOf } from './decision-counts.ts';
import { levelImpact, type PolicyFacts, planHash, planPolicy, type SharedConversation } from './policy-plan.ts';

const alpha = testOrganisation('alpha.example');
const bravo = testOrganisation('bravo.example');
const carol = testOrganisation('carol.example');
const permissions = ['message_relay', 'presence', 'user_discovery'];
const evidenceAt = (level: (typeof GRANTED_LEVELS)[number]) =>
  missingEvidence(defaultPolicy(), level, []).map((kind) => ({
    ...{ kind, hash: new Uint8Array(32), checked_at: TEST_EPOCH },
  }));
const both = (peer: typeof bravo, level: (typeof GRANTED_LEVELS)[number]): readonly VerifiedTrustCertificate[] => [
  testTrustCertificate(alpha, peer, { level, permissions, evidence: evidenceAt(level) }),
  testTrustCertificate(peer, alpha, { level, permissions }),
];
const certificates = [...both(bravo, 'classified'), ...both(carol, 'basic')];

const conversation = (n: number, label: Label, organisations: SharedConversation['organisations'], frozen = false) => ({
  conversation: String(n).repeat(32).slice(0, 32) as ConversationId, // 32 digits are hexadecimal
  ...{ label, organisations, frozen, floor: LABELS[label].level },
});

function facts(changes: Partial<PolicyFacts> = {}): PolicyFacts {
  const now = changes.now ?? TEST_EPOCH;
  return {
    ...{ self: alpha.domain, now, peers: [bravo.domain, carol.domain], people: 31, decided: [], exchanges: [] },
    factsAbout: () => ({ certificates, revocations: [], heardAt: now, policy: defaultPolicy(), now }),
    givenTo: (peer) => certificates.filter((one) => one.issuer === alpha.domain && one.subject === peer),
    conversations: [
      conversation(1, 'secret', [bravo.domain]),
      conversation(2, 'unclassified', [bravo.domain, carol.domain]),
    ],
    ...changes,
  };
}

const plan = (after: Partial<TrustPolicy>, changes: Partial<PolicyFacts> = {}, before: Partial<TrustPolicy> = {}) =>
  planPolicy(defaultPolicy(before), defaultPolicy(after), facts(changes));
const decided = (question: string, outcome: string, count: number, peer = bravo.domain) => ({
  ...{ day: dayOf(TEST_EPOCH), peer, question, outcome, count },
});

test('[POLICY-30] the same policy changes nothing', () => {
  const { changes, partners, conversations, renewals, replay, opens } = plan({});
  assert.deepEqual([changes, partners, conversations, renewals, replay.rows, opens], [[], [], [], [], [], false]);
});

test('[POLICY-30] a partner that is blocked: trust closes, conversations freeze, renewals end', () => {
  const planned = plan({ blocked: new Set([bravo.domain]) });
  assert.deepEqual(planned.partners, [
    {
      ...{ peer: bravo.domain, effect: 'closes', before: 'classified', after: 'untrusted' },
      ...{ labelBefore: 'secret', reason: 'blocked' },
    },
  ]);
  assert.deepEqual(
    planned.conversations.map(({ effect, reason }) => [effect, reason]),
    [
      ['frozen', 'blocked'],
      ['frozen', 'blocked'],
    ],
  );
  assert.deepEqual(
    planned.renewals.map(({ peer, why }) => [peer, why]),
    [[bravo.domain, 'the policy blocks this organisation']],
  );
  assert.equal(planned.opens, false);
});

test('[POLICY-30] a lower cap downgrades, and holds what is labelled above it', () => {
  const planned = plan({ partnerLevelMax: new Map([[bravo.domain, 'verified']]) });
  assert.deepEqual(planned.partners, [
    {
      ...{ peer: bravo.domain, effect: 'downgrades', before: 'classified', after: 'verified' },
      ...{ labelBefore: 'secret', labelAfter: 'confidential' },
    },
  ]);
  assert.deepEqual(
    planned.conversations.map(({ effect, label, reason }) => [effect, label, reason]),
    [['held', 'secret', 'label']],
  );
  assert.equal(planned.renewals[0]?.why, 'the policy allows verified at most');
});

test('[POLICY-30] a conversation whose floor is above what a partner would have is held, whatever its label', () => {
  const conversations = [{ ...conversation(4, 'unclassified', [bravo.domain]), floor: 'classified' as const }];
  const planned = plan({ levelMax: 'verified' }, { conversations });
  assert.deepEqual(
    planned.conversations.map(({ effect, reason }) => [effect, reason]),
    [['held', 'below_floor']],
  );
});

test('[POLICY-30] what is taken back opens again, and says so', () => {
  const planned = plan({}, {}, { blocked: new Set([bravo.domain]) });
  assert.equal(planned.partners[0]?.effect, 'opens');
  assert.deepEqual(
    planned.conversations.map(({ effect }) => effect),
    ['allowed', 'allowed'],
  );
  assert.ok(planned.opens);
  const own = plan({ ownLevel: 'nato' });
  assert.deepEqual(own.ownLabels.opened, ['top_secret']);
  assert.ok(own.opens);
  assert.deepEqual(plan({ ownLevel: 'basic' }).ownLabels.opened, []);
});

test('[POLICY-30] requests under way that would be refused, and only they', () => {
  const exchanges = [
    { exchangeId: '1', peer: bravo.domain, level: 'classified' },
    { exchangeId: '2', peer: bravo.domain, level: 'basic' },
  ] as const;
  const planned = plan({ levelMax: 'verified' }, { exchanges });
  assert.deepEqual(
    planned.exchanges.map(({ exchangeId, why }) => [exchangeId, why]),
    [['1', 'the policy allows verified at most']],
  );
});

test('[POLICY-30] evidence that becomes required stops renewals that lack it', () => {
  const base = defaultPolicy();
  const { basic } = base.levels;
  const evidence = { ...basic.evidence, organisation_identity: 'required' } as const;
  const after = { levels: { ...base.levels, basic: { ...basic, evidence } } };
  assert.deepEqual(
    plan(after).renewals.map(({ peer, why }) => [peer, why]),
    [[carol.domain, 'evidence is missing: organisation_identity']],
  );
});

test('[POLICY-32] recorded decisions are decided again under the other policy', () => {
  const rows = [
    decided('outgoing message_relay secret', 'allow', 210),
    decided('outgoing message_relay unclassified', 'allow', 12_000),
    decided('incoming presence -', 'allow', 130),
  ];
  const planned = plan({ labelLevels: new Map([['secret', 'nato']]) }, { decided: rows });
  assert.equal(planned.replay.recorded, 12_340);
  assert.deepEqual(planned.replay.rows, [
    {
      ...{ peer: bravo.domain, direction: 'outgoing', permission: 'message_relay', label: 'secret' },
      ...{ count: 210, effect: 'refused', reason: 'label', number: 12 },
    },
  ]);
  const narrower = plan({ permissions: ['message_relay'] }, { decided: rows });
  assert.deepEqual(
    narrower.replay.rows.map(({ count, direction, reason, number }) => [count, direction, reason, number]),
    [[130, 'incoming', 'permission', 11]],
  );
});

test('[POLICY-32] what would have been allowed is an opening', () => {
  const rows = [decided('outgoing message_relay secret', 'blocked', 7)];
  const planned = plan({}, { decided: rows, conversations: [] }, { blocked: new Set([bravo.domain]) });
  assert.deepEqual(
    planned.replay.rows.map(({ count, effect, reason }) => [count, effect, reason]),
    [[7, 'allowed', 'blocked']],
  );
});

test('[POLICY-32] nothing is said about decisions that the facts of today do not explain', () => {
  const rows = [
    decided('outgoing message_relay secret', 'revoked', 5),
    decided('outgoing message_relay unclassified', 'stale', 3),
    decided('outgoing message_relay unclassified', 'size', 2),
    decided('something else', 'allow', 1),
  ];
  const { replay } = plan({ revocationAgeMillisecondsMax: 1_200_000 }, { decided: rows });
  assert.deepEqual([replay.recorded, replay.unexplained, replay.stale, replay.rows], [11, 6, 3, []]);
});

test('[POLICY-32] a day of the past is decided with the certificates of that day', () => {
  const later = instant(TEST_EPOCH + 200 * 86_400_000); // every certificate has ended by then
  const row = { ...decided('outgoing message_relay secret', 'allow', 9), day: dayOf(TEST_EPOCH) + 1 };
  const { replay, conversations } = plan({ levelMax: 'verified' }, { decided: [row], now: later });
  assert.equal(replay.rows[0]?.count, 9);
  assert.deepEqual(conversations, []);
});

test('[POLICY-31] the hash of a plan changes with what it opens, not with what it closes or counts', () => {
  const hash = (...args: Parameters<typeof plan>) => Buffer.from(planHash(nodeCrypto, plan(...args))).toString('hex');
  const opening = { ownLevel: 'nato' } as const;
  const rows = [decided('outgoing message_relay secret', 'allow', 1)];
  assert.equal(hash(opening), hash(opening, { decided: rows, people: 32 }));
  assert.equal(hash(opening), hash({ ...opening, blocked: new Set([carol.domain]) }));
  assert.notEqual(hash(opening), hash({}));
  const unblock = [{}, {}, { blocked: new Set([bravo.domain]) }] as const;
  const more = [...facts().conversations, conversation(3, 'unclassified', [bravo.domain])];
  assert.notEqual(hash(...unblock), hash({}, { conversations: more }, unblock[2]));
});

test('[POLICY-30] a plan of what only tightens opens nothing, whatever the facts', () => {
  const anyTightening = fc.constantFrom<Partial<TrustPolicy>>(
    { blocked: new Set([bravo.domain]) },
    { levelMax: 'basic' },
    { ownLevel: 'basic' },
    { labelLevels: new Map([['unclassified', 'verified']]) },
    { permissions: [] },
    { revocationAgeMillisecondsMax: 120_000 },
  );
  const labels = fc.constantFrom(...(Object.keys(LABELS) as Label[])); // the keys of LABELS are the labels
  fc.assert(
    fc.property(
      anyTightening,
      fc.subarray([...certificates]),
      fc.array(labels, { maxLength: 4 }),
      (after, held, marks) => {
        const known = facts();
        const planned = plan(after, {
          factsAbout: (peer) => ({ ...known.factsAbout(peer), certificates: held }),
          conversations: marks.map((label, n) => conversation(n, label, [bravo.domain, carol.domain])),
          decided: marks.map((label) => decided(`outgoing message_relay ${label}`, 'allow', 1)),
        });
        assert.equal(planned.opens, false);
      },
    ),
    { numRuns: 100 },
  );
});

test('the impact of a level is one sentence', () => {
  const asked = (level: (typeof GRANTED_LEVELS)[number], natoCapable = false, policy = defaultPolicy()) =>
    levelImpact(
      policy,
      { people: 31, conversations: [...facts().conversations.map((one) => ({ ...one, frozen: true }))] },
      { peer: bravo.domain, level, natoCapable },
    );
  assert.equal(asked('classified').sentence, '31 people could exchange up to secret; 2 conversations become allowed.');
  assert.equal(
    asked('basic').sentence,
    '31 people could exchange up to official_use_only; 1 conversation becomes allowed; 1 conversation stays held, as its label or floor needs more.',
  );
  assert.equal(asked('nato', true).label, 'top_secret');
  assert.equal(asked('nato', false, defaultPolicy({ levelMax: 'basic' })).level, 'basic');
  assert.match(asked('nato', false, defaultPolicy({ blocked: new Set([bravo.domain]) })).sentence, /^Nobody/);
});
