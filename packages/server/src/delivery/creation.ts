import { type Clock, type Domain, domainOf, ok, type Result, reject } from '@norc/protocol/base';
import type { Crypto } from '@norc/protocol/crypto';
import {
  acceptAnnouncement,
  type CheckedRoute,
  type ConversationState,
  createConversation,
  entryFromWire,
  type GroupChange,
  genesisHead,
  groupEvidence,
  type LinkedEntry,
  type NorcFBody,
  pathQuestion,
  type TrustPaths,
} from '@norc/protocol/norc-f';
import type { TrustDecision, TrustQuestion } from '@norc/protocol/norc-t';
import type { AuthenticatedDevice, CreateRequest } from '../services.ts';
import type { Store, StoreWrite } from '../storage/port.ts';
import { announceItem } from './announce.ts';
import { memberRow } from './conversation-log.ts';
import { readHeader } from './mls-header.ts';
import type { PublicGroup, PublicGroups } from './public-group.ts';

export interface CreationDependencies {
  readonly self: Domain;
  readonly store: Store;
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly groups: PublicGroups;
  readonly decide: (question: TrustQuestion) => TrustDecision;
}

export interface CreatedLog {
  readonly state: ConversationState;
  readonly entry: LinkedEntry;
  /** Organisations that were told. */
  readonly joined: readonly Domain[];
  /** The conversation was there already: the creator repeats a request whose answer it lost. */
  readonly duplicate: boolean;
}

/** How logs begin here: a local device creates one, or a hub announces one. */
export class CreationService {
  readonly #d: CreationDependencies;

  constructor(dependencies: CreationDependencies) {
    this.#d = dependencies;
  }

  async create(
    sender: AuthenticatedDevice,
    request: CreateRequest,
  ): Promise<Result<{ readonly seq: number; readonly created?: CreatedLog }>> {
    const header = readHeader(request.commit);
    if (!header.ok) return header;
    const group = await this.#d.groups.open(request.groupInfo);
    if (!group.ok) return group;
    // [F-19] Without it, nobody could be put out of this conversation when trust ends.
    if (!group.value.isNamed) return reject('commit_invalid', 'key of the hub');
    const now = this.#d.clock.now();
    const creation = { ...request, sender: sender.deviceId, senderUser: sender.user };
    const decided = createConversation(this.#d.crypto, creation, {
      self: this.#d.self,
      now,
      header: header.value,
      group: groupEvidence(group.value.facts),
      paths: this.#paths(group.value, request.label, this.#d.self, request.commit.length),
    });
    if (!decided.ok) return decided;
    const { state, entry, change } = decided.value;
    const genesis = genesisHead(this.#d.crypto, request.conversation, this.#d.self);
    const joined = change.joinedOrganisations.filter((domain) => domain !== this.#d.self);
    const writes = this.#beginning(state, entry, change, group.value, genesis.hash);
    for (const peer of joined) {
      writes.push({ op: 'follower.add', conversationId: state.conversation, peer, seq: entry.seq });
      writes.push({
        op: 'outbox.add',
        item: announceItem({ headHash: genesis.hash }, state, entry, request.groupInfo, peer, now),
      });
    }
    const outcome = await this.#d.store.commit(writes);
    if (outcome.ok) return ok({ seq: entry.seq, created: { state, entry, joined, duplicate: false } });
    return await this.#createdBefore(sender, request);
  }

  /** The same device repeats its request: the same answer. Anybody else's id is refused without a word about it. */
  async #createdBefore(sender: AuthenticatedDevice, request: CreateRequest): Promise<Result<{ readonly seq: number }>> {
    const entry = await this.#d.store.read.entryByMessageId(request.conversation, request.messageId);
    if (entry?.sender !== sender.deviceId) return reject('forbidden', 'conversation');
    return ok({ seq: entry.seq });
  }

  async announced(route: CheckedRoute, announce: NorcFBody<'conversation_announce'>): Promise<Result<CreatedLog>> {
    const header = readHeader(announce.entry.body);
    if (!header.ok) return header;
    const group = await this.#d.groups.open(announce.group_info);
    if (!group.ok) return group;
    const { conversation, label } = announce;
    const announcement = {
      conversation,
      label,
      previousHash: announce.previous_hash,
      entry: entryFromWire(announce.entry),
    };
    const accepted = acceptAnnouncement(this.#d.crypto, announcement, {
      self: this.#d.self,
      route,
      header: header.value,
      group: groupEvidence(group.value.facts),
      paths: this.#paths(group.value, label, route.origin, announce.entry.body.length),
    });
    if (!accepted.ok) return accepted;
    const { state, entry } = accepted.value;
    const added = [...state.members].map(([deviceId, member]) => ({ deviceId, ...member }));
    const change: GroupChange = {
      epoch: state.epoch,
      added,
      removed: [],
      joinedOrganisations: [],
      leftOrganisations: [],
    };
    const outcome = await this.#d.store.commit(
      this.#beginning(state, entry, change, group.value, announce.previous_hash),
    );
    return ok({ state, entry, joined: [], duplicate: !outcome.ok });
  }

  /** The conversation as it was before its first entry here, then that entry: one path for appending. */
  #beginning(
    state: ConversationState,
    entry: LinkedEntry,
    change: GroupChange,
    group: PublicGroup,
    previousHash: Uint8Array,
  ): StoreWrite[] {
    const { conversation: conversationId, hub, label, floor } = state;
    const view = group.serialize();
    const before = { epoch: entry.epoch, epochSeq: entry.seq - 1, headSeq: entry.seq - 1, headHash: previousHash };
    const row = { conversationId, hub, label, floor, createdAt: entry.storedAt, frozen: false, view, ...before };
    const added = change.added.map((member) => memberRow(this.#d.self, member));
    return [
      { op: 'conversation.create', conversation: row, members: [] },
      {
        op: 'log.append',
        conversationId,
        expectedHeadSeq: entry.seq - 1,
        entries: [entry],
        commit: { expectedEpoch: entry.epoch, epoch: change.epoch, view, added, removed: [] },
      },
    ];
  }

  /** The own organisation too: among its own users its own ceiling counts. */
  #paths(group: PublicGroup, label: ConversationState['label'], origin: Domain, bytes: number): TrustPaths {
    const { self } = this.#d;
    const paths = new Map<Domain, TrustDecision>();
    for (const domain of [self, origin, ...group.facts.members.map((member) => domainOf(member.user))]) {
      if (!paths.has(domain)) paths.set(domain, this.#d.decide(pathQuestion({ self, label }, domain, origin, bytes)));
    }
    return paths;
  }
}
