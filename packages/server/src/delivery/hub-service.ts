import { type Clock, type Domain, domainOf, type MessageId, ok, type Result, reject } from '@norc/protocol/base';
import type { Crypto } from '@norc/protocol/crypto';
import {
  type AppendDecision,
  type AppendFacts,
  type CommitEvidence,
  type ConversationState,
  commitEvidence,
  type Duplicate,
  decideAppend,
  type LinkedEntry,
  type MlsHeader,
  type Ordered,
  type OrderedBefore,
  pathQuestion,
  type Submission,
  type TrustPaths,
} from '@norc/protocol/norc-f';
import type { TrustDecision, TrustQuestion } from '@norc/protocol/norc-t';
import type { OrderedPlace } from '../services.ts';
import type { Store, StoreWrite } from '../storage/port.ts';
import { announceItem } from './announce.ts';
import type { ConversationLog } from './conversation-log.ts';
import { departureWrite } from './departures.ts';
import type { Settling } from './expulsion.ts';
import type { PublicGroup, PublicGroups } from './public-group.ts';

/** A submission that conflicts this often meets a store that another node writes to all the time; the sender tries later. */
const ATTEMPTS_MAX = 8;
const NO_PATHS: TrustPaths = new Map();
const NOBODY: readonly Domain[] = [];

export interface HubDependencies {
  readonly self: Domain;
  readonly store: Store;
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly groups: PublicGroups;
  readonly decide: (question: TrustQuestion) => TrustDecision;
  /** What the commit of this entry completes: stored with it. */
  readonly settling: Settling;
  /** Organisations in it that have to go. */
  readonly expelling?: (state: ConversationState) => ReadonlySet<Domain> | undefined;
  /** Others whose trust in each other has ended. */
  readonly endedPairs?: () => readonly (readonly [Domain, Domain])[];
}

/** What the hub made of a submission. `joined`: organisations whose first device it added. */
export interface HubOutcome extends OrderedPlace {
  readonly duplicate: boolean;
  readonly joined: readonly Domain[];
  /** Organisations whose last device it removed. */
  readonly left: readonly Domain[];
}

/** Told once what became of a message: when it is durable, or refused. */
export interface HubListener {
  settled(outcome: Result<HubOutcome>): void;
  /** Something of ours broke. */
  failed(error: unknown): void;
}

/** Orders submissions into the logs of conversations whose hub this organisation is. */
export class HubService {
  readonly #d: HubDependencies;

  constructor(dependencies: HubDependencies) {
    this.#d = dependencies;
  }

  /**
   * The hot path: an application message is decided at once and without a promise of its
   * own, so that appends follow each other through the store. `header`: as `readHeader`
   * gives it for the body.
   */
  send(log: ConversationLog, submission: Submission, header: MlsHeader, listener: HubListener): void {
    const decision = log.reloading === undefined ? this.#decideMessage(log, submission, header, undefined) : undefined;
    if (decision === undefined) this.#sendAgain(log, submission, header, listener);
    else if (!decision.ok) listener.settled(decision);
    else if (decision.value.outcome === 'duplicate') listener.settled(ok(duplicateOf(decision.value)));
    else {
      const { entry, state } = decision.value;
      log
        .appendMessage(entry, state)
        .then((outcome) => {
          if (outcome === 'stored') listener.settled(ok(orderedAs(entry)));
          else this.#sendAgain(log, submission, header, listener);
        })
        .catch((error: unknown) => listener.failed(error));
    }
  }

  #sendAgain(log: ConversationLog, submission: Submission, header: MlsHeader, listener: HubListener): void {
    this.submit(log, submission, header)
      .then((outcome) => listener.settled(outcome))
      .catch((error: unknown) => listener.failed(error));
  }

  /** Decides and stores; decides anew as long as the store says that somebody else wrote the log. */
  async submit(log: ConversationLog, submission: Submission, header: MlsHeader): Promise<Result<HubOutcome>> {
    let ordered: OrderedBefore | undefined;
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt += 1) {
      if (log.reloading !== undefined) await log.reloading;
      const once =
        submission.kind === 'commit'
          ? this.#commit(log, submission, header, ordered)
          : this.#message(log, submission, header, ordered);
      const outcome = await once;
      if (outcome !== 'conflict') return outcome;
      ordered = await this.#orderedBefore(log, submission.messageId);
    }
    return reject('internal', 'the log is contended');
  }

  async #orderedBefore(log: ConversationLog, messageId: MessageId): Promise<OrderedBefore | undefined> {
    return await this.#d.store.read.entryByMessageId(log.conversation, messageId);
  }

  async #message(
    log: ConversationLog,
    submission: Submission,
    header: MlsHeader,
    before: OrderedBefore | undefined,
  ): Promise<Result<HubOutcome> | 'conflict'> {
    const decision = this.#decideMessage(log, submission, header, before);
    if (!decision.ok) return decision;
    if (decision.value.outcome === 'duplicate') return ok(duplicateOf(decision.value));
    const { entry, state } = decision.value;
    const outcome = await log.appendMessage(entry, state);
    return outcome === 'stored' ? ok(orderedAs(entry)) : 'conflict';
  }

  #decideMessage(
    log: ConversationLog,
    submission: Submission,
    header: MlsHeader,
    before: OrderedBefore | undefined,
  ): Result<AppendDecision> {
    const ordered = before ?? log.recent.find(submission.messageId);
    const facts = this.#facts(log, submission, header, ordered, undefined);
    return decideAppend(this.#d.crypto, log.state, submission, facts);
  }

  /** The group view verifies first, which takes time; the epoch it verified for must still be the current one after. */
  async #commit(
    log: ConversationLog,
    submission: Submission,
    header: MlsHeader,
    before: OrderedBefore | undefined,
  ): Promise<Result<HubOutcome> | 'conflict'> {
    // Who is no member is refused by the machine, before its commit costs anything or its refusal tells the epoch.
    const stranger = !isFromMember(log, submission);
    const worthIt = header.epoch === log.state.epoch && before === undefined && !stranger;
    const verified = worthIt ? await this.#verify(log, submission) : undefined;
    if (verified !== undefined && !verified.ok) return verified;
    const current = log.state.epoch === header.epoch;
    const evidence = current ? verified?.value.evidence : undefined;
    if (current && evidence === undefined && before === undefined && !stranger) return 'conflict'; // the log moved back to this epoch: decide anew
    const decision = decideAppend(
      this.#d.crypto,
      log.state,
      submission,
      this.#facts(log, submission, header, before, evidence),
    );
    if (!decision.ok) return decision;
    if (decision.value.outcome === 'duplicate') return ok(duplicateOf(decision.value));
    if (verified === undefined) return 'conflict';
    return await this.#appendCommit(log, submission, decision.value, verified.value.group);
  }

  async #verify(
    log: ConversationLog,
    submission: Submission,
  ): Promise<Result<{ readonly evidence: CommitEvidence; readonly group: PublicGroup }>> {
    const group = await log.group();
    const applied = await group.apply(submission.body);
    if (!applied.ok) return applied;
    const evidence = commitEvidence(applied.value.facts);
    const checked = await this.#checkGroupInfo(log, submission, evidence, applied.value.group);
    return checked.ok ? ok({ evidence, group: applied.value.group }) : checked;
  }

  /** What a new organisation's server starts from must be the group that we see ourselves. */
  async #checkGroupInfo(
    log: ConversationLog,
    submission: Submission,
    evidence: CommitEvidence,
    group: PublicGroup,
  ): Promise<Result<undefined>> {
    const joins = evidence.added.some((member) => !log.state.organisations.has(domainOf(member.user)));
    if (!joins || submission.groupInfo === undefined) return ok(undefined);
    const announced = await this.#d.groups.open(submission.groupInfo);
    if (!announced.ok) return announced;
    const same =
      announced.value.facts.epoch === group.facts.epoch &&
      this.#d.crypto.equal(announced.value.treeHash, group.treeHash);
    return same ? ok(undefined) : reject('commit_invalid', 'group_info');
  }

  async #appendCommit(
    log: ConversationLog,
    submission: Submission,
    ordered: Ordered,
    group: PublicGroup,
  ): Promise<Result<HubOutcome> | 'conflict'> {
    const { entry, state, change } = ordered;
    const before = log.state;
    const settled = await this.#d.settling(before, state, entry);
    // Signing took a moment: what was decided must still be decided on this very state.
    if (log.state !== before || log.reloading !== undefined) return 'conflict';
    const alongside: StoreWrite[] = [...(settled?.writes ?? [])];
    const joined = (change?.joinedOrganisations ?? []).filter((domain) => domain !== this.#d.self);
    for (const peer of joined) {
      alongside.push({ op: 'follower.add', conversationId: state.conversation, peer, seq: entry.seq });
      const groupInfo = submission.groupInfo ?? new Uint8Array(0); // F-18 refused its absence
      alongside.push({
        op: 'outbox.add',
        item: announceItem(before, state, entry, groupInfo, peer, this.#d.clock.now()),
      });
    }
    const left = (change?.leftOrganisations ?? []).filter((domain) => domain !== this.#d.self);
    for (const peer of left) alongside.push(departureWrite(state.conversation, peer, entry.seq));
    const planned = { entries: [entry], state, group, alongside, ...(change === undefined ? {} : { change }) };
    const outcome = await log.append(planned);
    if (outcome === 'stored') settled?.confirm();
    return outcome === 'stored' ? ok({ ...placeOf(entry), duplicate: false, joined, left }) : 'conflict';
  }

  #facts(
    log: ConversationLog,
    submission: Submission,
    header: MlsHeader,
    ordered: OrderedBefore | undefined,
    commit: CommitEvidence | undefined,
  ): AppendFacts {
    const joining = (commit?.added ?? []).map((member) => domainOf(member.user));
    const expelling = this.#d.expelling?.(log.state);
    return {
      header,
      now: this.#d.clock.now(),
      paths: this.#paths(log, submission, joining),
      ...(ordered === undefined ? {} : { ordered }),
      ...(expelling === undefined ? {} : { expelling }),
      ...(joining.length === 0 || this.#d.endedPairs === undefined ? {} : { endedPairs: this.#d.endedPairs() }),
      ...(commit === undefined ? {} : { commit }),
    };
  }

  /** Every other organisation of the conversation, and those that come in, with the trust decision of this moment. */
  #paths(log: ConversationLog, { origin, body }: Submission, joining: readonly Domain[]): TrustPaths {
    const { organisations } = log.state;
    if (organisations.size === 1 && joining.length === 0 && organisations.has(this.#d.self)) return NO_PATHS;
    const paths = new Map<Domain, TrustDecision>();
    for (const domain of [...organisations, ...joining]) {
      if (domain !== this.#d.self && !paths.has(domain))
        paths.set(domain, this.#d.decide(pathQuestion(log.state, domain, origin, body.length)));
    }
    return paths;
  }
}

function orderedAs(entry: LinkedEntry): HubOutcome {
  return { ...placeOf(entry), duplicate: false, joined: NOBODY, left: NOBODY };
}

function duplicateOf({ seq }: Duplicate): HubOutcome {
  return { seq, duplicate: true, joined: NOBODY, left: NOBODY };
}

/** What the sender of an entry is told of it. */
export function placeOf({ seq, hash, storedAt }: LinkedEntry): OrderedPlace {
  return { seq, proof: { hash, storedAt } };
}

function isFromMember(log: ConversationLog, { sender, senderUser, origin }: Submission): boolean {
  return log.state.members.get(sender)?.user === senderUser && domainOf(senderUser) === origin;
}
