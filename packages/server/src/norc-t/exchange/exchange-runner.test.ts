import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeCrypto } from '@norc/crypto/node';
import { parseDocument } from '@norc/protocol/crypto';
import {
  type ApprovalQuestion,
  type ConditionRule,
  decodeEvidenceRecord,
  decodeSignedApproval,
  defaultPolicy,
  OFFICER_APPROVAL,
  requestDescription,
  requestSubject,
  requestTerms,
} from '@norc/protocol/norc-t';
import {
  grantBy,
  mustBe,
  TEST_EPOCH,
  type TestOfficer,
  testApproval,
  testOfficer,
  testOrganisation,
  testPostQuantum,
} from '@norc/testkit';
import { ExchangeSide, exchangeAll } from './exchange.fixture.ts';
import type { Exchange } from './exchange-runner.ts';

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
const alphaOrg = testOrganisation('alpha.example');
const bravoOrg = testOrganisation('bravo.example');
const [alphaPq, bravoPq] = [testPostQuantum(alphaOrg), testPostQuantum(bravoOrg)];
const officer = (org: typeof alphaOrg, name: string) => testOfficer(org, name);
const asker = officer(alphaOrg, 'asker');
const OURS = ['first', 'second'].map((name) => officer(alphaOrg, name));
const THEIRS = ['third', 'fourth'].map((name) => officer(bravoOrg, name));

async function pair(): Promise<[ExchangeSide, ExchangeSide]> {
  const start = (org: typeof alphaOrg, pq: typeof alphaPq) => ExchangeSide.start(org, { pq });
  return [await start(alphaOrg, alphaPq), await start(bravoOrg, bravoPq)];
}

/** An officer of alpha asks bravo for classified. */
async function askClassified(alpha: ExchangeSide, conditions: readonly ConditionRule[] = []): Promise<Exchange> {
  const terms = requestTerms(alpha.board.policy, 'classified', alpha.now, conditions);
  const request = { peer: bravoOrg.domain, level: 'classified', validDays: 90, ...terms } as const;
  const subject = requestSubject(nodeCrypto, requestDescription(request));
  const about = { action: 'trust_request', subject, peer: bravoOrg.domain, approved_at: alpha.now } as const;
  const requested = testApproval(asker, about);
  return mustBe(await alpha.runner.begin({ ...request, requested }, `officer:${asker.officerId}`));
}

function waiting(side: ExchangeSide, peer: typeof alphaOrg): { exchange: Exchange; question: ApprovalQuestion } {
  const [exchange] = side.runner.awaitingApproval(peer.domain);
  const question = exchange === undefined ? undefined : side.runner.question(exchange);
  assert.ok(exchange !== undefined && question !== undefined);
  return { exchange, question };
}

async function sign(side: ExchangeSide, peer: typeof alphaOrg, by: TestOfficer) {
  const { exchange, question } = waiting(side, peer);
  const signed = grantBy(by, question, { approved_at: side.now });
  return await side.runner.officer(exchange, { decision: 'approve', by: 'x', signed }, `officer:${by.officerId}`);
}

async function basic(alpha: ExchangeSide, bravo: ExchangeSide, options: { renewal?: boolean } = {}): Promise<void> {
  mustBe(await alpha.runner.request(bravoOrg.domain, 'basic', 'officer:test', options));
  await exchangeAll(alpha, bravo);
  const { exchange } = waiting(bravo, alphaOrg);
  mustBe(await bravo.runner.officer(exchange, { decision: 'approve', by: 'admin' }, 'officer:admin'));
  await exchangeAll(alpha, bravo);
}

test('findings are kept for each exchange and side, and audited piece by piece', async () => {
  const [alpha, bravo] = await pair();
  await basic(alpha, bravo);
  for (const [side, role, peer] of [
    [alpha, 'initiator', bravoOrg],
    [bravo, 'responder', alphaOrg],
  ] as const) {
    const [row, second] = await side.store.read.trustRecords('evidence', peer.domain);
    assert.ok(row !== undefined && second === undefined);
    const record = mustBe(decodeEvidenceRecord(row.document));
    assert.equal(row.key, `${record.exchange_id}:${role}`);
    assert.deepEqual([record.side, record.peer, record.level, record.score], [role, peer.domain, 'basic', 30]);
    assert.equal(side.types().filter((type) => type === 'trust_evidence_checked').length, 2);
    assert.equal(side.types().filter((type) => type === 'trust_established').length, 2);
  }
});

test('[TRUST-78] a renewal overlaps what is in force, and says so in the log; of nothing it is refused', async () => {
  const [alpha, bravo] = await pair();
  const early = await alpha.runner.request(bravoOrg.domain, 'basic', 'system:server', { renewal: true });
  assert.equal(early.ok ? '' : early.error.code, 'not_trusted');
  await basic(alpha, bravo);
  const first = alpha.board.pair(bravoOrg.domain, alpha.clock.now());
  for (const side of [alpha, bravo]) side.now += 30 * DAY_MS;
  await basic(alpha, bravo, { renewal: true });
  const renewed = alpha.board.pair(bravoOrg.domain, alpha.clock.now());
  assert.ok(first !== undefined && renewed !== undefined);
  assert.equal(renewed.given.notAfter - first.given.notAfter, 30 * DAY_MS);
  assert.equal(alpha.board.givenInForce(bravoOrg.domain, alpha.clock.now()).length, 2);
  for (const side of [alpha, bravo]) {
    assert.deepEqual(
      ['trust_established', 'trust_renewed'].map((type) => side.types().filter((one) => one === type).length),
      [2, 2],
    );
  }
  const [, second] = await alpha.store.read.trustRecords('evidence', bravoOrg.domain);
  assert.equal(mustBe(decodeEvidenceRecord(second?.document ?? new Uint8Array())).days_in_force, 30);
});

test('[TRUST-75] classified: officers of both sides, shown to both, with a restart of both in between', async () => {
  const [alpha, bravo] = await pair();
  await askClassified(alpha);
  await exchangeAll(alpha, bravo);
  const shown = bravo.summary(alphaOrg.domain);
  assert.deepEqual(
    [shown.state, shown.waitsFor, shown.level, shown.requestedBy],
    ['awaiting_approval', 'ours', 'classified', asker.officerId],
  );
  assert.deepEqual([shown.score?.total, shown.scoreMin], [90, 85]);
  assert.equal(shown.evidence?.filter(({ result }) => result === 'held').length, 7);
  assert.equal(alpha.summary(bravoOrg.domain).waitsFor, 'theirs');
  const { exchange } = waiting(bravo, alphaOrg);
  const unsigned = await bravo.runner.officer(exchange, { decision: 'approve', by: 'admin' }, 'officer:admin');
  assert.equal(unsigned.ok ? '' : unsigned.error.code, 'approval_required');
  assert.equal(bravo.notes.at(-1)?.type, 'approval_refused');
  mustBe(await sign(bravo, alphaOrg, THEIRS[0] ?? asker));
  await bravo.restart();
  const half = bravo.summary(alphaOrg.domain).approvals;
  assert.deepEqual([half?.signed, half?.needed, half?.given.map(({ by }) => by)], [true, 2, [THEIRS[0]?.officerId]]);
  assert.equal(half?.goodUntil, TEST_EPOCH + DAY_MS);
  mustBe(await sign(bravo, alphaOrg, THEIRS[1] ?? asker));
  await exchangeAll(alpha, bravo);
  await alpha.restart();
  assert.deepEqual(
    [alpha.summary(bravoOrg.domain).waitsFor, bravo.summary(alphaOrg.domain).waitsFor],
    ['ours', 'theirs'],
  );
  for (const by of OURS) mustBe(await sign(alpha, bravoOrg, by));
  await exchangeAll(alpha, bravo);
  for (const [side, peer] of [
    [alpha, bravoOrg],
    [bravo, alphaOrg],
  ] as const) {
    const summary = side.summary(peer.domain);
    assert.deepEqual([summary.state, summary.level, summary.approvals?.theirs.length], ['in_force', 'classified', 2]);
    assert.equal(summary.certificates?.given.notAfter, summary.certificates?.received.notAfter);
    const kept = (await side.store.read.trustRecords('approval', peer.domain)).map(({ document }) => {
      const { approval } = mustBe(decodeSignedApproval(document));
      return mustBe(parseDocument(OFFICER_APPROVAL, approval)).body;
    });
    assert.deepEqual(
      new Set(kept.map(({ officer_id }) => officer_id)),
      new Set([asker, ...OURS, ...THEIRS].map((one) => one.officerId)),
    );
    assert.equal(kept.length, 5);
  }
});

test('[TRUST-77] what officers signed on evidence that has got too old is void, audited, and asked for again', async () => {
  const [alpha, bravo] = await pair();
  await askClassified(alpha);
  await exchangeAll(alpha, bravo);
  mustBe(await sign(bravo, alphaOrg, THEIRS[0] ?? asker));
  const before = waiting(bravo, alphaOrg).question;
  bravo.now += DAY_MS + HOUR_MS;
  await bravo.runner.retry();
  const after = waiting(bravo, alphaOrg).question;
  assert.notDeepEqual(after.subject, before.subject);
  assert.deepEqual([after.approvalsNeeded, after.approvedBy], [2, []]);
  const audited = bravo.events.find(({ type }) => type === 'approval_refused');
  assert.deepEqual(audited?.detail, { code: 'approval_expired', why: 'evidence', approvals: 1 });
});

test('an approval that comes too late is refused, and the evidence is checked again at once', async () => {
  const [alpha, bravo] = await pair();
  await askClassified(alpha);
  await exchangeAll(alpha, bravo);
  const before = waiting(bravo, alphaOrg).question;
  bravo.now += DAY_MS + HOUR_MS;
  const late = await sign(bravo, alphaOrg, THEIRS[0] ?? asker);
  assert.equal(late.ok ? '' : late.error.code, 'approval_expired');
  assert.notDeepEqual(waiting(bravo, alphaOrg).question.subject, before.subject);
});

test('a check without an answer is asked again; one that fails ends it, and the reason is shown', async () => {
  const [alpha, bravo] = await pair();
  const { evidence } = bravo;
  bravo.evidence = () => undefined;
  mustBe(await alpha.runner.request(bravoOrg.domain, 'basic', 'officer:test'));
  await exchangeAll(alpha, bravo);
  assert.equal(bravo.summary(alphaOrg.domain).explanation, 'Checking what alpha.example shows about itself.');
  bravo.evidence = evidence;
  await bravo.runner.retry();
  assert.equal(bravo.summary(alphaOrg.domain).state, 'awaiting_approval');
  const [, other] = await pair();
  other.evidence = () => [];
  mustBe(await alpha.runner.request(bravoOrg.domain, 'basic', 'officer:test'));
  await exchangeAll(alpha, other);
  assert.match(other.summary(alphaOrg.domain).explanation, /^evidence_rejected: level basic lacks domain_proof/);
  assert.ok(other.types().includes('trust_exchange_failed'));
});

test('[TRUST-47] the second key signs at classified, and not where nobody asks for it', async () => {
  const algorithms = (document: Uint8Array) =>
    (JSON.parse(new TextDecoder().decode(document)).signatures as { algorithm: string }[]).map((one) => one.algorithm);
  const [alpha, bravo] = await pair();
  mustBe(await alpha.runner.request(bravoOrg.domain, 'basic', 'officer:test'));
  assert.deepEqual(algorithms(alpha.outbox[0]?.document ?? new Uint8Array()), ['ed25519']);
  alpha.outbox.length = 0;
  await askClassified(alpha);
  assert.deepEqual(algorithms(alpha.outbox[1]?.document ?? new Uint8Array()), ['ed25519', 'ml-dsa-65']);
  await exchangeAll(alpha, bravo);
  for (const by of THEIRS) mustBe(await sign(bravo, alphaOrg, by));
  const [decision] = bravo.outbox;
  const { issued } = JSON.parse(new TextDecoder().decode(decision?.document)) as { issued: string };
  assert.deepEqual(algorithms(Buffer.from(issued, 'base64url')), ['ed25519', 'ml-dsa-65']);
});

test('[TRUST-49] conditions of the policy, and those of the request, are in the certificates that we give', async () => {
  const report: ConditionRule = { name: 'report', kind: 'report', afterDays: 10, action: 'notify' };
  const audit: ConditionRule = { name: 'audit', kind: 'audit', afterDays: 20, action: 'downgrade', level: 'basic' };
  const { levels } = defaultPolicy();
  const policy = { levels: { ...levels, classified: { ...levels.classified, conditions: [report] } } };
  const alpha = await ExchangeSide.start(alphaOrg, { pq: alphaPq, policy });
  const bravo = await ExchangeSide.start(bravoOrg, { pq: bravoPq });
  await askClassified(alpha, [audit]);
  await exchangeAll(alpha, bravo);
  for (const by of THEIRS) mustBe(await sign(bravo, alphaOrg, by));
  await exchangeAll(alpha, bravo);
  for (const by of OURS) mustBe(await sign(alpha, bravoOrg, by));
  await exchangeAll(alpha, bravo);
  const { certificates } = bravo.summary(alphaOrg.domain);
  assert.deepEqual(
    certificates?.received.conditions.map(({ name, deadline }) => [
      name,
      (deadline - certificates.received.notBefore) / DAY_MS,
    ]),
    [
      ['report', 10],
      ['audit', 20],
    ],
  );
  assert.deepEqual(certificates?.given.conditions, []);
});

test('a stored exchange that cannot be read any more is left out and said, and the server starts', async () => {
  const [alpha, bravo] = await pair();
  await basic(alpha, bravo);
  const [row] = await alpha.store.read.trustExchanges();
  assert.ok(row !== undefined);
  const document = new TextEncoder().encode('{"phase":"proving_domain"}');
  await alpha.store.commit([{ op: 'trust.exchange.put', exchange: { ...row, document } }]);
  await alpha.restart();
  assert.deepEqual([alpha.unusable, alpha.runner.all], [['trust exchange'], []]);
  assert.equal(alpha.summary(bravoOrg.domain).state, 'in_force');
});

test('[TRUST-86] certificates that officers had to sign for count after a restart only with their approvals', async () => {
  const [alpha, bravo] = await pair();
  await askClassified(alpha);
  await exchangeAll(alpha, bravo);
  for (const by of THEIRS) mustBe(await sign(bravo, alphaOrg, by));
  await exchangeAll(alpha, bravo);
  for (const by of OURS) mustBe(await sign(alpha, bravoOrg, by));
  await exchangeAll(alpha, bravo);
  await alpha.restart();
  assert.deepEqual([alpha.board.level(bravoOrg.domain, alpha.clock.now()), alpha.unusable], ['classified', []]);
  const approvals = await alpha.store.read.trustRecords('approval', bravoOrg.domain);
  const last = approvals.find(({ document }) => {
    const { approval } = mustBe(decodeSignedApproval(document));
    return mustBe(parseDocument(OFFICER_APPROVAL, approval)).body.officer_id === OURS[0]?.officerId;
  });
  assert.ok(last !== undefined);
  await alpha.store.commit([{ op: 'trust.record.delete', kind: 'approval', key: last.key }]);
  await alpha.restart();
  assert.equal(alpha.board.pair(bravoOrg.domain, alpha.clock.now()), undefined);
  assert.deepEqual(alpha.unusable, ['trust certificate']);
});
