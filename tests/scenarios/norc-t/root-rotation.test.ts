import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { nodeClock, nodeCrypto, nodeRandom, seedSigner } from '@norc/crypto/node';
import type { Domain } from '@norc/protocol/base';
import {
  finishRecovery,
  nameRecoveryOfficers,
  organisationPaths,
  prepareRecovery,
  rotateRootKey,
  signRotation,
} from '@norc/server';
import { type TestConversation, TestDevice, type TestServer, TestServers, trustState, until } from '@norc/testkit/live';

const WORLD = { clock: nodeClock, random: nodeRandom };

let world: TestServers;
let alpha: TestServer;
let bravo: TestServer;
let ann: TestDevice;
let bob: TestDevice;
let room: TestConversation;

before(async () => {
  world = await TestServers.prepare('alpha.example', 'bravo.example');
  [alpha, bravo] = [world.at(0), world.at(1)];
  await nameRecoveryOfficers(home(), alpha.domain, WORLD, {
    threshold: 2,
    officers: officers.map((one) => one.publicKey),
  });
  await Promise.all([alpha.start(), bravo.start()]);
  await world.trust(alpha, bravo);
  ann = await TestDevice.enrol(alpha, 'ann@alpha.example');
  bob = await TestDevice.enrol(bravo, 'bob@bravo.example');
  room = await ann.create([bob.user]);
  await room.say('before');
  await bob.conversation(room.id).read('before');
});
after(() => world.dispose());

const officers = ['anna', 'ben', 'cleo'].map((name) => seedSigner(nodeCrypto.sha256(Buffer.from(name))));
const home = () => join(alpha.folder, alpha.domain);
const pinned = (domain: Domain = alpha.domain) => bravo.node().trust.pinned(domain)?.rootKey;

/** Alpha comes back with new keys, and its domain names them. */
async function returnWith(rootKey: Uint8Array): Promise<void> {
  (alpha.rootKeys as Map<Domain, Uint8Array>).set(alpha.domain, rootKey); // the test's own map
  await bravo.restart();
  await alpha.start();
}

/** What the minutes bring: alpha tells, and asks for certificates that name the new key; bravo's officer approves. */
async function renew(rootKey: Uint8Array): Promise<void> {
  const named = () =>
    bravo
      .node()
      .trust.parts.board.givenInForce(alpha.domain, nodeClock.now())
      .some((one) => nodeCrypto.equal(one.subjectRootKey, rootKey));
  await until('certificates name the new key', async () => {
    await alpha.node().trust.poll();
    if (trustState(bravo.node(), alpha.domain) === 'awaiting_approval')
      await bravo.node().trust.approve(alpha.domain, 'officer:test');
    return named();
  });
}

test('the planned rotation: the partner follows, the certificates are renewed, and people go on talking', async () => {
  await alpha.stop();
  const { body } = await rotateRootKey(home(), alpha.domain, WORLD, { reason: 'scheduled' });
  await returnWith(body.new_root_key);
  assert.ok(bravo.node().trust.pinned(alpha.domain) !== undefined, 'trust is in force meanwhile');
  await until('bravo knows the new key', () => nodeCrypto.equal(pinned() ?? new Uint8Array(), body.new_root_key));
  await renew(body.new_root_key);
  await ann.connect();
  await bob.connect();
  await room.say('after');
  await bob.conversation(room.id).read('after');
  assert.deepEqual([...alpha.faults, ...bravo.faults], []);
});

test('the lost and stolen root key: two officers replace it, and trust begins again with the renewal', async () => {
  await nameRecoveryOfficers(home(), alpha.domain, WORLD, {
    threshold: 2,
    officers: officers.map((one) => one.publicKey),
  });
  await alpha.stop();
  const paths = organisationPaths(home());
  await rm(paths.rootKey);
  await rm(paths.rootPqKey);
  const rotation = await prepareRecovery(home(), alpha.domain, WORLD, { reason: 'compromised' });
  const copies = await Promise.all(officers.slice(0, 2).map(async (one) => (await signRotation(rotation, one)).bytes));
  const { body, bytes } = await finishRecovery(home(), alpha.domain, WORLD, copies);
  const taken = await bravo.node().trust.takeRotation(alpha.domain, bytes, 'officer:test');
  assert.ok(taken.ok, taken.ok ? '' : taken.error.detail);
  assert.equal(bravo.node().trust.pinned(alpha.domain), undefined, 'suspended');
  assert.equal(bravo.node().trust.level(alpha.domain), 'untrusted');
  await returnWith(body.new_root_key);
  assert.equal(bravo.node().trust.pinned(alpha.domain), undefined, 'also after a restart');
  await world.trust(alpha, bravo);
  assert.deepEqual(pinned(), body.new_root_key);
});
