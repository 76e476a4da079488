import {
  type DeviceId,
  type Domain,
  domainOf,
  type ErrorName,
  type Label,
  LEVELS,
  LIMITS,
  type MessageId,
  type Reject,
  type UserAddress,
} from '../base/index.ts';
import { atLeast, type GrantedLevel, type TrustQuestion } from '../norc-t/index.ts';
import type { EntryKind } from '../wire/index.ts';
import {
  type ConversationState,
  floorAllowsPreviousEpoch,
  messagesInEpoch,
  organisationsOf,
  participantsOf,
} from './conversation.ts';
import type { CommitEvidence, MlsHeader, ProposalEvidence, TrustPaths } from './evidence.ts';

/**
 * The rules of a log entry (spec/norc-f section 3), one function for each group of
 * them. The hub holds entries to them before it orders, followers after. Each
 * returns why the entry is refused, or nothing.
 */

/** What an entry claims. */
export interface EntryClaim {
  readonly kind: EntryKind;
  readonly messageId: MessageId;
  readonly sender: DeviceId;
  readonly senderUser: UserAddress;
  readonly epoch: number;
  readonly label: Label;
}

/** What checks found out about the entry's MLS message. */
export interface EntryFacts {
  readonly header: MlsHeader;
  /** Required for a commit of the current epoch. */
  readonly commit?: CommitEvidence;
  /** Required for a proposal of the current epoch. */
  readonly proposal?: ProposalEvidence;
  readonly paths: TrustPaths;
}

type Refusal = Reject | undefined;

/** The sender of the hub's own proposals: no device has this id. */
export const HUB_DEVICE = '0'.repeat(32) as DeviceId; // 16 zero bytes

/** Stands for the hub where an entry names a user. */
export function hubUser(hub: Domain): UserAddress {
  return `norc@${hub}` as UserAddress; // a valid local part before a Domain
}

const refuse = (code: ErrorName, detail: string): Reject => ({ code, detail });

/** [F-10] Only a current member speaks, and only as itself. One answer, so that a stranger learns nothing of the group. */
export function refuseSender(state: ConversationState, claim: EntryClaim): Refusal {
  if (claim.sender === HUB_DEVICE && claim.kind === 'proposal')
    return claim.senderUser === hubUser(state.hub) ? undefined : refuse('forbidden', 'sender');
  const member = state.members.get(claim.sender);
  return member?.user === claim.senderUser ? undefined : refuse('forbidden', 'sender');
}

/** [F-11] The MLS message is the one that the entry says it is. A label that servers cannot forge is the one they enforce. */
export function refuseHeader(state: ConversationState, claim: EntryClaim, header: MlsHeader): Refusal {
  if (header.conversation !== state.conversation) return refuse('malformed', 'group id');
  if (header.contentType !== claim.kind) return refuse('malformed', 'kind');
  if (header.wire !== (claim.kind === 'application' ? 'private' : 'public')) return refuse('malformed', 'wire format');
  if (header.epoch !== claim.epoch) return refuse('malformed', 'epoch');
  const { conversation, messageId, label } = header.authenticatedData;
  if (conversation !== state.conversation || messageId !== claim.messageId)
    return refuse('malformed', 'authenticated data');
  if (label !== claim.label || label !== state.label) return refuse('label_not_allowed', 'label');
  return undefined;
}

/** [F-12] One commit per epoch, and nothing sealed for an epoch whose keys should be gone. */
export function refuseEpoch(state: ConversationState, claim: EntryClaim, previousEpochOpen: boolean): Refusal {
  if (claim.epoch === state.epoch) return undefined;
  if (claim.epoch > state.epoch) return refuse('malformed', 'epoch is ahead of the log');
  if (claim.kind === 'commit') return refuse('epoch_conflict', 'another commit won this epoch');
  const late = claim.kind === 'application' && previousEpochOpen && claim.epoch === state.epoch - 1;
  return late && floorAllowsPreviousEpoch(state.floor) ? undefined : refuse('epoch_stale', 'epoch');
}

/** [F-13] An epoch carries a bounded number of messages, by the floor; then only a commit goes on. */
export function refuseWornEpoch(state: ConversationState, claim: EntryClaim): Refusal {
  if (claim.kind === 'commit' || isHubProposal(claim)) return undefined;
  return messagesInEpoch(state) < LEVELS[state.floor].epochMessagesMax ? undefined : refuse('rekey_required', 'epoch');
}

/** [F-14] A handshake message counts only with the group view's word for it, and that its sender made it. */
export function refuseHandshake(state: ConversationState, claim: EntryClaim, facts: EntryFacts): Refusal {
  if (claim.kind === 'application') return undefined;
  if (claim.kind === 'proposal') return refuseProposal(claim, facts.proposal);
  if (facts.commit === undefined) return refuse('commit_invalid', 'not verified');
  if (facts.commit.committer !== claim.sender) return refuse('commit_invalid', 'committer');
  if (facts.commit.epoch !== state.epoch + 1) throw new RangeError('the group view is at another epoch');
  return refuseMembership(state, facts.commit);
}

function refuseProposal(claim: EntryClaim, evidence: ProposalEvidence | undefined): Refusal {
  if (evidence === undefined) return refuse('commit_invalid', 'not verified');
  const proposer = evidence.proposer === 'hub' ? HUB_DEVICE : evidence.proposer;
  return proposer === claim.sender ? undefined : refuse('commit_invalid', 'proposer');
}

/** A device is in the group once; who removes stays; who is to be removed goes; participants are bounded. */
function refuseMembership(state: ConversationState, commit: CommitEvidence): Refusal {
  const members = new Map(state.members);
  for (const device of commit.removed) {
    if (!members.delete(device) || device === commit.committer) return refuse('commit_invalid', 'removed member');
  }
  for (const { deviceId, user, leafIndex } of commit.added) {
    if (members.has(deviceId)) return refuse('commit_invalid', 'added member');
    members.set(deviceId, { user, leafIndex, joinedSeq: 0 });
  }
  if (commit.proposedRemovals.some((device) => members.has(device)))
    return refuse('commit_invalid', 'proposed removal');
  if (participantsOf(members).size > LIMITS.participantsMax) return refuse('limit_exceeded', 'participants');
  return undefined;
}

/** The hub's own word that somebody has to go. */
export function isHubProposal(claim: Pick<EntryClaim, 'kind' | 'sender'>): boolean {
  return claim.kind === 'proposal' && claim.sender === HUB_DEVICE;
}

/** The way out of a frozen conversation: a commit that removes, and the hub's proposal of one. */
export function leadsOut(claim: EntryClaim, commit: CommitEvidence | undefined): boolean {
  return isHubProposal(claim) || (commit !== undefined && commit.removed.length > 0);
}

/**
 * Organisations that an entry goes to and that are there after it. What only removes is
 * measured by none of them, since it may be what puts them out.
 */
export function organisationsConcerned(
  state: ConversationState,
  claim: EntryClaim,
  commit: CommitEvidence | undefined,
): readonly Domain[] {
  if (isHubProposal(claim)) return [];
  if (commit === undefined || commit.removed.length === 0) return otherOrganisations(state);
  if (commit.added.length === 0) return [];
  const members = new Map(state.members);
  for (const device of commit.removed) members.delete(device);
  return otherOrganisations({ ...state, organisations: organisationsOf(members) });
}

/** Organisations that have no member yet and get one by this commit. */
export function joiningOrganisations(state: ConversationState, commit: CommitEvidence | undefined): readonly Domain[] {
  if (commit === undefined) return [];
  const joining = new Set(commit.added.map((member) => domainOf(member.user)));
  return [...joining].filter((domain) => !state.organisations.has(domain));
}

export function organisationsAfter(state: ConversationState, commit: CommitEvidence): ReadonlySet<Domain> {
  const removed = new Set(commit.removed);
  const stay = [...state.members].filter(([device]) => !removed.has(device)).map(([, { user }]) => user);
  return new Set([...stay, ...commit.added.map(({ user }) => user)].map(domainOf));
}

/** What to ask the trust decision about the path to `remote`, for something that came from `origin`. */
export function pathQuestion(
  state: Pick<ConversationState, 'self' | 'label'>,
  remote: Domain,
  origin: Domain,
  bytes: number,
): TrustQuestion {
  const direction = remote === origin ? 'incoming' : 'outgoing';
  return { local: state.self, remote, direction, permission: 'message_relay', label: state.label, bytes };
}

/**
 * [F-15] The path to `domain` is allowed now and at least at the floor. What is
 * merely out of date (`trust_stale`) is left to wait at the link when `mayWait`.
 */
export function refusePath(
  paths: TrustPaths,
  domain: Domain,
  floor: GrantedLevel,
  bytes: number,
  mayWait: boolean,
): Refusal {
  const path = paths.get(domain);
  if (path === undefined) throw new RangeError('a trust decision is missing');
  if (path.kind === 'deny') return mayWait && path.code === 'trust_stale' ? undefined : refuse(path.code, path.reason);
  if (!atLeast(path.level, floor)) return refuse('below_floor', 'trust level');
  // The decision may have been asked for about another size.
  const bytesMax = path.pair?.limits.message_bytes_max ?? Number.POSITIVE_INFINITY;
  return bytes > bytesMax ? refuse('too_large', 'body') : undefined;
}

/** Whether every path of the conversation is allowed at its floor: then nothing has to stay frozen. */
export function everyPathAllowed(state: ConversationState, paths: TrustPaths): boolean {
  return otherOrganisations(state).every((domain) => refusePath(paths, domain, state.floor, 0, true) === undefined);
}

export function otherOrganisations(state: ConversationState): readonly Domain[] {
  return [...state.organisations].filter((domain) => domain !== state.self);
}

/** The first refusal that any of `items` gives. */
export function firstRefusal<T>(items: Iterable<T>, refuseOne: (item: T) => Refusal): Refusal {
  for (const item of items) {
    const refused = refuseOne(item);
    if (refused !== undefined) return refused;
  }
  return undefined;
}
