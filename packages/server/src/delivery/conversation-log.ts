import { type ConversationId, type DeviceId, type Domain, domainOf, InvariantError } from '@norc/protocol/base';
import { type ConversationState, type GroupChange, type LinkedEntry, restoreConversation } from '@norc/protocol/norc-f';
import { type LogAppend, type MemberRow, StorageError, type Store, type StoreWrite } from '../storage/port.ts';
import type { PublicGroup, PublicGroups } from './public-group.ts';
import { RecentEntries } from './recent-entries.ts';

/** What became of an append. `conflict`: somebody else appended first, or this message id is in the log; the log was read again. */
export type AppendOutcome = 'stored' | 'conflict';

/** An append that a machine decided, with what belongs into the same transaction. */
export interface PlannedAppend {
  readonly entries: readonly LinkedEntry[];
  readonly state: ConversationState;
  readonly change?: GroupChange;
  /** The public group after the commit, where it is required, or with the proposals that the entries are. */
  readonly group?: PublicGroup;
  readonly alongside?: readonly StoreWrite[];
}

/** Messages that were decided in one turn of the event loop: one write of the store, one fate. */
interface Batch {
  readonly write: LogAppend;
  readonly entries: LinkedEntry[];
  readonly generation: number;
  readonly fate: PromiseWithResolvers<AppendOutcome>;
  bytes: number;
}

const BATCH_ENTRIES_MAX = 64;
const BATCH_BYTES_MAX = 1 << 20;

/**
 * One conversation's log in memory. `state` runs ahead of the disk: an append is
 * decided on it at once and its transaction is a compare-and-swap on the head, so
 * appends follow each other without waiting, and order still comes from the
 * database. When a transaction fails, everything decided after it fails too; the
 * state is then read again, once, and callers decide anew.
 */
export class ConversationLog {
  readonly conversation: ConversationId;
  readonly recent = new RecentEntries();
  /** Since the cache last considered to let it go. */
  used = false;
  #state: ConversationState;
  #group: PublicGroup | undefined;
  #durableSeq: number;
  #inFlight = 0;
  #reloading: Promise<void> | undefined;
  #generation = 0;
  #batch: Batch | undefined;
  #local: { readonly members: ConversationState['members']; readonly devices: readonly DeviceId[] } | undefined;
  readonly #store: Store;
  readonly #groups: PublicGroups;

  private constructor(store: Store, groups: PublicGroups, state: ConversationState) {
    this.#store = store;
    this.#groups = groups;
    this.#state = state;
    this.#durableSeq = state.headSeq;
    this.conversation = state.conversation;
  }

  static async load(
    store: Store,
    groups: PublicGroups,
    self: Domain,
    conversation: ConversationId,
  ): Promise<ConversationLog | undefined> {
    const state = await readState(store, self, conversation);
    return state === undefined ? undefined : new ConversationLog(store, groups, state);
  }

  get state(): ConversationState {
    return this.#state;
  }

  /** Everything up to here is on disk. */
  get durableSeq(): number {
    return this.#durableSeq;
  }

  get busy(): boolean {
    return this.#inFlight > 0 || this.#batch !== undefined || this.#reloading !== undefined;
  }

  /** Present while the state is read again after a failure: decide nothing before it resolves. */
  get reloading(): Promise<void> | undefined {
    return this.#reloading;
  }

  /** Devices of this organisation that are members now. */
  localDevices(): readonly DeviceId[] {
    const { members, self } = this.#state;
    if (this.#local?.members === members) return this.#local.devices;
    const devices = [...members].filter(([, { user }]) => domainOf(user) === self).map(([device]) => device);
    this.#local = { members, devices };
    return devices;
  }

  /** The public group at the current (speculative) epoch. */
  async group(): Promise<PublicGroup> {
    while (this.#group === undefined || this.#group.facts.epoch !== this.#state.epoch) {
      const row = await this.#store.read.conversation(this.conversation);
      if (row === undefined) throw new InvariantError('a loaded conversation is not in the store');
      const group = this.#groups.restore(row.view);
      if (this.#group === undefined || this.#group.facts.epoch < group.facts.epoch) this.#group = group;
      if (group.facts.epoch !== this.#state.epoch) await this.#reloading;
    }
    return this.#group;
  }

  /** Appends what was decided on exactly the current state. Rejects with StorageError when the disk failed. */
  append(planned: PlannedAppend): Promise<AppendOutcome> {
    this.#flush();
    const writes = [logAppend(this.#state, planned), ...refreeze(this.#state, planned), ...(planned.alongside ?? [])];
    this.#state = planned.state;
    if (planned.group !== undefined) this.#group = planned.group;
    return this.#commit(writes, planned.entries, this.#generation);
  }

  /**
   * `append` for one application message: the hot path. Messages of one turn of the event
   * loop share a write and its promise, as far as they have different ids.
   */
  appendMessage(entry: LinkedEntry, state: ConversationState): Promise<AppendOutcome> {
    if (this.#batch !== undefined && !hasRoom(this.#batch, entry)) this.#flush();
    const batch = this.#batch ?? this.#beginBatch();
    batch.entries.push(entry);
    batch.bytes += entry.body.length;
    this.#state = state;
    return batch.fate.promise;
  }

  #beginBatch(): Batch {
    const entries: LinkedEntry[] = [];
    const write = logAppend(this.#state, { entries, state: this.#state });
    const batch = {
      write,
      entries,
      generation: this.#generation,
      fate: Promise.withResolvers<AppendOutcome>(),
      bytes: 0,
    };
    this.#batch = batch;
    queueMicrotask(() => {
      if (this.#batch === batch) this.#flush();
    });
    return batch;
  }

  #flush(): void {
    const batch = this.#batch;
    if (batch === undefined) return;
    this.#batch = undefined;
    batch.fate.resolve(this.#commit([batch.write], batch.entries, batch.generation));
  }

  async #commit(
    writes: readonly StoreWrite[],
    entries: readonly LinkedEntry[],
    generation: number,
  ): Promise<AppendOutcome> {
    this.#inFlight += 1;
    try {
      const outcome = await this.#store.commit(writes);
      if (!outcome.ok) {
        await this.#reload(generation);
        return 'conflict';
      }
      this.#remember(entries);
      return 'stored';
    } catch (error) {
      if (error instanceof StorageError) await this.#reload(generation);
      throw error;
    } finally {
      this.#inFlight -= 1;
    }
  }

  /** A change that is no entry (a freeze), already stored. */
  adopt(change: (state: ConversationState) => ConversationState): void {
    this.#state = change(this.#state);
  }

  #remember(entries: readonly LinkedEntry[]): void {
    for (const entry of entries) {
      if (entry.seq > this.#durableSeq) this.#durableSeq = entry.seq;
      this.recent.append(entry);
    }
  }

  /** Only the first failure of a generation reads the state again; the others wait for it. */
  async #reload(generation: number): Promise<void> {
    if (generation === this.#generation) {
      this.#generation += 1;
      this.#reloading = this.#readAgain().finally(() => {
        this.#reloading = undefined;
      });
    }
    await this.#reloading;
  }

  async #readAgain(): Promise<void> {
    const state = await readState(this.#store, this.#state.self, this.conversation);
    if (state === undefined) throw new InvariantError('a loaded conversation is not in the store');
    this.#state = state;
    this.#durableSeq = state.headSeq;
    this.#group = undefined;
    this.recent.clear();
  }
}

/** The same id twice in one write would make all of it a conflict, again and again. */
function hasRoom({ entries, bytes }: Batch, entry: LinkedEntry): boolean {
  const fits = entries.length < BATCH_ENTRIES_MAX && bytes + entry.body.length <= BATCH_BYTES_MAX;
  return fits && entries.every((one) => one.messageId !== entry.messageId);
}

/** The hub's proposal freezes, and the commit that carries it out thaws, in the transaction of its entry. */
function refreeze(before: ConversationState, { state }: PlannedAppend): readonly StoreWrite[] {
  if (before.frozen === state.frozen) return [];
  return [{ op: 'conversation.freeze', conversationId: state.conversation, frozen: state.frozen }];
}

function logAppend(before: ConversationState, planned: PlannedAppend): LogAppend {
  const { change, group, entries, state } = planned;
  const base = {
    op: 'log.append',
    conversationId: state.conversation,
    expectedHeadSeq: before.headSeq,
    entries,
  } as const;
  if (change === undefined) return group === undefined ? base : { ...base, view: group.serialize() };
  if (group === undefined) throw new InvariantError('a commit is stored with the group after it');
  const added = change.added.map(({ deviceId, user, leafIndex, joinedSeq }) =>
    memberRow(state.self, { deviceId, user, leafIndex, joinedSeq }),
  );
  return {
    ...base,
    commit: {
      expectedEpoch: before.epoch,
      epoch: change.epoch,
      view: group.serialize(),
      added,
      removed: change.removed,
    },
  };
}

export function memberRow(self: Domain, member: Omit<MemberRow, 'local'>): MemberRow {
  return { ...member, local: domainOf(member.user) === self };
}

async function readState(
  store: Store,
  self: Domain,
  conversation: ConversationId,
): Promise<ConversationState | undefined> {
  const row = await store.read.conversation(conversation);
  if (row === undefined) return undefined;
  const members = await store.read.members(conversation);
  const { hub, label, floor, frozen, epoch, epochSeq, headSeq, headHash } = row;
  return restoreConversation(
    { self, conversation, hub, label, floor, frozen, epoch, epochSeq, headSeq, headHash },
    members,
  );
}
