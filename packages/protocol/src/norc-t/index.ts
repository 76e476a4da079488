export * from './decision.ts';
export * from './evidence/domain-proof.ts';
export * from './evidence/evidence-documents.ts';
export * from './evidence/evidence-statements.ts';
export * from './evidence/finding-codec.ts';
export * from './evidence/findings.ts';
export * from './evidence/score.ts';
export * from './evidence/x509-material.ts';
export {
  decodeRequestDescription,
  decodeSignedApproval,
  descriptionOf,
  encodeRequestDescription,
  encodeSignedApproval,
  grantSubject,
  OFFICER_APPROVAL_MATERIAL,
  OFFICER_REQUEST,
  type RequestDescription,
  requestSubject,
  signedApprovals,
  signersNeeded,
} from './exchange/exchange-approvals.ts';
export { storedPair } from './exchange/exchange-certificates.ts';
export { evidenceGoodUntil, findingsOf, heldFindings, scoreOf } from './exchange/exchange-evidence.ts';
export * from './exchange/exchange-resume.ts';
export { needsPostQuantum, signsPostQuantum } from './exchange/exchange-signatures.ts';
export * from './exchange/exchange-state.ts';
export { requestTerms } from './exchange/exchange-terms.ts';
export * from './exchange/exchange-types.ts';
export * from './exchange/initiator.ts';
export { initiatorQuestion } from './exchange/initiator-decision.ts';
export * from './exchange/messages.ts';
export * from './exchange/responder.ts';
export { approvalQuestion } from './exchange/responder-decision.ts';
export * from './exchange/trust-pair.ts';
export { explainDecision, timeText } from './explanation.ts';
export * from './identifiers.ts';
export * from './levels.ts';
export * from './officers/officer-request.ts';
export * from './officers/officers.ts';
export * from './party.ts';
export * from './policy/policy.ts';
export * from './policy/policy-change.ts';
export * from './policy/policy-document.ts';
export * from './policy/policy-floor.ts';
export * from './revocation/propagation.ts';
export * from './revocation/revocation.ts';
export * from './revocation/standing.ts';
export * from './roots/recovery-set.ts';
export * from './roots/root-fingerprint.ts';
export * from './roots/root-rotation.ts';
export * from './trust-certificate.ts';
