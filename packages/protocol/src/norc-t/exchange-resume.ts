import { type ExchangeContext, type ExchangeEffect, resend, stored } from './exchange.ts';
import type { InitiatorState, ResponderState } from './exchange-state.ts';
import { approvalQuestion } from './responder-decision.ts';
import { TRUST_CERTIFICATE } from './trust-certificate.ts';

/**
 * What a state waits for, asked again: after a restart the answers that were under way
 * are lost, and so may be what was sent [TRUST-39]. Asking twice does no harm.
 */
export function resumeInitiator(state: InitiatorState): readonly ExchangeEffect[] {
  switch (state.phase) {
    case 'proving_domain':
      return [{ kind: 'prove_domain', domain: state.peer, rootKey: state.peer_party.root_key }];
    case 'signing':
      return [signAgain(state)];
    default:
      return resend(state.sent);
  }
}

/** As `resumeInitiator`. */
export function resumeResponder(context: ExchangeContext, state: ResponderState): readonly ExchangeEffect[] {
  switch (state.phase) {
    case 'proving_domain':
      return [{ kind: 'prove_domain', domain: state.peer, rootKey: state.peer_party.root_key }];
    case 'awaiting_approval':
      return [{ kind: 'ask_approval', question: approvalQuestion(context, state) }];
    case 'signing':
      return [signAgain(state)];
    default:
      return resend(state.sent);
  }
}

function signAgain(state: { readonly issued: Uint8Array; readonly counterpart: Uint8Array }): ExchangeEffect {
  const issued = stored(TRUST_CERTIFICATE, state.issued);
  return { kind: 'sign_certificates', issued, counterpart: stored(TRUST_CERTIFICATE, state.counterpart) };
}
