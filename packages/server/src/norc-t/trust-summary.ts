import { type Domain, type Instant, instant } from '@norc/protocol/base';
import { type Crypto, rootKeyFingerprint } from '@norc/protocol/crypto';
import { explainDecision, type GrantedLevel, type TrustDecision } from '@norc/protocol/norc-t';
import type { TrustSummary } from '../services.ts';
import { type Exchange, isOver } from './exchange-runner.ts';
import type { TrustBoard } from './trust-facts.ts';

export interface SummaryQuestion {
  readonly self: Domain;
  readonly peer: Domain;
  readonly now: Instant;
}

/** What an officer sees of one partner: what is in force, what is open, or why there is nothing. */
export function summarizeTrust(
  crypto: Crypto,
  board: TrustBoard,
  exchanges: readonly Exchange[],
  { self, peer, now }: SummaryQuestion,
): TrustSummary {
  const open =
    exchanges.find((one) => one.state.phase === 'awaiting_approval') ?? exchanges.findLast((one) => !isOver(one));
  const rootKey = board.knownRootKey(peer) ?? peerRootKey(open);
  const fingerprint = rootKey === undefined ? {} : { rootFingerprint: rootKeyFingerprint(crypto, rootKey) };
  if (open !== undefined) return { peer, ...describeOpen(open), ...fingerprint };
  const question = { local: self, remote: peer, direction: 'outgoing', permission: 'message_relay' } as const;
  const decision = board.decide(question, now);
  const explanation = explainDecision(question, decision);
  const pair = board.pair(peer, now);
  if (pair !== undefined) {
    const notAfter = instant(Math.min(pair.given.notAfter, pair.received.notAfter));
    const level = decision.kind === 'allow' ? decision.level : 'untrusted';
    return { peer, state: 'in_force', level, notAfter, explanation, ...fingerprint };
  }
  const refused = exchanges.findLast((one) => one.state.phase === 'ended');
  if (refused !== undefined && board.certificatesWith(peer).length === 0) {
    return { peer, state: 'refused', level: 'untrusted', explanation: endedReason(refused), ...fingerprint };
  }
  return { peer, state: endedState(decision), level: 'untrusted', explanation, ...fingerprint };
}

function endedState(decision: TrustDecision): TrustSummary['state'] {
  if (decision.kind === 'allow') return 'in_force';
  return decision.reason === 'revoked' || decision.reason === 'expired' ? decision.reason : 'none';
}

function peerRootKey(exchange: Exchange | undefined): Uint8Array | undefined {
  return exchange !== undefined && 'peer_party' in exchange.state ? exchange.state.peer_party.root_key : undefined;
}

function describeOpen(exchange: Exchange): Pick<TrustSummary, 'state' | 'level' | 'exchangeId' | 'explanation'> {
  const level: GrantedLevel = 'level' in exchange.state ? exchange.state.level : 'basic';
  const { peer, id: exchangeId } = exchange;
  if (exchange.state.phase === 'awaiting_approval') {
    const explanation = `${peer} proved its domain and its key; an officer here has to approve.`;
    return { level, exchangeId, state: 'awaiting_approval', explanation };
  }
  const waits: Readonly<Record<string, string>> = {
    awaiting_challenge: `Waiting for ${peer} to answer.`,
    awaiting_request: `Waiting for the request of ${peer}.`,
    proving_domain: `Checking that ${peer} controls its domain.`,
    awaiting_response: `Waiting for ${peer} to prove its key.`,
    awaiting_decision: `Waiting for an officer of ${peer}.`,
    signing: 'Signing the certificates.',
    awaiting_acknowledgment: `Waiting for ${peer} to countersign.`,
  };
  const explanation = `${waits[exchange.state.phase] ?? exchange.state.phase}${refusalText(exchange)}`;
  return { level, exchangeId, state: 'requested', explanation };
}

function refusalText({ peer, refused }: Exchange): string {
  if (refused === undefined) return '';
  const advice = refused === 'clock_skew' ? ' Compare the clocks of both servers.' : '';
  return ` Its last message was refused (${refused}); ${peer} sends it again.${advice}`;
}

function endedReason(exchange: Exchange): string {
  return exchange.state.phase === 'ended' ? `${exchange.state.code}: ${exchange.state.reason}` : '';
}
