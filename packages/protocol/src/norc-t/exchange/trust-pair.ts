import { type Domain, type Instant, instant, ok, type Result, reject } from '../../base/index.ts';
import { type Crypto, type PinnedOrg, parseDocument, type Verified } from '../../crypto/index.ts';
import type { CertificateId } from '../identifiers.ts';
import { type GrantedLevel, lowestLevel } from '../levels.ts';
import { keysOf, verifyBy } from '../party.ts';
import { type RevocationBody, TRUST_REVOCATION } from '../revocation/revocation.ts';
import { type CertificateStanding, standingOf } from '../revocation/standing.ts';
import { type VerifiedTrustCertificate, verifyTrustCertificate } from '../trust-certificate.ts';

/**
 * What somebody who has no chain of revocations, a device for example, can know of trust
 * by the documents alone: both certificates of a pair, and the conditions that were met.
 */
export interface ToldPair {
  /** What the own organisation gave the other one. */
  readonly given: Uint8Array;
  /** What the other one gave the own. */
  readonly received: Uint8Array;
  /** Server certificates that are newer than those in the certificates. */
  readonly serverCertificates?: readonly Uint8Array[];
  /** `condition_met` statements about the two; others count for nothing here. */
  readonly statements?: readonly Uint8Array[];
}

export interface ExpectedPair {
  readonly own: PinnedOrg;
  readonly other: Domain;
  /** Where the other one's root key is known already. */
  readonly pinned?: PinnedOrg;
  readonly now: Instant;
}

/** Evidence that both sides signed both certificates, and that these name the same two root keys. */
export type TrustPair = Verified<{
  readonly given: VerifiedTrustCertificate;
  readonly received: VerifiedTrustCertificate;
  readonly met: readonly RevocationBody[];
}>;

/**
 * Checks a pair up to the root keys of both sides [DEV-13]. Says nothing about dates and
 * conditions: `pairStanding` does. Errors: certificate_invalid, and those of `verifyTrustCertificate`.
 */
export function verifyTrustPair(crypto: Crypto, told: ToldPair, expected: ExpectedPair): Result<TrustPair> {
  const { own, other, pinned, now } = expected;
  const serverCertificates = told.serverCertificates ?? [];
  const given = verifyTrustCertificate(crypto, told.given, {
    ...{ issuer: own, now, serverCertificates },
    ...(pinned === undefined ? {} : { subject: pinned }),
  });
  if (!given.ok) return given;
  if (given.value.subject !== other) return reject('certificate_invalid', 'subject of the trust certificate');
  const theirs = pinned ?? { org: other, rootKey: given.value.subjectRootKey };
  const received = verifyTrustCertificate(crypto, told.received, {
    ...{ issuer: theirs, subject: own, now, serverCertificates },
  });
  if (!received.ok) return received;
  const pair = { given: given.value, received: received.value };
  const met = (told.statements ?? []).flatMap((one) => metStatement(crypto, pair, one));
  return ok({ ...pair, met } as unknown as TrustPair); // signatures and root keys were checked just now
}

/** Of the issuer of one of the two, signed with a key that was its own when it said so. */
function metStatement(
  crypto: Crypto,
  { given, received }: Pick<TrustPair, 'given' | 'received'>,
  bytes: Uint8Array,
): readonly RevocationBody[] {
  const parsed = parseDocument(TRUST_REVOCATION, bytes);
  if (!parsed.ok) return [];
  const { body } = parsed.value;
  const about = [given, received].find(
    (one) => one.certificateId === body.certificate_id && one.issuer === body.issuer && one.subject === body.subject,
  );
  if (about === undefined || body.action !== 'condition_met' || body.condition === undefined) return [];
  const keys = keysOf(crypto, about.document.body.issuer, 'trust', instant(body.issued_at));
  return verifyBy(crypto, parsed.value, keys).ok ? [body] : [];
}

/** What a pair allows at a moment. */
export interface PairStanding {
  /** The lower of the two directions. */
  readonly level: GrantedLevel;
  /** Both directions are. */
  readonly natoCapable: boolean;
  /** Dates and conditions may change it then. */
  readonly until: Instant;
}

/**
 * Pure. Dates and conditions of both directions at `now`; statements that end or lower trust
 * are the own server's to tell. Errors: trust_expired, trust_revoked (a condition was not met).
 */
export function pairStanding(pair: TrustPair, now: Instant): Result<PairStanding> {
  const { given, received } = pair;
  const [one, other] = [given, received].map((certificate) => standingOf(certificate, metOf(pair, certificate), now));
  if (one?.kind !== 'in_force') return reject(codeOf(one), 'certificate that was given');
  if (other?.kind !== 'in_force') return reject(codeOf(other), 'certificate that was received');
  const level = lowestLevel(one.level, other.level);
  return ok({ level, natoCapable: given.natoCapable && received.natoCapable, until: nextChange(pair, now) });
}

function metOf({ met }: TrustPair, { issuer, certificateId }: VerifiedTrustCertificate) {
  const said = met.filter((body) => body.issuer === issuer);
  return { issuer, byCertificate: new Map<CertificateId, readonly RevocationBody[]>([[certificateId, said]]) };
}

function codeOf(standing: CertificateStanding | undefined): 'trust_revoked' | 'trust_expired' {
  return standing?.kind === 'revoked' ? 'trust_revoked' : 'trust_expired';
}

function nextChange({ given, received, met }: TrustPair, now: Instant): Instant {
  const times = [given, received].flatMap(({ notAfter, conditions }) => [
    notAfter,
    ...conditions.map((c) => c.deadline),
  ]);
  const statements = met.map(({ effective_at }) => effective_at);
  return instant(Math.min(...[...times, ...statements].filter((time) => time > now)));
}
