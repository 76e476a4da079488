import {
  type ConversationId,
  type Domain,
  domainOf,
  type ErrorName,
  err,
  type Label,
  ok,
  type Reject,
  type Result,
  reject,
  sameBytes,
} from '../base/index.ts';
import type { Crypto } from '../crypto/index.ts';
import { atLeast, levelForLabel } from '../norc-t/index.ts';
import { advance, advanceCommit, type ConversationState, freeze, type GroupChange } from './conversation.ts';
import { refuseGroupMembers, stateAfter } from './create.ts';
import type { GroupEvidence, MlsHeader, TrustPaths } from './evidence.ts';
import { genesisHash, type LinkedEntry, type LogEntry, verifyEntry } from './log.ts';
import type { CheckedRoute } from './route.ts';
import {
  type EntryFacts,
  everyPathAllowed,
  firstRefusal,
  isHubProposal,
  joiningOrganisations,
  refuseEpoch,
  refuseHandshake,
  refuseHeader,
  refusePath,
  refuseSender,
  refuseWornEpoch,
} from './rules.ts';

/** The follower's copy of a conversation's log (spec/norc-f section 4). */

/** A linked entry, with what checks found out about it. */
export interface FollowedItem {
  readonly entry: LinkedEntry;
  /** `paths`: the hub, organisations that a commit brings in, and, while frozen, every other organisation. */
  readonly facts: EntryFacts;
}

export interface Followed {
  readonly state: ConversationState;
  /** What to append, in order; a commit with what it changes. */
  readonly accepted: readonly { readonly entry: LinkedEntry; readonly change?: GroupChange }[];
  /** Why the next item was not accepted. The hub broke a rule, or trust does not allow it now. */
  readonly failure?: Reject;
}

/**
 * Takes entries that were linked onto this state's head, holding the hub to the
 * same rules that it should have held senders to. `route` is that of the relay:
 * only the hub's own log counts. Two rules are the hub's alone, since only it knows
 * when something happened in the log's order: freezing, and how late is too late.
 */
export function acceptEntries(
  before: ConversationState,
  route: CheckedRoute,
  items: readonly FollowedItem[],
): Followed {
  const accepted: { entry: LinkedEntry; change?: GroupChange }[] = [];
  let state = before;
  for (const { entry, facts } of items) {
    const failure = refuseEntry(state, route, entry, facts);
    if (failure !== undefined) return { state, accepted, failure };
    if (entry.kind === 'commit' && facts.commit !== undefined) {
      const joining = joiningOrganisations(state, facts.commit);
      const next = advanceCommit(state, entry, facts.commit);
      const frozen = next.state.frozen
        ? !everyPathAllowed(next.state, facts.paths)
        : refusePathsTo(next.state, joining, facts) !== undefined;
      state = { ...next.state, frozen };
      accepted.push({ entry, change: next.change });
    } else {
      // [F-36] The hub wants somebody out: what is said from here on waits for the commit.
      state = isHubProposal(entry) ? freeze(advance(state, entry)) : advance(state, entry);
      accepted.push({ entry });
    }
  }
  return { state, accepted };
}

function refuseEntry(
  state: ConversationState,
  route: CheckedRoute,
  entry: LinkedEntry,
  facts: EntryFacts,
): Reject | undefined {
  if (entry.seq !== state.headSeq + 1) throw new RangeError('entries were linked onto another head');
  if (route.origin !== state.hub) return { code: 'forbidden', detail: 'only the hub orders' };
  return (
    refuseSender(state, entry) ??
    refuseHeader(state, entry, facts.header) ??
    refuseEpoch(state, entry, true) ??
    refuseHandshake(state, entry, facts) ??
    refusePathsTo(state, [state.hub], facts, entry.body.length) ??
    refuseWelcome(state, entry, facts) ??
    refuseWornEpoch(state, entry)
  );
}

/**
 * [F-15] From this side: the hub's path for every entry. That of an organisation which a commit brings in freezes our copy
 * when it is not allowed [F-34]: to refuse the commit would cut us off from all that follows, also from who puts it out again.
 */
function refusePathsTo(
  state: ConversationState,
  domains: readonly Domain[],
  { paths }: EntryFacts,
  bytes = 0,
): Reject | undefined {
  const others = domains.filter((domain) => domain !== state.self);
  return firstRefusal(others, (domain) => refusePath(paths, domain, state.floor, bytes, false));
}

/** [F-18] A device of ours that is added cannot join without its Welcome. */
function refuseWelcome(state: ConversationState, entry: LinkedEntry, facts: EntryFacts): Reject | undefined {
  const added = entry.kind === 'commit' ? (facts.commit?.added ?? []) : [];
  const ours = added.some((member) => domainOf(member.user) === state.self);
  return ours && entry.welcome.length === 0 ? { code: 'commit_invalid', detail: 'welcome' } : undefined;
}

/** What a hub tells an organisation whose first device an entry adds. */
export interface Announcement {
  readonly conversation: ConversationId;
  readonly label: Label;
  readonly previousHash: Uint8Array;
  readonly entry: LogEntry;
}

export interface AnnounceFacts {
  readonly self: Domain;
  /** Of the announcement: its origin is the hub. */
  readonly route: CheckedRoute;
  readonly header: MlsHeader;
  /** The group after the entry, from the GroupInfo that came with it. */
  readonly group: GroupEvidence;
  /** Every other organisation in the group. */
  readonly paths: TrustPaths;
}

export interface Joined {
  readonly state: ConversationState;
  readonly entry: LinkedEntry;
}

/**
 * Starts to follow a conversation. What came before the announced entry is the
 * hub's word; members compare heads end to end.
 * Errors: log_fork, log_gap, malformed, commit_invalid, label_not_allowed,
 * below_floor, too_large, and whatever a trust decision said.
 */
export function acceptAnnouncement(crypto: Crypto, announced: Announcement, facts: AnnounceFacts): Result<Joined> {
  const { conversation, label, previousHash } = announced;
  const { hub, floor } = facts.group;
  const start = { conversation, seq: announced.entry.seq - 1, hash: previousHash };
  if (start.seq === 0 && !sameBytes(previousHash, genesisHash(crypto, conversation, hub)))
    return reject('log_fork', 'genesis');
  const linked = verifyEntry(crypto, start, announced.entry);
  if (!linked.ok) return linked;
  const entry = linked.value;
  const refused = refuseAnnouncement(announced, entry, facts);
  if (refused !== undefined) return err(refused);
  return ok({ entry, state: stateAfter(entry, { self: facts.self, conversation, hub, label, floor }, facts.group) });
}

const refuse = (code: ErrorName, detail: string): Reject => ({ code, detail });

function refuseAnnouncement(announced: Announcement, entry: LinkedEntry, facts: AnnounceFacts): Reject | undefined {
  const { header, group, route } = facts;
  const { conversation, messageId, label } = header.authenticatedData;
  if (entry.kind !== 'commit' || header.contentType !== 'commit' || header.wire !== 'public')
    return refuse('commit_invalid', 'kind');
  if (header.conversation !== announced.conversation || conversation !== announced.conversation)
    return refuse('malformed', 'conversation');
  if (messageId !== entry.messageId || header.epoch !== entry.epoch) return refuse('malformed', 'authenticated data');
  if (group.epoch !== entry.epoch + 1) return refuse('commit_invalid', 'epoch');
  if (group.hub !== route.origin) return refuse('commit_invalid', 'hub');
  if (label !== announced.label || entry.label !== announced.label) return refuse('label_not_allowed', 'label');
  if (!atLeast(group.floor, levelForLabel(label))) return refuse('label_not_allowed', 'floor');
  const sender = group.members.find((member) => member.deviceId === entry.sender);
  if (sender?.user !== entry.senderUser) return refuse('forbidden', 'sender');
  return refuseGroupMembers(group) ?? refuseAnnouncedPaths(entry, facts);
}

function refuseAnnouncedPaths(entry: LinkedEntry, facts: AnnounceFacts): Reject | undefined {
  const { self, group, route, paths } = facts;
  const domains = new Set(group.members.map((member) => domainOf(member.user)));
  if (!domains.has(self) || entry.welcome.length === 0) return refuse('commit_invalid', 'no member here');
  domains.add(route.origin).delete(self);
  return firstRefusal(domains, (domain) => refusePath(paths, domain, group.floor, entry.body.length, false));
}
