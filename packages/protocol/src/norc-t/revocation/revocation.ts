import { type Domain, type Instant, ok, type Result, reject, sameBytes } from '../../base/index.ts';
import type { Crypto, DocumentKind, SignedDocument, Verified, VerifiedServerCertificate } from '../../crypto/index.ts';
import { documentHash, documentKind, draftDocument, parseDocument } from '../../crypto/index.ts';
import { bool, choice, domain, fixedBytes, type Infer, optional, struct, text, uint } from '../../wire/index.ts';
import { type CertificateId, certificateId } from '../identifiers.ts';
import { verifyBy } from '../party.ts';
import { levelSchema } from '../trust-certificate.ts';

/** Revocations (spec/norc-t section 6): what an issuer says later about certificates that it issued. */

export const REVOCATION_ACTIONS = ['revoke', 'suspend', 'restore', 'downgrade', 'condition_met'] as const;
export type RevocationAction = (typeof REVOCATION_ACTIONS)[number];

const REASON_BYTES_MAX = 512;
const NAME_BYTES_MAX = 64;

const revocationSchema = struct({
  issuer: domain(),
  subject: domain(),
  /** 1 for the issuer's first statement, then rising by one over all its subjects. */
  sequence: uint(),
  /** `documentHash` of the issuer's statement before; zeros for the first. */
  previous: fixedBytes(32),
  certificate_id: certificateId(),
  action: choice(REVOCATION_ACTIONS),
  /** With `downgrade`: the level from then on. */
  level: optional(levelSchema),
  /** With `condition_met`: the condition's name. */
  condition: optional(text(NAME_BYTES_MAX)),
  /** On the last `revoke` of an act after which no certificate of the subject is left: third organisations act on it. */
  ends_trust: optional(bool()),
  /** For people of both organisations. */
  reason: text(REASON_BYTES_MAX),
  issued_at: uint(),
  /** Held until then. */
  effective_at: uint(),
});
export type RevocationBody = Infer<typeof revocationSchema>;
export const TRUST_REVOCATION: DocumentKind<RevocationBody> = documentKind('trust_revocation', 1, revocationSchema);

const revocationAckSchema = struct({
  /** Of the revocation. */
  issuer: domain(),
  sequence: uint(),
  /** `documentHash` of the revocation. */
  revocation: fixedBytes(32),
  acknowledged_by: domain(),
  received_at: uint(),
  /** When the last effect was in force here. */
  enforced_at: uint(),
});
export type RevocationAckBody = Infer<typeof revocationAckSchema>;
export const TRUST_REVOCATION_ACK: DocumentKind<RevocationAckBody> = documentKind(
  'trust_revocation_ack',
  1,
  revocationAckSchema,
);

const statusSchema = struct({
  issuer: domain(),
  to: domain(),
  /** The issuer's last statement, 0 when there is none, and its hash. */
  sequence: uint(),
  head: fixedBytes(32),
  /** The last statement of `to` that the issuer holds: what follows it is wanted. */
  known_sequence: uint(),
  known_head: fixedBytes(32),
  sent_at: uint(),
});
export type TrustStatusBody = Infer<typeof statusSchema>;
/** What each side sends every 60 s: shows that nothing was held back, and asks for what is missing. */
export const TRUST_STATUS: DocumentKind<TrustStatusBody> = documentKind('trust_status', 1, statusSchema);

/** All statements of one issuer, without a gap. Made by `emptyRevocations` and `extendRevocations` alone. */
export type RevocationChain = Verified<{
  readonly issuer: Domain;
  readonly sequence: number;
  readonly head: Uint8Array;
  /** In order; the last has `sequence`. */
  readonly statements: readonly RevocationBody[];
  /** `documentHash` of each statement. */
  readonly hashes: readonly Uint8Array[];
  /** The same statements, in order, by the certificate that they are about. */
  readonly byCertificate: Pick<ReadonlyMap<CertificateId, readonly RevocationBody[]>, 'get'>;
}>;

/** What the chain and those that it grew from share: a statement is added without a copy of those before. */
class SharedIndex {
  readonly #byCertificate = new Map<CertificateId, readonly RevocationBody[]>();
  readonly #hashes: Uint8Array[] = [];

  /** The view of a chain of so many statements. */
  upTo(sequence: number): RevocationChain['byCertificate'] {
    return {
      get: (id) => {
        const all = this.#byCertificate.get(id);
        if (all === undefined || (all.at(-1)?.sequence ?? 0) <= sequence) return all;
        const held = all.filter((one) => one.sequence <= sequence);
        return held.length === 0 ? undefined : held;
      },
    };
  }

  /** False when another statement has its place: two chains grew from one. */
  add(body: RevocationBody, hash: Uint8Array): boolean {
    const known = this.#hashes[body.sequence - 1];
    if (known !== undefined) return sameBytes(known, hash);
    this.#hashes.push(hash);
    this.#byCertificate.set(body.certificate_id, [...(this.#byCertificate.get(body.certificate_id) ?? []), body]);
    return true;
  }
}

/** Of each chain, by its array of hashes, which no other has. */
const INDEXES = new WeakMap<readonly Uint8Array[], SharedIndex>();

const NO_HEAD = new Uint8Array(32);

export function emptyRevocations(issuer: Domain): RevocationChain {
  const byCertificate = new SharedIndex().upTo(0);
  const chain = { issuer, sequence: 0, head: NO_HEAD, statements: [], hashes: [], byCertificate };
  return chain as unknown as RevocationChain; // holds no statement, so there is nothing to check
}

/** The next statement of a chain, unsigned. The chain grows when `extendRevocations` has checked it. */
export function draftRevocation(
  chain: RevocationChain,
  statement: Omit<RevocationBody, 'issuer' | 'sequence' | 'previous'>,
): SignedDocument<RevocationBody> {
  const body = { ...statement, issuer: chain.issuer, sequence: chain.sequence + 1, previous: chain.head };
  const fault = statementFault(body);
  if (fault !== undefined) throw new RangeError(fault);
  return draftDocument(TRUST_REVOCATION, body);
}

/**
 * Checks one statement and adds it [TRUST-20] to [TRUST-24]. One that the chain holds
 * already gives the same chain. `keys`: the issuer's trust keys in date.
 * Errors: revocation_gap (fetch what is between and try again), revocation_fork (the
 * issuer signed two histories: evidence to keep and to show), signature_invalid,
 * certificate_invalid (another issuer), and those of parsing.
 */
export function extendRevocations(
  crypto: Crypto,
  chain: RevocationChain,
  statement: Uint8Array,
  keys: readonly VerifiedServerCertificate[],
): Result<RevocationChain> {
  const parsed = parseDocument(TRUST_REVOCATION, statement);
  if (!parsed.ok) return parsed;
  const { body } = parsed.value;
  const usable = keys.filter((key) => key.org === body.issuer && key.usages.has('trust'));
  if (body.issuer !== chain.issuer || usable.length === 0)
    return reject('certificate_invalid', 'issuer of the revocation');
  const signed = verifyBy(crypto, parsed.value, usable);
  if (!signed.ok) return signed;
  const fault = statementFault(body);
  if (fault !== undefined) return reject('malformed', fault);
  return place(chain, body, documentHash(crypto, parsed.value));
}

function place(chain: RevocationChain, body: RevocationBody, hash: Uint8Array): Result<RevocationChain> {
  if (body.sequence > chain.sequence + 1) return reject('revocation_gap', `statements after ${chain.sequence}`);
  if (body.sequence <= chain.sequence) {
    const held = chain.hashes[body.sequence - 1];
    const repeated = held !== undefined && sameBytes(held, hash);
    return repeated ? ok(chain) : reject('revocation_fork', `statement ${body.sequence}`);
  }
  if (!sameBytes(body.previous, chain.head)) return reject('revocation_fork', `statement ${body.sequence}`);
  const hashes = [...chain.hashes, hash];
  const statements = [...chain.statements, body];
  const index = indexWith(chain, body, hash);
  INDEXES.set(hashes, index);
  const extended = {
    issuer: chain.issuer,
    sequence: body.sequence,
    head: hash,
    ...{ statements, hashes, byCertificate: index.upTo(body.sequence) },
  };
  return ok(extended as unknown as RevocationChain); // signature, number and hash were checked just now
}

function indexWith({ hashes, statements }: RevocationChain, body: RevocationBody, hash: Uint8Array): SharedIndex {
  const shared = INDEXES.get(hashes);
  if (shared?.add(body, hash) === true) return shared;
  const own = new SharedIndex();
  statements.forEach((one, i) => {
    own.add(one, hashes[i] ?? NO_HEAD);
  });
  own.add(body, hash);
  return own;
}

function statementFault(body: RevocationBody): string | undefined {
  if (body.sequence < 1) return 'sequence';
  if (body.issuer === body.subject) return 'subject';
  if ((body.action === 'downgrade') !== (body.level !== undefined)) return 'level of the revocation';
  if (body.ends_trust !== undefined && !(body.ends_trust && body.action === 'revoke')) return 'ends_trust';
  if ((body.action === 'condition_met') !== (body.condition !== undefined)) return 'condition of the revocation';
  return undefined;
}

/** How this side's copy of a peer's chain stands to what the peer says of itself. */
export type ChainStanding = 'current' | 'behind' | 'older' | 'fork';

/**
 * Only `current` confirms the chain. `behind`: ask for the statements after our own.
 * `older`: an old status, delayed or replayed; it confirms nothing, so that trust goes
 * stale when no other comes. `fork`: the peer showed two histories [TRUST-26].
 */
export function compareStatus(chain: RevocationChain, status: TrustStatusBody): ChainStanding {
  if (status.sequence > chain.sequence) return 'behind';
  const held = status.sequence === 0 ? NO_HEAD : chain.hashes[status.sequence - 1];
  if (held === undefined || !sameBytes(held, status.head)) return 'fork';
  return status.sequence === chain.sequence ? 'current' : 'older';
}

/** The statements' numbers that the sender of a status lacks of our own chain; a fork when its copy is not ours. */
export function missingOf(chain: RevocationChain, status: TrustStatusBody): Result<readonly number[]> {
  const held = status.known_sequence === 0 ? NO_HEAD : chain.hashes[status.known_sequence - 1];
  if (held === undefined || !sameBytes(held, status.known_head)) return reject('revocation_fork', 'known head');
  const numbers: number[] = [];
  for (let number = status.known_sequence + 1; number <= chain.sequence; number += 1) numbers.push(number);
  return ok(numbers);
}

/** What this side signs when a statement of `chain` is in force here [TRUST-29]. */
export function draftRevocationAck(
  chain: RevocationChain,
  sequence: number,
  said: { readonly by: Domain; readonly receivedAt: Instant; readonly enforcedAt: Instant },
): SignedDocument<RevocationAckBody> {
  const revocation = chain.hashes[sequence - 1];
  if (revocation === undefined) throw new RangeError('no such statement');
  const { issuer } = chain;
  const times = { received_at: said.receivedAt, enforced_at: said.enforcedAt };
  return draftDocument(TRUST_REVOCATION_ACK, { issuer, sequence, revocation, acknowledged_by: said.by, ...times });
}

/** Whether an acknowledgment is about our own statement. Errors: revocation_gap (none of this number), revocation_fork. */
export function checkRevocationAck(chain: RevocationChain, ack: RevocationAckBody): Result<undefined> {
  const held = chain.hashes[ack.sequence - 1];
  if (ack.issuer !== chain.issuer || held === undefined) return reject('revocation_gap', 'acknowledged statement');
  return sameBytes(held, ack.revocation) ? ok(undefined) : reject('revocation_fork', 'acknowledged statement');
}

/** A moment is stale when the peer's chain was last confirmed longer ago than the policy allows, or never. */
export function isStale(heardAt: Instant | undefined, now: Instant, ageMillisecondsMax: number): boolean {
  return heardAt === undefined || now - heardAt > ageMillisecondsMax;
}
