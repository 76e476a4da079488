import type { MlsProvider } from '@norc/mls';
import { concatBytes, toHex } from '@norc/protocol/base';
import { openKeyPackageSecret } from '../../../packages/mls/src/key-package.ts';
import { createNorcSuite } from '../../../packages/mls/src/suite.ts';
import { must, newcomer, TestMember, TestWorld } from '../../../tests/mls/fixtures.ts';
import {
  addition,
  bendKeyPackage,
  bendLeaf,
  byValue,
  forgeCommit,
  honestPath,
  removal,
} from '../../../tests/mls/forge.ts';
import type { VectorFile } from '../files.ts';

/** Vectors that need devices and groups. `provider` takes all randomness from its seed. */
export type ProviderOf = (seed: string) => MlsProvider;

function world(seed: string, providerOf: ProviderOf): TestWorld {
  const made = new TestWorld(`vectors/${seed}`);
  made.provider = providerOf(`vectors/${seed}/provider`);
  return made;
}

/** The certificates that are valid in a case, and for which device and key. */
function devicesOf(members: readonly TestMember['device'][]) {
  return members.map(({ identity, member }) => ({
    certificate: toHex(identity.certificates[0] ?? new Uint8Array(0)),
    public_key: toHex(identity.publicKey),
    device_id: member.deviceId,
    user: member.user,
  }));
}

export async function keyPackageVectors(providerOf: ProviderOf): Promise<VectorFile[]> {
  const scene = world('key-package', providerOf);
  const cases = [];
  for (const lastResort of [false, true]) {
    const device = scene.device('ann@alpha.example');
    const own = await scene.engine().createKeyPackage({ identity: device.identity, lastResort });
    const { notAfter } = must(await scene.engine().verifyKeyPackage(own.keyPackage));
    cases.push({
      name: lastResort ? 'last resort' : 'one-time',
      now: scene.now,
      devices: devicesOf([device]),
      bytes: toHex(own.keyPackage),
      ref: toHex(own.ref),
      last_resort: lastResort,
      not_after: notAfter,
    });
  }
  const about =
    'MLSMessage with a KeyPackage; bytes 6 and 7 are the suite, f101. devices: the certificates that are valid.';
  return [
    { outcome: 'valid', kind: 'key-package', about, cases },
    { outcome: 'invalid', kind: 'key-package', about, cases: await badKeyPackages(scene) },
  ];
}

async function badKeyPackages(scene: TestWorld) {
  const device = scene.device('bob@alpha.example');
  const stranger = scene.device('eve@alpha.example');
  const suite = createNorcSuite(scene.provider);
  const bent = async (bend: Parameters<typeof bendKeyPackage>[2], by = device) =>
    (await bendKeyPackage(by, scene.now, bend, suite)).bytes;
  const bad = (name: string, bytes: Uint8Array, error: string) => ({
    name,
    now: scene.now,
    devices: devicesOf([device]),
    bytes: toHex(bytes),
    error,
  });
  const good = await bent({});
  const flipped = good.slice();
  flipped[good.length - 1] = (good[good.length - 1] ?? 0) ^ 1;
  const nowSeconds = BigInt(scene.now / 1000);
  const over = { notBefore: nowSeconds - 7200n, notAfter: nowSeconds - 3600n };
  const forever = { notBefore: 0n, notAfter: 9_223_372_036_854_775_807n };
  const foreign = stranger.identity.certificates;
  return [
    bad('a byte after the end', concatBytes(good, Uint8Array.of(0)), 'trailing_bytes'),
    bad('another signature', flipped, 'signature_invalid'),
    bad('capabilities without the suite', await bent({ ciphersuites: [] }), 'malformed'),
    bad('capabilities without the conversation extension', await bent({ extensions: [] }), 'malformed'),
    bad('a lifetime of 292 billion years', await bent({ lifetime: forever }), 'malformed'),
    bad('a lifetime that is over', await bent({ lifetime: over }), 'malformed'),
    bad('a device that nobody certified', await bent({}, stranger), 'credential_invalid'),
    bad("another device's certificate", await bent({ certificates: foreign }), 'credential_invalid'),
  ];
}

type Step = Readonly<Record<string, unknown>>;

/** A run that one member only follows, and the same run as a server sees it. */
export async function runVectors(providerOf: ProviderOf): Promise<VectorFile[]> {
  const scene = world('run', providerOf);
  const { member: ann, groupInfo } = await TestMember.createWithInfo(scene);
  const bob = await newcomer(scene, 'bob@bravo.example');
  const cid = await newcomer(scene, 'cid@bravo.example');
  const dan = await newcomer(scene, 'dan@alpha.example');
  const first = await ann.commit({ add: [bob.own.keyPackage, cid.own.keyPackage] });
  const start = commitStep(first.commit, ann);
  const reader = must(await bob.join(first.welcome));
  const steps = await play(ann, reader, must(await cid.join(first.welcome)), dan.own.keyPackage);
  const devices = devicesOf([ann.device, bob.device, cid.device, dan.device]);
  const own = openKeyPackageSecret(bob.own.secret);
  const joiner = {
    key_package: toHex(bob.own.keyPackage),
    init_private_key: toHex(own.initPrivateKey),
    leaf_private_key: toHex(own.leafPrivateKey),
    signature_private_key: toHex(bob.device.identity.signPrivateKey),
    welcome: toHex(first.welcome ?? new Uint8Array(0)),
  };
  const name = 'messages, an update, a removal with an addition, a proposal, a removal';
  return [
    {
      outcome: 'valid',
      kind: 'passive-member',
      about:
        'A member joins by welcome and receives each step. After a commit it holds epoch, tree_hash and epoch_authenticator; removed: the step removes it.',
      cases: [{ name, now: scene.now, devices, ...joiner, steps }],
    },
    {
      outcome: 'valid',
      kind: 'group-view',
      about: 'A server follows from the GroupInfo of epoch 0. After a commit it holds epoch and tree_hash.',
      cases: [
        {
          name,
          now: scene.now,
          devices,
          group_info: toHex(groupInfo),
          steps: [start, ...steps.filter((step) => step['kind'] !== 'application')],
        },
      ],
    },
  ];
}

function commitStep(commit: Uint8Array, author: TestMember): Step {
  const { epoch, treeHash, epochAuthenticator } = author.group;
  return {
    kind: 'commit',
    bytes: toHex(commit),
    epoch,
    tree_hash: toHex(treeHash),
    epoch_authenticator: toHex(epochAuthenticator),
  };
}

async function play(ann: TestMember, bob: TestMember, cid: TestMember, newcomerPackage: Uint8Array): Promise<Step[]> {
  const steps: Step[] = [];
  const say = async (author: TestMember, text: string) => {
    const bytes = toHex(await author.say(text));
    steps.push({ kind: 'application', bytes, sender_leaf: author.group.ownLeafIndex, text });
  };
  const commit = async (author: TestMember, others: readonly TestMember[], intent = {}) => {
    const pending = await author.commit(intent);
    for (const other of others) await other.receiveCommit(pending.commit);
    steps.push(commitStep(pending.commit, author));
  };
  await say(ann, 'hello');
  await commit(cid, [ann, bob]);
  await say(cid, 'fresh keys');
  await commit(ann, [cid, bob], { add: [newcomerPackage], remove: [cid.group.ownLeafIndex] });
  await say(ann, 'without cid');
  const proposal = must(await ann.group.proposeRemove(bob.group.ownLeafIndex));
  for (const member of [ann, bob]) must(await member.group.receive(proposal));
  steps.push({ kind: 'proposal', bytes: toHex(proposal) });
  const last = await ann.commit();
  await bob.receiveCommit(last.commit);
  steps.push({ ...commitStep(last.commit, ann), removed: true });
  return steps;
}

export async function badCommitVectors(providerOf: ProviderOf): Promise<VectorFile> {
  const scene = world('bad-commit', providerOf);
  const ann = await TestMember.create(scene);
  const { joined, pending } = await ann.add(['bob@bravo.example'], true);
  const [bob] = joined;
  if (bob === undefined) throw new Error('one has joined');
  const suite = createNorcSuite(scene.provider);
  const ghost = scene.device('eve@bravo.example');
  const { keyPackage } = await bendKeyPackage(ghost, scene.now, {}, suite);
  const { publicKey, signPrivateKey } = bob.device.identity;
  const taken = await bendLeaf(ann, (leaf) => ({ ...leaf, signaturePublicKey: publicKey }), signPrivateKey);
  const astray = await bendLeaf(ann, (leaf) => ({ ...leaf, parentHash: new Uint8Array(32) }));
  const path = await honestPath(ann);
  const good = await forgeCommit(ann, { path });
  const external = { proposalType: 'external_init' as const, externalInit: { kemOutput: new Uint8Array(8) } };
  const unsigned = new TestMember(scene, bob.device, ann.engine, ann.group);
  const devices = devicesOf([ann.device, bob.device]);
  const bad = (name: string, bytes: Uint8Array, error: string) => ({
    name,
    now: scene.now,
    devices,
    group_info: toHex(pending.groupInfo),
    bytes: toHex(bytes),
    error,
  });
  return {
    outcome: 'invalid',
    kind: 'commit',
    about: 'Commits for the group of group_info, which a server that holds it, and every member, refuses.',
    cases: [
      bad('a removal without a path', await forgeCommit(ann, { proposals: byValue(removal(1)) }), 'commit_invalid'),
      bad('nothing at all', await forgeCommit(ann, {}), 'commit_invalid'),
      bad(
        'the removal of the committer',
        await forgeCommit(ann, { proposals: byValue(removal(0)), path }),
        'commit_invalid',
      ),
      bad('the removal of nobody', await forgeCommit(ann, { proposals: byValue(removal(2)), path }), 'commit_invalid'),
      bad(
        'a proposal type outside the profile',
        await forgeCommit(ann, { proposals: byValue(external), path }),
        'commit_invalid',
      ),
      bad('the signature of another member', await forgeCommit(unsigned, { path }), 'signature_invalid'),
      bad("a leaf with another member's key", await forgeCommit(ann, { path: taken }), 'credential_invalid'),
      bad('a parent hash that does not fit', await forgeCommit(ann, { path: astray }), 'commit_invalid'),
      bad(
        'a device that nobody certified',
        await forgeCommit(ann, { proposals: byValue(addition(keyPackage)) }),
        'credential_invalid',
      ),
      bad('a past epoch', await forgeCommit(ann, { path, epoch: 0n }), 'epoch_stale'),
      bad('a later epoch', await forgeCommit(ann, { path, epoch: 2n }), 'log_gap'),
      bad('another group', await forgeCommit(ann, { path, groupId: new Uint8Array(16) }), 'malformed'),
      bad('a byte after the end', concatBytes(good, Uint8Array.of(0)), 'trailing_bytes'),
      bad('the last byte missing', good.subarray(0, -1), 'truncated'),
    ],
  };
}
