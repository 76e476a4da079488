import type { Domain, Instant } from '@norc/protocol/base';
import type { RevocationService } from './revocation/revocation-service.ts';
import type { TrustDependencies } from './trust-dependencies.ts';
import type { TrustBoard } from './trust-facts.ts';

export interface SelfEndDependencies extends Pick<TrustDependencies, 'party' | 'store' | 'clock'> {
  readonly board: TrustBoard;
  readonly revocations: Pick<RevocationService, 'sayEnded'>;
}

/** Both sides see the same end: whose domain sorts second leaves the first so long to say it. */
const SECOND_WAITS_MS = 120_000;

const REASONS = {
  expired: 'the time of the trust certificate was over',
  condition: 'a condition of the trust certificate was not met in time',
} as const;

/**
 * Trust that ended by a date or a condition leaves no statement, so the hub of a conversation that both share with a
 * third organisation would never hear of it, and the copies here would stay frozen: one side says it [TRUST-58].
 */
export class SelfEnds {
  readonly #d: SelfEndDependencies;
  readonly #seenAt = new Map<Domain, Instant>();

  constructor(dependencies: SelfEndDependencies) {
    this.#d = dependencies;
  }

  /** Called at every look. Said once: a certificate about which it was said is revoked from then on. */
  async look(): Promise<void> {
    const { board, clock } = this.#d;
    const now = clock.now();
    for (const peer of board.peers()) {
      const end = this.#endOf(peer, now);
      if (end === undefined) this.#seenAt.delete(peer);
      else if (this.#isOurTurn(peer, end, now) && (await this.#sharesAtThird(peer, now)))
        await this.#d.revocations.sayEnded(peer, REASONS[end.cause]);
    }
  }

  /** How it ended by itself, and by whose certificate; undefined while it is in force, suspended, or where somebody has said it. */
  #endOf(peer: Domain, now: Instant): { readonly cause: keyof typeof REASONS; readonly ours: boolean } | undefined {
    const { board, party } = this.#d;
    if (board.pair(peer, now) !== undefined || board.isLasting(peer, now)) return undefined;
    const [given] = board.standings(party.domain, peer, now);
    const [received] = board.standings(peer, party.domain, now);
    for (const one of [given, received])
      if (one === undefined || (one.standing.kind === 'revoked' && one.standing.by === 'statement')) return undefined;
    const [mine, theirs] = [given, received].map((one) => one?.standing.kind === 'revoked');
    const isFirst = party.domain < peer;
    return { cause: mine || theirs ? 'condition' : 'expired', ours: mine === theirs ? isFirst : mine === true };
  }

  /** Who gave the certificate whose condition was not met, or whose domain sorts first; the other one when that says nothing. */
  #isOurTurn(peer: Domain, { ours }: { readonly ours: boolean }, now: Instant): boolean {
    const seenAt = this.#seenAt.get(peer) ?? now;
    this.#seenAt.set(peer, seenAt);
    return ours || now - seenAt >= SECOND_WAITS_MS;
  }

  async #sharesAtThird(peer: Domain, now: Instant): Promise<boolean> {
    const { board, party, store } = this.#d;
    for (const id of await store.read.conversationsWith(peer)) {
      const hub = (await store.read.conversation(id))?.hub;
      if (hub !== undefined && hub !== party.domain && hub !== peer && board.pair(hub, now) !== undefined) return true;
    }
    return false;
  }
}
