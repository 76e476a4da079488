import { type Instant, type Result, reject, sameBytes } from '@norc/protocol/base';
import type { GroupExtensions } from './conversation-extension.ts';
import type { Member, MemberIdentity, MlsOptions } from './engine.ts';
import { checkKeyPackage, checkLeaf, identify, sameCredential } from './leaf-rules.ts';
import {
  type Commit,
  createConfirmedHash,
  type FramedContentCommit,
  type GroupContext,
  type LeafNode,
  type ProposalOrRef,
  type PublicMessage,
  type RatchetTree,
  type UpdatePath,
  verifyFramedContentSignature,
  verifyLeafNodeSignature,
} from './library.ts';
import { PROPOSALS_MAX } from './profile.ts';
import {
  type Added,
  applyProposals,
  isGroupProposal,
  type ProposalOutcome,
  type Removed,
  type VerifiedAdd,
  type WaitingProposal,
} from './proposals.ts';
import type { MlsSuite } from './suite.ts';
import { type HashedTree, hashTree, rootHash } from './tree-hash.ts';
import { filteredPath, type PathStep, placePath, publicKeyAt, recipients } from './tree-path.ts';
import { leafAt } from './tree-rules.ts';

/**
 * All of a group that is public: what a server holds, and the lower half of what a
 * member holds. One function, `stageCommit`, decides for both what a valid commit is.
 */
export interface PublicGroup {
  readonly context: GroupContext;
  readonly extensions: GroupExtensions;
  readonly hashed: HashedTree;
  readonly confirmationTag: Uint8Array;
  /** Interim transcript hash: the chain that the next commit extends. */
  readonly interimHash: Uint8Array;
  readonly roster: ReadonlyMap<number, MemberIdentity>;
  readonly waiting: readonly WaitingProposal[];
}

/** The world around the rules: who verifies, what time it is, how late a commit may be. */
export interface RuleContext {
  readonly suite: MlsSuite;
  readonly options: MlsOptions;
  /** 0 for the hub and for senders; longer for those that catch up. */
  readonly lateMs: number;
}

/** A commit that passed every public check: only `stageCommit` makes one. */
export interface StagedCommit {
  readonly sender: Member;
  readonly added: readonly Added[];
  readonly removed: readonly Removed[];
  readonly content: FramedContentCommit;
  readonly path: StagedPath | undefined;
  readonly hashed: HashedTree;
  readonly roster: ReadonlyMap<number, MemberIdentity>;
  /** Of the epoch that the commit begins. */
  readonly context: GroupContext;
}

export interface StagedPath {
  readonly path: UpdatePath;
  readonly steps: readonly PathStep[];
  /** Leaves (as node indices) that the commit itself adds: no path secret is encrypted to them. */
  readonly newNodes: ReadonlySet<number>;
}

export function memberAt(group: PublicGroup, leafIndex: number): Member | undefined {
  const leaf = leafAt(group.hashed.tree, leafIndex);
  const identity = group.roster.get(leafIndex);
  if (leaf === undefined || identity === undefined) return undefined;
  return { leafIndex, identity, signaturePublicKey: leaf.signaturePublicKey };
}

export function membersOf(group: PublicGroup): Member[] {
  const members: Member[] = [];
  for (const leafIndex of [...group.roster.keys()].sort((a, b) => a - b)) {
    const member = memberAt(group, leafIndex);
    if (member !== undefined) members.push(member);
  }
  return members;
}

/**
 * Verifies a commit as far as it can be without a group secret (RFC 9420 section
 * 12.4.2, steps 1 to 11 but for the tags) and computes the group after it.
 */
export async function stageCommit(
  rules: RuleContext,
  group: PublicGroup,
  message: PublicMessage,
): Promise<Result<StagedCommit>> {
  const { content, auth } = message;
  if (content.contentType !== 'commit' || auth.contentType !== 'commit') return reject('malformed', 'not a commit');
  if (content.sender.senderType !== 'member') return reject('commit_invalid', 'sender is not a member');
  const sender = memberAt(group, content.sender.leafIndex);
  if (sender === undefined) return reject('commit_invalid', 'sender is not a member');
  const signed = await verifyFramedContentSignature(
    sender.signaturePublicKey,
    'mls_public_message',
    content,
    auth,
    group.context,
    rules.suite.impl.signature,
  );
  if (!signed) return reject('signature_invalid', 'commit');
  const proposals = await resolveProposals(rules, group, content.commit);
  if (!proposals.ok) return proposals;
  const complete = checkComplete(group, proposals.value.removals);
  if (!complete.ok) return complete;
  const outcome = applyProposals(
    { tree: group.hashed.tree, roster: group.roster },
    proposals.value.removals,
    proposals.value.additions,
    sender.leafIndex,
  );
  if (!outcome.ok) return outcome;
  const path = content.commit.path;
  if (path === undefined && needsPath(content.commit, outcome.value))
    return reject('commit_invalid', 'path is missing');
  const placed = await placeCommitPath(rules, group, sender, outcome.value, path);
  if (!placed.ok) return placed;
  const { hashed, staged, roster } = placed.value;
  const context = await nextContext(rules.suite, group, hashed, content, auth.signature);
  const { added, removed } = outcome.value;
  return { ok: true, value: { sender, added, removed, content, path: staged, hashed, roster, context } };
}

/** [MLS-18] Whom the hub wants out goes with this commit: one that leaves them in would let them read on. */
function checkComplete(group: PublicGroup, removals: readonly number[]): Result<void> {
  const removed = new Set(removals);
  for (const { proposal, sender } of group.waiting) {
    if (sender === 'hub' && proposal.proposalType === 'remove' && !removed.has(proposal.remove.removed))
      return reject('commit_invalid', 'a removal that the hub proposed is left out');
  }
  return { ok: true, value: undefined };
}

/** RFC 9420 section 12.4: a removal without new keys would leave the removed member able to read on. */
function needsPath(commit: Commit, outcome: ProposalOutcome): boolean {
  return commit.proposals.length === 0 || outcome.removed.length > 0;
}

interface ResolvedProposals {
  readonly removals: readonly number[];
  readonly additions: readonly VerifiedAdd[];
}

async function resolveProposals(
  rules: RuleContext,
  group: PublicGroup,
  commit: Commit,
): Promise<Result<ResolvedProposals>> {
  if (commit.proposals.length > PROPOSALS_MAX) return reject('limit_exceeded', 'commit: proposals');
  const removals: number[] = [];
  const additions: VerifiedAdd[] = [];
  const named = new Set<WaitingProposal>();
  for (const entry of commit.proposals) {
    const proposal = takeProposal(group, entry, named);
    if (!proposal.ok) return proposal;
    if (proposal.value.proposal.proposalType === 'remove') {
      removals.push(proposal.value.proposal.remove.removed);
      continue;
    }
    const { keyPackage } = proposal.value.proposal.add;
    const identity = await verifyAdd(rules, keyPackage, proposal.value.identity);
    if (!identity.ok) return identity;
    additions.push({ keyPackage, identity: identity.value });
  }
  return { ok: true, value: { removals, additions } };
}

/** By value, or one that waits; each waiting one at most once. */
function takeProposal(
  group: PublicGroup,
  entry: ProposalOrRef,
  named: Set<WaitingProposal>,
): Result<Pick<WaitingProposal, 'proposal' | 'identity'>> {
  if (entry.proposalOrRefType === 'proposal') {
    const { proposal } = entry;
    if (isGroupProposal(proposal)) return { ok: true, value: { proposal } };
    return reject('commit_invalid', 'proposal type is not part of the profile');
  }
  const waiting = findWaiting(group, entry.reference);
  if (waiting === undefined || named.has(waiting)) return reject('commit_invalid', 'unknown proposal reference');
  named.add(waiting);
  return { ok: true, value: waiting };
}

export function findWaiting(group: PublicGroup, ref: Uint8Array): WaitingProposal | undefined {
  return group.waiting.find((candidate) => sameBytes(candidate.ref, ref));
}

/** `known` where the proposal was verified when it came on its own. */
export async function verifyAdd(
  rules: RuleContext,
  keyPackage: VerifiedAdd['keyPackage'],
  known?: MemberIdentity,
): Promise<Result<MemberIdentity>> {
  if (known !== undefined) return { ok: true, value: known };
  const now: Instant = rules.options.clock.now();
  const valid = await checkKeyPackage(rules.suite, keyPackage, { now, lateMs: rules.lateMs });
  if (!valid.ok) {
    const { code, detail } = valid.error;
    return code === 'credential_invalid' ? valid : reject('commit_invalid', `add: ${detail}`);
  }
  return identify(rules.options, keyPackage.leafNode);
}

interface PlacedCommit {
  readonly hashed: HashedTree;
  readonly staged: StagedPath | undefined;
  readonly roster: ReadonlyMap<number, MemberIdentity>;
}

async function placeCommitPath(
  rules: RuleContext,
  group: PublicGroup,
  sender: Member,
  outcome: ProposalOutcome,
  path: UpdatePath | undefined,
): Promise<Result<PlacedCommit>> {
  const after = hashTree(rules.suite, outcome.tree, group.hashed);
  const fresh = checkFreshKeys(group.hashed.tree, after.tree, outcome, path);
  if (!fresh.ok) return fresh;
  if (path === undefined) return { ok: true, value: { hashed: after, staged: undefined, roster: outcome.roster } };
  const identity = await checkPathLeaf(rules, group, sender, path.leafNode);
  if (!identity.ok) return identity;
  const steps = filteredPath(after.tree, sender.leafIndex);
  const newNodes = new Set(outcome.added.map((added) => 2 * added.leafIndex));
  const shape = checkPathShape(rules.suite, path, steps, newNodes);
  if (!shape.ok) return shape;
  const keys = path.nodes.map((node) => node.hpkePublicKey);
  const { tree, leafParentHash } = placePath(rules.suite, after, sender.leafIndex, steps, keys);
  if (!sameBytes(leafParentHash, path.leafNode.parentHash)) return reject('commit_invalid', 'path: parent hash');
  tree[2 * sender.leafIndex] = { nodeType: 'leaf', leaf: path.leafNode };
  const roster = new Map(outcome.roster).set(sender.leafIndex, identity.value);
  return { ok: true, value: { hashed: hashTree(rules.suite, tree, after), staged: { path, steps, newNodes }, roster } };
}

/** The committer's new leaf: fresh keys, still the same device with the same signature key. */
async function checkPathLeaf(
  rules: RuleContext,
  group: PublicGroup,
  sender: Member,
  leaf: LeafNode,
): Promise<Result<MemberIdentity>> {
  const old = leafAt(group.hashed.tree, sender.leafIndex);
  if (old === undefined || leaf.leafNodeSource !== 'commit') return reject('commit_invalid', 'path: leaf');
  const shape = checkLeaf(rules.suite, leaf);
  if (!shape.ok) {
    const { code, detail } = shape.error;
    return code === 'credential_invalid' ? shape : reject('commit_invalid', `path: ${detail}`);
  }
  const groupId = group.context.groupId;
  const signed = await verifyLeafNodeSignature(leaf, groupId, sender.leafIndex, rules.suite.impl.signature);
  if (!signed) return reject('signature_invalid', 'path: leaf');
  if (sameCredential(old, leaf)) return { ok: true, value: sender.identity };
  if (!sameBytes(old.signaturePublicKey, leaf.signaturePublicKey)) {
    return reject('credential_invalid', 'path: signature key of the leaf changed');
  }
  const renewed = await identify(rules.options, leaf);
  if (!renewed.ok) return renewed;
  return sameIdentity(renewed.value, sender.identity)
    ? renewed
    : reject('credential_invalid', 'path: identity of the leaf changed');
}

function sameIdentity(a: MemberIdentity, b: MemberIdentity): boolean {
  return a.deviceId === b.deviceId && a.user === b.user && a.org === b.org;
}

function checkPathShape(
  suite: MlsSuite,
  path: UpdatePath,
  steps: readonly PathStep[],
  newNodes: ReadonlySet<number>,
): Result<void> {
  if (path.nodes.length !== steps.length) return reject('commit_invalid', 'path: length');
  for (const [i, node] of path.nodes.entries()) {
    const step = steps[i];
    if (!suite.kem.isPublicKey(node.hpkePublicKey)) return reject('commit_invalid', 'path: key');
    if (step === undefined || node.encryptedPathSecret.length !== recipients(step, newNodes).length) {
      return reject('commit_invalid', 'path: number of ciphertexts');
    }
  }
  return { ok: true, value: undefined };
}

/** No encryption key that a commit brings is in the tree, or twice in the commit. */
function checkFreshKeys(
  before: RatchetTree,
  after: RatchetTree,
  outcome: ProposalOutcome,
  path: UpdatePath | undefined,
): Result<void> {
  const fresh = outcome.added.map((added) => added.keyPackage.leafNode.hpkePublicKey);
  if (path !== undefined) fresh.push(path.leafNode.hpkePublicKey, ...path.nodes.map((node) => node.hpkePublicKey));
  const newNodes = new Set(outcome.added.map((added) => 2 * added.leafIndex));
  for (const [i, key] of fresh.entries()) {
    const twice = fresh.some((other, j) => j < i && sameBytes(other, key));
    if (twice || inTree(before, key) || inTree(after, key, newNodes)) {
      return reject('commit_invalid', 'encryption key is not new');
    }
  }
  return { ok: true, value: undefined };
}

const NONE: ReadonlySet<number> = new Set();

function inTree(tree: RatchetTree, key: Uint8Array, except: ReadonlySet<number> = NONE): boolean {
  for (let index = 0; index < tree.length; index += 1) {
    const other = publicKeyAt(tree, index);
    if (other !== undefined && !except.has(index) && sameBytes(other, key)) return true;
  }
  return false;
}

export async function nextContext(
  suite: MlsSuite,
  group: PublicGroup,
  hashed: HashedTree,
  content: FramedContentCommit,
  signature: Uint8Array,
): Promise<GroupContext> {
  const input = { wireformat: 'mls_public_message', content, signature } as const;
  return {
    ...group.context,
    epoch: group.context.epoch + 1n,
    treeHash: rootHash(hashed),
    confirmedTranscriptHash: await createConfirmedHash(group.interimHash, input, suite.impl.hash),
  };
}
