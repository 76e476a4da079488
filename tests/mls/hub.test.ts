import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeCrypto } from '@norc/crypto/node';
import { createGroupViews, type HubSigner } from '@norc/mls';
import { idFromBytes, type MessageId, utf8 } from '@norc/protocol/base';
import type { KeyPair } from '@norc/protocol/crypto';
import { codeOf, must, TestMember, TestWorld } from './fixtures.ts';
import { addition, bendKeyPackage, commitWithout, forgeHubProposal, forgeProposal, removal } from './forge.ts';

const messageId: MessageId = idFromBytes(new Uint8Array(16).fill(7));

function signerOf({ publicKey, privateKey }: KeyPair): HubSigner {
  return { publicKey, sign: async (message) => nodeCrypto.ed25519.sign(privateKey, message) };
}

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
  const hub = signerOf(keys);
  const data = { label: 'unclassified', conversation: group.conversation, messageId, cause: 'trust_revoked' } as const;
  return { world, keys, hub, data, ann, bob, cid, view, groupInfo };
}

test('the hub proposes a removal, and the next commit carries it out [MLS-18]', async () => {
  const { hub, data, ann, bob, cid, view } = await hubScene();
  const proposal = await view.proposeRemove(1, hub, data);
  const proposed = must(await view.apply(proposal));
  assert.equal(proposed.sender, 'hub');
  assert.deepEqual(proposed.view.proposedRemovals, [1]);
  for (const member of [ann, bob, cid]) {
    const received = must(await member.group.receive(proposal));
    assert.ok(received.kind === 'proposal');
    assert.equal(received.sender, 'hub');
    const [removal] = member.group.proposedRemovals;
    assert.deepEqual([removal?.member.leafIndex, removal?.by, removal?.cause], [1, 'hub', 'trust_revoked']);
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
  const { world, keys, hub, data, ann, bob, view } = await hubScene();
  const thief = nodeCrypto.ed25519.keyPair(world.random);
  const stolen = await view.proposeRemove(1, { ...signerOf(thief), publicKey: keys.publicKey }, data);
  assert.equal(codeOf(await view.apply(stolen)), 'signature_invalid');
  assert.equal(codeOf(await bob.group.receive(stolen)), 'signature_invalid');
  await assert.rejects(view.proposeRemove(1, signerOf(thief), data), RangeError);
  await assert.rejects(view.proposeRemove(7, hub, data), RangeError);
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

test('a commit that leaves out whom the hub proposed is refused by every member and server [MLS-18]', async () => {
  const { hub, data, ann, bob, cid, view } = await hubScene();
  const before = ann.group.serialize();
  const proposal = await view.proposeRemove(1, hub, data);
  const after = must(await view.apply(proposal)).view;
  for (const member of [ann, bob, cid]) must(await member.group.receive(proposal));
  const incomplete = await commitWithout(ann, before);
  assert.equal(codeOf(await after.apply(incomplete)), 'commit_invalid');
  for (const member of [bob, cid]) assert.equal(codeOf(await member.group.receive(incomplete)), 'commit_invalid');
  assert.equal(must(await view.apply(incomplete)).kind, 'commit', 'nothing else is wrong with it');
  assert.equal(codeOf(await bob.group.prepareCommit({})), 'forbidden', 'nobody commits their own removal');
});

test('what the hub proposes is a removal, says why, and counts once, in its epoch [MLS-18] [MLS-22]', async () => {
  const { world, keys, hub, data, ann, bob, cid, view } = await hubScene();
  const { keyPackage } = await bendKeyPackage(world.device('eve@alpha.example'), world.now, {});
  const add = await forgeHubProposal(ann, keys.privateKey, addition(keyPackage));
  const silent = await forgeHubProposal(ann, keys.privateKey, removal(1), new Uint8Array(0));
  const secondKey = await forgeHubProposal(ann, keys.privateKey, removal(1), undefined, 1);
  for (const [bytes, code] of [
    [add, 'commit_invalid'],
    [silent, 'truncated'],
    [secondKey, 'commit_invalid'],
  ] as const) {
    assert.equal(codeOf(await view.apply(bytes)), code);
    assert.equal(codeOf(await bob.group.receive(bytes)), code);
  }
  const proposal = await view.proposeRemove(1, hub, data);
  const waiting = must(await view.apply(proposal)).view;
  assert.equal(codeOf(await waiting.apply(proposal)), 'commit_invalid', 'replayed');
  for (const member of [ann, bob, cid]) must(await member.group.receive(proposal));
  const pending = await ann.commit();
  await cid.receiveCommit(pending.commit);
  const next = must(await waiting.apply(pending.commit)).view;
  assert.deepEqual(next.proposedRemovals, []);
  assert.equal(codeOf(await next.apply(proposal)), 'epoch_stale');
  assert.equal(codeOf(await cid.group.receive(proposal)), 'epoch_stale');
  assert.deepEqual(cid.group.proposedRemovals, []);
});

test('waiting removals survive storage, with their cause', async () => {
  const { world, hub, data, ann, view } = await hubScene();
  const proposal = await view.proposeRemove(2, hub, data);
  const stored = must(await view.apply(proposal)).view.serialize();
  assert.deepEqual(world.views().restore(stored).proposedRemovals, [2]);
  must(await ann.group.receive(proposal));
  const [kept] = ann.engine.restore(ann.group.serialize(), ann.device.identity).proposedRemovals;
  assert.deepEqual([kept?.member.leafIndex, kept?.cause], [2, 'trust_revoked']);
});
