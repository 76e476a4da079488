import {
  type Domain,
  type ErrorName,
  type Instant,
  invariant,
  type Label,
  type Permission,
  sameBytes,
  TRUST_REASONS,
  type TrustReason,
} from '../base/index.ts';
import type { CertificateId } from './identifiers.ts';
import { atLeast, compareLevels, type GrantedLevel, labelAllowed, levelForLabel, lowestLevel } from './levels.ts';
import type { TrustPolicy } from './policy.ts';
import { isStale, type RevocationChain } from './revocation.ts';
import { type CertificateStanding, standingOf } from './standing.ts';
import type { TrustLimits, VerifiedTrustCertificate } from './trust-certificate.ts';

/** May this happen between these two organisations, as the local one sees it? */
export interface TrustQuestion {
  readonly local: Domain;
  /** May be `local`: then the organisation's own ceiling applies. */
  readonly remote: Domain;
  /** `outgoing`: the local organisation acts at the remote one, which must have granted it. `incoming`: the reverse. */
  readonly direction: 'outgoing' | 'incoming';
  readonly permission: Permission;
  readonly label?: Label;
  /** Size of the entry. */
  readonly bytes?: number;
}

/** All that is known. Certificates and chains of other organisations are ignored; order does not matter. */
export interface TrustFacts {
  readonly certificates: readonly VerifiedTrustCertificate[];
  readonly revocations: readonly RevocationChain[];
  /** When the remote last confirmed that our copy of its chain is current. */
  readonly heardAt: Instant | undefined;
  readonly policy: TrustPolicy;
  readonly now: Instant;
}

export type TrustDecision = TrustAllowed | TrustDenied;

export interface TrustAllowed {
  readonly kind: 'allow';
  /** The lower of the two directions. */
  readonly level: GrantedLevel;
  readonly natoCapable: boolean;
  /** Absent inside one organisation. `limits` are those of the grant that was used. */
  readonly pair?: { readonly given: CertificateId; readonly received: CertificateId; readonly limits: TrustLimits };
}

export interface TrustDenied {
  readonly kind: 'deny';
  readonly reason: TrustReason;
  readonly code: ErrorName;
  /** The certificate that the reason is about. */
  readonly about?: DeniedCertificate;
  /** With `label` and `nato`: the level that counts. */
  readonly level?: GrantedLevel;
}

export interface DeniedCertificate {
  readonly issuer: Domain;
  readonly subject: Domain;
  readonly certificateId: CertificateId;
  readonly notBefore: Instant;
  readonly notAfter: Instant;
}

/**
 * The trust decision (spec/norc-t section 7): pure, total, and the only place where
 * trust is decided. Checks run in the order of the reasons' numbers; the first that
 * fails is the answer. Where renewals overlap, the pair of certificates that allows most counts.
 */
export function decideTrust(question: TrustQuestion, facts: TrustFacts): TrustDecision {
  const { policy } = facts;
  if (question.local === question.remote) {
    return decideLabel(question, { kind: 'allow', level: policy.ownLevel, natoCapable: policy.ownNatoCapable });
  }
  const pairs = pairsInForce(question, facts);
  if ('kind' in pairs) return pairs;
  return pairs.map((pair) => decidePair(question, pair)).reduce(better);
}

/** The level that counts between two organisations, whatever is asked; `untrusted` when nothing may pass. */
export function pairLevel(local: Domain, remote: Domain, facts: TrustFacts): GrantedLevel | 'untrusted' {
  if (local === remote) return facts.policy.ownLevel;
  const pairs = pairsInForce({ local, remote }, facts);
  return 'kind' in pairs ? 'untrusted' : pairs.map(levelOf).reduce(higher);
}

interface InForce {
  readonly certificate: VerifiedTrustCertificate;
  readonly level: GrantedLevel;
}

interface Pair {
  readonly given: InForce;
  readonly received: InForce;
}

/** At least one pair of certificates in force, one each way, or why there is none. */
function pairsInForce(
  { local, remote }: Pick<TrustQuestion, 'local' | 'remote'>,
  facts: TrustFacts,
): readonly Pair[] | TrustDenied {
  if (facts.policy.blocked.has(remote)) return deny('blocked');
  const given = inForce(local, remote, facts);
  const received = inForce(remote, local, facts);
  if (given === undefined) return deny('none_given');
  if (received === undefined) return deny('none_received');
  if ('kind' in given) return given;
  if ('kind' in received) return received;
  const pairs = given.flatMap((one) => received.map((other) => ({ given: one, received: other }))).filter(sameKeys);
  if (pairs.length === 0) return deny('keys_differ');
  return isStale(facts.heardAt, facts.now, facts.policy.revocationAgeMillisecondsMax) ? deny('stale') : pairs;
}

/** What `issuer` lets `subject` do: its certificates in force; else why the newest is not; undefined when there never was one. */
function inForce(issuer: Domain, subject: Domain, facts: TrustFacts): readonly InForce[] | TrustDenied | undefined {
  const chain = longestChain(issuer, facts.revocations);
  const found: InForce[] = [];
  let newest: { certificate: VerifiedTrustCertificate; standing: CertificateStanding } | undefined;
  for (const certificate of facts.certificates) {
    if (certificate.issuer !== issuer || certificate.subject !== subject) continue;
    const standing = standingOf(certificate, chain, facts.now);
    if (standing.kind === 'in_force') found.push({ certificate, level: standing.level });
    if (newest === undefined || isNewer(certificate, newest.certificate)) newest = { certificate, standing };
  }
  if (found.length > 0) return found;
  return newest === undefined ? undefined : denyStanding(newest.standing, newest.certificate);
}

function longestChain(issuer: Domain, chains: readonly RevocationChain[]): RevocationChain | undefined {
  const own = chains.filter((chain) => chain.issuer === issuer);
  return own.reduce<RevocationChain | undefined>(
    (a, b) => (a === undefined || b.sequence > a.sequence ? b : a),
    undefined,
  );
}

function isNewer(a: VerifiedTrustCertificate, b: VerifiedTrustCertificate): boolean {
  return a.notBefore === b.notBefore ? a.certificateId > b.certificateId : a.notBefore > b.notBefore;
}

/** Both directions must speak of the same two root keys, or one of them is about somebody else. */
function sameKeys({ given, received }: Pair): boolean {
  const [ours, theirs] = [given.certificate, received.certificate];
  return sameBytes(ours.issuerRootKey, theirs.subjectRootKey) && sameBytes(ours.subjectRootKey, theirs.issuerRootKey);
}

function levelOf({ given, received }: Pair): GrantedLevel {
  return lowestLevel(given.level, received.level);
}

function higher(a: GrantedLevel, b: GrantedLevel): GrantedLevel {
  return compareLevels(a, b) >= 0 ? a : b;
}

function decidePair(question: TrustQuestion, pair: Pair): TrustDecision {
  const grant = (question.direction === 'outgoing' ? pair.received : pair.given).certificate;
  if (!grant.permissions.has(question.permission)) return deny('permission', { about: aboutOf(grant) });
  const labelled = decideLabel(question, allowed(pair, grant));
  if (labelled.kind === 'deny') return { ...labelled, about: aboutOf(grant) };
  const fits = (question.bytes ?? 0) <= grant.limits.message_bytes_max;
  return fits ? labelled : deny('size', { about: aboutOf(grant) });
}

function allowed(pair: Pair, grant: VerifiedTrustCertificate): TrustAllowed {
  const [given, received] = [pair.given.certificate, pair.received.certificate];
  return {
    kind: 'allow',
    level: levelOf(pair),
    natoCapable: given.natoCapable && received.natoCapable,
    pair: { given: given.certificateId, received: received.certificateId, limits: grant.limits },
  };
}

function decideLabel({ label }: TrustQuestion, allow: TrustAllowed): TrustDecision {
  if (label === undefined || labelAllowed(label, allow.level, allow.natoCapable)) return allow;
  return deny(atLeast(allow.level, levelForLabel(label)) ? 'nato' : 'label', { level: allow.level });
}

/** Total order, so that the answer does not depend on the order of the facts. */
function better(a: TrustDecision, b: TrustDecision): TrustDecision {
  return compareDecisions(a, b) >= 0 ? a : b;
}

function compareDecisions(a: TrustDecision, b: TrustDecision): number {
  if (a.kind === 'allow' && b.kind === 'allow') return compareAllowed(a, b);
  if (a.kind === 'deny' && b.kind === 'deny') return compareDenied(a, b);
  return a.kind === 'allow' ? 1 : -1;
}

function compareAllowed(a: TrustAllowed, b: TrustAllowed): number {
  const byLevel = compareLevels(a.level, b.level);
  if (byLevel !== 0) return byLevel;
  if (a.natoCapable !== b.natoCapable) return a.natoCapable ? 1 : -1;
  return compareText(`${a.pair?.given} ${a.pair?.received}`, `${b.pair?.given} ${b.pair?.received}`);
}

/** The one that failed latest, at the highest level, is the most useful to read. */
function compareDenied(a: TrustDenied, b: TrustDenied): number {
  const byNumber = TRUST_REASONS[a.reason].number - TRUST_REASONS[b.reason].number;
  if (byNumber !== 0) return byNumber;
  const byLevel = compareLevels(a.level ?? 'untrusted', b.level ?? 'untrusted');
  return byLevel === 0 ? compareText(a.about?.certificateId ?? '', b.about?.certificateId ?? '') : byLevel;
}

function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a > b ? 1 : -1;
}

function deny(reason: TrustReason, more: Pick<TrustDenied, 'about' | 'level'> = {}): TrustDenied {
  return { kind: 'deny', reason, code: TRUST_REASONS[reason].code, ...more };
}

function denyStanding(standing: CertificateStanding, certificate: VerifiedTrustCertificate): TrustDenied {
  invariant(standing.kind !== 'in_force', 'a certificate in force is no reason to deny');
  const reason = standing.kind === 'revoked' && standing.by === 'condition' ? 'condition_failed' : standing.kind;
  return deny(reason, { about: aboutOf(certificate) });
}

function aboutOf({ issuer, subject, certificateId, notBefore, notAfter }: VerifiedTrustCertificate): DeniedCertificate {
  return { issuer, subject, certificateId, notBefore, notAfter };
}
