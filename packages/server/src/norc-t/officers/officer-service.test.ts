import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeCrypto } from '@norc/crypto/node';
import { instant, type Result, utf8 } from '@norc/protocol/base';
import { signDocumentWith } from '@norc/protocol/crypto';
import { draftOfficerCertificate, officerIdOf } from '@norc/protocol/norc-t';
import { canonicalJson, type JsonObject } from '@norc/protocol/wire';
import {
  TEST_EPOCH,
  type TestOfficer,
  testApproval,
  testKeyPair,
  testOfficer,
  testOfficerRevocation,
  testOrganisation,
} from '@norc/testkit';
import { OfficerWorld } from './officers.fixture.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const alpha = testOrganisation('alpha.example');
const bravo = testOrganisation('bravo.example');
const anna = testOfficer(alpha, 'anna');
const bert = testOfficer(alpha, 'bert');
const WHAT = { action: 'trust_restore', peer: bravo.domain, subject: nodeCrypto.blake3(utf8('it')) } as const;

const codeOf = (result: Result<unknown>) => (result.ok ? 'ok' : `${result.error.code}: ${result.error.detail}`);
const code = (world: OfficerWorld, officer: TestOfficer, approvedAt: number = world.now) =>
  codeOf(world.officers.check(testApproval(officer, { ...WHAT, approved_at: approvedAt }), WHAT));

async function world(...officers: readonly TestOfficer[]): Promise<OfficerWorld> {
  const made = new OfficerWorld(alpha);
  await made.add(...officers);
  return made;
}

test('[OFFICER-12] a server takes only officers that the root key made, and keeps them across a restart', async () => {
  const made = await world(anna);
  for (const forged of [
    testOfficer(alpha, 'mallory', {}, alpha.server).certificate,
    testOfficer(alpha, 'mallory', {}, testKeyPair('mallory')).certificate,
    testOfficer(bravo, 'mallory').certificate,
    utf8('{}'),
  ])
    assert.equal((await made.officers.add(forged, 'officer:test')).ok, false);
  assert.deepEqual(made.types(), ['officer_added']);
  await made.restart();
  assert.deepEqual(
    made.officers.list().map(({ officerId, state }) => [officerId, state]),
    [[anna.officerId, 'in_office']],
  );
  assert.equal(code(made, anna), 'ok');
});

test("[OFFICER-3] a server's own key is no officer, even when the root key was led to certify it", async () => {
  const made = await world();
  const { publicKey } = alpha.server;
  const tricked = testOfficer(alpha, 'x', { publicKey });
  assert.match(codeOf(await made.officers.add(tricked.certificate, 'officer:test')), /certificate_invalid/);
  const asServer = { ...tricked, keys: alpha.server, officerId: officerIdOf(nodeCrypto, publicKey) };
  assert.match(code(made, asServer), /forbidden/);
});

test('[OFFICER-14] an officer who is certified but not known here approves nothing', async () => {
  const made = await world(anna);
  assert.match(code(made, bert), /^forbidden: this officer is not known here/);
});

test('[OFFICER-12] what was changed in the store counts for nothing after a restart', async () => {
  const server = alpha.server;
  const tampered: readonly [string, (record: JsonObject) => JsonObject][] = [
    ['a certificate by the server', () => ({ certificate: b64(testOfficer(alpha, 'anna', {}, server).certificate) })],
    ['somebody else under this id', () => ({ certificate: b64(bert.certificate) })],
    ['no certificate', () => ({})],
    ['a revocation by the server', (r) => ({ ...r, revocation: b64(testOfficerRevocation(anna, TEST_EPOCH, server)) })],
    ["somebody else's revocation", (r) => ({ ...r, revocation: b64(testOfficerRevocation(bert, TEST_EPOCH)) })],
  ];
  for (const [what, change] of tampered) {
    const made = await world(anna);
    const [row] = await made.store.read.trustRecords('officer');
    assert.ok(row !== undefined);
    const document = canonicalJson(change({ certificate: b64(anna.certificate) }));
    await made.store.commit([{ op: 'trust.record.put', record: { ...row, document } }]);
    await made.restart();
    assert.deepEqual(made.officers.list(), [], what);
    assert.equal(made.unusable.length, 1, what);
    assert.match(code(made, anna), /^forbidden/, what);
  }
});

const b64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64url');

test('[OFFICER-13] a revocation reaches back: what was signed since is void, and what was signed before counts no more', async () => {
  const made = await world(anna, bert);
  made.now = TEST_EPOCH + HOUR_MS;
  const [before, since] = [TEST_EPOCH, TEST_EPOCH + HOUR_MS / 2];
  assert.equal(code(made, anna, since), 'ok');
  const revoked = await made.officers.revoke(testOfficerRevocation(anna, TEST_EPOCH + 1000), 'officer:test');
  assert.ok(revoked.ok && revoked.value.state === 'revoked');
  for (const approvedAt of [before, since]) assert.match(code(made, anna, approvedAt), /certificate_expired/);
  assert.equal(code(made, bert), 'ok');
  await made.restart();
  assert.match(code(made, anna, before), /certificate_expired: the officer was revoked/);
  assert.deepEqual(made.types(), ['officer_added', 'officer_added', 'officer_revoked']);
});

test('[OFFICER-13] a revocation is never softened, and nobody comes back with the same key', async () => {
  const made = await world(anna);
  const revoke = (at: number) => made.officers.revoke(testOfficerRevocation(anna, at), 'officer:test');
  const revokedAt = () => made.officers.list()[0]?.revokedAt;
  await revoke(TEST_EPOCH);
  await revoke(TEST_EPOCH + DAY_MS);
  assert.equal(revokedAt(), TEST_EPOCH, 'a later one changes nothing');
  await revoke(TEST_EPOCH - DAY_MS);
  assert.equal(revokedAt(), TEST_EPOCH - DAY_MS, 'one that reaches back further does');
  const again = testOfficer(alpha, 'anna', { notBefore: TEST_EPOCH + 1 });
  assert.match(codeOf(await made.officers.add(again.certificate, 'officer:test')), /^forbidden/);
});

test('[OFFICER-25] the revocation of an officer who is not known here is kept, and a certificate that comes later is refused', async () => {
  const made = await world(anna);
  assert.ok((await made.officers.revoke(testOfficerRevocation(bert, TEST_EPOCH), 'officer:test')).ok);
  for (const restarted of [false, true]) {
    if (restarted) await made.restart();
    const [, view] = made.officers.list();
    assert.deepEqual([view?.officerId, view?.state, view?.revokedAt], [bert.officerId, 'revoked', TEST_EPOCH]);
    assert.match(
      codeOf(await made.officers.add(bert.certificate, 'officer:test')),
      /^forbidden: this officer was revoked/,
    );
    assert.match(code(made, bert), /^forbidden: this officer is not known/);
  }
  assert.deepEqual(made.unusable, []);
  await made.officers.revoke(testOfficerRevocation(bert, TEST_EPOCH + DAY_MS), 'officer:test');
  assert.equal(made.officers.list()[1]?.revokedAt, TEST_EPOCH, 'a later one changes nothing');
  await made.officers.revoke(testOfficerRevocation(bert, TEST_EPOCH - DAY_MS), 'officer:test');
  assert.ok(made.officers.list().some(({ revokedAt }) => revokedAt === TEST_EPOCH - DAY_MS));
});

test('[OFFICER-5] only the root key revokes: neither the server nor another officer puts one out', async () => {
  const made = await world(anna, bert);
  for (const keys of [alpha.server, bert.keys, anna.keys, bravo.root]) {
    const outcome = await made.officers.revoke(testOfficerRevocation(anna, TEST_EPOCH, keys), 'officer:test');
    assert.match(codeOf(outcome), /^signature_invalid/);
  }
  assert.equal(code(made, anna), 'ok');
});

test('[OFFICER-14] the newest certificate decides about roles and dates; an older one cannot be put back', async () => {
  const made = await world(anna);
  const narrowed = testOfficer(alpha, 'anna', { roles: ['recovery'], notBefore: TEST_EPOCH });
  await made.add(narrowed);
  assert.match(code(made, anna), /^forbidden: role/, 'the wider certificate beside the approval does not help');
  assert.match(codeOf(await made.officers.add(anna.certificate, 'x')), /^forbidden: a newer certificate/);
  const renewed = testOfficer(alpha, 'anna', { notBefore: TEST_EPOCH + 1, notAfter: TEST_EPOCH + 900 * DAY_MS });
  await made.add(renewed);
  made.now = TEST_EPOCH + HOUR_MS;
  assert.equal(code(made, anna, TEST_EPOCH), 'ok', 'a renewal voids nothing that was signed before');
});

test('[OFFICER-7] [OFFICER-14] in office when signing and now, fresh, and named by the policy', async () => {
  const short = testOfficer(alpha, 'anna', { notAfter: TEST_EPOCH + HOUR_MS });
  const made = await world(short, bert);
  assert.equal(code(made, short), 'ok');
  made.now = TEST_EPOCH + HOUR_MS;
  assert.match(code(made, short, TEST_EPOCH), /certificate_expired/);
  assert.equal(code(made, bert, TEST_EPOCH), 'ok');
  made.policy = { ...made.policy, evidenceAgeMillisecondsMax: HOUR_MS - 1 };
  assert.match(code(made, bert, TEST_EPOCH), /approval_expired/);
  made.policy = { ...made.policy, approvers: new Set([anna.officerId]) };
  assert.match(code(made, bert), /forbidden: the policy does not name/);
  made.policy = { ...made.policy, approvers: new Set([bert.officerId]) };
  assert.equal(code(made, bert), 'ok');
});

test('officers who come or go are told to whoever counts approvals; an expired certificate is not taken', async () => {
  const made = await world();
  const told: string[] = [];
  made.officers.onChange((id) => void told.push(id));
  await made.add(anna);
  await made.officers.revoke(testOfficerRevocation(anna, TEST_EPOCH), 'officer:test');
  assert.deepEqual(told, [anna.officerId, anna.officerId]);
  const old = draftOfficerCertificate(nodeCrypto, {
    ...{ org: alpha.domain, publicKey: bert.keys.publicKey, roles: ['trust'] },
    ...{ notBefore: TEST_EPOCH - 2 * DAY_MS, notAfter: TEST_EPOCH - DAY_MS },
  });
  const expired = signDocumentWith(nodeCrypto, old, alpha.root).bytes;
  assert.match(codeOf(await made.officers.add(expired, 'officer:test')), /^certificate_expired/);
});

test('a disk that fails keeps no officer that a restart would not know', async () => {
  const made = await world(anna);
  made.disk.failNext(1, 'io');
  await assert.rejects(made.officers.revoke(testOfficerRevocation(anna, TEST_EPOCH), 'officer:test'));
  assert.equal(code(made, anna), 'ok', 'not half revoked: whoever asked was told, and asks again');
  assert.ok((await made.officers.revoke(testOfficerRevocation(anna, TEST_EPOCH), 'officer:test')).ok);
  assert.match(code(made, anna), /certificate_expired/);
});

test('[OFFICER-5] [OFFICER-13] after a new root key officers are certified again, but not those who were revoked', async () => {
  const made = await world(anna, bert);
  await made.officers.revoke(testOfficerRevocation(anna, TEST_EPOCH), 'officer:test');
  const next = testKeyPair('alpha.example next root');
  const predecessors = [{ rootKey: alpha.root.publicKey, until: instant(TEST_EPOCH + HOUR_MS) }];
  made.pinned = { org: alpha.domain, rootKey: next.publicKey, predecessors };
  await made.restart();
  assert.deepEqual(
    made.officers.list().map(({ officerId, state }) => [officerId, state]),
    [[anna.officerId, 'revoked']],
  );
  assert.match(code(made, bert), /^signature_invalid/);
  const again = (name: string) => testOfficer(alpha, name, { notBefore: TEST_EPOCH }, next);
  await made.add(again('bert'));
  assert.equal(code(made, again('bert')), 'ok');
  assert.match(codeOf(await made.officers.add(again('anna').certificate, 'x')), /^forbidden: this officer was revoked/);
  const oldRoot = testOfficer(alpha, 'x', { publicKey: alpha.root.publicKey }, next);
  assert.match(codeOf(await made.officers.add(oldRoot.certificate, 'x')), /the root key is no officer/);
});
