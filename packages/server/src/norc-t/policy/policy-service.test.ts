import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeCrypto } from '@norc/crypto/node';
import { type Domain, instant, type Result, utf8 } from '@norc/protocol/base';
import { parseDocument } from '@norc/protocol/crypto';
import {
  defaultPolicy,
  POLICY_CHANGE,
  policyDocument,
  policyHash,
  type TrustFacts,
  type TrustPolicy,
} from '@norc/protocol/norc-t';
import {
  TEST_EPOCH,
  type TestOfficer,
  testApproval,
  testOfficer,
  testOrganisation,
  testTrustCertificate,
} from '@norc/testkit';
import { StorageError } from '../../storage/port.ts';
import { OfficerWorld } from '../officers/officers.fixture.ts';
import { DecisionCounts } from './decision-counts.ts';
import type { PolicyTrust } from './policy-facts.ts';
import { startingPolicy } from './policy-record.ts';
import { type ApplyOutcome, type PlannedPolicy, PolicyService } from './policy-service.ts';

const alpha = testOrganisation('alpha.example');
const bravo = testOrganisation('bravo.example');
const anna = testOfficer(alpha, 'anna');
const bert = testOfficer(alpha, 'bert');
const certificates = [testTrustCertificate(alpha, bravo), testTrustCertificate(bravo, alpha)];

const STRICTER = defaultPolicy({ blocked: new Set([bravo.domain]) });
const LOOSER = defaultPolicy({ ownLevel: 'nato' });
const ACTOR = 'officer:admin-socket';
const codeOf = (result: Result<unknown>) => (result.ok ? 'ok' : `${result.error.code}: ${result.error.detail}`);

class Scene extends OfficerWorld {
  readonly told: TrustPolicy[] = [];
  readonly peers: Domain[] = [bravo.domain];
  service: PolicyService | undefined;
  current: TrustPolicy = defaultPolicy();

  static async start(readFile?: () => TrustPolicy): Promise<Scene> {
    const scene = new Scene(alpha);
    await scene.add(anna, bert);
    await scene.begin(readFile);
    return scene;
  }

  /** As the server does it: the policy first, then what depends on it. */
  async begin(readFile?: () => TrustPolicy) {
    const { store, audit, clock, officers, proposals } = this;
    const self = alpha.domain;
    const about = { store, audit, crypto: nodeCrypto, self };
    const starting = await startingPolicy(about, clock.now(), { builtIn: defaultPolicy(), readFile });
    this.current = starting.inForce.policy;
    this.service = new PolicyService({
      ...{ self, store, audit, clock, officers, proposals, crypto: nodeCrypto, readFile },
      ...{ trust: this.#trust(), inForce: starting.inForce, onFault: (error) => this.faults.push(error) },
      counts: new DecisionCounts({ store, clock, onFault: (error) => this.faults.push(error) }),
    });
    await proposals.tick();
    return starting;
  }

  #trust(): PolicyTrust {
    const policy = () => this.current;
    const set = (next: TrustPolicy) => {
      this.current = next;
      this.told.push(next);
    };
    return {
      get policy() {
        return policy();
      },
      setPolicy: async (next) => set(next),
      peers: () => this.peers,
      factsAbout: (): TrustFacts => ({
        ...{ certificates, revocations: [], heardAt: instant(this.now), policy: this.current },
        now: instant(this.now),
      }),
      givenTo: () => [],
      openExchanges: () => [],
    };
  }

  get policies(): PolicyService {
    assert.ok(this.service !== undefined);
    return this.service;
  }

  async plan(policy: TrustPolicy): Promise<PlannedPolicy> {
    const planned = await this.policies.plan(policyDocument(policy).bytes);
    assert.ok(planned.ok, codeOf(planned));
    return planned.value;
  }

  /** Plans and applies, as the command does. `officer` signs what was planned. */
  async apply(policy: TrustPolicy, officer?: TestOfficer): Promise<Result<ApplyOutcome>> {
    const planned = await this.plan(policy);
    return await this.policies.apply(this.request(policy, planned, officer));
  }

  request(policy: TrustPolicy, { planHash, change, before }: PlannedPolicy, officer?: TestOfficer) {
    const base = { document: policyDocument(policy).bytes, number: before.number, plan: planHash };
    if (officer === undefined) return { ...base, actor: ACTOR };
    const approval = this.sign(officer, change);
    return { ...base, approval, actor: `officer:${officer.officerId}` };
  }

  sign(officer: TestOfficer, change: Uint8Array) {
    const subject = nodeCrypto.blake3(change);
    return testApproval(officer, { action: 'policy_apply', subject, approved_at: this.now });
  }

  changed() {
    return this.events.filter(({ type }) => type === 'policy_changed');
  }
}

function waiting(outcome: Result<ApplyOutcome>) {
  assert.ok(outcome.ok && outcome.value.state === 'waiting', codeOf(outcome));
  return outcome.value.proposal;
}

test('[POLICY-40] one person tightens, at once, and trust is told', async () => {
  const scene = await Scene.start();
  assert.deepEqual(await scene.apply(STRICTER), { ok: true, value: { state: 'applied', number: 1 } });
  assert.equal(scene.told.length, 1);
  assert.ok(scene.current.blocked.has(bravo.domain));
  const [event] = scene.changed();
  assert.equal(event?.actor, ACTOR);
  assert.equal(event.detail?.['tightens'], 1);
  assert.equal(event.detail?.['loosens'], 0);
  assert.equal(event.detail?.['policy'], Buffer.from(policyHash(nodeCrypto, STRICTER)).toString('hex'));
});

test('[POLICY-40] an officer who tightens signs it, and the signature is kept', async () => {
  const scene = await Scene.start();
  assert.ok((await scene.apply(STRICTER, anna)).ok);
  assert.equal(scene.changed()[0]?.actor, `officer:${anna.officerId}`);
  assert.equal((await scene.store.read.trustRecords('approval')).length, 1);
  const [record] = await scene.policies.history();
  assert.equal(record?.approvals.length, 1);
  const forged = { ...anna, keys: bert.keys };
  assert.match(codeOf(await scene.apply(defaultPolicy(STRICTER), forged)), /^ok/, 'the same policy needs nobody');
  const more = defaultPolicy({ ...STRICTER, levelMax: 'basic' });
  assert.match(codeOf(await scene.apply(more, forged)), /signature_invalid/);
  assert.equal(scene.policies.inForce.number, 1);
});

test('[POLICY-40] what loosens waits for two officers, the one who asks among them', async () => {
  const scene = await Scene.start();
  const proposal = waiting(await scene.apply(LOOSER, anna));
  assert.equal(scene.policies.inForce.number, 0, 'nothing is in force yet');
  assert.equal(proposal.needed, 1);
  const again = await scene.proposals.approve(proposal.proposalId, scene.sign(anna, proposal.document));
  assert.match(codeOf(again), /nobody approves their own request/);
  const done = await scene.proposals.approve(proposal.proposalId, scene.sign(bert, proposal.document));
  assert.ok(done.ok && done.value.state === 'done', codeOf(done));
  assert.equal(scene.policies.inForce.number, 1);
  assert.equal(scene.current.ownLevel, 'nato');
  const detail = scene.changed()[0]?.detail;
  assert.deepEqual([detail?.['approvals'], detail?.['plan_changed']], [2, false]);
  assert.equal((await scene.store.read.trustRecords('approval')).length, 2);
});

test('[POLICY-40] asked for through the admin socket, two officers sign, and the command may carry a signature', async () => {
  const scene = await Scene.start();
  const proposal = waiting(await scene.apply(LOOSER));
  assert.equal(proposal.needed, 2);
  assert.equal(waiting(await scene.apply(LOOSER, anna)).proposalId, proposal.proposalId);
  assert.deepEqual(await scene.apply(LOOSER, bert), { ok: true, value: { state: 'applied', number: 1 } });
});

test('[POLICY-41] what officers signed names the policy that it replaces: nothing in between is undone', async () => {
  const scene = await Scene.start();
  const proposal = waiting(await scene.apply(LOOSER, anna));
  assert.ok((await scene.apply(STRICTER)).ok, 'a partner is blocked meanwhile');
  const late = await scene.proposals.approve(proposal.proposalId, scene.sign(bert, proposal.document));
  assert.match(codeOf(late), /approval_expired: policy 1 is in force by now/);
  assert.ok(scene.current.blocked.has(bravo.domain));
});

test('[POLICY-41] of two who apply at once, one is told to plan again', async () => {
  const scene = await Scene.start();
  const other = defaultPolicy({ levelMax: 'basic' });
  const requests = [scene.request(STRICTER, await scene.plan(STRICTER)), scene.request(other, await scene.plan(other))];
  const outcomes = await Promise.all(requests.map((one) => scene.policies.apply(one)));
  assert.deepEqual(outcomes.map(codeOf), ['ok', 'approval_expired: policy 1 is in force by now: plan this one again']);
  assert.equal((await scene.policies.history()).length, 1);
});

test('[POLICY-31] what opens something else than was seen is not applied', async () => {
  const scene = await Scene.start();
  assert.ok((await scene.apply(STRICTER)).ok);
  const planned = await scene.plan(defaultPolicy());
  scene.peers.length = 0; // the partner is gone: what is opened is not what was shown
  const outcome = await scene.policies.apply(scene.request(defaultPolicy(), planned, anna));
  assert.match(codeOf(outcome), /approval_expired: what this policy would open has changed/);
});

test('[POLICY-31] facts that change while officers sign are told', async () => {
  const scene = await Scene.start();
  assert.ok((await scene.apply(STRICTER)).ok);
  const proposal = waiting(await scene.apply(defaultPolicy(), anna));
  scene.peers.length = 0;
  assert.ok((await scene.proposals.approve(proposal.proposalId, scene.sign(bert, proposal.document))).ok);
  assert.equal(scene.changed().at(-1)?.detail?.['plan_changed'], true);
  assert.equal((await scene.policies.history()).at(-1)?.plan_changed, true);
});

test('[POLICY-10] what is below the floor is refused here too, whoever sends it', async () => {
  const scene = await Scene.start();
  const { basic } = defaultPolicy().levels;
  const weak = defaultPolicy({ levels: { ...defaultPolicy().levels, basic: { ...basic, lifeDaysMax: 366 } } });
  assert.match(codeOf(await scene.policies.plan(policyDocument(weak).bytes)), /forbidden.*POLICY-12/);
  assert.match(codeOf(await scene.policies.plan(utf8('{}'))), /missing_field/);
  const { bytes } = policyDocument(LOOSER);
  const listed = Buffer.from(bytes)
    .toString()
    .replace('"permissions":["message_relay","user_discovery"', '"permissions":["user_discovery","message_relay"');
  assert.match(codeOf(await scene.policies.plan(Buffer.from(listed))), /not_canonical/);
});

test('a change for another organisation, or with another plan, does not take effect', async () => {
  const scene = await Scene.start();
  const { change } = await scene.plan(LOOSER);
  const text = Buffer.from(change).toString();
  for (const changed of [
    text.replace('"org":"alpha.example"', '"org":"bravo.example"'),
    text.replace('"number":1', '"number":2'),
  ]) {
    const document = Buffer.from(changed);
    assert.ok(parseDocument(POLICY_CHANGE, document).ok, 'well formed');
    const open = await scene.proposals.open({ action: 'policy_apply', document, needed: 2, actor: ACTOR });
    assert.ok(open.ok);
    await scene.proposals.approve(open.value.proposalId, scene.sign(anna, document));
    const outcome = await scene.proposals.approve(open.value.proposalId, scene.sign(bert, document));
    assert.match(codeOf(outcome), /forbidden|approval_expired/);
  }
  const cheap = await scene.proposals.open({ action: 'policy_apply', document: change, needed: 0, actor: ACTOR });
  assert.match(codeOf(cheap), /approval_required: two officers/);
  assert.equal(scene.policies.inForce.number, 0);
});

test('[POLICY-43] policies are numbered and kept, and the last one counts after a restart', async () => {
  const scene = await Scene.start();
  await scene.apply(STRICTER);
  await scene.apply(defaultPolicy({ ...STRICTER, levelMax: 'basic' }));
  await scene.restart();
  const { inForce } = await scene.begin();
  assert.equal(inForce.number, 2);
  assert.equal(inForce.policy.levelMax, 'basic');
  const history = await scene.policies.history();
  assert.deepEqual(
    history.map(({ number, source, tightens }) => [number, source, tightens]),
    [
      [1, 'officers', 1],
      [2, 'officers', 1],
    ],
  );
  assert.deepEqual(history[1]?.previous, policyHash(nodeCrypto, STRICTER));
});

test('[POLICY-43] killed between the last signature and the effect, it takes effect once', async () => {
  const scene = await Scene.start();
  const proposal = waiting(await scene.apply(LOOSER, anna));
  scene.killAt = (writes) => writes.some((one) => one.op === 'trust.record.put' && one.record.kind === 'policy');
  await assert.rejects(scene.proposals.approve(proposal.proposalId, scene.sign(bert, proposal.document)));
  assert.equal(scene.policies.inForce.number, 0);
  await scene.restart();
  await scene.begin();
  assert.equal(scene.policies.inForce.number, 1);
  assert.equal((await scene.policies.history()).length, 1);
});

test('[POLICY-44] the first start takes the file; later ones compare it', async () => {
  let file: TrustPolicy = STRICTER;
  const read = () => file;
  const scene = await Scene.start(read);
  assert.equal(scene.policies.inForce.number, 1);
  assert.equal(scene.changed()[0]?.detail?.['source'], 'file');
  assert.deepEqual(scene.policies.fileState(), { fileChanges: [] });
  file = defaultPolicy();
  await scene.restart();
  const later = await scene.begin(read);
  assert.equal(later.inForce.number, 1);
  assert.deepEqual(
    later.fileChanges.map(({ effect }) => effect),
    ['loosens'],
  );
  assert.ok(scene.current.blocked.has(bravo.domain), 'the stored one counts');
});

test('[POLICY-44] a broken file stops the first start, and only warns later', async () => {
  const broken = () => {
    throw new Error('line 3');
  };
  await assert.rejects(Scene.start(broken), /line 3/);
  const scene = await Scene.start();
  await scene.apply(STRICTER);
  await scene.restart();
  const later = await scene.begin(broken);
  assert.equal(later.fileFault, 'line 3');
  assert.equal(later.inForce.number, 1);
});

test('[POLICY-43] a stored policy that cannot be read stops the server: it does not guess one', async () => {
  const scene = await Scene.start();
  await scene.apply(STRICTER);
  const [row] = await scene.store.read.trustRecords('policy');
  assert.ok(row !== undefined);
  await scene.store.commit([{ op: 'trust.record.put', record: { ...row, document: utf8('{}') } }]);
  await scene.restart();
  await assert.rejects(scene.begin(), (error) => error instanceof StorageError && error.fault === 'corrupt');
});

test('the same policy again changes nothing', async () => {
  const scene = await Scene.start();
  assert.deepEqual(await scene.apply(defaultPolicy()), { ok: true, value: { state: 'unchanged', number: 0 } });
  assert.deepEqual(scene.changed(), []);
  assert.equal(scene.now, TEST_EPOCH);
});

test('the impact of a level counts the people with a device here', async () => {
  const scene = await Scene.start();
  const { sentence, label } = await scene.policies.impact(bravo.domain, 'verified');
  assert.equal(sentence, '0 people could exchange up to confidential.');
  assert.equal(label, 'confidential');
});
