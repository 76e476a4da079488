import { type Domain, ok, type Result, reject, retryDelayMilliseconds, sameBytes } from '@norc/protocol/base';
import type { NorcCBody } from '@norc/protocol/norc-c';
import { entryFromWire, genesisHead, type LogEntry, type LogHead, verifyEntry } from '@norc/protocol/norc-f';
import { Alarm } from '../session/timers.ts';
import { Batch, type Place } from './batch.ts';
import type { Cell, OrderedAck } from './cell.ts';
import type { CommitDriver } from './commit-driver.ts';
import type { EngineContext } from './context.ts';
import { takeCommit } from './take-commit.ts';
import { addProblem, isWhatItSays, type LogHooks, type Taken, takeMessage, takeOwnMessage } from './take-message.ts';
import { takeProposal } from './take-proposal.ts';

export interface ReaderPort {
  readonly run: (step: () => Promise<void>) => void;
  readonly driver: CommitDriver;
  readonly hooks: LogHooks;
  /** Everything up to here is stored. */
  readonly acknowledge: (seq: number) => void;
  /** Something was taken in: what waits for an epoch may go on. */
  readonly advanced: () => Promise<void>;
  /** The log is read to its end, as far as the server knows it. */
  readonly caughtUp: () => Promise<void>;
}

/** Hashes that are kept to compare repeated entries with. */
const HASHES_KEPT = 256;
/** Answers without what was asked for, until somebody is told. */
const PATIENCE = 3;

type Verdict = 'next' | 'repeated' | 'gap' | 'fork';

/** Takes one conversation's log in, strictly in order, each entry hashed onto the one before. */
export class LogReader {
  readonly #ctx: EngineContext;
  readonly #cell: Cell;
  readonly #port: ReaderPort;
  readonly #again: Alarm;
  readonly #gap: Alarm;
  readonly #hashes = new Map<number, Uint8Array>();
  #asking = false;
  #fruitless = 0;

  constructor(ctx: EngineContext, cell: Cell, port: ReaderPort) {
    this.#ctx = ctx;
    this.#cell = cell;
    this.#port = port;
    this.#again = new Alarm(ctx.timers);
    this.#gap = new Alarm(ctx.timers);
  }

  close(): void {
    this.#again.clear();
    this.#gap.clear();
  }

  sessionEnded(): void {
    this.close();
    this.#asking = false;
    this.#fruitless = 0;
  }

  // All that follows is called inside the conversation's queue.

  /** What the server pushed. */
  async push(body: NorcCBody<'log_entries'>): Promise<void> {
    const complete = await this.#take(body);
    if (!complete) this.ask();
  }

  /** Asks for what follows the cursor, again and again until the log is read to its end. */
  ask(): void {
    if (this.#asking || this.#again.isSet || this.#cell.stalled || !this.#ctx.session.isReady) return;
    this.#asking = true;
    const request = { conversation: this.#cell.id, after: this.#cell.place.seq };
    this.#ctx.session.ask('log_request', request, (answer) => {
      this.#asking = false;
      if (answer.ok) this.#port.run(() => this.#answered(answer.value));
      else if (answer.error.fate === 'refused') this.#port.run(() => this.#port.caughtUp());
    });
  }

  async #answered(body: NorcCBody<'log_entries'>): Promise<void> {
    const before = this.#cell.place.seq;
    await this.#take(body);
    const { seq } = this.#cell.place;
    if (seq >= body.head_seq || this.#cell.row === undefined) {
      this.#fruitless = 0;
      await this.#port.caughtUp();
    } else if (seq > before) this.ask();
    else this.#askLater();
  }

  /** The server says that there is more and does not give it, or it cannot be opened yet. */
  #askLater(): void {
    if (this.#cell.stalled) return;
    this.#fruitless += 1;
    if (this.#fruitless === PATIENCE) this.#warnWithheld();
    this.#again.set(retryDelayMilliseconds(this.#fruitless, this.#ctx.random), () => this.ask());
  }

  #warnWithheld(): void {
    const problem = { cause: 'server.failed' } as const;
    this.#ctx.emit({ type: 'warning', warning: 'log_withheld', problem, conversationId: this.#cell.id });
  }

  /** Takes in own messages whose acknowledgment says that they come next. */
  async drain(): Promise<void> {
    const batch = new Batch();
    const drained = await this.#drain(batch);
    await this.#store(batch);
    if (!drained) this.ask();
    else if (this.#cell.ordered.size > 0) this.#expectMore();
  }

  /** Others' entries before an own one are on their way; if they do not come, they are asked for. */
  #expectMore(): void {
    if (this.#gap.isSet) return;
    const { seq } = this.#cell.place;
    this.#gap.set(this.#ctx.policy.gapMilliseconds, () => {
      if (this.#cell.ordered.size > 0 && this.#cell.place.seq === seq) this.ask();
    });
  }

  /** Whether everything that came could be taken, now or before. */
  async #take({ hub, entries }: NorcCBody<'log_entries'>): Promise<boolean> {
    if (this.#cell.stalled) return true;
    const batch = new Batch();
    let complete = true;
    for (const wire of entries) {
      complete = await this.#drain(batch);
      if (!complete) break;
      const entry = entryFromWire(wire);
      const verdict = this.#verdict(hub, entry, batch);
      if (verdict === 'repeated') continue;
      const taken = verdict === 'next' ? await this.#takeOne(hub, entry, batch) : verdict;
      if (taken === 'fork') this.#stall();
      complete = taken === 'taken';
      if (!complete) break;
      if (entry.kind !== 'application') await this.#store(batch); // what follows is about another epoch
    }
    await this.#store(batch);
    if (this.#cell.row !== undefined) this.#port.acknowledge(this.#cell.place.seq);
    return (await this.#finish(batch)) && complete;
  }

  async #finish(batch: Batch): Promise<boolean> {
    const drained = await this.#drain(batch);
    await this.#store(batch);
    await this.#port.advanced();
    return drained;
  }

  async #takeOne(hub: Domain, entry: LogEntry, batch: Batch): Promise<Taken | 'gap'> {
    const taken = await this.#takeKind(hub, entry, batch);
    if (taken === 'blocked') {
      await this.#store(batch);
      this.#askLater();
      return taken;
    }
    const begins = this.#cell.row !== undefined || batch.writes.some((write) => write.op === 'conversation.put');
    if (begins) this.#placed(entry, batch);
    else {
      // Nothing to hold the cursor on: the server must not wait for this device all the same.
      if (!this.#cell.ignored) this.#warnWithheld();
      this.#cell.ignored = true;
      this.#port.acknowledge(entry.seq);
    }
    return taken;
  }

  async #takeKind(hub: Domain, entry: LogEntry, batch: Batch): Promise<Taken> {
    const { driver, hooks } = this.#port;
    switch (entry.kind) {
      case 'application':
        if (this.#cell.row === undefined) return 'taken';
        return await takeMessage(this.#ctx, this.#cell, entry, batch, hooks);
      case 'commit':
        return await takeCommit(this.#ctx, this.#cell, entry, batch, { driver, hooks, hub });
      case 'proposal':
        if (!isWhatItSays(this.#cell, entry)) return addProblem(this.#cell, entry, batch, { cause: 'key.tampered' });
        return await takeProposal(this.#cell, entry, batch, { hooks, driver });
    }
  }

  #placed({ seq, hash }: Place, batch: Batch): void {
    batch.place = { seq, hash };
    this.#hashes.set(seq, hash);
    this.#hashes.delete(seq - HASHES_KEPT);
  }

  async #store(batch: Batch): Promise<void> {
    await this.#cell.store(batch);
    if (batch.place !== undefined) this.#port.acknowledge(batch.place.seq);
    batch.clear();
  }

  // ---- places ----

  #verdict(hub: Domain, entry: LogEntry, batch: Batch): Verdict {
    const { row, id, group } = this.#cell;
    if (row !== undefined && row.hub !== hub) return 'fork';
    const place = batch.place ?? this.#cell.place;
    if (place.seq === 0) return this.#firstVerdict(hub, entry);
    if (entry.seq <= place.seq) return this.#repeatedVerdict(entry, place);
    // Out, and in again: what was said in between is not for this device, so there is no chain to it.
    if (group?.active !== true && entry.kind === 'commit' && entry.welcome.length > 0)
      return this.#welcomeVerdict(entry);
    const verified = verifyEntry(this.#ctx.crypto, { conversation: id, ...place }, entry);
    return verified.ok ? 'next' : verdictOf(verified.error.code);
  }

  /** Where a device joins, it takes the hash as it is given: MLS proves whom it joins, the log only what follows. */
  #firstVerdict(hub: Domain, entry: LogEntry): Verdict {
    if (entry.seq !== 1) return this.#welcomeVerdict(entry);
    const head = genesisHead(this.#ctx.crypto, this.#cell.id, hub);
    return verifyEntry(this.#ctx.crypto, head, entry).ok ? 'next' : 'fork';
  }

  #welcomeVerdict({ welcome, welcomeHash }: LogEntry): Verdict {
    if (welcome.length === 0) return 'next'; // nothing that could be joined: the entry says so itself
    return sameBytes(this.#ctx.crypto.blake3(welcome), welcomeHash) ? 'next' : 'fork';
  }

  #repeatedVerdict(entry: LogEntry, place: Place): Verdict {
    const held = entry.seq === place.seq ? place.hash : this.#hashes.get(entry.seq);
    return held === undefined || sameBytes(held, entry.hash) ? 'repeated' : 'fork';
  }

  #stall(): void {
    if (this.#cell.stalled) return;
    this.#cell.stalled = true;
    const problem = { cause: 'server.not_genuine' } as const;
    this.#ctx.emit({ type: 'warning', warning: 'log_fork', problem, conversationId: this.#cell.id });
  }

  // ---- own messages, from their acknowledgments ----

  /**
   * `false` when an acknowledgment does not fit what was sent last: sealed twice for two
   * epochs, the hub may have taken the first. Then the entry itself is asked for, whose
   * hash has to fit in any case.
   */
  async #drain(batch: Batch): Promise<boolean> {
    for (;;) {
      const place = batch.place ?? this.#cell.place;
      this.#dropPassed(place.seq);
      const ack = this.#cell.ordered.get(place.seq + 1);
      if (ack?.proof === undefined) return true;
      const entry = this.#entryOf(ack, { conversation: this.#cell.id, ...place });
      this.#cell.ordered.delete(place.seq + 1);
      if (!entry.ok) return false;
      await takeOwnMessage(this.#ctx, this.#cell, entry.value, batch, this.#port.hooks);
      this.#placed(entry.value, batch);
    }
  }

  #dropPassed(seq: number): void {
    for (const ordered of this.#cell.ordered.keys()) if (ordered <= seq) this.#cell.ordered.delete(ordered);
  }

  /** The device has everything that the entry is made of; the hash proves that nothing else was ordered in its name. */
  #entryOf({ messageId, proof }: OrderedAck, head: LogHead): Result<LogEntry> {
    const { row, outgoing } = this.#cell;
    const sealed = outgoing.find(({ id }) => id === messageId)?.sealed;
    if (sealed === undefined || proof === undefined || row === undefined) {
      return reject('log_gap', 'acknowledgment');
    }
    const { user: senderUser, deviceId: sender } = this.#ctx.self;
    const welcome = new Uint8Array(0);
    const entry: LogEntry = {
      ...{ seq: head.seq + 1, kind: 'application', messageId, sender, senderUser, ...proof },
      ...{ epoch: sealed.epoch, label: row.label, body: sealed.bytes },
      ...{ welcome, welcomeHash: this.#ctx.crypto.blake3(welcome) },
    };
    const verified = verifyEntry(this.#ctx.crypto, head, entry);
    return verified.ok ? ok(entry) : verified;
  }
}

function verdictOf(code: string): Verdict {
  return code === 'log_gap' ? 'gap' : 'fork';
}
