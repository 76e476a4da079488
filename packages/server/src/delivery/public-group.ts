import type { GroupView, GroupViews, HubSigner, ProposalData } from '@norc/mls';
import { type DeviceId, type Domain, ok, type Result, reject, sameBytes } from '@norc/protocol/base';
import type { CommitFacts, GroupFacts } from '@norc/protocol/norc-f';

/** The public part of a conversation's MLS group, as a server follows it (port over packages/mls). Never holds a secret. */
export interface PublicGroup {
  readonly treeHash: Uint8Array;
  readonly facts: GroupFacts;
  /** Verifies a commit for this epoch; the group after it, and what it changed. Errors: commit_invalid, credential_invalid, epoch_conflict, malformed. */
  apply(commit: Uint8Array): Promise<Result<{ readonly group: PublicGroup; readonly facts: CommitFacts }>>;
  /** Verifies a proposal for this epoch; the group in which it waits. Errors: as `apply`. */
  applyProposal(proposal: Uint8Array): Promise<Result<{ readonly group: PublicGroup; readonly proposer: Proposer }>>;
  /** Whether we, as its hub, may propose removals. */
  readonly isNamed: boolean;
  /** Devices whose removal waits for a commit. */
  readonly proposed: ReadonlySet<DeviceId>;
  /** The hub's own proposal to remove a member, to be applied and put into the log; undefined when the group does not name our key. */
  propose(leafIndex: number, data: ProposalData): Promise<Uint8Array> | undefined;
  serialize(): Uint8Array;
}

export type Proposer = DeviceId | 'hub';

export interface PublicGroups {
  /** From a GroupInfo with its ratchet tree; signature, tree and every credential verified. */
  open(groupInfo: Uint8Array): Promise<Result<PublicGroup>>;
  /** From what `serialize` gave, read back from our own store. */
  restore(serialized: Uint8Array): PublicGroup;
}

/**
 * `ordering` judges commits by the time at which they come: the hub's way. `following`
 * allows for the time that a log may have been on its way to this follower.
 */
export function publicGroups(
  self: Domain,
  ordering: GroupViews,
  following: GroupViews,
  signer: HubSigner,
): PublicGroups {
  const judged = (view: GroupView) =>
    publicGroup(view.settings.hub === self ? ordering.restore(view.serialize()) : view, signer);
  return {
    async open(groupInfo) {
      const view = await following.fromGroupInfo(groupInfo);
      return view.ok ? ok(judged(view.value)) : view;
    },
    restore: (serialized) => judged(following.restore(serialized)),
  };
}

function publicGroup(view: GroupView, signer: HubSigner): PublicGroup {
  const isNamed = view.hubKeys.some((key) => sameBytes(key, signer.publicKey));
  const leaves = new Set(view.proposedRemovals);
  const proposed = new Set<DeviceId>();
  if (leaves.size > 0) {
    for (const { leafIndex, identity } of view.members) if (leaves.has(leafIndex)) proposed.add(identity.deviceId);
  }
  return {
    treeHash: view.treeHash,
    facts: {
      epoch: view.epoch,
      hub: view.settings.hub,
      floor: view.settings.level,
      members: view.members.map(groupMember),
    },
    async apply(commit) {
      const change = await view.apply(commit);
      if (!change.ok) return change;
      if (change.value.kind !== 'commit') return reject('commit_invalid', 'not a commit');
      const { epoch, sender, added, removed } = change.value;
      const facts: CommitFacts = {
        committer: sender.identity.deviceId,
        epoch,
        added: added.map(groupMember),
        removed: removed.map((member) => member.identity.deviceId),
        proposedRemovals: [...proposed],
      };
      return ok({ group: publicGroup(change.value.view, signer), facts });
    },
    async applyProposal(proposal) {
      const change = await view.apply(proposal);
      if (!change.ok) return change;
      if (change.value.kind !== 'proposal') return reject('commit_invalid', 'not a proposal');
      const { sender } = change.value;
      const proposer: Proposer = sender === 'hub' ? sender : sender.identity.deviceId;
      return ok({ group: publicGroup(change.value.view, signer), proposer });
    },
    proposed,
    isNamed,
    propose(leafIndex, data) {
      return isNamed ? view.proposeRemove(leafIndex, signer, data) : undefined;
    },
    serialize: () => view.serialize(),
  };
}

function groupMember({ identity, leafIndex }: GroupView['members'][number]) {
  return { deviceId: identity.deviceId, user: identity.user, leafIndex };
}
