import { type Domain, type Instant, toBase64Url } from '@norc/protocol/base';
import { timeText } from '@norc/protocol/norc-t';
import { canonicalJson } from '@norc/protocol/wire';
import type { TrustDependencies } from '../trust-dependencies.ts';
import type { TrustBoard } from '../trust-facts.ts';
import type { TrustNotice, TrustNotices } from '../trust-notices.ts';

export interface IncidentDependencies extends Pick<TrustDependencies, 'store' | 'audit' | 'clock'> {
  readonly board: TrustBoard;
  readonly notices: TrustNotices;
}

/** A partner says that it made more statements than it shows. */
interface Behind {
  readonly since: Instant;
  /** When it said so last. */
  readonly until: Instant;
  readonly claimed: number;
  readonly held: number;
}

/** Statuses come every minute, and what they speak of a moment later: for so long no link loses it by chance. */
const SUPPRESSED_AFTER_MS = 120_000;

/** What partners did that they must not: kept with its evidence, audited, and told to officers. */
export class TrustIncidents {
  readonly #d: IncidentDependencies;
  readonly #behind = new Map<Domain, Behind>();

  constructor(dependencies: IncidentDependencies) {
    this.#d = dependencies;
  }

  /** Newest last; their number goes into the partner's score. */
  of(peer: Domain): readonly TrustNotice[] {
    return this.#d.notices.of(peer).filter(({ kind }) => kind === 'incident');
  }

  behind(peer: Domain): Behind | undefined {
    return this.#behind.get(peer);
  }

  /** A status named more statements than were sent: asked for, and remembered until they come. */
  tellBehind(peer: Domain, claimed: number): void {
    const held = this.#d.board.chain(peer).sequence;
    const known = this.#behind.get(peer);
    const until = this.#d.clock.now();
    const isSame = known !== undefined && known.held === held;
    this.#behind.set(peer, isSame ? { ...known, until } : { since: until, until, claimed, held });
  }

  current(peer: Domain): void {
    this.#behind.delete(peer);
  }

  /**
   * Longer than the policy allows: trust is stale by now, and here is why. That a partner cannot be reached is nobody's
   * fault; that it goes on to speak of statements and shows none is its own, and costs it points.
   */
  async stale(peer: Domain, heardAt: Instant | undefined): Promise<void> {
    const told = this.#behind.get(peer);
    const behind = told !== undefined && told.until - told.since >= SUPPRESSED_AFTER_MS ? told : undefined;
    const since = heardAt === undefined ? 'ever' : `since ${timeText(heardAt)}`;
    const said =
      behind === undefined
        ? { about: 'stale', text: `${peer} has not confirmed its revocations ${since}: nothing passes until it does.` }
        : {
            about: 'suppressed',
            text:
              `${peer} says that it made ${behind.claimed} statements and has shown ${behind.held}, ${since}: ` +
              'it holds some back, or its link loses them. Nothing passes until they are here.',
          };
    await this.#d.notices.once(
      `stale ${peer} ${heardAt ?? 0} ${said.about}`,
      peer,
      { kind: behind === undefined ? 'due' : 'incident', ...said },
      {
        ...{ type: 'trust_notice', actor: 'system:server', subject: `org:${peer}`, outcome: 'failed' },
        detail: behind === undefined ? { about: said.about } : { about: said.about, ...numbers(behind) },
      },
    );
  }

  /** More statements than anybody needs: no more are taken, and its chain goes stale [TRUST-59]. */
  async tooMany(peer: Domain, what: string): Promise<void> {
    const text = `${peer} made too many statements (${what}): no more are taken, and nothing passes once its chain is stale.`;
    await this.#d.notices.once(
      `too many ${peer} ${what}`,
      peer,
      { kind: 'incident', about: 'too_many', text },
      {
        ...{ type: 'revocation_rejected', actor: `org:${peer}`, subject: `org:${peer}`, outcome: 'refused' },
        detail: { code: 'rate', about: what },
      },
    );
  }

  /** Two histories with one number: both are kept, and trust with the issuer is over until officers have looked. */
  async fork(issuer: Domain, sequence: number, held: Uint8Array, other: Uint8Array): Promise<void> {
    const { board, store, clock, notices } = this.#d;
    board.markForked(issuer);
    const document = canonicalJson({ held: toBase64Url(held), other: toBase64Url(other) });
    const key = `${issuer} ${sequence}`;
    const record = { kind: 'fork', key, peer: issuer, at: clock.now(), document } as const;
    await store.commit([{ op: 'trust.record.put', record }]);
    const text = `${issuer} signed two different histories (statement ${sequence}): nothing that it says counts until officers have looked.`;
    await notices.once(
      `fork ${issuer} ${sequence}`,
      issuer,
      { kind: 'incident', about: 'fork', text },
      {
        ...{ type: 'revocation_rejected', actor: `org:${issuer}`, subject: `org:${issuer}`, outcome: 'failed' },
        detail: { code: 'revocation_fork', sequence },
      },
    );
  }

  /** A root key that was replaced in two ways: both documents are kept, and trust is over until officers have looked [ROOT-13]. */
  async rotationFork(org: Domain, sequence: number, held: Uint8Array, other: Uint8Array): Promise<void> {
    const { board, store, clock, notices } = this.#d;
    board.markForked(org);
    const document = canonicalJson({ held: toBase64Url(held), other: toBase64Url(other) });
    const key = `${org} rotation-${sequence}`;
    if ((await store.read.trustRecord('fork', key)) === undefined)
      await store.commit([
        { op: 'trust.record.put', record: { kind: 'fork', key, peer: org, at: clock.now(), document } },
      ]);
    const text = `${org} replaced its root key in two ways (rotation ${sequence}): somebody else may have it. Nothing counts until officers have looked.`;
    await notices.once(
      `rotation fork ${org} ${sequence}`,
      org,
      { kind: 'incident', about: 'fork', text },
      {
        ...{ type: 'trust_notice', actor: `org:${org}`, subject: `org:${org}`, outcome: 'failed' },
        detail: { code: 'rotation_fork', sequence },
      },
    );
  }

  /** A certificate behind the partner's identity was revoked by its authority. Trust stays: officers decide what follows [EVID-66]. */
  async chainRevoked(peer: Domain, detail: string): Promise<void> {
    const text = `The X.509 chain on which trust with ${peer} rests holds no longer: ${detail}. Trust goes on until officers end it.`;
    await this.#d.notices.once(
      `chain ${peer} ${detail}`,
      peer,
      { kind: 'incident', about: 'chain_revoked', text },
      {
        ...{ type: 'trust_notice', actor: 'system:server', subject: `org:${peer}`, outcome: 'failed' },
        detail: { about: 'chain_revoked' },
      },
    );
  }

  /** A peer holds a statement with our signature that we did not make: our key is in other hands, or our database is old. */
  async ownFork(peer: Domain, sequence: number): Promise<void> {
    const text = `${peer} holds statement ${sequence} of ours, which is not in our own chain: an old backup runs here, or somebody else has our key.`;
    await this.#d.notices.once(
      `own fork ${peer} ${sequence}`,
      peer,
      { kind: 'due', about: 'own_fork', text },
      {
        ...{ type: 'revocation_rejected', actor: `org:${peer}`, subject: `org:${peer}`, outcome: 'failed' },
        detail: { code: 'revocation_fork', sequence, own: true },
      },
    );
  }
}

function numbers({ claimed, held }: Behind): { readonly claimed: number; readonly held: number } {
  return { claimed, held };
}
