import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { nodeClock, nodeCrypto, openSignerFile } from '@norc/crypto/node';
import { signDocument, signDocumentWith } from '@norc/protocol/crypto';
import {
  defaultPolicy,
  draftApproval,
  draftOfficerCertificate,
  officerIdOf,
  policyDocument,
  type TrustPolicy,
} from '@norc/protocol/norc-t';
import { mustBe, testKeyPair } from '@norc/testkit';
import { refusalOf, TestDevice, type TestServer, TestServers, trustState, until } from '@norc/testkit/live';

const ACTOR = 'officer:test';
const DAY_MS = 86_400_000;

/** Plans and asks, as `norc policy apply` does. */
async function apply(server: TestServer, policy: TrustPolicy) {
  const document = policyDocument(policy).bytes;
  const planned = mustBe(await server.node().policy.plan(document));
  const request = { document, number: planned.before.number, plan: planned.planHash, actor: ACTOR };
  return { planned: planned.plan, outcome: mustBe(await server.node().policy.apply(request)) };
}

/** Adds an officer, certified by the organisation's root key on this disk; gives how that officer signs. */
async function addOfficer(server: TestServer, name: string) {
  const { domain, folder } = server;
  const keys = testKeyPair(`${domain} officer ${name}`);
  const [notBefore, notAfter] = [nodeClock.now() - DAY_MS, nodeClock.now() + DAY_MS];
  const draft = draftOfficerCertificate(nodeCrypto, {
    ...{ org: domain, publicKey: keys.publicKey, roles: ['trust'], notBefore, notAfter },
  });
  const root = await openSignerFile(join(folder, domain, 'keys', 'root.key'));
  const certificate = (await signDocument(nodeCrypto, draft, root)).bytes;
  root.close();
  mustBe(await server.node().officers.add(certificate, ACTOR));
  return (subject: Uint8Array) => {
    const about = { org: domain, action: 'policy_apply', subject, approved_at: nodeClock.now() } as const;
    const draft = draftApproval({ ...about, officer_id: officerIdOf(nodeCrypto, keys.publicKey) });
    return { approval: signDocumentWith(nodeCrypto, draft, keys).bytes, certificate };
  };
}

test('[POLICY-42] a policy that blocks a partner ends everything with it at once, and two officers open it again', async () => {
  await using world = await TestServers.start('alpha.example', 'bravo.example');
  const [alpha, bravo] = [world.at(0), world.at(1)];
  await world.trust(alpha, bravo);
  const ann = await TestDevice.enrol(alpha, 'ann@alpha.example');
  const bob = await TestDevice.enrol(bravo, 'bob@bravo.example');
  const conversation = await ann.create([bob.user]);
  await conversation.say('hello');
  await bob.conversation(conversation.id).read('hello');

  const blocked = defaultPolicy({ blocked: new Set([bravo.domain]) });
  const { planned, outcome } = await apply(alpha, blocked);
  assert.deepEqual(
    planned.partners.map(({ peer, effect, before, after }) => [peer, effect, before, after]),
    [[bravo.domain, 'closes', 'basic', 'untrusted']],
  );
  assert.deepEqual(
    planned.conversations.map((one) => [one.conversation, one.effect]),
    [[conversation.id, 'frozen']],
  );
  const messages = planned.replay.rows.filter(({ permission }) => permission === 'message_relay');
  assert.ok(
    messages.some(
      ({ direction, effect, reason }) => direction === 'outgoing' && effect === 'refused' && reason === 'blocked',
    ),
    'what was sent today would have been refused',
  );
  assert.equal(planned.people, 1);
  assert.equal(outcome.state, 'applied');

  assert.equal(alpha.node().trust.level(bravo.domain), 'untrusted');
  assert.equal((await alpha.node().store.read.conversation(conversation.id))?.frozen, true, 'before the answer came');
  const { body } = await conversation.encrypt('too late');
  assert.notEqual(refusalOf(await conversation.trySubmit(body)), undefined);

  const reopened = await apply(alpha, defaultPolicy());
  assert.ok(reopened.planned.opens);
  assert.equal(reopened.outcome.state, 'waiting');
  assert.equal(alpha.node().trust.level(bravo.domain), 'untrusted', 'nothing opens before officers signed');
  const [proposal] = alpha.node().proposals.list();
  assert.ok(proposal !== undefined);
  for (const name of ['anna', 'bert']) {
    const sign = await addOfficer(alpha, name);
    mustBe(await alpha.node().proposals.approve(proposal.proposalId, sign(proposal.subject)));
  }
  assert.equal(alpha.node().policy.inForce.number, 2);
  await until('trust is back', () => alpha.node().trust.level(bravo.domain) === 'basic');
  assert.equal(trustState(alpha.node(), bravo.domain), 'in_force');
  // Who was to be put out is not let in again by itself: what begins anew is a new conversation.
  const anew = await ann.create([bob.user]);
  await anew.say('back again');
  await bob.conversation(anew.id).read('back again');
  const types = (await alpha.node().store.read.auditEntries(0, 1000)).map(({ type }) => type);
  assert.equal(types.filter((type) => type === 'policy_changed').length, 2);
  assert.deepEqual(alpha.faults, []);
});

test('[POLICY-43] the policy in force and the recorded decisions survive a restart', async () => {
  await using world = await TestServers.start('alpha.example', 'bravo.example');
  const [alpha, bravo] = [world.at(0), world.at(1)];
  await world.trust(alpha, bravo);
  const ann = await TestDevice.enrol(alpha, 'ann@alpha.example');
  const bob = await TestDevice.enrol(bravo, 'bob@bravo.example');
  await ann.create([bob.user]);
  await apply(alpha, defaultPolicy({ levelMax: 'verified' }));
  const recorded = async () => {
    const { replay } = mustBe(await alpha.node().policy.plan(policyDocument(defaultPolicy()).bytes)).plan;
    return replay.recorded;
  };
  const before = await recorded();
  assert.ok(before > 0);
  await alpha.restart();
  assert.equal(alpha.node().policy.inForce.policy.levelMax, 'verified');
  assert.ok((await recorded()) >= before);
});
