import {
  type ConversationId,
  type DeviceId,
  type Domain,
  domainOf,
  InvariantError,
  type Label,
  type UserAddress,
} from '../base/index.ts';
import { atLeast, type GrantedLevel } from '../norc-t/index.ts';
import type { CommitEvidence, GroupMember } from './evidence.ts';
import type { LinkedEntry, LogHead } from './log.ts';

export interface Member {
  readonly user: UserAddress;
  readonly leafIndex: number;
  /** The entry that added the device: it reads from there on. */
  readonly joinedSeq: number;
}

/**
 * What an organisation's server knows of one conversation: the fold of its log so
 * far. Hub and follower hold the same; values are shared, never changed in place,
 * so an application message costs no copy of the members.
 */
export interface ConversationState {
  /** The organisation whose state this is. */
  readonly self: Domain;
  readonly conversation: ConversationId;
  readonly hub: Domain;
  readonly label: Label;
  readonly floor: GrantedLevel;
  readonly frozen: boolean;
  readonly epoch: number;
  /** Sequence of the commit that began `epoch`. */
  readonly epochSeq: number;
  readonly headSeq: number;
  readonly headHash: Uint8Array;
  /**
   * Whether messages of the epoch before are still ordered. Not kept across a
   * restart: their senders then seal again, which is the safe side.
   */
  readonly previousEpochOpen: boolean;
  readonly members: ReadonlyMap<DeviceId, Member>;
  /** Organisations that have a member. */
  readonly organisations: ReadonlySet<Domain>;
}

/** What a commit changed, to be stored with its entry in one transaction. */
export interface GroupChange {
  readonly epoch: number;
  readonly added: readonly (GroupMember & { readonly joinedSeq: number })[];
  readonly removed: readonly DeviceId[];
  readonly joinedOrganisations: readonly Domain[];
  readonly leftOrganisations: readonly Domain[];
}

export type StoredConversation = Omit<ConversationState, 'members' | 'organisations' | 'previousEpochOpen'>;

/** The state after a restart, from what was stored. */
export function restoreConversation(
  stored: StoredConversation,
  members: Iterable<GroupMember & { readonly joinedSeq: number }>,
): ConversationState {
  const map = new Map<DeviceId, Member>();
  for (const { deviceId, user, leafIndex, joinedSeq } of members) map.set(deviceId, { user, leafIndex, joinedSeq });
  const { self, conversation, hub, label, floor, frozen, epoch, epochSeq, headSeq, headHash } = stored;
  return {
    ...{ self, conversation, hub, label, floor, frozen, epoch, epochSeq, headSeq, headHash },
    previousEpochOpen: false,
    members: map,
    organisations: organisationsOf(map),
  };
}

export function headOf(state: ConversationState): LogHead {
  return { conversation: state.conversation, seq: state.headSeq, hash: state.headHash };
}

/**
 * Entries since the epoch's commit. Counting every one of them, late messages of
 * the epoch before and proposals too, makes the count a fact of the log: hub and
 * followers agree on it, also after a restart and after old entries were dropped.
 */
export function messagesInEpoch(state: ConversationState): number {
  return state.headSeq - state.epochSeq;
}

/** Whether late messages of the epoch before are taken at a floor: only where that epoch's keys may live on. */
export function floorAllowsPreviousEpoch(floor: GrantedLevel): boolean {
  return !atLeast(floor, 'classified');
}

export function freeze(state: ConversationState): ConversationState {
  return { ...state, frozen: true };
}

/** The state after an entry that is no commit. */
export function advance(state: ConversationState, entry: LinkedEntry): ConversationState {
  return { ...state, headSeq: entry.seq, headHash: entry.hash };
}

/** The state after a commit, and what of it is to be stored. */
export function advanceCommit(
  state: ConversationState,
  entry: LinkedEntry,
  evidence: CommitEvidence,
): { readonly state: ConversationState; readonly change: GroupChange } {
  const members = new Map(state.members);
  for (const device of evidence.removed) members.delete(device);
  const added = evidence.added.map((member) => ({ ...member, joinedSeq: entry.seq }));
  for (const { deviceId, user, leafIndex, joinedSeq } of added) members.set(deviceId, { user, leafIndex, joinedSeq });
  const organisations = organisationsOf(members);
  const change: GroupChange = {
    epoch: evidence.epoch,
    added,
    removed: evidence.removed,
    joinedOrganisations: [...organisations].filter((domain) => !state.organisations.has(domain)),
    leftOrganisations: [...state.organisations].filter((domain) => !organisations.has(domain)),
  };
  const next: ConversationState = {
    ...advance(state, entry),
    epoch: evidence.epoch,
    epochSeq: entry.seq,
    // A message sealed before a removal is readable by the removed: it has to be sealed again.
    previousEpochOpen: evidence.removed.length === 0 && floorAllowsPreviousEpoch(state.floor),
    members,
    organisations,
  };
  return { state: next, change };
}

export function organisationsOf(members: ReadonlyMap<DeviceId, Member>): ReadonlySet<Domain> {
  const domains = new Set<Domain>();
  for (const { user } of members.values()) domains.add(domainOf(user));
  return domains;
}

/** Users with a device in the group. */
export function participantsOf(members: ReadonlyMap<DeviceId, Member>): ReadonlySet<UserAddress> {
  return new Set(Array.from(members.values(), ({ user }) => user));
}

/** A caller mixed up two conversations: our own bug, never a peer's doing. */
export function assertSameConversation(state: ConversationState, conversation: ConversationId): void {
  if (state.conversation !== conversation) throw new InvariantError('facts are about another conversation');
}
