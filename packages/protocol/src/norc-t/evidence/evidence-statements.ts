import { type Domain, type Instant, ok, type Result, reject, sameBytes } from '../../base/index.ts';
import {
  type Crypto,
  documentHash,
  parseDocument,
  type SignedDocument,
  type Verified,
  type VerifiedServerCertificate,
  verifyDocument,
  verifyServerCertificate,
} from '../../crypto/index.ts';
import { atLeast, type GrantedLevel } from '../levels.ts';
import type { ComplianceRule } from '../policy/policy.ts';
import {
  type AttestationBody,
  COMPLIANCE_STATEMENT,
  type ComplianceBody,
  DEVICE_ATTESTATION_STATEMENT,
  lifeFault,
  type RecommendationBody,
  type SignedStatement,
  TRUST_RECOMMENDATION,
} from './evidence-documents.ts';

/** Checks of signed statements (spec/evidence section 4), each up to the root key of an organisation that is trusted now. */

/** What a recommendation is worth after one hop, of the hop before. */
export const RECOMMENDATION_DECAY = 0.95;
/** Clocks of two machines may differ by this much. */
const CLOCK_SKEW_MS = 300_000;

/** Who a statement must be about. */
export interface StatementSubject {
  readonly domain: Domain;
  readonly rootKey: Uint8Array;
}

export interface StatementView {
  readonly self: Domain;
  readonly subject: StatementSubject;
  readonly now: Instant;
  /** Root key of an organisation that is trusted now; undefined for every other. */
  readonly rootKey: (domain: Domain) => Uint8Array | undefined;
}

export type VerifiedRecommendation = Verified<{
  readonly level: GrantedLevel;
  /** From the recommender that we know to the one that knows the subject. */
  readonly recommenders: readonly Domain[];
  /** Their root keys, in the same order. */
  readonly rootKeys: readonly Uint8Array[];
  /** `RECOMMENDATION_DECAY` once for each recommender. */
  readonly weight: number;
  readonly issuedAt: number;
  readonly expiresAt: number;
}>;

export interface RecommendationView extends StatementView {
  readonly recommenders: ReadonlySet<Domain>;
  /** Organisations whose word never counts. */
  readonly blocked: ReadonlySet<Domain>;
  /** The level that is asked for: a recommendation for less does not count. */
  readonly level: GrantedLevel;
}

/**
 * Checks a recommendation, passed on or not, up to the root key of a recommender that is
 * trusted now [EVID-30] to [EVID-36].
 * Errors: evidence_rejected, and those of parsing and of `verifyServerCertificate`.
 */
export function verifyRecommendation(
  crypto: Crypto,
  statements: readonly SignedStatement[],
  view: RecommendationView,
): Result<VerifiedRecommendation> {
  const opened = openChain(crypto, statements, view);
  if (!opened.ok) return opened;
  const documents = opened.value;
  const [first] = documents;
  if (first === undefined) return reject('evidence_rejected', 'the recommendation is empty');
  const loop = loopFault(documents, view);
  if (loop !== undefined) return reject('evidence_rejected', loop);
  if (!atLeast(first.level, view.level)) {
    return reject('evidence_rejected', `${first.recommender} recommends for ${first.level} at most`);
  }
  const verified = {
    level: first.level,
    recommenders: documents.map(({ recommender }) => recommender),
    rootKeys: keysOf(documents, view),
    weight: RECOMMENDATION_DECAY ** documents.length,
    issuedAt: Math.min(...documents.map(({ issued_at }) => issued_at)),
    expiresAt: Math.min(...documents.map(({ expires_at }) => expires_at)),
  };
  return ok(verified as unknown as VerifiedRecommendation); // every hop's signature was checked just now
}

function openChain(
  crypto: Crypto,
  statements: readonly SignedStatement[],
  view: RecommendationView,
): Result<readonly RecommendationBody[]> {
  const bodies: RecommendationBody[] = [];
  let before: RecommendationBody | undefined;
  for (const [index, statement] of statements.entries()) {
    const parsed = parseDocument(TRUST_RECOMMENDATION, statement.document);
    if (!parsed.ok) return parsed;
    const { body } = parsed.value;
    const fault = hopFault(body, before, view) ?? passFault(crypto, parsed.value, before);
    if (fault !== undefined) return reject('evidence_rejected', fault);
    if (body.hops !== statements.length - index) return reject('evidence_rejected', 'hops of the recommendation');
    const rootKey = before === undefined ? view.rootKey(body.recommender) : before.passes_on?.root_key;
    if (rootKey === undefined) return reject('evidence_rejected', `${body.recommender} is not trusted now`);
    const signed = verifyStatement(crypto, parsed.value, statement, { org: body.recommender, rootKey, now: view.now });
    if (!signed.ok) return signed;
    bodies.push(body);
    before = body;
  }
  return ok(bodies);
}

function hopFault(
  body: RecommendationBody,
  before: RecommendationBody | undefined,
  view: RecommendationView,
): string | undefined {
  if (before === undefined && !view.recommenders.has(body.recommender)) {
    return `the policy does not count recommendations by ${body.recommender}`;
  }
  if (view.blocked.has(body.recommender)) return `the policy blocks ${body.recommender}`;
  // Who passes on may lower the level, never raise it.
  if (before !== undefined && !atLeast(body.level, before.level)) return 'a level was raised on the way';
  return subjectFault(body, view.subject) ?? dateFault(body, view.now);
}

/** Each hop names the next one by its hash and root key, so that none can be put in another's place. */
function passFault(
  crypto: Crypto,
  document: SignedDocument<RecommendationBody>,
  before: RecommendationBody | undefined,
): string | undefined {
  const { body } = document;
  if (body.hops > 1 !== (body.passes_on !== undefined)) return 'hops of the recommendation';
  if (before === undefined) return undefined;
  const named = before.passes_on;
  if (named === undefined || named.recommender !== body.recommender) return 'another recommender than was passed on';
  if (!sameBytes(named.statement, documentHash(crypto, document))) return 'another recommendation than was passed on';
  return undefined;
}

/** Nobody vouches twice, for themselves, or to themselves; a key counts once, whatever name it goes by. */
function loopFault(documents: readonly RecommendationBody[], view: RecommendationView): string | undefined {
  const names = documents.map(({ recommender }) => recommender);
  if (names.includes(view.subject.domain)) return 'nobody recommends themselves';
  if (names.includes(view.self)) return 'our own recommendation tells us nothing';
  if (new Set(names).size !== names.length) return 'the recommendation goes in a loop';
  const all = keysOf(documents, view);
  if (all.some((key) => sameBytes(key, view.subject.rootKey))) return 'nobody recommends themselves';
  const repeated = all.some((key, index) => all.slice(0, index).some((other) => sameBytes(key, other)));
  if (repeated) return 'the recommendation goes in a loop';
  for (const { passes_on: next } of documents) {
    const known = next === undefined ? undefined : view.rootKey(next.recommender);
    if (next !== undefined && known !== undefined && !sameBytes(known, next.root_key)) {
      return `another root key of ${next.recommender} than the one that is trusted`;
    }
  }
  return undefined;
}

function keysOf(documents: readonly RecommendationBody[], view: StatementView): readonly Uint8Array[] {
  const [first] = documents;
  const known = first === undefined ? undefined : view.rootKey(first.recommender);
  const named = documents.flatMap(({ passes_on }) => (passes_on === undefined ? [] : [passes_on.root_key]));
  return known === undefined ? named : [known, ...named];
}

export type VerifiedCompliance = Verified<{ readonly body: ComplianceBody }>;

/**
 * Checks a compliance statement: of a scheme that the policy counts, by somebody whom
 * it lets state that, who is trusted now [EVID-40].
 * Errors: as `verifyRecommendation`.
 */
export function verifyCompliance(
  crypto: Crypto,
  statement: SignedStatement,
  view: StatementView & { readonly rules: readonly ComplianceRule[] },
): Result<VerifiedCompliance> {
  const parsed = parseDocument(COMPLIANCE_STATEMENT, statement.document);
  if (!parsed.ok) return parsed;
  const { body } = parsed.value;
  const fault = complianceFault(body, view);
  if (fault !== undefined) return reject('evidence_rejected', fault);
  const rootKey = view.rootKey(body.stated_by);
  if (rootKey === undefined) return reject('evidence_rejected', `${body.stated_by} is not trusted now`);
  const signed = verifyStatement(crypto, parsed.value, statement, { org: body.stated_by, rootKey, now: view.now });
  if (!signed.ok) return signed;
  return ok({ body } as VerifiedCompliance); // the signature was checked just now
}

function complianceFault(
  body: ComplianceBody,
  view: StatementView & { readonly rules: readonly ComplianceRule[] },
): string | undefined {
  const rule = view.rules.find(({ scheme }) => scheme === body.scheme);
  if (rule === undefined) return `the policy does not count the scheme ${body.scheme}`;
  if (!rule.statedBy.has(body.stated_by)) return `the policy does not let ${body.stated_by} state ${body.scheme}`;
  if (body.stated_by === body.subject) return 'nobody states compliance of themselves';
  return subjectFault(body, view.subject) ?? dateFault(body, view.now);
}

export type VerifiedAttestation = Verified<{
  readonly body: AttestationBody;
  /** Of the platform with the fewest attested devices. */
  readonly leastPercent: number;
}>;

/**
 * Checks what an organisation states about its own devices [EVID-50].
 * Errors: as `verifyRecommendation`.
 */
export function verifyAttestation(
  crypto: Crypto,
  statement: SignedStatement,
  { subject, now }: { readonly subject: StatementSubject; readonly now: Instant },
): Result<VerifiedAttestation> {
  const parsed = parseDocument(DEVICE_ATTESTATION_STATEMENT, statement.document);
  if (!parsed.ok) return parsed;
  const { body } = parsed.value;
  const fault = subjectFault({ subject: body.org, root_key: body.root_key }, subject) ?? dateFault(body, now);
  if (fault !== undefined) return reject('evidence_rejected', fault);
  if (body.platforms.length === 0) return reject('evidence_rejected', 'the statement names no platform');
  const expected = { org: subject.domain, rootKey: subject.rootKey, now };
  const signed = verifyStatement(crypto, parsed.value, statement, expected);
  if (!signed.ok) return signed;
  const leastPercent = Math.min(...body.platforms.map(({ attested_percent }) => attested_percent));
  return ok({ body, leastPercent } as VerifiedAttestation); // the signature was checked just now
}

/** The chain of every statement: its document, the server certificate with usage `trust`, the root key. */
function verifyStatement<T>(
  crypto: Crypto,
  document: SignedDocument<T>,
  { certificate }: SignedStatement,
  { org, rootKey, now }: { readonly org: Domain; readonly rootKey: Uint8Array; readonly now: Instant },
): Result<VerifiedServerCertificate> {
  const signer = verifyServerCertificate(crypto, certificate, { pinned: { org, rootKey }, usage: 'trust', now });
  if (!signer.ok) return signer;
  const signed = verifyDocument(crypto, document, signer.value.publicKey);
  return signed.ok ? signer : signed;
}

function subjectFault(
  named: { readonly subject: Domain; readonly root_key: Uint8Array },
  expected: StatementSubject,
): string | undefined {
  if (named.subject !== expected.domain) return `the statement is about ${named.subject}`;
  if (!sameBytes(named.root_key, expected.rootKey)) return 'the statement is about another root key';
  return undefined;
}

function dateFault(body: Pick<RecommendationBody, 'issued_at' | 'expires_at'>, now: Instant): string | undefined {
  const life = lifeFault(body);
  if (life !== undefined) return life;
  if (body.issued_at > now + CLOCK_SKEW_MS) return 'the statement is from the future';
  return now >= body.expires_at ? 'the statement has expired' : undefined;
}
