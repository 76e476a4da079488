import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { nodeClock, nodeCrypto, nodeRandom } from '@norc/crypto/node';
import { parseDomain } from '@norc/protocol/base';
import { documentKind, draftDocument, signDocumentByAll } from '@norc/protocol/crypto';
import { findDomainProof, keysOf, verifyBy, verifyPostQuantum } from '@norc/protocol/norc-t';
import { struct, text } from '@norc/protocol/wire';
import {
  closeOrganisation,
  domainProofOf,
  IdentityError,
  initOrganisation,
  openOrganisation,
  organisationPaths,
  partyOf,
  trustSigners,
  upgradeOrganisation,
} from './organisation.ts';

const world = { clock: nodeClock, random: nodeRandom };
const parsed = parseDomain('alpha.example');
assert.ok(parsed.ok);
const domain = parsed.value;
const STATEMENT = documentKind('test_statement', 1, struct({ says: text(64) }));

let folder = '';
let count = 0;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'norc-identity-'));
});
after(() => rm(folder, { recursive: true }));

async function newOrganisation() {
  const home = join(folder, String(count++));
  const identity = await initOrganisation(home, domain, world);
  return { home, identity, paths: organisationPaths(home) };
}

/** As organisations were made before there were post-quantum keys. */
async function olderOrganisation() {
  const { home, identity, paths } = await newOrganisation();
  closeOrganisation(identity);
  for (const file of [paths.rootPqKey, paths.serverPqKey, paths.serverPqCertificate]) await rm(file);
  const { pq_algorithm: _, pq_public_key: __, ...fields } = JSON.parse(await readFile(paths.rootPublic, 'utf8'));
  await writeFile(paths.rootPublic, JSON.stringify(fields));
  return { home, paths };
}

test('a new organisation has root and server keys of both algorithms, and signs with both', async () => {
  const { identity, paths } = await newOrganisation();
  assert.ok(identity.pq !== undefined);
  for (const file of [paths.rootKey, paths.rootPqKey, paths.serverKey, paths.serverPqKey]) {
    assert.equal((await stat(file)).mode & 0o777, 0o600, file);
  }
  const now = nodeClock.now();
  const document = await signDocumentByAll(
    nodeCrypto,
    draftDocument(STATEMENT, { says: 'yes' }),
    trustSigners(identity),
  );
  const party = partyOf(identity);
  assert.ok(verifyBy(nodeCrypto, document, keysOf(nodeCrypto, party, 'trust', now)).ok);
  const second = verifyPostQuantum(nodeCrypto, document, party, now);
  assert.ok(second.ok);
  assert.deepEqual(second.value.rootPqKey, identity.pq.rootKey);
  const hash = nodeCrypto.blake3(identity.pq.rootKey);
  assert.ok(
    findDomainProof(
      [domainProofOf({ rootKey: identity.rootKey, rootPqKey: identity.pq.rootKey })],
      identity.rootKey,
      hash,
    ).ok,
  );
  closeOrganisation(identity);
  await assert.rejects(() => identity.pq?.signer.sign(new Uint8Array()) ?? Promise.resolve(), TypeError);
});

test('hellos and device chains keep the small certificate: the post-quantum key is in one of its own', async () => {
  const { identity } = await newOrganisation();
  assert.equal(identity.certificate.pqPublicKey, undefined);
  assert.ok(identity.certificate.document.bytes.length < 1024);
  assert.deepEqual([...(identity.pq?.certificate.usages ?? [])], ['trust']);
  closeOrganisation(identity);
});

test('an organisation that was made without post-quantum keys opens without them, and gets them once', async () => {
  const { home, paths } = await olderOrganisation();
  const before = await openOrganisation(home, domain, nodeClock.now());
  assert.equal(before.pq, undefined);
  assert.equal(partyOf(before).root_pq_key, undefined);
  assert.deepEqual(trustSigners(before), [before.signer]);
  await upgradeOrganisation(home, domain, world);
  const after = await openOrganisation(home, domain, nodeClock.now());
  assert.ok(after.pq !== undefined);
  assert.deepEqual(after.rootKey, before.rootKey, 'the root key stays, and with it everything pinned');
  const key = await readFile(paths.rootPqKey, 'utf8');
  await assert.rejects(() => upgradeOrganisation(home, domain, world), IdentityError);
  assert.equal(await readFile(paths.rootPqKey, 'utf8'), key);
});

test('an upgrade needs the root key in its place, and leaves nothing behind without it', async () => {
  const { home, paths } = await olderOrganisation();
  await rename(paths.rootKey, join(home, 'away'));
  const files = await readdir(paths.keys);
  await assert.rejects(() => upgradeOrganisation(home, domain, world), /put the root key back/);
  assert.deepEqual(await readdir(paths.keys), files);
});

test('post-quantum files that do not belong together are named', async () => {
  const { home, identity, paths } = await newOrganisation();
  const other = await newOrganisation();
  closeOrganisation(identity);
  closeOrganisation(other.identity);
  const certificate = await readFile(paths.serverPqCertificate);
  await writeFile(paths.serverPqCertificate, await readFile(other.paths.serverPqCertificate));
  await assert.rejects(() => openOrganisation(home, domain, nodeClock.now()), IdentityError);
  await writeFile(paths.serverPqCertificate, certificate);
  await writeFile(paths.serverPqKey, await readFile(other.paths.serverPqKey));
  await assert.rejects(() => openOrganisation(home, domain, nodeClock.now()), /is not the key that/);
  await rm(paths.serverPqKey);
  await assert.rejects(() => openOrganisation(home, domain, nodeClock.now()), /restore it from your backup/);
});
