import {
  type ErrorName,
  errorNameOf,
  type Instant,
  instant,
  LEVELS,
  type MessageId,
  ok,
  type Result,
  reject,
  retryDelayMilliseconds,
} from '@norc/protocol/base';
import { decodeContent, encodeContent, type MessageContent, type NorcCBody } from '@norc/protocol/norc-c';
import type { Acknowledgment } from '../session/ask.ts';
import { Alarm } from '../session/timers.ts';
import type { ClientWrite } from '../store/port.ts';
import type { MessageKey, MessageRow, OutgoingRow } from '../store/rows.ts';
import { type Problem, problemOfError } from '../timeline/causes.ts';
import { messageWrite } from '../timeline/take-in.ts';
import { type LevelRefusal, organisationsIn, refuseCarriage } from '../trust/level-check.ts';
import { Batch } from './batch.ts';
import type { Cell, OrderedAck } from './cell.ts';
import type { EngineContext } from './context.ts';
import { dispositionOf } from './dispositions.ts';

export interface OutboxPort {
  readonly run: (step: () => Promise<void>) => void;
  /** This epoch's keys are used up, or proposals wait: a commit has to come first. */
  readonly commitFirst: (epoch: number) => void;
  /** The log goes on elsewhere than this device has read. */
  readonly behind: () => void;
  /** An own message has a place that may be the next one to take in. */
  readonly ordered: () => void;
}

type Sealed = NonNullable<OutgoingRow['sealed']>;

const NO_HOLD: { readonly epoch: number; readonly until: number } = { epoch: -1, until: 0 };

/** Own messages of one conversation on their way: stored, sealed, sent in order, sent again until their fate is known. */
export class Outbox {
  readonly #ctx: EngineContext;
  readonly #cell: Cell;
  readonly #port: OutboxPort;
  readonly #held: Alarm;
  readonly #unanswered = new Set<MessageId>();
  /** Sealed during this session: nobody can have ordered them before they are sent in it. */
  readonly #fresh = new Set<MessageId>();
  /** Sent again, not knowing whether it was ordered: what comes after it waits for the answer. */
  #doubtful: MessageId | undefined;
  #waits = 0;
  /** Trust does not let this epoch's messages pass now. */
  #levelHold = NO_HOLD;
  /** Messages whose sender was told what they wait for. */
  readonly #toldWaits = new Map<MessageId, Problem['cause']>();

  constructor(ctx: EngineContext, cell: Cell, port: OutboxPort) {
    this.#ctx = ctx;
    this.#cell = cell;
    this.#port = port;
    this.#held = new Alarm(ctx.timers);
  }

  close(): void {
    this.#held.clear();
  }

  sessionEnded(): void {
    this.#unanswered.clear();
    this.#fresh.clear();
    this.#doubtful = undefined;
    this.#held.clear();
    this.#waits = 0;
    this.#levelHold = NO_HOLD;
  }

  // All that follows is called inside the conversation's queue.

  /**
   * Stores a message, and sends it when nothing is before it. Sealing goes into the
   * same transaction: what is said is safe before it leaves, at the price of one write.
   */
  async post(content: MessageContent, extra: readonly ClientWrite[] = []): Promise<void> {
    const row = this.#rowOf(content);
    const batch = new Batch();
    if (isShown(content)) batch.writes.push(messageWrite(this.#ownKey(row.id, true), content, encodeContent(content)));
    batch.writes.push(...extra);
    const isNext = this.#next() === undefined && this.#maySeal() && (await this.#levelRefusal()) === undefined;
    const sealed = isNext ? await this.#seal(row, batch) : undefined;
    if (sealed === undefined) batch.writes.push({ op: 'outgoing.put', item: row });
    await this.#cell.store(batch);
    await this.pump();
  }

  /** A failed message once more, under the id that it had. Errors: user_not_found when there is none. */
  async again(messageId: MessageId): Promise<Result<void>> {
    const row = await this.#failed(messageId);
    const content = row?.body.type === 'content' ? decodeContent(row.body.content) : undefined;
    if (content?.ok !== true) return reject('user_not_found', 'message');
    const batch = new Batch();
    const key = keyOf(this.#ownKey(messageId, false));
    batch.writes.push({ op: 'message.state', key, state: { state: 'sending' } }, this.waiting(content.value));
    await this.#cell.store(batch);
    await this.pump();
    return ok(undefined);
  }

  async discard(messageId: MessageId): Promise<void> {
    if ((await this.#failed(messageId)) === undefined) return;
    const batch = new Batch();
    batch.writes.push({ op: 'message.discard', key: keyOf(this.#ownKey(messageId, false)) });
    await this.#cell.store(batch);
  }

  async #failed(messageId: MessageId): Promise<MessageRow | undefined> {
    const row = await this.#ctx.store.read.message(keyOf(this.#ownKey(messageId, false)));
    return row?.state?.state === 'failed' ? row : undefined;
  }

  /** For a message that goes out as soon as the conversation has begun. */
  waiting(content: MessageContent): ClientWrite {
    return { op: 'outgoing.put', item: this.#rowOf(content) };
  }

  #rowOf(content: MessageContent): OutgoingRow {
    const { id: conversationId } = this.#cell;
    const intent = { type: 'message', content: encodeContent(content) } as const;
    return { id: content.message_id, conversationId, intent, createdAt: this.#ctx.clock.now(), attempts: 0 };
  }

  #ownKey(messageId: MessageId, sending: boolean) {
    const { user, deviceId: sender } = this.#ctx.self;
    const state = sending ? { state: { state: 'sending' } as const } : {};
    return { conversationId: this.#cell.id, sender, messageId, user, ...state };
  }

  /** Sends what may be sent now. */
  async pump(): Promise<void> {
    for (let row = this.#next(); row !== undefined; row = this.#next()) {
      if (!this.#maySeal()) return;
      const refused = await this.#levelRefusal();
      if (refused !== undefined) {
        if (await this.#holdBack(row, refused)) return;
        continue;
      }
      const doubtful = this.#isDoubtful(row);
      const sealed = row.sealed?.epoch === this.#cell.group?.epoch ? row.sealed : await this.#sealNow(row);
      if (sealed === undefined) return;
      this.#submit(row.id, sealed, doubtful);
    }
  }

  /**
   * The first that is not under way, as long as there is room. Of what an earlier connection took
   * nobody knows how much was ordered: such messages go one by one, or a later one that the hub
   * can take at once would come before an earlier one that it has to look up.
   */
  #next(): OutgoingRow | undefined {
    if (!this.#ctx.session.isReady || this.#unanswered.size >= this.#ctx.policy.messagesInFlightMax) return undefined;
    if (this.#doubtful !== undefined) return undefined;
    const row = this.#cell.outgoing.find(({ id, intent }) => intent.type === 'message' && !this.#cell.underWay.has(id));
    const alone = row !== undefined && this.#isDoubtful(row);
    return alone && this.#unanswered.size > 0 ? undefined : row;
  }

  #isDoubtful({ id, sealed }: OutgoingRow): boolean {
    return sealed !== undefined && !this.#fresh.has(id);
  }

  /** Whether a message of the present epoch can be taken by the hub; if not, sees to it that it soon can. */
  #maySeal(): boolean {
    const { group, isOpen, closedEpoch, wornEpoch } = this.#cell;
    if (!isOpen || group === undefined || !this.#ctx.session.isReady) return false;
    if (group.epoch === 0) return false; // its first commit is under way
    const now = this.#ctx.clock.now();
    const heldUntil = this.#heldUntil(group.epoch);
    if (now < heldUntil) {
      this.#held.set(heldUntil - now, () => this.#port.run(() => this.pump()));
      return false;
    }
    if (group.epoch <= closedEpoch) {
      this.#port.behind();
      return false;
    }
    const worn = group.epoch <= wornEpoch || group.messagesInEpoch >= LEVELS[group.settings.level].epochMessagesMax;
    if (!worn && !group.hasProposals) return true;
    this.#port.commitFirst(group.epoch);
    return false;
  }

  #heldUntil(epoch: number): number {
    const { heldUntil, frozenEpoch, frozenUntil } = this.#cell;
    const byHub = epoch <= frozenEpoch ? Math.max(heldUntil, frozenUntil) : heldUntil;
    return epoch === this.#levelHold.epoch ? Math.max(byHub, this.#levelHold.until) : byHub;
  }

  /** Whether every organisation in the group may have what is said here: asked before each sending [DEV-14]. */
  async #levelRefusal(): Promise<LevelRefusal | undefined> {
    const { group, row } = this.#cell;
    if (group === undefined || row === undefined) return undefined;
    const carriage = { label: row.label, floor: group.settings.level };
    return await refuseCarriage(this.#ctx.anchors, organisationsIn(group), carriage);
  }

  /** Fails what nothing but a decision can let pass; `true` when the rest waits. */
  async #holdBack(row: OutgoingRow, { passes, problem }: LevelRefusal): Promise<boolean> {
    const batch = new Batch();
    if (passes === 'never') this.#fail(row.id, problem, batch);
    else {
      const epoch = this.#cell.group?.epoch ?? 0;
      this.#levelHold = { epoch, until: this.#later(undefined) };
      this.#held.set(this.#levelHold.until - this.#ctx.clock.now(), () => this.#port.run(() => this.pump()));
      this.#tellWaits(row.id, problem, batch);
    }
    await this.#cell.store(batch);
    return passes !== 'never';
  }

  /** Once for each message and cause. */
  #tellWaits(id: MessageId, waits: Problem, batch: Batch): void {
    if (this.#toldWaits.get(id) === waits.cause) return;
    this.#toldWaits.set(id, waits.cause);
    const key = keyOf(this.#ownKey(id, false));
    batch.writes.push({ op: 'message.state', key, state: { state: 'sending', waits } });
  }

  /** The own server said that trust changed: what was held back for it is tried again. */
  async trustChanged(): Promise<void> {
    this.#levelHold = NO_HOLD;
    this.#waits = 0;
    await this.pump();
  }

  async #sealNow(row: OutgoingRow): Promise<Sealed | undefined> {
    const batch = new Batch();
    if (this.#toldWaits.delete(row.id)) {
      const key = keyOf(this.#ownKey(row.id, false));
      batch.writes.push({ op: 'message.state', key, state: { state: 'sending' } });
    }
    const sealed = await this.#seal(row, batch);
    await this.#cell.store(batch);
    return sealed;
  }

  /** A key is spent: what it sealed is stored before it leaves, so that it never seals anything else. */
  async #seal(row: OutgoingRow, batch: Batch): Promise<Sealed | undefined> {
    const { group, row: conversation, id } = this.#cell;
    const content = row.intent.type === 'message' ? decodeContent(row.intent.content) : undefined;
    if (group === undefined || conversation === undefined || content?.ok !== true) return undefined;
    const data = { label: conversation.label, conversation: id, messageId: row.id };
    const bytes = await group.encrypt(content.value, data);
    if (!bytes.ok) {
      this.#fail(row.id, problemOfError(bytes.error.code), batch);
      return undefined;
    }
    batch.groupChanged('ratchets');
    this.#fresh.add(row.id);
    const sealed = { epoch: group.epoch, bytes: bytes.value };
    batch.writes.push({ op: 'outgoing.put', item: { ...row, attempts: row.attempts + 1, sealed } });
    return sealed;
  }

  #submit(id: MessageId, { epoch, bytes: body }: Sealed, doubtful: boolean): void {
    this.#cell.underWay.add(id);
    this.#unanswered.add(id);
    if (doubtful) this.#doubtful = id;
    const { id: conversation } = this.#cell;
    this.#ctx.session.ask('message_send', { conversation, body }, (answer) => this.#answered(id, epoch, answer));
  }

  #answered(id: MessageId, epoch: number, answer: Acknowledgment): void {
    this.#unanswered.delete(id);
    if (this.#doubtful === id) this.#doubtful = undefined;
    if (answer.ok) {
      this.acknowledged(answer.value);
      return;
    }
    const { fate, code, retryAfterMilliseconds } = answer.error;
    if (fate === 'refused') {
      this.#port.run(() => this.#refused(id, epoch, code, retryAfterMilliseconds));
      return;
    }
    // Nothing is known of it: the same bytes again. At once out of the way, so that those which
    // were sent after it, and of which nothing was heard either, do not come before it.
    this.#cell.underWay.delete(id);
    this.#fresh.delete(id);
    this.#port.run(() => this.pump());
  }

  /** An acknowledgment, as an answer or later by itself. */
  acknowledged({ message_id: id, state, seq, hash, stored_at: storedAt, code }: NorcCBody<'message_ack'>): void {
    if (state === 'refused') this.#port.run(() => this.#refusedLater(id, errorNameOf(code ?? 0) ?? 'internal'));
    else if (state === 'queued') this.#port.run(() => this.#queued(id));
    else if (seq !== undefined) this.#port.run(() => this.#ordered(id, seq, proofOf(hash, storedAt)));
  }

  async #queued(messageId: MessageId): Promise<void> {
    if (!this.#isWaiting(messageId)) return;
    this.#waits = 0;
    const batch = new Batch();
    const key = this.#ownKey(messageId, false);
    batch.writes.push({ op: 'message.state', key: keyOf(key), state: { state: 'accepted' } });
    await this.#cell.store(batch);
    await this.pump();
  }

  /** With its entry's hash it stands for the entry; without, the entry is on its way like anybody's [C-8]. */
  async #ordered(messageId: MessageId, seq: number, proof: OrderedAck['proof']): Promise<void> {
    this.#waits = 0;
    if (seq > this.#cell.place.seq && this.#isWaiting(messageId)) {
      this.#cell.ordered.set(seq, { messageId, proof });
      this.#port.ordered();
    }
    await this.pump();
  }

  #isWaiting(messageId: MessageId): boolean {
    return this.#cell.outgoing.some(({ id, intent }) => id === messageId && intent.type === 'message');
  }

  async #refusedLater(id: MessageId, code: ErrorName): Promise<void> {
    const row = this.#cell.outgoing.find((item) => item.id === id && item.intent.type === 'message');
    if (row?.sealed !== undefined) await this.#refused(id, row.sealed.epoch, code, undefined);
  }

  async #refused(id: MessageId, epoch: number, code: ErrorName, retryAfter: number | undefined): Promise<void> {
    const cell = this.#cell;
    cell.underWay.delete(id);
    if (!cell.outgoing.some((row) => row.id === id)) return; // the log has shown it meanwhile
    switch (dispositionOf(code)) {
      case 'reseal':
        cell.closedEpoch = Math.max(cell.closedEpoch, epoch);
        break;
      case 'rekey':
        cell.wornEpoch = Math.max(cell.wornEpoch, epoch);
        break;
      case 'frozen':
        cell.frozenEpoch = Math.max(cell.frozenEpoch, epoch);
        cell.frozenUntil = this.#later(retryAfter);
        break;
      case 'wait':
        cell.heldUntil = this.#later(retryAfter);
        break;
      case 'refused': {
        const batch = new Batch();
        this.#fail(id, problemOfError(code), batch);
        await cell.store(batch);
      }
    }
    await this.pump();
  }

  #later(retryAfter: number | undefined): Instant {
    const { clock, random } = this.#ctx;
    const delay = retryAfter ?? retryDelayMilliseconds(this.#waits, random);
    this.#waits += 1;
    return instant(clock.now() + delay);
  }

  /** It stays with its words, so that it can be sent again or thrown away. */
  #fail(messageId: MessageId, problem: Problem, batch: Batch): void {
    const key = keyOf(this.#ownKey(messageId, false));
    batch.writes.push({ op: 'message.state', key, state: { state: 'failed', problem } });
    batch.writes.push({ op: 'outgoing.delete', id: messageId });
  }

  /**
   * The log is read to its end. An epoch that the hub refused and that is still the
   * last one was refused to something older that lay in a queue: it is tried again.
   */
  async caughtUp(): Promise<void> {
    const { cell, ctx } = { cell: this.#cell, ctx: this.#ctx };
    if (cell.group !== undefined && cell.group.epoch <= cell.closedEpoch) {
      cell.closedEpoch = -1;
      cell.heldUntil = instant(ctx.clock.now() + retryDelayMilliseconds(this.#waits, ctx.random));
      this.#waits += 1;
    }
    await this.pump();
  }

  /** This device is no member any more, or nothing goes on here: what waits will not be ordered. */
  ended(problem: Problem, batch: Batch): void {
    for (const row of this.#cell.outgoing) {
      if (row.intent.type === 'message') this.#fail(row.id, problem, batch);
    }
  }
}

function proofOf(hash: Uint8Array | undefined, storedAt: number | undefined): OrderedAck['proof'] {
  return hash === undefined || storedAt === undefined ? undefined : { hash, storedAt: instant(storedAt) };
}

/** Whether the sender's own timeline shows it before it has its place. */
function isShown({ kind }: MessageContent): boolean {
  return kind === 'text' || kind === 'file' || kind === 'reaction' || kind === 'edit' || kind === 'delete';
}

function keyOf({ conversationId, sender, messageId }: MessageKey): MessageKey {
  return { conversationId, sender, messageId };
}
