import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeCrypto } from '@norc/crypto/node';
import { concatBytes, instant, utf8 } from '@norc/protocol/base';
import type { GroupView } from '@norc/mls';
import { decodeKeyPackage, decodePublicMessage, encodePublicMessage } from '../../packages/mls/src/messages.ts';
import { codeOf, must, newcomer, TestMember, TestWorld } from './fixtures.ts';
import {
  addition,
  bendKeyPackage,
  bendLeaf,
  bendNodes,
  byValue,
  forgeCommit,
  forgeProposal,
  honestPath,
  removal,
  suite,
} from './forge.ts';

interface Scene {
  readonly world: TestWorld;
  readonly ann: TestMember;
  readonly bob: TestMember;
  readonly cid: TestMember;
  readonly view: GroupView;
}

/** Three members that have each committed, and a server that followed. */
async function scene(): Promise<Scene> {
  const world = new TestWorld();
  const { member: ann, groupInfo } = await TestMember.createWithInfo(world);
  let view = must(await world.views().fromGroupInfo(groupInfo));
  const { joined, pending } = await ann.add(['bob@bravo.example', 'cid@bravo.example']);
  const [bob, cid] = joined;
  assert.ok(bob && cid);
  view = must(await view.apply(pending.commit)).view;
  for (const author of [ann, bob, cid]) {
    const { commit } = await author.commit();
    for (const other of [ann, bob, cid]) if (other !== author) await other.receiveCommit(commit);
    view = must(await view.apply(commit)).view;
  }
  return { world, ann, bob, cid, view };
}

/** Server and members refuse a forgery for the same reason, and are none the worse for it. */
async function refusedByAll({ ann, bob, cid, view }: Scene, forged: Uint8Array, code: string): Promise<void> {
  assert.equal(codeOf(await view.apply(forged)), code);
  assert.equal(codeOf(await bob.group.receive(forged)), code);
  assert.equal(await cid.read(await ann.say('unharmed')), 'unharmed');
}

test('the server\'s view follows a group without its secrets', async () => {
  const { world, ann, bob, view } = await scene();
  assert.equal(view.epoch, 4);
  assert.deepEqual(view.members, ann.group.members);
  assert.deepEqual(view.treeHash, bob.group.treeHash);
  assert.deepEqual(view.settings, { hub: 'alpha.example', level: 'basic' });
  const dan = await newcomer(world, 'dan@bravo.example');
  const pending = must(await ann.group.prepareCommit({ add: [dan.own.keyPackage], remove: [1] }));
  const change = must(await view.apply(pending.commit));
  assert.ok(change.kind === 'commit');
  assert.deepEqual(change.added.map((m) => m.identity.user), ['dan@bravo.example']);
  assert.deepEqual(change.removed.map((m) => m.identity.user), ['bob@bravo.example']);
  assert.deepEqual(change.sender.identity, ann.device.member);
  assert.equal(view.epoch, 4, 'a view does not change: the new one is in the answer');
  const followed = must(await world.views().fromGroupInfo(pending.groupInfo));
  assert.deepEqual(followed.treeHash, change.view.treeHash);
  assert.deepEqual(world.views().restore(change.view.serialize()).members, change.view.members);
  assert.throws(() => world.views().restore(view.serialize().subarray(1)), RangeError);
});

test('only a member\'s signature makes a commit [MLS-17]', async () => {
  const all = await scene();
  const { ann, cid } = all;
  const stranger = new TestMember(ann.world, cid.device, ann.engine, ann.group); // ann's place, cid's key
  await refusedByAll(all, await forgeCommit(stranger, { path: await honestPath(ann) }), 'signature_invalid');
});

test('a commit that removes without a path is refused [MLS-15]', async () => {
  const all = await scene();
  await refusedByAll(all, await forgeCommit(all.ann, { proposals: byValue(removal(2)) }), 'commit_invalid');
  await refusedByAll(all, await forgeCommit(all.ann, {}), 'commit_invalid');
});

test('removals must name a member, once, and not the committer', async () => {
  const all = await scene();
  const path = await honestPath(all.ann);
  for (const proposals of [[removal(3)], [removal(2), removal(2)], [removal(0)], [removal(999_999)]]) {
    await refusedByAll(all, await forgeCommit(all.ann, { proposals: byValue(...proposals), path }), 'commit_invalid');
  }
});

test('a proposal reference that nobody proposed is refused', async () => {
  const all = await scene();
  const reference = suite.random(32);
  const proposals = [{ proposalOrRefType: 'reference' as const, reference }];
  await refusedByAll(all, await forgeCommit(all.ann, { proposals, path: await honestPath(all.ann) }), 'commit_invalid');
});

test('a path of another shape is refused', async () => {
  const all = await scene();
  const { ann } = all;
  const shorter = await bendNodes(ann, (nodes) => nodes.slice(1));
  await refusedByAll(all, await forgeCommit(ann, { path: shorter }), 'commit_invalid');
  const fewer = await bendNodes(ann, (nodes) =>
    nodes.map((node) => ({ ...node, encryptedPathSecret: node.encryptedPathSecret.slice(1) })),
  );
  await refusedByAll(all, await forgeCommit(ann, { path: fewer }), 'commit_invalid');
  const short = await bendNodes(ann, (nodes) => nodes.map((node) => ({ ...node, hpkePublicKey: new Uint8Array(32) })));
  await refusedByAll(all, await forgeCommit(ann, { path: short }), 'commit_invalid');
});

test('keys that are not new are refused', async () => {
  const all = await scene();
  const { ann } = all;
  const path = await honestPath(ann);
  const [first] = path.nodes;
  assert.ok(first);
  const twice = await bendNodes(ann, (nodes) => nodes.map((node) => ({ ...node, hpkePublicKey: first.hpkePublicKey })));
  await refusedByAll(all, await forgeCommit(ann, { path: twice }), 'commit_invalid');
  const own = must(decodePublicMessage(must(await ann.group.prepareCommit({})).commit));
  assert.ok(own.content.contentType === 'commit');
  const { leafNode } = await honestPath(ann);
  const stale = await bendLeaf(ann, (leaf) => ({ ...leaf, hpkePublicKey: first.hpkePublicKey }));
  assert.notDeepEqual(leafNode.hpkePublicKey, first.hpkePublicKey);
  await refusedByAll(all, await forgeCommit(ann, { path: { ...path, leafNode: stale.leafNode } }), 'commit_invalid');
});

test('a leaf whose parent hash or signature does not fit is refused', async () => {
  const all = await scene();
  const { ann, cid } = all;
  const path = await bendLeaf(ann, (leaf) => ({ ...leaf, parentHash: new Uint8Array(32) }));
  await refusedByAll(all, await forgeCommit(ann, { path }), 'commit_invalid');
  const foreign = await bendLeaf(ann, (leaf) => leaf, cid.device.identity.signPrivateKey);
  await refusedByAll(all, await forgeCommit(ann, { path: foreign }), 'signature_invalid');
});

test('a leaf cannot become another device [MLS-16]', async () => {
  const all = await scene();
  const { ann, cid, world } = all;
  const { publicKey } = cid.device.identity;
  const taken = await bendLeaf(ann, (leaf) => ({ ...leaf, signaturePublicKey: publicKey }), cid.device.identity.signPrivateKey);
  await refusedByAll(all, await forgeCommit(ann, { path: taken }), 'credential_invalid');
  const certificate = world.certify(cid.device.member, ann.device.identity.publicKey, 'swapped');
  const credential = { credentialType: 'x509' as const, certificates: [certificate] };
  const swapped = await bendLeaf(ann, (leaf) => ({ ...leaf, credential }));
  await refusedByAll(all, await forgeCommit(ann, { path: swapped }), 'credential_invalid');
});

test('capabilities must hold version, suite, credential type and extension [MLS-9]', async () => {
  const all = await scene();
  const { ann, world } = all;
  for (const bend of [
    { ciphersuites: ['MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519'] },
    { versions: [] },
    { extensions: [] },
    { credentials: ['basic' as const] },
  ]) {
    const { keyPackage, bytes } = await bendKeyPackage(world.device('dan@bravo.example'), world.now, bend);
    assert.equal(codeOf(await world.engine().verifyKeyPackage(bytes)), 'malformed');
    await refusedByAll(all, await forgeCommit(ann, { proposals: byValue(addition(keyPackage)) }), 'commit_invalid');
  }
  const path = await bendLeaf(ann, (leaf) => ({ ...leaf, capabilities: { ...leaf.capabilities, ciphersuites: [] } }));
  await refusedByAll(all, await forgeCommit(ann, { path }), 'commit_invalid');
});

test('a ghost device, or one with a certificate for another key, is refused [MLS-8]', async () => {
  const all = await scene();
  const { ann, bob, world } = all;
  const ghost = world.device('ghost@bravo.example');
  const borrowed = await bendKeyPackage(ghost, world.now, { certificates: bob.device.identity.certificates });
  await refusedByAll(all, await forgeCommit(ann, { proposals: byValue(addition(borrowed.keyPackage)) }), 'credential_invalid');
  const none = await bendKeyPackage(ghost, world.now, { certificates: [] });
  await refusedByAll(all, await forgeCommit(ann, { proposals: byValue(addition(none.keyPackage)) }), 'credential_invalid');
  const many = await bendKeyPackage(ghost, world.now, { certificates: Array(5).fill(new Uint8Array(1)) });
  await refusedByAll(all, await forgeCommit(ann, { proposals: byValue(addition(many.keyPackage)) }), 'credential_invalid');
});

test('lifetimes: not begun, over, or too long are refused [MLS-14]', async () => {
  const { ann, world, view } = await scene();
  const now = BigInt(Math.floor(world.now / 1000));
  const day = 86_400n;
  for (const [notBefore, notAfter] of [
    [now + 60n, now + day],
    [now - 2n * day, now - day],
    [now - day, now + 31n * day],
    [now, now - 1n],
  ] as const) {
    const bent = await bendKeyPackage(world.device('dan@bravo.example'), world.now, { lifetime: { notBefore, notAfter } });
    assert.equal(codeOf(await world.engine().verifyKeyPackage(bent.bytes)), 'malformed');
    assert.equal(codeOf(await ann.group.prepareCommit({ add: [bent.bytes] })), 'commit_invalid');
    const forged = await forgeCommit(ann, { proposals: byValue(addition(bent.keyPackage)) });
    assert.equal(codeOf(await view.apply(forged)), 'commit_invalid');
  }
  const { own } = await newcomer(world, 'eve@bravo.example');
  const pending = must(await ann.group.prepareCommit({ add: [own.keyPackage] }));
  world.now = instant(world.now + 31 * 86_400_000);
  assert.equal(codeOf(await view.apply(pending.commit)), 'commit_invalid', 'the hub takes no late one');
  const follower = world.views({ catchUpMs: 60 * 86_400_000 }).restore(view.serialize());
  must(await follower.apply(pending.commit));
});

test('a changed KeyPackage signature is noticed', async () => {
  const all = await scene();
  const { own } = await newcomer(all.world, 'dan@bravo.example');
  const keyPackage = must(decodeKeyPackage(own.keyPackage));
  const bent = { ...keyPackage, signature: suite.random(64) };
  await refusedByAll(all, await forgeCommit(all.ann, { proposals: byValue(addition(bent)) }), 'commit_invalid');
});

test('external commits and foreign proposals are refused [MLS-19]', async () => {
  const all = await scene();
  const { ann, view, bob } = all;
  const path = await honestPath(ann);
  const init = { proposalType: 'external_init' as const, externalInit: { kemOutput: new Uint8Array(1120) } };
  await refusedByAll(all, await forgeCommit(ann, { proposals: byValue(init), path }), 'commit_invalid');
  const custom = { proposalType: 0xf0f0, proposalData: new Uint8Array(4) };
  await refusedByAll(all, await forgeCommit(ann, { proposals: byValue(custom), path }), 'commit_invalid');
  const message = must(decodePublicMessage(must(await ann.group.prepareCommit({})).commit));
  const content = { ...message.content, sender: { senderType: 'new_member_commit' as const } };
  const external = encodePublicMessage({ content, auth: message.auth, senderType: 'new_member_commit' });
  assert.equal(codeOf(await view.apply(external)), 'malformed');
  assert.equal(codeOf(await bob.group.receive(external)), 'malformed');
});

test('what is appended to a commit, or encoded otherwise, is refused [MLS-7]', async () => {
  const { ann, bob, view } = await scene();
  const { commit } = must(await ann.group.prepareCommit({}));
  const longer = concatBytes(commit, Uint8Array.of(0));
  assert.equal(codeOf(await view.apply(longer)), 'trailing_bytes');
  assert.equal(codeOf(await bob.group.receive(longer)), 'trailing_bytes');
  const wide = concatBytes(commit.subarray(0, 4), Uint8Array.of(0x40), commit.subarray(4)); // group id length in two bytes
  assert.equal(codeOf(await view.apply(wide)), 'not_canonical');
  assert.equal(codeOf(await view.apply(new Uint8Array(4_000_000))), 'limit_exceeded');
});

test('every changed byte of a commit is noticed, by the server all but the two tags [MLS-17]', async () => {
  const { ann, bob, view } = await scene();
  const { commit } = must(await ann.group.prepareCommit({}));
  const tags = commit.length - 2 * 33;
  for (let at = 0; at < commit.length; at += 13) {
    const changed = commit.slice();
    changed[at] = (changed[at] ?? 0) ^ 2;
    assert.notEqual(codeOf(await bob.group.receive(changed)), 'accepted', `byte ${at} at a member`);
    if (at < tags) assert.notEqual(codeOf(await view.apply(changed)), 'accepted', `byte ${at} at the server`);
  }
  await bob.receiveCommit(commit);
});

test('past and future epochs are named', async () => {
  const { ann, view } = await scene();
  const first = await ann.commit();
  const second = await ann.commit();
  assert.equal(codeOf(await view.apply(second.commit)), 'log_gap');
  const next = must(await view.apply(first.commit)).view;
  assert.equal(codeOf(await next.apply(first.commit)), 'epoch_stale');
  assert.equal(codeOf(await next.apply(await ann.say('not for servers'))), 'commit_invalid');
});

test('an envelope that does not fit the group is refused', async () => {
  const all = await scene();
  const { ann, view } = all;
  await refusedByAll(all, await forgeCommit(ann, { authenticatedData: utf8('free text') }), 'malformed');
  const stranger = await TestMember.create(all.world);
  assert.equal(codeOf(await view.apply(must(await stranger.group.prepareCommit({})).commit)), 'malformed');
});

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
  assert.deepEqual(change.removed.map(({ leafIndex }) => leafIndex), [1]);
  assert.equal((await bob.receiveCommit(pending.commit)).selfRemoved, true);
  await ann.receiveCommit(pending.commit);
});

test('only the hub\'s key proposes from outside, and only removals of members', async () => {
  const { world, keys, ann, bob, view } = await hubScene();
  const thief = nodeCrypto.ed25519.keyPair(world.random);
  const stolen = await view.proposeRemove(1, { publicKey: keys.publicKey, signPrivateKey: thief.privateKey });
  assert.equal(codeOf(await view.apply(stolen)), 'signature_invalid');
  assert.equal(codeOf(await bob.group.receive(stolen)), 'signature_invalid');
  const other = { publicKey: thief.publicKey, signPrivateKey: thief.privateKey };
  await assert.rejects(view.proposeRemove(1, other), RangeError);
  await assert.rejects(view.proposeRemove(7, { publicKey: keys.publicKey, signPrivateKey: keys.privateKey }), RangeError);
  const unknown = await forgeProposal(ann, removal(7));
  assert.equal(codeOf(await bob.group.receive(unknown)), 'commit_invalid');
  const psk = { psktype: 'external' as const, pskId: new Uint8Array(1), pskNonce: new Uint8Array(32) };
  const foreign = await forgeProposal(ann, { proposalType: 'psk', psk: { preSharedKeyId: psk } });
  assert.equal(codeOf(await bob.group.receive(foreign)), 'malformed');
});

test('a hub that cannot be verified, or is another, keeps everybody out', async () => {
  const { world, groupInfo } = await hubScene();
  const { verifyHub: _, ...unable } = world.options();
  const { createGroupViews } = await import('@norc/mls');
  assert.equal(codeOf(await createGroupViews(unable).fromGroupInfo(groupInfo)), 'credential_invalid');
  world.hubKeys.clear();
  assert.equal(codeOf(await world.views().fromGroupInfo(groupInfo)), 'credential_invalid');
});

test('a GroupInfo is refused whole for any change, and for any member without a valid certificate', async () => {
  const { world, ann, bob } = await scene();
  const { groupInfo } = must(await ann.group.prepareCommit({}));
  for (let at = 0; at < groupInfo.length; at += 37) {
    const changed = groupInfo.slice();
    changed[at] = (changed[at] ?? 0) ^ 1;
    assert.notEqual(codeOf(await world.views().fromGroupInfo(changed)), 'accepted', `byte ${at}`);
  }
  world.revoked.add(bob.device.member.deviceId);
  assert.equal(codeOf(await world.views().fromGroupInfo(groupInfo)), 'credential_invalid');
});
