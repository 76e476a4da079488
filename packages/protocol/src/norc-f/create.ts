import {
  type ConversationId,
  type DeviceId,
  type Domain,
  domainOf,
  type ErrorName,
  err,
  type Instant,
  type Label,
  LIMITS,
  type MessageId,
  ok,
  type Reject,
  type Result,
  type UserAddress,
} from '../base/index.ts';
import type { Crypto } from '../crypto/index.ts';
import { atLeast, levelForLabel } from '../norc-t/index.ts';
import { type ConversationState, type GroupChange, organisationsOf } from './conversation.ts';
import type { GroupEvidence, GroupMember, MlsHeader, TrustPaths } from './evidence.ts';
import { genesisHead, type LinkedEntry, linkEntry } from './log.ts';
import { firstRefusal, refusePath } from './rules.ts';

/** How a conversation begins at its hub (spec/norc-f section 3). */

/** The first commit: it adds everybody, and ends epoch 0. */
export interface Creation {
  readonly conversation: ConversationId;
  readonly label: Label;
  readonly messageId: MessageId;
  readonly sender: DeviceId;
  readonly senderUser: UserAddress;
  readonly commit: Uint8Array;
  readonly welcome: Uint8Array;
}

export interface CreationFacts {
  readonly self: Domain;
  readonly now: Instant;
  readonly header: MlsHeader;
  /** The group after the commit, from its GroupInfo. */
  readonly group: GroupEvidence;
  /** Every organisation in the group, this one included: among its own users its own ceiling counts. */
  readonly paths: TrustPaths;
}

export interface Created {
  readonly state: ConversationState;
  readonly entry: LinkedEntry;
  readonly change: GroupChange;
}

/**
 * Orders a conversation's first entry. The trust floor is the one in the group: at
 * least the label's level, at most the lowest level over the paths.
 * Errors: forbidden, malformed, label_not_allowed, limit_exceeded, commit_invalid,
 * below_floor, too_large, and whatever a trust decision said.
 */
export function createConversation(crypto: Crypto, creation: Creation, facts: CreationFacts): Result<Created> {
  const refused = refuseCreation(creation, facts) ?? refuseLevels(creation, facts);
  return refused === undefined ? ok(created(crypto, creation, facts)) : err(refused);
}

const refuse = (code: ErrorName, detail: string): Reject => ({ code, detail });

function refuseCreation(creation: Creation, { self, header, group }: CreationFacts): Reject | undefined {
  const creator = group.members.find((member) => member.deviceId === creation.sender);
  if (domainOf(creation.senderUser) !== self || creator?.user !== creation.senderUser)
    return refuse('forbidden', 'sender');
  const { conversation, messageId, label } = header.authenticatedData;
  if (header.contentType !== 'commit' || header.wire !== 'public' || header.epoch !== 0 || group.epoch !== 1)
    return refuse('commit_invalid', 'first commit');
  if (group.hub !== self) return refuse('commit_invalid', 'hub');
  if (header.conversation !== creation.conversation || conversation !== creation.conversation)
    return refuse('malformed', 'conversation');
  if (messageId !== creation.messageId) return refuse('malformed', 'message id');
  if (label !== creation.label) return refuse('label_not_allowed', 'label');
  return refuseGroupMembers(group) ?? refuseWelcome(creation, group);
}

/** A device is in the group once; participants are bounded. */
export function refuseGroupMembers({ members }: GroupEvidence): Reject | undefined {
  if (new Set(members.map((member) => member.deviceId)).size !== members.length)
    return refuse('commit_invalid', 'added member');
  const users = new Set(members.map((member) => member.user));
  return users.size > LIMITS.participantsMax ? refuse('limit_exceeded', 'participants') : undefined;
}

function refuseWelcome({ welcome }: Creation, { members }: GroupEvidence): Reject | undefined {
  return welcome.length > 0 === members.length > 1 ? undefined : refuse('commit_invalid', 'welcome');
}

/** [F-19] The floor carries the label, and every path reaches the floor. */
function refuseLevels(creation: Creation, { group, paths }: CreationFacts): Reject | undefined {
  if (!atLeast(group.floor, levelForLabel(creation.label))) return refuse('label_not_allowed', 'floor');
  const domains = new Set(group.members.map((member) => domainOf(member.user)));
  return firstRefusal(domains, (domain) => refusePath(paths, domain, group.floor, creation.commit.length, false));
}

function created(crypto: Crypto, creation: Creation, facts: CreationFacts): Created {
  const { conversation, label, messageId, sender, senderUser, commit, welcome } = creation;
  const { self, now, group } = facts;
  const content = { messageId, sender, senderUser, label, welcome, body: commit, storedAt: now };
  const entry = linkEntry(crypto, genesisHead(crypto, conversation, self), { ...content, kind: 'commit', epoch: 0 });
  const state = stateAfter(entry, { self, conversation, hub: self, label, floor: group.floor }, group);
  const added = group.members.map((member) => ({ ...member, joinedSeq: entry.seq }));
  const joinedOrganisations = [...state.organisations];
  const change = { epoch: group.epoch, added, removed: [], joinedOrganisations, leftOrganisations: [] };
  return { state, entry, change };
}

type Identity = Pick<ConversationState, 'self' | 'conversation' | 'hub' | 'label' | 'floor'>;

/** The state of a side whose first entry this is: it reads from there on. */
export function stateAfter(entry: LinkedEntry, identity: Identity, group: GroupEvidence): ConversationState {
  const member = ({ user, leafIndex }: GroupMember) => ({ user, leafIndex, joinedSeq: entry.seq });
  const members = new Map(group.members.map((each) => [each.deviceId, member(each)]));
  return {
    ...identity,
    frozen: false,
    epoch: group.epoch,
    epochSeq: entry.seq,
    headSeq: entry.seq,
    headHash: entry.hash,
    previousEpochOpen: false,
    members,
    organisations: organisationsOf(members),
  };
}
