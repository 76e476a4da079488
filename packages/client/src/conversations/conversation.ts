import type { Member, MlsGroup } from '@norc/mls';
import {
  type ConversationId,
  type DeviceId,
  type Domain,
  errorNameOf,
  type Label,
  type MessageId,
  ok,
  type Result,
  reject,
  type UserAddress,
} from '@norc/protocol/base';
import type { MessageContent, NorcCBody } from '@norc/protocol/norc-c';
import type { ClientWrite } from '../store/port.ts';
import { organisationsIn } from '../trust/level-check.ts';
import { Batch } from './batch.ts';
import { Cell, type CommitIntentRow } from './cell.ts';
import { CommitDriver } from './commit-driver.ts';
import type { EngineContext } from './context.ts';
import { Housekeeping, type OwnDevices } from './housekeeping.ts';
import { LogReader } from './log-reader.ts';
import { Outbox } from './outbox.ts';
import type { ClaimedPackages } from './packages.ts';
import { takeClosing } from './take-closing.ts';
import { devicesOf } from './turns.ts';

export interface ConversationPort {
  readonly acknowledge: (conversation: ConversationId, seq: number) => void;
  readonly ownDevices: () => OwnDevices | undefined;
  /** It was refused before it began. */
  readonly discarded: (conversation: ConversationId) => void;
  /** Something this device says by itself, such as a title for newcomers. */
  readonly control: (action: 'rename' | 'leave', text?: string) => MessageContent;
  /** A Welcome used a KeyPackage up. */
  readonly packageUsed: () => void;
}

/** One conversation of this device: a queue of steps, each whole or not at all, and what runs in it. */
export class Conversation {
  readonly cell: Cell;
  readonly driver: CommitDriver;
  readonly #ctx: EngineContext;
  readonly #port: ConversationPort;
  readonly #reader: LogReader;
  readonly #outbox: Outbox;
  readonly #housekeeping: Housekeeping;
  #tail: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(ctx: EngineContext, id: ConversationId, port: ConversationPort) {
    this.#ctx = ctx;
    this.#port = port;
    this.cell = new Cell(ctx, id);
    const run = (step: () => Promise<void>) => this.#enqueue(step);
    this.driver = new CommitDriver(ctx, this.cell, {
      run,
      behind: () => run(async () => this.#reader.ask()),
      settled: () => run(() => this.#settled()),
      discarded: () => port.discarded(id),
    });
    this.#housekeeping = new Housekeeping(ctx, this.cell, this.driver, port.ownDevices, run);
    this.#outbox = new Outbox(ctx, this.cell, {
      run,
      commitFirst: (epoch) => run(() => this.#housekeeping.commitFirst(epoch)),
      behind: () => run(async () => this.#reader.ask()),
      ordered: () => run(() => this.#reader.drain()),
    });
    this.#reader = new LogReader(ctx, this.cell, {
      run,
      driver: this.driver,
      hooks: {
        leaving: (user) => this.#housekeeping.leaving(user),
        membersChanged: () => this.#membersChanged(),
        proposed: () => this.#housekeeping.proposed(),
        welcomed: (batch) => this.#tellTitle(batch),
        joined: port.packageUsed,
      },
      acknowledge: (seq) => port.acknowledge(id, seq),
      advanced: () => this.#outbox.pump(),
      caughtUp: () => this.#caughtUp(),
    });
  }

  // ---- the queue ----

  /** Runs a step after all that were asked for before it. What it throws is thrown to the caller and reported. */
  run<T>(step: () => Promise<T>): Promise<T> {
    const running = this.#tail.then(async () => {
      if (this.#closed) throw new ClosedError();
      await this.cell.load();
      return await step();
    });
    this.#tail = running.catch((fault: unknown) => {
      // Half of a step may be in memory: the next one begins with what is stored.
      this.cell.forget();
      if (fault instanceof ClosedError) return;
      this.driver.abandon('internal');
      this.#ctx.fault(fault);
    });
    return running;
  }

  #enqueue(step: () => Promise<void>): void {
    this.run(step).catch(() => undefined); // reported by `run`
  }

  /** Nothing new begins; resolves when what runs has ended. */
  async close(): Promise<void> {
    this.#closed = true;
    this.driver.close();
    this.#reader.close();
    this.#outbox.close();
    this.#housekeeping.close();
    await this.#tail;
  }

  // ---- from the session ----

  pushed(body: NorcCBody<'log_entries'>): void {
    this.#enqueue(() => this.#reader.push(body));
  }

  acknowledged(body: NorcCBody<'message_ack'>): void {
    this.#outbox.acknowledged(body);
    const code = body.state === 'refused' ? (errorNameOf(body.code ?? 0) ?? 'internal') : undefined;
    if (code !== undefined) this.#enqueue(() => this.driver.refused(body.message_id, code));
  }

  /** What waits is sent; what was sent for an epoch is asked about first. */
  sessionReady(): void {
    this.#enqueue(async () => {
      if (this.cell.commit.state === 'idle') await this.driver.caughtUp();
      else this.#reader.ask();
      this.#housekeeping.proposed(); // what was heard before the last session ended, or the program did
      await this.#outbox.pump();
    });
  }

  async #caughtUp(): Promise<void> {
    await this.driver.caughtUp();
    this.#housekeeping.proposed();
    await this.#outbox.caughtUp();
  }

  /** A commit that came to nothing may have been the one that others waited for. */
  async #settled(): Promise<void> {
    this.#housekeeping.proposed();
    await this.#outbox.pump();
  }

  /** The own server says that nothing goes on here. */
  closed(closing: NorcCBody<'conversation_closed'>): void {
    this.#enqueue(() => takeClosing(this.#ctx, this.cell, this.#outbox, closing));
  }

  /** What was held back for this organisation is looked at again. */
  trustChanged(org: Domain): void {
    this.#enqueue(async () => {
      const { group } = this.cell;
      if (group?.active === true && organisationsIn(group).has(org)) await this.#outbox.trustChanged();
    });
  }

  sessionLost(): void {
    this.cell.sessionEnded();
    this.#reader.sessionEnded();
    this.#outbox.sessionEnded();
  }

  devicesChanged(): void {
    this.#enqueue(async () => this.#housekeeping.checkDevices());
  }

  #membersChanged(): void {
    this.#enqueue(async () => {
      if (this.cell.group?.active === false) {
        const batch = new Batch();
        this.#outbox.ended({ cause: 'conversation.left' }, batch);
        await this.cell.store(batch);
      }
      this.#housekeeping.checkDevices();
    });
  }

  #tellTitle(batch: Batch): void {
    const title = this.cell.row?.title;
    if (title !== undefined) batch.writes.push(this.#outbox.waiting(this.#port.control('rename', title)));
  }

  // ---- from the application ----

  /** Errors: forbidden when this device is no member, conversation_frozen while it is paused. */
  send(content: MessageContent, extra: readonly ClientWrite[] = []): Promise<Result<MessageId>> {
    return this.run(async () => {
      const closed = this.#whyClosed();
      if (closed !== undefined) return closed;
      await this.#outbox.post(content, extra);
      return ok(content.message_id);
    });
  }

  #whyClosed(): Result<never> | undefined {
    const { row, isOpen } = this.cell;
    if (isOpen) return undefined;
    if (row === undefined) throw new RangeError('no such conversation');
    return reject(CLOSED[row.standing], 'standing');
  }

  /**
   * Begins it: `group` is at epoch 0, and the first commit adds those whose packages
   * were claimed. Refused, nothing of it is left.
   */
  async begin(
    group: MlsGroup,
    label: Label,
    users: readonly UserAddress[],
    beginning: Beginning,
  ): Promise<Result<void>> {
    const { promise, resolve } = Promise.withResolvers<Result<void>>();
    await this.run(async () => {
      const batch = new Batch();
      this.cell.group = group;
      batch.groupChanged('whole');
      const { packages, title } = beginning;
      this.driver.want({ type: 'create', add: users, label }, batch, { packages, settle: resolve });
      if (title !== undefined) batch.writes.push(this.#outbox.waiting(this.#port.control('rename', title)));
      await this.cell.store(batch);
    });
    return await promise;
  }

  /** Resolves when the log shows it, or it was refused. Survives a restart, though nobody is told then. */
  async change(intent: CommitIntentRow): Promise<Result<void>> {
    const { promise, resolve } = Promise.withResolvers<Result<void>>();
    const started = await this.run(async () => {
      const closed = this.#whyClosed();
      if (closed !== undefined) return closed;
      const batch = new Batch();
      this.driver.want(intent, batch, { settle: resolve });
      await this.cell.store(batch);
      return ok(undefined);
    });
    return started.ok ? await promise : started;
  }

  /** Stores marks that are about no entry; a conversation that is not there has none. */
  mark(writes: readonly ClientWrite[]): Promise<void> {
    return this.run(async () => {
      if (this.cell.row === undefined || writes.length === 0) return;
      const batch = new Batch();
      batch.writes.push(...writes);
      await this.cell.store(batch);
    });
  }

  /** An own message that failed. Errors: as `send`; user_not_found when there is no such message. */
  resend(messageId: MessageId): Promise<Result<void>> {
    return this.run(async () => this.#whyClosed() ?? (await this.#outbox.again(messageId)));
  }

  discard(messageId: MessageId): Promise<void> {
    return this.run(() => this.#outbox.discard(messageId));
  }

  /** The group as it is now; without anybody after this device was removed. */
  members(): Promise<readonly Member[]> {
    return this.run(async () => {
      const { group } = this.cell;
      return group?.active === true ? group.members : [];
    });
  }

  /** Devices of this user in the group now. */
  async devicesOf(user: UserAddress): Promise<readonly DeviceId[]> {
    return devicesOf(await this.members(), (one) => one === user);
  }
}

export interface Beginning {
  readonly packages: ClaimedPackages;
  readonly title?: string;
}

/** Why a conversation takes nothing, by how it stands; an open one is about to be read to its end. */
const CLOSED = {
  open: 'conversation_frozen',
  paused: 'conversation_frozen',
  left: 'forbidden',
  closed: 'trust_revoked',
} as const;

class ClosedError extends Error {}
