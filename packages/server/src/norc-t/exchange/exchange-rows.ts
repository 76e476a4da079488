import { type Domain, ok, type Reject, type Result, reject } from '@norc/protocol/base';
import { documentType, parseDocument } from '@norc/protocol/crypto';
import {
  decodeInitiatorState,
  decodeResponderState,
  type ExchangeEffect,
  encodeInitiatorState,
  encodeResponderState,
  type InitiatorState,
  type ResponderState,
  type Review,
  storedPair,
  TRUST_CHALLENGE,
  TRUST_MESSAGES,
  TRUST_REQUEST,
  type TrustMessageName,
} from '@norc/protocol/norc-t';
import type { TrustExchangeRow } from '../../storage/port.ts';

/** One exchange in progress: its machine's state, and what is stored of it. */
export type Exchange = (
  | { readonly role: 'initiator'; readonly id: string; readonly peer: Domain; readonly state: InitiatorState }
  | { readonly role: 'responder'; readonly id: string; readonly peer: Domain; readonly state: ResponderState }
) & {
  /** Why the peer's last document was refused, until one is taken: so it can be said why nothing happens. */
  readonly refused?: Reject['code'] | undefined;
};

export function isOver({ state }: Exchange): boolean {
  return state.phase === 'ended' || state.phase === 'established';
}

/** It waits for what a check of evidence gives. */
export function isChecking({ state }: Exchange): boolean {
  return state.phase === 'checking_evidence' || state.phase === 'checking_again';
}

/** Somebody said who they are and never asked for anything: nothing of it is kept. */
export function cameToNothing(before: Exchange | undefined, after: Exchange): boolean {
  return before?.state.phase === 'awaiting_request' && after.state.phase === 'ended' && reviewOf(after) === undefined;
}

export type CertificateChange = Extract<ExchangeEffect, { readonly kind: 'keep_certificates' | 'drop_certificates' }>;

/** What a step changes about which certificates there are. */
export function changeOf(effects: readonly ExchangeEffect[]): CertificateChange | undefined {
  return effects.find(
    (effect): effect is CertificateChange => effect.kind === 'keep_certificates' || effect.kind === 'drop_certificates',
  );
}

/** The id that a request or a challenge gives the certificate that its sender will issue. */
export function certificateIdOf(document: Uint8Array): string | undefined {
  for (const kind of [TRUST_REQUEST, TRUST_CHALLENGE]) {
    const parsed = parseDocument<{ readonly certificate_id: string }>(kind, document);
    if (parsed.ok) return parsed.value.body.certificate_id;
  }
  return undefined;
}

/** What is known of the peer in it; undefined before its request came. */
export function reviewOf({ state }: Exchange): Review | undefined {
  return 'review' in state ? state.review : undefined;
}

/** The certificate that we signed for the peer in an exchange that is open: it may complete the pair at any time. */
export function signedBy({ role, state }: Exchange) {
  if (role !== 'responder' || state.phase !== 'awaiting_acknowledgment') return [];
  const { body } = storedPair(state).issued;
  return [{ certificateId: body.certificate_id, level: body.level }];
}

/** The exchange that a document of a peer belongs to; nothing else of it is checked. Errors: malformed, those of parsing. */
export function exchangeIdOf(document: Uint8Array): Result<string> {
  const type = documentType(document);
  if (!type.ok) return type;
  const name = Object.keys(TRUST_MESSAGES).find((one): one is TrustMessageName => one === type.value);
  if (name === undefined) return reject('malformed', 'trust document');
  const parsed = parseDocument<object>(TRUST_MESSAGES[name], document);
  if (!parsed.ok) return parsed;
  const { body } = parsed.value;
  return 'exchange_id' in body && typeof body.exchange_id === 'string'
    ? ok(body.exchange_id)
    : reject('malformed', 'trust document');
}

export function rowOf(exchange: Exchange, updatedAt: TrustExchangeRow['updatedAt']): TrustExchangeRow {
  const document =
    exchange.role === 'initiator' ? encodeInitiatorState(exchange.state) : encodeResponderState(exchange.state);
  const { id: exchangeId, peer, role, state } = exchange;
  return { exchangeId, peer, role, state: state.phase, document, updatedAt };
}

/** Errors: those of decoding, for a state that an older version wrote. */
export function restoreExchange({ exchangeId: id, peer, role, document }: TrustExchangeRow): Result<Exchange> {
  if (role === 'initiator') {
    const state = decodeInitiatorState(document);
    return state.ok ? ok({ role, id, peer, state: state.value }) : state;
  }
  const state = decodeResponderState(document);
  return state.ok ? ok({ role, id, peer, state: state.value }) : state;
}
