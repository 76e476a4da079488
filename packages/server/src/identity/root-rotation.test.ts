import assert from 'node:assert/strict';
import { cp, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { nodeClock, nodeCrypto, nodeRandom, openMlDsa65File, openSignerFile, seedSigner } from '@norc/crypto/node';
import { instant, parseDomain } from '@norc/protocol/base';
import { type Signer, verifyPostQuantumKey, verifyServerCertificate } from '@norc/protocol/crypto';
import { rootStanding, startLineage, verifyRecoverySet, verifyRootRotation } from '@norc/protocol/norc-t';
import {
  closeOrganisation,
  IdentityError,
  initOrganisation,
  type OrganisationIdentity,
  openOrganisation,
  organisationPaths,
  partyOf,
} from './organisation.ts';
import {
  examineRotation,
  finishRecovery,
  nameRecoveryOfficers,
  oldRootKeyFiles,
  prepareRecovery,
  rotateRootKey,
  signRotation,
} from './root-rotation.ts';

const world = { clock: nodeClock, random: nodeRandom };
const parsed = parseDomain('alpha.example');
assert.ok(parsed.ok);
const domain = parsed.value;
let folder = '';
let count = 0;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'norc-rotation-'));
});
after(() => rm(folder, { recursive: true }));

async function newOrganisation() {
  const home = join(folder, String(count++));
  const identity = await initOrganisation(home, domain, world);
  closeOrganisation(identity);
  return { home, identity, paths: organisationPaths(home) };
}

async function reopen(home: string): Promise<OrganisationIdentity> {
  const identity = await openOrganisation(home, domain, nodeClock.now());
  closeOrganisation(identity);
  return identity;
}

/** What a partner concludes that pinned the organisation before. */
function partner(before: OrganisationIdentity, after: OrganisationIdentity) {
  const now = nodeClock.now();
  const set =
    before.recovery === undefined
      ? undefined
      : verifyRecoverySet(nodeCrypto, before.recovery, { org: domain, rootKey: before.rootKey });
  const pins = set?.ok === true ? [{ set: set.value, since: instant(0) }] : [];
  let lineage = startLineage(domain, before.rootKey, before.pq?.rootKey);
  for (const { rotation } of after.rotations) {
    const taken = verifyRootRotation(nodeCrypto, lineage, rotation, { pins, now });
    assert.ok(taken.ok, taken.ok ? '' : taken.error.detail);
    lineage = taken.value;
  }
  return rootStanding(lineage, now);
}

const officers = ['ann', 'ben', 'cleo'].map((name) => seedSigner(nodeCrypto.sha256(Buffer.from(name))));
const named = { threshold: 2, officers: officers.map(({ publicKey }) => publicKey) };
const copiesBy = (rotation: Uint8Array, by: readonly Signer[]) =>
  Promise.all(by.map(async (officer) => (await signRotation(rotation, officer)).bytes));

test('[ROOT-18] a planned rotation: partners follow it, and the server certificate is good under both keys', async () => {
  const { home, identity, paths } = await newOrganisation();
  await rotateRootKey(home, domain, world, { reason: 'scheduled' });
  const after = await reopen(home);
  assert.notDeepEqual(after.rootKey, identity.rootKey);
  const standing = partner(identity, after);
  assert.deepEqual(standing.rootKey, after.rootKey);
  assert.deepEqual(standing.rootPqKey, after.pq?.rootKey);
  assert.deepEqual(after.certificate.hash, identity.certificate.hash, 'the same certificate, with one signature more');
  const now = nodeClock.now();
  for (const { rootKey } of [identity, after]) {
    const expected = { pinned: { org: domain, rootKey }, now } as const;
    for (const [certificate, usage] of [
      [after.certificate, 'devices'],
      [after.pq?.certificate, 'trust'],
    ] as const) {
      assert.ok(
        verifyServerCertificate(nodeCrypto, certificate?.document ?? new Uint8Array(), { ...expected, usage }).ok,
      );
    }
  }
  for (const { pq } of [identity, after]) {
    assert.ok(pq !== undefined && after.pq !== undefined);
    assert.ok(verifyPostQuantumKey(nodeCrypto, after.pq.certificate, pq.rootKey).ok);
  }
  assert.deepEqual((await openSignerFile(paths.rootKey)).publicKey, after.rootKey);
  assert.deepEqual((await openSignerFile(join(paths.keys, 'root-1-old.key'))).publicKey, identity.rootKey);
});

test('[ROOT-18] three rotations one after the other stay within the size of a certificate', async () => {
  const { home, identity } = await newOrganisation();
  for (let i = 0; i < 3; i += 1) await rotateRootKey(home, domain, world, { reason: 'scheduled' });
  const after = await reopen(home);
  assert.equal(after.lineage.steps.length, 3);
  assert.equal(after.certificate.document.signatures.length, 2);
  assert.equal(after.pq?.certificate.document.signatures.length, 4);
  assert.deepEqual(partner(identity, after).rootKey, after.rootKey);
});

test('a rotation needs the old key; without it nothing changes', async () => {
  const { home, identity, paths } = await newOrganisation();
  await rename(paths.rootKey, join(home, 'away'));
  await assert.rejects(() => rotateRootKey(home, domain, world, { reason: 'scheduled' }), /put the root key back/);
  const after = await reopen(home);
  assert.deepEqual(after.rootKey, identity.rootKey);
  assert.equal(after.rotations.length, 0);
});

test('a rotation that was cut off before the new key was named is done again', async () => {
  const { home, identity, paths } = await newOrganisation();
  const publicFile = await readFile(paths.rootPublic);
  const secrets = await Promise.all([paths.rootKey, paths.rootPqKey].map((file) => readFile(file)));
  await rotateRootKey(home, domain, world, { reason: 'scheduled' });
  // As it was on disk a moment before `root.pub.json` was replaced.
  await rename(paths.rootKey, paths.nextRootKey);
  await rename(paths.rootPqKey, paths.nextRootPqKey);
  await writeFile(paths.rootKey, secrets[0] ?? '', { mode: 0o600 });
  await writeFile(paths.rootPqKey, secrets[1] ?? '', { mode: 0o600 });
  await writeFile(paths.rootPublic, publicFile);
  assert.deepEqual((await reopen(home)).rootKey, identity.rootKey);
  await rotateRootKey(home, domain, world, { reason: 'scheduled' });
  const after = await reopen(home);
  assert.equal(after.rotations.length, 1);
  assert.deepEqual(partner(identity, after).rootKey, after.rootKey);
});

test('[ROOT-10] a lost root key: two of three officers sign copies anywhere, and the organisation has a new key', async () => {
  const { home, paths } = await newOrganisation();
  await nameRecoveryOfficers(home, domain, world, named);
  const before = await reopen(home);
  assert.deepEqual(partyOf(before).recovery, before.recovery);
  await rm(paths.rootKey);
  await rm(paths.rootPqKey);
  const rotation = await prepareRecovery(home, domain, world, { reason: 'lost' });
  assert.deepEqual(await prepareRecovery(home, domain, world, { reason: 'lost' }), rotation, 'asked again, the same');
  const two = await copiesBy(rotation, officers.slice(0, 2));
  await assert.rejects(() => finishRecovery(home, domain, world, two.slice(0, 1)), /1 of 2 recovery officers/);
  await assert.rejects(() => finishRecovery(home, domain, world, [two[0] ?? rotation, two[0] ?? rotation]), /1 of 2/);
  const stranger = seedSigner(nodeRandom.bytes(32));
  const mixed = [two[0] ?? rotation, ...(await copiesBy(rotation, [stranger]))];
  await assert.rejects(() => finishRecovery(home, domain, world, mixed), /1 of 2/);
  await finishRecovery(home, domain, world, two);
  const after = await reopen(home);
  assert.deepEqual(partner(before, after).rootKey, after.rootKey);
  assert.equal(after.lineage.steps[0]?.by, 'recovery');
  assert.equal(after.recovery, undefined, 'the new key has to name its officers anew');
  await assert.rejects(() => stat(paths.pendingRotation));
  const renamed = await nameRecoveryOfficers(home, domain, world, named);
  assert.equal(renamed.body.sequence, 2);
});

test('a recovery needs officers that were named before, and copies of this very rotation', async () => {
  const { home, paths } = await newOrganisation();
  await assert.rejects(() => prepareRecovery(home, domain, world, { reason: 'lost' }), IdentityError);
  await nameRecoveryOfficers(home, domain, world, named);
  const rotation = await prepareRecovery(home, domain, world, { reason: 'lost' });
  await assert.rejects(
    () => prepareRecovery(home, domain, world, { reason: 'compromised' }),
    /another reason \(lost\)/,
  );
  await rm(paths.pendingRotation);
  const other = await prepareRecovery(home, domain, world, { reason: 'compromised' });
  assert.notDeepEqual(other, rotation);
  await assert.rejects(
    async () => finishRecovery(home, domain, world, await copiesBy(rotation, officers)),
    /another rotation/,
  );
  await finishRecovery(home, domain, world, await copiesBy(other, officers));
});

test('a pending recovery is used again only for what it says, and installed only with the keys that it names', async () => {
  const { home, paths } = await newOrganisation();
  await nameRecoveryOfficers(home, domain, world, named);
  const rotation = await prepareRecovery(home, domain, world, { reason: 'lost' });
  const copies = await copiesBy(rotation, officers);
  await nameRecoveryOfficers(home, domain, world, { ...named, threshold: 3 });
  await assert.rejects(() => prepareRecovery(home, domain, world, { reason: 'lost' }), /other recovery officers/);
  await rm(paths.nextRootKey);
  await rm(paths.pendingRotation);
  await prepareRecovery(home, domain, world, { reason: 'lost' });
  await writeFile(paths.pendingRotation, rotation);
  const publicFile = await readFile(paths.rootPublic);
  await assert.rejects(() => finishRecovery(home, domain, world, copies), /not the key that the rotation names/);
  assert.deepEqual(await readFile(paths.rootPublic), publicFile);
});

test('[ROOT-26] a recovery officer signs nothing but a replacement of the key, by the set, that named them', async () => {
  const { home, paths } = await newOrganisation();
  await nameRecoveryOfficers(home, domain, world, named);
  const set = Uint8Array.from(await readFile(paths.recoverySet));
  const rotation = await prepareRecovery(home, domain, world, { reason: 'lost' });
  const [ann] = named.officers;
  assert.ok(ann !== undefined);
  assert.equal(examineRotation(rotation, set, ann).body.reason, 'lost');
  const stranger = seedSigner(nodeRandom.bytes(32)).publicKey;
  assert.throws(() => examineRotation(rotation, set, stranger), /not one of this recovery set/);
  const { home: elsewhere, paths: others } = await newOrganisation();
  await nameRecoveryOfficers(elsewhere, domain, world, named);
  const theirs = Uint8Array.from(await readFile(others.recoverySet));
  assert.throws(() => examineRotation(rotation, theirs, ann), /another root key/);
  await nameRecoveryOfficers(home, domain, world, named);
  const newer = Uint8Array.from(await readFile(paths.recoverySet));
  assert.throws(() => examineRotation(rotation, newer, ann), /another recovery set/);
});

/** Everything that a rotation changes on disk, in its order. */
const STEPS = [
  'server.cert',
  'server-pq.cert',
  'rotations',
  'root.pub',
  'pq aside',
  'pq',
  'root aside',
  'root',
] as const;

test('a rotation that is cut off at any step is done again, and no key is lost', async () => {
  const { home, identity, paths } = await newOrganisation();
  const origin = join(folder, `${count++}`);
  await cp(home, origin, { recursive: true });
  await rotateRootKey(home, domain, world, { reason: 'scheduled' });
  const done = await reopen(home);
  const old = oldRootKeyFiles(home, 1);
  const named = (file: string, at: string) => join(at, 'keys', file.slice(paths.keys.length + 1));
  for (let cut = 0; cut <= STEPS.length; cut += 1) {
    const step = `cut off before ${STEPS[cut] ?? 'nothing'}`;
    const at = join(folder, `${count++}`);
    await cp(origin, at, { recursive: true });
    const put = async (from: string, to = from) => await cp(from, named(to, at), { force: true });
    await put(paths.rootKey, paths.nextRootKey);
    await put(paths.rootPqKey, paths.nextRootPqKey);
    const steps = [
      () => put(paths.serverCertificate),
      () => put(paths.serverPqCertificate),
      () => put(paths.rotations),
      () => put(paths.rootPublic),
      () => put(old.rootPqKey),
      () => rename(named(paths.nextRootPqKey, at), named(paths.rootPqKey, at)),
      () => put(old.rootKey),
      () => rename(named(paths.nextRootKey, at), named(paths.rootKey, at)),
    ];
    for (const run of steps.slice(0, cut)) await run();
    const before = await reopen(at);
    const isDone = cut > STEPS.indexOf('root.pub');
    assert.deepEqual(before.rootKey, isDone ? done.rootKey : identity.rootKey, step);
    await rotateRootKey(at, domain, world, { reason: 'scheduled' });
    const after = await reopen(at);
    assert.deepEqual(partner(identity, after).rootKey, after.rootKey, step);
    const files = organisationPaths(at);
    const inUse = [await openSignerFile(files.rootKey), await openMlDsa65File(files.rootPqKey)] as const;
    assert.deepEqual(
      inUse.map((one) => one.publicKey),
      [after.rootKey, after.pq?.rootKey],
      step,
    );
    const kept = oldRootKeyFiles(at, 1);
    assert.deepEqual((await openSignerFile(kept.rootKey)).publicKey, identity.rootKey, step);
    assert.deepEqual((await openMlDsa65File(kept.rootPqKey)).publicKey, identity.pq?.rootKey, step);
    assert.equal(after.certificate.document.signatures.length, 2, step);
    assert.deepEqual(
      (await readdir(files.keys)).filter((name) => /next|new$/.test(name)),
      [],
    );
  }
});

test('an old root key is never moved over another file', async () => {
  const { home, paths } = await newOrganisation();
  const kept = oldRootKeyFiles(home, 1).rootKey;
  await cp(paths.serverKey, kept);
  await assert.rejects(() => rotateRootKey(home, domain, world, { reason: 'scheduled' }), /holds another key/);
  await rename(kept, join(home, 'away'));
  await rotateRootKey(home, domain, world, { reason: 'scheduled' });
  assert.equal((await reopen(home)).rotations.length, 2);
});

test('the own lineage pins the post-quantum key: a line without its signatures is refused', async () => {
  const { home, identity, paths } = await newOrganisation();
  await rotateRootKey(home, domain, world, { reason: 'scheduled' });
  const after = await reopen(home);
  assert.deepEqual(after.lineage.first.rootPqKey, identity.pq?.rootKey);
  assert.deepEqual(rootStanding(after.lineage, nodeClock.now()).rootPqKey, after.pq?.rootKey);
  const line = JSON.parse(await readFile(paths.rotations, 'utf8'));
  const { identity: stranger } = await newOrganisation();
  const other = Buffer.from(stranger.pq?.rootKey ?? []).toString('base64url');
  await writeFile(paths.rotations, `${JSON.stringify({ ...line, old_root_pq_key: other })}\n`);
  await assert.rejects(() => reopen(home), /rotations.jsonl/);
});
