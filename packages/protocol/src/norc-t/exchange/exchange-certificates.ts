import { LIMITS, ok, type Result, reject, sameBytes } from '../../base/index.ts';
import { addSignature, type PinnedOrg, type SignedDocument } from '../../crypto/index.ts';
import { encodeBody } from '../../wire/index.ts';
import { compareLevels, type GrantedLevel } from '../levels.ts';
import { type Party, signaturesBy } from '../party.ts';
import {
  conditionsFault,
  conditionsSchema,
  draftTrustCertificate,
  TRUST_CERTIFICATE,
  type TrustCertificateBody,
  type TrustEvidence,
  trustBodyFault,
  type VerifiedTrustCertificate,
  verifyTrustCertificate,
} from '../trust-certificate.ts';
import { stored } from './exchange.ts';
import { beginning } from './exchange-terms.ts';
import type { ExchangeContext } from './exchange-types.ts';
import type { ChallengeBody, RequestBody, ResponseBody, TrustTerms } from './messages.ts';

/** The two certificates of an exchange: what the responder drafts, and how the initiator checks them. */

const DAY_MS = 86_400_000;
/** Method of a `pki_chain` that ends in a NATO anchor. */
const NATO_METHOD = 'nato';

/** What both sides know after the fourth message. */
export interface ExchangeFacts {
  readonly initiator: Party;
  readonly responder: Party;
  readonly request: RequestBody;
  readonly challenge: ChallengeBody;
  readonly response: ResponseBody;
  /** After the fourth message. */
  readonly transcript: Uint8Array;
}

/** What the responder decides. */
export interface Grant {
  readonly level: GrantedLevel;
  /** Of the responder's certificate for the initiator, within what was asked. */
  readonly granted: TrustTerms;
  /** Of the initiator's certificate for the responder, within what was offered. */
  readonly accepted: TrustTerms;
  /** What the responder found about the initiator. */
  readonly evidence: readonly TrustEvidence[];
  readonly not_before: number;
  readonly not_after: number;
}

export interface CertificatePair<T> {
  /** By the responder, for the initiator. */
  readonly issued: T;
  /** By the initiator, for the responder. */
  readonly counterpart: T;
}

/** Both bodies follow from the exchange and the grant: each side can compute them [TRUST-41]. */
export function pairBodies(facts: ExchangeFacts, grant: Grant): CertificatePair<TrustCertificateBody> {
  const { initiator, responder, request, challenge, response, transcript } = facts;
  const { level, granted, accepted, evidence, not_before, not_after } = grant;
  const shared = { exchange_id: request.exchange_id, level, not_before, not_after, transcript };
  return {
    issued: {
      ...shared,
      ...granted,
      certificate_id: challenge.certificate_id,
      issuer: responder,
      subject: initiator,
      evidence,
      ...natoField(request, evidence),
    },
    counterpart: {
      ...shared,
      ...accepted,
      certificate_id: request.certificate_id,
      issuer: initiator,
      subject: responder,
      evidence: response.evidence,
      ...natoField(request, response.evidence),
    },
  };
}

/** An issuer holds its subject to be nato-capable when that was asked for and a NATO anchor stands behind it [TRUST-48]. */
function natoField(request: RequestBody, evidence: readonly TrustEvidence[]): { readonly nato_capable?: boolean } {
  const anchored = evidence.some(({ kind, method }) => kind === 'pki_chain' && method === NATO_METHOD);
  return request.nato_capable === true && anchored ? { nato_capable: true } : {};
}

/** Unsigned. Errors: insufficient_trust when conditions do not go with the level that is granted. */
export function draftPair(
  facts: ExchangeFacts,
  grant: Grant,
): Result<CertificatePair<SignedDocument<TrustCertificateBody>>> {
  const bodies = pairBodies(facts, grant);
  const { level, granted, accepted } = grant;
  const fault = conditionsFault(granted.conditions, level) ?? conditionsFault(accepted.conditions, level);
  if (fault !== undefined) return reject('insufficient_trust', `${fault}, at level ${level}`);
  return ok({ issued: draftTrustCertificate(bodies.issued), counterpart: draftTrustCertificate(bodies.counterpart) });
}

/** A pair of the own state. */
export function storedPair(pair: CertificatePair<Uint8Array>): CertificatePair<SignedDocument<TrustCertificateBody>> {
  return { issued: stored(TRUST_CERTIFICATE, pair.issued), counterpart: stored(TRUST_CERTIFICATE, pair.counterpart) };
}

/**
 * Both certificates with both signatures, as they are kept. `drafted`: what they must be,
 * apart from signatures. Errors: transcript_mismatch, and those of `verifyTrustCertificate`.
 */
export function verifyPair(
  { crypto, now }: ExchangeContext,
  pair: CertificatePair<Uint8Array>,
  drafted: CertificatePair<Uint8Array>,
  { initiator, responder }: { readonly initiator: Party; readonly responder: Party },
): Result<CertificatePair<VerifiedTrustCertificate>> {
  const [first, second] = [pinnedOf(initiator), pinnedOf(responder)];
  const issued = verifyTrustCertificate(crypto, pair.issued, { issuer: second, subject: first, now });
  if (!issued.ok) return issued;
  const counterpart = verifyTrustCertificate(crypto, pair.counterpart, { issuer: first, subject: second, now });
  if (!counterpart.ok) return counterpart;
  const same =
    sameDocument(issued.value.document, drafted.issued) &&
    sameDocument(counterpart.value.document, drafted.counterpart);
  if (!same) return reject('transcript_mismatch', 'certificates differ from those of the decision');
  return ok({ issued: issued.value, counterpart: counterpart.value });
}

/**
 * The pair as this side signed it, with the other side's signatures that verify: what comes back is not to have lost
 * a signature of ours, nor to bring any of others. Errors: those of `verifyPair`.
 */
export function completePair(
  context: ExchangeContext,
  own: CertificatePair<Uint8Array>,
  theirs: CertificatePair<Uint8Array>,
  parties: { readonly initiator: Party; readonly responder: Party; readonly peer: Party },
): Result<CertificatePair<VerifiedTrustCertificate>> {
  const complete = verifyPair(context, theirs, own, parties);
  if (!complete.ok) return complete;
  const { issued, counterpart } = storedPair(own);
  const merged = {
    issued: signedToo(context, issued, complete.value.issued.document, parties.peer),
    counterpart: signedToo(context, counterpart, complete.value.counterpart.document, parties.peer),
  };
  return verifyPair(context, merged, own, parties);
}

function signedToo(
  { crypto, now }: ExchangeContext,
  own: SignedDocument<TrustCertificateBody>,
  theirs: SignedDocument<TrustCertificateBody>,
  peer: Party,
): Uint8Array {
  const added = signaturesBy(crypto, theirs, peer, now);
  return added.reduce((document, signature) => addSignature(document, signature), own).bytes;
}

function sameDocument(document: SignedDocument<TrustCertificateBody>, drafted: Uint8Array): boolean {
  return sameBytes(document.signingInput, stored(TRUST_CERTIFICATE, drafted).signingInput);
}

function pinnedOf({ domain, root_key }: Party): PinnedOrg {
  return { org: domain, rootKey: root_key };
}

/**
 * The initiator's check of a decision [TRUST-42] to [TRUST-45]: nothing above the
 * request, and nothing in the certificate that it is to issue that it did not say itself.
 * Errors: insufficient_trust (above the request), transcript_mismatch (of another
 * exchange, or altered), certificate_invalid.
 */
export function checkPair(
  facts: ExchangeFacts,
  pair: CertificatePair<SignedDocument<TrustCertificateBody>>,
  now: number,
): Result<undefined> {
  const grant = grantIn(pair);
  const within = checkGrant(facts, grant, pair.counterpart.body.level, now);
  if (!within.ok) return within;
  const expected = pairBodies(facts, grant);
  const fault = trustBodyFault(expected.issued) ?? trustBodyFault(expected.counterpart);
  if (fault !== undefined) return reject('certificate_invalid', fault);
  // Both must be exactly what this side computes: it is about to sign them, and signs nothing that it cannot read.
  const own = draftTrustCertificate(expected.counterpart);
  if (!sameBytes(own.signingInput, pair.counterpart.signingInput)) {
    return reject('transcript_mismatch', 'certificate of the initiator');
  }
  const theirs = draftTrustCertificate(expected.issued);
  if (!sameBytes(theirs.signingInput, pair.issued.signingInput)) {
    return reject('transcript_mismatch', 'certificate of the responder');
  }
  return ok(undefined);
}

function grantIn({ issued, counterpart }: CertificatePair<SignedDocument<TrustCertificateBody>>): Grant {
  return {
    level: issued.body.level,
    granted: termsIn(issued.body),
    accepted: termsIn(counterpart.body),
    evidence: issued.body.evidence,
    not_before: issued.body.not_before,
    not_after: issued.body.not_after,
  };
}

function termsIn({ permissions, limits, conditions }: TrustCertificateBody): TrustTerms {
  return { permissions, limits, conditions };
}

function checkGrant(
  { request, response }: ExchangeFacts,
  grant: Grant,
  counterpartLevel: GrantedLevel,
  now: number,
): Result<undefined> {
  const { level, granted, accepted, not_before, not_after } = grant;
  if (compareLevels(level, request.level) > 0) return reject('insufficient_trust', 'level is above the request');
  if (compareLevels(counterpartLevel, request.level) > 0)
    return reject('insufficient_trust', 'level is above the request');
  if (!within(granted, request.asks)) return reject('insufficient_trust', 'terms are above what was asked');
  if (!within(accepted, request.offers)) return reject('insufficient_trust', 'terms are above the offer');
  if (!sameConditions(accepted, request.offers)) return reject('insufficient_trust', 'conditions are not the offer');
  if (not_after - not_before > request.valid_days * DAY_MS)
    return reject('insufficient_trust', 'life is above the request');
  if (not_before > now + LIMITS.trustClockSkewMillisecondsMax)
    return reject('clock_skew', 'not_before is in the future');
  if (not_after <= now) return reject('trust_expired', 'certificate of the decision');
  // A date in the past would make the certificate older than what it replaces, and give days of trust that nobody had.
  const early = not_before < beginning(response.sent_at) - LIMITS.trustClockSkewMillisecondsMax;
  return early ? reject('clock_skew', 'not_before is long before the response') : ok(undefined);
}

function within(terms: TrustTerms, bound: TrustTerms): boolean {
  return (
    terms.permissions.every((permission) => bound.permissions.includes(permission)) &&
    terms.limits.message_bytes_max <= bound.limits.message_bytes_max &&
    terms.limits.messages_per_second <= bound.limits.messages_per_second &&
    terms.limits.bytes_per_second <= bound.limits.bytes_per_second
  );
}

function sameConditions(a: TrustTerms, b: TrustTerms): boolean {
  return sameBytes(
    encodeBody(conditionsSchema, a.conditions, 'json'),
    encodeBody(conditionsSchema, b.conditions, 'json'),
  );
}
