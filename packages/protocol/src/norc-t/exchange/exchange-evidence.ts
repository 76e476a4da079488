import {
  EVIDENCE,
  type EvidenceKind,
  type Instant,
  instant,
  LIMITS,
  ok,
  type Reject,
  type Result,
  reject,
  sameBytes,
  utf8,
} from '../../base/index.ts';
import { documentHash, type SignedDocument } from '../../crypto/index.ts';
import { domainProofText } from '../evidence/domain-proof.ts';
import { loadFinding, storeFinding } from '../evidence/finding-codec.ts';
import type { Finding } from '../evidence/findings.ts';
import { missingPoints, type TrustScore, trustScore } from '../evidence/score.ts';
import type { GrantedLevel } from '../levels.ts';
import type { Party } from '../party.ts';
import { levelFault, missingEvidence, type TrustPolicy } from '../policy/policy.ts';
import type { TrustEvidence } from '../trust-certificate.ts';
import { postQuantumFinding } from './exchange-signatures.ts';
import type { Review } from './exchange-state.ts';
import type { EvidenceChecked, ExchangeContext } from './exchange-types.ts';

/** What the machines make of findings (spec/norc-t section 3.3 and 3.4): evidence, a score, or a refusal with its reasons. */

/** Kinds that the machines check themselves: what a server says about them is not looked at. */
const OWN_KINDS: readonly string[] = ['key_proof', 'officer_approval', 'post_quantum_signature'];
const CERTIFICATE_EVIDENCE_MAX = 32;
const EVIDENCE_KINDS = Object.keys(EVIDENCE) as EvidenceKind[]; // the keys of EVIDENCE are the kinds

/** A review before anything was found. */
export function newReview(level: GrantedLevel, requested: Partial<Pick<Review, 'requested' | 'requested_by'>>): Review {
  const nothing = { findings: [], checked_at: 0, incidents: 0, days_in_force: 0, approvals: [], theirs: [] };
  return { level, ...nothing, ...requested };
}

/**
 * The review with what was found now; approvals rest on what was found before, so none is left.
 * `keyProof`: the message in which the peer signed this side's nonce.
 */
export function withFindings(
  context: ExchangeContext,
  review: Review,
  { findings, record }: EvidenceChecked,
  peer: { readonly party: Party; readonly keyProof: SignedDocument<unknown> },
): Review {
  const { crypto, now } = context;
  const checked = findings.filter(({ kind }) => !OWN_KINDS.includes(kind));
  const keyProof: Finding = {
    ...{ kind: 'key_proof', result: 'held', weight: 1, checkedAt: now },
    ...{ hash: documentHash(crypto, peer.keyProof), detail: 'a server key of the organisation signed a fresh nonce' },
  };
  const own = [keyProof, postQuantumFinding(context, peer.keyProof, peer.party, checked, review.level)];
  return {
    ...review,
    findings: [...checked, ...own].map(storeFinding),
    ...{ checked_at: now, incidents: record.incidents, days_in_force: record.daysInForce },
    approvals: [],
  };
}

export function findingsOf(review: Review): readonly Finding[] {
  return review.findings.map(loadFinding);
}

/** Holds, is no older than the policy lets evidence be, and has not expired [TRUST-70]. */
function holds(finding: Finding, now: number, ageMillisecondsMax: number): boolean {
  if (finding.result !== 'held' || finding.hash === undefined) return false;
  if (now - finding.checkedAt > ageMillisecondsMax) return false;
  return finding.expiresAt === undefined || now < finding.expiresAt;
}

export function heldFindings({ policy, now }: Pick<ExchangeContext, 'policy' | 'now'>, review: Review) {
  return findingsOf(review).filter((finding) => holds(finding, now, policy.evidenceAgeMillisecondsMax));
}

/** Whether something that held when it was checked holds no longer: then approvals rest on nothing. */
export function isEvidenceStale({ policy, now }: ExchangeContext, review: Review): boolean {
  const age = policy.evidenceAgeMillisecondsMax;
  return findingsOf(review).some((one) => holds(one, review.checked_at, age) && !holds(one, now, age));
}

/** The score of the partner by what holds now. */
export function scoreOf(context: Pick<ExchangeContext, 'policy' | 'now'>, review: Review): TrustScore {
  const record = { incidents: review.incidents, daysInForce: review.days_in_force };
  return trustScore(heldFindings(context, review), record);
}

/**
 * Why the peer does not get its level, with each kind and each point that is missing; undefined
 * when nothing is [TRUST-72]. Officers' approvals come later and are counted then.
 */
export function reviewFault(context: ExchangeContext, review: Review, level: GrantedLevel, peer: Party) {
  const { policy } = context;
  const cap = levelFault(policy, level, Object.keys(policy.levels[level].evidence), peer.domain);
  if (cap !== undefined) return { code: 'insufficient_trust', detail: cap } satisfies Reject;
  const held = heldFindings(context, review).map(({ kind }) => kind);
  const missing = missingEvidence(policy, level, [...held, 'officer_approval']);
  const score = scoreOf(context, review);
  const { scoreMin } = policy.levels[level];
  const points = `score ${score.total} of at least ${scoreMin} (${missingPoints(score)})`;
  const faults = missing.map((kind) => `${kind}: ${whyMissing(context, review, kind)}`);
  const short = score.total < scoreMin ? [points] : [];
  if (faults.length + short.length === 0) return undefined;
  const code = faults.length > 0 ? 'evidence_rejected' : 'insufficient_trust';
  return { code, detail: `level ${level} lacks ${[...faults, ...short].join('; ')}` } satisfies Reject;
}

/** Why a signature that was asked for may not be given any more: a restart may lie in between. */
export function signingFault(
  context: ExchangeContext,
  state: { readonly expires_at: number; readonly review: Review; readonly peer_party: Party },
): Reject | undefined {
  if (context.now >= state.expires_at) return { code: 'exchange_expired', detail: 'trust exchange' };
  return reviewFault(context, state.review, state.review.level, state.peer_party);
}

/**
 * As `reviewFault`, when the acknowledgment comes: the policy is that of now, and evidence, which
 * waited for the other side's officers, may have its age once more. What has expired holds no longer.
 */
export function acknowledgmentFault(context: ExchangeContext, review: Review, peer: Party): Reject | undefined {
  const { policy } = context;
  const waited = { ...policy, evidenceAgeMillisecondsMax: 2 * policy.evidenceAgeMillisecondsMax };
  return reviewFault({ ...context, policy: waited }, review, review.level, peer);
}

/** Kinds that a level rests on, by the policy or by the registry: those that are not demanded here may be by the other side. */
export function requiredKinds(policy: TrustPolicy, level: GrantedLevel): readonly EvidenceKind[] {
  return EVIDENCE_KINDS.filter(
    (kind) => policy.levels[level].evidence[kind] === 'required' || EVIDENCE[kind][level] === 'required',
  );
}

/** Of those, the kinds that both sides of an exchange know to be demanded. */
export function sharedKinds(policy: TrustPolicy, level: GrantedLevel): readonly EvidenceKind[] {
  return EVIDENCE_KINDS.filter(
    (kind) => policy.levels[level].evidence[kind] === 'required' && EVIDENCE[kind][level] === 'required',
  );
}

/** When the first of these kinds has nothing left that holds. */
export function evidenceEnd(
  evidence: readonly Pick<TrustEvidence, 'kind' | 'expires_at'>[],
  required: readonly string[],
): number {
  const ends = required.map((kind) => evidence.filter((one) => one.kind === kind).map(endOf));
  return Math.min(...ends.filter(({ length }) => length > 0).map((own) => Math.max(...own)));
}

function endOf({ expires_at = Number.MAX_SAFE_INTEGER }: Pick<TrustEvidence, 'expires_at'>): number {
  return expires_at;
}

function whyMissing({ policy, now }: ExchangeContext, review: Review, kind: string): string {
  const about = findingsOf(review).filter((one) => one.kind === kind);
  const told = about.find(({ result }) => result !== 'absent') ?? about[0];
  if (told === undefined) return 'nobody could check it';
  if (told.result !== 'held') return told.detail;
  return holds(told, now, policy.evidenceAgeMillisecondsMax) ? told.detail : 'it has expired';
}

/** What goes into the certificate: everything that holds. */
export function evidenceIn(context: ExchangeContext, review: Review): readonly TrustEvidence[] {
  return heldFindings(context, review).flatMap(evidenceFrom).slice(0, CERTIFICATE_EVIDENCE_MAX);
}

function evidenceFrom({ kind, hash, method, checkedAt, expiresAt }: Finding): readonly TrustEvidence[] {
  if (hash === undefined) return [];
  const optional = {
    ...(method === undefined ? {} : { method }),
    ...(expiresAt === undefined ? {} : { expires_at: expiresAt }),
  };
  return [{ kind, hash, checked_at: checkedAt, ...optional }];
}

/**
 * Checks what the peer says that it found about this side, as far as this side knows better
 * [TRUST-46]: it is about to be named in a certificate with it. `keyProof`: what this side signed.
 * Errors: evidence_rejected.
 */
export function checkClaims(
  { crypto, now }: ExchangeContext,
  evidence: readonly TrustEvidence[],
  self: Party,
  keyProof: SignedDocument<unknown>,
): Result<undefined> {
  const names = selfDescriptions(crypto, self);
  for (const { kind, hash, checked_at } of evidence) {
    if (checked_at > now + LIMITS.trustClockSkewMillisecondsMax) return lie(kind, 'checked in the future');
    if (kind === 'key_proof' && !sameBytes(hash, documentHash(crypto, keyProof)))
      return lie(kind, 'of another message');
    if (kind === 'domain_proof' && !names.some((one) => sameBytes(one, hash))) return lie(kind, 'of another root key');
    if (kind === 'officer_approval') return lie(kind, 'approvals do not go into certificates');
  }
  const kinds = evidence.map(({ kind }) => kind);
  const missing = ['domain_proof', 'key_proof'].find((kind) => !kinds.includes(kind));
  return missing === undefined ? ok(undefined) : lie(missing, 'left out');
}

function lie(kind: string, what: string): Result<never> {
  return reject('evidence_rejected', `what it says about us is not so: ${kind} ${what}`);
}

/** BLAKE3 of each line by which our own domain may name our root key. */
export function selfDescriptions(
  crypto: ExchangeContext['crypto'],
  { root_key, root_pq_key }: Party,
): readonly Uint8Array[] {
  const plain = domainProofText(root_key);
  const lines = root_pq_key === undefined ? [plain] : [plain, domainProofText(root_key, crypto.blake3(root_pq_key))];
  return lines.map((line) => crypto.blake3(utf8(line)));
}

/** When the oldest thing that approvals rest on stops holding. */
export function evidenceGoodUntil({ policy }: Pick<ExchangeContext, 'policy'>, review: Review): Instant | undefined {
  const ends = findingsOf(review)
    .filter((one) => holds(one, review.checked_at, policy.evidenceAgeMillisecondsMax))
    .map((one) =>
      Math.min(one.checkedAt + policy.evidenceAgeMillisecondsMax, one.expiresAt ?? Number.MAX_SAFE_INTEGER),
    );
  return ends.length === 0 ? undefined : instant(Math.min(...ends));
}
