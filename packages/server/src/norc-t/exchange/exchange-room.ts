import { type Domain, ok, type Result, reject } from '@norc/protocol/base';
import type { StoreWrite } from '../../storage/port.ts';
import { type Exchange, isOver } from './exchange-rows.ts';
import { evidenceKey } from './exchange-writes.ts';

/*
 * Anybody may begin an exchange in any name: what that costs is bounded, and whoever is known
 * already is not kept out by strangers [TRUST-85].
 */

const OPEN_PER_PEER_MAX = 4;
const OPEN_STRANGERS_MAX = 256;
/** So that it can be said why a stranger's request came to nothing. */
const ENDED_STRANGERS_MAX = 64;

/** Nothing has been found yet about whoever began it. */
function isUnproved({ role, state }: Exchange): boolean {
  return role === 'responder' && ['awaiting_request', 'awaiting_response', 'checking_evidence'].includes(state.phase);
}

function isOurs({ role }: Exchange): boolean {
  return role === 'initiator';
}

/**
 * Whether the peer may begin one more; `evicted`: which makes way for it. `all`: oldest first. `isKnown`: there are certificates
 * with a peer; `isBusy`: a step of it is under way. Errors: rate.
 */
export function roomFor(
  peer: Domain,
  all: readonly Exchange[],
  { isKnown, isBusy }: { isKnown(peer: Domain): boolean; isBusy(exchange: Exchange): boolean },
): Result<{ readonly evicted?: Exchange }> {
  const open = all.filter((one) => !isOver(one));
  const full = reject('rate', 'open trust exchanges');
  if (open.filter((one) => one.peer === peer && !isOurs(one)).length >= OPEN_PER_PEER_MAX) return full;
  if (isKnown(peer) || open.some((one) => one.peer === peer && isOurs(one))) return ok({});
  const strangers = open.filter((one) => !isOurs(one) && !isKnown(one.peer));
  if (strangers.length < OPEN_STRANGERS_MAX) return ok({});
  const evicted = strangers.find((one) => isUnproved(one) && !isBusy(one));
  return evicted === undefined ? full : ok({ evicted });
}

/**
 * Which exchanges that are over are kept no longer, once `ended` is: the last one with each peer is enough, and of
 * strangers who were never asked for anything only the latest.
 */
export function forgotten(
  ended: Exchange,
  all: readonly Exchange[],
  isKnown: (peer: Domain) => boolean,
): readonly Exchange[] {
  const over = all.filter((one) => one.id !== ended.id && isOver(one));
  const before = over.filter((one) => one.peer === ended.peer);
  const strange = [...over.filter((one) => one.peer !== ended.peer), ended].filter(
    (one) => !isOurs(one) && !isKnown(one.peer),
  );
  return [...before, ...strange.slice(0, Math.max(0, strange.length - ENDED_STRANGERS_MAX))];
}

/** What was found about partners is kept; what was found about strangers goes with their exchange. */
export function forgetWrites(
  exchanges: readonly Exchange[],
  isKnown: (peer: Domain) => boolean,
): readonly StoreWrite[] {
  return exchanges.flatMap((one): readonly StoreWrite[] => {
    const row = { op: 'trust.exchange.delete', exchangeId: one.id } as const;
    if (isKnown(one.peer) || isOurs(one)) return [row];
    return [row, { op: 'trust.record.delete', kind: 'evidence', key: evidenceKey(one) }];
  });
}
