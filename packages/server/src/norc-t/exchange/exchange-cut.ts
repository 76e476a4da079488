import type { Domain, Instant } from '@norc/protocol/base';
import {
  type CertificateId,
  compareLevels,
  type ExchangeContext,
  type ExchangeEffect,
  type GrantedLevel,
  needsSignedApprovals,
  stepInitiator,
  stepResponder,
} from '@norc/protocol/norc-t';
import type { AuditEvent } from '../../services.ts';
import type { StoreWrite } from '../../storage/port.ts';
import type { TrustBoard } from '../trust-facts.ts';
import { type Exchange, rowOf, signedBy } from './exchange-rows.ts';
import { effectTrail, join } from './exchange-writes.ts';

/** What ends with trust in a peer: written in the transaction of whatever ends it. */
export interface CutOff {
  /** Certificates that we signed already, which the peer may complete: statements are made about them too. */
  readonly signed: readonly { readonly certificateId: CertificateId; readonly level: GrantedLevel }[];
  readonly writes: readonly StoreWrite[];
  readonly events: readonly AuditEvent[];
  /** The transaction is in. */
  done(): void;
  /** It is not; does nothing after `done`. */
  undone(): void;
}

/**
 * Why a request would give back what officers took, with fewer of them than a restore needs [TRUST-81]: a
 * renewal asks for no more than what is in force; anything else, where one person asks and several
 * have to restore, waits for the restore.
 */
export function restoreFault(
  board: TrustBoard,
  { self, peer, level, renewal }: { self: Domain; peer: Domain; level: GrantedLevel; renewal: boolean },
  now: Instant,
): string | undefined {
  const inForce = board.levelInForce(peer, now);
  if (compareLevels(level, inForce) <= 0) return undefined;
  if (renewal) return `trust is at ${inForce}: a renewal for ${level} would give back what was lowered`;
  const { approvals } = board.policy.levels[level];
  if (approvals <= 1 || needsSignedApprovals(board.policy, level)) return undefined; // as many sign the request's answer
  const wasTaken = board
    .standings(self, peer, now)
    .some(
      ({ certificate, standing }) =>
        standing.kind === 'suspended' || (standing.kind === 'in_force' && standing.level !== certificate.level),
    );
  return wasTaken ? `officers lowered or suspended trust with ${peer}: restore it first` : undefined;
}

/** Exchanges that are open, as they are when they have ended [TRUST-79]. */
export function cutExchanges(
  context: ExchangeContext,
  open: readonly Exchange[],
): Omit<CutOff, 'done' | 'undone'> & { readonly ended: readonly Exchange[] } {
  const cut = open.map((one) => cutExchange(context, one));
  const { events } = join(...cut.map(({ exchange, effects }) => effectTrail(exchange, effects)));
  const ended = cut.map(({ exchange }) => exchange);
  const writes = ended.map(
    (exchange): StoreWrite => ({ op: 'trust.exchange.put', exchange: rowOf(exchange, context.now) }),
  );
  return { ended, writes, events, signed: open.flatMap(signedBy) };
}

function cutExchange(
  context: ExchangeContext,
  exchange: Exchange,
): { readonly exchange: Exchange; readonly effects: readonly ExchangeEffect[] } {
  if (exchange.role === 'initiator') {
    const { state, effects } = stepInitiator(context, exchange.state, { kind: 'cut_off' });
    return { exchange: { ...exchange, state }, effects };
  }
  const { state, effects } = stepResponder(context, exchange.state, { kind: 'cut_off' });
  return { exchange: { ...exchange, state }, effects };
}
