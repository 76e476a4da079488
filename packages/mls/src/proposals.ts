import { type Result, reject, sameBytes } from '@norc/protocol/base';
import type { RemovalCause } from './authenticated-data.ts';
import type { MemberIdentity } from './engine.ts';
import {
  addLeafNode,
  type KeyPackage,
  type Proposal,
  type RatchetTree,
  removeLeafNode,
  toLeafIndex,
} from './library.ts';
import { leafAt, leaves } from './tree-rules.ts';

/** The proposals of the profile; every other type is refused (spec/mls-profile section 4). */
export type GroupProposal = Extract<Proposal, { proposalType: 'add' | 'remove' }>;

export type ProposalSender = { readonly leafIndex: number } | 'hub';

/** A proposal that came as a message of its own and waits for a commit to name it. */
export interface WaitingProposal {
  readonly ref: Uint8Array;
  readonly proposal: GroupProposal;
  readonly sender: ProposalSender;
  /** Whom an Add is about; verified when the proposal came. */
  readonly identity?: MemberIdentity;
  /** Why the hub wants the removal. */
  readonly cause?: RemovalCause;
}

export function isGroupProposal(proposal: Proposal): proposal is GroupProposal {
  return proposal.proposalType === 'add' || proposal.proposalType === 'remove';
}

export interface Removed {
  readonly leafIndex: number;
  readonly identity: MemberIdentity;
  readonly signaturePublicKey: Uint8Array;
}

export interface Added {
  readonly leafIndex: number;
  readonly keyPackage: KeyPackage;
  readonly identity: MemberIdentity;
}

export interface VerifiedAdd {
  readonly keyPackage: KeyPackage;
  readonly identity: MemberIdentity;
}

export interface ProposalOutcome {
  readonly tree: RatchetTree;
  readonly roster: ReadonlyMap<number, MemberIdentity>;
  readonly added: readonly Added[];
  readonly removed: readonly Removed[];
}

/**
 * Applies removals, then additions (RFC 9420 section 12.3), and refuses lists that
 * section 12.2 forbids. KeyPackages and credentials were verified before.
 */
export function applyProposals(
  before: { readonly tree: RatchetTree; readonly roster: ReadonlyMap<number, MemberIdentity> },
  removals: readonly number[],
  additions: readonly VerifiedAdd[],
  committer: number,
): Result<ProposalOutcome> {
  const roster = new Map(before.roster);
  const removed: Removed[] = [];
  let tree = before.tree;
  for (const leafIndex of removals) {
    const leaf = leafAt(tree, leafIndex); // undefined also where a former one in the list removed it
    const identity = roster.get(leafIndex);
    if (leaf === undefined || identity === undefined) return reject('commit_invalid', 'remove: no such member');
    if (leafIndex === committer) return reject('commit_invalid', 'remove: the committer itself');
    removed.push({ leafIndex, identity, signaturePublicKey: leaf.signaturePublicKey });
    roster.delete(leafIndex);
    tree = removeLeafNode(tree, toLeafIndex(leafIndex));
  }
  const added: Added[] = [];
  for (const add of additions) {
    const unique = checkNewMember(tree, roster, add);
    if (!unique.ok) return unique;
    const [next, node] = addLeafNode(tree, add.keyPackage.leafNode);
    const leafIndex = node / 2;
    tree = next;
    roster.set(leafIndex, add.identity);
    added.push({ leafIndex, ...add });
  }
  return { ok: true, value: { tree, roster, added, removed } };
}

/** A device is in a group once, with keys that nobody else there has. */
function checkNewMember(
  tree: RatchetTree,
  roster: ReadonlyMap<number, MemberIdentity>,
  { keyPackage, identity }: VerifiedAdd,
): Result<void> {
  for (const member of roster.values()) {
    if (member.deviceId === identity.deviceId) return reject('commit_invalid', 'add: device is a member');
  }
  for (const [, leaf] of leaves(tree)) {
    if (sameBytes(leaf.signaturePublicKey, keyPackage.leafNode.signaturePublicKey)) {
      return reject('commit_invalid', 'add: signature key of a member');
    }
  }
  return { ok: true, value: undefined };
}
