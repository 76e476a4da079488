import {
  type Clock,
  type Domain,
  InvariantError,
  MESSAGE_TYPES,
  ok,
  type Random,
  type Reject,
  type Result,
  reject,
} from '@norc/protocol/base';
import {
  type Crypto,
  documentType,
  parseDocument,
  type SignedDocument,
  type Signer,
  signDocument,
} from '@norc/protocol/crypto';
import {
  certificateIdFromBytes,
  type DomainProof,
  decodeInitiatorState,
  decodeResponderState,
  type ExchangeContext,
  type ExchangeEffect,
  type ExchangeEvent,
  type ExchangeStep,
  encodeInitiatorState,
  encodeResponderState,
  exchangeIdFromBytes,
  type GrantedLevel,
  type InitiatorState,
  type Party,
  type ResponderState,
  resumeInitiator,
  resumeResponder,
  startInitiator,
  startResponder,
  stepInitiator,
  stepResponder,
  TRUST_MESSAGES,
  type TrustMessageName,
} from '@norc/protocol/norc-t';
import type { Audit, AuditEvent } from '../services.ts';
import type { Store, StoreWrite, TrustExchangeRow } from '../storage/port.ts';
import type { TrustBoard } from './trust-facts.ts';

/** One exchange in progress: its machine's state, and what is stored of it. */
export type Exchange = (
  | { readonly role: 'initiator'; readonly id: string; readonly peer: Domain; readonly state: InitiatorState }
  | { readonly role: 'responder'; readonly id: string; readonly peer: Domain; readonly state: ResponderState }
) & {
  /** Why the peer's last document was refused, until one is taken: so it can be said why nothing happens. */
  readonly refused?: Reject['code'] | undefined;
};

export interface RunnerDependencies {
  readonly self: Party;
  readonly board: TrustBoard;
  readonly store: Store;
  readonly audit: Audit;
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly random: Random;
  readonly signer: Signer;
  /** `undefined`: the name service does not answer now, which says nothing about the domain. */
  readonly proveDomain: (domain: Domain, rootKey: Uint8Array) => Promise<DomainProof | undefined>;
  /** Sends a signed document to the peer; what is lost is sent again by `retry`. */
  readonly send: (peer: Domain, type: number, document: Uint8Array) => void;
  /** Both certificates are stored and in force from their dates on. */
  readonly onGranted: (peer: Domain) => void;
}

const OPEN_PER_PEER_MAX = 4;
const OPEN_MAX = 256;

/** Runs the trust exchange's machines: carries out their effects, durably before anything is sent. */
export class ExchangeRunner {
  readonly #d: RunnerDependencies;
  readonly #exchanges = new Map<string, Exchange>();
  /** Events of one exchange are handled one after the other. */
  readonly #turns = new Map<string, Promise<unknown>>();

  constructor(dependencies: RunnerDependencies) {
    this.#d = dependencies;
  }

  async load(): Promise<void> {
    for (const row of await this.#d.store.read.trustExchanges()) {
      const exchange = restore(row);
      this.#exchanges.set(exchange.id, exchange);
    }
  }

  get all(): readonly Exchange[] {
    return [...this.#exchanges.values()];
  }

  /** Exchanges with a peer that wait for our officers. */
  awaitingApproval(peer: Domain): readonly Exchange[] {
    return this.all.filter((one) => one.peer === peer && one.state.phase === 'awaiting_approval');
  }

  async request(peer: Domain, level: GrantedLevel, actor: string): Promise<Result<Exchange>> {
    const { self, random, board } = this.#d;
    const terms = { permissions: board.policy.permissions, limits: board.policy.limits, conditions: [] };
    const started = startInitiator(this.#context(peer), {
      self,
      peer,
      level,
      asks: terms,
      offers: terms,
      validDays: board.policy.levels[level].lifeDaysMax,
      exchangeId: exchangeIdFromBytes(random.bytes(16)),
      certificateId: certificateIdFromBytes(random.bytes(16)),
      nonce: random.bytes(32),
    });
    if (!started.ok) return started;
    const { state, effects } = started.value;
    const exchange: Exchange = { role: 'initiator', id: state.exchange_id, peer, state };
    const event: AuditEvent = {
      type: 'trust_requested',
      actor,
      subject: `org:${peer}`,
      outcome: 'ok',
      detail: { level },
    };
    return await this.#inTurn(exchange.id, () => this.#settle(exchange, effects, [event]));
  }

  /** A document of the peer. Errors: what the machine refused it for. */
  async receive(peer: Domain, document: Uint8Array): Promise<Result<Exchange>> {
    const id = exchangeIdOf(document);
    if (!id.ok) return id;
    const taken = await this.#inTurn(id.value, () => this.#received(id.value, peer, document));
    const known = this.#exchanges.get(id.value);
    if (!taken.ok && known?.peer === peer) this.#exchanges.set(id.value, { ...known, refused: taken.error.code });
    return taken;
  }

  async #received(id: string, peer: Domain, document: Uint8Array): Promise<Result<Exchange>> {
    const known = this.#exchanges.get(id);
    if (known !== undefined) return await this.#take(known, peer, document);
    const room = this.#room(peer);
    if (!room.ok) return room;
    const { self, random } = this.#d;
    const responder = { self, certificateId: certificateIdFromBytes(random.bytes(16)), nonce: random.bytes(32) };
    const started = startResponder(this.#context(peer), responder, document);
    if (!started.ok) return started;
    if (started.value.state.peer !== peer) return reject('forbidden', 'party of the exchange');
    const exchange: Exchange = { role: 'responder', id, peer, state: started.value.state };
    const event: AuditEvent = {
      type: 'trust_request_received',
      actor: `org:${peer}`,
      subject: `exchange:${id}`,
      outcome: 'ok',
    };
    return await this.#settle(exchange, started.value.effects, [event]);
  }

  /** Anybody may begin an exchange in any name: what that costs us is bounded. */
  #room(peer: Domain): Result<undefined> {
    const open = this.all.filter((one) => !isOver(one));
    const ofPeer = open.filter((one) => one.peer === peer).length;
    return ofPeer < OPEN_PER_PEER_MAX && open.length < OPEN_MAX
      ? ok(undefined)
      : reject('rate', 'open trust exchanges');
  }

  async #take(known: Exchange, peer: Domain, document: Uint8Array): Promise<Result<Exchange>> {
    if (known.peer !== peer) return reject('forbidden', 'party of the exchange');
    return await this.#step(known, { kind: 'received', document }, []);
  }

  async officer(
    exchange: Exchange,
    decision: 'approve' | 'reject',
    by: string,
    actor: string,
    reason?: string,
  ): Promise<Result<Exchange>> {
    const event = {
      kind: 'officer',
      decision,
      by,
      at: this.#d.clock.now(),
      ...(reason === undefined ? {} : { reason }),
    } as const;
    const audit: AuditEvent = {
      type: decision === 'approve' ? 'trust_approved' : 'trust_declined',
      actor,
      subject: `org:${exchange.peer}`,
      outcome: 'ok',
    };
    return await this.#inTurn(exchange.id, async () => {
      const current = this.#exchanges.get(exchange.id);
      if (current === undefined) throw new InvariantError('the exchange is gone');
      return await this.#step(current, event, [audit]);
    });
  }

  /** Lets deadlines pass, and asks again for what each open exchange waits for: answers and messages may have been lost. */
  async retry(): Promise<void> {
    for (const { id } of this.all) {
      await this.#inTurn(id, async () => {
        const exchange = this.#exchanges.get(id);
        if (exchange === undefined || isOver(exchange)) return;
        const stepped = await this.#step(exchange, { kind: 'clock' }, []);
        const current = stepped.ok ? stepped.value : exchange;
        if (isOver(current)) return;
        const context = this.#context(current.peer);
        const effects =
          current.role === 'initiator' ? resumeInitiator(current.state) : resumeResponder(context, current.state);
        await this.#settle(current, effects, []);
      });
    }
  }

  #step(exchange: Exchange, event: ExchangeEvent, events: readonly AuditEvent[]): Promise<Result<Exchange>> {
    const context = this.#context(exchange.peer);
    if (exchange.role === 'initiator') {
      const { state, effects } = stepInitiator(context, exchange.state, event);
      return this.#settle({ ...exchange, refused: undefined, state }, effects, events);
    }
    const { state, effects }: ExchangeStep<ResponderState> = stepResponder(context, exchange.state, event);
    return this.#settle({ ...exchange, refused: undefined, state }, effects, events);
  }

  /** Persist, then send, then ask the world and go on with its answer. */
  async #settle(
    exchange: Exchange,
    effects: readonly ExchangeEffect[],
    events: readonly AuditEvent[],
  ): Promise<Result<Exchange>> {
    const before = this.#exchanges.get(exchange.id);
    if (before?.state !== exchange.state) await this.#persist(exchange, effects, events);
    this.#remember(exchange);
    for (const effect of effects)
      if (effect.kind === 'send') await this.#sign(exchange.peer, effect.message, effect.draft);
    if (effects.some((effect) => effect.kind === 'keep_certificates')) this.#d.onGranted(exchange.peer);
    for (const effect of effects) {
      if (effect.kind === 'refuse') return reject(effect.code, effect.detail);
      if (effect.kind === 'prove_domain') {
        const proof = await this.#d.proveDomain(effect.domain, effect.rootKey);
        return proof === undefined ? ok(exchange) : await this.#step(exchange, proof, []); // asked again by `retry`
      }
      if (effect.kind === 'sign_certificates') return await this.#signCertificates(exchange, effect);
      if (effect.kind === 'ask_approval' && effect.question.approvalsNeeded <= 0)
        throw new InvariantError('no approval is needed');
    }
    return ok(exchange);
  }

  /** Of exchanges that are over, the last one of each peer is enough. */
  #remember(exchange: Exchange): void {
    if (isOver(exchange)) {
      for (const one of this.all) if (one.peer === exchange.peer && isOver(one)) this.#exchanges.delete(one.id);
    }
    this.#exchanges.set(exchange.id, exchange);
  }

  async #persist(exchange: Exchange, effects: readonly ExchangeEffect[], events: readonly AuditEvent[]): Promise<void> {
    const { clock, board } = this.#d;
    const now = clock.now();
    const writes: StoreWrite[] = [{ op: 'trust.exchange.put', exchange: rowOf(exchange, now) }];
    const audit = [...events];
    for (const effect of effects) {
      if (effect.kind === 'keep_certificates') {
        for (const document of [effect.given, effect.received]) {
          const added = board.addCertificate(document, now);
          if (!added.ok) throw new InvariantError(`certificate of a finished exchange: ${added.error.code}`);
          const { certificateId, issuer, subject, notAfter, level } = added.value;
          writes.push({
            op: 'trust.certificate.put',
            certificate: { certificateId, issuer, subject, notAfter, document },
          });
          audit.push({
            type: 'trust_established',
            actor: `org:${issuer}`,
            subject: `org:${subject}`,
            outcome: 'ok',
            detail: { level, certificate_id: certificateId },
          });
        }
        writes.push({ op: 'trust.heard', peer: exchange.peer, at: now });
        board.heard(exchange.peer, now);
      }
      if (effect.kind === 'ended') {
        audit.push({
          type: 'trust_exchange_failed',
          actor: `org:${exchange.peer}`,
          subject: `exchange:${exchange.id}`,
          outcome: 'refused',
          detail: { code: effect.code },
        });
      }
    }
    await this.#d.audit.commit(writes, audit);
  }

  async #sign(peer: Domain, message: TrustMessageName, draft: SignedDocument<unknown>): Promise<void> {
    const signed = await signDocument(this.#d.crypto, draft, this.#d.signer);
    this.#d.send(peer, MESSAGE_TYPES[message], signed.bytes);
  }

  async #signCertificates(
    exchange: Exchange,
    effect: Extract<ExchangeEffect, { kind: 'sign_certificates' }>,
  ): Promise<Result<Exchange>> {
    const { crypto, signer } = this.#d;
    const issued = await signDocument(crypto, effect.issued, signer);
    const counterpart = await signDocument(crypto, effect.counterpart, signer);
    return await this.#step(exchange, { kind: 'signed', issued: issued.bytes, counterpart: counterpart.bytes }, []);
  }

  #context(peer: Domain): ExchangeContext {
    const { crypto, clock, board } = this.#d;
    const pinnedRootKey = board.knownRootKey(peer);
    return {
      crypto,
      now: clock.now(),
      policy: board.policy,
      ...(pinnedRootKey === undefined ? {} : { pinnedRootKey }),
    };
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

export function isOver({ state }: Exchange): boolean {
  return state.phase === 'ended' || state.phase === 'established';
}

function exchangeIdOf(document: Uint8Array): Result<string> {
  const type = documentType(document);
  if (!type.ok) return type;
  const name = Object.keys(TRUST_MESSAGES).find((one): one is TrustMessageName => one === type.value);
  if (name === undefined) return reject('malformed', 'trust document');
  const parsed = parseDocument<object>(TRUST_MESSAGES[name], document);
  if (!parsed.ok) return parsed;
  const { body } = parsed.value;
  return 'exchange_id' in body && typeof body.exchange_id === 'string'
    ? ok(body.exchange_id)
    : reject('malformed', 'trust document');
}

function rowOf(exchange: Exchange, updatedAt: TrustExchangeRow['updatedAt']): TrustExchangeRow {
  const document =
    exchange.role === 'initiator' ? encodeInitiatorState(exchange.state) : encodeResponderState(exchange.state);
  return {
    exchangeId: exchange.id,
    peer: exchange.peer,
    role: exchange.role,
    state: exchange.state.phase,
    document,
    updatedAt,
  };
}

function restore(row: TrustExchangeRow): Exchange {
  const { exchangeId: id, peer } = row;
  if (row.role === 'initiator') {
    const state = decodeInitiatorState(row.document);
    if (state.ok) return { role: 'initiator', id, peer, state: state.value };
  } else {
    const state = decodeResponderState(row.document);
    if (state.ok) return { role: 'responder', id, peer, state: state.value };
  }
  throw new InvariantError('a stored trust exchange does not decode');
}
