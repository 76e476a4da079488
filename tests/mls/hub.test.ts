import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeCrypto } from '@norc/crypto/node';
import { createGroupViews } from '@norc/mls';
import { utf8 } from '@norc/protocol/base';
import { codeOf, must, TestMember, TestWorld } from './fixtures.ts';
import { forgeProposal, removal } from './forge.ts';

async function hubScene() {
  const world = new TestWorld();
  const keys = nodeCrypto.ed25519.keyPair(world.random);
  world.hubKeys.set('alpha.example', keys.publicKey);
  const device = world.device('ann@alpha.example');
  const engine = world.engine();
  const { group, groupInfo } = await engine.createGroup({
    conversation: world.conversation(),
    hub: device.member.org,
    level: 'basic',
    identity: device.identity,
    hubSenders: [{ publicKey: keys.publicKey, certificates: [utf8('alpha.example')] }],
  });
  const ann = new TestMember(world, device, engine, group);
  const { joined, pending } = await ann.add(['bob@bravo.example', 'cid@bravo.example']);
  const [bob, cid] = joined;
  assert.ok(bob && cid);
  const view = must(await must(await world.views().fromGroupInfo(groupInfo)).apply(pending.commit)).view;
  return { world, keys, ann, bob, cid, view, groupInfo };
}

test('the hub proposes a removal, and the next commit carries it out [MLS-18]', async () => {
  const { keys, ann, bob, cid, view } = await hubScene();
  const hub = { publicKey: keys.publicKey, signPrivateKey: keys.privateKey };
  const proposal = await view.proposeRemove(1, hub);
  const proposed = must(await view.apply(proposal));
  assert.equal(proposed.sender, 'hub');
  assert.deepEqual(proposed.view.proposedRemovals, [1]);
  for (const member of [ann, bob, cid]) {
    const received = must(await member.group.receive(proposal));
    assert.ok(received.kind === 'proposal');
    assert.equal(received.sender, 'hub');
  }
  const pending = await cid.commit();
  const change = must(await proposed.view.apply(pending.commit));
  assert.ok(change.kind === 'commit');
  assert.deepEqual(
    change.removed.map(({ leafIndex }) => leafIndex),
    [1],
  );
  assert.equal((await bob.receiveCommit(pending.commit)).selfRemoved, true);
  await ann.receiveCommit(pending.commit);
});

test("only the hub's key proposes from outside, and only removals of members", async () => {
  const { world, keys, ann, bob, view } = await hubScene();
  const thief = nodeCrypto.ed25519.keyPair(world.random);
  const stolen = await view.proposeRemove(1, { publicKey: keys.publicKey, signPrivateKey: thief.privateKey });
  assert.equal(codeOf(await view.apply(stolen)), 'signature_invalid');
  assert.equal(codeOf(await bob.group.receive(stolen)), 'signature_invalid');
  const other = { publicKey: thief.publicKey, signPrivateKey: thief.privateKey };
  await assert.rejects(view.proposeRemove(1, other), RangeError);
  await assert.rejects(
    view.proposeRemove(7, { publicKey: keys.publicKey, signPrivateKey: keys.privateKey }),
    RangeError,
  );
  const unknown = await forgeProposal(ann, removal(7));
  assert.equal(codeOf(await bob.group.receive(unknown)), 'commit_invalid');
  const psk = { psktype: 'external' as const, pskId: new Uint8Array(1), pskNonce: new Uint8Array(32) };
  const foreign = await forgeProposal(ann, { proposalType: 'psk', psk: { preSharedKeyId: psk } });
  assert.equal(codeOf(await bob.group.receive(foreign)), 'malformed');
});

test('a hub that cannot be verified, or is another, keeps everybody out', async () => {
  const { world, groupInfo } = await hubScene();
  const { verifyHub: _, ...unable } = world.options();
  assert.equal(codeOf(await createGroupViews(unable).fromGroupInfo(groupInfo)), 'credential_invalid');
  world.hubKeys.clear();
  assert.equal(codeOf(await world.views().fromGroupInfo(groupInfo)), 'credential_invalid');
});
