import { resend } from './exchange.ts';
import { storedPair } from './exchange-certificates.ts';
import type { InitiatorState, ResponderState } from './exchange-state.ts';
import type { ExchangeContext, ExchangeEffect } from './exchange-types.ts';
import { checkEffect, initiatorQuestion } from './initiator-decision.ts';
import { approvalQuestion, checkInitiatorEffect } from './responder-decision.ts';

/**
 * What a state waits for, asked again: after a restart the answers that were under way
 * are lost, and so may be what was sent [TRUST-39]. Asking twice does no harm.
 */
export function resumeInitiator(context: ExchangeContext, state: InitiatorState): readonly ExchangeEffect[] {
  switch (state.phase) {
    case 'checking_evidence':
    case 'checking_again':
      return [checkEffect(state)];
    case 'awaiting_approval':
      return [{ kind: 'ask_approval', question: initiatorQuestion(context, state) }];
    case 'signing':
      return [{ kind: 'sign_certificates', ...storedPair(state) }];
    default:
      return resend(state.sent);
  }
}

/** As `resumeInitiator`. */
export function resumeResponder(context: ExchangeContext, state: ResponderState): readonly ExchangeEffect[] {
  switch (state.phase) {
    case 'checking_evidence':
      return [checkInitiatorEffect(state)];
    case 'awaiting_approval':
      return [{ kind: 'ask_approval', question: approvalQuestion(context, state) }];
    case 'signing':
      return [{ kind: 'sign_certificates', ...storedPair(state) }];
    default:
      return resend(state.sent);
  }
}
