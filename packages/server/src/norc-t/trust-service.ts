import {
  type Clock,
  type Domain,
  type Instant,
  InvariantError,
  instant,
  MESSAGE_TYPES,
  ok,
  type Random,
  type Result,
  reject,
  type TrustLevel,
} from '@norc/protocol/base';
import {
  type Crypto,
  documentHash,
  draftDocument,
  parseDocument,
  type Signer,
  signDocument,
} from '@norc/protocol/crypto';
import {
  compareStatus,
  type DomainProof,
  draftRevocation,
  extendRevocations,
  missingOf,
  openDocument,
  type Party,
  TRUST_REVOCATION,
  TRUST_REVOCATION_ACK,
  TRUST_STATUS,
  type TrustDecision,
  type TrustPolicy,
  type TrustQuestion,
  type VerifiedTrustCertificate,
} from '@norc/protocol/norc-t';
import type { Audit, Trust, TrustOfficer, TrustSummary } from '../services.ts';
import type { Store, TrustRevocationRow } from '../storage/port.ts';
import { type Exchange, ExchangeRunner } from './exchange-runner.ts';
import { TrustBoard } from './trust-facts.ts';
import { summarizeTrust } from './trust-summary.ts';

export interface TrustDependencies {
  readonly party: Party;
  readonly store: Store;
  readonly audit: Audit;
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly random: Random;
  readonly signer: Signer;
  readonly policy: TrustPolicy;
  readonly proveDomain: (domain: Domain, rootKey: Uint8Array) => Promise<DomainProof | undefined>;
  /** One way, over the link to the peer, dialed if needed. */
  readonly send: (peer: Domain, type: number, document: Uint8Array) => void;
  /** Request and answer, over the link to the peer. */
  readonly ask: (peer: Domain, type: number, document: Uint8Array) => Promise<Result<Uint8Array>>;
  /** Something stored cannot be verified any more: it is left out, which only narrows what is allowed. */
  readonly onUnusable: (what: string, code: string) => void;
  readonly onFault: (error: unknown) => void;
}

/** Clocks of two servers may differ by this much (spec/norc-t). */
const CLOCK_SKEW_MS = 300_000;

type Change = (peer: Domain, change: 'granted' | 'ended') => void;

/** Trust of one organisation: the exchange, the certificates, revocations, and the decision over them. */
export class TrustService implements Trust, TrustOfficer {
  readonly #d: TrustDependencies;
  readonly #board: TrustBoard;
  readonly #runner: ExchangeRunner;
  readonly #listeners: Change[] = [];
  /** With whom trust was in force at the last look. */
  readonly #inForce = new Set<Domain>();

  constructor(dependencies: TrustDependencies) {
    this.#d = dependencies;
    this.#board = new TrustBoard(dependencies.crypto, dependencies.party, dependencies.policy, dependencies.onUnusable);
    this.#runner = new ExchangeRunner({
      ...dependencies,
      self: dependencies.party,
      board: this.#board,
      onGranted: (peer) => {
        this.tick();
        this.#tell(peer, 'granted');
      },
    });
  }

  async load(): Promise<void> {
    await this.#board.load(this.#d.store, this.#d.clock.now());
    await this.#runner.load();
    this.tick();
  }

  // ---- decisions ----

  decide(question: TrustQuestion): TrustDecision {
    return this.#board.decide(question, this.#d.clock.now());
  }

  level(peer: Domain): TrustLevel {
    return this.#board.level(peer, this.#d.clock.now());
  }

  pins(peer: Domain) {
    const pair = this.#board.pair(peer, this.#d.clock.now());
    return pair === undefined
      ? undefined
      : { spkiHashes: pair.given.subjectTlsKeys, rootKey: pair.given.subjectRootKey };
  }

  references(peer: Domain) {
    return this.#board.references(peer, this.#d.clock.now());
  }

  rootKey(domain: Domain): Uint8Array | undefined {
    return this.#board.rootKey(domain, this.#d.clock.now());
  }

  certificateAbout(domain: Domain) {
    const pair = this.#board.pair(domain, this.#d.clock.now());
    const issuerCertificate = this.#d.party.server_certificates[0];
    if (pair === undefined || issuerCertificate === undefined) return undefined;
    return { document: pair.given.document.bytes, issuerCertificate };
  }

  peers(): readonly Domain[] {
    return this.#board.peers();
  }

  onChange(listener: Change): void {
    this.#listeners.push(listener);
  }

  #tell(peer: Domain, change: 'granted' | 'ended'): void {
    for (const listener of this.#listeners) listener(peer, change);
  }

  // ---- officers ----

  async request(peer: Domain, level: TrustLevel, actor: string): Promise<Result<{ readonly exchangeId: string }>> {
    if (level === 'untrusted') return reject('malformed', 'level');
    if (peer === this.#d.party.domain) return reject('forbidden', 'an organisation needs no trust in itself');
    const started = await this.#runner.request(peer, level, actor);
    return started.ok ? ok({ exchangeId: started.value.id }) : started;
  }

  async approve(peer: Domain, actor: string): Promise<Result<TrustSummary>> {
    const exchange = this.#waiting(peer);
    if (!exchange.ok) return exchange;
    const decided = await this.#runner.officer(exchange.value, 'approve', officerOf(actor), actor);
    return decided.ok ? ok(this.#summary(peer)) : decided;
  }

  /** Declines every request that waits. */
  async decline(peer: Domain, actor: string, reason: string): Promise<Result<TrustSummary>> {
    const waiting = this.#runner.awaitingApproval(peer);
    if (waiting.length === 0) return reject('forbidden', 'no request of this organisation waits for approval');
    for (const exchange of waiting) {
      const decided = await this.#runner.officer(exchange, 'reject', officerOf(actor), actor, reason);
      if (!decided.ok) return decided;
    }
    return ok(this.#summary(peer));
  }

  /** Exactly one: an officer who compared a fingerprint must not approve another exchange than the one shown. */
  #waiting(peer: Domain): Result<Exchange> {
    const [exchange, second] = this.#runner.awaitingApproval(peer);
    if (exchange === undefined) return reject('forbidden', 'no request of this organisation waits for approval');
    if (second !== undefined)
      return reject(
        'forbidden',
        'more than one request of this organisation waits: decline them, and let it ask again',
      );
    return ok(exchange);
  }

  /**
   * In force here before anything is sent; then told to the peer, whose answer is not
   * waited for. Each certificate that the peer holds gets a statement of its own, all
   * in one transaction: an overlapping renewal does not survive.
   */
  async revoke(peer: Domain, actor: string, reason: string): Promise<Result<{ readonly sequence: number }>> {
    const now = this.#d.clock.now();
    const held = this.#board.givenInForce(peer, now);
    if (held.length === 0) return reject('not_trusted', 'no trust certificate is in force with this organisation');
    const statements = await this.#statements(peer, reason, held, now);
    const outcome = await this.#d.audit.commit(
      statements.map(({ write }) => ({ op: 'trust.revocation.add', revocation: write })),
      statements.map(({ write, certificateId }) => ({
        type: 'revocation_issued',
        actor,
        subject: `org:${peer}`,
        outcome: 'ok',
        detail: { sequence: write.sequence, certificate_id: certificateId },
      })),
    );
    if (!outcome.ok) return reject('internal', 'another revocation was written at the same time');
    for (const { write } of statements) {
      const added = this.#board.addRevocation(this.#d.party.domain, write.document, now);
      if (!added.ok) return added;
    }
    for (const { write } of statements) this.#d.send(peer, MESSAGE_TYPES.trust_revoke, write.document);
    this.tick();
    return ok({ sequence: this.#board.chain(this.#d.party.domain).sequence });
  }

  async #statements(peer: Domain, reason: string, held: readonly VerifiedTrustCertificate[], now: Instant) {
    const { crypto, signer, party } = this.#d;
    let chain = this.#board.chain(party.domain);
    const statements: { readonly write: TrustRevocationRow; readonly certificateId: string }[] = [];
    for (const { certificateId } of held) {
      const times = { issued_at: now, effective_at: now };
      const draft = draftRevocation(chain, {
        subject: peer,
        certificate_id: certificateId,
        action: 'revoke',
        reason,
        ...times,
      });
      const { bytes, body } = await signDocument(crypto, draft, signer);
      const next = extendRevocations(crypto, chain, bytes, this.#board.trustKeys(party.domain, now));
      if (!next.ok) throw new InvariantError(`our own revocation: ${next.error.code}`);
      chain = next.value;
      statements.push({
        write: { issuer: party.domain, subject: peer, sequence: body.sequence, document: bytes },
        certificateId,
      });
    }
    return statements;
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
    if (type === MESSAGE_TYPES.trust_revoke) return await this.#receiveRevocation(peer, document);
    if (type === MESSAGE_TYPES.trust_status) return await this.#receiveStatus(peer, document);
    const taken = await this.#runner.receive(peer, document);
    return taken.ok ? ok(undefined) : taken;
  }

  /** Durable before it counts, and before it is acknowledged: a peer whose statement was lost sends it again. */
  async #receiveRevocation(
    peer: Domain,
    document: Uint8Array,
  ): Promise<Result<{ readonly type: number; readonly document: Uint8Array }>> {
    const { clock, audit } = this.#d;
    const received = clock.now();
    const checked = this.#checkRevocation(peer, document, received);
    if (!checked.ok) {
      const detail = { code: checked.error.code };
      const subject = `org:${this.#d.party.domain}`;
      audit.note({ type: 'revocation_rejected', actor: `org:${peer}`, subject, outcome: 'refused', detail });
      return checked;
    }
    const { chain, body, hash } = checked.value;
    const { sequence, subject, certificate_id } = body;
    if (chain.sequence > this.#board.chain(peer).sequence) {
      const detail = { sequence, certificate_id };
      const outcome = await audit.commit(
        [{ op: 'trust.revocation.add', revocation: { issuer: peer, subject, sequence, document } }],
        [{ type: 'revocation_received', actor: `org:${peer}`, subject: `org:${subject}`, outcome: 'ok', detail }],
      );
      if (!outcome.ok) return reject('internal', 'revocation');
      this.#board.adopt(chain);
    }
    this.tick();
    return ok({
      type: MESSAGE_TYPES.trust_revoke_ack,
      document: await this.#revocationAck(peer, sequence, hash, received),
    });
  }

  /** Checked with the keys of the time that it names, as it will be after every restart; that time is not ahead of ours. */
  #checkRevocation(peer: Domain, document: Uint8Array, now: Instant) {
    const parsed = parseDocument(TRUST_REVOCATION, document);
    if (!parsed.ok) return parsed;
    const { body } = parsed.value;
    if (body.issued_at > now + CLOCK_SKEW_MS) return reject('clock_skew', 'issued_at of the revocation');
    const chain = this.#board.extended(peer, document, instant(body.issued_at));
    if (!chain.ok) return chain;
    return ok({ chain: chain.value, body, hash: documentHash(this.#d.crypto, parsed.value) });
  }

  async #revocationAck(peer: Domain, sequence: number, revocation: Uint8Array, received: Instant): Promise<Uint8Array> {
    const { crypto, party, clock, signer } = this.#d;
    const ack = draftDocument(TRUST_REVOCATION_ACK, {
      ...{ issuer: peer, sequence, revocation, acknowledged_by: party.domain },
      received_at: received,
      enforced_at: clock.now(),
    });
    return (await signDocument(crypto, ack, signer)).bytes;
  }

  /**
   * Looks who is trusted now. Trust that ended since the last look, by a statement, a
   * date or a condition, is told; called after every change and every minute.
   */
  tick(): void {
    const now = this.#d.clock.now();
    for (const peer of this.#board.peers()) {
      const inForce = this.#board.pair(peer, now) !== undefined;
      if (inForce) this.#inForce.add(peer);
      else if (this.#inForce.delete(peer)) this.#tell(peer, 'ended');
    }
  }

  /** Partners with which there was trust and is none now: their conversations are frozen, also after a restart. */
  ended(): readonly Domain[] {
    const now = this.#d.clock.now();
    return this.#board.peers().filter((peer) => this.#board.pair(peer, now) === undefined);
  }

  // ---- freshness: each side shows the other where its revocations stand ----

  /** Every 60 seconds, and after a link came up. */
  async poll(): Promise<void> {
    this.tick();
    const now = this.#d.clock.now();
    const partners = this.#board.peers().filter((peer) => this.#board.pair(peer, now) !== undefined);
    // Each by itself: neither a stranger's exchange nor one silent partner may make the others' trust go stale.
    await Promise.all(
      [this.#runner.retry(), ...partners.map((peer) => this.#askStatus(peer))].map((one) => one.catch(this.#d.onFault)),
    );
  }

  async #askStatus(peer: Domain): Promise<void> {
    const answer = await this.#d.ask(peer, MESSAGE_TYPES.trust_status, await this.#ownStatus(peer));
    if (answer.ok) await this.#takeStatus(peer, answer.value);
  }

  async #receiveStatus(
    peer: Domain,
    document: Uint8Array,
  ): Promise<Result<{ readonly type: number; readonly document: Uint8Array }>> {
    const taken = await this.#takeStatus(peer, document);
    if (!taken.ok) return taken;
    return ok({ type: MESSAGE_TYPES.trust_status, document: await this.#ownStatus(peer) });
  }

  async #takeStatus(peer: Domain, document: Uint8Array): Promise<Result<undefined>> {
    const now = this.#d.clock.now();
    const opened = openDocument(this.#d.crypto, TRUST_STATUS, document, this.#board.trustKeys(peer, now));
    if (!opened.ok) return opened;
    const { body } = opened.value.document;
    if (body.issuer !== peer || body.to !== this.#d.party.domain) return reject('forbidden', 'parties of the status');
    const standing = compareStatus(this.#board.chain(peer), body);
    if (standing === 'fork') {
      this.#d.audit.note({
        type: 'revocation_rejected',
        actor: `org:${peer}`,
        subject: `org:${peer}`,
        outcome: 'failed',
        detail: { code: 'revocation_fork' },
      });
      return reject('revocation_fork', 'status');
    }
    if (standing === 'current') await this.#heardFrom(peer, now);
    await this.#sendMissing(peer, body);
    return ok(undefined);
  }

  async #heardFrom(peer: Domain, now: Instant): Promise<void> {
    this.#board.heard(peer, now);
    await this.#d.store.commit([{ op: 'trust.heard', peer, at: now }]);
  }

  async #sendMissing(peer: Domain, status: Parameters<typeof missingOf>[1]): Promise<void> {
    const missing = missingOf(this.#board.chain(this.#d.party.domain), status);
    if (!missing.ok || missing.value.length === 0) return;
    for (const row of await this.#d.store.read.trustRevocations()) {
      if (row.issuer === this.#d.party.domain && missing.value.includes(row.sequence))
        this.#d.send(peer, MESSAGE_TYPES.trust_revoke, row.document);
    }
  }

  async #ownStatus(peer: Domain): Promise<Uint8Array> {
    const { party, clock, crypto, signer } = this.#d;
    const own = this.#board.chain(party.domain);
    const theirs = this.#board.chain(peer);
    const draft = draftDocument(TRUST_STATUS, {
      issuer: party.domain,
      to: peer,
      sequence: own.sequence,
      head: own.head,
      known_sequence: theirs.sequence,
      known_head: theirs.head,
      sent_at: clock.now(),
    });
    return (await signDocument(crypto, draft, signer)).bytes;
  }
}

/** An officer as an exchange names one. */
function officerOf(actor: string): string {
  return actor.slice(0, 64);
}
