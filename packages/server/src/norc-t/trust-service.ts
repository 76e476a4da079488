import {
  type Domain,
  type Instant,
  MESSAGE_TYPES,
  ok,
  type Result,
  reject,
  type TrustLevel,
  toBase64Url,
} from '@norc/protocol/base';
import type { PinnedOrg } from '@norc/protocol/crypto';
import type {
  ApprovalQuestion,
  GrantedLevel,
  Party,
  RootLineage,
  SignedApproval,
  TrustDecision,
  TrustPolicy,
  TrustQuestion,
} from '@norc/protocol/norc-t';
import type {
  Officers,
  SignedRequest,
  Trust,
  TrustOfficer,
  TrustRequestDraft,
  TrustRequestOptions,
  TrustSummary,
} from '../services.ts';
import { describeToDevice } from './device-answer.ts';
import { ExchangeOfficers } from './exchange/exchange-officers.ts';
import { type Exchange, ExchangeRunner, isOver } from './exchange/exchange-runner.ts';
import { partnerRecord } from './exchange/partner-record.ts';
import { Freshness } from './revocation/freshness.ts';
import { TrustIncidents } from './revocation/incidents.ts';
import { Lifecycle } from './revocation/lifecycle.ts';
import { Propagation } from './revocation/propagation.ts';
import type { RevocationProgress } from './revocation/revocation-progress.ts';
import { type OrderDraft, type Ordered, RevocationService } from './revocation/revocation-service.ts';
import { StatementReceiver } from './revocation/statement-receiver.ts';
import type { TrustOrder } from './revocation/trust-order.ts';
import { RootRotations } from './roots/root-rotations.ts';
import { SelfEnds } from './self-ends.ts';
import type { TrustDependencies } from './trust-dependencies.ts';
import { TrustBoard } from './trust-facts.ts';
import { TrustNotices } from './trust-notices.ts';
import { summarizeTrust } from './trust-summary.ts';
import { type TrustListener, TrustWatch } from './trust-watch.ts';

/** The latest: a device that missed more has to enroll again. */
const DEVICE_ROTATIONS_MAX = 16;

/** What officers' views are made of. */
export interface TrustParts {
  readonly board: TrustBoard;
  readonly notices: TrustNotices;
  readonly incidents: TrustIncidents;
  readonly propagation: Propagation;
  readonly party: Party;
  readonly exchanges: readonly Exchange[];
}

/** Trust of one organisation: the exchange, the certificates, revocations, and the decision over them. */
export class TrustService implements Trust, TrustOfficer {
  readonly #d: TrustDependencies;
  readonly #board: TrustBoard;
  readonly #runner: ExchangeRunner;
  readonly #negotiation: ExchangeOfficers;
  readonly #notices: TrustNotices;
  readonly #incidents: TrustIncidents;
  readonly #freshness: Freshness;
  readonly #watch: TrustWatch;
  readonly #propagation: Propagation;
  readonly #revocations: RevocationService;
  readonly #receiver: StatementReceiver;
  readonly #lifecycle: Lifecycle;
  readonly #selfEnds: SelfEnds;
  readonly #rotations: RootRotations;

  constructor(dependencies: TrustDependencies) {
    this.#d = dependencies;
    const board = new TrustBoard(dependencies.crypto, dependencies.party, dependencies.policy, dependencies.onUnusable);
    this.#board = board;
    if (dependencies.ownRoots !== undefined) board.roots.set(dependencies.ownRoots.lineage);
    this.#runner = new ExchangeRunner({
      ...dependencies,
      self: dependencies.party,
      board,
      signers: dependencies.signers ?? [dependencies.signer],
      material: () => dependencies.material?.() ?? [],
      record: (peer, now) => {
        const seen = partnerRecord(board, { self: dependencies.party.domain, peer, now });
        return { ...seen, incidents: seen.incidents + this.#incidents.of(peer).length };
      },
      onGranted: (peer) => {
        this.#watch.renewed(peer);
        this.tick();
      },
      onDropped: () => this.tick(),
    });
    this.#negotiation = new ExchangeOfficers({
      ...dependencies,
      officers: () => dependencies.officers?.() ?? NO_OFFICERS,
      policy: () => board.policy,
      runner: this.#runner,
    });
    const look = (peer?: Domain) => this.#watch.look(peer);
    const onLook = () => void look().catch(dependencies.onFault);
    this.#notices = new TrustNotices(dependencies);
    this.#incidents = new TrustIncidents({ ...dependencies, board, notices: this.#notices });
    const parts = { ...dependencies, board, notices: this.#notices, incidents: this.#incidents, look, onLook };
    this.#watch = new TrustWatch({ ...parts, onDue: () => this.tick() });
    this.#freshness = new Freshness({ ...parts, onLacking: (peer) => this.#propagation.nudge(peer) });
    const withFreshness = { ...parts, freshness: this.#freshness };
    this.#propagation = new Propagation({ ...withFreshness, toldOf: (peer) => this.#watch.toldOf(peer) });
    const isNegotiating = (peer: Domain) => this.#runner.all.some((one) => one.peer === peer && !isOver(one));
    this.#revocations = new RevocationService({
      ...{ ...parts, propagation: this.#propagation },
      cutOff: (peer) => this.#runner.cutOff(peer),
    });
    this.#selfEnds = new SelfEnds({ ...parts, revocations: this.#revocations });
    this.#receiver = new StatementReceiver(withFreshness);
    this.#rotations = new RootRotations({
      ...dependencies,
      board,
      self: dependencies.party.domain,
      own: dependencies.ownRoots?.rotations ?? [],
      renew: (peer) => this.#renewRoot(peer),
      onFork: async (peer, sequence, held, other) => {
        await this.#incidents.rotationFork(peer, sequence, held, other);
        await look();
      },
      onTaken: () => this.tick(),
    });
    this.#lifecycle = new Lifecycle({
      ...parts,
      renew: (peer, level) => this.#runner.request(peer, level, 'system:server', { renewal: true }),
      isNegotiating,
    });
  }

  async load(): Promise<void> {
    await this.#rotations.load();
    await this.#board.load(this.#d.store, this.#d.clock.now());
    await this.#runner.load();
    await this.#notices.load();
    await this.#propagation.load();
    await this.#receiver.load();
    this.#watch.begin();
  }

  // ---- decisions ----

  decide(question: TrustQuestion): TrustDecision {
    const now = this.#d.clock.now();
    const decision = this.#board.decide(question, now);
    this.#d.onDecided?.(question, decision, now);
    return decision;
  }

  /** The policy counts from now on; resolves when what it ends has ended and what it opens is open. */
  async setPolicy(policy: TrustPolicy): Promise<void> {
    this.#board.setPolicy(policy);
    await this.#runner.endBlocked();
    await this.#watch.look();
  }

  level(peer: Domain): TrustLevel {
    return this.#board.level(peer, this.#d.clock.now());
  }

  pins(peer: Domain) {
    const pair = this.#board.pair(peer, this.#d.clock.now());
    return pair === undefined
      ? undefined
      : { spkiHashes: pair.given.subjectTlsKeys, rootKey: this.rootKey(peer) ?? pair.given.subjectRootKey };
  }

  references(peer: Domain) {
    return this.#board.references(peer, this.#d.clock.now());
  }

  /** An organisation's root key and those that it replaced: for everything that they certified. */
  pinned(domain: Domain): PinnedOrg | undefined {
    return this.#board.pinned(domain, this.#d.clock.now());
  }

  /** A partner's `root_rotation` that an operator got by another way. Errors: those of `RootRotations.take`. */
  async takeRotation(peer: Domain, document: Uint8Array, actor: string): Promise<Result<RootLineage>> {
    return await this.#rotations.take(peer, document, actor);
  }

  /** Unless an exchange with the peer goes on. */
  async #renewRoot(peer: Domain): Promise<void> {
    if (this.#runner.all.some((one) => one.peer === peer && !isOver(one))) return;
    await this.renew(peer, 'system:server');
  }

  rootKey(domain: Domain): Uint8Array | undefined {
    return this.#board.rootKey(domain, this.#d.clock.now());
  }

  async describeToDevice(domain: Domain) {
    const { party, store, clock } = this.#d;
    const parties = { self: party.domain, issuerCertificate: party.server_certificates[0] };
    const told = await describeToDevice({ board: this.#board, store, ...parties }, domain, clock.now());
    return { ...told, ...this.#rootsOf(domain) };
  }

  /** What devices follow a replaced root key by. */
  #rootsOf(domain: Domain) {
    const { ownRoots, party } = this.#d;
    const own = domain === party.domain;
    const lineage = own ? ownRoots?.lineage : this.#board.roots.lineage(domain);
    const rotations = (lineage?.steps ?? []).map(({ document }) => document.bytes).slice(-DEVICE_ROTATIONS_MAX);
    return {
      ...(rotations.length === 0 ? {} : { rotations }),
      ...(own && party.recovery !== undefined ? { recovery: party.recovery } : {}),
    };
  }

  peers(): readonly Domain[] {
    return this.#board.peers();
  }

  onChange(listener: TrustListener): void {
    this.#watch.onChange(listener);
  }

  // ---- officers ----

  async request(
    peer: Domain,
    level: TrustLevel,
    actor: string,
    options: TrustRequestOptions & { readonly requested?: SignedRequest } = {},
  ): Promise<Result<{ readonly exchangeId: string }>> {
    if (peer === this.#d.party.domain) return reject('forbidden', 'an organisation needs no trust in itself');
    const started = await this.#negotiation.request(peer, level, actor, options);
    return started.ok ? ok({ exchangeId: started.value.id }) : started;
  }

  draftRequest(peer: Domain, level: TrustLevel, options: TrustRequestOptions = {}): Result<TrustRequestDraft> {
    if (peer === this.#d.party.domain) return reject('forbidden', 'an organisation needs no trust in itself');
    return this.#negotiation.draft(peer, level, options);
  }

  question(peer: Domain): Result<ApprovalQuestion> {
    return this.#negotiation.question(peer);
  }

  async approve(
    peer: Domain,
    actor: string,
    options: { readonly signed?: SignedApproval; readonly level?: GrantedLevel } = {},
  ): Promise<Result<TrustSummary>> {
    const decided = await this.#negotiation.approve(peer, actor, options);
    return decided.ok ? ok(this.#summary(peer)) : decided;
  }

  /** Declines every request that waits. */
  async decline(peer: Domain, actor: string, reason: string, signed?: SignedApproval): Promise<Result<TrustSummary>> {
    const decided = await this.#negotiation.decline(peer, actor, reason, signed);
    return decided.ok ? ok(this.#summary(peer)) : decided;
  }

  /** In force here before anything is sent; the peer's answer is not waited for. `sequence`: of the last statement. */
  async revoke(peer: Domain, actor: string, reason: string): Promise<Result<{ readonly sequence: number }>> {
    const said = await this.#revocations.order({ peer, action: 'revoke', reason }, actor);
    if (!said.ok) return said;
    return 'sequence' in said.value ? ok(said.value) : reject('internal', 'a revocation waits for nobody');
  }

  /** Revoke, suspend, lower, restore, or say that a condition was met. Errors: those of `RevocationService.order`. */
  order(order: TrustOrder, actor: string, approval?: SignedApproval): Promise<Result<Ordered>> {
    return this.#revocations.order(order, actor, approval);
  }

  /** What an officer who gives the order signs. Errors: those of `order`. */
  draftOrder(order: TrustOrder): Result<OrderDraft> {
    return this.#revocations.draft(order);
  }

  /** Begins the exchange that replaces the certificates in force, at the level in force: what was lowered stays so. */
  async renew(peer: Domain, actor: string): Promise<Result<{ readonly exchangeId: string }>> {
    const level = this.#board.levelInForce(peer, this.#d.clock.now());
    if (level === 'untrusted') return reject('not_trusted', 'no trust is in force that could be renewed');
    const started = await this.#runner.request(peer, level, actor, { renewal: true });
    return started.ok ? ok({ exchangeId: started.value.id }) : started;
  }

  /** How far the act got that one of our statements belongs to. */
  revocationProgress(sequence: number): Promise<RevocationProgress | undefined> {
    return this.#propagation.progress(sequence);
  }

  /** Signed receipts of the act: each server's acknowledgment, each conversation's removal; named as files. */
  async receipts(
    sequence: number,
  ): Promise<readonly { readonly name: string; readonly document: string }[] | undefined> {
    const progress = await this.#propagation.progress(sequence);
    if (progress === undefined) return undefined;
    const { first, last } = progress.act;
    const numbers = Array.from({ length: last - first + 1 }, (_, i) => first + i);
    const servers = numbers.flatMap((one) =>
      this.#propagation
        .receipts(one)
        .map(({ by, document }) => ({ name: `server-${by}-statement-${one}.json`, document: toBase64Url(document) })),
    );
    const conversations = progress.conversations.conversations.flatMap(({ conversation, receipt }) =>
      receipt === undefined ? [] : [{ name: `conversation-${conversation}.json`, document: toBase64Url(receipt) }],
    );
    return [...servers, ...conversations];
  }

  /** The server's clock, by which everything here is judged. */
  get now(): Instant {
    return this.#d.clock.now();
  }

  /** The parts that officers look at (norc-t/trust-view). */
  get parts(): TrustParts {
    return {
      ...{ board: this.#board, notices: this.#notices, incidents: this.#incidents, propagation: this.#propagation },
      party: this.#d.party,
      exchanges: this.#runner.all,
    };
  }

  summaries(): readonly TrustSummary[] {
    const peers = new Set([...this.#board.peers(), ...this.#runner.all.map((one) => one.peer)]);
    return [...peers].sort().map((peer) => this.#summary(peer));
  }

  #summary(peer: Domain): TrustSummary {
    const { crypto, clock, party } = this.#d;
    const exchanges = this.#runner.all.filter((one) => one.peer === peer);
    return summarizeTrust(crypto, this.#board, exchanges, { self: party.domain, peer, now: clock.now() });
  }

  // ---- the peer's documents ----

  async receive(
    peer: Domain,
    type: number,
    document: Uint8Array,
  ): Promise<Result<{ readonly type: number; readonly document: Uint8Array } | undefined>> {
    if (type === MESSAGE_TYPES.trust_revoke) return await this.#receiver.receive(peer, document);
    if (type === MESSAGE_TYPES.root_rotation) return await this.#rotations.receive(peer, document);
    if (type === MESSAGE_TYPES.trust_status) return await this.#freshness.receive(peer, document);
    const taken = await this.#runner.receive(peer, document);
    return taken.ok ? ok(undefined) : taken;
  }

  /**
   * Looks who is trusted now. Trust that ended since the last look, by a statement, a
   * date or a condition, is told; called after every change and every minute.
   */
  tick(): void {
    void this.#tick().catch(this.#d.onFault);
  }

  async #tick(): Promise<void> {
    const looked = this.#watch.look();
    this.#propagation.look();
    await looked;
    await this.#receiver.enforceDue();
    await this.#lifecycle.tick();
    await this.#selfEnds.look();
  }

  /** Partners with which there was trust and is none now: their conversations are frozen, also after a restart. */
  ended(): readonly Domain[] {
    const now = this.#d.clock.now();
    return this.#board.peers().filter((peer) => this.#board.pair(peer, now) === undefined);
  }

  /** Why trust with a peer is over for good, for conversations; undefined while it is in force or may come back. */
  endOf(peer: Domain) {
    return this.#watch.endOf(peer);
  }

  // ---- freshness: each side shows the other where its revocations stand ----

  /** Every 60 seconds, and after a link came up. */
  async poll(): Promise<void> {
    this.tick();
    this.#propagation.poll();
    const now = this.#d.clock.now();
    const partners = this.#board.peers().filter((peer) => this.#board.isLasting(peer, now));
    // Each by itself: neither a stranger's exchange nor one silent partner may make the others' trust go stale.
    await Promise.all(
      [this.#runner.retry(), this.#rotations.poll(), ...partners.map((peer) => this.#freshness.ask(peer))].map((one) =>
        one.catch(this.#d.onFault),
      ),
    );
  }

  /** Nothing is sent again any more. */
  stop(): void {
    this.#propagation.stop();
  }
}

/** An organisation without officers: nobody signs. */
const NO_OFFICERS: Pick<Officers, 'check'> = { check: () => reject('forbidden', 'there are no officers here') };
