import {
  type Domain,
  type Instant,
  InvariantError,
  LIMITS,
  ok,
  type Reject,
  type Result,
  reject,
  sameBytes,
} from '../../base/index.ts';
import type { Crypto, DocumentKind, SignedDocument, VerifiedDocument } from '../../crypto/index.ts';
import { documentHash, documentType, parseDocument } from '../../crypto/index.ts';
import { clipText } from '../evidence/finding-codec.ts';
import type { ExchangeId } from '../identifiers.ts';
import { GRANTED_LEVELS } from '../levels.ts';
import { checkPinnedPostQuantum, keysOf, type Party, verifyBy } from '../party.ts';
import { levelFault } from '../policy/policy.ts';
import type { ExchangeContext, ExchangeEffect, ExchangePlace, ExchangeStep } from './exchange-types.ts';
import { DECISION_REASON_BYTES_MAX, type EvidenceMaterial, TRUST_MESSAGES, type TrustMessageName } from './messages.ts';

/** What both machines of the trust exchange share: opening messages, and the parts that steps are made of. */

interface MessageCommon {
  readonly exchange_id: ExchangeId;
  readonly from: Domain;
  readonly to: Domain;
  readonly previous: Uint8Array;
  readonly sent_at: number;
}

const PARTY_BYTES_MAX = 24_800;
const ALGORITHMS = ['ed25519', 'ml-dsa-65'];

/** What this side can do, as it tells the other. */
export function capabilitiesOf(party: Party, peer: Domain, { policy, checkable }: ExchangeContext) {
  return {
    party,
    levels: GRANTED_LEVELS.filter((level) => levelFault(policy, level, checkable, peer) === undefined),
    evidence: checkable,
    permissions: policy.permissions,
    algorithms: ALGORITHMS,
  };
}

/** The material field of a message; absent when there is none. */
export function materialField(material: readonly EvidenceMaterial[]): {
  readonly material?: readonly EvidenceMaterial[];
} {
  return material.length === 0 ? {} : { material };
}

/** The fields that every message begins with. */
export function commonOf(place: ExchangePlace, now: Instant): MessageCommon {
  const { exchange_id, self, peer, transcript } = place;
  return { exchange_id, from: self.domain, to: peer, previous: transcript, sent_at: now };
}

type Place = ExchangePlace & { readonly sent?: readonly Uint8Array[] };

/**
 * Opens the next message of an exchange: signature first, then that it was written for
 * exactly this exchange, direction, place and time [TRUST-31] to [TRUST-36].
 */
export function openMessage<T extends MessageCommon>(
  { crypto, now }: ExchangeContext,
  document: SignedDocument<T>,
  place: Place,
  signer: Party,
): Result<VerifiedDocument<T>> {
  const signed = verifyBy(crypto, document, keysOf(crypto, signer, 'trust', now));
  if (!signed.ok) return signed;
  const { body } = document;
  if (body.exchange_id !== place.exchange_id) return reject('transcript_mismatch', 'message of another exchange');
  if (body.from !== place.peer || body.to !== place.self.domain) return reject('forbidden', 'parties of the message');
  if (!sameBytes(body.previous, place.transcript)) return reject('transcript_mismatch', 'previous');
  if (body.sent_at > now + LIMITS.trustClockSkewMillisecondsMax)
    return reject('clock_skew', 'sent_at is in the future');
  if (body.sent_at + LIMITS.trustClockSkewMillisecondsMax < earliest(place, now))
    return reject('clock_skew', 'sent_at is before what it answers');
  if (now >= place.expires_at) return reject('exchange_expired', 'trust exchange');
  return ok(signed.value.document);
}

/**
 * What a message answers was sent before it. The peer's approvals are judged at its `sent_at`: without
 * a bound it could choose a day on which those who signed were still in office.
 */
function earliest({ sent = [] }: Place, now: Instant): number {
  if (sent.length === 0) return now - LIMITS.trustExchangeMillisecondsMax;
  return Math.max(...sent.map(sentAt));
}

function sentAt(bytes: Uint8Array): number {
  const type = documentType(bytes);
  if (!type.ok || !isExchangeMessage(type.value)) throw new InvariantError('stored message');
  const { body } = stored<object>(TRUST_MESSAGES[type.value], bytes);
  if ('sent_at' in body && typeof body.sent_at === 'number') return body.sent_at;
  throw new InvariantError('a message of the exchange says when it was sent');
}

/** A party that speaks for itself: its name, a usable root key, and the pinned one where it is known [TRUST-33]. */
export function checkParty(context: ExchangeContext, party: Party, peer: Domain): Result<undefined> {
  if (party.domain !== peer) return reject('forbidden', 'domain of the party');
  if (!context.crypto.ed25519.isPublicKey(party.root_key)) return reject('evidence_rejected', 'root key of the party');
  const { pinnedRootKey, pinnedRootPqKey } = context;
  if (pinnedRootKey !== undefined && !sameBytes(pinnedRootKey, party.root_key)) {
    return reject('evidence_rejected', 'root key differs from the pinned one');
  }
  const postQuantum = checkPinnedPostQuantum(party, pinnedRootPqKey);
  if (!postQuantum.ok) return postQuantum;
  // Two parties, twice in one decision, have to fit into a document.
  const named = party.server_certificates.reduce((sum, certificate) => sum + certificate.length, 0);
  const length = named + (party.recovery?.length ?? 0);
  return length > PARTY_BYTES_MAX ? reject('too_large', 'certificates of the party') : ok(undefined);
}

export interface ReceivedMessage {
  readonly name: TrustMessageName;
  readonly bytes: Uint8Array;
  readonly hash: Uint8Array;
}

/** Reads of a received document no more than its kind and its hash. */
export function recognize(crypto: Crypto, bytes: Uint8Array): Result<ReceivedMessage> {
  const type = documentType(bytes);
  if (!type.ok) return type;
  const name = type.value;
  if (!isExchangeMessage(name)) return reject('unexpected_message', 'not a message of the trust exchange');
  const parsed = parseDocument<unknown>(TRUST_MESSAGES[name], bytes);
  return parsed.ok ? ok({ name, bytes, hash: documentHash(crypto, parsed.value) }) : parsed;
}

const EXCHANGE_MESSAGES: readonly string[] = [
  'trust_capabilities',
  'trust_request',
  'trust_challenge',
  'trust_response',
  'trust_decision',
  'trust_acknowledgment',
];

function isExchangeMessage(name: string): name is TrustMessageName {
  return EXCHANGE_MESSAGES.includes(name);
}

/** A document of our own state: it was checked before it was stored. */
export function stored<T>(kind: DocumentKind<T>, bytes: Uint8Array): SignedDocument<T> {
  const parsed = parseDocument(kind, bytes);
  if (!parsed.ok) throw new InvariantError(`stored ${kind.type}: ${parsed.error.code}`);
  return parsed.value;
}

export function sendEffect(message: TrustMessageName, draft: SignedDocument<unknown>): ExchangeEffect {
  return { kind: 'send', message, draft };
}

/** The same answer again: a peer that repeats a message did not get it [TRUST-37]. */
export function resend(sent: readonly Uint8Array[]): readonly ExchangeEffect[] {
  return sent.map((bytes) => {
    const type = documentType(bytes);
    if (!type.ok || !isExchangeMessage(type.value)) throw new InvariantError('stored message');
    return sendEffect(type.value, stored<unknown>(TRUST_MESSAGES[type.value], bytes));
  });
}

/** The part of a state that goes on into the next one. */
export function placeOf<S extends ExchangePlace>(state: S): ExchangePlace {
  const { exchange_id, self, peer, transcript, expires_at, cut_off } = state;
  return { exchange_id, self, peer, transcript, expires_at, ...(cut_off === undefined ? {} : { cut_off }) };
}

/** The part of a place that says which of this side's statements the exchange began after. */
export function cutOffField({ cutOff }: Pick<ExchangeContext, 'cutOff'>): { readonly cut_off?: number } {
  return cutOff === undefined ? {} : { cut_off: cutOff };
}

/**
 * Why nothing may come of an exchange any more [TRUST-79]: officers of this side revoked or suspended the peer after it began,
 * or the policy blocks the peer. A peer that holds its last message back would have trust again otherwise.
 */
export function cutOffFault({ policy, cutOff = 0 }: ExchangeContext, place: ExchangePlace): Reject | undefined {
  if (policy.blocked.has(place.peer)) return { code: 'not_trusted', detail: 'blocked by policy' };
  return cutOff > (place.cut_off ?? 0) ? CUT_OFF : undefined;
}

export const CUT_OFF: Reject = { code: 'not_trusted', detail: 'trust was revoked or suspended after this began' };

export function stay<S>(state: S, ...effects: readonly ExchangeEffect[]): ExchangeStep<S> {
  return { state, effects };
}

export function refuse<S>(state: S, { code, detail }: Reject): ExchangeStep<S> {
  return stay(state, { kind: 'refuse', code, detail });
}

export function ignore<S>(state: S, detail: string): ExchangeStep<S> {
  return stay(state, { kind: 'ignored', detail });
}

/** Why an exchange ends, as a message says it: its code, and a sentence that fits. */
export function reasonOf({ code, detail }: Reject): { readonly code: string; readonly reason: string } {
  return { code, reason: clipText(detail, DECISION_REASON_BYTES_MAX) };
}
