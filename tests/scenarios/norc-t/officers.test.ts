import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { nodeClock, nodeCrypto, nodeRandom, openSignerFile } from '@norc/crypto/node';
import type { Domain, Result } from '@norc/protocol/base';
import { type KeyPair, type Signer, signDocument, signDocumentWith } from '@norc/protocol/crypto';
import {
  type ApprovalAction,
  defaultPolicy,
  draftApproval,
  draftOfficerCertificate,
  draftOfficerRevocation,
  officerIdOf,
  type SignedApproval,
} from '@norc/protocol/norc-t';
import { organisationPaths } from '@norc/server';
import { mustBe } from '@norc/testkit';
import { type TestServer, TestServers, trustState, until } from '@norc/testkit/live';

const ADMIN = 'officer:test';
const DAY_MS = 86_400_000;

/** Somebody with a key of their own, and what the root key (or somebody who pretends to have it) certified. */
interface Person {
  readonly org: Domain;
  readonly keys: KeyPair;
  readonly certificate: Uint8Array;
}

async function rootOf(server: TestServer): Promise<Signer> {
  return await openSignerFile(organisationPaths(join(server.folder, server.domain)).rootKey);
}

async function person(server: TestServer, signer?: Signer): Promise<Person> {
  const keys = nodeCrypto.ed25519.keyPair((length) => nodeRandom.bytes(length));
  const now = nodeClock.now();
  const draft = draftOfficerCertificate(nodeCrypto, {
    ...{ org: server.domain, publicKey: keys.publicKey, roles: ['trust'] },
    ...{ notBefore: now - 1000, notAfter: now + DAY_MS },
  });
  const { bytes } = await signDocument(nodeCrypto, draft, signer ?? (await rootOf(server)));
  return { org: server.domain, keys, certificate: bytes };
}

async function officers(server: TestServer, count: number): Promise<readonly Person[]> {
  const people = await Promise.all(Array.from({ length: count }, () => person(server)));
  for (const { certificate } of people) mustBe(await server.node().officers.add(certificate, ADMIN));
  return people;
}

async function leave(server: TestServer, { keys }: Person): Promise<void> {
  const officer_id = officerIdOf(nodeCrypto, keys.publicKey);
  const body = { officer_id, org: server.domain, reason: 'left', revoked_at: nodeClock.now() };
  const { bytes } = await signDocument(nodeCrypto, draftOfficerRevocation(body), await rootOf(server));
  mustBe(await server.node().officers.revoke(bytes, ADMIN));
}

function signed({ org, keys, certificate }: Person, action: ApprovalAction, peer: Domain, subject: Uint8Array) {
  const officer_id = officerIdOf(nodeCrypto, keys.publicKey);
  const body = { org, officer_id, action, peer, subject, approved_at: nodeClock.now() };
  return { approval: signDocumentWith(nodeCrypto, draftApproval(body), keys).bytes, certificate };
}

/** Signs what waits for this side's officers. */
async function approve(server: TestServer, peer: TestServer, by: Person): Promise<Result<unknown>> {
  const { subject } = mustBe(server.node().trust.question(peer.domain));
  const approval: SignedApproval = signed(by, 'trust_grant', peer.domain, subject);
  return await server.node().trust.approve(peer.domain, ADMIN, { signed: approval });
}

async function ask(server: TestServer, peer: TestServer, by: Person): Promise<Result<unknown>> {
  const { subject } = mustBe(server.node().trust.draftRequest(peer.domain, 'basic'));
  const approval = signed(by, 'trust_request', peer.domain, subject);
  return await server.node().trust.request(peer.domain, 'basic', ADMIN, { requested: { subject, approval } });
}

const codeOf = (result: Result<unknown>) => (result.ok ? 'ok' : result.error.code);
const approvedBy = (server: TestServer, peer: TestServer) =>
  mustBe(server.node().trust.question(peer.domain)).approvedBy.length;
const waits = (server: TestServer, peer: TestServer) =>
  until(
    `${server.domain} waits for its officers`,
    () => trustState(server.node(), peer.domain) === 'awaiting_approval',
  );

/** Basic asks for two officers, so that no other evidence is needed. */
async function strict(run: (alpha: TestServer, bravo: TestServer) => Promise<void>): Promise<void> {
  await using world = await TestServers.start('alpha.example', 'bravo.example');
  const [alpha, bravo] = [world.at(0), world.at(1)];
  for (const server of [alpha, bravo]) await demandOfficers(server);
  await run(alpha, bravo);
}

async function demandOfficers(server: TestServer): Promise<void> {
  const { levels } = defaultPolicy();
  const { basic } = levels;
  const evidence = { ...basic.evidence, officer_approval: 'required' } as const;
  const policy = defaultPolicy({ levels: { ...levels, basic: { ...basic, approvals: 2, evidence } } });
  await server.node().trust.setPolicy(policy);
}

test('the officer who left: their signature counts no more, also when it was given before, and after a restart', async () => {
  await strict(async (alpha, bravo) => {
    const [anna, ada, alex] = (await officers(alpha, 3)) as [Person, Person, Person]; // three of them
    const [bert, bea, bob] = (await officers(bravo, 3)) as [Person, Person, Person]; // three of them
    mustBe(await ask(alpha, bravo, anna));
    await waits(bravo, alpha);
    mustBe(await approve(bravo, alpha, bert));
    assert.equal(approvedBy(bravo, alpha), 1);
    await leave(bravo, bert);
    assert.equal(approvedBy(bravo, alpha), 0);
    await bravo.restart();
    await demandOfficers(bravo);
    assert.equal(codeOf(await approve(bravo, alpha, bert)), 'certificate_expired');
    mustBe(await approve(bravo, alpha, bea));
    assert.equal(approvedBy(bravo, alpha), 1);
    mustBe(await approve(bravo, alpha, bob));
    await waits(alpha, bravo);
    assert.equal(codeOf(await approve(alpha, bravo, anna)), 'forbidden', 'nobody approves their own request');
    mustBe(await approve(alpha, bravo, ada));
    mustBe(await approve(alpha, bravo, alex));
    for (const [one, other] of [
      [alpha, bravo],
      [bravo, alpha],
    ] as const)
      await until('trust is in force', () => one.node().trust.level(other.domain) === 'basic');
  });
});

test('a server that was taken over invents no officer, neither for itself nor for its partner', async () => {
  await strict(async (alpha, bravo) => {
    const [anna] = await officers(alpha, 1);
    assert.ok(anna !== undefined);
    const invented = await person(alpha, alpha.node().identity.signer);
    assert.equal(codeOf(await alpha.node().officers.add(invented.certificate, ADMIN)), 'signature_invalid');
    assert.equal(codeOf(await ask(alpha, bravo, invented)), 'signature_invalid');
    assert.equal(codeOf(await ask(alpha, bravo, await person(alpha))), 'forbidden', 'certified, but nobody added them');
    const request = await alpha.node().trust.request(bravo.domain, 'basic', ADMIN);
    assert.equal(codeOf(request), 'approval_required');
    mustBe(await ask(alpha, bravo, anna));
    await waits(bravo, alpha);
    assert.equal(codeOf(await bravo.node().trust.approve(alpha.domain, ADMIN)), 'approval_required');
    const forged = await person(bravo, bravo.node().identity.signer);
    assert.equal(codeOf(await approve(bravo, alpha, forged)), 'signature_invalid');
    assert.equal(codeOf(await approve(bravo, alpha, anna)), 'certificate_invalid', "the partner's officer is not ours");
    assert.equal(approvedBy(bravo, alpha), 0);
    assert.equal(alpha.node().trust.level(bravo.domain), 'untrusted');
  });
});
