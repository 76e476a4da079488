import { ERRORS, type Result, reject, sameBytes } from '@norc/protocol/base';
import { decodeGroupExtensions, type GroupExtensions } from './conversation-extension.ts';
import type { MemberIdentity } from './engine.ts';
import { identify } from './leaf-rules.ts';
import {
  createInterimHash,
  encodeLeafNode,
  type GroupContext,
  type GroupInfo,
  type LeafNode,
  type RatchetTree,
  signGroupInfo,
  verifyGroupInfoSignature,
} from './library.ts';
import { GROUP_ID_BYTES } from './profile.ts';
import type { PublicGroup, RuleContext } from './public-group.ts';
import type { MlsSuite } from './suite.ts';
import { decodeTree, encodeTree } from './tree-codec.ts';
import { type HashedTree, hashTree } from './tree-hash.ts';
import { checkTree, leafAt, leaves } from './tree-rules.ts';

export interface GroupInfoParts {
  readonly context: GroupContext;
  readonly confirmationTag: Uint8Array;
  /** Put into the ratchet_tree extension; absent when joiners get the tree elsewhere. */
  readonly tree?: RatchetTree;
  readonly signer: number;
}

export function makeGroupInfo(
  suite: MlsSuite,
  { context, confirmationTag, tree, signer }: GroupInfoParts,
  signPrivateKey: Uint8Array,
): Promise<GroupInfo> {
  const extensions =
    tree === undefined ? [] : [{ extensionType: 'ratchet_tree' as const, extensionData: encodeTree(tree) }];
  const tbs = { groupContext: context, extensions, confirmationTag, signer };
  return signGroupInfo(tbs, signPrivateKey, suite.impl.signature);
}

/**
 * Verifies everything that a GroupInfo and a tree say, each member's credential
 * included: the step by which a joiner, or a server, first believes in a group.
 */
export async function openGroup(
  rules: RuleContext,
  info: GroupInfo,
  treeElsewhere?: Uint8Array,
): Promise<Result<PublicGroup>> {
  const { suite } = rules;
  const context = checkContext(suite, info);
  if (!context.ok) return context;
  const extensions = context.value;
  const inside = info.extensions.find((extension) => extension.extensionType === 'ratchet_tree');
  const encoded = inside?.extensionData ?? treeElsewhere;
  if (encoded === undefined) return reject('missing_field', 'ratchet tree');
  const tree = decodeTree(encoded);
  if (!tree.ok) return tree;
  const hashed = hashTree(suite, tree.value);
  const signer = leafAt(tree.value, info.signer);
  if (signer === undefined) return reject('malformed', 'GroupInfo: signer is not a member');
  if (!(await verifyGroupInfoSignature(info, signer.signaturePublicKey, suite.impl.signature))) {
    return reject('signature_invalid', 'GroupInfo');
  }
  const valid = await checkTree(suite, hashed, info.groupContext);
  if (!valid.ok) return valid;
  const hub = await checkHubSenders(rules, extensions);
  if (!hub.ok) return hub;
  const roster = await identifyAll(rules, hashed);
  if (!roster.ok) return roster;
  const { groupContext, confirmationTag } = info;
  const interimHash = await createInterimHash(groupContext.confirmedTranscriptHash, confirmationTag, suite.impl.hash);
  const group = { context: groupContext, extensions, hashed, confirmationTag, interimHash, roster: roster.value };
  return { ok: true, value: { ...group, waiting: [] } };
}

function checkContext(suite: MlsSuite, info: GroupInfo): Result<GroupExtensions> {
  const { version, cipherSuite, groupId, epoch, confirmedTranscriptHash, extensions } = info.groupContext;
  if (version !== 'mls10') return reject('malformed', 'GroupContext: version');
  if (cipherSuite !== suite.name) return reject('no_compatible_suite', 'GroupContext: suite');
  if (groupId.length !== GROUP_ID_BYTES) return reject('malformed', 'GroupContext: group id');
  if (epoch > BigInt(Number.MAX_SAFE_INTEGER)) return reject('limit_exceeded', 'GroupContext: epoch');
  const hashBytes = epoch === 0n ? 0 : suite.impl.kdf.size;
  if (confirmedTranscriptHash.length !== hashBytes) return reject('malformed', 'GroupContext: transcript hash');
  if (info.confirmationTag.length !== suite.impl.kdf.size) return reject('malformed', 'GroupInfo: confirmation tag');
  return decodeGroupExtensions(extensions);
}

/** Every member, without exception: one unverified leaf is a ghost that reads everything. */
async function identifyAll(
  rules: RuleContext,
  hashed: HashedTree,
): Promise<Result<ReadonlyMap<number, MemberIdentity>>> {
  const roster = new Map<number, MemberIdentity>();
  const devices = new Set<string>();
  for (const [leafIndex, leaf] of leaves(hashed.tree)) {
    const identity = await identify(rules.options, leaf);
    if (!identity.ok) return identity;
    if (devices.has(identity.value.deviceId)) return reject('credential_invalid', 'a device is in the group twice');
    devices.add(identity.value.deviceId);
    roster.set(leafIndex, identity.value);
  }
  return { ok: true, value: roster };
}

async function checkHubSenders(rules: RuleContext, { settings, hubSenders }: GroupExtensions): Promise<Result<void>> {
  const { verifyHub, clock } = rules.options;
  for (const sender of hubSenders) {
    if (verifyHub === undefined) return reject('credential_invalid', 'hub senders cannot be verified here');
    const verdict = await verifyHub(sender.certificates, sender.publicKey, clock.now());
    if (!verdict.ok) {
      return ERRORS[verdict.error.code].retryable
        ? verdict
        : reject('credential_invalid', `hub: ${verdict.error.detail}`);
    }
    if (verdict.value !== settings.hub) return reject('credential_invalid', 'hub sender is not of the hub');
  }
  return { ok: true, value: undefined };
}

/** Where a joiner finds itself: the leaf that is byte for byte the one of its KeyPackage. */
export function findOwnLeaf(tree: RatchetTree, own: LeafNode): number | undefined {
  const encoded = encodeLeafNode(own);
  for (const [leafIndex, leaf] of leaves(tree)) if (sameBytes(encodeLeafNode(leaf), encoded)) return leafIndex;
  return undefined;
}
