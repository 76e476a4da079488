import assert from 'node:assert/strict';
import { test } from 'node:test';
import { codeOf, must, newcomer, TestMember, TestWorld } from './fixtures.ts';
import { stateOf } from './forge.ts';

async function pair() {
  const world = new TestWorld();
  const ann = await TestMember.create(world);
  const [bob] = (await ann.add(['bob@bravo.example'])).joined;
  assert.ok(bob);
  return { world, ann, bob };
}

function restart(member: TestMember, ratchets?: Uint8Array, state = member.group.serialize()): void {
  member.group = member.engine.restore(state, member.device.identity, ratchets);
}

test('a restored group goes on where it was', async () => {
  const { ann, bob } = await pair();
  const late = await ann.say('late');
  const read = await ann.say('read');
  assert.equal(await bob.read(read), 'read');
  await bob.receiveCommit((await ann.commit()).commit);
  restart(bob);
  restart(ann);
  assert.equal(codeOf(await bob.group.receive(read)), 'message_rejected');
  assert.equal(await bob.read(late), 'late');
  assert.equal(await ann.read(await bob.say('on')), 'on');
  await ann.receiveCommit((await bob.commit()).commit);
  assert.deepEqual(ann.group.epochAuthenticator, bob.group.epochAuthenticator);
});

test("a pending commit survives a restart, on either side of the hub's decision", async () => {
  const { ann, bob } = await pair();
  const { commit } = must(await ann.group.prepareCommit({}));
  restart(ann);
  assert.deepEqual(ann.group.pending?.commit, commit);
  assert.ok(ann.group.pending);
  await ann.group.confirm(ann.group.pending);
  await bob.receiveCommit(commit);
  assert.equal(await bob.read(await ann.say('after')), 'after');
  must(await ann.group.prepareCommit({}));
  restart(ann);
  await ann.receiveCommit((await bob.commit()).commit);
  assert.equal(ann.group.pending, undefined);
  assert.equal(await bob.read(await ann.say('again')), 'again');
});

test('after a message it is enough to store the ratchets: no key is used twice [MLS-28]', async () => {
  const { ann, bob } = await pair();
  const state = ann.group.serialize();
  const first = await ann.say('first');
  const ratchets = ann.group.serializeRatchets();
  assert.ok(ratchets.length < state.length / 4, `${ratchets.length} of ${state.length}`);
  restart(ann, ratchets, state);
  const second = await ann.say('second');
  assert.equal(await bob.read(first), 'first');
  assert.equal(await bob.read(second), 'second'); // had the generation been used twice, this would be a replay
  restart(ann, ratchets, ann.group.serialize()); // older ones than the state are ignored
  assert.equal(await bob.read(await ann.say('third')), 'third');
});

test('ratchets of a later epoch than the state are refused', async () => {
  const { ann } = await pair();
  const state = ann.group.serialize();
  await ann.commit();
  await ann.say('in epoch 2');
  const ratchets = ann.group.serializeRatchets();
  assert.throws(() => restart(ann, ratchets, state), RangeError);
});

test("the stored state does not hold the device's signature key, and restoring leaves it as it is", async () => {
  const { ann } = await pair();
  const state = ann.group.serialize();
  const key = Buffer.from(ann.device.identity.signPrivateKey).toString('hex');
  assert.ok(!Buffer.from(state).toString('hex').includes(key));
  const copy = state.slice();
  restart(ann, undefined, state);
  await ann.commit();
  await ann.commit(); // erases secrets of the epoch that was restored
  assert.deepEqual(state, copy);
});

test('used secrets are not in what is stored afterwards [MLS-27]', async () => {
  const { ann, bob } = await pair();
  const before = stateOf(ann);
  await bob.receiveCommit((await ann.commit()).commit);
  const stored = Buffer.from(ann.group.serialize()).toString('hex');
  const { initSecret, exporterSecret, confirmationKey, membershipKey } = before.secrets;
  for (const secret of [initSecret, exporterSecret, confirmationKey, membershipKey, ...before.privateKeys.values()]) {
    assert.ok(!stored.includes(Buffer.from(secret).toString('hex')));
  }
});

test('anything but a stored group is refused', async () => {
  const { ann, bob } = await pair();
  const state = ann.group.serialize();
  for (const bytes of [new Uint8Array(0), state.subarray(1), state.subarray(0, -1), new Uint8Array(500)]) {
    assert.throws(() => restart(ann, undefined, bytes), RangeError);
  }
  const future = state.slice();
  future[0] = 9;
  assert.throws(() => restart(ann, undefined, future), RangeError);
  assert.throws(() => restart(bob, new Uint8Array([9]), bob.group.serialize()), RangeError);
});

test('a KeyPackage secret is only for its own device, and only as it was stored', async () => {
  const { world, ann } = await pair();
  const cid = await newcomer(world, 'cid@bravo.example');
  const dan = world.device('dan@bravo.example');
  const { welcome } = await ann.draft({ add: [cid.own.keyPackage] });
  assert.ok(welcome);
  const engine = world.engine();
  const stolen = await engine.join({ welcome, secret: cid.own.secret, identity: dan.identity });
  assert.equal(codeOf(stolen), 'malformed');
  for (const secret of [cid.own.secret.subarray(1), new Uint8Array(0)]) {
    await assert.rejects(engine.join({ welcome, secret, identity: cid.device.identity }), RangeError);
  }
});
