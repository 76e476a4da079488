import { createNodeMlsProvider } from '@norc/mls/node';
import { idFromBytes, type MessageId } from '@norc/protocol/base';
import { encodeProposalData } from '../../packages/mls/src/authenticated-data.ts';
import { provisionalContext } from '../../packages/mls/src/commit-open.ts';
import { makeGroupInfo } from '../../packages/mls/src/group-info.ts';
import { loadGroup } from '../../packages/mls/src/group-storage.ts';
import {
  type Commit,
  createContentCommitSignature,
  decryptWithLabel,
  encodeGroupContext,
  type GroupContext,
  generateKeyPackageWithKey,
  type KeyPackage,
  type LeafNodeCommit,
  type Proposal,
  protectExternalProposalPublic,
  protectProposalPublic,
  protectPublicMessage,
  signLeafNodeCommit,
} from '../../packages/mls/src/library.ts';
import type { MemberState } from '../../packages/mls/src/member-state.ts';
import {
  attemptAsync,
  decodePublicMessage,
  encodeGroupInfoMessage,
  encodeKeyPackage,
  encodePublicMessage,
} from '../../packages/mls/src/messages.ts';
import { EXTENSION_CONVERSATION, EXTENSION_LAST_RESORT } from '../../packages/mls/src/profile.ts';
import { stageCommit } from '../../packages/mls/src/public-group.ts';
import { createNorcSuite } from '../../packages/mls/src/suite.ts';
import { hashTree } from '../../packages/mls/src/tree-hash.ts';
import { filteredPath, placePath } from '../../packages/mls/src/tree-path.ts';
import { must, type TestDevice, type TestMember, type TestWorld } from './fixtures.ts';

/** What a member that does not keep the rules can send: it has all keys, and signs whatever it likes. */
export const suite = createNorcSuite(createNodeMlsProvider());

export function stateOf(member: TestMember): MemberState {
  return loadGroup(suite, member.group.serialize()).state;
}

export interface ForgedContent {
  readonly proposals?: Commit['proposals'];
  readonly path?: Commit['path'];
  readonly authenticatedData?: Uint8Array;
  readonly groupId?: Uint8Array;
  readonly epoch?: bigint;
}

/** A commit with a valid signature and membership tag; its confirmation tag is noise. */
export async function forgeCommit(member: TestMember, forged: ForgedContent): Promise<Uint8Array> {
  const state = stateOf(member);
  const context = {
    ...state.group.context,
    groupId: forged.groupId ?? state.group.context.groupId,
    epoch: forged.epoch ?? state.group.context.epoch,
  };
  const { framedContent, signature } = await createContentCommitSignature(
    context,
    'mls_public_message',
    { proposals: forged.proposals ?? [], path: forged.path },
    { senderType: 'member', leafIndex: state.ownLeafIndex },
    forged.authenticatedData ?? new Uint8Array(0),
    member.device.identity.signPrivateKey,
    suite.impl.signature,
  );
  const auth = { contentType: 'commit' as const, signature, confirmationTag: new Uint8Array(32).fill(1) };
  const content = { wireformat: 'mls_public_message' as const, content: framedContent, auth };
  const message = await protectPublicMessage(state.secrets.membershipKey, context, content, suite.impl);
  return encodePublicMessage(message);
}

export function byValue(...proposals: readonly Proposal[]): Commit['proposals'] {
  return proposals.map((proposal) => ({ proposalOrRefType: 'proposal', proposal }));
}

export const removal = (removed: number): Proposal => ({ proposalType: 'remove', remove: { removed } });
export const addition = (keyPackage: KeyPackage): Proposal => ({ proposalType: 'add', add: { keyPackage } });

/** The path of an honest update commit, to be bent. */
export async function honestPath(member: TestMember): Promise<NonNullable<Commit['path']>> {
  const copy = member.engine.restore(member.group.serialize(), member.device.identity);
  const pending = must(await copy.prepareCommit({}));
  const { content } = must(decodePublicMessage(pending.commit));
  if (content.contentType !== 'commit' || content.commit.path === undefined) throw new Error('an update has a path');
  return content.commit.path;
}

/** An update path whose leaf is changed and signed again, its parent hashes right. */
export async function bendLeaf(
  member: TestMember,
  change: (leaf: LeafNodeCommit) => LeafNodeCommit,
  signPrivateKey = member.device.identity.signPrivateKey,
): Promise<NonNullable<Commit['path']>> {
  const path = await honestPath(member);
  const { group, ownLeafIndex: leafIndex } = stateOf(member);
  const tbs = { ...change(path.leafNode), groupId: group.context.groupId, leafIndex };
  return { ...path, leafNode: await signLeafNodeCommit(tbs, signPrivateKey, suite.impl.signature) };
}

/** The same for the keys of the path's nodes: the leaf's parent hash is made to fit. */
export async function bendNodes(
  member: TestMember,
  change: (nodes: NonNullable<Commit['path']>['nodes']) => NonNullable<Commit['path']>['nodes'],
): Promise<NonNullable<Commit['path']>> {
  const path = await honestPath(member);
  const nodes = change(path.nodes);
  const { group, ownLeafIndex } = stateOf(member);
  const hashed = hashTree(suite, group.hashed.tree);
  const steps = filteredPath(hashed.tree, ownLeafIndex).slice(0, nodes.length);
  const keys = nodes.map((node) => node.hpkePublicKey);
  const { leafParentHash } = placePath(suite, hashed, ownLeafIndex, steps, keys);
  const bent = await bendLeaf(member, (leaf) => ({ ...leaf, parentHash: leafParentHash }));
  return { ...bent, nodes };
}

export async function forgeProposal(member: TestMember, proposal: Proposal): Promise<Uint8Array> {
  const state = stateOf(member);
  const { publicMessage } = await protectProposalPublic(
    member.device.identity.signPrivateKey,
    state.secrets.membershipKey,
    state.group.context,
    new Uint8Array(0),
    proposal,
    state.ownLeafIndex,
    suite.impl,
  );
  return encodePublicMessage(publicMessage);
}

/** What a hub that does not keep the rules can propose: it has its key, and signs whatever it likes. */
export async function forgeHubProposal(
  member: TestMember,
  signPrivateKey: Uint8Array,
  proposal: Proposal,
  authenticatedData: Uint8Array = encodeProposalData(hubData(member)),
  senderIndex = 0,
): Promise<Uint8Array> {
  const { publicMessage } = await protectExternalProposalPublic(
    signPrivateKey,
    stateOf(member).group.context,
    authenticatedData,
    proposal,
    { senderType: 'external', senderIndex },
    suite.impl,
  );
  return encodePublicMessage(publicMessage);
}

function hubData(member: TestMember) {
  const messageId: MessageId = idFromBytes(new Uint8Array(16).fill(9));
  return { label: 'unclassified', conversation: member.group.conversation, messageId, cause: 'trust_ended' } as const;
}

/** The same group for a member that has not heard a proposal: what it commits leaves the proposal out. */
export async function commitWithout(member: TestMember, before: Uint8Array): Promise<Uint8Array> {
  const deaf = member.engine.restore(before, member.device.identity);
  return must(await deaf.prepareCommit({ update: true })).commit;
}

export interface KeyPackageBend {
  readonly lifetime?: { readonly notBefore: bigint; readonly notAfter: bigint };
  readonly ciphersuites?: readonly string[];
  readonly versions?: readonly 'mls10'[];
  readonly extensions?: readonly number[];
  readonly credentials?: readonly ('x509' | 'basic')[];
  readonly certificates?: readonly Uint8Array[];
  /** Of the KeyPackage itself, not of its leaf. */
  readonly packageExtensions?: Parameters<typeof generateKeyPackageWithKey>[3];
}

/** A KeyPackage that its device really signed, with contents that no honest device would choose. */
export async function bendKeyPackage(
  device: TestDevice,
  now: number,
  bend: KeyPackageBend,
  by: typeof suite = suite,
): Promise<{ readonly keyPackage: KeyPackage; readonly bytes: Uint8Array }> {
  const { identity } = device;
  const nowSeconds = BigInt(Math.floor(now / 1000));
  const { publicPackage } = await generateKeyPackageWithKey(
    { credentialType: 'x509', certificates: [...(bend.certificates ?? identity.certificates)] },
    {
      versions: [...(bend.versions ?? ['mls10' as const])],
      ciphersuites: [...(bend.ciphersuites ?? [by.name])] as (typeof suite.name)[], // foreign names on purpose
      extensions: [...(bend.extensions ?? [EXTENSION_LAST_RESORT, EXTENSION_CONVERSATION])],
      proposals: [],
      credentials: [...(bend.credentials ?? ['x509' as const])],
    },
    bend.lifetime ?? { notBefore: nowSeconds - 60n, notAfter: nowSeconds + 86_400n },
    bend.packageExtensions ?? [],
    { signKey: identity.signPrivateKey, publicKey: identity.publicKey },
    by.impl,
  );
  return { keyPackage: publicPackage, bytes: encodeKeyPackage(publicPackage) };
}

/** A GroupInfo of the current epoch, its context changed, that a member really signed. */
export async function forgeGroupInfo(member: TestMember, change: Partial<GroupContext> = {}): Promise<Uint8Array> {
  const { group, ownLeafIndex } = stateOf(member);
  const context = { ...group.context, ...change };
  const parts = { context, confirmationTag: group.confirmationTag, tree: group.hashed.tree, signer: ownLeafIndex };
  return encodeGroupInfoMessage(await makeGroupInfo(suite, parts, member.device.identity.signPrivateKey));
}

/** What a server that followed the group holds. */
export async function viewOf(world: TestWorld, member: TestMember) {
  return must(await world.views().fromGroupInfo(await forgeGroupInfo(member)));
}

/**
 * How many path secrets of a commit the keys of a state open, whatever the commit says
 * about who may: a removed member must open none, and not by good will alone.
 */
export async function countOpened(world: TestWorld, before: MemberState, commit: Uint8Array): Promise<number> {
  const rules = { suite, options: world.options(), lateMs: 0 };
  const staged = must(await stageCommit(rules, before.group, must(decodePublicMessage(commit))));
  const context = encodeGroupContext(provisionalContext(before.group.context, staged.context));
  let opened = 0;
  for (const { encryptedPathSecret } of staged.path?.path.nodes ?? []) {
    for (const { kemOutput, ciphertext } of encryptedPathSecret) {
      for (const key of before.privateKeys.values()) {
        const privateKey = await suite.impl.hpke.importPrivateKey(key);
        const attempt = () =>
          decryptWithLabel(privateKey, 'UpdatePathNode', context, kemOutput, ciphertext, suite.impl.hpke);
        if ((await attemptAsync(attempt)) !== undefined) opened += 1;
      }
    }
  }
  return opened;
}
