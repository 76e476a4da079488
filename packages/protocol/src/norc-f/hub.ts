import {
  type ConversationId,
  type DeviceId,
  type Domain,
  domainOf,
  type ErrorName,
  err,
  type Instant,
  LIMITS,
  type MessageId,
  ok,
  type Reject,
  type Result,
  reject,
  type UserAddress,
} from '../base/index.ts';
import type { Crypto } from '../crypto/index.ts';
import type { EntryKind } from '../wire/index.ts';
import {
  advance,
  advanceCommit,
  assertSameConversation,
  type ConversationState,
  freeze,
  type GroupChange,
  headOf,
} from './conversation.ts';
import { type EntryContent, type LinkedEntry, linkEntry } from './log.ts';
import {
  type EntryClaim,
  type EntryFacts,
  everyPathAllowed,
  firstRefusal,
  isHubProposal,
  joiningOrganisations,
  leadsOut,
  organisationsAfter,
  organisationsConcerned,
  refuseEpoch,
  refuseHandshake,
  refuseHeader,
  refusePath,
  refuseSender,
  refuseWornEpoch,
} from './rules.ts';

/** The hub's ordering machine of one conversation (spec/norc-f section 3). */

const EMPTY = new Uint8Array(0);

/** What somebody wants ordered. */
export interface Submission {
  readonly conversation: ConversationId;
  readonly messageId: MessageId;
  readonly kind: EntryKind;
  readonly sender: DeviceId;
  readonly senderUser: UserAddress;
  readonly body: Uint8Array;
  readonly welcome?: Uint8Array;
  /** After the commit: needed when an organisation gets its first device. */
  readonly groupInfo?: Uint8Array;
  /** Who vouches for the sender: our own domain for a device's session, the route's origin for a link. */
  readonly origin: Domain;
}

/** `paths`: every other organisation of the conversation, and those that the commit brings in. */
export interface AppendFacts extends EntryFacts {
  readonly now: Instant;
  /** The entry that already has this message id, looked up in the log. */
  readonly ordered?: OrderedBefore;
  /** Organisations in it that have to go: while there is one, the conversation stays frozen, and they get no say. */
  readonly expelling?: ReadonlySet<Domain>;
  /** Other organisations whose trust in each other has ended, as far as this hub was told. */
  readonly endedPairs?: readonly (readonly [Domain, Domain])[];
}

export interface OrderedBefore {
  readonly seq: number;
  readonly sender: DeviceId;
  readonly senderUser: UserAddress;
}

export type AppendDecision = Ordered | Duplicate;

export interface Ordered {
  readonly outcome: 'ordered';
  readonly entry: LinkedEntry;
  readonly state: ConversationState;
  /** Present for a commit. */
  readonly change?: GroupChange;
}

/** The message id was ordered before, for the same sender: the answer to it was lost. */
export interface Duplicate {
  readonly outcome: 'duplicate';
  readonly seq: number;
}

/**
 * Orders one submission, or says why not. Nothing is stored here: the caller
 * appends `entry` by compare-and-swap on the head that `state` had.
 * Errors: forbidden, malformed, label_not_allowed, limit_exceeded, missing_field,
 * conversation_frozen, epoch_conflict, epoch_stale, rekey_required, commit_invalid,
 * below_floor, too_large, and whatever a trust decision said.
 */
export function decideAppend(
  crypto: Crypto,
  state: ConversationState,
  submission: Submission,
  facts: AppendFacts,
): Result<AppendDecision> {
  assertSameConversation(state, submission.conversation);
  if (submission.kind !== 'commit' && facts.commit !== undefined)
    throw new RangeError('evidence of a commit for another kind');
  if (facts.ordered !== undefined) return repeated(facts.ordered, submission);
  const claim: EntryClaim = { ...submission, epoch: facts.header.epoch, label: facts.header.authenticatedData.label };
  const refused = refuseSubmission(state, submission, claim, facts);
  if (refused !== undefined) return err(refused);
  return ok(order(crypto, state, submission, claim, facts));
}

/** [F-16] Another sender's id is no duplicate: it is somebody who guesses, or a broken generator. */
function repeated(ordered: OrderedBefore, submission: Submission): Result<AppendDecision> {
  const refused = refuseOrigin(submission);
  if (refused !== undefined) return err(refused);
  if (ordered.sender !== submission.sender || ordered.senderUser !== submission.senderUser)
    return reject('malformed', 'message id');
  return ok({ outcome: 'duplicate', seq: ordered.seq });
}

/** In this order: what a stranger may learn first, what costs most last. */
function refuseSubmission(
  state: ConversationState,
  submission: Submission,
  claim: EntryClaim,
  facts: AppendFacts,
): Reject | undefined {
  return (
    refuseOrigin(submission) ??
    refuseSender(state, claim) ??
    refuseSizes(submission) ??
    refuseHeader(state, claim, facts.header) ??
    refuseEpoch(state, claim, state.previousEpochOpen) ??
    refuseHandshake(state, claim, facts) ??
    refuseFrozen(state, claim, facts) ??
    refusePaths(state, submission, claim, facts) ??
    refuseEndedPair(state, submission, facts) ??
    refuseWornEpoch(state, claim) ??
    refuseAttachments(state, submission, facts)
  );
}

/** [F-10] An organisation speaks for its own users only. */
function refuseOrigin(submission: Submission): Reject | undefined {
  return domainOf(submission.senderUser) === submission.origin ? undefined : refuse('forbidden', 'origin');
}

function refuseSizes({ body, welcome = EMPTY, groupInfo = EMPTY }: Submission): Reject | undefined {
  if (body.length === 0) return refuse('malformed', 'body');
  if (body.length > LIMITS.entryBytesMax) return refuse('limit_exceeded', 'body');
  if (welcome.length > LIMITS.mlsMessageBytesMax) return refuse('limit_exceeded', 'welcome');
  if (groupInfo.length > LIMITS.mlsMessageBytesMax) return refuse('limit_exceeded', 'group_info');
  return undefined;
}

/**
 * [F-17] Out of a frozen conversation leads only a removal; F-14 sees to it that it is the one that was proposed.
 * Who has to go takes part in nothing more, and brings in no other device.
 */
function refuseFrozen(state: ConversationState, claim: EntryClaim, facts: AppendFacts): Reject | undefined {
  const { commit, expelling } = facts;
  if (!state.frozen && expelling === undefined) return undefined;
  if (!leadsOut(claim, commit)) return refuse('conversation_frozen', 'frozen');
  if (expelling === undefined || isHubProposal(claim)) return undefined;
  if (expelling.has(domainOf(claim.senderUser))) return refuse('conversation_frozen', 'its organisation has to go');
  const returns = commit?.added.some(({ user }) => expelling.has(domainOf(user))) === true;
  return returns ? refuse('conversation_frozen', 'adds an organisation that has to go') : undefined;
}

/**
 * [F-15] The sender's own path always counts, and that of an organisation that
 * joins. The others count for everything that reaches them: not for what puts them out.
 */
function refusePaths(
  state: ConversationState,
  submission: Submission,
  claim: EntryClaim,
  facts: AppendFacts,
): Reject | undefined {
  const strict = [submission.origin, ...joiningOrganisations(state, facts.commit)];
  const concerned = new Set([...strict, ...organisationsConcerned(state, claim, facts.commit)]);
  concerned.delete(state.self);
  return firstRefusal(concerned, (domain) =>
    refusePath(facts.paths, domain, state.floor, submission.body.length, !strict.includes(domain)),
  );
}

/**
 * [F-15] Whoever comes in must be trusted by those who are there: the follower of one that is not could take nothing more
 * of this log. One of the two may add the other: its own server knows better than a statement that may be old.
 */
function refuseEndedPair(
  state: ConversationState,
  { origin }: Submission,
  { commit, endedPairs = [] }: AppendFacts,
): Reject | undefined {
  const joining = joiningOrganisations(state, commit);
  if (joining.length === 0 || commit === undefined) return undefined;
  const after = organisationsAfter(state, commit);
  const met = endedPairs.some(
    (pair) =>
      pair.every((domain) => after.has(domain)) &&
      pair.some((domain) => joining.includes(domain)) &&
      !pair.includes(origin),
  );
  return met ? refuse('not_trusted', 'an organisation in it does not trust the one that joins') : undefined;
}

/** [F-18] Who is added gets a Welcome, a new organisation's server the group, and nothing else carries either. */
function refuseAttachments(state: ConversationState, submission: Submission, facts: AppendFacts): Reject | undefined {
  const adds = (facts.commit?.added.length ?? 0) > 0;
  const welcomes = (submission.welcome?.length ?? 0) > 0;
  if (adds !== welcomes) return refuse('commit_invalid', 'welcome');
  const joins = joiningOrganisations(state, facts.commit).length > 0;
  return joins && (submission.groupInfo?.length ?? 0) === 0 ? refuse('missing_field', 'group_info') : undefined;
}

function order(
  crypto: Crypto,
  state: ConversationState,
  submission: Submission,
  claim: EntryClaim,
  facts: AppendFacts,
): Ordered {
  const { kind, messageId, sender, senderUser, body, welcome = EMPTY } = submission;
  const content: EntryContent = {
    ...{ kind, messageId, sender, senderUser, body, welcome },
    epoch: claim.epoch,
    label: claim.label,
    storedAt: facts.now,
  };
  const entry = linkEntry(crypto, headOf(state), content);
  if (isHubProposal(claim)) return { outcome: 'ordered', entry, state: freeze(advance(state, entry)) };
  if (facts.commit === undefined) return { outcome: 'ordered', entry, state: advance(state, entry) };
  const { state: next, change } = advanceCommit(state, entry, facts.commit);
  const held = [...(facts.expelling ?? [])].some((domain) => next.organisations.has(domain));
  const frozen = held || (next.frozen && !everyPathAllowed(next, facts.paths));
  return { outcome: 'ordered', entry, state: { ...next, frozen }, change };
}

function refuse(code: ErrorName, detail: string): Reject {
  return { code, detail };
}
