import { type Domain, domainOf, type MessageId, ok, type Reject, type Result, reject } from '@norc/protocol/base';
import type { Crypto } from '@norc/protocol/crypto';
import {
  acceptEntries,
  type CheckedRoute,
  type CommitEvidence,
  type ConversationState,
  commitEvidence,
  type EntryFacts,
  entryFromWire,
  type Followed,
  type FollowedItem,
  type GroupChange,
  headOf,
  type LinkedEntry,
  linkEntries,
  pathQuestion,
  proposalEvidence,
  type TrustPaths,
} from '@norc/protocol/norc-f';
import type { TrustDecision, TrustQuestion } from '@norc/protocol/norc-t';
import type { WireLogEntry } from '@norc/protocol/wire';
import type { StoreWrite } from '../storage/port.ts';
import type { ConversationLog } from './conversation-log.ts';
import type { Settled, Settling } from './expulsion.ts';
import { readHeader } from './mls-header.ts';
import type { PublicGroup } from './public-group.ts';

export interface FollowerDependencies {
  readonly self: Domain;
  readonly crypto: Crypto;
  readonly decide: (question: TrustQuestion) => TrustDecision;
  /** A hub showed two histories, or broke a rule: for the audit log and the operator. */
  readonly onMisbehavior: (hub: Domain, code: Reject['code'], detail: string) => void;
  /** A commit brought in an organisation that we do not trust: our copy is frozen until it is out again. */
  readonly onUntrusted?: (organisation: Domain) => void;
  /** What the commit of this entry completes: stored with it. */
  readonly settling: Settling;
}

export interface FollowOutcome {
  /** What is held now: the hub goes on after it. */
  readonly seq: number;
  readonly appended: readonly { readonly entry: LinkedEntry; readonly change?: GroupChange }[];
}

/** Messages, or proposals, or one commit: what one append can store. */
interface Segment {
  readonly items: readonly FollowedItem[];
  /** The group after each item, where items change it. */
  readonly groups?: readonly PublicGroup[];
}

/** Keeps this organisation's copies of logs that other hubs order. */
export class FollowerService {
  readonly #d: FollowerDependencies;

  constructor(dependencies: FollowerDependencies) {
    this.#d = dependencies;
  }

  /** Takes what a relay brought. The caller makes sure that relays of one conversation do not overlap. */
  async accept(
    log: ConversationLog,
    route: CheckedRoute,
    wire: readonly WireLogEntry[],
  ): Promise<Result<FollowOutcome>> {
    if (log.reloading !== undefined) await log.reloading;
    const repeats = (wire[0]?.seq ?? 0) <= log.state.headSeq;
    const held = new Map(repeats ? log.recent.hashes() : []);
    const chain = linkEntries(this.#d.crypto, headOf(log.state), wire.map(entryFromWire), held);
    if (chain.failure !== undefined && chain.failure.code === 'log_fork') {
      this.#d.onMisbehavior(log.state.hub, 'log_fork', `conversation ${log.conversation}`);
      return reject('log_fork', 'entry');
    }
    const appended: { entry: LinkedEntry; change?: GroupChange }[] = [];
    let rest: readonly LinkedEntry[] = chain.linked;
    while (rest.length > 0) {
      const segment = await this.#segment(log, rest);
      if (!segment.ok) return this.#refused(log, appended, segment.error);
      const before = log.state;
      const followed = acceptEntries(before, route, segment.value.items);
      const last = followed.accepted.at(-1);
      const settled = last?.change && (await this.#d.settling(before, followed.state, last.entry));
      if (log.state !== before) continue; // frozen meanwhile: what comes of a commit is decided anew
      const stored = await this.#store(log, followed, {
        group: segment.value.groups?.[followed.accepted.length - 1],
        settled,
      });
      if (stored) settled?.confirm();
      if (!stored) return ok({ seq: log.state.headSeq, appended });
      appended.push(...followed.accepted);
      this.#tellUntrusted(before, followed);
      if (followed.failure !== undefined) return this.#refused(log, appended, followed.failure);
      rest = rest.slice(segment.value.items.length);
    }
    return ok({ seq: log.state.headSeq, appended });
  }

  #tellUntrusted({ frozen }: ConversationState, { state, accepted }: Followed): void {
    if (frozen || !state.frozen) return;
    for (const domain of accepted.at(-1)?.change?.joinedOrganisations ?? []) this.#d.onUntrusted?.(domain);
  }

  /** What came before the refused entry is kept and told; the refusal itself goes back to the hub at its next try. */
  #refused(log: ConversationLog, appended: FollowOutcome['appended'], failure: Reject): Result<FollowOutcome> {
    if (appended.length > 0) return ok({ seq: log.state.headSeq, appended });
    this.#d.onMisbehavior(log.state.hub, failure.code, failure.detail);
    return reject(failure.code, failure.detail);
  }

  async #segment(log: ConversationLog, entries: readonly LinkedEntry[]): Promise<Result<Segment>> {
    const items: FollowedItem[] = [];
    for (const entry of entries) {
      const header = readHeader(entry.body);
      if (!header.ok) return items.length > 0 ? ok({ items }) : header;
      const base = { header: header.value };
      if (entry.kind === 'proposal') return items.length > 0 ? ok({ items }) : await this.#proposals(log, entries);
      if (entry.kind !== 'commit') {
        items.push({ entry, facts: { ...base, paths: this.#paths(log, undefined) } });
        continue;
      }
      if (items.length > 0) return ok({ items }); // a commit starts a segment of its own: its group follows what is before it
      const applied = await (await log.group()).apply(entry.body);
      if (!applied.ok) return applied;
      const commit = commitEvidence(applied.value.facts);
      return ok({
        items: [{ entry, facts: { ...base, commit, paths: this.#paths(log, commit) } }],
        groups: [applied.value.group],
      });
    }
    return ok({ items });
  }

  /** Proposals at the front: each waits in the group that the next one is judged by. */
  async #proposals(log: ConversationLog, entries: readonly LinkedEntry[]): Promise<Result<Segment>> {
    const items: FollowedItem[] = [];
    const groups: PublicGroup[] = [];
    let group = await log.group();
    for (const entry of entries) {
      if (entry.kind !== 'proposal') break;
      const judged = await this.#proposal(log, group, entry);
      if (!judged.ok) return items.length > 0 ? ok({ items, groups }) : judged;
      items.push({ entry, facts: judged.value.facts });
      group = judged.value.group;
      groups.push(group);
    }
    return ok({ items, groups });
  }

  async #proposal(
    log: ConversationLog,
    group: PublicGroup,
    entry: LinkedEntry,
  ): Promise<Result<{ readonly facts: EntryFacts; readonly group: PublicGroup }>> {
    const header = readHeader(entry.body);
    if (!header.ok) return header;
    const applied = await group.applyProposal(entry.body);
    if (!applied.ok) return applied;
    const proposal = proposalEvidence(applied.value.proposer);
    return ok({
      facts: { header: header.value, proposal, paths: this.#paths(log, undefined) },
      group: applied.value.group,
    });
  }

  async #store(
    log: ConversationLog,
    followed: Followed,
    { group, settled }: { readonly group: PublicGroup | undefined; readonly settled: Settled | undefined },
  ): Promise<boolean> {
    if (followed.accepted.length === 0) return true;
    const entries = followed.accepted.map(({ entry }) => entry);
    const change = followed.accepted.at(-1)?.change;
    const ours = entries.filter((entry) => domainOf(entry.senderUser) === this.#d.self).map((entry) => entry.messageId);
    const outcome = await log.append({
      entries,
      state: followed.state,
      alongside: [...removeOutbox(log.state.hub, ours), ...(settled?.writes ?? [])],
      ...(change === undefined ? {} : { change }),
      ...(group === undefined ? {} : { group }),
    });
    return outcome === 'stored';
  }

  #paths(log: ConversationLog, commit: CommitEvidence | undefined): TrustPaths {
    const { hub, frozen, organisations } = log.state;
    const joining = (commit?.added ?? []).map((member) => domainOf(member.user));
    const paths = new Map<Domain, TrustDecision>();
    for (const domain of [hub, ...joining, ...(frozen ? organisations : [])]) {
      if (domain !== this.#d.self && !paths.has(domain))
        paths.set(domain, this.#d.decide(pathQuestion(log.state, domain, hub, 0)));
    }
    return paths;
  }
}

/** Our own submissions that came back ordered need no sending again. */
function removeOutbox(peer: Domain, ids: readonly MessageId[]): readonly StoreWrite[] {
  return ids.length === 0 ? [] : [{ op: 'outbox.remove', peer, ids }];
}
