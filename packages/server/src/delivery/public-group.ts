import type { GroupView, GroupViews } from '@norc/mls';
import { type Domain, ok, type Result, reject } from '@norc/protocol/base';
import type { CommitFacts, GroupFacts } from '@norc/protocol/norc-f';

/** The public part of a conversation's MLS group, as a server follows it (port over packages/mls). Never holds a secret. */
export interface PublicGroup {
  readonly treeHash: Uint8Array;
  readonly facts: GroupFacts;
  /** Verifies a commit for this epoch; the group after it, and what it changed. Errors: commit_invalid, credential_invalid, epoch_conflict, malformed. */
  apply(commit: Uint8Array): Promise<Result<{ readonly group: PublicGroup; readonly facts: CommitFacts }>>;
  serialize(): Uint8Array;
}

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
export function publicGroups(self: Domain, ordering: GroupViews, following: GroupViews): PublicGroups {
  const judged = (view: GroupView) =>
    publicGroup(view.settings.hub === self ? ordering.restore(view.serialize()) : view);
  return {
    async open(groupInfo) {
      const view = await following.fromGroupInfo(groupInfo);
      return view.ok ? ok(judged(view.value)) : view;
    },
    restore: (serialized) => judged(following.restore(serialized)),
  };
}

function publicGroup(view: GroupView): PublicGroup {
  const proposedRemovals = view.members.filter((member) => view.proposedRemovals.includes(member.leafIndex));
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
        proposedRemovals: proposedRemovals.map((member) => member.identity.deviceId),
      };
      return ok({ group: publicGroup(change.value.view), facts });
    },
    serialize: () => view.serialize(),
  };
}

function groupMember({ identity, leafIndex }: GroupView['members'][number]) {
  return { deviceId: identity.deviceId, user: identity.user, leafIndex };
}
