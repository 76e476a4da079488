import { type Domain, type Instant, instant } from '@norc/protocol/base';
import { type Crypto, rootKeyFingerprint } from '@norc/protocol/crypto';
import { explainDecision, type TrustDecision } from '@norc/protocol/norc-t';
import type { TrustSummary } from '../services.ts';
import { type Exchange, isOver, reviewOf } from './exchange/exchange-rows.ts';
import { negotiationSummary } from './exchange/exchange-summary.ts';
import type { TrustBoard } from './trust-facts.ts';

export interface SummaryQuestion {
  readonly self: Domain;
  readonly peer: Domain;
  readonly now: Instant;
}

/** What an officer sees of one partner: what is in force, what is open, or why there is nothing, and on what it rests. */
export function summarizeTrust(
  crypto: Crypto,
  board: TrustBoard,
  exchanges: readonly Exchange[],
  question: SummaryQuestion,
): TrustSummary {
  const { peer } = question;
  const waiting = exchanges.find((one) => one.state.phase === 'awaiting_approval');
  const open = waiting ?? exchanges.findLast((one) => !isOver(one));
  const last = open ?? exchanges.findLast((one) => reviewOf(one) !== undefined);
  const rootKey = board.knownRootKey(peer) ?? peerRootKey(open);
  const fingerprint = rootKey === undefined ? {} : { rootFingerprint: rootKeyFingerprint(crypto, rootKey) };
  const negotiation = last === undefined ? {} : negotiationSummary(crypto, board.policy, last, question.now);
  const standing = standingSummary(board, exchanges, question);
  const stands = standing.state === 'in_force';
  if (open === undefined) return { peer, ...standing, ...fingerprint, ...negotiation };
  const described = describeOpen(open);
  if (!stands) return { peer, ...described, ...fingerprint, ...negotiation };
  // Another exchange takes nothing away meanwhile; but where it waits for an officer here, that is what has to be seen.
  const state = described.state === 'awaiting_approval' ? described.state : standing.state;
  const asked =
    described.level === standing.certificates?.given.level ? 'A renewal' : `A request for ${described.level}`;
  const explanation = `${standing.explanation} ${asked} is under way: ${described.explanation}`;
  return { peer, ...described, ...standing, state, explanation, ...fingerprint, ...negotiation };
}

type Standing = Pick<TrustSummary, 'state' | 'level' | 'explanation' | 'notAfter' | 'certificates'>;

function standingSummary(
  board: TrustBoard,
  exchanges: readonly Exchange[],
  { self, peer, now }: SummaryQuestion,
): Standing {
  const question = { local: self, remote: peer, direction: 'outgoing', permission: 'message_relay' } as const;
  const decision = board.decide(question, now);
  const explanation =
    decision.kind === 'allow' ? `In force at level ${decision.level}.` : explainDecision(question, decision);
  const pair = board.pair(peer, now);
  if (pair !== undefined) {
    const notAfter = instant(Math.min(pair.given.notAfter, pair.received.notAfter));
    const level = decision.kind === 'allow' ? decision.level : 'untrusted';
    return { state: 'in_force', level, notAfter, explanation, certificates: pair };
  }
  const refused = exchanges.findLast((one) => one.state.phase === 'ended');
  if (refused !== undefined && board.certificatesWith(peer).length === 0) {
    return { state: 'refused', level: 'untrusted', explanation: endedReason(refused) };
  }
  return { state: endedState(decision), level: 'untrusted', explanation };
}

function endedState(decision: TrustDecision): TrustSummary['state'] {
  if (decision.kind === 'allow') return 'in_force';
  return decision.reason === 'revoked' || decision.reason === 'expired' ? decision.reason : 'none';
}

function peerRootKey(exchange: Exchange | undefined): Uint8Array | undefined {
  return exchange !== undefined && 'peer_party' in exchange.state ? exchange.state.peer_party.root_key : undefined;
}

function describeOpen(exchange: Exchange): Pick<TrustSummary, 'state' | 'level' | 'exchangeId' | 'explanation'> {
  const level = reviewOf(exchange)?.level ?? 'basic';
  const { peer, id: exchangeId } = exchange;
  if (exchange.state.phase === 'awaiting_approval') {
    const explanation = `${peer} proved its domain and its key; an officer here has to approve.`;
    return { level, exchangeId, state: 'awaiting_approval', explanation };
  }
  const explanation = `${waitText(exchange)}${refusalText(exchange)}`;
  return { level, exchangeId, state: 'requested', explanation };
}

function waitText({ peer, state }: Exchange): string {
  switch (state.phase) {
    case 'awaiting_challenge':
      return `Waiting for ${peer} to answer.`;
    case 'awaiting_request':
      return `Waiting for the request of ${peer}.`;
    case 'checking_evidence':
    case 'checking_again':
      return `Checking what ${peer} shows about itself.`;
    case 'awaiting_response':
      return `Waiting for ${peer} to prove its key.`;
    case 'awaiting_decision':
      return `Waiting for an officer of ${peer}.`;
    case 'signing':
      return 'Signing the certificates.';
    case 'awaiting_acknowledgment':
      return `Waiting for ${peer} to countersign.`;
    default:
      return state.phase;
  }
}

function refusalText({ peer, refused }: Exchange): string {
  if (refused === undefined) return '';
  const advice = refused === 'clock_skew' ? ' Compare the clocks of both servers.' : '';
  return ` Its last message was refused (${refused}); ${peer} sends it again.${advice}`;
}

function endedReason(exchange: Exchange): string {
  return exchange.state.phase === 'ended' ? `${exchange.state.code}: ${exchange.state.reason}` : '';
}
