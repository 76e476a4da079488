import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { GroupView } from '@norc/mls';
import { concatBytes, instant, LIMITS, type Result, utf8 } from '@norc/protocol/base';
import { decodeKeyPackage, decodePublicMessage, encodePublicMessage } from '../../packages/mls/src/messages.ts';
import { codeOf, must, newcomer, TestMember, TestWorld } from './fixtures.ts';
import {
  addition,
  bendKeyPackage,
  bendLeaf,
  bendNodes,
  byValue,
  forgeCommit,
  forgeGroupInfo,
  honestPath,
  removal,
  stateOf,
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

/** Server and members refuse a forgery, both for this very reason, and are none the worse for it. */
async function refusedByAll({ ann, bob, cid, view }: Scene, forged: Uint8Array, reason: string): Promise<void> {
  assert.equal(reasonOf(await view.apply(forged)), reason);
  assert.equal(reasonOf(await bob.group.receive(forged)), reason);
  assert.equal(await cid.read(await ann.say('unharmed')), 'unharmed');
}

function reasonOf(result: Result<unknown>): string {
  return result.ok ? 'accepted' : `${result.error.code}: ${result.error.detail}`;
}

test("the server's view follows a group without its secrets", async () => {
  const { world, ann, bob, view } = await scene();
  assert.equal(view.epoch, 4);
  assert.deepEqual(view.members, ann.group.members);
  assert.deepEqual(view.treeHash, bob.group.treeHash);
  assert.deepEqual(view.settings, { hub: 'alpha.example', level: 'basic' });
  const dan = await newcomer(world, 'dan@bravo.example');
  const pending = await ann.draft({ add: [dan.own.keyPackage], remove: [1] });
  const change = must(await view.apply(pending.commit));
  assert.ok(change.kind === 'commit');
  assert.deepEqual(
    change.added.map((m) => m.identity.user),
    ['dan@bravo.example'],
  );
  assert.deepEqual(
    change.removed.map((m) => m.identity.user),
    ['bob@bravo.example'],
  );
  assert.deepEqual(change.sender.identity, ann.device.member);
  assert.equal(view.epoch, 4, 'a view does not change: the new one is in the answer');
  const followed = must(await world.views().fromGroupInfo(pending.groupInfo));
  assert.deepEqual(followed.treeHash, change.view.treeHash);
  assert.deepEqual(world.views().restore(change.view.serialize()).members, change.view.members);
  assert.throws(() => world.views().restore(view.serialize().subarray(1)), RangeError);
});

test("only a member's signature makes a commit [MLS-17]", async () => {
  const all = await scene();
  const { ann, cid } = all;
  const stranger = new TestMember(ann.world, cid.device, ann.engine, ann.group); // ann's place, cid's key
  await refusedByAll(all, await forgeCommit(stranger, { path: await honestPath(ann) }), 'signature_invalid: commit');
});

test('a commit that removes without a path is refused [MLS-15]', async () => {
  const all = await scene();
  await refusedByAll(
    all,
    await forgeCommit(all.ann, { proposals: byValue(removal(2)) }),
    'commit_invalid: path is missing',
  );
  await refusedByAll(all, await forgeCommit(all.ann, {}), 'commit_invalid: path is missing');
});

test('removals must name a member, once, and not the committer', async () => {
  const all = await scene();
  const path = await honestPath(all.ann);
  for (const [proposals, reason] of [
    [[removal(3)], 'no such member'],
    [[removal(999_999)], 'no such member'],
    [[removal(2), removal(2)], 'no such member'],
    [[removal(0)], 'the committer itself'],
  ] as const) {
    const forged = await forgeCommit(all.ann, { proposals: byValue(...proposals), path });
    await refusedByAll(all, forged, `commit_invalid: remove: ${reason}`);
  }
});

test('a proposal reference that nobody proposed is refused', async () => {
  const all = await scene();
  const reference = suite.random(32);
  const proposals = [{ proposalOrRefType: 'reference' as const, reference }];
  await refusedByAll(
    all,
    await forgeCommit(all.ann, { proposals, path: await honestPath(all.ann) }),
    'commit_invalid: unknown proposal reference',
  );
});

test('a path of another shape is refused', async () => {
  const all = await scene();
  const { ann } = all;
  const shorter = await bendNodes(ann, (nodes) => nodes.slice(1));
  await refusedByAll(all, await forgeCommit(ann, { path: shorter }), 'commit_invalid: path: length');
  const fewer = await bendNodes(ann, (nodes) =>
    nodes.map((node) => ({ ...node, encryptedPathSecret: node.encryptedPathSecret.slice(1) })),
  );
  await refusedByAll(all, await forgeCommit(ann, { path: fewer }), 'commit_invalid: path: number of ciphertexts');
  const short = await bendNodes(ann, (nodes) =>
    nodes.map((node, i) => ({ ...node, hpkePublicKey: new Uint8Array(32 + i) })),
  );
  await refusedByAll(all, await forgeCommit(ann, { path: short }), 'commit_invalid: path: key');
});

test('keys that are not new are refused', async () => {
  const all = await scene();
  const { ann } = all;
  const path = await honestPath(ann);
  const [first] = path.nodes;
  assert.ok(first);
  const twice = await bendNodes(ann, (nodes) => nodes.map((node) => ({ ...node, hpkePublicKey: first.hpkePublicKey })));
  await refusedByAll(all, await forgeCommit(ann, { path: twice }), 'commit_invalid: encryption key is not new');
  const stale = await bendLeaf(ann, (leaf) => ({ ...leaf, hpkePublicKey: first.hpkePublicKey }));
  await refusedByAll(
    all,
    await forgeCommit(ann, { path: { ...path, leafNode: stale.leafNode } }),
    'commit_invalid: encryption key is not new',
  );
});

test('a leaf whose parent hash or signature does not fit is refused', async () => {
  const all = await scene();
  const { ann, cid } = all;
  const path = await bendLeaf(ann, (leaf) => ({ ...leaf, parentHash: new Uint8Array(32) }));
  await refusedByAll(all, await forgeCommit(ann, { path }), 'commit_invalid: path: parent hash');
  const foreign = await bendLeaf(ann, (leaf) => leaf, cid.device.identity.signPrivateKey);
  await refusedByAll(all, await forgeCommit(ann, { path: foreign }), 'signature_invalid: path: leaf');
});

test('a leaf cannot become another device [MLS-16]', async () => {
  const all = await scene();
  const { ann, cid, world } = all;
  const { publicKey } = cid.device.identity;
  const taken = await bendLeaf(
    ann,
    (leaf) => ({ ...leaf, signaturePublicKey: publicKey }),
    cid.device.identity.signPrivateKey,
  );
  await refusedByAll(
    all,
    await forgeCommit(ann, { path: taken }),
    'credential_invalid: path: signature key of the leaf changed',
  );
  const certificate = world.certify(cid.device.member, ann.device.identity.publicKey, 'swapped');
  const credential = { credentialType: 'x509' as const, certificates: [certificate] };
  const swapped = await bendLeaf(ann, (leaf) => ({ ...leaf, credential }));
  await refusedByAll(
    all,
    await forgeCommit(ann, { path: swapped }),
    'credential_invalid: path: identity of the leaf changed',
  );
});

test('capabilities must hold version, suite, credential type and extension [MLS-9]', async () => {
  const all = await scene();
  const { ann, world } = all;
  for (const [bend, what] of [
    [{ ciphersuites: ['MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519'] }, 'suite'],
    [{ versions: [] }, 'version'],
    [{ extensions: [] }, 'conversation extension'],
    [{ credentials: ['basic'] }, 'credential type'],
  ] as const) {
    const { keyPackage, bytes } = await bendKeyPackage(world.device('dan@bravo.example'), world.now, bend);
    const reason = `leaf: capabilities lack the ${what}`;
    assert.equal(reasonOf(await world.engine().verifyKeyPackage(bytes)), `malformed: ${reason}`);
    const forged = await forgeCommit(ann, { proposals: byValue(addition(keyPackage)) });
    await refusedByAll(all, forged, `commit_invalid: add: ${reason}`);
  }
  const path = await bendLeaf(ann, (leaf) => ({ ...leaf, capabilities: { ...leaf.capabilities, ciphersuites: [] } }));
  const forged = await forgeCommit(ann, { path });
  await refusedByAll(all, forged, 'commit_invalid: path: leaf: capabilities lack the suite');
});

test('a ghost device, or one with a certificate for another key, is refused [MLS-8]', async () => {
  const all = await scene();
  const { ann, bob, world } = all;
  const ghost = world.device('ghost@bravo.example');
  for (const [certificates, reason] of [
    [bob.device.identity.certificates, 'certificate_invalid: unknown certificate'],
    [[], 'number of certificates'],
    [Array<Uint8Array>(5).fill(new Uint8Array(1)), 'number of certificates'],
    [[new Uint8Array(LIMITS.documentBytesMax + 1)], 'certificate is too large'],
  ] as const) {
    const { keyPackage } = await bendKeyPackage(ghost, world.now, { certificates });
    const forged = await forgeCommit(ann, { proposals: byValue(addition(keyPackage)) });
    await refusedByAll(all, forged, `credential_invalid: ${reason}`);
  }
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
    const bent = await bendKeyPackage(world.device('dan@bravo.example'), world.now, {
      lifetime: { notBefore, notAfter },
    });
    assert.equal(codeOf(await world.engine().verifyKeyPackage(bent.bytes)), 'malformed');
    assert.equal(codeOf(await ann.group.prepareCommit({ add: [bent.bytes] })), 'commit_invalid');
    const forged = await forgeCommit(ann, { proposals: byValue(addition(bent.keyPackage)) });
    assert.equal(codeOf(await view.apply(forged)), 'commit_invalid');
  }
  const { own } = await newcomer(world, 'eve@bravo.example');
  const pending = await ann.draft({ add: [own.keyPackage] });
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
  await refusedByAll(
    all,
    await forgeCommit(all.ann, { proposals: byValue(addition(bent)) }),
    'commit_invalid: add: KeyPackage',
  );
});

const FOREIGN_PROPOSAL = 'commit_invalid: proposal type is not part of the profile';

test('external commits and foreign proposals are refused [MLS-19]', async () => {
  const all = await scene();
  const { ann, view, bob } = all;
  const path = await honestPath(ann);
  const init = { proposalType: 'external_init' as const, externalInit: { kemOutput: new Uint8Array(1120) } };
  await refusedByAll(all, await forgeCommit(ann, { proposals: byValue(init), path }), FOREIGN_PROPOSAL);
  const custom = { proposalType: 0xf0f0, proposalData: new Uint8Array(4) };
  await refusedByAll(all, await forgeCommit(ann, { proposals: byValue(custom), path }), FOREIGN_PROPOSAL);
  const message = must(decodePublicMessage((await ann.draft()).commit));
  const content = { ...message.content, sender: { senderType: 'new_member_commit' as const } };
  const external = encodePublicMessage({ content, auth: message.auth, senderType: 'new_member_commit' });
  assert.equal(codeOf(await view.apply(external)), 'malformed');
  assert.equal(codeOf(await bob.group.receive(external)), 'malformed');
});

test('what is appended to a commit, or encoded otherwise, is refused [MLS-7]', async () => {
  const { ann, bob, view } = await scene();
  const { commit } = await ann.draft();
  const longer = concatBytes(commit, Uint8Array.of(0));
  assert.equal(codeOf(await view.apply(longer)), 'trailing_bytes');
  assert.equal(codeOf(await bob.group.receive(longer)), 'trailing_bytes');
  const wide = concatBytes(commit.subarray(0, 4), Uint8Array.of(0x40), commit.subarray(4)); // group id length in two bytes
  assert.equal(codeOf(await view.apply(wide)), 'not_canonical');
  assert.equal(codeOf(await view.apply(new Uint8Array(4_000_000))), 'limit_exceeded');
});

test('every changed byte of a commit is noticed, by the server all but the two tags [MLS-17]', async () => {
  const { ann, bob, view } = await scene();
  const { commit } = await ann.draft();
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
  await refusedByAll(
    all,
    await forgeCommit(ann, { authenticatedData: utf8('free text') }),
    'malformed: authenticated data: version',
  );
  const stranger = await TestMember.create(all.world);
  assert.equal(codeOf(await view.apply(must(await stranger.group.prepareCommit({})).commit)), 'malformed');
});

test('a GroupInfo is refused whole for any change, and for any member without a valid certificate', async () => {
  const { world, ann, bob } = await scene();
  const { groupInfo } = await ann.draft();
  for (let at = 0; at < groupInfo.length; at += 37) {
    const changed = groupInfo.slice();
    changed[at] = (changed[at] ?? 0) ^ 1;
    assert.notEqual(codeOf(await world.views().fromGroupInfo(changed)), 'accepted', `byte ${at}`);
  }
  world.revoked.add(bob.device.member.deviceId);
  assert.equal(codeOf(await world.views().fromGroupInfo(groupInfo)), 'credential_invalid');
});

test('a GroupInfo of another profile is refused, whoever signed it [MLS-6] [MLS-11]', async () => {
  const { world, ann } = await scene();
  const { extensions } = stateOf(ann).group.context;
  const [conversation] = extensions;
  assert.ok(conversation);
  const truncated = { ...conversation, extensionData: conversation.extensionData.subarray(1) };
  const foreign = { extensionType: 0xf0f0, extensionData: new Uint8Array(0) };
  const suiteOne = 'MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519' as const;
  for (const [change, reason] of [
    [{ groupId: new Uint8Array(15) }, 'malformed: GroupContext: group id'],
    [{ cipherSuite: suiteOne }, 'no_compatible_suite: GroupContext: suite'],
    [{ epoch: 2n ** 53n }, 'limit_exceeded: GroupContext: epoch'],
    [{ epoch: 0n }, 'malformed: GroupContext: transcript hash'],
    [{ treeHash: new Uint8Array(32) }, 'malformed: tree: hash'],
    [{ extensions: [] }, 'malformed: GroupContext: extensions are not those of a conversation'],
    [{ extensions: [conversation, conversation] }, 'malformed: GroupContext: an extension twice'],
    [{ extensions: [conversation, foreign] }, 'malformed: GroupContext: extensions are not those of a conversation'],
    [{ extensions: [truncated] }, 'malformed: conversation extension: version'],
  ] as const) {
    const bent = await forgeGroupInfo(ann, change as Parameters<typeof forgeGroupInfo>[1]); // readonly lists
    assert.equal(reasonOf(await world.views().fromGroupInfo(bent)), reason);
  }
  must(await world.views().fromGroupInfo(await forgeGroupInfo(ann)));
});

test('a KeyPackage has no extension but last_resort, and an init key of its own [MLS-10]', async () => {
  const { world } = await scene();
  const engine = world.engine();
  const device = world.device('dan@bravo.example');
  const extension = (extensionType: number, length: number) => [
    { extensionType, extensionData: new Uint8Array(length) },
  ];
  for (const packageExtensions of [extension(0xf0f0, 0), extension(0x000a, 1)]) {
    const { bytes } = await bendKeyPackage(device, world.now, { packageExtensions });
    assert.equal(reasonOf(await engine.verifyKeyPackage(bytes)), 'malformed: KeyPackage: extension');
  }
  const lastResort = await bendKeyPackage(device, world.now, { packageExtensions: extension(0x000a, 0) });
  assert.equal(must(await engine.verifyKeyPackage(lastResort.bytes)).lastResort, true);
  const pair = await suite.impl.hpke.generateKeyPair();
  const hpke = { ...suite.impl.hpke, generateKeyPair: async () => pair };
  const once = await bendKeyPackage(device, world.now, {}, { ...suite, impl: { ...suite.impl, hpke } });
  const reason = 'malformed: KeyPackage: init key is the leaf key';
  assert.equal(reasonOf(await engine.verifyKeyPackage(once.bytes)), reason);
});
