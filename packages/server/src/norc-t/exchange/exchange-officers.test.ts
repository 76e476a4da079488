import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeCrypto } from '@norc/crypto/node';
import { type Domain, instant, ok, type Result, utf8 } from '@norc/protocol/base';
import {
  type ApprovalQuestion,
  defaultPolicy,
  type GrantedLevel,
  type LevelPolicy,
  type OfficerDecision,
  type TrustPolicy,
} from '@norc/protocol/norc-t';
import { TEST_EPOCH, type TestOfficer, testApproval, testOfficer, testOrganisation } from '@norc/testkit';
import { OfficerWorld } from '../officers/officers.fixture.ts';
import { ExchangeOfficers, type NegotiationRequest } from './exchange-officers.ts';
import type { Exchange } from './exchange-runner.ts';

const alpha = testOrganisation('alpha.example');
const bravo = testOrganisation('bravo.example');
const PEER = bravo.domain;
const CHARLIE = 'charlie.example' as Domain; // well formed
const anna = testOfficer(alpha, 'anna');
const SUBJECT = nodeCrypto.blake3(utf8('a pair of certificates'));
const codeOf = (result: Result<unknown>) => (result.ok ? 'ok' : result.error.code);

/** A policy in which basic needs officers. */
function strict(): TrustPolicy {
  const policy = defaultPolicy();
  const basic: LevelPolicy = {
    ...policy.levels.basic,
    approvals: 2,
    evidence: { ...policy.levels.basic.evidence, officer_approval: 'required' },
  };
  return { ...policy, levels: { ...policy.levels, basic } };
}

type Said = Omit<OfficerDecision, 'kind' | 'at'>;

/** Exchanges that remember what they were told. */
class Exchanges {
  readonly begun: NegotiationRequest[] = [];
  readonly said: (Said & { readonly actor: string })[] = [];
  waiting: readonly string[] = ['one'];
  signed = true;
  level: GrantedLevel = 'classified';

  async begin(request: NegotiationRequest): Promise<Result<Exchange>> {
    this.begun.push(request);
    return ok(exchange('begun'));
  }

  awaitingApproval(): readonly Exchange[] {
    return this.waiting.map(exchange);
  }

  question(): ApprovalQuestion {
    return { signed: this.signed, level: this.level, subject: SUBJECT } as ApprovalQuestion; // what is looked at
  }

  async officer(one: Exchange, decision: Said, actor: string): Promise<Result<Exchange>> {
    this.said.push({ ...decision, actor });
    return ok(one);
  }
}

const exchange = (id: string) => ({ id, peer: PEER }) as Exchange; // only passed on

async function scene(policy: TrustPolicy = strict()) {
  const world = new OfficerWorld(alpha);
  await world.add(anna);
  const runner = new Exchanges();
  const notes: string[] = [];
  const officers = new ExchangeOfficers({
    ...{ crypto: nodeCrypto, runner, officers: () => world.officers, policy: () => policy },
    clock: { now: () => instant(world.now) },
    audit: { note: ({ detail }) => void notes.push(String(detail?.['code'])) },
  });
  return { world, runner, officers, notes };
}

const request = (officer: TestOfficer, subject: Uint8Array, peer = PEER) =>
  testApproval(officer, { action: 'trust_request', peer, subject });
const grant = (officer: TestOfficer, changes = {}) =>
  testApproval(officer, { action: 'trust_grant', peer: PEER, subject: SUBJECT, ...changes });

test('[OFFICER-23] where officers sign, a request without a signature is not begun', async () => {
  const { officers, runner } = await scene();
  assert.equal(codeOf(await officers.request(PEER, 'basic', 'officer:admin')), 'approval_required');
  assert.equal(codeOf(await officers.request(PEER, 'untrusted', 'officer:admin')), 'insufficient_trust');
  assert.deepEqual(runner.begun, []);
  const lenient = await scene(defaultPolicy());
  assert.equal(codeOf(await lenient.officers.request(PEER, 'basic', 'officer:admin')), 'ok');
});

test('[OFFICER-23] a request has exactly the terms that the officer signed, once', async () => {
  const { officers, runner, world } = await scene();
  const draft = officers.draft(PEER, 'basic', {
    days: 30,
    conditions: [{ name: 'review', kind: 'report', afterDays: 10, action: 'notify' }],
  });
  assert.ok(draft.ok && draft.value.signed);
  world.now += 60_000; // typing a passphrase takes its time
  const requested = { subject: draft.value.subject, approval: request(anna, draft.value.subject) };
  for (const [peer, level] of [
    [CHARLIE, 'basic'],
    [PEER, 'verified'],
  ] as const)
    assert.equal(codeOf(await officers.request(peer, level, 'x', { requested })), 'approval_expired');
  assert.equal(codeOf(await officers.request(PEER, 'basic', 'x', { requested, days: 365 })), 'ok');
  const [begun] = runner.begun;
  assert.equal(begun?.validDays, 30, 'the draft counts, not what came with the signature');
  assert.equal(begun?.offers.conditions[0]?.deadline, TEST_EPOCH - 300_000 + 10 * 86_400_000);
  assert.equal(begun?.requested, requested.approval);
  assert.equal(codeOf(await officers.request(PEER, 'basic', 'x', { requested })), 'approval_expired', 'not again');
});

test('[OFFICER-14] [OFFICER-23] a signature by anybody else than a known officer begins nothing', async () => {
  const { officers, runner, notes } = await scene();
  const draft = officers.draft(PEER, 'basic');
  assert.ok(draft.ok);
  const { subject } = draft.value;
  const attempts = [
    request(testOfficer(alpha, 'eve'), subject),
    request(testOfficer(alpha, 'mallory', {}, alpha.server), subject),
    request(testOfficer(bravo, 'anna'), subject),
    request(anna, subject, CHARLIE),
    request(anna, SUBJECT),
    testApproval(anna, { action: 'trust_grant', peer: PEER, subject }),
  ];
  for (const approval of attempts)
    assert.equal((await officers.request(PEER, 'basic', 'x', { requested: { subject, approval } })).ok, false);
  assert.deepEqual(runner.begun, []);
  assert.equal(notes.length, attempts.length, 'each is noted for the audit log');
});

test('what the policy would cut down is refused instead', async () => {
  const { officers } = await scene({
    ...strict(),
    levels: {
      ...strict().levels,
      basic: {
        ...strict().levels.basic,
        conditions: [{ name: 'review', kind: 'report', afterDays: 5, action: 'revoke' }],
      },
    },
  });
  assert.equal(codeOf(officers.draft(PEER, 'basic', { days: 366 })), 'insufficient_trust');
  const soft = { name: 'review', kind: 'report', afterDays: 300, action: 'notify' } as const;
  assert.equal(codeOf(officers.draft(PEER, 'basic', { conditions: [soft] })), 'forbidden');
});

test('[OFFICER-24] an approval where officers sign is one of exactly the pair that waits', async () => {
  const { officers, runner } = await scene();
  assert.equal(codeOf(await officers.approve(PEER, 'officer:admin')), 'approval_required');
  for (const signed of [
    grant(anna, { subject: nodeCrypto.blake3(utf8('another pair')) }),
    grant(anna, { peer: CHARLIE }),
    grant(anna, { action: 'trust_decline' }),
    grant(testOfficer(alpha, 'eve')),
    grant({ ...anna, keys: alpha.server }),
  ])
    assert.equal((await officers.approve(PEER, 'x', { signed })).ok, false);
  assert.deepEqual(runner.said, []);
  const signed = grant(anna);
  assert.ok((await officers.approve(PEER, 'officer:somebody else', { signed })).ok);
  const by = `officer:${anna.officerId}`;
  assert.deepEqual(runner.said, [{ decision: 'approve', by, signed, actor: by }], 'the signature says who it was');
});

test('[OFFICER-24] less than was asked for is drafted anew, and then signed; more never', async () => {
  const { officers, runner } = await scene();
  assert.ok((await officers.approve(PEER, 'officer:admin', { level: 'verified' })).ok);
  assert.equal(runner.said[0]?.level, 'verified');
  assert.equal(codeOf(await officers.approve(PEER, 'officer:admin', { level: 'nato' })), 'forbidden');
  assert.equal(codeOf(await officers.approve(PEER, 'officer:admin', { level: 'classified' })), 'approval_required');
});

test('nothing is approved when none or more than one waits; declining needs nobody, and ends all', async () => {
  const { officers, runner } = await scene();
  runner.waiting = [];
  assert.equal(codeOf(await officers.approve(PEER, 'x', { signed: grant(anna) })), 'forbidden');
  assert.equal(codeOf(await officers.decline(PEER, 'x', 'no')), 'forbidden');
  runner.waiting = ['one', 'two'];
  assert.equal(codeOf(await officers.approve(PEER, 'x', { signed: grant(anna) })), 'forbidden');
  assert.ok((await officers.decline(PEER, 'officer:admin', 'no')).ok);
  assert.deepEqual(
    runner.said.map(({ decision }) => decision),
    ['reject', 'reject'],
  );
  runner.waiting = ['one'];
  assert.equal(
    codeOf(await officers.decline(PEER, 'x', 'no', grant(anna))),
    'forbidden',
    'an approval declines nothing',
  );
  const declined = grant(anna, { action: 'trust_decline' });
  assert.ok((await officers.decline(PEER, 'x', 'no', declined)).ok);
});
