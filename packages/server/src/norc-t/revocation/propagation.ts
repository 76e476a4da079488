import {
  type Domain,
  type Instant,
  instant,
  LEVELS,
  MESSAGE_TYPES,
  ok,
  type Result,
  reject,
  retryDelayMilliseconds,
  sameBytes,
} from '@norc/protocol/base';
import { documentType, signDocument } from '@norc/protocol/crypto';
import {
  draftRevocationAck,
  endsTrust,
  type GrantedLevel,
  type RevocationAct,
  type Spread,
  spreadOf,
} from '@norc/protocol/norc-t';
import type { AuditEvent } from '../../services.ts';
import type { StoreWrite } from '../../storage/port.ts';
import type { ConversationEffects, TrustDependencies } from '../trust-dependencies.ts';
import type { TrustBoard } from '../trust-facts.ts';
import type { Told } from '../trust-watch.ts';
import { AckBook, numbersOf } from './ack-book.ts';
import type { Freshness } from './freshness.ts';
import { type Act, enforcedEvent, newAct, serverProgress, stateOfAct } from './propagation-act.ts';
import { type PropagationRecord, propagationWrite, readPropagation } from './propagation-record.ts';
import { durationsOf, type RevocationProgress, type ServerProgress } from './revocation-progress.ts';

/** A server that does not answer is tried for so long after the deadline; the polling goes on as long as there is trust. */
const SUBJECT_TRIES_MS = 7 * 86_400_000;
const NO_EFFECTS: ConversationEffects = { total: 0, frozen: 0, removed: 0, conversations: [] };

export interface PropagationDependencies
  extends Pick<
    TrustDependencies,
    | 'party'
    | 'store'
    | 'audit'
    | 'crypto'
    | 'clock'
    | 'random'
    | 'signer'
    | 'send'
    | 'ask'
    | 'onFault'
    | 'after'
    | 'enforce'
    | 'removals'
  > {
  readonly board: TrustBoard;
  readonly freshness: Freshness;
  /** Looks who is trusted now: links of those who are not are cut when it returns, their conversations frozen when it resolves. */
  readonly look: (peer: Domain) => Promise<void>;
  /** When the devices in conversations with a partner were told, and how many. */
  readonly toldOf: (peer: Domain) => Told | undefined;
}

/** Brings our acts to everybody whom they concern, collects what they sign, and measures it. */
export class Propagation {
  readonly #d: PropagationDependencies;
  readonly #acts = new Map<number, Act>();
  readonly #acks: AckBook;
  #stopped = false;

  constructor(dependencies: PropagationDependencies) {
    this.#d = dependencies;
    this.#acks = new AckBook(dependencies);
  }

  async load(): Promise<void> {
    await this.#acks.load();
    for (const row of await this.#d.store.read.trustRecords('propagation')) {
      const record = readPropagation(row.document);
      if (record.ok) this.#acts.set(record.value.act.last, newAct(record.value));
    }
  }

  stop(): void {
    this.#stopped = true;
  }

  /** What is stored with an act's statements, in their transaction. */
  draft(act: RevocationAct, level: GrantedLevel): { readonly record: PropagationRecord; readonly write: StoreWrite } {
    const { board, clock } = this.#d;
    const now = clock.now();
    const partners = board.peers().filter((peer) => peer !== act.subject && board.pair(peer, now) !== undefined);
    const deadlineAt = instant(act.effectiveAt + LEVELS[level].revocationSecondsMax * 1000);
    const record = { act, deadlineAt, partners };
    return { record, write: propagationWrite(record, now) };
  }

  /** The act is durable and on the board. Its effects here are under way when this returns; nobody is waited for. */
  begin(record: PropagationRecord): void {
    const act = newAct(record);
    this.#acts.set(record.act.last, act);
    const { subject } = record.act;
    // To the subject first and without waiting: the cut of its links comes next, and control frames go out before it.
    for (const { document } of this.#documents(record.act)) this.#d.send(subject, MESSAGE_TYPES.trust_revoke, document);
    this.#run(act);
    this.#later(act, subject, 0);
  }

  /** Called at every look: starts what has become due, and what a restart interrupted. */
  look(): void {
    const now = this.#d.clock.now();
    for (const act of this.#acts.values()) {
      const { effectiveAt } = act.record.act;
      if (act.record.enforcedAt === undefined && effectiveAt <= now) this.#run(act);
      // What was last may be a removal, which nobody acknowledges to us.
      if (act.record.completedAt === undefined && effectiveAt <= now) void this.#settle(act).catch(this.#d.onFault);
    }
  }

  /** Every 60 seconds: who has not confirmed is asked again. */
  poll(): void {
    this.look();
    for (const act of this.#acts.values()) {
      if (this.#isOver(act)) continue;
      for (const peer of [...act.record.partners, act.record.act.subject]) {
        const isHeld = act.held.has(peer) && act.record.act.effectiveAt > this.#d.clock.now();
        if (!isHeld && !act.busy.has(peer) && !this.#isConfirmed(act, peer) && this.#isWorthAsking(act, peer))
          void this.#push(act, peer).catch(this.#d.onFault);
      }
    }
  }

  /** The peer is there now: what it did not confirm is told again. */
  nudge(peer: Domain): void {
    for (const act of this.#acts.values()) {
      const isTold = act.record.partners.includes(peer) || act.record.act.subject === peer;
      if (isTold && !act.busy.has(peer) && !this.#isConfirmed(act, peer)) this.#later(act, peer, 0);
    }
  }

  #run(act: Act): void {
    const { partners, act: said } = act.record;
    const due = said.effectiveAt <= this.#d.clock.now();
    if (due) {
      act.enforcing ??= this.#enforce(act).finally(() => delete act.enforcing);
      act.enforcing.catch(this.#d.onFault);
      this.#after(act.record.deadlineAt - this.#d.clock.now(), () => void this.#settle(act).catch(this.#d.onFault));
    }
    for (const peer of partners) {
      if (due) act.held.delete(peer);
      if (!act.busy.has(peer) && !this.#isConfirmed(act, peer)) void this.#push(act, peer).catch(this.#d.onFault);
    }
    if (due && act.held.delete(said.subject)) this.#later(act, said.subject, 0);
  }

  /** Refused since the board holds it; then links, conversations, people; then our own signed receipt. */
  async #enforce(act: Act): Promise<void> {
    const { look, clock, enforce, toldOf, store } = this.#d;
    const { act: said } = act.record;
    const looked = look(said.subject);
    const linksCutAt = clock.now();
    await looked;
    await enforce?.(said);
    const enforcedAt = clock.now();
    const receipts = await this.#sign(act, enforcedAt);
    const told = toldOf(said.subject);
    const isNew = told !== undefined && told.at >= said.effectiveAt;
    act.record = {
      ...{ ...act.record, linksCutAt, enforcedAt },
      ...(isNew ? { toldAt: told.at, sessionsTold: told.sessions } : {}),
    };
    await store.commit([...receipts, propagationWrite(act.record, enforcedAt)]);
    await this.#settle(act);
  }

  async #sign(act: Act, enforcedAt: Instant): Promise<readonly StoreWrite[]> {
    const { board, party, crypto, signer } = this.#d;
    const writes: StoreWrite[] = [];
    for (let sequence = act.record.act.first; sequence <= act.record.act.last; sequence += 1) {
      const times = { by: party.domain, receivedAt: act.record.act.issuedAt, enforcedAt };
      const draft = draftRevocationAck(board.chain(party.domain), sequence, times);
      const { bytes } = await signDocument(crypto, draft, signer);
      writes.push(this.#acks.add(sequence, party.domain, bytes, enforcedAt));
    }
    return writes;
  }

  // ---- other organisations ----

  async #push(act: Act, peer: Domain): Promise<void> {
    if (this.#stopped) return;
    act.busy.add(peer);
    try {
      const attempts = (act.attempts.get(peer) ?? 0) + 1;
      act.attempts.set(peer, attempts);
      const outcome = await this.#tell(act, peer);
      if (outcome.ok) act.faults.delete(peer);
      else {
        act.faults.set(peer, outcome.error.code);
        this.#later(act, peer, attempts);
      }
    } finally {
      act.busy.delete(peer);
    }
    if (this.#isConfirmed(act, peer)) await this.#settle(act);
  }

  async #tell(act: Act, peer: Domain): Promise<Result<undefined>> {
    const { ask, freshness } = this.#d;
    for (const { sequence, document } of this.#documents(act.record.act)) {
      if (this.#acks.has(sequence, peer)) continue;
      const answer = await ask(peer, MESSAGE_TYPES.trust_revoke, document);
      const taken = answer.ok ? await this.#take(act, peer, sequence, answer.value) : answer;
      if (taken.ok) continue;
      if (taken.error.code === 'revocation_gap') await freshness.ask(peer); // it lacks earlier ones: they follow
      return taken;
    }
    return ok(undefined);
  }

  /** An acknowledgment, or a status: it holds the statement, whose time has not come there. */
  async #take(act: Act, peer: Domain, sequence: number, document: Uint8Array): Promise<Result<undefined>> {
    const type = documentType(document);
    if (!type.ok) return type;
    if (type.value === 'trust_status') return await this.#takeHeld(act, peer, sequence, document);
    const checked = this.#acks.check(peer, sequence, document);
    if (!checked.ok) {
      const detail = { code: checked.error.code, sequence };
      const subject = `org:${this.#d.party.domain}`;
      this.#d.audit.note({ type: 'revocation_rejected', actor: `org:${peer}`, subject, outcome: 'refused', detail });
      return checked;
    }
    const at = this.#d.clock.now();
    const milliseconds = Math.max(0, at - act.record.act.effectiveAt);
    const event: AuditEvent = {
      ...{ type: 'revocation_acknowledged', actor: `org:${peer}`, subject: `org:${act.record.act.subject}` },
      ...{ outcome: 'ok', detail: { sequence, milliseconds } },
    };
    const write = this.#acks.add(sequence, peer, document, at);
    await this.#d.audit.commit([write], [event]);
    return ok(undefined);
  }

  async #takeHeld(act: Act, peer: Domain, sequence: number, document: Uint8Array): Promise<Result<undefined>> {
    const { freshness, board, party, clock } = this.#d;
    const status = await freshness.take(peer, document);
    if (!status.ok) return status;
    const { known_sequence: known, known_head: head } = status.value;
    const own = board.chain(party.domain).hashes[known - 1];
    if (known < sequence || own === undefined || !sameBytes(own, head)) return reject('revocation_gap', 'status');
    if (act.record.act.effectiveAt <= clock.now()) return reject('clock_skew', 'it is not yet time there');
    act.held.add(peer);
    return ok(undefined);
  }

  /** Again after a while; from the deadline on it is the polling that asks. */
  #later(act: Act, peer: Domain, attempts: number): void {
    const delay = retryDelayMilliseconds(attempts, this.#d.random);
    const deadline = Math.max(act.record.deadlineAt, this.#d.clock.now() + (attempts === 0 ? delay + 1 : 0));
    if (this.#stopped || this.#d.clock.now() + delay > deadline) return;
    this.#after(delay, () => {
      if (!act.busy.has(peer) && !this.#isConfirmed(act, peer)) void this.#push(act, peer).catch(this.#d.onFault);
    });
  }

  #after(delayMilliseconds: number, run: () => void): void {
    if (delayMilliseconds <= TIMER_MS_MAX) this.#d.after?.(Math.max(1, delayMilliseconds), run);
  }

  #isConfirmed({ record }: Act, peer: Domain): boolean {
    return this.#acks.confirmedAt(record.act, peer) !== undefined;
  }

  #isOver(act: Act): boolean {
    const { partners, act: said, enforcedAt } = act.record;
    return enforcedAt !== undefined && [...partners, said.subject].every((peer) => this.#isConfirmed(act, peer));
  }

  /** Who has no trust with us any more need not confirm for ever. */
  #isWorthAsking(act: Act, peer: Domain): boolean {
    const now = this.#d.clock.now();
    return now - act.record.deadlineAt < SUBJECT_TRIES_MS || this.#d.board.isLasting(peer, now);
  }

  /** Tells once when everything is confirmed, and once when the deadline comes before that. */
  async #settle(act: Act): Promise<void> {
    if (act.record.completedAt !== undefined) return;
    const now = this.#d.clock.now();
    const effects = await this.#effects(act);
    const { finishedAt, completedAt, partners, deadlineAt, enforcedAt } = act.record;
    if (completedAt !== undefined) return; // another confirmation was quicker
    const confirmed = partners.filter((peer) => this.#isConfirmed(act, peer)).length;
    const complete = enforcedAt !== undefined && confirmed === partners.length && effects.removed === effects.total;
    if (!complete && (now < deadlineAt || finishedAt !== undefined)) return;
    const at = complete ? this.#lastOf(act, effects, now) : now;
    const first = finishedAt === undefined ? { finishedAt: at, inTime: complete && at <= deadlineAt } : {};
    act.record = { ...act.record, ...first, ...(complete ? { completedAt: at } : {}) };
    await this.#d.audit.commit(
      [propagationWrite(act.record, now)],
      [enforcedEvent(act, { confirmed, effects, complete })],
    );
  }

  /** When the last of what was confirmed came, however late it is noticed. */
  #lastOf({ record }: Act, { conversations }: ConversationEffects, now: Instant): Instant {
    const acks = record.partners.map((peer) => this.#acks.confirmedAt(record.act, peer) ?? now);
    const removals = conversations.map(({ removedAt }) => removedAt ?? record.act.effectiveAt);
    const last = [...acks, ...removals].reduce<number>((a, b) => Math.max(a, b), record.enforcedAt ?? now);
    return instant(Math.min(last, now));
  }

  // ---- what is shown ----

  async #effects({ record }: Act): Promise<ConversationEffects> {
    if (!endsTrust(record.act.action)) return NO_EFFECTS;
    return (await this.#d.removals?.(record.act)) ?? NO_EFFECTS;
  }

  /** Numbers of the last statements of the acts about one partner, the newest last. */
  actsAbout(subject: Domain): readonly number[] {
    const own = [...this.#acts.values()].map(({ record }) => record.act);
    return own
      .filter((one) => one.subject === subject)
      .map(({ last }) => last)
      .sort((a, b) => a - b);
  }

  /** `sequence`: that of any of its statements. */
  async progress(sequence: number): Promise<RevocationProgress | undefined> {
    const act = [...this.#acts.values()].find(
      ({ record }) => record.act.first <= sequence && sequence <= record.act.last,
    );
    if (act === undefined) return undefined;
    const { act: said, partners, ...times } = act.record;
    const conversations = await this.#effects(act);
    const servers = [
      ...partners.map((peer) => this.#serverProgress(act, peer, 'partner')),
      this.#serverProgress(act, said.subject, 'subject'),
    ];
    const spread = spreadOf(durationsOf(said, servers, conversations));
    return {
      ...{ act: said, state: stateOfAct(act, this.#d.clock.now()), conversations, servers },
      ...times,
      ...(said.effectiveAt <= this.#d.clock.now() ? { refusedAt: said.effectiveAt } : {}),
      ...(spread === undefined ? {} : { spread }),
    };
  }

  #serverProgress(act: Act, peer: Domain, role: ServerProgress['role']): ServerProgress {
    return serverProgress(act, { peer, role }, this.#acks.confirmedAt(act.record.act, peer));
  }

  /** Over all acts that were ever made: acknowledgments of partners, and removals. */
  async figures(): Promise<Spread | undefined> {
    const all: number[] = [];
    for (const act of this.#acts.values()) {
      const servers = act.record.partners.map((peer) => this.#serverProgress(act, peer, 'partner'));
      all.push(...durationsOf(act.record.act, servers, await this.#effects(act)));
    }
    return spreadOf(all);
  }

  /** Signed acknowledgments of a statement, ours too: who, and the document. */
  receipts(sequence: number): ReturnType<AckBook['of']> {
    return this.#acks.of(sequence);
  }

  /** The act's statements as they were signed. */
  #documents(act: RevocationAct): readonly { readonly sequence: number; readonly document: Uint8Array }[] {
    return numbersOf(act).flatMap((sequence) => {
      const document = this.#d.board.ownStatement(sequence);
      return document === undefined ? [] : [{ sequence, document }];
    });
  }
}

/** Node's timers fire at once when they are told to wait longer. */
const TIMER_MS_MAX = 2_147_483_647;
