import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { nodeClock, nodeCrypto, nodeRandom, seedSigner } from '@norc/crypto/node';
import type { Domain } from '@norc/protocol/base';
import { defaultPolicy } from '@norc/protocol/norc-t';
import {
  finishRecovery,
  nameRecoveryOfficers,
  organisationPaths,
  prepareRecovery,
  rotateRootKey,
  signRotation,
} from '@norc/server';
import { mustBe } from '@norc/testkit';
import { until } from '@norc/testkit/live';
import { agree, approvesWhenAsked, type Cast, meet, type Officer, type Organisation, refusal } from './cast.ts';
import { type Step, story } from './story.ts';

const WORLD = { clock: nodeClock, random: nodeRandom };
/** People with keys at home, of whom two can replace the root key together. */
const RECOVERY = ['carla', 'dan', 'eve'].map((name) => seedSigner(nodeCrypto.sha256(Buffer.from(name))));

const home = ({ server }: Organisation) => join(server.folder, server.domain);
const sameKey = (one: Uint8Array | undefined, other: Uint8Array) => one !== undefined && nodeCrypto.equal(one, other);
/** What an organisation knows another one by. */
const knownKey = (by: Organisation, of: Organisation) => by.trust.pinned(of.domain)?.rootKey;

async function namesRecoveryOfficers(organisation: Organisation): Promise<void> {
  const officers = RECOVERY.map(({ publicKey }) => publicKey);
  await nameRecoveryOfficers(home(organisation), organisation.domain, WORLD, { threshold: 2, officers });
}

/** Its domain names the new key, as the DNS record does that the operator publishes. */
async function publishes(organisation: Organisation, rootKey: Uint8Array, partner: Organisation): Promise<void> {
  (organisation.server.rootKeys as Map<Domain, Uint8Array>).set(organisation.domain, rootKey); // the test's own map
  await partner.returns();
}

interface Friends {
  readonly cast: Cast;
  readonly alpha: Organisation;
  readonly bravo: Organisation;
  readonly anna: Officer;
  readonly ada: Officer;
  readonly bert: Officer;
}

/** Two organisations whose officers sign, at the lowest level, so that nothing else is needed. */
async function friends(step: Step): Promise<Friends> {
  const cast = await meet('alpha.example', 'bravo.example');
  const [alpha, bravo] = cast.organisations as [Organisation, Organisation]; // as many as met
  const { levels } = defaultPolicy();
  const evidence = { ...levels.basic.evidence, officer_approval: 'required' } as const;
  const signed = { levels: { ...levels, basic: { ...levels.basic, approvals: 1, evidence } } };
  await step('alpha has named three recovery officers while all was well', async () => {
    await alpha.server.stop();
    await namesRecoveryOfficers(alpha);
    await alpha.server.start();
  });
  for (const one of [alpha, bravo]) await one.keepsTo(signed);
  const [anna, ada, bert] = [await alpha.appoints('anna'), await alpha.appoints('ada'), await bravo.appoints('bert')];
  await step('alpha and bravo trust each other, and an officer of each signed', async () => {
    await agree(anna, bravo, 'basic', [bert, ada]);
  });
  return { cast, alpha, bravo, anna, ada, bert };
}

story('the root key is replaced while the old one is at hand', async (step) => {
  const { cast, alpha, bravo, anna, ada, bert } = await friends(step);
  await using _ = cast;
  const [ann, bob] = [await alpha.person('ann'), await bravo.person('bob')];
  const room = await ann.create([bob.user]);
  await room.say('before');
  await bob.conversation(room.id).read('before');

  const newKey = await step('alpha’s root key is old: the operator replaces it with its own signature', async () => {
    await alpha.server.stop();
    const { body } = await rotateRootKey(home(alpha), alpha.domain, WORLD, { reason: 'scheduled' });
    await publishes(alpha, body.new_root_key, bravo);
    await alpha.returns();
    return body.new_root_key;
  });
  await step('trust stays in force, and bravo’s server follows the signature to the new key', async () => {
    assert.equal(bravo.stateOf(alpha), 'in_force');
    await until('bravo knows the new key', async () => {
      await alpha.trust.poll();
      return sameKey(knownKey(bravo, alpha), newKey);
    });
  });
  await step('messages flow meanwhile', async () => {
    for (const device of [ann, bob]) await device.reconnect();
    await room.say('in between');
    await bob.conversation(room.id).read('in between');
  });
  await step('the old key certified alpha’s officers: they count for nothing until the new one has', async () => {
    assert.notEqual(refusal(await anna.asks(bravo, 'basic')), undefined);
    for (const officer of [anna, ada]) await officer.isCertified();
  });
  await step('then they renew trust, so that it names the new key', async () => {
    mustBe(await anna.asks(bravo, 'basic'));
    await approvesWhenAsked(bert, alpha);
    await approvesWhenAsked(ada, bravo);
    await until('the certificates name the new key', () =>
      bravo.trust.parts.board
        .givenInForce(alpha.domain, bravo.trust.now)
        .some((one) => sameKey(one.subjectRootKey, newKey)),
    );
    await room.say('after');
    await bob.conversation(room.id).read('after');
    assert.deepEqual(bob.conversation(room.id).readTexts, ['before', 'in between', 'after']);
  });
  for (const { server, domain } of [alpha, bravo]) assert.deepEqual(server.faults, [], domain);
});

story('the root key is lost, and somebody may have it', async (step) => {
  const { cast, alpha, bravo, anna, ada, bert } = await friends(step);
  await using _ = cast;
  const [ann, bob] = [await alpha.person('ann'), await bravo.person('bob')];
  const room = await ann.create([bob.user]);
  await room.say('before');
  await bob.conversation(room.id).read('before');

  await step('the safe is empty', async () => {
    await alpha.server.stop();
    const paths = organisationPaths(home(alpha));
    for (const file of [paths.rootKey, paths.rootPqKey]) await rm(file);
  });
  const rotation = await step('the operator prepares new keys; that alone changes nothing', async () => {
    const prepared = await prepareRecovery(home(alpha), alpha.domain, WORLD, { reason: 'compromised' });
    const [carla] = RECOVERY;
    const one = (await signRotation(prepared, carla ?? assert.fail('carla'))).bytes;
    await assert.rejects(finishRecovery(home(alpha), alpha.domain, WORLD, [one]), 'one of three is not enough');
    return prepared;
  });
  const { newKey, document } = await step('two of the three sign at home, and the key is replaced', async () => {
    const copies = await Promise.all(RECOVERY.slice(1).map(async (one) => (await signRotation(rotation, one)).bytes));
    const { body, bytes } = await finishRecovery(home(alpha), alpha.domain, WORLD, copies);
    return { newKey: body.new_root_key, document: bytes };
  });
  await step(
    'bravo’s officers get the file from alpha’s by another channel, and everything old is suspended',
    async () => {
      mustBe(await bravo.trust.takeRotation(alpha.domain, document, 'officer:test'));
      assert.equal(bravo.levelOf(alpha), 'untrusted');
      assert.equal(bravo.trust.pins(alpha.domain), undefined, 'whoever has the old key cannot pretend to be alpha');
    },
  );
  await step('alpha comes back with new officers’ certificates, and trust is agreed anew', async () => {
    await publishes(alpha, newKey, bravo);
    await alpha.returns();
    for (const officer of [anna, ada]) await officer.isCertified();
    await agree(anna, bravo, 'basic', [bert, ada]);
    assert.ok(sameKey(knownKey(bravo, alpha), newKey));
  });
  await step('new people talk again', async () => {
    const [amy, bea] = [await alpha.person('amy'), await bravo.person('bea')];
    const next = await amy.create([bea.user]);
    await next.say('all new');
    await bea.conversation(next.id).read('all new');
  });
});
