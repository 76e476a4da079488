import { type Instant, instant } from '@norc/protocol/base';
import { type Crypto, parseDocument } from '@norc/protocol/crypto';
import {
  evidenceGoodUntil,
  findingsOf,
  grantSubject,
  OFFICER_APPROVAL,
  type OfficerId,
  type Review,
  type SignedApproval,
  scoreOf,
  signedApprovals,
  signersNeeded,
  storedPair,
  TRUST_CHALLENGE,
  TRUST_REQUEST,
  type TrustPolicy,
} from '@norc/protocol/norc-t';
import type { ExchangeApprovals, TrustSummary } from '../../services.ts';
import { type Exchange, isOver, reviewOf } from './exchange-rows.ts';

type Negotiation = Pick<TrustSummary, 'evidence' | 'score' | 'scoreMin' | 'approvals' | 'requestedBy' | 'waitsFor'>;

/** What the last exchange with a partner found and what officers said in it, also when it is over. */
export function negotiationSummary(crypto: Crypto, policy: TrustPolicy, exchange: Exchange, now: Instant): Negotiation {
  const review = reviewOf(exchange);
  if (review === undefined) return {};
  const evidence = findingsOf(review).map((finding) => ({ ...finding, ageMilliseconds: now - finding.checkedAt }));
  const checked = review.findings.length > 0;
  const goodUntil = evidenceGoodUntil({ policy }, review);
  const waitsFor = isOver(exchange) ? undefined : waitedFor(exchange);
  const open = !isOver(exchange) && goodUntil !== undefined;
  return {
    evidence,
    // As it came out when it was checked: later than that, it is history.
    ...(checked ? { score: scoreOf({ policy, now: instant(review.checked_at) }, review) } : {}),
    scoreMin: policy.levels[review.level].scoreMin,
    approvals: { ...approvalsOf(crypto, policy, exchange, review), ...(open ? { goodUntil } : {}) },
    ...(review.requested_by === undefined ? {} : { requestedBy: review.requested_by }),
    ...(waitsFor === undefined ? {} : { waitsFor }),
  };
}

function approvalsOf(crypto: Crypto, policy: TrustPolicy, exchange: Exchange, review: Review): ExchangeApprovals {
  const { state } = exchange;
  const pair = state.phase === 'awaiting_approval' ? storedPair(state) : undefined;
  const demanded = demandedByPeer(exchange);
  const signed =
    exchange.role === 'responder'
      ? signersNeeded(policy, review.level, demanded)
      : Math.max(signedApprovals(policy, review.level), demanded);
  return {
    signed: signed > 0,
    needed: signed > 0 ? signed : policy.levels[review.level].approvals,
    given: review.approvals.map(({ by, at }) => ({ by, at: instant(at) })),
    theirs: review.theirs.flatMap(signerOf),
    ...(pair === undefined ? {} : { subject: grantSubject(crypto, pair) }),
  };
}

/** How many of our officers the other side asks for. */
function demandedByPeer({ role, state }: Exchange): number {
  if (role === 'responder' && 'request' in state) {
    const request = parseDocument(TRUST_REQUEST, state.request);
    return request.ok ? (request.value.body.approvals ?? 0) : 0;
  }
  if (role === 'initiator' && 'challenge' in state) {
    const challenge = parseDocument(TRUST_CHALLENGE, state.challenge);
    return challenge.ok ? (challenge.value.body.approvals ?? 0) : 0;
  }
  return 0;
}

function signerOf({ approval }: SignedApproval): readonly { readonly by: OfficerId; readonly at: Instant }[] {
  const parsed = parseDocument(OFFICER_APPROVAL, approval);
  return parsed.ok ? [{ by: parsed.value.body.officer_id, at: instant(parsed.value.body.approved_at) }] : [];
}

/** Whose people have to do something now. Servers answer by themselves. */
function waitedFor({ state }: Exchange): TrustSummary['waitsFor'] {
  if (state.phase === 'awaiting_approval') return 'ours';
  return state.phase === 'awaiting_decision' || state.phase === 'awaiting_acknowledgment' ? 'theirs' : undefined;
}
