import { LIMITS, ok, PERMISSIONS, type Result, reject, sameBytes } from '../base/index.ts';
import type { PinnedOrg, SignedDocument } from '../crypto/index.ts';
import { encodeBody } from '../wire/index.ts';
import { type ExchangeContext, stored } from './exchange.ts';
import { compareLevels, type GrantedLevel } from './levels.ts';
import type { ChallengeBody, RequestBody, ResponseBody, TrustTerms } from './messages.ts';
import type { Party } from './party.ts';
import {
  conditionsSchema,
  draftTrustCertificate,
  TRUST_CERTIFICATE,
  type TrustCertificateBody,
  type TrustEvidence,
  type TrustLimits,
  trustBodyFault,
  type VerifiedTrustCertificate,
  verifyTrustCertificate,
} from './trust-certificate.ts';

/** The two certificates of an exchange: what the responder drafts, and how the initiator checks them. */

const DAY_MS = 86_400_000;

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
    },
    counterpart: {
      ...shared,
      ...accepted,
      certificate_id: request.certificate_id,
      issuer: initiator,
      subject: responder,
      evidence: response.evidence,
    },
  };
}

export function draftPair(facts: ExchangeFacts, grant: Grant): CertificatePair<SignedDocument<TrustCertificateBody>> {
  const bodies = pairBodies(facts, grant);
  return { issued: draftTrustCertificate(bodies.issued), counterpart: draftTrustCertificate(bodies.counterpart) };
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

function sameDocument(document: SignedDocument<TrustCertificateBody>, drafted: Uint8Array): boolean {
  return sameBytes(document.signingInput, stored(TRUST_CERTIFICATE, drafted).signingInput);
}

function pinnedOf({ domain, root_key }: Party): PinnedOrg {
  return { org: domain, rootKey: root_key };
}

/** The terms that a policy lets this side grant, of those that were asked for. */
export function grantable(asked: TrustTerms, permissions: readonly string[], limits: TrustLimits): TrustTerms {
  return {
    permissions: PERMISSIONS.filter((one) => asked.permissions.includes(one) && permissions.includes(one)),
    limits: lowerLimits(asked.limits, limits),
    conditions: asked.conditions,
  };
}

function lowerLimits(a: TrustLimits, b: TrustLimits): TrustLimits {
  return {
    message_bytes_max: Math.min(a.message_bytes_max, b.message_bytes_max),
    messages_per_second: Math.min(a.messages_per_second, b.messages_per_second),
    bytes_per_second: Math.min(a.bytes_per_second, b.bytes_per_second),
  };
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
  const within = checkGrant(facts.request, grant, pair.counterpart.body.level, now);
  if (!within.ok) return within;
  const expected = pairBodies(facts, grant);
  const fault = trustBodyFault(expected.issued) ?? trustBodyFault(expected.counterpart);
  if (fault !== undefined) return reject('certificate_invalid', fault);
  // The own certificate must be exactly what this side computes: it is about to sign it.
  const own = draftTrustCertificate(expected.counterpart);
  if (!sameBytes(own.signingInput, pair.counterpart.signingInput)) {
    return reject('transcript_mismatch', 'certificate of the initiator');
  }
  // The other may hold fields that this side does not know; those that it knows must agree.
  const known = encodeBody(TRUST_CERTIFICATE.body, pair.issued.body, 'json');
  if (!sameBytes(known, encodeBody(TRUST_CERTIFICATE.body, expected.issued, 'json'))) {
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
  request: RequestBody,
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
  return not_after > now ? ok(undefined) : reject('trust_expired', 'certificate of the decision');
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
