import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeCrypto } from '@norc/crypto/node';
import { ok, type Result, reject, utf8 } from '@norc/protocol/base';
import type { ApprovalAction } from '@norc/protocol/norc-t';
import { type TestOfficer, testApproval, testOfficer, testOfficerRevocation, testOrganisation } from '@norc/testkit';
import fc from 'fast-check';
import type { ApprovedProposal, ProposalView } from '../../services.ts';
import type { StoreWrite } from '../../storage/port.ts';
import { OfficerWorld } from './officers.fixture.ts';
import { PROPOSAL_LIFE_MS } from './proposals.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const alpha = testOrganisation('alpha.example');
const bravo = testOrganisation('bravo.example');
const NAMES = ['anna', 'bert', 'cleo', 'dora'];
const OFFICERS = NAMES.map((name) => testOfficer(alpha, name));
const [anna, bert, cleo, dora] = OFFICERS as [TestOfficer, TestOfficer, TestOfficer, TestOfficer]; // four names
const DOCUMENT = utf8('restore bravo.example at classified');
const ACTION: ApprovalAction = 'trust_restore';

const codeOf = (result: Result<unknown>) => (result.ok ? 'ok' : result.error.code);

/** A world whose effect writes a row: how often it happened can be counted on the disk. */
class Scene extends OfficerWorld {
  readonly runs: ApprovedProposal[] = [];
  refuse = false;

  static async start(): Promise<Scene> {
    const scene = new Scene(alpha);
    await scene.add(...OFFICERS);
    scene.carryOut();
    return scene;
  }

  carryOut(): void {
    this.proposals.onApproved(ACTION, async (proposal) => {
      this.runs.push(proposal);
      if (this.refuse) return reject('not_trusted', 'no trust to restore');
      const sequence = (await this.store.read.trustRecords('receipt')).length;
      const record = {
        kind: 'receipt',
        key: `effect ${sequence}`,
        at: this.clock.now(),
        document: utf8('{}'),
      } as const;
      const outcome = await proposal.commit([{ op: 'trust.record.put', record }], []);
      return outcome.ok ? ok(undefined) : reject('internal', 'effect');
    });
  }

  override async restart(): Promise<void> {
    await super.restart();
    this.carryOut();
    await this.proposals.tick();
  }

  async effects(): Promise<number> {
    return (await this.store.read.trustRecords('receipt')).length;
  }

  sign(officer: TestOfficer, document = DOCUMENT, action = ACTION) {
    const subject = nodeCrypto.blake3(document);
    return testApproval(officer, { action, peer: bravo.domain, subject, approved_at: this.now });
  }

  async open(needed: number, by?: TestOfficer, document = DOCUMENT): Promise<ProposalView> {
    const opened = await this.tryOpen(needed, by, document);
    if (!opened.ok) throw new Error(opened.error.detail);
    return opened.value;
  }

  tryOpen(needed: number, by?: TestOfficer, document = DOCUMENT) {
    const requested = by === undefined ? {} : { requested: this.sign(by, document) };
    const what = { action: ACTION, peer: bravo.domain, document, needed, actor: 'officer:test', ...requested };
    return this.proposals.open(what);
  }

  approve({ proposalId }: ProposalView, officer: TestOfficer, document = DOCUMENT) {
    return this.proposals.approve(proposalId, this.sign(officer, document));
  }

  view({ proposalId }: ProposalView): ProposalView {
    const found = this.proposals.list().find((one) => one.proposalId === proposalId);
    assert.ok(found !== undefined);
    return found;
  }
}

test('[OFFICER-16] two different officers make it happen, once; it is audited and kept who signed', async () => {
  const scene = await Scene.start();
  const proposal = await scene.open(2, dora);
  assert.deepEqual([proposal.state, proposal.requestedBy, proposal.needed], ['open', dora.officerId, 2]);
  const first = await scene.approve(proposal, anna);
  assert.ok(first.ok);
  assert.deepEqual([first.value.state, first.value.approvedBy], ['open', [anna.officerId]]);
  assert.equal(await scene.effects(), 0);
  const second = await scene.approve(proposal, bert);
  assert.ok(second.ok && second.value.state === 'done');
  assert.equal(await scene.effects(), 1);
  assert.equal(codeOf(await scene.approve(proposal, cleo)), 'forbidden');
  assert.equal((await scene.store.read.trustRecords('approval')).length, 3);
  assert.deepEqual(scene.types().slice(4), [
    ...['proposal_opened', 'approval_given', 'approval_given', 'proposal_closed'],
  ]);
  assert.deepEqual(
    scene.runs.map(({ approvals, requested }) => [approvals.length, requested !== undefined]),
    [[2, true]],
  );
});

test('[OFFICER-11] one officer twice is one; the one who asked is none', async () => {
  const scene = await Scene.start();
  const proposal = await scene.open(2, dora);
  for (let i = 0; i < 3; i += 1) {
    scene.now += 1;
    assert.ok((await scene.approve(proposal, anna)).ok);
  }
  assert.equal(codeOf(await scene.approve(proposal, dora)), 'forbidden');
  assert.deepEqual(scene.view(proposal).approvedBy, [anna.officerId]);
  assert.equal(await scene.effects(), 0);
  assert.equal(scene.notes[0]?.type, 'approval_refused');
});

test('[OFFICER-16] what changed is another proposal: signatures for one count nothing for the other', async () => {
  const scene = await Scene.start();
  const proposal = await scene.open(2, dora);
  assert.equal((await scene.open(2, dora)).proposalId, proposal.proposalId, 'asked twice, it waits once');
  await scene.approve(proposal, anna);
  const changed = utf8('restore bravo.example at nato');
  const other = await scene.open(2, dora, changed);
  assert.notEqual(other.proposalId, proposal.proposalId);
  assert.deepEqual(other.approvedBy, []);
  assert.equal(codeOf(await scene.approve(other, bert, DOCUMENT)), 'forbidden');
  const elsewhere = testApproval(bert, { action: ACTION, subject: proposal.subject, approved_at: scene.now });
  assert.equal(codeOf(await scene.proposals.approve(proposal.proposalId, elsewhere)), 'forbidden', 'another partner');
  const revoke = scene.sign(bert, DOCUMENT, 'trust_revoke');
  assert.equal(codeOf(await scene.proposals.approve(proposal.proposalId, revoke)), 'forbidden', 'another action');
  assert.equal(await scene.effects(), 0);
  assert.equal((await scene.open(3, dora)).needed, 3, 'the policy may ask for more by now');
  assert.equal((await scene.open(1, dora)).needed, 3, 'but never for less');
});

test('[OFFICER-17] an officer who leaves while it waits counts no more', async () => {
  const scene = await Scene.start();
  const proposal = await scene.open(2, dora);
  await scene.approve(proposal, anna);
  scene.now += HOUR_MS;
  await scene.officers.revoke(testOfficerRevocation(anna, scene.now), 'officer:test');
  assert.deepEqual(scene.view(proposal).approvedBy, []);
  assert.ok((await scene.approve(proposal, bert)).ok);
  assert.equal(await scene.effects(), 0);
  assert.equal(codeOf(await scene.approve(proposal, anna)), 'certificate_expired');
  const done = await scene.approve(proposal, cleo);
  assert.ok(done.ok && done.value.state === 'done');
  assert.deepEqual(scene.runs[0]?.approvals.length, 2);
});

test('[OFFICER-17] a request whose officer left takes no effect, however many sign', async () => {
  const scene = await Scene.start();
  const proposal = await scene.open(2, dora);
  await scene.approve(proposal, anna);
  await scene.officers.revoke(testOfficerRevocation(dora, scene.now - HOUR_MS), 'officer:test');
  assert.equal(codeOf(await scene.approve(proposal, bert)), 'approval_required');
  assert.equal(codeOf(await scene.approve(proposal, cleo)), 'approval_required');
  assert.equal(await scene.effects(), 0);
});

test('[OFFICER-18] approvals older than a day are void; after fourteen days it is asked anew', async () => {
  const scene = await Scene.start();
  const proposal = await scene.open(2, dora);
  await scene.approve(proposal, anna);
  scene.now += DAY_MS + 1;
  assert.deepEqual(scene.view(proposal).approvedBy, []);
  await scene.approve(proposal, bert);
  assert.equal(await scene.effects(), 0);
  assert.ok((await scene.approve(proposal, anna)).ok);
  assert.equal(await scene.effects(), 1, 'signed again, it counts again');
  const late = await scene.open(2, dora, utf8('another'));
  scene.now += PROPOSAL_LIFE_MS;
  assert.equal(scene.view(late).state, 'expired');
  assert.equal(codeOf(await scene.approve(late, anna, utf8('another'))), 'approval_expired');
  await scene.proposals.tick();
  assert.equal(scene.events.at(-1)?.type, 'proposal_closed');
  assert.notEqual((await scene.open(2, dora, utf8('another'))).proposalId, late.proposalId);
});

test('[OFFICER-14] a server that makes up a request or a signature opens nothing and completes nothing', async () => {
  const scene = await Scene.start();
  const forged = testOfficer(alpha, 'mallory', {}, alpha.server);
  assert.equal(codeOf(await scene.tryOpen(2, forged)), 'signature_invalid');
  const proposal = await scene.open(2);
  await scene.approve(proposal, anna);
  for (const officer of [
    forged,
    testOfficer(bravo, 'bert'),
    testOfficer(alpha, 'eve'),
    { ...bert, keys: alpha.server },
  ])
    assert.equal((await scene.approve(proposal, officer)).ok, false);
  assert.equal(await scene.effects(), 0);
  assert.equal(codeOf(await scene.proposals.approve('00', scene.sign(bert))), 'forbidden');
});

test('[OFFICER-20] what one person may do happens at once; with a signature, only when it is sound', async () => {
  const scene = await Scene.start();
  const done = await scene.open(0, anna);
  assert.equal(done.state, 'done');
  assert.equal(await scene.effects(), 1);
  assert.equal(codeOf(await scene.tryOpen(0, testOfficer(alpha, 'eve'), utf8('x'))), 'forbidden');
  assert.equal(await scene.effects(), 1);
  scene.refuse = true;
  assert.equal(codeOf(await scene.tryOpen(0, anna, utf8('y'))), 'not_trusted');
  assert.equal(scene.proposals.list().filter(({ state }) => state === 'open').length, 0);
});

test('an effect that is refused leaves the proposal open; the next signature tries again', async () => {
  const scene = await Scene.start();
  scene.refuse = true;
  const proposal = await scene.open(2, dora);
  await scene.approve(proposal, anna);
  assert.equal(codeOf(await scene.approve(proposal, bert)), 'not_trusted');
  assert.deepEqual([scene.view(proposal).state, scene.view(proposal).refused], ['open', 'no trust to restore']);
  await scene.restart();
  assert.equal(scene.view(proposal).state, 'open');
  scene.refuse = false;
  assert.ok((await scene.approve(proposal, bert)).ok);
  assert.equal(await scene.effects(), 1);
});

test('[OFFICER-19] officers who sign at the same moment make it happen once', async () => {
  const scene = await Scene.start();
  const proposal = await scene.open(2, dora);
  const all = await Promise.all([anna, bert, cleo, anna].map((officer) => scene.approve(proposal, officer)));
  assert.equal(await scene.effects(), 1);
  assert.equal(scene.runs.length, 1);
  assert.deepEqual(all.map(codeOf), ['ok', 'ok', 'forbidden', 'forbidden']);
});

/** Enough signed, and the server died before the effect. */
async function interrupted(): Promise<readonly [Scene, ProposalView]> {
  const scene = await Scene.start();
  const proposal = await scene.open(2, dora);
  await scene.approve(proposal, anna);
  let written = 0;
  scene.killAt = () => {
    written += 1;
    return written > 1;
  };
  await assert.rejects(scene.approve(proposal, bert));
  scene.killAt = () => false;
  assert.equal(scene.view(proposal).state, 'approved');
  return [scene, proposal];
}

test('[OFFICER-19] what was approved before a crash waits again when an officer who signed was put out since', async () => {
  for (const [gone, state] of [
    [anna, 'open'],
    [dora, 'open'],
    [cleo, 'done'],
  ] as const) {
    const [scene, proposal] = await interrupted();
    await scene.officers.revoke(testOfficerRevocation(gone, scene.now - HOUR_MS), 'officer:test');
    await scene.proposals.tick();
    assert.equal(scene.view(proposal).state, state);
    assert.equal(await scene.effects(), state === 'done' ? 1 : 0);
  }
});

test('[OFFICER-19] what was approved before a crash is taken up days later, unless it is withdrawn first', async () => {
  const [scene, proposal] = await interrupted();
  scene.now += 5 * DAY_MS;
  assert.deepEqual(scene.view(proposal).approvedBy.length, 2);
  await scene.proposals.tick();
  assert.equal(await scene.effects(), 1);
  const [other, taken] = await interrupted();
  assert.ok((await other.proposals.withdraw(taken.proposalId, 'officer:test')).ok);
  await other.proposals.tick();
  assert.deepEqual([other.view(taken).state, await other.effects()], ['withdrawn', 0]);
  assert.equal(codeOf(await other.proposals.withdraw(taken.proposalId, 'officer:test')), 'forbidden');
});

test('[OFFICER-19] killed at any write, it happens exactly once after the restart', async () => {
  for (const done of [false, true]) {
    for (let place = 0; place < 12; place += 1) {
      const scene = await Scene.start();
      let written = 0;
      scene.killAt = (writes: readonly StoreWrite[]) => {
        const kill = written++ === place;
        if (kill && done) void scene.store.commit(writes); // it reached the disk, but nobody was told
        return kill;
      };
      const lived = await life(scene).then(
        () => true,
        () => false,
      );
      if (lived) break;
      await scene.restart();
      await life(scene);
      assert.equal(await scene.effects(), 1, `killed at write ${place}, ${done ? 'after' : 'before'} it`);
      assert.deepEqual(scene.faults, []);
    }
  }
});

/** What people do, and do again when they are not told that it was done. */
async function life(scene: Scene): Promise<void> {
  if (scene.proposals.list().some(({ state }) => state === 'done')) return;
  const proposal = await scene.open(2, dora);
  for (const officer of [anna, bert]) await scene.approve(proposal, officer);
}

const STEP = fc.oneof(
  fc.record({ kind: fc.constant('sign' as const), who: fc.nat(3) }),
  fc.record({ kind: fc.constant('leave' as const), who: fc.nat(3), back: fc.nat(2 * HOUR_MS) }),
  fc.record({ kind: fc.constant('wait' as const), time: fc.constantFrom(HOUR_MS, DAY_MS / 2, DAY_MS + 1) }),
  fc.record({ kind: fc.constant('restart' as const) }),
);
type Step = typeof STEP extends fc.Arbitrary<infer S> ? S : never;

/** What should happen, in a few lines. Officer 3 asked. */
class Expectation {
  readonly #needed: number;
  readonly #signed = new Map<number, number>();
  readonly #left = new Set<number>();
  done = 0;

  constructor(needed: number) {
    this.#needed = needed;
  }

  take(step: Step, now: number): void {
    if (step.kind === 'leave') this.#left.add(step.who);
    if (step.kind !== 'sign' || step.who === 3 || this.#left.has(step.who)) return;
    this.#signed.set(step.who, now);
    const counting = [...this.#signed].filter(([who, at]) => !this.#left.has(who) && now - at <= DAY_MS);
    if (counting.length >= this.#needed && !this.#left.has(3)) this.done = 1;
  }
}

async function play(scene: Scene, proposal: ProposalView, step: Step): Promise<void> {
  if (step.kind === 'wait') scene.now += step.time;
  if (step.kind === 'restart') await scene.restart();
  if (step.kind !== 'sign' && step.kind !== 'leave') return;
  const officer = OFFICERS[step.who] as TestOfficer; // nat(3)
  if (step.kind === 'sign') await scene.approve(proposal, officer);
  else await scene.officers.revoke(testOfficerRevocation(officer, scene.now - step.back), 'officer:test');
}

test('[OFFICER-17] in any order of signing, leaving, waiting and restarting it takes enough who count at the end', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(STEP, { maxLength: 8 }), fc.integer({ min: 1, max: 3 }), async (steps, needed) => {
      const scene = await Scene.start();
      const proposal = await scene.open(needed, dora);
      const expected = new Expectation(needed);
      for (const step of steps) {
        await play(scene, proposal, step);
        expected.take(step, scene.now);
        assert.equal(await scene.effects(), expected.done);
      }
    }),
    { numRuns: 40 },
  );
});
