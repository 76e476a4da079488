import { type Result, reject, zeroBytes } from '@norc/protocol/base';
import { deriveNodeKeys, nextPathSecret, provisionalContext } from './commit-open.ts';
import { makeGroupInfo } from './group-info.ts';
import {
  type Credential,
  createConfirmationTag,
  createContentCommitSignature,
  encodeGroupContext,
  encryptGroupInfo,
  encryptGroupSecrets,
  encryptWithLabel,
  type FramedContentCommit,
  type GroupContext,
  type GroupInfo,
  initializeEpoch,
  makeKeyPackageRef,
  type Proposal,
  type ProposalOrRef,
  type PublicMessage,
  protectPublicMessage,
  signLeafNodeCommit,
  type UpdatePath,
  type Welcome,
} from './library.ts';
import { createMemberState, livePrivateKeys, type MemberState } from './member-state.ts';
import { type Added, applyProposals, type ProposalOutcome, type VerifiedAdd } from './proposals.ts';
import { enterEpoch } from './public-change.ts';
import { nextContext, type PublicGroup } from './public-group.ts';
import { type MlsSuite, OpenFault } from './suite.ts';
import { at, type HashedTree, hashTree, rootHash } from './tree-hash.ts';
import { covers, filteredPath, type PathStep, placePath, publicKeyAt, recipients } from './tree-path.ts';
import { leafAt } from './tree-rules.ts';

export interface CommitRequest {
  readonly add: readonly VerifiedAdd[];
  readonly remove: readonly number[];
  readonly update: boolean;
  /** The new leaf's credential, when it is renewed. */
  readonly credential: Credential | undefined;
  readonly authenticatedData: Uint8Array;
  readonly signPrivateKey: Uint8Array;
}

export interface CreatedCommit {
  readonly message: PublicMessage;
  readonly welcome: Welcome | undefined;
  readonly groupInfo: GroupInfo;
  readonly outcome: ProposalOutcome;
  readonly next: MemberState;
}

/**
 * Makes a commit (RFC 9420 section 12.4.1) that includes all waiting proposals. `state`
 * stays as it is and remains usable: only the hub decides whether this commit counts.
 */
export async function createCommit(
  suite: MlsSuite,
  state: MemberState,
  request: CommitRequest,
): Promise<Result<CreatedCommit>> {
  try {
    return await makeCommit(suite, state, request);
  } catch (fault) {
    // Keys are checked when they come; one that was let in all the same must be an answer and no crash.
    if (fault instanceof OpenFault) return reject('commit_invalid', 'a key that nothing can be sealed to');
    throw fault;
  }
}

async function makeCommit(suite: MlsSuite, state: MemberState, request: CommitRequest): Promise<Result<CreatedCommit>> {
  const { group, ownLeafIndex } = state;
  const chosen = chooseProposals(group, ownLeafIndex, request);
  if (!chosen.ok) return chosen;
  const { proposals, outcome } = chosen.value;
  const after = hashTree(suite, outcome.tree, group.hashed);
  const wantsPath = request.update || proposals.length === 0 || outcome.removed.length > 0;
  const path = wantsPath ? await createPath(suite, state, outcome, after, request) : withoutPath(suite, after);
  const { framedContent, signature } = await createContentCommitSignature(
    group.context,
    'mls_public_message',
    { proposals, path: path.updatePath },
    { senderType: 'member', leafIndex: ownLeafIndex },
    request.authenticatedData,
    request.signPrivateKey,
    suite.impl.signature,
  );
  const context = await nextContext(suite, group, path.hashed, framedContent, signature);
  const { initSecret } = state.secrets;
  const noPsk = new Uint8Array(suite.impl.kdf.size);
  const epoch = await initializeEpoch(initSecret, path.commitSecret, context, noPsk, suite.impl.kdf);
  const { confirmationKey } = epoch.keySchedule;
  const confirmationTag = await createConfirmationTag(
    confirmationKey,
    context.confirmedTranscriptHash,
    suite.impl.hash,
  );
  const message = await sealPublic(suite, state, framedContent, signature, confirmationTag);
  const staged = { context, hashed: path.hashed, roster: outcome.roster };
  const nextGroup = await enterEpoch(suite, group, staged, confirmationTag);
  const infoParts = { context, confirmationTag, tree: path.hashed.tree, signer: ownLeafIndex };
  const groupInfo = await makeGroupInfo(suite, infoParts, request.signPrivateKey);
  const welcome = await createWelcome(suite, outcome.added, groupInfo, epoch, path.secrets);
  zeroBytes(path.commitSecret, epoch.joinerSecret, epoch.welcomeSecret, ...path.secrets.map((s) => s.secret));
  const privateKeys = livePrivateKeys(state.privateKeys, staged);
  for (const [node, key] of path.privateKeys) privateKeys.set(node, key);
  const next = await createMemberState(
    suite,
    nextGroup,
    ownLeafIndex,
    privateKeys,
    epoch.keySchedule,
    epoch.encryptionSecret,
  );
  return { ok: true, value: { message, welcome, groupInfo, outcome, next } };
}

interface ChosenProposals {
  readonly proposals: ProposalOrRef[];
  readonly outcome: ProposalOutcome;
}

/** Waiting proposals by reference, each removal once; then what is asked for, by value. */
function chooseProposals(group: PublicGroup, committer: number, request: CommitRequest): Result<ChosenProposals> {
  const refs: ProposalOrRef[] = [];
  const removals: number[] = [];
  const additions: VerifiedAdd[] = [];
  for (const { ref, proposal } of group.waiting) {
    if (proposal.proposalType !== 'remove' || removals.includes(proposal.remove.removed)) continue;
    if (proposal.remove.removed === committer) return reject('forbidden', 'this device is proposed for removal');
    removals.push(proposal.remove.removed);
    refs.push({ proposalOrRefType: 'reference', reference: ref });
  }
  const values: Proposal[] = [];
  for (const removed of new Set(request.remove)) {
    if (removals.includes(removed)) continue;
    removals.push(removed);
    values.push({ proposalType: 'remove', remove: { removed } });
  }
  const before = { tree: group.hashed.tree, roster: group.roster };
  for (const { ref, proposal, identity } of group.waiting) {
    if (proposal.proposalType !== 'add' || identity === undefined) continue;
    const add = { keyPackage: proposal.add.keyPackage, identity };
    // Somebody may have proposed an Add that cannot stand: it must not block every commit.
    if (!applyProposals(before, removals, [...additions, add], committer).ok) continue;
    additions.push(add);
    refs.push({ proposalOrRefType: 'reference', reference: ref });
  }
  for (const add of request.add) {
    additions.push(add);
    values.push({ proposalType: 'add', add: { keyPackage: add.keyPackage } });
  }
  const outcome = applyProposals(before, removals, additions, committer);
  if (!outcome.ok) return outcome;
  const byValue: ProposalOrRef[] = values.map((proposal) => ({ proposalOrRefType: 'proposal', proposal }));
  return { ok: true, value: { proposals: [...refs, ...byValue], outcome: outcome.value } };
}

interface CreatedPath {
  readonly updatePath: UpdatePath | undefined;
  readonly hashed: HashedTree;
  readonly commitSecret: Uint8Array;
  /** Path secrets, for the Welcome. */
  readonly secrets: readonly { readonly step: PathStep; readonly secret: Uint8Array }[];
  readonly privateKeys: ReadonlyMap<number, Uint8Array>;
}

function withoutPath(suite: MlsSuite, hashed: HashedTree): CreatedPath {
  const commitSecret = new Uint8Array(suite.impl.kdf.size);
  return { updatePath: undefined, hashed, commitSecret, secrets: [], privateKeys: new Map() };
}

/** RFC 9420 sections 7.4 to 7.6: fresh keys from our leaf to the root, their secrets sealed to everybody else. */
async function createPath(
  suite: MlsSuite,
  state: MemberState,
  outcome: ProposalOutcome,
  after: HashedTree,
  request: CommitRequest,
): Promise<CreatedPath> {
  const own = state.ownLeafIndex;
  const steps = filteredPath(after.tree, own);
  const privateKeys = new Map<number, Uint8Array>();
  const secrets: { step: PathStep; secret: Uint8Array }[] = [];
  const publicKeys: Uint8Array[] = [];
  let secret = suite.random(suite.impl.kdf.size);
  for (const step of steps) {
    const pair = await deriveNodeKeys(suite, secret);
    privateKeys.set(step.node, pair.privateKey);
    publicKeys.push(pair.publicKey);
    secrets.push({ step, secret: secret.slice() });
    secret = await nextPathSecret(suite, secret);
  }
  const leafKeys = suite.kem.generate(suite.random);
  privateKeys.set(2 * own, leafKeys.privateKey);
  const { tree, leafParentHash } = placePath(suite, after, own, steps, publicKeys);
  const leafNode = await createPathLeaf(suite, state, leafKeys.publicKey, leafParentHash, request);
  tree[2 * own] = { nodeType: 'leaf', leaf: leafNode };
  const hashed = hashTree(suite, tree, after);
  const newNodes = new Set(outcome.added.map((added) => 2 * added.leafIndex));
  const { context } = state.group;
  const next = { ...context, epoch: context.epoch + 1n, treeHash: rootHash(hashed) };
  const nodes = await sealPathSecrets(suite, after, provisionalContext(context, next), secrets, publicKeys, newNodes);
  return { updatePath: { leafNode, nodes }, hashed, commitSecret: secret, secrets, privateKeys };
}

async function createPathLeaf(
  suite: MlsSuite,
  state: MemberState,
  hpkePublicKey: Uint8Array,
  parentHash: Uint8Array,
  request: CommitRequest,
) {
  const old = leafAt(state.group.hashed.tree, state.ownLeafIndex);
  if (old === undefined) throw new RangeError('this device is not a member');
  const { capabilities, extensions, signaturePublicKey } = old;
  const tbs = {
    leafNodeSource: 'commit' as const,
    hpkePublicKey,
    signaturePublicKey,
    credential: request.credential ?? old.credential,
    capabilities,
    parentHash,
    extensions,
    groupId: state.group.context.groupId,
    leafIndex: state.ownLeafIndex,
  };
  return signLeafNodeCommit(tbs, request.signPrivateKey, suite.impl.signature);
}

async function sealPathSecrets(
  suite: MlsSuite,
  after: HashedTree,
  context: GroupContext,
  secrets: CreatedPath['secrets'],
  publicKeys: readonly Uint8Array[],
  newNodes: ReadonlySet<number>,
): Promise<UpdatePath['nodes']> {
  const encodedContext = encodeGroupContext(context);
  const nodes: UpdatePath['nodes'] = [];
  for (const [i, { step, secret }] of secrets.entries()) {
    const encryptedPathSecret = [];
    for (const node of recipients(step, newNodes)) {
      const key = await suite.impl.hpke.importPublicKey(publicKeyAt(after.tree, node) ?? new Uint8Array(0));
      const sealed = await encryptWithLabel(key, 'UpdatePathNode', encodedContext, secret, suite.impl.hpke);
      encryptedPathSecret.push({ kemOutput: sealed.enc, ciphertext: sealed.ct });
    }
    nodes.push({ hpkePublicKey: at(publicKeys, i), encryptedPathSecret });
  }
  return nodes;
}

async function sealPublic(
  suite: MlsSuite,
  state: MemberState,
  content: FramedContentCommit,
  signature: Uint8Array,
  confirmationTag: Uint8Array,
): Promise<PublicMessage> {
  const auth = { contentType: 'commit' as const, signature, confirmationTag };
  const authenticated = { wireformat: 'mls_public_message' as const, content, auth };
  return protectPublicMessage(state.secrets.membershipKey, state.group.context, authenticated, suite.impl);
}

async function createWelcome(
  suite: MlsSuite,
  added: readonly Added[],
  groupInfo: GroupInfo,
  epoch: { readonly joinerSecret: Uint8Array; readonly welcomeSecret: Uint8Array },
  secrets: CreatedPath['secrets'],
): Promise<Welcome | undefined> {
  if (added.length === 0) return undefined;
  const encryptedGroupInfo = await encryptGroupInfo(groupInfo, epoch.welcomeSecret, suite.impl);
  const entries: Welcome['secrets'] = [];
  for (const { leafIndex, keyPackage } of added) {
    const pathSecret = secrets.find(({ step }) => covers(step.node, leafIndex))?.secret;
    const initKey = await suite.impl.hpke.importPublicKey(keyPackage.initKey);
    const groupSecrets = { joinerSecret: epoch.joinerSecret, pathSecret, psks: [] };
    const sealed = await encryptGroupSecrets(initKey, encryptedGroupInfo, groupSecrets, suite.impl.hpke);
    const newMember = await makeKeyPackageRef(keyPackage, suite.impl.hash);
    entries.push({ newMember, encryptedGroupSecrets: { kemOutput: sealed.enc, ciphertext: sealed.ct } });
  }
  return { cipherSuite: groupInfo.groupContext.cipherSuite, secrets: entries, encryptedGroupInfo };
}
