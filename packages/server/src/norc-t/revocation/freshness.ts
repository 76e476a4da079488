import { type Domain, MESSAGE_TYPES, ok, type Result, reject } from '@norc/protocol/base';
import { draftDocument, signDocument } from '@norc/protocol/crypto';
import { compareStatus, missingOf, openDocument, TRUST_STATUS, type TrustStatusBody } from '@norc/protocol/norc-t';
import { CLOCK_SKEW_MS, type TrustDependencies } from '../trust-dependencies.ts';
import type { TrustBoard } from '../trust-facts.ts';
import type { TrustIncidents } from './incidents.ts';

export interface FreshnessDependencies
  extends Pick<TrustDependencies, 'party' | 'store' | 'crypto' | 'clock' | 'signer' | 'send' | 'ask'> {
  readonly board: TrustBoard;
  readonly incidents: TrustIncidents;
  /** The peer confirmed its chain, or showed two: who is trusted may have changed. */
  readonly onLook: () => void;
  /** The peer is there, and lacks statements of ours: they were sent, and want to be acknowledged. */
  readonly onLacking: (peer: Domain) => void;
}

const NO_HEAD = new Uint8Array(32);

/** Each side shows the other where its revocations stand, so that nothing is held back unseen (spec/norc-t section 6). */
export class Freshness {
  readonly #d: FreshnessDependencies;
  /** When the last status that counted was sent, by its own clock: an older one is a recording. */
  readonly #lastSent = new Map<Domain, number>();
  /** How many statements each peer has said, in a status signed with a key in date, that it made. */
  readonly #announced = new Map<Domain, number>();
  /** How many of our own each peer has shown that it holds. */
  readonly #held = new Map<Domain, number>();

  constructor(dependencies: FreshnessDependencies) {
    this.#d = dependencies;
  }

  /** Shows a peer our status, and takes its own. */
  async ask(peer: Domain): Promise<void> {
    const answer = await this.#d.ask(peer, MESSAGE_TYPES.trust_status, await this.ownStatus(peer));
    if (answer.ok) await this.take(peer, answer.value);
  }

  async receive(
    peer: Domain,
    document: Uint8Array,
  ): Promise<Result<{ readonly type: number; readonly document: Uint8Array }>> {
    const taken = await this.take(peer, document);
    if (!taken.ok) return taken;
    return ok({ type: MESSAGE_TYPES.trust_status, document: await this.ownStatus(peer) });
  }

  /** Statements up to this number are known to be the peer's own, whatever has become of the keys that signed them. */
  announced(peer: Domain): number {
    return this.#announced.get(peer) ?? 0;
  }

  /**
   * A recorded status must not keep alive what was revoked since: one of another time is refused, and
   * one that is not newer than the last confirms nothing [TRUST-26].
   * Errors: those of `openDocument`, forbidden (for somebody else), clock_skew, revocation_fork.
   */
  async take(peer: Domain, document: Uint8Array): Promise<Result<TrustStatusBody>> {
    const { crypto, board, clock, party, incidents } = this.#d;
    const now = clock.now();
    const opened = openDocument(crypto, TRUST_STATUS, document, board.trustKeys(peer, now));
    if (!opened.ok) return opened;
    const { body } = opened.value.document;
    if (body.issuer !== peer || body.to !== party.domain) return reject('forbidden', 'parties of the status');
    if (Math.abs(body.sent_at - now) > CLOCK_SKEW_MS) return reject('clock_skew', 'sent_at of the status');
    const isNewer = body.sent_at > (this.#lastSent.get(peer) ?? 0);
    if (isNewer) this.#lastSent.set(peer, body.sent_at);
    this.#announced.set(peer, Math.max(this.announced(peer), body.sequence));
    switch (compareStatus(board.chain(peer), body)) {
      case 'fork':
        return await this.#fork(peer, body.sequence, document);
      case 'current':
        if (isNewer) await this.#heardFrom(peer);
        break;
      case 'behind':
        incidents.tellBehind(peer, body.sequence);
        break;
      case 'older':
        break;
    }
    await this.#sendMissing(peer, body);
    return ok(body);
  }

  async #fork(peer: Domain, sequence: number, status: Uint8Array): Promise<Result<never>> {
    const rows = await this.#d.store.read.trustRevocations();
    const held = rows.find((row) => row.issuer === peer && row.sequence === Math.max(1, sequence));
    await this.#d.incidents.fork(peer, sequence, held?.document ?? new Uint8Array(), status);
    this.#d.onLook();
    return reject('revocation_fork', 'status');
  }

  async #heardFrom(peer: Domain): Promise<void> {
    const now = this.#d.clock.now();
    this.#d.incidents.current(peer);
    this.#d.board.heard(peer, now);
    await this.#d.store.commit([{ op: 'trust.heard', peer, at: now }]);
    this.#d.onLook();
  }

  async #sendMissing(peer: Domain, status: TrustStatusBody): Promise<void> {
    const { board, party, send, incidents } = this.#d;
    const missing = missingOf(board.chain(party.domain), status);
    if (!missing.ok) return await incidents.ownFork(peer, status.known_sequence);
    this.#held.set(peer, Math.max(this.#held.get(peer) ?? 0, status.known_sequence));
    const shown = this.#shownTo(peer);
    const wanted = missing.value.filter((sequence) => sequence <= shown);
    for (const sequence of wanted) {
      const document = board.ownStatement(sequence);
      if (document !== undefined) send(peer, MESSAGE_TYPES.trust_revoke, document);
    }
    if (wanted.length > 0) this.#d.onLacking(peer);
  }

  /**
   * The number up to which a peer is told what we say. Where no trust is in force, what we say about others after our
   * last word about it is not its business: only what it holds already is shown, and what leads to that word [TRUST-27].
   */
  #shownTo(peer: Domain): number {
    const { board, party, clock } = this.#d;
    const own = board.chain(party.domain);
    if (board.pair(peer, clock.now()) !== undefined) return own.sequence;
    const about = own.statements.findLast(({ subject }) => subject === peer)?.sequence ?? 0;
    return Math.max(about, this.#held.get(peer) ?? 0);
  }

  async ownStatus(peer: Domain): Promise<Uint8Array> {
    const { party, clock, crypto, signer, board } = this.#d;
    const { hashes } = board.chain(party.domain);
    const sequence = this.#shownTo(peer);
    const theirs = board.chain(peer);
    const draft = draftDocument(TRUST_STATUS, {
      issuer: party.domain,
      to: peer,
      ...{ sequence, head: hashes[sequence - 1] ?? NO_HEAD },
      known_sequence: theirs.sequence,
      known_head: theirs.head,
      sent_at: clock.now(),
    });
    return (await signDocument(crypto, draft, signer)).bytes;
  }
}
