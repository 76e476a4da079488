import {
  type Clock,
  type Domain,
  type Instant,
  InvariantError,
  MESSAGE_TYPES,
  ok,
  type Random,
  type Result,
  reject,
} from '@norc/protocol/base';
import type { Crypto, Signer } from '@norc/protocol/crypto';
import {
  type ApprovalQuestion,
  approvalQuestion,
  certificateIdFromBytes,
  type EvidenceMaterial,
  type EvidenceQuestion,
  type ExchangeEffect,
  type ExchangeEvent,
  type ExchangeStep,
  exchangeIdFromBytes,
  type Finding,
  type GrantedLevel,
  initiatorQuestion,
  type OfficerDecision,
  type PartnerRecord,
  type Party,
  type ResponderState,
  requestTerms,
  startInitiator,
  startResponder,
  stepInitiator,
  stepResponder,
  type VerifiedTrustCertificate,
} from '@norc/protocol/norc-t';
import type { Audit, AuditEvent, Officers } from '../../services.ts';
import type { Store, StoreWrite } from '../../storage/port.ts';
import { systemTimers, type Timers } from '../../transport/timers.ts';
import type { TrustBoard } from '../trust-facts.ts';
import { ExchangeBook } from './exchange-book.ts';
import { type CheckedFor, EvidenceChecks } from './exchange-checks.ts';
import { exchangeContext } from './exchange-context.ts';
import { type CutOff, cutExchanges, restoreFault } from './exchange-cut.ts';
import { changeTrail, countChange, signedFor, verifyChange } from './exchange-grants.ts';
import type { NegotiationRequest } from './exchange-officers.ts';
import { ExchangeRetry, type WhenChecked } from './exchange-retry.ts';
import { roomFor } from './exchange-room.ts';
import {
  cameToNothing,
  certificateIdOf,
  changeOf,
  type Exchange,
  exchangeIdOf,
  isOver,
  rowOf,
} from './exchange-rows.ts';
import { effectTrail, evidenceTrail, join, requestTrail } from './exchange-writes.ts';

export { type Exchange, isOver } from './exchange-rows.ts';

export interface RunnerDependencies {
  readonly self: Party;
  readonly board: TrustBoard;
  readonly store: Store;
  readonly audit: Audit;
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly random: Random;
  /** Ed25519 first; ML-DSA-65 where the organisation has it. */
  readonly signers: readonly Signer[];
  /** `undefined`: the name service does not answer now, which says nothing about the domain. */
  readonly checkEvidence: (question: EvidenceQuestion) => Promise<readonly Finding[] | undefined>;
  /** What this organisation has seen of the partner itself. */
  readonly record: (peer: Domain, now: Instant) => PartnerRecord;
  /** What others need to check evidence about this organisation. */
  readonly material: () => readonly EvidenceMaterial[];
  readonly officers?: () => Officers | undefined;
  /** Sends a signed document to the peer; what is lost is sent again by `retry`. */
  readonly send: (peer: Domain, type: number, document: Uint8Array) => void;
  /** Both certificates are stored and in force from their dates on. */
  readonly onGranted: (peer: Domain) => void;
  /** The other side took both back: they count no longer. */
  readonly onDropped?: (peer: Domain) => void;
  readonly onUnusable: (what: string, code: string) => void;
  readonly timers?: Timers;
}

interface Step {
  readonly effects: readonly ExchangeEffect[];
  readonly events: readonly AuditEvent[];
  readonly kept: readonly VerifiedTrustCertificate[];
}

/** Runs the trust exchange's machines: carries out their effects, durably before anything is sent. */
export class ExchangeRunner {
  readonly #d: RunnerDependencies;
  readonly #book: ExchangeBook;
  /** Certificates of steps that are being stored. */
  readonly #storing = new Map<string, readonly VerifiedTrustCertificate[]>();
  /** Events of one exchange are handled one after the other. */
  readonly #turns = new Map<string, Promise<unknown>>();
  readonly #checks: EvidenceChecks;
  readonly #retry: ExchangeRetry;
  /** Peers whose trust is being ended, by the act that does. */
  readonly #cutting = new Map<symbol, Domain>();

  constructor(dependencies: RunnerDependencies) {
    this.#d = dependencies;
    const onForgotten = (id: string) => {
      this.#checks.forget(id);
      this.#retry.forget(id);
    };
    this.#book = new ExchangeBook({ ...dependencies, onForgotten });
    this.#checks = new EvidenceChecks({ ...dependencies, timers: dependencies.timers ?? systemTimers });
    this.#retry = new ExchangeRetry({
      ...{ book: this.#book, checks: this.#checks, clock: dependencies.clock },
      context: ({ peer }) => exchangeContext(this.#d, peer),
      checkedFor: (exchange) => this.#checkedFor(exchange),
      isBusy: (id) => this.#turns.has(id),
      inTurn: (id, run) => this.#inTurn(id, run),
      tick: (exchange) => this.#step(exchange, { kind: 'clock' }, [], 'later'),
      settle: (exchange, effects, checks) => this.#settle(exchange, effects, [], checks),
    });
  }

  load(): Promise<void> {
    return this.#book.load();
  }

  get all(): readonly Exchange[] {
    return this.#book.all;
  }

  /** Exchanges with a peer that wait for our officers. */
  awaitingApproval(peer: Domain): readonly Exchange[] {
    return this.all.filter((one) => one.peer === peer && one.state.phase === 'awaiting_approval');
  }

  /** By the policy's terms; `renewal`: of trust that is in force. Errors: those of `begin`. */
  request(
    peer: Domain,
    level: GrantedLevel,
    actor: string,
    { renewal = false }: { readonly renewal?: boolean } = {},
  ): Promise<Result<Exchange>> {
    const { board, clock } = this.#d;
    const validDays = board.policy.levels[level].lifeDaysMax;
    return this.begin({ peer, level, validDays, ...requestTerms(board.policy, level, clock.now()) }, actor, renewal);
  }

  /** Errors: those of `startInitiator`; not_trusted for a renewal of nothing. */
  async begin(request: NegotiationRequest, actor: string, renewal = false): Promise<Result<Exchange>> {
    const { self, random, board, clock } = this.#d;
    const { peer, level } = request;
    if (renewal && board.pair(peer, clock.now()) === undefined)
      return reject('not_trusted', 'no trust is in force that could be renewed');
    const fault = restoreFault(board, { self: self.domain, peer, level, renewal }, clock.now());
    if (fault !== undefined) return reject('approval_required', fault);
    const started = startInitiator(exchangeContext(this.#d, peer), {
      ...request,
      self,
      exchangeId: exchangeIdFromBytes(random.bytes(16)),
      certificateId: certificateIdFromBytes(random.bytes(16)),
      nonce: random.bytes(32),
    });
    if (!started.ok) return started;
    const { state, effects } = started.value;
    const exchange: Exchange = { role: 'initiator', id: state.exchange_id, peer, state };
    const detail = { level, ...(renewal ? { renewal } : {}) };
    const event: AuditEvent = { type: 'trust_requested', actor, subject: `org:${peer}`, outcome: 'ok', detail };
    return await this.#inTurn(exchange.id, () => this.#settle(exchange, effects, [event]));
  }

  /** What an exchange that waits for our officers asks of them; undefined when it waits for something else. */
  question({ peer, role, state }: Exchange): ApprovalQuestion | undefined {
    if (state.phase !== 'awaiting_approval') return undefined;
    const context = exchangeContext(this.#d, peer);
    return role === 'initiator' ? initiatorQuestion(context, state) : approvalQuestion(context, state);
  }

  /**
   * Officers revoke or suspend the peer: what is open with it ends with their statement, in one transaction [TRUST-79]. From
   * now until `done` or `undone` nothing comes into force with it; nobody's turn is waited for.
   */
  cutOff(peer: Domain): CutOff {
    const open = this.all.filter((one) => one.peer === peer && !isOver(one));
    const { ended, ...cut } = cutExchanges(exchangeContext(this.#d, peer), open);
    const mark = Symbol(peer);
    this.#cutting.set(mark, peer);
    const undone = () => void this.#cutting.delete(mark);
    const done = () => {
      undone();
      for (const exchange of ended) this.#book.remember(this.#book.get(exchange.id), exchange);
    };
    return { ...cut, signed: [...cut.signed, ...this.#storedFor(peer, cut.signed)], done, undone };
  }

  /** Certificates of ours that are on their way into the store: they will count, so statements are made about them too. */
  #storedFor(peer: Domain, listed: CutOff['signed']): CutOff['signed'] {
    const given = [...this.#storing.values()].flat().filter(({ subject }) => subject === peer);
    return given.filter(({ certificateId: id }) => listed.every((one) => one.certificateId !== id));
  }

  /** The policy blocks peers now: what is open with them ends. Were this lost, their next step would end it. */
  async endBlocked(): Promise<void> {
    const { board, audit } = this.#d;
    const open = this.all.filter((one) => !isOver(one) && board.policy.blocked.has(one.peer));
    for (const peer of new Set(open.map((one) => one.peer))) {
      const { writes, events, done, undone } = this.cutOff(peer);
      try {
        await audit.commit(writes, events);
        done();
      } finally {
        undone();
      }
    }
  }

  /** A document of the peer. Errors: what the machine refused it for. */
  async receive(peer: Domain, document: Uint8Array): Promise<Result<Exchange>> {
    const id = exchangeIdOf(document);
    if (!id.ok) return id;
    const taken = await this.#inTurn(id.value, () => this.#received(id.value, peer, document));
    const known = this.#book.get(id.value);
    if (!taken.ok && known?.peer === peer) this.#book.noteRefused(known, taken.error.code);
    return taken;
  }

  async #received(id: string, peer: Domain, document: Uint8Array): Promise<Result<Exchange>> {
    const known = this.#book.get(id);
    if (known !== undefined) return await this.#take(known, peer, document);
    const room = roomFor(peer, this.all, {
      isKnown: (one) => this.#book.isKnown(one),
      isBusy: (one) => this.#turns.has(one.id),
    });
    if (!room.ok) return room;
    const { self, random, board, store } = this.#d;
    if (board.certificatesWith(peer).some(({ document: { body } }) => body.exchange_id === id))
      return reject('unexpected_message', 'the exchange is over');
    if ((await store.read.trustExchange(id)) !== undefined) return reject('unexpected_message', 'the exchange is over');
    const responder = { self, certificateId: certificateIdFromBytes(random.bytes(16)), nonce: random.bytes(32) };
    const started = startResponder(exchangeContext(this.#d, peer), responder, document);
    if (!started.ok) return started;
    if (started.value.state.peer !== peer) return reject('forbidden', 'party of the exchange');
    const exchange: Exchange = { role: 'responder', id, peer, state: started.value.state };
    const { evicted } = room.value;
    if (evicted !== undefined) await store.commit(this.#book.forget([evicted]));
    return await this.#settle(exchange, started.value.effects, []);
  }

  async #take(known: Exchange, peer: Domain, document: Uint8Array): Promise<Result<Exchange>> {
    if (known.peer !== peer) return reject('forbidden', 'party of the exchange');
    const certificate = isOver(known) ? undefined : certificateIdOf(document);
    if (this.#d.board.certificatesWith(peer).some((one) => one.issuer === peer && one.certificateId === certificate))
      return reject('malformed', 'certificate_id of another certificate');
    return await this.#step(known, { kind: 'received', document }, []);
  }

  /**
   * What an officer of ours says. Errors: approval_required (a signature is needed), approval_expired,
   * forbidden, and those of `verifyApproval`; the exchange goes on as it was.
   */
  async officer(
    exchange: Exchange,
    said: Omit<OfficerDecision, 'kind' | 'at'>,
    actor: string,
  ): Promise<Result<Exchange>> {
    const { decision, signed } = said;
    const event = { kind: 'officer', ...said, at: this.#d.clock.now() } as const;
    const about = { actor, subject: `org:${exchange.peer}`, outcome: 'ok' } as const;
    const audit: AuditEvent[] = [{ type: decision === 'approve' ? 'trust_approved' : 'trust_declined', ...about }];
    const action = decision === 'approve' ? 'trust_grant' : 'trust_decline';
    if (signed !== undefined) audit.push({ type: 'approval_given', ...about, detail: { action } });
    return await this.#inTurn(exchange.id, async () => {
      const current = this.#book.get(exchange.id);
      if (current === undefined) throw new InvariantError('the exchange is gone');
      const stepped = await this.#step(current, event, audit);
      if (!stepped.ok) this.#noteRefused(exchange, actor, stepped.error.code);
      return stepped;
    });
  }

  #noteRefused({ peer }: Exchange, actor: string, code: string): void {
    const detail = { code };
    this.#d.audit.note({ type: 'approval_refused', actor, subject: `org:${peer}`, outcome: 'refused', detail });
  }

  /**
   * Lets deadlines pass, and asks again for what each open exchange waits for: answers and messages may have been lost. What is
   * sent goes out first; checks, which others can make slow, come after it. Resolves with the one that goes on, if one does.
   */
  retry(): Promise<void> {
    return this.#retry.run();
  }

  #checkedFor({ peer, role }: Exchange): CheckedFor {
    return role === 'initiator' || this.#book.isKnown(peer) ? 'partner' : 'stranger';
  }

  #step(
    exchange: Exchange,
    event: ExchangeEvent,
    events: readonly AuditEvent[],
    checks: WhenChecked = 'now',
  ): Promise<Result<Exchange>> {
    const context = exchangeContext(this.#d, exchange.peer);
    if (exchange.role === 'initiator') {
      const { state, effects } = stepInitiator(context, exchange.state, event);
      return this.#settle({ ...exchange, refused: undefined, state }, effects, events, checks);
    }
    const { state, effects }: ExchangeStep<ResponderState> = stepResponder(context, exchange.state, event);
    return this.#settle({ ...exchange, refused: undefined, state }, effects, events, checks);
  }

  /** Persist, then send, then ask the world, unless that is for later, and go on with its answer. */
  async #settle(
    exchange: Exchange,
    effects: readonly ExchangeEffect[],
    events: readonly AuditEvent[],
    checks: WhenChecked = 'now',
  ): Promise<Result<Exchange>> {
    if (effects.some(({ kind }) => kind === 'keep_certificates') && [...this.#cutting.values()].includes(exchange.peer))
      return reject('not_trusted', 'trust with this organisation is being ended');
    const before = this.#book.get(exchange.id);
    const change = changeOf(effects);
    const { board, clock } = this.#d;
    const kept = verifyChange(board, change, clock.now());
    if (!kept.ok) return kept;
    if (change?.kind === 'keep_certificates') this.#storing.set(exchange.id, kept.value);
    try {
      if (before?.state !== exchange.state)
        await this.#persist(before, exchange, { effects, events, kept: kept.value });
      this.#book.remember(before, exchange);
      countChange(board, exchange.peer, change, kept.value, clock.now());
    } finally {
      this.#storing.delete(exchange.id);
    }
    for (const effect of effects) if (effect.kind === 'send') await this.#send(exchange, effect);
    if (change?.kind === 'keep_certificates') this.#d.onGranted(exchange.peer);
    if (change?.kind === 'drop_certificates') this.#d.onDropped?.(exchange.peer);
    const refusal = effects.find((effect) => effect.kind === 'refuse' || effect.kind === 'refuse_approval');
    let settled: Result<Exchange> = ok(exchange);
    for (const effect of effects) {
      if (effect.kind === 'check_evidence' && checks === 'now') settled = await this.#check(exchange, effect.question);
      if (effect.kind === 'sign_certificates') settled = await this.#signCertificates(exchange, effect);
    }
    return refusal === undefined ? settled : reject(refusal.code, refusal.detail);
  }

  /** Without an answer the exchange stays where it is, and `retry` asks again. */
  async #check(exchange: Exchange, question: EvidenceQuestion): Promise<Result<Exchange>> {
    const findings = await this.#checks.check(exchange.id, this.#checkedFor(exchange), question);
    if (findings === undefined) return ok(exchange);
    const record = this.#d.record(exchange.peer, this.#d.clock.now());
    return await this.#step(exchange, { kind: 'evidence_checked', findings, record }, []);
  }

  async #persist(before: Exchange | undefined, exchange: Exchange, { effects, events, kept }: Step): Promise<void> {
    // A stranger's first message says nothing yet that is worth a line on the disk.
    if (exchange.state.phase === 'awaiting_request' || cameToNothing(before, exchange)) return;
    const { crypto, clock, board } = this.#d;
    const question = { crypto, policy: board.policy, now: clock.now() };
    const trail = join(
      requestTrail(before, exchange),
      evidenceTrail(question, before, exchange),
      effectTrail(exchange, effects),
      changeTrail(board, question, exchange, changeOf(effects), kept),
    );
    const row: StoreWrite = { op: 'trust.exchange.put', exchange: rowOf(exchange, question.now) };
    const outcome = await this.#d.audit.commit(
      [row, ...this.#book.goneWith(exchange), ...trail.writes],
      [...events, ...trail.events],
    );
    if (!outcome.ok) throw new Error(`a step of a trust exchange could not be stored: ${outcome.conflict}`);
  }

  async #send(exchange: Exchange, { message, draft }: Extract<ExchangeEffect, { kind: 'send' }>): Promise<void> {
    const signed = await signedFor(this.#d, exchange, draft);
    this.#d.send(exchange.peer, MESSAGE_TYPES[message], signed.bytes);
  }

  async #signCertificates(
    exchange: Exchange,
    effect: Extract<ExchangeEffect, { kind: 'sign_certificates' }>,
  ): Promise<Result<Exchange>> {
    const issued = await signedFor(this.#d, exchange, effect.issued);
    const counterpart = await signedFor(this.#d, exchange, effect.counterpart);
    return await this.#step(exchange, { kind: 'signed', issued: issued.bytes, counterpart: counterpart.bytes }, []);
  }

  async #inTurn<T>(id: string, run: () => Promise<T>): Promise<T> {
    const mine = (this.#turns.get(id) ?? Promise.resolve()).then(run, run);
    this.#turns.set(id, mine);
    try {
      return await mine;
    } finally {
      if (this.#turns.get(id) === mine) this.#turns.delete(id);
    }
  }
}
