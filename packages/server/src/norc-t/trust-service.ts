import { type Clock, type Domain, type Instant, MESSAGE_TYPES, ok, type Random, type Result, reject, type TrustLevel } from '@norc/protocol/base';
import { type Crypto, documentHash, draftDocument, parseDocument, rootKeyFingerprint, type Signer, signDocument } from '@norc/protocol/crypto';
import {
  compareStatus,
  type DomainProof,
  draftRevocation,
  explainDecision,
  type GrantedLevel,
  missingOf,
  openDocument,
  type Party,
  TRUST_REVOCATION,
  TRUST_REVOCATION_ACK,
  TRUST_STATUS,
  type TrustDecision,
  type TrustPolicy,
  type TrustQuestion,
} from '@norc/protocol/norc-t';
import type { Audit, Trust, TrustOfficer, TrustSummary } from '../services.ts';
import type { Store } from '../storage/port.ts';
import { type Exchange, ExchangeRunner, isOver } from './exchange-runner.ts';
import { TrustBoard } from './trust-facts.ts';

export interface TrustDependencies {
  readonly party: Party;
  readonly store: Store;
  readonly audit: Audit;
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly random: Random;
  readonly signer: Signer;
  readonly policy: TrustPolicy;
  readonly proveDomain: (domain: Domain, rootKey: Uint8Array) => Promise<DomainProof>;
  /** One way, over the link to the peer, dialed if needed. */
  readonly send: (peer: Domain, type: number, document: Uint8Array) => void;
  /** Request and answer, over the link to the peer. */
  readonly ask: (peer: Domain, type: number, document: Uint8Array) => Promise<Result<Uint8Array>>;
  readonly onFault: (error: unknown) => void;
}

type Change = (peer: Domain, change: 'granted' | 'ended') => void;

/** Trust of one organisation: the exchange, the certificates, revocations, and the decision over them. */
export class TrustService implements Trust, TrustOfficer {
  readonly #d: TrustDependencies;
  readonly #board: TrustBoard;
  readonly #runner: ExchangeRunner;
  readonly #listeners: Change[] = [];

  constructor(dependencies: TrustDependencies) {
    this.#d = dependencies;
    this.#board = new TrustBoard(dependencies.crypto, dependencies.party, dependencies.policy);
    this.#runner = new ExchangeRunner({
      ...dependencies,
      self: dependencies.party,
      board: this.#board,
      onGranted: (peer) => this.#tell(peer, 'granted'),
    });
  }

  async load(): Promise<void> {
    await this.#board.load(this.#d.store, this.#d.clock.now());
    await this.#runner.load();
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
    return pair === undefined ? undefined : { spkiHashes: pair.given.subjectTlsKeys, rootKey: pair.given.subjectRootKey };
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
    const exchange = this.#runner.awaitingApproval(peer);
    if (exchange === undefined) return reject('forbidden', 'no request of this organisation waits for approval');
    const decided = await this.#runner.officer(exchange, 'approve', officerOf(actor), actor);
    return decided.ok ? ok(this.#summary(peer)) : decided;
  }

  async decline(peer: Domain, actor: string, reason: string): Promise<Result<TrustSummary>> {
    const exchange = this.#runner.awaitingApproval(peer);
    if (exchange === undefined) return reject('forbidden', 'no request of this organisation waits for approval');
    const decided = await this.#runner.officer(exchange, 'reject', officerOf(actor), actor, reason);
    return decided.ok ? ok(this.#summary(peer)) : decided;
  }

  /** In force here before anything is sent; then told to the peer, whose answer is not waited for. */
  async revoke(peer: Domain, actor: string, reason: string): Promise<Result<{ readonly sequence: number }>> {
    const { clock, crypto, signer, party, audit } = this.#d;
    const now = clock.now();
    const held = this.#board.pair(peer, now);
    if (held === undefined) return reject('not_trusted', 'no trust certificate is in force with this organisation');
    const draft = draftRevocation(this.#board.chain(party.domain), {
      subject: peer,
      certificate_id: held.given.certificateId,
      action: 'revoke',
      reason,
      issued_at: now,
      effective_at: now,
    });
    const { bytes, body } = await signDocument(crypto, draft, signer);
    const write = { issuer: party.domain, subject: peer, sequence: body.sequence, document: bytes };
    const outcome = await audit.commit(
      [{ op: 'trust.revocation.add', revocation: write }],
      [{ type: 'revocation_issued', actor, subject: `org:${peer}`, outcome: 'ok', detail: { sequence: body.sequence, certificate_id: body.certificate_id } }],
    );
    if (!outcome.ok) return reject('internal', 'another revocation was written at the same time');
    const added = this.#board.addRevocation(party.domain, bytes, now);
    if (!added.ok) return added;
    this.#d.send(peer, MESSAGE_TYPES.trust_revoke, bytes);
    if (this.#board.pair(peer, now) === undefined) this.#tell(peer, 'ended');
    return ok({ sequence: body.sequence });
  }

  summaries(): readonly TrustSummary[] {
    const peers = new Set([...this.#board.peers(), ...this.#runner.all.map((one) => one.peer)]);
    return [...peers].sort().map((peer) => this.#summary(peer));
  }

  #summary(peer: Domain): TrustSummary {
    const now = this.#d.clock.now();
    const open = this.#runner.all.findLast((one) => one.peer === peer && !isOver(one));
    const rootKey = this.#board.knownRootKey(peer) ?? peerRootKey(open);
    const fingerprint = rootKey === undefined ? {} : { rootFingerprint: rootKeyFingerprint(this.#d.crypto, rootKey) };
    if (open !== undefined) return { peer, ...describeOpen(open), ...fingerprint };
    const question = { local: this.#d.party.domain, remote: peer, direction: 'outgoing', permission: 'message_relay' } as const;
    const decision = this.#board.decide(question, now);
    const explanation = explainDecision(question, decision);
    const pair = this.#board.pair(peer, now);
    const level = decision.kind === 'allow' ? decision.level : 'untrusted';
    if (pair !== undefined) {
      const notAfter = Math.min(pair.given.notAfter, pair.received.notAfter) as Instant; // the earlier of two instants
      return { peer, state: 'in_force', level, notAfter, explanation, ...fingerprint };
    }
    const ended = this.#runner.all.findLast((one) => one.peer === peer && one.state.phase === 'ended');
    const refused = this.#board.certificatesWith(peer).length === 0 && ended !== undefined;
    if (refused) return { peer, state: 'refused', level: 'untrusted', explanation: endedReason(ended), ...fingerprint };
    const state = decision.kind === 'deny' && decision.reason === 'revoked' ? 'revoked' : decision.kind === 'deny' && decision.reason === 'expired' ? 'expired' : 'none';
    return { peer, state, level: 'untrusted', explanation, ...fingerprint };
  }

  // ---- the peer's documents ----

  async receive(peer: Domain, type: number, document: Uint8Array): Promise<Result<{ readonly type: number; readonly document: Uint8Array } | undefined>> {
    if (type === MESSAGE_TYPES.trust_revoke) return await this.#receiveRevocation(peer, document);
    if (type === MESSAGE_TYPES.trust_status) return await this.#receiveStatus(peer, document);
    const taken = await this.#runner.receive(peer, document);
    return taken.ok ? ok(undefined) : taken;
  }

  async #receiveRevocation(peer: Domain, document: Uint8Array): Promise<Result<{ readonly type: number; readonly document: Uint8Array }>> {
    const { clock, audit, crypto } = this.#d;
    const received = clock.now();
    const before = this.#board.chain(peer);
    const trusted = this.#board.pair(peer, received) !== undefined;
    const extended = this.#board.addRevocation(peer, document, received);
    if (!extended.ok) {
      audit.note({ type: 'revocation_rejected', actor: `org:${peer}`, subject: `org:${this.#d.party.domain}`, outcome: 'refused', detail: { code: extended.error.code } });
      return extended;
    }
    const parsed = parseDocument(TRUST_REVOCATION, document);
    if (!parsed.ok) return parsed;
    const { sequence, subject, certificate_id } = parsed.value.body;
    if (extended.value.sequence > before.sequence) {
      await audit.commit(
        [{ op: 'trust.revocation.add', revocation: { issuer: peer, subject, sequence, document } }],
        [{ type: 'revocation_received', actor: `org:${peer}`, subject: `org:${subject}`, outcome: 'ok', detail: { sequence, certificate_id } }],
      );
    }
    if (trusted && this.#board.pair(peer, clock.now()) === undefined) this.#tell(peer, 'ended');
    const ack = draftDocument(TRUST_REVOCATION_ACK, {
      issuer: peer,
      sequence,
      revocation: documentHash(crypto, parsed.value),
      acknowledged_by: this.#d.party.domain,
      received_at: received,
      enforced_at: clock.now(),
    });
    const signed = await signDocument(crypto, ack, this.#d.signer);
    return ok({ type: MESSAGE_TYPES.trust_revoke_ack, document: signed.bytes });
  }

  // ---- freshness: each side shows the other where its revocations stand ----

  /** Every 60 seconds, and after a link came up. */
  async poll(): Promise<void> {
    await this.#runner.retry();
    for (const peer of this.#board.peers()) {
      if (this.#board.pair(peer, this.#d.clock.now()) === undefined) continue;
      const answer = await this.#d.ask(peer, MESSAGE_TYPES.trust_status, await this.#ownStatus(peer));
      if (answer.ok) await this.#takeStatus(peer, answer.value);
    }
  }

  async #receiveStatus(peer: Domain, document: Uint8Array): Promise<Result<{ readonly type: number; readonly document: Uint8Array }>> {
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
      this.#d.audit.note({ type: 'revocation_rejected', actor: `org:${peer}`, subject: `org:${peer}`, outcome: 'failed', detail: { code: 'revocation_fork' } });
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
      if (row.issuer === this.#d.party.domain && missing.value.includes(row.sequence)) this.#d.send(peer, MESSAGE_TYPES.trust_revoke, row.document);
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

function peerRootKey(exchange: Exchange | undefined): Uint8Array | undefined {
  return exchange !== undefined && 'peer_party' in exchange.state ? exchange.state.peer_party.root_key : undefined;
}

function describeOpen(exchange: Exchange): Pick<TrustSummary, 'state' | 'level' | 'exchangeId' | 'explanation'> {
  const level: GrantedLevel = 'level' in exchange.state ? exchange.state.level : 'basic';
  const base = { level, exchangeId: exchange.id };
  if (exchange.state.phase === 'awaiting_approval') {
    return { ...base, state: 'awaiting_approval', explanation: `${exchange.peer} proved its domain and its key; an officer here has to approve.` };
  }
  const waits: Readonly<Record<string, string>> = {
    awaiting_challenge: `Waiting for ${exchange.peer} to answer.`,
    awaiting_request: `Waiting for the request of ${exchange.peer}.`,
    proving_domain: `Checking that ${exchange.peer} controls its domain.`,
    awaiting_response: `Waiting for ${exchange.peer} to prove its key.`,
    awaiting_decision: `Waiting for an officer of ${exchange.peer}.`,
    signing: 'Signing the certificates.',
    awaiting_acknowledgment: `Waiting for ${exchange.peer} to countersign.`,
  };
  return { ...base, state: 'requested', explanation: waits[exchange.state.phase] ?? exchange.state.phase };
}

function endedReason(exchange: Exchange): string {
  return exchange.state.phase === 'ended' ? `${exchange.state.code}: ${exchange.state.reason}` : '';
}
