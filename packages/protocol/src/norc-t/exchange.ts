import {
  type Domain,
  type ErrorName,
  type Instant,
  InvariantError,
  LIMITS,
  ok,
  type Reject,
  type Result,
  reject,
  sameBytes,
} from '../base/index.ts';
import type { Crypto, DocumentKind, SignedDocument, VerifiedDocument } from '../crypto/index.ts';
import { documentHash, documentType, parseDocument } from '../crypto/index.ts';
import type { ExchangeId } from './identifiers.ts';
import { GRANTED_LEVELS, type GrantedLevel } from './levels.ts';
import { TRUST_MESSAGES, type TrustMessageName, type TrustTerms } from './messages.ts';
import { keysOf, type Party, verifyBy } from './party.ts';
import { CHECKED_EVIDENCE, levelFault, type TrustPolicy } from './policy.ts';
import type { TrustCertificateBody, TrustEvidence } from './trust-certificate.ts';

/** What both machines of the trust exchange share: the world they see, what goes in, what comes out. */

export interface ExchangeContext {
  readonly crypto: Crypto;
  readonly now: Instant;
  readonly policy: TrustPolicy;
  /** The peer's root key when it is known already: another one is refused. */
  readonly pinnedRootKey?: Uint8Array;
}

export type ExchangeEvent =
  /** The document of a NORC-T frame from the peer. */
  | { readonly kind: 'received'; readonly document: Uint8Array }
  | DomainProof
  | OfficerDecision
  /** The certificates of `sign_certificates`, with this side's signature added. */
  | { readonly kind: 'signed'; readonly issued: Uint8Array; readonly counterpart: Uint8Array }
  /** Time passed. */
  | { readonly kind: 'clock' };

/** Answer to `prove_domain`. */
export interface DomainProof {
  readonly kind: 'domain_proof';
  readonly method: 'dns' | 'https' | 'static';
  /** The root key that the domain names, and BLAKE3 of the line that names it; undefined when none was found. */
  readonly found: { readonly rootKey: Uint8Array; readonly hash: Uint8Array } | undefined;
  readonly at: Instant;
}

/** Answer to `ask_approval`. */
export interface OfficerDecision {
  readonly kind: 'officer';
  readonly decision: 'approve' | 'reject';
  /** Pseudonym or key id; never a name. */
  readonly by: string;
  readonly at: Instant;
  /** At most the level asked for; a change voids earlier approvals. */
  readonly level?: GrantedLevel;
  readonly statement?: Uint8Array;
  /** For the other side. */
  readonly reason?: string;
}

/** In order: what is persisted comes before what is sent. */
export type ExchangeEffect =
  /** Both certificates are complete, the one that this side gave and the one that it received: store them with the state. */
  | { readonly kind: 'keep_certificates'; readonly given: Uint8Array; readonly received: Uint8Array }
  /** Sign with the server key and send to the peer. */
  | { readonly kind: 'send'; readonly message: TrustMessageName; readonly draft: SignedDocument<unknown> }
  /** Answer with a `domain_proof` event. */
  | { readonly kind: 'prove_domain'; readonly domain: Domain; readonly rootKey: Uint8Array }
  /** Answer with `officer` events. */
  | { readonly kind: 'ask_approval'; readonly question: ApprovalQuestion }
  /** Answer with a `signed` event. */
  | {
      readonly kind: 'sign_certificates';
      readonly issued: SignedDocument<TrustCertificateBody>;
      readonly counterpart: SignedDocument<TrustCertificateBody>;
    }
  /** Answer to the peer's frame; the exchange goes on as it was. */
  | { readonly kind: 'refuse'; readonly code: ErrorName; readonly detail: string }
  /** The exchange is over without trust. */
  | { readonly kind: 'ended'; readonly code: ErrorName; readonly detail: string }
  /** An event that nothing waits for any more. */
  | { readonly kind: 'ignored'; readonly detail: string };

export interface ApprovalQuestion {
  readonly peer: Domain;
  readonly rootKey: Uint8Array;
  readonly level: GrantedLevel;
  /** What the own certificate would let the peer do, and what the peer's would let this side do. */
  readonly grants: TrustTerms;
  readonly receives: TrustTerms;
  readonly validDays: number;
  readonly evidence: readonly TrustEvidence[];
  readonly approvalsNeeded: number;
  readonly note?: string;
}

export interface ExchangeStep<S> {
  readonly state: S;
  readonly effects: readonly ExchangeEffect[];
}

/** What names one exchange and one place in it. */
export interface ExchangePlace {
  readonly exchange_id: ExchangeId;
  readonly self: Party;
  readonly peer: Domain;
  readonly transcript: Uint8Array;
  readonly expires_at: number;
}

interface MessageCommon {
  readonly exchange_id: ExchangeId;
  readonly from: Domain;
  readonly to: Domain;
  readonly previous: Uint8Array;
  readonly sent_at: number;
}

/** What this side can do, as it tells the other. */
export function capabilitiesOf(party: Party, policy: TrustPolicy) {
  return {
    party,
    levels: GRANTED_LEVELS.filter((level) => levelFault(policy, level, CHECKED_EVIDENCE) === undefined),
    evidence: CHECKED_EVIDENCE,
    permissions: policy.permissions,
    algorithms: ['ed25519'],
  };
}

/** The fields that every message begins with. */
export function commonOf(place: ExchangePlace, now: Instant): MessageCommon {
  const { exchange_id, self, peer, transcript } = place;
  return { exchange_id, from: self.domain, to: peer, previous: transcript, sent_at: now };
}

/**
 * Opens the next message of an exchange: signature first, then that it was written for
 * exactly this exchange, direction and place [TRUST-31] to [TRUST-36].
 */
export function openMessage<T extends MessageCommon>(
  { crypto, now }: ExchangeContext,
  document: SignedDocument<T>,
  place: ExchangePlace,
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
  if (now >= place.expires_at) return reject('exchange_expired', 'trust exchange');
  return ok(signed.value.document);
}

/** A party that speaks for itself: its name, a usable root key, and the pinned one where it is known [TRUST-33]. */
export function checkParty(context: ExchangeContext, party: Party, peer: Domain): Result<undefined> {
  if (party.domain !== peer) return reject('forbidden', 'domain of the party');
  if (!context.crypto.ed25519.isPublicKey(party.root_key)) return reject('evidence_rejected', 'root key of the party');
  const { pinnedRootKey } = context;
  if (pinnedRootKey !== undefined && !sameBytes(pinnedRootKey, party.root_key)) {
    return reject('evidence_rejected', 'root key differs from the pinned one');
  }
  return ok(undefined);
}

/** What a check of the peer's domain and key gives, or why it gives nothing. */
export function evidenceOf(
  { crypto, now }: ExchangeContext,
  proof: DomainProof,
  party: Party,
  keyProof: SignedDocument<unknown>,
): Result<readonly TrustEvidence[]> {
  if (proof.found === undefined) return reject('evidence_rejected', 'the domain names no root key');
  if (!sameBytes(proof.found.rootKey, party.root_key)) {
    return reject('evidence_rejected', 'the domain names another root key');
  }
  return ok([
    { kind: 'domain_proof', hash: proof.found.hash, method: proof.method, checked_at: proof.at },
    { kind: 'key_proof', hash: documentHash(crypto, keyProof), checked_at: now },
  ]);
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
  const { exchange_id, self, peer, transcript, expires_at } = state;
  return { exchange_id, self, peer, transcript, expires_at };
}

export function stay<S>(state: S, ...effects: readonly ExchangeEffect[]): ExchangeStep<S> {
  return { state, effects };
}

export function refuse<S>(state: S, { code, detail }: Reject): ExchangeStep<S> {
  return stay(state, { kind: 'refuse', code, detail });
}

export function ignore<S>(state: S, detail: string): ExchangeStep<S> {
  return stay(state, { kind: 'ignored', detail });
}
