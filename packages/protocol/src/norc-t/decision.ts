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
import { lowerLimits } from './exchange/exchange-terms.ts';
import type { CertificateId } from './identifiers.ts';
import { atLeast, compareLevels, type GrantedLevel, labelAllowed, levelForLabel, lowestLevel } from './levels.ts';
import { levelMaxFor, type TrustPolicy } from './policy/policy.ts';
import { isStale, type RevocationChain } from './revocation/revocation.ts';
import { type CertificateStanding, standingOf } from './revocation/standing.ts';
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
  /** Organisations that signed two histories of their revocations: nothing that they say counts. */
  readonly forked?: ReadonlySet<Domain>;
  readonly policy: TrustPolicy;
  readonly now: Instant;
}

export type TrustDecision = TrustAllowed | TrustDenied;

export interface TrustAllowed {
  readonly kind: 'allow';
  /** The lower of the two directions, and no more than the policy allows with this organisation. */
  readonly level: GrantedLevel;
  readonly natoCapable: boolean;
  /** Absent inside one organisation. `limits` are those of the grant that was used, and what others may do here no more than the policy's. */
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
  /** With `label`: the level that the label needs. */
  readonly needed?: GrantedLevel;
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
 * trust is decided. Checks run in the order of spec/norc-t section 7; the first that
 * fails is the answer. Where renewals overlap, the pair of certificates that allows most counts.
 */
export function decideTrust(question: TrustQuestion, facts: TrustFacts): TrustDecision {
  const { policy } = facts;
  if (question.local === question.remote) {
    const own = { kind: 'allow', level: policy.ownLevel, natoCapable: policy.ownNatoCapable } as const;
    return decideLabel(question, own, policy);
  }
  const pairs = pairsInForce(question, facts);
  if ('kind' in pairs) return pairs;
  return pairs.map((pair) => decidePair(question, pair, policy)).reduce(better);
}

/** The level that counts between two organisations, whatever is asked; `untrusted` when nothing may pass. */
export function pairLevel(local: Domain, remote: Domain, facts: TrustFacts): GrantedLevel | 'untrusted' {
  if (local === remote) return facts.policy.ownLevel;
  const pairs = pairsInForce({ local, remote }, facts);
  if ('kind' in pairs) return 'untrusted';
  return lowestLevel(pairs.map(levelOf).reduce(higher), levelMaxFor(facts.policy, remote));
}

/** The level that a label needs: the registry's, or more where the policy says so. */
export function labelLevel(policy: Pick<TrustPolicy, 'labelLevels'>, label: Label): GrantedLevel {
  const least = levelForLabel(label);
  return higher(least, policy.labelLevels.get(label) ?? least);
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
  if (facts.forked?.has(remote) === true) return deny('forked');
  const given = inForce(local, remote, facts);
  const received = inForce(remote, local, facts);
  if (given === undefined) return deny('none_given');
  if (received === undefined) return deny('none_received');
  if ('kind' in given) return given;
  if ('kind' in received) return received;
  const pairs = given.flatMap((one) => received.map((other) => ({ given: one, received: other }))).filter(isPair);
  if (pairs.length === 0) return whyNoPair(given, received, facts);
  const keyed = pairs.filter(sameKeys);
  if (keyed.length === 0) return deny('keys_differ');
  return isStale(facts.heardAt, facts.now, facts.policy.revocationAgeMillisecondsMax) ? deny('stale') : keyed;
}

/** What `issuer` lets `subject` do: its certificates in force; else why the newest is not; undefined when there never was one. */
function inForce(issuer: Domain, subject: Domain, facts: TrustFacts): readonly InForce[] | TrustDenied | undefined {
  const chain = longestChain(issuer, facts.revocations);
  const found: InForce[] = [];
  let newest: { certificate: VerifiedTrustCertificate; standing: CertificateStanding } | undefined;
  const all = facts.certificates.filter((one) => one.issuer === issuer && one.subject === subject);
  for (const certificate of all) {
    const standing = standingOf(certificate, chain, facts.now, all);
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

/** What was agreed in one exchange belongs together: halves of two make no pair, or they would add up to what neither allows. */
function isPair({ given, received }: Pair): boolean {
  return given.certificate.document.body.exchange_id === received.certificate.document.body.exchange_id;
}

/** The newest certificate in force, on whichever side, says what became of the one that belongs to it. */
function whyNoPair(given: readonly InForce[], received: readonly InForce[], facts: TrustFacts): TrustDenied {
  const newest = [...given, ...received]
    .map(({ certificate }) => certificate)
    .reduce((a, b) => (isNewer(b, a) ? b : a));
  const { issuer, subject, document } = newest;
  const [other] = facts.certificates
    .filter((one) => one.issuer === subject && one.subject === issuer)
    .filter((one) => one.document.body.exchange_id === document.body.exchange_id)
    .sort((a, b) => (isNewer(a, b) ? -1 : 1));
  if (other === undefined)
    return deny(given.some(({ certificate }) => certificate === newest) ? 'none_received' : 'none_given');
  return denyStanding(standingOf(other, longestChain(other.issuer, facts.revocations), facts.now), other);
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

function decidePair(question: TrustQuestion, pair: Pair, policy: TrustPolicy): TrustDecision {
  const grant = (question.direction === 'outgoing' ? pair.received : pair.given).certificate;
  if (!grant.permissions.has(question.permission)) return deny('permission', { about: aboutOf(grant) });
  // What the policy does not let others do any more ends at once, whatever was granted before.
  if (question.direction === 'incoming' && !policy.permissions.includes(question.permission)) return deny('permission');
  const limits = question.direction === 'incoming' ? lowerLimits(grant.limits, policy.limits) : grant.limits;
  const labelled = decideLabel(question, allowed(pair, limits, levelMaxFor(policy, question.remote)), policy);
  if (labelled.kind === 'deny') return { ...labelled, about: aboutOf(grant) };
  const fits = (question.bytes ?? 0) <= limits.message_bytes_max;
  return fits ? labelled : deny('size', { about: aboutOf(grant) });
}

/** A policy that was tightened counts at once: what was agreed before is capped, not taken back. */
function allowed(pair: Pair, limits: TrustLimits, levelMax: GrantedLevel): TrustAllowed {
  const [given, received] = [pair.given.certificate, pair.received.certificate];
  return {
    kind: 'allow',
    level: lowestLevel(levelOf(pair), levelMax),
    natoCapable: given.natoCapable && received.natoCapable,
    pair: { given: given.certificateId, received: received.certificateId, limits },
  };
}

function decideLabel({ label }: TrustQuestion, allow: TrustAllowed, policy: TrustPolicy): TrustDecision {
  if (label === undefined) return allow;
  const needed = labelLevel(policy, label);
  if (!atLeast(allow.level, needed)) return deny('label', { level: allow.level, needed });
  return labelAllowed(label, allow.level, allow.natoCapable) ? allow : deny('nato', { level: allow.level });
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

function deny(reason: TrustReason, more: Pick<TrustDenied, 'about' | 'level' | 'needed'> = {}): TrustDenied {
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
