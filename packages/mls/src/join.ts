import { type Result, reject, sameBytes, zeroBytes } from '@norc/protocol/base';
import { deriveNodeKeys, nextPathSecret } from './commit-open.ts';
import type { OwnIdentity } from './engine.ts';
import { findOwnLeaf, openGroup } from './group-info.ts';
import type { KeyPackageSecret } from './key-package.ts';
import {
  decryptGroupInfo,
  decryptGroupSecrets,
  deriveKeySchedule,
  type GroupInfo,
  makeKeyPackageRef,
  verifyConfirmationTag,
  type Welcome,
} from './library.ts';
import { createMemberState, type MemberState } from './member-state.ts';
import { attemptAsync } from './messages.ts';
import type { PublicGroup, RuleContext } from './public-group.ts';
import type { MlsSuite } from './suite.ts';
import { parentAt } from './tree-hash.ts';
import { covers, filteredPath, publicKeyAt } from './tree-path.ts';

/**
 * Joins by a Welcome (RFC 9420 section 12.4.3.1). Written here because the library's
 * `joinGroup` refuses ordinary trees (fault F2) and checks neither what the path
 * secret gives nor that every ancestor's key is known or owed.
 */
export async function joinByWelcome(
  rules: RuleContext,
  welcome: Welcome,
  own: KeyPackageSecret,
  identity: OwnIdentity,
  ratchetTree: Uint8Array | undefined,
): Promise<Result<MemberState>> {
  const { suite } = rules;
  if (welcome.cipherSuite !== suite.name) return reject('no_compatible_suite', 'Welcome: suite');
  if (!sameBytes(own.keyPackage.leafNode.signaturePublicKey, identity.publicKey)) {
    return reject('malformed', 'Welcome: KeyPackage of another device key');
  }
  const opened = await openWelcome(suite, welcome, own);
  if (!opened.ok) return opened;
  const { info, joinerSecret, pathSecret } = opened.value;
  const group = await openGroup(rules, info, ratchetTree);
  if (!group.ok) return group;
  const leafIndex = findOwnLeaf(group.value.hashed.tree, own.keyPackage.leafNode);
  if (leafIndex === undefined) return reject('malformed', 'Welcome: this device is not in the tree');
  const keys = await ownKeys(suite, group.value, info.signer, leafIndex, own.leafPrivateKey, pathSecret);
  if (!keys.ok) return keys;
  const noPsk = new Uint8Array(suite.impl.kdf.size);
  const [schedule, encryptionSecret] = await deriveKeySchedule(joinerSecret, noPsk, info.groupContext, suite.impl.kdf);
  zeroBytes(joinerSecret);
  const { confirmedTranscriptHash } = info.groupContext;
  const { confirmationKey } = schedule;
  if (!(await verifyConfirmationTag(confirmationKey, info.confirmationTag, confirmedTranscriptHash, suite.impl.hash))) {
    return reject('malformed', 'Welcome: confirmation tag');
  }
  return {
    ok: true,
    value: await createMemberState(suite, group.value, leafIndex, keys.value, schedule, encryptionSecret),
  };
}

interface OpenedWelcome {
  readonly info: GroupInfo;
  readonly joinerSecret: Uint8Array;
  readonly pathSecret: Uint8Array | undefined;
}

async function openWelcome(suite: MlsSuite, welcome: Welcome, own: KeyPackageSecret): Promise<Result<OpenedWelcome>> {
  const ref = await makeKeyPackageRef(own.keyPackage, suite.impl.hash);
  if (!welcome.secrets.some((entry) => sameBytes(entry.newMember, ref))) {
    return reject('malformed', 'Welcome: not for this KeyPackage');
  }
  const initKey = await suite.impl.hpke.importPrivateKey(own.initPrivateKey);
  const secrets = await attemptAsync(() => decryptGroupSecrets(initKey, ref, welcome, suite.impl.hpke));
  if (secrets === undefined) return reject('malformed', 'Welcome: group secrets');
  if (secrets.psks.length > 0) return reject('malformed', 'Welcome: pre-shared keys are not part of the profile');
  const { joinerSecret, pathSecret } = secrets;
  const size = suite.impl.kdf.size;
  if (joinerSecret.length !== size || (pathSecret !== undefined && pathSecret.length !== size)) {
    return reject('malformed', 'Welcome: group secrets');
  }
  const noPsk = new Uint8Array(size);
  const info = await attemptAsync(() => decryptGroupInfo(welcome, joinerSecret, noPsk, suite.impl));
  if (info === undefined) return reject('malformed', 'Welcome: GroupInfo');
  return { ok: true, value: { info, joinerSecret, pathSecret } };
}

/** Our leaf's key, and those that the committer's path secret gives us. */
async function ownKeys(
  suite: MlsSuite,
  group: PublicGroup,
  signer: number,
  ownLeafIndex: number,
  leafPrivateKey: Uint8Array,
  pathSecret: Uint8Array | undefined,
): Promise<Result<ReadonlyMap<number, Uint8Array>>> {
  const { tree } = group.hashed;
  if (!keyMatches(suite, tree, 2 * ownLeafIndex, suite.kem.publicKeyOf(leafPrivateKey))) {
    return reject('malformed', 'Welcome: leaf key');
  }
  const keys = new Map([[2 * ownLeafIndex, leafPrivateKey]]);
  if (pathSecret !== undefined) {
    const steps = filteredPath(tree, signer);
    const first = steps.findIndex((step) => covers(step.node, ownLeafIndex));
    if (first < 0) return reject('malformed', 'Welcome: path secret without a path');
    let secret = pathSecret;
    for (const step of steps.slice(first)) {
      const pair = await deriveNodeKeys(suite, secret);
      if (!keyMatches(suite, tree, step.node, pair.publicKey)) return reject('malformed', 'Welcome: path secret');
      keys.set(step.node, pair.privateKey);
      secret = await nextPathSecret(suite, secret);
    }
    zeroBytes(secret);
  }
  return everyAncestorReaches(group, ownLeafIndex, keys)
    ? { ok: true, value: keys }
    : reject('malformed', 'Welcome: the key of an ancestor is missing');
}

function keyMatches(suite: MlsSuite, tree: PublicGroup['hashed']['tree'], node: number, key: Uint8Array): boolean {
  const announced = publicKeyAt(tree, node);
  return announced !== undefined && suite.equal(announced, key);
}

/** What is encrypted to a node above us, we can open; or the node says that we cannot yet, and lists us. */
function everyAncestorReaches(
  group: PublicGroup,
  ownLeafIndex: number,
  keys: ReadonlyMap<number, Uint8Array>,
): boolean {
  const { tree } = group.hashed;
  for (let node = 1; node < tree.length; node += 2) {
    const parent = parentAt(tree, node);
    if (parent === undefined || !covers(node, ownLeafIndex) || keys.has(node)) continue;
    if (!parent.unmergedLeaves.includes(ownLeafIndex)) return false;
  }
  return true;
}
