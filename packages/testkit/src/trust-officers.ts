import { nodeCrypto } from '@norc/crypto/node';
import type { Instant } from '@norc/protocol/base';
import {
  type ApprovalBody,
  type ApprovalQuestion,
  type OfficerDecision,
  requestDescription,
  requestSubject,
  type SignedApproval,
} from '@norc/protocol/norc-t';
import { type TestOfficer, testApproval } from './officers.ts';
import { TEST_EPOCH } from './organisations.ts';
import { type ExchangeOptions, type TrustSide, testTrustRequest } from './trust-exchange.ts';

/** Officers of a side who approve one after the other, each with their own key. */
export function officersSign(
  officers: readonly TestOfficer[],
  now: Instant = TEST_EPOCH,
): Required<Pick<TrustSide, 'decide'>> {
  return { decide: (question, asked) => signedDecision(officers[asked], question, now) };
}

/** What one officer says to a question; undefined when there is nobody. */
export function signedDecision(
  officer: TestOfficer | undefined,
  question: ApprovalQuestion,
  now: Instant = TEST_EPOCH,
) {
  if (officer === undefined) return undefined;
  const { kind: _, ...said } = officerSays(grantBy(officer, question, { approved_at: now }), 'approve', now);
  return said;
}

/** An officer's signature under the question; `changes` are signed too. */
export function grantBy(
  officer: TestOfficer,
  { subject, peer }: ApprovalQuestion,
  changes: Partial<ApprovalBody> = {},
): SignedApproval {
  return testApproval(officer, { action: 'trust_grant', subject, peer, ...changes });
}

export function officerSays(
  signed?: SignedApproval,
  decision: OfficerDecision['decision'] = 'approve',
  at: Instant = TEST_EPOCH,
): OfficerDecision {
  return { kind: 'officer', decision, by: 'admin-socket', at, ...(signed === undefined ? {} : { signed }) };
}

/** The options of an exchange that an officer of the first side asks for. */
export function officerAsks(
  officer: TestOfficer,
  first: TrustSide,
  second: TrustSide,
  options: ExchangeOptions = {},
): ExchangeOptions {
  const request = testTrustRequest(first, second, { ...options, request: { level: 'classified', ...options.request } });
  const subject = requestSubject(nodeCrypto, requestDescription(request));
  const requested = testApproval(officer, { action: 'trust_request', subject, peer: request.peer });
  return { ...options, request: { level: request.level, ...options.request, requested } };
}
