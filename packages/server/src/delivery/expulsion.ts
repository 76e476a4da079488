import { type Clock, type ConversationId, type Domain, domainOf, instant, toHex } from '@norc/protocol/base';
import {
  type ConversationState,
  everyPathAllowed,
  freeze,
  type LinkedEntry,
  pathQuestion,
} from '@norc/protocol/norc-f';
import type { TrustDecision, TrustQuestion } from '@norc/protocol/norc-t';
import type { Closure, ConversationExpulsion, ExpelledConversation, ExpulsionProgress, TrustEnd } from '../services.ts';
import type { StoreWrite } from '../storage/port.ts';
import type { ConversationLog } from './conversation-log.ts';
import {
  type Case,
  devicesOf,
  type Ended,
  type ExpulsionPort,
  finish,
  goesOn,
  goneOf,
  isPending,
  keyOf,
  progressOf,
  type Role,
  type Settled,
  type Step,
} from './expulsion-cases.ts';
import { HubProposals, type HubProposalsDependencies } from './hub-proposals.ts';
import { inBatches, inParallel } from './in-parallel.ts';
import type { LogCache } from './log-cache.ts';
import { type ReceiptDependencies, Receipts } from './receipts.ts';

/** Freezes of one transaction. */
const CONVERSATIONS_PER_COMMIT = 64;
/** Proposals under way at once: enough to share an fsync, few enough to let other work through. */
const CONVERSATIONS_AT_ONCE = 32;
/** Proposals that a failing disk kept from the log are tried again. */
const RETRY_MS = 5_000;
const NOTHING = new Uint8Array(0);

export type { Settled, Settling } from './expulsion-cases.ts';

export interface ExpulsionDependencies extends ReceiptDependencies, HubProposalsDependencies {
  readonly clock: Clock;
  readonly decide: (question: TrustQuestion) => TrustDecision;
  readonly after: (delayMilliseconds: number, run: () => void) => void;
  readonly onFault: (error: unknown) => void;
}

/**
 * Ends of trust, carried out on conversations: frozen first, durably and in batches, then the
 * removals proposed; the commit that carries them out has the final receipt in its transaction.
 * A crash between any two steps is mended by the next call about the same end.
 */
export class Expulsions {
  readonly #d: ExpulsionDependencies;
  readonly #logs: LogCache;
  readonly #port: ExpulsionPort;
  readonly #receipts: Receipts;
  readonly #proposals: HubProposals;
  readonly #ends = new Map<string, Ended>();
  readonly #byConversation = new Map<ConversationId, Set<Case>>();
  readonly #listeners: ((done: ExpelledConversation) => void)[] = [];

  constructor(dependencies: ExpulsionDependencies, logs: LogCache, port: ExpulsionPort) {
    this.#d = dependencies;
    this.#logs = logs;
    this.#port = port;
    this.#receipts = new Receipts(dependencies);
    this.#proposals = new HubProposals(dependencies);
  }

  get proposals(): HubProposals {
    return this.#proposals;
  }

  /** What was going on before the start; the ends that are not done with are returned, to go on with. */
  async load(): Promise<readonly TrustEnd[]> {
    const stored = await this.#receipts.stored();
    const ids = stored.some(({ body }) => body.outcome !== 'removed') ? await this.#d.store.read.conversationIds() : [];
    const names = new Map(ids.map((id) => [toHex(this.#receipts.pseudonym(id)), id]));
    for (const { body, document: receipt } of stored) {
      const end = this.#endOf(body);
      const name = toHex(body.conversation);
      const one: Case = { end, body, receipt };
      end.cases.set(name, one);
      if (body.outcome === 'pending') end.pending += 1;
      const conversation = names.get(name);
      if (conversation !== undefined && body.outcome !== 'removed' && (await this.#isFrozen(conversation)))
        this.#index(one, conversation);
    }
    return [...this.#ends.values()].filter(({ pending }) => pending > 0).map(({ end }) => end);
  }

  /** One that is open again was opened by its hub, whatever an old receipt says. */
  async #isFrozen(conversation: ConversationId): Promise<boolean> {
    return (await this.#d.store.read.conversation(conversation))?.frozen === true;
  }

  onExpelled(listener: (done: ExpelledConversation) => void): void {
    this.#listeners.push(listener);
  }

  progress(about: Partial<Pick<TrustEnd, 'issuer' | 'subject' | 'sequence'>> = {}): readonly ExpulsionProgress[] {
    const { issuer, subject, sequence } = about;
    return [...this.#ends.values()]
      .filter(
        ({ end }) =>
          (issuer === undefined || end.issuer === issuer) &&
          (subject === undefined || end.subject === subject) &&
          (sequence === undefined || end.sequence === sequence),
      )
      .map(progressOf);
  }

  conversations({ issuer, subject, sequence }: Omit<TrustEnd, 'cause'>): readonly ConversationExpulsion[] {
    const cases = this.#ends.get(keyOf(issuer, subject, sequence))?.cases ?? new Map<string, Case>();
    return Array.from(cases, ([conversation, { body, receipt }]) => ({
      ...{ conversation, receipt, state: body.outcome === 'pending' ? 'frozen' : body.outcome },
      ...{ frozenAt: instant(body.frozen_at), epochBefore: body.epoch_before, epochAfter: body.epoch_after },
      ...(body.removed_at === undefined ? {} : { removedAt: instant(body.removed_at) }),
    }));
  }

  closure(conversation: ConversationId): Closure | undefined {
    for (const one of this.#byConversation.get(conversation) ?? []) {
      if (one.body.outcome === 'closed') return this.#closureOf(one);
    }
    return undefined;
  }

  /** A commit of its hub opened it again, after trust came back. */
  reopened(conversation: ConversationId): void {
    const cases = this.#byConversation.get(conversation);
    for (const one of cases ?? []) if (one.body.outcome === 'closed') cases?.delete(one);
  }

  /** Between two others: what became of it since, only they know. */
  endedPairs(): readonly (readonly [Domain, Domain])[] {
    const { self } = this.#d;
    const ends = [...this.#ends.values()].filter(({ end }) => end.issuer !== self && end.subject !== self);
    return ends.map(({ end }) => [end.issuer, end.subject] as const);
  }

  async expel(end: TrustEnd): Promise<ExpulsionProgress> {
    const ended = this.#endOf(end);
    const mine = ended.running.then(() => this.#carryOut(ended));
    ended.running = mine.catch(() => undefined); // its caller has the failure; the next call tries again
    await mine;
    return progressOf(ended);
  }

  #endOf({ issuer, subject, sequence, cause }: TrustEnd): Ended {
    const key = keyOf(issuer, subject, sequence);
    const known = this.#ends.get(key);
    if (known !== undefined) return known;
    const end = { issuer, subject, sequence, cause };
    const made: Ended = { end, cases: new Map(), pending: 0, removing: Promise.resolve(), running: Promise.resolve() };
    this.#ends.set(key, made);
    return made;
  }

  async #carryOut(ended: Ended): Promise<void> {
    const { issuer, subject } = ended.end;
    const { self } = this.#d;
    const peer = subject === self ? issuer : subject;
    // A statement may end one certificate while another one is in force: of our own trust we know.
    if ((issuer === self || subject === self) && this.#isTrusted(peer)) {
      ended.removing = ended.removing.then(() => this.#trustedAgain(ended)).catch(this.#d.onFault);
      return;
    }
    const going: Case[] = [];
    const shared = await this.#d.store.read.conversationsWith(peer);
    for (const batch of inBatches(shared, CONVERSATIONS_PER_COMMIT)) going.push(...(await this.#freeze(ended, batch)));
    // What is frozen is in force: the removals follow on their own.
    ended.removing = ended.removing.then(() => this.#removeAll(going));
  }

  /** Trust came back before the end was carried out: who is proposed goes, and where nobody is, it goes on. */
  async #trustedAgain(ended: Ended): Promise<void> {
    for (const one of [...ended.cases.values()]) {
      const log = one.conversation === undefined ? undefined : await this.#logs.get(one.conversation);
      if (log === undefined || !isPending(one)) continue;
      const { proposed } = await log.group();
      const isGoing = [...log.state.members].some(
        ([device, { user }]) => proposed.has(device) && domainOf(user) === one.body.expelled,
      );
      if (!isGoing) await this.#lift(one, log);
      else if (log.state.hub === this.#d.self) await this.#remove(one);
    }
  }

  async #lift(one: Case, log: ConversationLog): Promise<void> {
    this.#forget(one.end, one, log.conversation);
    const { proposed } = await log.group();
    const thaws = proposed.size === 0 && this.mayThaw(log.state);
    const thawed: StoreWrite[] = thaws
      ? [{ op: 'conversation.freeze', conversationId: log.conversation, frozen: false }]
      : [];
    await this.#d.store.commit([this.#receipts.withdrawal(one.body), ...thawed]);
    if (thaws) log.adopt((current) => ({ ...current, frozen: false }));
  }

  #isTrusted(remote: Domain): boolean {
    const { self: local, decide } = this.#d;
    return decide({ local, remote, direction: 'incoming', permission: 'message_relay' }).kind === 'allow';
  }

  async #removeAll(going: readonly Case[]): Promise<void> {
    const open = going.filter(isPending);
    try {
      await inParallel(CONVERSATIONS_AT_ONCE, open, (one) => this.#remove(one));
    } catch (error) {
      this.#d.onFault(error);
      this.#d.after(RETRY_MS, () => void this.#removeAll(open));
    }
  }

  // ---- freezing ----

  /** Nothing passes from here on, first in memory and then on disk; the removals of the result come next. */
  async #freeze(ended: Ended, conversations: readonly ConversationId[]): Promise<readonly Case[]> {
    const logs = await Promise.all(conversations.map((one) => this.#logs.get(one)));
    const steps = logs.flatMap((log) => (log === undefined ? [] : (this.#next(ended, log) ?? [])));
    const fresh = steps.filter(({ isNew }) => isNew);
    for (const { log } of fresh) log.adopt(freeze);
    await this.#storeFrozen(ended, fresh);
    for (const { log, one, act } of fresh) {
      log.adopt(freeze); // a log that was read again meanwhile was read before the freeze
      if (act === 'close') this.#port.closed(log, this.#closureOf(one));
    }
    return steps.filter(({ act }) => act === 'remove').map(({ one }) => one);
  }

  /** What this end asks for in one conversation; nothing where it does not concern it, or is done. */
  #next(ended: Ended, log: ConversationLog): Step | undefined {
    const role = this.#roleIn(log.state, ended.end);
    if (role === undefined) return undefined;
    const known = ended.cases.get(toHex(this.#receipts.pseudonym(log.conversation)));
    if (known === undefined || !goesOn(known, log))
      return { log, act: role.act, one: this.#begin(ended, log, role), isNew: true };
    this.#index(known, log.conversation);
    return isPending(known) ? { log, act: role.act, one: known, isNew: false } : undefined;
  }

  #begin(ended: Ended, log: ConversationLog, { act, expelled }: Role): Case {
    const now = this.#d.clock.now();
    const body = this.#receipts.begin(ended.end, expelled, log.state, now);
    const first = act === 'close' ? ({ ...body, outcome: 'closed', removed_at: now } as const) : body;
    const one: Case = { end: ended, body: first, receipt: NOTHING };
    ended.cases.set(toHex(body.conversation), one);
    if (isPending(one)) ended.pending += 1;
    this.#index(one, log.conversation);
    return one;
  }

  async #storeFrozen(
    ended: Ended,
    fresh: readonly { readonly log: ConversationLog; readonly one: Case }[],
  ): Promise<void> {
    if (fresh.length === 0) return;
    const now = this.#d.clock.now();
    try {
      const receipts = await Promise.all(fresh.map(({ one }) => this.#receipts.sign(one.body, now)));
      const frozen = fresh.map(
        ({ log }): StoreWrite => ({ op: 'conversation.freeze', conversationId: log.conversation, frozen: true }),
      );
      await this.#d.store.commit([...frozen, ...receipts.map(({ write }) => write)]);
      for (const [i, { log, one }] of fresh.entries()) {
        one.receipt = receipts[i]?.document ?? NOTHING;
        this.#tell(one, log.conversation);
      }
    } catch (error) {
      // Frozen in memory all the same; the next call about this end begins here again.
      for (const { log, one } of fresh) this.#forget(ended, one, log.conversation);
      throw error;
    }
  }

  #forget(ended: Ended, one: Case, conversation: ConversationId): void {
    ended.cases.delete(toHex(one.body.conversation));
    if (isPending(one)) ended.pending -= 1;
    this.#byConversation.get(conversation)?.delete(one);
  }

  #index(one: Case, conversation: ConversationId): void {
    one.conversation = conversation;
    const cases = this.#byConversation.get(conversation) ?? new Set();
    cases.add(one);
    this.#byConversation.set(conversation, cases);
  }

  #roleIn(state: ConversationState, { issuer, subject }: TrustEnd): Role | undefined {
    const { self } = this.#d;
    const { hub, organisations } = state;
    const own = issuer === self || subject === self;
    const peer = subject === self ? issuer : subject;
    if (own && hub === peer) return organisations.has(self) ? { act: 'close', expelled: self } : undefined;
    if (!organisations.has(peer)) return undefined;
    if (hub === self && own) return { act: 'remove', expelled: peer };
    // Of two who revoke each other the one whose statement came first stays: an answer to it puts nobody out. What the
    // statements say of their time is not asked, since who has to go could date its own back.
    if (hub === self) {
      const counts = organisations.has(issuer) && this.expelling(state)?.has(issuer) !== true;
      return counts ? { act: 'remove', expelled: peer } : undefined;
    }
    return own && organisations.has(self) ? { act: 'wait', expelled: subject } : undefined;
  }

  #closureOf({ body: { issuer, subject, cause } }: Case): Closure {
    return { org: subject === this.#d.self ? issuer : subject, cause };
  }

  // ---- removing ----

  async #remove(one: Case): Promise<void> {
    const { conversation, body } = one;
    const log = conversation === undefined ? undefined : await this.#logs.get(conversation);
    if (log === undefined || !isPending(one)) return;
    const { expelled, cause } = body;
    const outcome = await this.#proposals.propose(log, (_, { user }) => domainOf(user) === expelled, cause);
    if (outcome === 'proposed') this.#port.grew(log);
    else if (outcome !== 'gone') await this.#close(log);
    else if (isPending(one)) await this.#end(one, log, 'removed');
  }

  /** Nobody is left to put them out: what waits for a commit in it waits in vain. */
  async #close(log: ConversationLog): Promise<void> {
    for (const one of [...(this.#byConversation.get(log.conversation) ?? [])])
      if (isPending(one)) await this.#end(one, log, 'closed');
  }

  /** Without a commit of its own: those who had to go went before, or nobody can put them out. */
  async #end(one: Case, log: ConversationLog, outcome: 'removed' | 'closed'): Promise<void> {
    const now = this.#d.clock.now();
    const { state } = log;
    const { epoch, headSeq: head_seq, headHash: head_hash } = state;
    const epoch_after = outcome === 'closed' ? one.body.epoch_before : epoch;
    const body = { ...one.body, outcome, epoch_after, head_seq, head_hash, removed_at: now };
    const receipt = await this.#receipts.sign(body, now);
    const thaws = outcome === 'removed' && this.mayThaw(log.state);
    const thawed: StoreWrite[] = thaws
      ? [{ op: 'conversation.freeze', conversationId: log.conversation, frozen: false }]
      : [];
    await this.#d.store.commit([receipt.write, ...thawed]);
    if (thaws) log.adopt((current) => ({ ...current, frozen: false }));
    finish(one, receipt);
    this.#tell(one, log.conversation);
    if (outcome === 'closed') this.#port.closed(log, this.#closureOf(one));
  }

  /** Every organisation that is left is trusted, and none of them has to go. */
  mayThaw(state: ConversationState): boolean {
    const { self, decide } = this.#d;
    const others = [...state.organisations].filter((domain) => domain !== self);
    const paths = new Map(others.map((domain) => [domain, decide(pathQuestion(state, domain, self, 0))]));
    return everyPathAllowed(state, paths) && this.expelling(state) === undefined;
  }

  /** Who has to go and is still in it, also where nobody could put them out. */
  expelling({ conversation, organisations }: ConversationState): ReadonlySet<Domain> | undefined {
    const cases = this.#byConversation.get(conversation);
    if (cases === undefined || cases.size === 0) return undefined;
    const going = new Set<Domain>();
    for (const { body } of cases)
      if (body.outcome !== 'removed' && organisations.has(body.expelled)) going.add(body.expelled);
    return going.size === 0 ? undefined : going;
  }

  /** What a commit completes, to be stored with it; nothing for nearly all commits. */
  settling(before: ConversationState, after: ConversationState, entry: LinkedEntry): Promise<Settled> | undefined {
    const cases = [...(this.#byConversation.get(after.conversation) ?? [])];
    const done = cases.flatMap((one) => {
      const gone = isPending(one) ? goneOf(one, before, after) : undefined;
      return gone === undefined ? [] : [{ one, gone }];
    });
    return done.length === 0 ? undefined : this.#settle(done, before, after, entry);
  }

  async #settle(
    done: readonly { readonly one: Case; readonly gone: Domain }[],
    before: ConversationState,
    after: ConversationState,
    entry: LinkedEntry,
  ): Promise<Settled> {
    const now = this.#d.clock.now();
    const head = { epoch_after: after.epoch, head_seq: entry.seq, head_hash: entry.hash };
    const final = async ({ one: { body }, gone: expelled }: (typeof done)[number]) => {
      const removed = devicesOf(before, expelled);
      return await this.#receipts.sign(
        { ...body, ...head, expelled, removed, removed_at: now, outcome: 'removed' },
        now,
      );
    };
    const receipts = await Promise.all(done.map(final));
    const confirm = () => {
      for (const [i, { one }] of done.entries()) {
        finish(one, receipts[i]);
        this.#tell(one, after.conversation);
      }
    };
    return { writes: receipts.map(({ write }) => write), confirm };
  }

  #tell({ end, body, receipt }: Case, conversation: ConversationId): void {
    const { outcome } = body;
    if (outcome === 'pending' || this.#listeners.length === 0) return;
    const done = { conversation, outcome, receipt, end: end.end, pending: end.pending };
    for (const listener of this.#listeners) listener(done);
  }
}
