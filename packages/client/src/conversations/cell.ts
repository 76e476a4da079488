import type { MlsGroup } from '@norc/mls';
import {
  type ConversationId,
  type Instant,
  instant,
  type MessageId,
  type Result,
  sameBytes,
} from '@norc/protocol/base';
import { COMMIT_IDLE, type CommitState } from '@norc/protocol/norc-c';
import type { ClientWrite } from '../store/port.ts';
import type { ConversationRow, OutgoingIntent, OutgoingRow } from '../store/rows.ts';
import type { Batch, Place } from './batch.ts';
import type { EngineContext } from './context.ts';
import { eventsOf } from './events.ts';
import type { ClaimedPackages } from './packages.ts';

export type CommitIntentRow = Exclude<OutgoingIntent, { type: 'message' }>;

/** Something that takes a commit, in memory. Its row in the outgoing queue outlives it. */
export interface Wish {
  /** Of its row; another one for each attempt, so that an answer names the attempt that it is about. */
  rowId: MessageId;
  readonly intent: CommitIntentRow;
  /** Of an update: pointless once this epoch is over. */
  readonly forEpoch?: number;
  /** Claimed for a former attempt, whose Welcome nobody got. */
  packages?: ClaimedPackages;
  readonly settle: ((outcome: Result<void>) => void)[];
}

export function isCommitRow(row: OutgoingRow): row is OutgoingRow & { readonly intent: CommitIntentRow } {
  return row.intent.type !== 'message';
}

const NO_HASH = new Uint8Array(0);

/**
 * One conversation in memory: what the store says, and what only this run knows.
 * Changed inside its conversation's queue alone. Whenever a step fails half way,
 * `forget` throws everything away that came from the store, and the next step reads it again.
 */
export class Cell {
  readonly id: ConversationId;
  readonly #ctx: EngineContext;
  #loaded = false;

  // ---- from the store ----

  /** Absent until the first entry is taken in: while it is being created, and when it cannot be joined. */
  row: ConversationRow | undefined;
  group: MlsGroup | undefined;
  /** In the order in which they were put. */
  outgoing: readonly OutgoingRow[] = [];
  commit: CommitState<Wish> = COMMIT_IDLE;
  readonly wishes = new Map<MessageId, Wish>();

  // ---- of this run ----

  /** Own messages that were sent and not answered, or are in the server's or hub's hands: not sent again in this session. */
  readonly underWay = new Set<MessageId>();
  /** Own messages that the hub has ordered further on than this device has read. By place. */
  readonly ordered = new Map<number, OrderedAck>();
  /** No message is sent before, by the server's wish. */
  heldUntil: Instant = instant(0);
  /** The hub takes no more messages of this epoch. */
  closedEpoch = -1;
  /** The hub waits for a removal in this epoch; without one, it may have thawed by then. */
  frozenEpoch = -1;
  frozenUntil: Instant = instant(0);
  /** This epoch's keys are used up: a commit comes first. */
  wornEpoch = -1;
  /** A fork was shown: nothing is taken or sent until the next session. */
  stalled = false;
  /** A Welcome could not be opened, or never came; said once in a session. */
  ignored = false;

  constructor(ctx: EngineContext, id: ConversationId) {
    this.#ctx = ctx;
    this.id = id;
  }

  get isLoaded(): boolean {
    return this.#loaded;
  }

  get place(): Place {
    return this.row === undefined ? { seq: 0, hash: NO_HASH } : { seq: this.row.cursorSeq, hash: this.row.cursorHash };
  }

  /** Whether this device can take part. */
  get isOpen(): boolean {
    return this.row?.standing === 'open' && this.group?.active === true && !this.stalled;
  }

  async load(): Promise<void> {
    if (this.#loaded) return;
    const { store, mls, identity } = this.#ctx;
    this.row = await store.read.conversation(this.id);
    const group = await store.read.group(this.id);
    const ratchets = await store.read.meta(ratchetsKey(this.id));
    this.group = group === undefined ? undefined : mls.restore(group.state, identity, ratchets);
    this.outgoing = (await store.read.outgoing()).filter((item) => item.conversationId === this.id);
    this.commit = this.#storedCommit();
    this.#loaded = true;
  }

  /** What came from the store may not be what is in it any more. */
  forget(): void {
    this.#loaded = false;
    this.row = undefined;
    this.group = undefined;
    this.outgoing = [];
    this.commit = COMMIT_IDLE;
  }

  /** A new connection: what was under way on the old one has to be asked about again. */
  sessionEnded(): void {
    this.underWay.clear();
    this.ordered.clear();
    this.stalled = false;
    this.ignored = false;
    this.heldUntil = instant(0);
    this.frozenEpoch = -1;
  }

  /**
   * Stores a batch as one transaction, then tells. Throws StoreError, and
   * StoreConflictError when somebody else writes to this profile.
   */
  async store(batch: Batch): Promise<void> {
    const writes = [...batch.writes, ...this.#groupWrites(batch), ...this.#cursorWrites(batch)];
    if (writes.length > 0) {
      const outcome = await this.#ctx.store.transact(writes);
      if (!outcome.ok) throw new StoreConflictError(outcome.conflict);
      for (const write of writes) this.#mirror(write);
      for (const event of eventsOf(writes, outcome.duplicates)) this.#ctx.emit(event);
    }
    for (const run of batch.after) run();
  }

  #groupWrites({ group: change }: Batch): ClientWrite[] {
    const { group, id } = this;
    if (group === undefined || change === 'none') return [];
    if (change === 'ratchets') {
      return [{ op: 'meta.put', key: ratchetsKey(id), value: group.serializeRatchets() }];
    }
    // Ratchets of another life of the group would not fit this state.
    return [
      { op: 'group.put', group: { conversationId: id, epoch: group.epoch, state: group.serialize() } },
      { op: 'meta.delete', key: ratchetsKey(id) },
    ];
  }

  #cursorWrites({ place }: Batch): ClientWrite[] {
    if (place === undefined) return [];
    const { id } = this;
    return [{ op: 'cursor.advance', conversationId: id, expectedSeq: this.place.seq, ...place }];
  }

  /** The same in memory as it is now on disk. */
  #mirror(write: ClientWrite): void {
    switch (write.op) {
      case 'conversation.put': {
        const position = this.row ?? { cursorSeq: 0, cursorHash: NO_HASH, readSeq: 0 };
        const { cursorSeq, cursorHash, readSeq } = position;
        this.row = { ...write.conversation, cursorSeq, cursorHash, readSeq };
        return;
      }
      case 'cursor.advance':
        if (this.row !== undefined) this.row = { ...this.row, cursorSeq: write.seq, cursorHash: write.hash };
        return;
      case 'readMarker.advance':
        if (this.row !== undefined) this.row = { ...this.row, readSeq: Math.max(this.row.readSeq, write.seq) };
        return;
      case 'outgoing.put':
        this.outgoing = this.outgoing.some(({ id }) => id === write.item.id)
          ? this.outgoing.map((item) => (item.id === write.item.id ? write.item : item))
          : [...this.outgoing, write.item];
        return;
      case 'outgoing.delete':
        this.outgoing = this.outgoing.filter(({ id }) => id !== write.id);
        return;
      default:
        return;
    }
  }

  /** The commit machine's state after a restart: what was stored with the group. */
  #storedCommit(): CommitState<Wish> {
    const pending = this.group?.pending;
    const rows = this.outgoing.filter(isCommitRow);
    // Wishes may have been queued before the one whose commit was sent.
    const sent = rows.find(({ sealed }) => isOf(sealed, pending));
    const row = sent ?? rows[0];
    if (row === undefined) return COMMIT_IDLE;
    const wish = this.wishFor(row);
    const { sealed, attempts: attempt } = row;
    if (sent === undefined || sealed === undefined) {
      return { state: 'building', intent: wish, attempt };
    }
    const commitHash = this.#ctx.crypto.blake3(sealed.bytes);
    const resendAt = this.#ctx.clock.now();
    return { state: 'pending', intent: wish, attempt, messageId: row.id, epoch: sealed.epoch, commitHash, resendAt };
  }

  wishFor(row: OutgoingRow & { readonly intent: CommitIntentRow }): Wish {
    const known = this.wishes.get(row.id);
    if (known !== undefined) return known;
    const wish: Wish = { rowId: row.id, intent: row.intent, settle: [] };
    this.wishes.set(row.id, wish);
    return wish;
  }
}

function isOf(sealed: OutgoingRow['sealed'], pending: MlsGroup['pending']): boolean {
  return sealed !== undefined && pending !== undefined && sameBytes(pending.commit, sealed.bytes);
}

/** What an acknowledgment said of an own message's place. */
export interface OrderedAck {
  readonly messageId: MessageId;
  /** Absent: the entry itself will come. */
  readonly proof: { readonly hash: Uint8Array; readonly storedAt: Instant } | undefined;
}

/** Another process, or a bug of ours, wrote where only this queue writes. */
export class StoreConflictError extends Error {
  override readonly name = 'StoreConflictError';
  constructor(conflict: ClientWrite['op']) {
    super(`conflict at ${conflict}`);
  }
}

export function ratchetsKey(id: ConversationId): string {
  return `ratchets:${id}`;
}
