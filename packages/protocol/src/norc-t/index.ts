export * from './decision.ts';
export * from './domain-proof.ts';
export type {
  ApprovalQuestion,
  DomainProof,
  ExchangeContext,
  ExchangeEffect,
  ExchangeEvent,
  ExchangeStep,
  OfficerDecision,
} from './exchange.ts';
export * from './exchange-resume.ts';
export * from './exchange-state.ts';
export { explainDecision, timeText } from './explanation.ts';
export * from './findings.ts';
export * from './identifiers.ts';
export * from './initiator.ts';
export * from './levels.ts';
export * from './messages.ts';
export * from './officers.ts';
export * from './party.ts';
export * from './policy.ts';
export * from './responder.ts';
export { approvalQuestion } from './responder-decision.ts';
export * from './revocation.ts';
export * from './standing.ts';
export * from './trust-certificate.ts';
