import assert from 'node:assert/strict';
import { test } from 'node:test';
import { at, codeOf, TestWorld, warmGroup } from '../../../tests/mls/fixtures.ts';
import { bendKeyPackage, stateOf, suite } from '../../../tests/mls/forge.ts';
import { createCommit } from './commit-create.ts';
import { checkKeyPackage } from './leaf-rules.ts';
import { encodeKeyPackage } from './messages.ts';

test('a key that nothing can be sealed to is refused when it comes, and never makes a commit throw', async () => {
  const world = new TestWorld();
  const ann = at(await warmGroup(world, 2), 0);
  const device = world.device('eve@bravo.example');
  const { keyPackage } = await bendKeyPackage(device, world.now, {});
  const bad = keyPackage.initKey.slice().fill(0, 1184); // its X25519 half is of low order
  assert.equal(suite.kem.encapsulate(bad, suite.random), undefined);
  const bent = { ...keyPackage, initKey: bad };
  const checked = await checkKeyPackage(suite, bent, { now: world.now, lateMs: 0 });
  assert.ok(!checked.ok);
  assert.deepEqual(checked.error, { code: 'malformed', detail: 'KeyPackage: init key' });
  assert.equal(codeOf(await ann.group.prepareCommit({ add: [encodeKeyPackage(bent)] })), 'commit_invalid');
  const { deviceId, user, org } = at(ann.group.members, 1).identity;
  const outcome = await createCommit(suite, stateOf(ann), {
    ...{ add: [{ keyPackage: bent, identity: { deviceId, user, org } }], remove: [], update: false },
    ...{ credential: undefined, authenticatedData: new Uint8Array(0) },
    signPrivateKey: ann.device.identity.signPrivateKey,
  });
  assert.equal(codeOf(outcome), 'commit_invalid');
});
