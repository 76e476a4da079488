import { type Domain, type Instant, instant, type Result, reject } from '@norc/protocol/base';
import { checkRevocationAck, openDocument, type RevocationAct, TRUST_REVOCATION_ACK } from '@norc/protocol/norc-t';
import type { StoreWrite } from '../../storage/port.ts';
import { CLOCK_SKEW_MS, type TrustDependencies } from '../trust-dependencies.ts';
import type { TrustBoard } from '../trust-facts.ts';

interface Ack {
  readonly at: Instant;
  readonly document: Uint8Array;
}

export function ackKey(issuer: Domain, sequence: number, by: Domain): string {
  return `${issuer} ${sequence} ${by}`;
}

/** Acknowledgments of our statements, ours among them, with the time at which each was here. */
export class AckBook {
  readonly #d: Pick<TrustDependencies, 'party' | 'store' | 'crypto' | 'clock'> & { readonly board: TrustBoard };
  readonly #acks = new Map<string, Ack>();

  constructor(
    dependencies: Pick<TrustDependencies, 'party' | 'store' | 'crypto' | 'clock'> & { readonly board: TrustBoard },
  ) {
    this.#d = dependencies;
  }

  async load(): Promise<void> {
    for (const row of await this.#d.store.read.trustRecords('ack')) this.#acks.set(row.key, row);
  }

  has(sequence: number, by: Domain): boolean {
    return this.#acks.has(this.#key(sequence, by));
  }

  /** When the last of the act's statements was acknowledged; undefined while one is not. */
  confirmedAt({ first, last }: RevocationAct, by: Domain): Instant | undefined {
    const times = numbersOf({ first, last }).map((sequence) => this.#acks.get(this.#key(sequence, by))?.at);
    return times.includes(undefined) ? undefined : instant(Math.max(...times.map((at) => at ?? 0)));
  }

  /** It counts from now on, and is to be stored with what follows from it. */
  add(sequence: number, by: Domain, document: Uint8Array, at: Instant): StoreWrite {
    const key = this.#key(sequence, by);
    this.#acks.set(key, { at, document });
    return { op: 'trust.record.put', record: { kind: 'ack', key, peer: by, at, document } };
  }

  /** Errors: those of `openDocument` and `checkRevocationAck`, forbidden (of something else), clock_skew. */
  check(peer: Domain, sequence: number, document: Uint8Array): Result<undefined> {
    const { crypto, board, clock, party } = this.#d;
    const now = clock.now();
    const opened = openDocument(crypto, TRUST_REVOCATION_ACK, document, board.trustKeys(peer, now));
    if (!opened.ok) return opened;
    const { body } = opened.value.document;
    if (body.acknowledged_by !== peer || body.sequence !== sequence) return reject('forbidden', 'acknowledgment');
    if (body.enforced_at < body.received_at || body.enforced_at > now + CLOCK_SKEW_MS)
      return reject('clock_skew', 'times of the acknowledgment');
    return checkRevocationAck(board.chain(party.domain), body);
  }

  of(sequence: number): readonly { readonly by: Domain; readonly sequence: number; readonly document: Uint8Array }[] {
    const prefix = `${this.#d.party.domain} ${sequence} `;
    return [...this.#acks]
      .filter(([key]) => key.startsWith(prefix))
      .map(([key, { document }]) => ({ by: key.slice(prefix.length) as Domain, sequence, document })); // the key was made of one
  }

  #key(sequence: number, by: Domain): string {
    return ackKey(this.#d.party.domain, sequence, by);
  }
}

/** Of the act's statements. */
export function numbersOf({ first, last }: Pick<RevocationAct, 'first' | 'last'>): readonly number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}
