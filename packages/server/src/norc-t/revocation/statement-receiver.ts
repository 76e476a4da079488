import { type Domain, type Instant, instant, MESSAGE_TYPES, ok, type Result, reject } from '@norc/protocol/base';
import { parseDocument, signDocument } from '@norc/protocol/crypto';
import {
  actOf,
  draftRevocationAck,
  type RevocationBody,
  type RevocationChain,
  TRUST_REVOCATION,
} from '@norc/protocol/norc-t';
import type { TrustRecordRow } from '../../storage/port.ts';
import { CLOCK_SKEW_MS, type TrustDependencies } from '../trust-dependencies.ts';
import type { TrustBoard } from '../trust-facts.ts';
import { ackKey } from './ack-book.ts';
import type { Freshness } from './freshness.ts';
import type { TrustIncidents } from './incidents.ts';

/** Of one issuer: what is kept of it for ever, and gone through at every look [TRUST-59]. */
export const STATEMENT_LIMITS = {
  all: 20_000,
  /** Of a time that is ahead. */
  held: 256,
  /** About one certificate: every decision goes through them. */
  certificate: 256,
  /** Since our start, of an issuer with which trust is over for good: its last ones may be on their way. */
  former: 64,
} as const;

export interface ReceiverDependencies
  extends Pick<TrustDependencies, 'party' | 'store' | 'audit' | 'crypto' | 'clock' | 'signer' | 'enforce' | 'onFault'> {
  readonly board: TrustBoard;
  readonly freshness: Freshness;
  readonly incidents: TrustIncidents;
  /** Looks who is trusted now; resolves when links with the peer are cut and conversations frozen, rejects when that failed. */
  readonly look: (peer: Domain) => Promise<void>;
}

interface Answer {
  readonly type: number;
  readonly document: Uint8Array;
}

/** Statements of others: held durably, made to count here, and only then acknowledged (spec/norc-t section 6). */
export class StatementReceiver {
  readonly #d: ReceiverDependencies;
  /** Our signed acknowledgments by issuer and number: a statement that comes again gets the same one. */
  readonly #acks = new Map<string, Uint8Array>();
  readonly #enforcing = new Map<string, Promise<Uint8Array>>();
  readonly #received = new Map<string, Instant>();
  /** How many statements were taken of issuers with which trust is over. */
  readonly #former = new Map<Domain, number>();

  constructor(dependencies: ReceiverDependencies) {
    this.#d = dependencies;
  }

  async load(): Promise<void> {
    for (const row of await this.#d.store.read.trustRecords('ack')) this.#acks.set(row.key, row.document);
  }

  /** Durable before it counts, in force before it is acknowledged: whoever is not answered sends it again. */
  async receive(peer: Domain, document: Uint8Array): Promise<Result<Answer>> {
    const { clock, board } = this.#d;
    const checked = this.#check(peer, document, clock.now());
    if (!checked.ok) return await this.#refuse(peer, document, checked.error.code, checked);
    const { chain, body } = checked.value;
    if (chain.sequence > board.chain(peer).sequence) {
      const over = this.#over(peer, body);
      if (over !== undefined) {
        if (over !== 'former') await this.#d.incidents.tooMany(peer, over);
        return reject('rate', 'statements of this issuer');
      }
      const kept = await this.#keep(peer, document, chain, body);
      if (!kept.ok) return kept;
    }
    if (body.effective_at > clock.now()) {
      return ok({ type: MESSAGE_TYPES.trust_status, document: await this.#d.freshness.ownStatus(peer) });
    }
    if (this.#waits(peer, body)) return reject('not_trusted', 'it counts here when trust is back');
    return ok({ type: MESSAGE_TYPES.trust_revoke_ack, document: await this.#enforced(peer, body) });
  }

  /** The limit at which its chain is, if it is at one. */
  #over(peer: Domain, { certificate_id, effective_at }: RevocationBody): keyof typeof STATEMENT_LIMITS | undefined {
    const { board, clock } = this.#d;
    const now = clock.now();
    const { sequence, statements, byCertificate } = board.chain(peer);
    if (sequence >= STATEMENT_LIMITS.all) return 'all';
    if ((byCertificate.get(certificate_id)?.length ?? 0) >= STATEMENT_LIMITS.certificate) return 'certificate';
    if (effective_at > now) {
      const held = statements.reduce((count, one) => (one.effective_at > now ? count + 1 : count), 0);
      if (held >= STATEMENT_LIMITS.held) return 'held';
    }
    if (board.isLasting(peer, now)) return undefined;
    const former = this.#former.get(peer) ?? 0;
    if (former >= STATEMENT_LIMITS.former) return 'former';
    this.#former.set(peer, former + 1);
    return undefined;
  }

  async #keep(
    peer: Domain,
    document: Uint8Array,
    chain: RevocationChain,
    body: RevocationBody,
  ): Promise<Result<undefined>> {
    const { audit, board, clock } = this.#d;
    const { sequence, subject, action } = body;
    const held = body.effective_at > clock.now() ? { effective_at: body.effective_at } : {};
    const outcome = await audit.commit(
      [{ op: 'trust.revocation.add', revocation: { issuer: peer, subject, sequence, document } }],
      [
        {
          ...{ type: 'revocation_received', actor: `org:${peer}`, subject: `org:${subject}`, outcome: 'ok' },
          detail: { sequence, action, ...held },
        },
      ],
    );
    if (!outcome.ok) return reject('internal', 'revocation');
    this.#received.set(ackKey(peer, sequence, this.#d.party.domain), clock.now());
    if (board.chain(peer).sequence < chain.sequence) board.adopt(chain);
    return ok(undefined);
  }

  /** A gap is fetched; a fork is kept and ends trust; what nobody signed is noted. */
  async #refuse<T>(peer: Domain, document: Uint8Array, code: string, refusal: Result<T>): Promise<Result<T>> {
    const { audit, party, freshness, incidents, board, store, onFault } = this.#d;
    if (code === 'revocation_gap') {
      void freshness.ask(peer).catch(onFault);
      return refusal;
    }
    if (code === 'revocation_fork') {
      const parsed = parseDocument(TRUST_REVOCATION, document);
      const sequence = parsed.ok ? Math.min(parsed.value.body.sequence, board.chain(peer).sequence) : 0;
      const rows = await store.read.trustRevocations();
      const held = rows.find((row) => row.issuer === peer && row.sequence === sequence);
      await incidents.fork(peer, sequence, held?.document ?? new Uint8Array(), document);
      await this.#d.look(peer);
      return refusal;
    }
    const subject = `org:${party.domain}`;
    audit.note({ type: 'revocation_rejected', actor: `org:${peer}`, subject, outcome: 'refused', detail: { code } });
    return refusal;
  }

  /**
   * Checked with the keys of the time that it names, as it will be after every restart; that time is not
   * ahead of ours. A key that has ended since may be stolen: what it signed counts only where the peer has
   * said with a key in date that it made as many statements [TRUST-21].
   */
  #check(peer: Domain, document: Uint8Array, now: Instant) {
    const parsed = parseDocument(TRUST_REVOCATION, document);
    if (!parsed.ok) return parsed;
    const { body } = parsed.value;
    if (body.issued_at > now + CLOCK_SKEW_MS) return reject('clock_skew', 'issued_at of the revocation');
    const chain = this.#d.board.extended(peer, document, instant(body.issued_at));
    if (!chain.ok) return chain;
    const known = body.sequence <= Math.max(this.#d.board.chain(peer).sequence, this.#d.freshness.announced(peer));
    if (!known && !this.#d.board.extended(peer, document, now).ok)
      return reject('certificate_expired', 'key of the revocation');
    return ok({ chain: chain.value, body });
  }

  /** What is due counts now: called at every look, so also after a restart between the statement and its effects. */
  async enforceDue(): Promise<void> {
    const { board, party, clock } = this.#d;
    const now = clock.now();
    for (const peer of board.peers()) {
      try {
        for (const body of board.chain(peer).statements) {
          const key = ackKey(peer, body.sequence, party.domain);
          if (body.effective_at > now || this.#acks.has(key) || this.#waits(peer, body)) continue;
          await this.#enforced(peer, body);
        }
      } catch (error) {
        this.#d.onFault(error); // tried again at the next look; the others' go on
      }
    }
  }

  /** The acknowledgment, made when all effects are in force here; one at a time for each statement. */
  #enforced(peer: Domain, body: RevocationBody): Promise<Uint8Array> {
    const key = ackKey(peer, body.sequence, this.#d.party.domain);
    const known = this.#acks.get(key);
    if (known !== undefined) return Promise.resolve(known);
    const running = this.#enforcing.get(key) ?? this.#enforce(peer, body, key);
    this.#enforcing.set(key, running);
    return running.finally(() => this.#enforcing.delete(key));
  }

  async #enforce(peer: Domain, body: RevocationBody, key: string): Promise<Uint8Array> {
    const { board, enforce, look, store, crypto, signer, party, clock } = this.#d;
    await look(peer);
    const chain = board.chain(peer);
    const act = actOf(chain, body.sequence);
    if (act !== undefined && this.#concernsUs(peer, body)) await enforce?.(act);
    const enforcedAt = clock.now();
    const receivedAt = instant(Math.min(this.#received.get(key) ?? enforcedAt, enforcedAt));
    const draft = draftRevocationAck(chain, body.sequence, { by: party.domain, receivedAt, enforcedAt });
    const { bytes } = await signDocument(crypto, draft, signer);
    const record: TrustRecordRow = { kind: 'ack', key, peer, at: enforcedAt, document: bytes };
    await store.commit([{ op: 'trust.record.put', record }]);
    this.#acks.set(key, bytes);
    return bytes;
  }

  /**
   * What an issuer says about others puts nobody out while it is blocked, suspended or has signed two histories:
   * its word does not count then. It is kept, and counts when trust is back [TRUST-64].
   */
  #waits(peer: Domain, { subject }: RevocationBody): boolean {
    const { board, party, clock } = this.#d;
    const now = clock.now();
    return subject !== party.domain && board.pair(peer, now) === undefined && board.isLasting(peer, now);
  }

  /**
   * About others: what is said by who is trusted now, of a time at which trust had begun and was not over for good. Else
   * it is history: we share nothing that it is about. About us: what ended trust that there was, and not an invented one.
   */
  #concernsUs(peer: Domain, { subject, certificate_id, effective_at }: RevocationBody): boolean {
    const { board, party, clock } = this.#d;
    const isInForce = board.pair(peer, clock.now()) !== undefined;
    if (subject !== party.domain) return isInForce && board.isLasting(peer, instant(effective_at));
    const isKnown = board
      .certificatesWith(peer)
      .some((one) => one.issuer === peer && one.certificateId === certificate_id);
    return isKnown && !isInForce;
  }
}
