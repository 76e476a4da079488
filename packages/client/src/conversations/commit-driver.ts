import type { Member } from '@norc/mls';
import {
  domainOf,
  type ErrorName,
  type MessageId,
  ok,
  type Result,
  reject,
  type UserAddress,
} from '@norc/protocol/base';
import { type CommitEffect, type CommitEvent, type CommitStep, commitWakeAt, stepCommit } from '@norc/protocol/norc-c';
import type { LogEntry } from '@norc/protocol/norc-f';
import type { Acknowledgment } from '../session/ask.ts';
import { Alarm } from '../session/timers.ts';
import { refuseMembership } from '../trust/level-check.ts';
import { Batch } from './batch.ts';
import { type Cell, type CommitIntentRow, isCommitRow, type Wish } from './cell.ts';
import { commitFor, creation, refusalIn, submission, usersOf } from './commit-parts.ts';
import type { EngineContext } from './context.ts';
import { mayOpenLater } from './dispositions.ts';
import { timeOrderedId } from './message-ids.ts';
import { type ClaimedPackages, type ClaimFailure, claimPackages } from './packages.ts';

export interface DriverPort {
  /** Runs a step in the conversation's queue, after it is loaded; a failure was dealt with there. */
  readonly run: (step: () => Promise<void>) => void;
  /** The log goes on elsewhere than this device has read. */
  readonly behind: () => void;
  /** A commit was decided one way or the other: messages may go on. */
  readonly settled: () => void;
  /** The conversation was refused before it began: nothing of it is left. */
  readonly discarded: () => void;
}

/** What a commit of ours did, now that the log shows it. */
export interface Adopted {
  readonly added: readonly Member[];
  readonly removed: readonly Member[];
}

const REBUILD_MS = 5_000;

/** Carries out what the commit machine of norc-c says, with the engine, the store and the session of one conversation. */
export class CommitDriver {
  readonly #ctx: EngineContext;
  readonly #cell: Cell;
  readonly #port: DriverPort;
  readonly #wake: Alarm;
  readonly #rebuild: Alarm;
  #gathering: Wish | undefined;

  constructor(ctx: EngineContext, cell: Cell, port: DriverPort) {
    this.#ctx = ctx;
    this.#cell = cell;
    this.#port = port;
    this.#wake = new Alarm(ctx.timers);
    this.#rebuild = new Alarm(ctx.timers);
  }

  close(): void {
    this.#wake.clear();
    this.#rebuild.clear();
    this.abandon('shutting_down');
  }

  /** Whoever waits for an outcome is told that this program will not learn it. What is stored goes on. */
  abandon(code: ErrorName): void {
    const wishes = [...this.#cell.wishes.values()];
    this.#cell.wishes.clear();
    for (const wish of wishes) settle(wish, reject(code, 'outcome is not known'));
  }

  // All that follows is called inside the conversation's queue.

  /** Queues a wish; it survives restarts. `packages` where they were claimed already. */
  want(
    intent: CommitIntentRow,
    batch: Batch,
    more: {
      readonly packages?: ClaimedPackages;
      readonly forEpoch?: number;
      readonly settle?: Wish['settle'][number];
    } = {},
  ): MessageId {
    const rowId = this.#newId();
    const { settle: told, ...known } = more;
    const wish: Wish = { rowId, intent, ...known, settle: told === undefined ? [] : [told] };
    this.#cell.wishes.set(rowId, wish);
    this.#putRow(wish, 0, batch);
    batch.after.push(() => this.#port.run(() => this.#startNext()));
    return rowId;
  }

  /** Whether a wish of this kind waits or is under way: asking for the same again adds nothing. */
  wants(type: CommitIntentRow['type']): boolean {
    return this.#cell.outgoing.some((row) => row.intent.type === type);
  }

  /** The log shows a commit. The group enters its epoch when it is ours, and is ready for it when it is not. */
  async commitOrdered(entry: LogEntry, batch: Batch): Promise<Adopted | undefined> {
    const commitHash = this.#ctx.crypto.blake3(entry.body);
    const { messageId, epoch } = entry;
    const pending = this.#cell.group?.pending;
    const step = this.#step({ kind: 'commit_ordered', messageId, epoch, commitHash });
    await this.#carryOut(step, batch);
    batch.after.push(() => this.#port.run(() => this.#tick()));
    return step.effects.some((effect) => effect.do === 'adopt') ? pending : undefined;
  }

  /** The hub wants somebody out: a commit of ours that does not know it is made again. */
  async proposalOrdered(epoch: number, batch: Batch): Promise<void> {
    await this.#carryOut(this.#step({ kind: 'superseded', epoch }), batch);
    batch.after.push(() => this.#port.run(() => this.#tick()));
  }

  /** This device was removed: what it wanted is over. */
  removed(batch: Batch): void {
    // The engine has erased a pending commit with everything else: only the state is left to change.
    this.#cell.commit = this.#step({ kind: 'removed' }).state;
    for (const row of this.#cell.outgoing.filter(isCommitRow)) {
      batch.writes.push({ op: 'outgoing.delete', id: row.id });
      const wish = this.#cell.wishes.get(row.id);
      if (wish !== undefined) this.#finish(wish, reject('forbidden', 'removed'), batch);
    }
  }

  /** The server says that the commit under this id will not be ordered. */
  async refused(messageId: MessageId, code: ErrorName): Promise<void> {
    await this.#event({ kind: 'refused', messageId, code });
  }

  /** Connected, and the log is read to its end. */
  async caughtUp(): Promise<void> {
    await this.#startNext();
    await this.#event({ kind: 'caught_up', epoch: this.#epoch });
  }

  async #tick(): Promise<void> {
    await this.#event({ kind: 'tick', epoch: this.#epoch });
  }

  async #startNext(): Promise<void> {
    const { commit, outgoing } = this.#cell;
    const row = outgoing.find(isCommitRow);
    if (commit.state !== 'idle' || row === undefined) return;
    await this.#event({ kind: 'wanted', intent: this.#cell.wishFor(row) });
  }

  get #epoch(): number {
    return this.#cell.group?.epoch ?? 0;
  }

  async #event(event: CommitEvent<Wish>): Promise<void> {
    const batch = new Batch();
    await this.#carryOut(this.#step(event), batch);
    await this.#cell.store(batch);
  }

  #step(event: CommitEvent<Wish>): CommitStep<Wish> {
    const { clock, random } = this.#ctx;
    return stepCommit(this.#cell.commit, event, clock.now(), random);
  }

  async #carryOut(step: CommitStep<Wish>, batch: Batch): Promise<void> {
    this.#cell.commit = step.state;
    for (const effect of step.effects) await this.#effect(effect, step, batch);
    const wakeAt = commitWakeAt(step.state);
    if (wakeAt === undefined) this.#wake.clear();
    else this.#wake.set(wakeAt - this.#ctx.clock.now(), () => this.#port.run(() => this.#tick()));
  }

  async #effect(effect: CommitEffect<Wish>, { state }: CommitStep<Wish>, batch: Batch): Promise<void> {
    switch (effect.do) {
      case 'build':
        batch.after.push(() => this.#gather(effect.intent));
        return;
      case 'send':
        batch.after.push(() => this.#submit(effect.messageId));
        return;
      case 'read':
        batch.after.push(this.#port.behind);
        return;
      case 'adopt':
        await this.#adopt(effect.messageId, batch);
        return;
      case 'abort':
        await this.#abort(batch);
        if (state.state === 'lost') this.#renew(state.intent, state.attempt, batch);
        return;
      case 'failed':
        this.#fail(effect.intent, effect.code, batch);
        return;
      case 'done':
        return; // `adopt` has finished the wish; a pointless one was finished by whoever said so
    }
  }

  // ---- building ----

  /** What has to be asked for is asked outside the queue: the log goes on meanwhile. */
  #gather(wish: Wish): void {
    const { intent } = wish;
    const users = usersOf(intent);
    if (users.length === 0 || wish.packages !== undefined) {
      this.#port.run(() => this.#build(wish, ok(wish.packages ?? { packages: [], unavailable: [] })));
      return;
    }
    if (this.#gathering === wish) return;
    this.#gathering = wish;
    void this.#claim(users)
      .then((claimed) => this.#port.run(() => this.#build(wish, claimed)), this.#ctx.fault)
      .finally(() => {
        this.#gathering = undefined;
      });
  }

  async #claim(users: readonly UserAddress[]): Promise<Result<ClaimedPackages, ClaimFailure>> {
    const floor = this.#cell.group?.settings.level;
    const orgs = new Set(users.map(domainOf));
    for (const org of orgs) {
      const known = await this.#ctx.anchors.standing(org);
      if (!known.ok)
        return {
          ok: false,
          error: { fate: known.error.code === 'no_route' ? 'lost' : 'refused', ...known.error, org },
        };
    }
    // The floor never falls: a lower organisation needs a conversation of its own [DEV-16].
    const label = this.#cell.row?.label ?? 'unclassified';
    const low = floor && (await refuseMembership(this.#ctx.anchors, orgs, { label, floor }));
    if (low !== undefined) return { ok: false, error: { fate: 'refused', ...low } };
    return await claimPackages(this.#ctx, users);
  }

  async #build(wish: Wish, claimed: Result<ClaimedPackages, ClaimFailure>): Promise<void> {
    const { commit, group } = this.#cell;
    if (commit.state !== 'building' || commit.intent !== wish || group === undefined) return;
    if (!claimed.ok) return await this.#unbuilt(wish, claimed.error);
    wish.packages = claimed.value;
    const wanted = commitFor(wish, claimed.value, group);
    if (!wanted.ok) return await this.#pointless(wish, wanted);
    if (wanted.value === undefined) return await this.#pointless(wish, ok(undefined));
    const label = this.#label(wish);
    const authenticatedData = { label, conversation: this.#cell.id, messageId: wish.rowId };
    const built = await group.prepareCommit({ ...wanted.value, authenticatedData });
    if (!built.ok) return await this.#unbuilt(wish, { fate: 'refused', ...built.error });
    const batch = new Batch();
    batch.groupChanged('whole');
    const bytes = built.value.commit;
    this.#putRow(wish, commit.attempt, batch, { epoch: group.epoch, bytes });
    const commitHash = this.#ctx.crypto.blake3(bytes);
    await this.#carryOut(this.#step({ kind: 'built', messageId: wish.rowId, epoch: group.epoch, commitHash }), batch);
    await this.#cell.store(batch);
  }

  #label({ intent }: Wish) {
    if (intent.type === 'create') return intent.label;
    return this.#cell.row?.label ?? 'unclassified';
  }

  /** Lost: the next connection asks again. Refused for now: soon. Refused: that is the answer. */
  async #unbuilt(wish: Wish, error: ClaimFailure): Promise<void> {
    if (error.fate !== 'refused') return;
    const wait = error.retryAfterMilliseconds;
    if (wait === undefined && !mayOpenLater(error.code)) return await this.#pointless(wish, { ok: false, error });
    this.#rebuild.set(wait ?? REBUILD_MS, () => this.#port.run(() => this.caughtUp()));
  }

  async #pointless(wish: Wish, outcome: Result<void>): Promise<void> {
    const batch = new Batch();
    const { row } = this.#cell;
    await this.#carryOut(this.#step({ kind: 'pointless' }), batch);
    if (wish.intent.type === 'create' && row === undefined) this.#discard(batch);
    else batch.writes.push({ op: 'outgoing.delete', id: wish.rowId });
    this.#finish(wish, outcome, batch);
    await this.#cell.store(batch);
  }

  // ---- sending ----

  #submit(messageId: MessageId): void {
    const { group, commit, id: conversation } = this.#cell;
    const pending = group?.pending;
    if (group === undefined || pending === undefined || commit.state !== 'pending') return;
    const done = (answer: Acknowledgment) => this.#answered(messageId, answer);
    const { intent } = commit.intent;
    if (intent.type === 'create') {
      this.#ctx.session.ask('conversation_create', creation(conversation, messageId, intent.label, pending), done);
    } else {
      this.#ctx.session.ask('commit_submit', submission(conversation, messageId, group, pending), done);
    }
  }

  /** Ordered or queued: the log will show it. Lost: asked about on the next connection. */
  #answered(messageId: MessageId, answer: Acknowledgment): void {
    const code = refusalIn(answer);
    if (code !== undefined) this.#port.run(() => this.refused(messageId, code));
  }

  // ---- the end of it ----

  async #adopt(messageId: MessageId, batch: Batch): Promise<void> {
    const { group } = this.#cell;
    const pending = group?.pending;
    if (group === undefined || pending === undefined) throw new RangeError('no commit is pending');
    await group.confirm(pending);
    batch.groupChanged('whole');
    batch.writes.push({ op: 'outgoing.delete', id: messageId });
    const wish = this.#cell.wishes.get(messageId);
    if (wish !== undefined) this.#finish(wish, ok(undefined), batch);
  }

  async #abort(batch: Batch): Promise<void> {
    const { group } = this.#cell;
    if (group?.pending === undefined) return;
    await group.abort(group.pending);
    batch.groupChanged('whole');
  }

  /** The next attempt is another commit, under another id. */
  #renew(wish: Wish, attempt: number, batch: Batch): void {
    batch.writes.push({ op: 'outgoing.delete', id: wish.rowId });
    this.#cell.wishes.delete(wish.rowId);
    wish.rowId = this.#newId();
    this.#cell.wishes.set(wish.rowId, wish);
    this.#putRow(wish, attempt, batch);
  }

  #fail(wish: Wish, code: ErrorName, batch: Batch): void {
    if (wish.intent.type === 'create' && this.#cell.row === undefined) this.#discard(batch);
    else batch.writes.push({ op: 'outgoing.delete', id: wish.rowId });
    this.#finish(wish, reject(code, 'commit'), batch);
  }

  /** A conversation that never began leaves nothing behind. */
  #discard(batch: Batch): void {
    const { id, outgoing } = this.#cell;
    this.#cell.group = undefined;
    batch.group = 'none';
    batch.writes.push({ op: 'group.delete', conversationId: id });
    for (const row of outgoing) batch.writes.push({ op: 'outgoing.delete', id: row.id });
    batch.after.push(this.#port.discarded);
  }

  #finish(wish: Wish, outcome: Result<void>, batch: Batch): void {
    this.#cell.wishes.delete(wish.rowId);
    batch.after.push(() => {
      settle(wish, outcome);
      this.#port.settled();
      this.#port.run(() => this.#startNext());
    });
  }

  #putRow(
    wish: Wish,
    attempts: number,
    batch: Batch,
    sealed?: { readonly epoch: number; readonly bytes: Uint8Array },
  ): void {
    const { rowId: id, intent } = wish;
    const row = { id, conversationId: this.#cell.id, intent, createdAt: this.#ctx.clock.now(), attempts };
    batch.writes.push({ op: 'outgoing.put', item: sealed === undefined ? row : { ...row, sealed } });
  }

  #newId(): MessageId {
    return timeOrderedId(this.#ctx.clock.now(), this.#ctx.random);
  }
}

function settle(wish: Wish, outcome: Result<void>): void {
  for (const told of wish.settle.splice(0)) told(outcome);
}
