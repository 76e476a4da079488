import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as bare from 'ts-mls';
import type { ClientState } from 'ts-mls/clientState.js';
import { decodeGroupSecrets, encodeGroupSecrets, type GroupSecrets } from 'ts-mls/groupSecrets.js';
import { acceptAll } from 'ts-mls/incomingMessageAction.js';
import { bareProcess, bareState } from '../../../tests/mls/bare.ts';
import {
  at,
  codeOf,
  commitAmong,
  must,
  newcomer,
  TestMember,
  TestWorld,
  warmGroup,
} from '../../../tests/mls/fixtures.ts';
import {
  addition,
  bendKeyPackage,
  byValue,
  countOpened,
  forgeCommit,
  removal,
  stateOf,
  suite,
  viewOf,
} from '../../../tests/mls/forge.ts';
import { Simulation } from '../../../tests/mls/simulation.ts';
import { type CreatedCommit, createCommit } from './commit-create.ts';
import { loadGroup } from './group-storage.ts';
import { openKeyPackageSecret } from './key-package.ts';
import { decodePublicMessage, decodeWelcome, encodePublicMessage, encodeWelcome } from './messages.ts';

/**
 * One test per fault of the library (spec/mls-profile section 9): first the library as
 * it comes, then ours. A test whose first half fails says that the library was
 * mended; one whose second half fails, that our correction is gone.
 */

const cs = suite.impl;
const utf8 = new TextDecoder();

test('F1: a removal has fresh keys that the removed member cannot follow', async () => {
  const world = new TestWorld();
  const members = await warmGroup(world, 4);
  const [ann, eve] = [at(members, 0), at(members, 3)];
  const [eveKnew, bobKnew] = [stateOf(eve), stateOf(at(members, 1))];
  // Versions up to 1.6.2 made, and took, exactly this commit; the removed member read on.
  const pathless = await forgeCommit(ann, { proposals: byValue(removal(3)) });
  assert.equal(codeOf(await at(members, 1).group.receive(pathless)), 'commit_invalid');
  assert.equal(codeOf(await (await viewOf(world, ann)).apply(pathless)), 'commit_invalid');

  const pending = await commitAmong(members, ann, { remove: [3] });
  const { content } = must(decodePublicMessage(pending.commit));
  assert.ok(content.contentType === 'commit' && content.commit.path !== undefined);
  assert.equal(await countOpened(world, eveKnew, pending.commit), 0);
  assert.equal(await countOpened(world, bobKnew, pending.commit), 1); // a member that stays opens the one for it
  assert.equal(eve.group.active, false);
  assert.equal(codeOf(await eve.group.receive(await ann.say('without eve'))), 'unexpected_message');
});

test('F2: a joiner accepts a tree whose parents list different unmerged leaves [MLS-13]', async () => {
  const world = new TestWorld();
  const members = await warmGroup(world, 7);
  const eighth = await newcomer(world, 'eighth@bravo.example');
  const added = await commitAmong(members, at(members, 0), { add: [eighth.own.keyPackage] });
  members.push(must(await eighth.join(added.welcome)));
  await commitAmong(members, at(members, 0)); // clears the root's list, not that of the parent of leaves 4 to 7
  const last = await newcomer(world, 'ninth@bravo.example');
  const pending = await commitAmong(members, at(members, 0), { add: [last.own.keyPackage] });

  const own = openKeyPackageSecret(last.own.secret);
  const privatePackage = {
    initPrivateKey: own.initPrivateKey,
    hpkePrivateKey: own.leafPrivateKey,
    signaturePrivateKey: last.device.identity.signPrivateKey,
  };
  const welcome = must(decodeWelcome(pending.welcome ?? new Uint8Array(0)));
  await assert.rejects(
    bare.joinGroup(welcome, own.keyPackage, privatePackage, bare.emptyPskIndex, cs),
    /must list leaf node in its unmerged_leaves/,
  );
  const ninth = must(await last.join(pending.welcome));
  assert.equal(await ninth.read(await at(members, 2).say('welcome')), 'welcome');
});

test('F3: a member whose leaf is given to somebody else in the same commit learns that it is out [MLS-29]', async () => {
  const world = new TestWorld();
  const members = await warmGroup(world, 4);
  const [ann, dan] = [at(members, 0), at(members, 3)];
  const stored = dan.group.serialize();
  const eve = await newcomer(world, 'eve@bravo.example');
  const pending = await ann.commit({ add: [eve.own.keyPackage], remove: [3] });
  assert.equal(pending.added[0]?.leafIndex, 3);

  await assert.rejects(bareProcess(stored, pending.commit), /No overlap/);
  const received = await dan.receiveCommit(pending.commit);
  assert.equal(received.selfRemoved, true);
  assert.equal(dan.group.active, false);
  must(await eve.join(pending.welcome));
});

test('F4: past epochs are dropped and erased by the level, and keeping none is refused [MLS-25]', async () => {
  const world = new TestWorld();
  const keepNone = { keyRetentionConfig: { ...bare.defaultKeyRetentionConfig, retainKeysForEpochs: 0 } };
  const [ann] = await warmGroup(world, 2);
  assert.ok(ann);
  const signaturePrivateKey = ann.device.identity.signPrivateKey;
  let state: ClientState = { ...bareState(ann.group.serialize(), keepNone), signaturePrivateKey };
  for (let i = 0; i < 10; i += 1) state = (await bare.createCommit({ state, cipherSuite: cs })).newState;
  assert.equal(state.historicalReceiverData.size, 10); // "keep none" keeps all
  assert.ok(
    [...state.historicalReceiverData.values()].every((epoch) => epoch.senderDataSecret.some((byte) => byte > 0)),
  );

  const basic = { epochsRetained: 0, forwardRatchetMax: 10 };
  const retention = { basic, verified: basic, classified: basic, nato: basic };
  assert.throws(() => world.engine({ retention }), RangeError);
  const classified = await TestMember.create(world, 'amy@alpha.example', 'classified');
  const [ben] = (await classified.add(['ben@bravo.example'])).joined;
  assert.ok(ben);
  const late = [await classified.say('one'), await classified.say('two')];
  const secret = Buffer.from(stateOf(ben).keys.senderDataSecret).toString('hex');
  await ben.receiveCommit((await classified.commit()).commit);
  assert.equal(await ben.read(at(late, 0)), 'one'); // one epoch is kept for messages that come late
  assert.ok(Buffer.from(ben.group.serialize()).toString('hex').includes(secret));
  await ben.receiveCommit((await classified.commit()).commit);
  assert.equal(codeOf(await ben.group.receive(at(late, 1))), 'epoch_stale');
  assert.ok(!Buffer.from(ben.group.serialize()).toString('hex').includes(secret));
  assert.equal(loadGroup(suite, ben.group.serialize()).past.length, 1);
});

test('F5: a received message says who sent it', async () => {
  const world = new TestWorld();
  const members = await warmGroup(world, 3);
  const message = await at(members, 2).say('who am I');
  const decoded = bare.decodeMlsMessage(message, 0)?.[0];
  assert.ok(decoded?.wireformat === 'mls_private_message');
  const state = bareState(at(members, 0).group.serialize());
  const processed = await bare.processPrivateMessage(state, decoded.privateMessage, bare.emptyPskIndex, cs);
  assert.deepEqual(Object.keys(processed).sort(), ['consumed', 'kind', 'message', 'newState']); // no sender

  const received = must(await at(members, 0).group.receive(message));
  assert.ok(received.kind === 'application');
  assert.deepEqual(received.sender.identity, at(members, 2).device.member);
  assert.equal(received.sender.leafIndex, 2);
});

test('F5: a credential type that is not known is refused, not a crash', async () => {
  const world = new TestWorld();
  const { own } = await newcomer(world, 'bob@bravo.example');
  const foreign = own.keyPackage.slice();
  const typeAt = 2 + 2 + 2 + 2 + 2 + 1216 + 2 + 1216 + 1 + 32; // up to the credential type
  assert.deepEqual([...foreign.subarray(typeAt, typeAt + 2)], [0, 2]);
  foreign[typeAt] = 0xf0;
  assert.throws(() => bare.decodeMlsMessage(foreign, 0), TypeError);
  assert.equal(codeOf(await world.engine().verifyKeyPackage(foreign)), 'malformed');
});

test('F5: pre-shared keys, which processMessage() loses, are not part of the profile', async () => {
  const world = new TestWorld();
  const members = await warmGroup(world, 2);
  const [ann, bob] = [at(members, 0), at(members, 1)];
  const pskId = { psktype: 'external' as const, pskId: new Uint8Array([1]), pskNonce: new Uint8Array(32) };
  const proposal = { proposalType: 'psk' as const, psk: { preSharedKeyId: pskId } };
  const state = { ...bareState(ann.group.serialize()), signaturePrivateKey: ann.device.identity.signPrivateKey };
  const pskIndex = bare.makePskIndex(undefined, { [bare.bytesToBase64(pskId.pskId)]: new Uint8Array(32) });
  const { commit } = await bare.createCommit({ state, cipherSuite: cs, pskIndex }, { extraProposals: [proposal] });
  assert.ok(commit.wireformat === 'mls_private_message');
  const process = bare.processMessage(commit, bareState(bob.group.serialize()), pskIndex, acceptAll, cs);
  await assert.rejects(process, /Could not find pskId/); // although the index that was given has it

  assert.equal(codeOf(await bob.group.receive(bare.encodeMlsMessage(commit))), 'commit_invalid');
  assert.equal(
    codeOf(await bob.group.receive(await forgeCommit(ann, { proposals: byValue(proposal) }))),
    'commit_invalid',
  );
});

test("F5: the limit of a KeyPackage's lifetime is enforced", async () => {
  const world = new TestWorld();
  const members = await warmGroup(world, 2);
  const [ann, bob] = [at(members, 0), at(members, 1)];
  const forever = await bendKeyPackage(world.device('cid@bravo.example'), world.now, {
    lifetime: { notBefore: 0n, notAfter: 9_223_372_036_854_775_807n },
  });
  const state = { ...bareState(ann.group.serialize()), signaturePrivateKey: ann.device.identity.signPrivateKey };
  await bare.createCommit({ state, cipherSuite: cs }, { extraProposals: [addition(forever.keyPackage)] }); // takes it

  assert.equal(codeOf(await world.engine().verifyKeyPackage(forever.bytes)), 'malformed');
  assert.equal(codeOf(await ann.group.prepareCommit({ add: [forever.bytes] })), 'commit_invalid');
  const forged = await forgeCommit(ann, { proposals: byValue(addition(forever.keyPackage)) });
  assert.equal(codeOf(await bob.group.receive(forged)), 'commit_invalid');
  const { identity } = bob.device;
  const lifetime = { notBefore: world.now, notAfter: (world.now + 32 * 86_400_000) as typeof world.now }; // two days over
  await assert.rejects(world.engine().createKeyPackage({ identity, lastResort: false, lifetime }), RangeError);
});

test('F5: every credential is verified; by default the library takes any', async () => {
  const world = new TestWorld();
  const members = await warmGroup(world, 2);
  const [ann, bob] = [at(members, 0), at(members, 1)];
  const anything = { credentialType: 'x509' as const, certificates: [] };
  assert.equal(await bare.defaultAuthenticationService.validateCredential(anything, new Uint8Array(0)), true);

  const ghost = world.device('ghost@alpha.example');
  world.certificates.clear(); // no organisation certified the ghost, whatever the server says
  const { bytes, keyPackage } = await bendKeyPackage(ghost, world.now, {});
  assert.equal(codeOf(await ann.group.prepareCommit({ add: [bytes] })), 'credential_invalid');
  const forged = await forgeCommit(ann, { proposals: byValue(addition(keyPackage)) });
  assert.equal(codeOf(await bob.group.receive(forged)), 'credential_invalid');
});

test('F6: group context extensions cannot be changed: no commit without the path they need, none that nobody opens', async () => {
  const world = new TestWorld();
  const members = await warmGroup(world, 3);
  const [ann, bob] = [at(members, 0), at(members, 1)];
  const state = { ...bareState(ann.group.serialize()), signaturePrivateKey: ann.device.identity.signPrivateKey };
  const { extensions } = state.groupContext;
  const proposal = {
    proposalType: 'group_context_extensions' as const,
    groupContextExtensions: { extensions: [...extensions, ...extensions] },
  };
  const alone = await bare.createCommit(
    { state, cipherSuite: cs },
    { wireAsPublicMessage: true, extraProposals: [proposal] },
  );
  assert.ok(alone.commit.wireformat === 'mls_public_message');
  const { content } = alone.commit.publicMessage;
  assert.ok(content.contentType === 'commit' && content.commit.path === undefined); // RFC 9420 section 12.4 wants one
  const extraProposals = [proposal, removal(2)];
  const both = await bare.createCommit({ state, cipherSuite: cs }, { wireAsPublicMessage: true, extraProposals });
  assert.ok(both.commit.wireformat === 'mls_public_message');
  const bytes = encodePublicMessage(both.commit.publicMessage);
  await assert.rejects(bareProcess(bob.group.serialize(), bytes));

  assert.equal(codeOf(await bob.group.receive(bytes)), 'commit_invalid');
  const forged = await forgeCommit(ann, { proposals: byValue(proposal) });
  assert.equal(codeOf(await bob.group.receive(forged)), 'commit_invalid');
});

test('F7: the commit secret follows the last path secret, also when the root is blank', async () => {
  const world = new TestWorld();
  const members = await warmGroup(world, 4);
  const [cid, dan] = [at(members, 2), at(members, 3)];
  const stored = dan.group.serialize();
  const pending = await cid.commit({ remove: [0, 1] }); // the left half is empty: the root stays blank
  // The library derives once more for the blank root (RFC 9420 section 12.4.1 does not).
  await assert.rejects(bareProcess(stored, pending.commit), /confirmation tag/);
  await dan.receiveCommit(pending.commit);
  assert.deepEqual(dan.group.epochAuthenticator, cid.group.epochAuthenticator);
});

test('F8: a path whose keys do not follow from its secrets is refused', async () => {
  const world = new TestWorld();
  const members = await warmGroup(world, 4);
  const [ann, dan] = [at(members, 0), at(members, 3)];
  // A committer that announces other keys than it gives away: members could not read its next path.
  const liar = { ...suite, kem: { ...suite.kem, derive: () => suite.kem.generate(suite.random) } };
  const created = await createCommit(liar, stateOf(ann), {
    add: [],
    remove: [],
    update: true,
    credential: undefined,
    authenticatedData: new Uint8Array(0),
    signPrivateKey: ann.device.identity.signPrivateKey,
  });
  const bytes = encodePublicMessage(must(created).message);
  await bareProcess(dan.group.serialize(), bytes); // accepted
  assert.equal(codeOf(await dan.group.receive(bytes)), 'commit_invalid');
  assert.equal(await dan.read(await ann.say('as before')), 'as before');
});

test("F8: a Welcome whose path secret does not give the tree's keys, or that lacks one, is refused", async () => {
  const world = new TestWorld();
  const [ann] = await warmGroup(world, 2);
  assert.ok(ann);
  const cid = await newcomer(world, 'cid@bravo.example');
  const own = openKeyPackageSecret(cid.own.secret);
  const request = {
    add: [{ keyPackage: own.keyPackage, identity: cid.device.member }],
    remove: [],
    update: true,
    credential: undefined,
    authenticatedData: new Uint8Array(0),
    signPrivateKey: ann.device.identity.signPrivateKey,
  };
  const bend = (change: (secrets: GroupSecrets) => GroupSecrets) => ({
    ...suite,
    impl: {
      ...cs,
      hpke: {
        ...cs.hpke,
        seal: (key: Parameters<typeof cs.hpke.seal>[0], plaintext: Uint8Array, info: Uint8Array, aad?: Uint8Array) => {
          const decoded = utf8.decode(info).includes('Welcome') ? decodeGroupSecrets(plaintext, 0) : undefined;
          return cs.hpke.seal(
            key,
            decoded === undefined ? plaintext : encodeGroupSecrets(change(decoded[0])),
            info,
            aad,
          );
        },
      },
    },
  });
  const privatePackage = {
    initPrivateKey: own.initPrivateKey,
    hpkePrivateKey: own.leafPrivateKey,
    signaturePrivateKey: cid.device.identity.signPrivateKey,
  };
  for (const pathSecret of [new Uint8Array(32).fill(9), undefined]) {
    const created: CreatedCommit = must(
      await createCommit(
        bend((secrets) => ({ ...secrets, pathSecret })),
        stateOf(ann),
        request,
      ),
    );
    assert.ok(created.welcome);
    await bare.joinGroup(created.welcome, own.keyPackage, privatePackage, bare.emptyPskIndex, cs); // accepted
    assert.equal(codeOf(await cid.join(encodeWelcome(created.welcome))), 'malformed');
  }
});

test('where none of these faults is in the way, the library and we reach the same epoch', async () => {
  let compared = 0;
  for (let seed = 0; seed < 4; seed += 1) {
    const onCommit = async (commit: Uint8Array, _receiver: TestMember, stored: Uint8Array) => {
      const outcome = await bareProcess(stored, commit).catch((fault: unknown) => fault);
      return (after: TestMember) => {
        // Called only for a receiver that is still a member, which rules F3 out.
        if (outcome instanceof Error) return assert.equal(rootIsBlank(after), true, String(outcome));
        const { newState } = outcome as Awaited<ReturnType<typeof bareProcess>>; // it did not fail
        assert.deepEqual(newState.groupContext.treeHash, after.group.treeHash);
        assert.deepEqual(newState.keySchedule.epochAuthenticator, after.group.epochAuthenticator);
        compared += 1;
      };
    };
    await new Simulation(`oracle ${seed}`, { onCommit }).run(60);
  }
  assert.ok(compared > 100, `only ${compared} were compared`);
});

function rootIsBlank(member: TestMember): boolean {
  const { tree } = stateOf(member).group.hashed;
  return tree[(tree.length - 1) / 2] === undefined;
}
