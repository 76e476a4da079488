import {
  type Domain,
  fromHex,
  type Instant,
  InvariantError,
  instant,
  ok,
  type Result,
  reject,
  sameBytes,
} from '@norc/protocol/base';
import { type Crypto, type PinnedOrg, parseDocument } from '@norc/protocol/crypto';
import type { TrustReference } from '@norc/protocol/handshake';
import {
  type CertificateStanding,
  compareLevels,
  decideTrust,
  emptyRevocations,
  endsTrust,
  extendRevocations,
  type GrantedLevel,
  keysOf,
  lowestLevel,
  type Party,
  pairLevel,
  type RevocationChain,
  rootStanding,
  standingOf,
  TRUST_CERTIFICATE,
  TRUST_REVOCATION,
  type TrustDecision,
  type TrustFacts,
  type TrustPolicy,
  type TrustQuestion,
  type VerifiedTrustCertificate,
  verifyTrustCertificate,
} from '@norc/protocol/norc-t';
import type { Store } from '../storage/port.ts';
import { unapprovedPairs } from './approved-pairs.ts';
import { RootKeys } from './roots/root-keys.ts';

export interface Standing {
  readonly certificate: VerifiedTrustCertificate;
  readonly standing: CertificateStanding;
}

interface InForce {
  readonly certificate: VerifiedTrustCertificate;
  readonly level: GrantedLevel;
}

/**
 * Everything known about trust, in memory: certificates both ways, revocation chains,
 * when each peer was last heard. The store holds the same; what cannot be verified
 * any more is left out, which only narrows what is allowed.
 */
export class TrustBoard {
  readonly #crypto: Crypto;
  readonly #self: PinnedOrg;
  readonly #party: Party;
  #policy: TrustPolicy;
  #certificates: readonly VerifiedTrustCertificate[] = [];
  readonly #chains = new Map<Domain, RevocationChain>();
  /** Our own statements as they were signed, by number: they are sent again until they are acknowledged. */
  readonly #ownStatements = new Map<number, Uint8Array>();
  readonly #heard = new Map<Domain, Instant>();
  /** Issuers of whose stored revocations one cannot be checked any more: without it nothing of theirs counts. */
  readonly #unreadable = new Set<Domain>();
  /** Issuers that signed two histories. */
  readonly #forked = new Set<Domain>();
  readonly #onUnusable: (what: string, code: string) => void;
  /** Our own root keys and those of partners, where one was replaced. */
  readonly roots = new RootKeys();

  constructor(crypto: Crypto, party: Party, policy: TrustPolicy, onUnusable: (what: string, code: string) => void) {
    this.#onUnusable = onUnusable;
    this.#crypto = crypto;
    this.#party = party;
    this.#self = { org: party.domain, rootKey: party.root_key };
    this.#policy = policy;
  }

  async load(store: Store, now: Instant): Promise<void> {
    for (const { document } of await store.read.trustCertificates()) {
      const added = this.addCertificate(document, now);
      if (!added.ok) this.#onUnusable('trust certificate', added.error.code);
    }
    await this.#leaveOutUnapproved(store);
    for (const { issuer, document } of await store.read.trustRevocations()) {
      const extended = this.addRevocation(issuer, document, issuedAt(document) ?? now);
      if (extended.ok) continue;
      this.#onUnusable('revocation', extended.error.code);
      this.#unreadable.add(issuer);
    }
    for (const { peer, at } of await store.read.trustRecords('fork')) {
      const cleared = peer === undefined ? undefined : await store.read.trustRecord('notice', forkClearedKey(peer));
      if (peer !== undefined && (cleared === undefined || cleared.at < at)) this.#forked.add(peer);
    }
    for (const peer of this.peers()) {
      const heard = await store.read.trustHeard(peer);
      if (heard !== undefined) this.#heard.set(peer, heard);
    }
  }

  /** Who can write into the store is not thereby an officer: where officers sign, their approvals have to be there. */
  async #leaveOutUnapproved(store: Store): Promise<void> {
    for (const pair of await unapprovedPairs(this.#crypto, this.#policy, this.#certificates, store)) {
      this.drop(pair.certificates);
      this.#onUnusable('trust certificate', 'approval_required');
    }
  }

  get policy(): TrustPolicy {
    return this.#policy;
  }

  setPolicy(policy: TrustPolicy): void {
    this.#policy = policy;
  }

  decide(question: TrustQuestion, now: Instant): TrustDecision {
    return decideTrust(question, this.#facts(question.remote, now));
  }

  level(peer: Domain, now: Instant): GrantedLevel | 'untrusted' {
    return pairLevel(this.#self.org, peer, this.#facts(peer, now));
  }

  /** As `level`, staleness aside: what a renewal may ask for. A peer that was not heard for long is heard by it. */
  levelInForce(peer: Domain, now: Instant): GrantedLevel | 'untrusted' {
    return pairLevel(this.#self.org, peer, { ...this.#facts(peer, now), heardAt: now });
  }

  /** What a decision about a peer rests on, for whoever asks what another policy would say. */
  factsAbout(peer: Domain, now: Instant): TrustFacts {
    return this.#facts(peer, now);
  }

  #facts(peer: Domain, now: Instant): TrustFacts {
    return {
      certificates: this.#certificates.filter(
        (one) => !this.#unreadable.has(one.issuer) && this.roots.isUsable(one, now),
      ),
      revocations: [...this.#chains.values()],
      heardAt: this.#heard.get(peer),
      forked: this.#forked,
      policy: this.#policy,
      now,
    };
  }

  /**
   * The pair in force with a peer, staleness aside: a link to a peer that was not heard
   * for long is how it is heard again. Where certificates overlap, the pair of the highest level, as in decisions;
   * of a renewal at the same level the pair that ends last.
   */
  pair(
    peer: Domain,
    now: Instant,
  ): { readonly given: VerifiedTrustCertificate; readonly received: VerifiedTrustCertificate } | undefined {
    if (this.#policy.blocked.has(peer) || this.#unreadable.has(peer) || this.#forked.has(peer)) return undefined;
    const others = this.#inForce(peer, this.#self.org, now);
    const pairs = this.#inForce(this.#self.org, peer, now).flatMap((given) =>
      others
        .filter((received) => sameExchange(given.certificate, received.certificate))
        .map((received) => ({
          pair: { given: given.certificate, received: received.certificate },
          level: lowestLevel(given.level, received.level),
        })),
    );
    // By what both sides see alike: they have to name the same two to each other. The sort is stable.
    return pairs.sort((a, b) => compareLevels(b.level, a.level) || endOf(b.pair) - endOf(a.pair))[0]?.pair;
  }

  /** Certificates that we gave a peer and that are in force: all of them end when trust ends. */
  givenInForce(peer: Domain, now: Instant): readonly VerifiedTrustCertificate[] {
    return this.#inForce(this.#self.org, peer, now).map(({ certificate }) => certificate);
  }

  /** Certificates between an issuer and a subject, each with what has become of it; the one that ends last first, then the newest. */
  standings(issuer: Domain, subject: Domain, now: Instant): readonly Standing[] {
    const chain = this.#chains.get(issuer);
    const all = this.#certificates.filter(
      (one) => one.issuer === issuer && one.subject === subject && this.roots.isUsable(one, now),
    );
    return all
      .map((certificate) => ({ certificate, standing: standingOf(certificate, chain, now, all) }))
      .sort(
        (a, b) => b.certificate.notAfter - a.certificate.notAfter || b.certificate.notBefore - a.certificate.notBefore,
      );
  }

  /** Trust with a peer is in force, or may come back without a new exchange: it is worth to hear of its statements. */
  isLasting(peer: Domain, now: Instant): boolean {
    const lasts = ({ standing }: Standing) => standing.kind === 'in_force' || standing.kind === 'suspended';
    return (
      this.standings(this.#self.org, peer, now).some(lasts) && this.standings(peer, this.#self.org, now).some(lasts)
    );
  }

  /** Nothing of an issuer that signed two histories counts any more, until officers have looked. */
  markForked(issuer: Domain): void {
    this.#forked.add(issuer);
  }

  clearFork(issuer: Domain): void {
    this.#forked.delete(issuer);
  }

  isForked(issuer: Domain): boolean {
    return this.#forked.has(issuer);
  }

  /** The next moment from `now` on at which a date, a condition or a held statement changes something by itself. */
  nextChange(now: Instant): Instant | undefined {
    const dates = this.#certificates.flatMap(({ notBefore, notAfter, conditions }) => [
      notBefore,
      notAfter,
      ...conditions.map(({ deadline }) => deadline),
    ]);
    let next = Number.POSITIVE_INFINITY;
    for (const time of dates) if (time > now && time < next) next = time;
    for (const { statements } of this.#chains.values())
      for (const { effective_at: time } of statements) if (time > now && time < next) next = time;
    return Number.isFinite(next) ? instant(next) : undefined;
  }

  #inForce(issuer: Domain, subject: Domain, now: Instant): readonly InForce[] {
    return this.standings(issuer, subject, now)
      .flatMap(({ certificate, standing }) =>
        standing.kind === 'in_force' ? [{ certificate, level: standing.level }] : [],
      )
      .sort((a, b) => compareLevels(b.level, a.level)); // stable: among equals the one that ends last
  }

  certificatesWith(peer: Domain): readonly VerifiedTrustCertificate[] {
    return this.#certificates.filter((one) => one.issuer === peer || one.subject === peer);
  }

  rootKey(domain: Domain, now: Instant): Uint8Array | undefined {
    return this.pinned(domain, now)?.rootKey;
  }

  /** An organisation's root key, with those that it replaced, for as long as trust with it is in force. */
  pinned(domain: Domain, now: Instant): PinnedOrg | undefined {
    const standing = this.roots.standing(domain, now);
    if (domain === this.#self.org) return standing ?? this.#self;
    const pair = this.pair(domain, now);
    if (pair === undefined) return undefined;
    return standing ?? { org: domain, rootKey: pair.given.subjectRootKey };
  }

  /** The root key that any certificate ever named for this peer: another one later is not taken without a word. */
  knownRootKey(peer: Domain, now?: Instant): Uint8Array | undefined {
    const lineage = this.roots.lineage(peer);
    if (lineage !== undefined) return rootStanding(lineage, now ?? LATEST).rootKey;
    return this.#certificates.find((one) => one.subject === peer)?.subjectRootKey;
  }

  references(
    peer: Domain,
    now: Instant,
  ): { readonly given: TrustReference; readonly received: TrustReference } | undefined {
    const pair = this.pair(peer, now);
    return pair === undefined ? undefined : { given: reference(pair.given), received: reference(pair.received) };
  }

  peers(): readonly Domain[] {
    return [...new Set(this.#certificates.map((one) => (one.issuer === this.#self.org ? one.subject : one.issuer)))];
  }

  chain(issuer: Domain): RevocationChain {
    return this.#chains.get(issuer) ?? emptyRevocations(issuer);
  }

  /** Number of our last statement that revoked or suspended a peer, also one that is held until a later time. */
  cutOff(peer: Domain): number | undefined {
    const { statements } = this.chain(this.#self.org);
    return statements.findLast(({ subject, action }) => subject === peer && endsTrust(action))?.sequence;
  }

  /** A statement of the issuer that ends trust with the subject is held until a later time. */
  isEnding(issuer: Domain, subject: Domain, now: Instant): boolean {
    const { statements } = this.chain(issuer);
    return statements.some((one) => one.subject === subject && endsTrust(one.action) && one.effective_at > now);
  }

  ownStatement(sequence: number): Uint8Array | undefined {
    return this.#ownStatements.get(sequence);
  }

  heardAt(peer: Domain): Instant | undefined {
    return this.#heard.get(peer);
  }

  heard(peer: Domain, at: Instant): void {
    this.#heard.set(peer, at);
  }

  /** Errors: those of `verify`. */
  addCertificate(document: Uint8Array, now: Instant): Result<VerifiedTrustCertificate> {
    const verified = this.verify(document, now);
    if (verified.ok) this.keep([verified.value]);
    return verified;
  }

  /** They count from now on; they are in the store already. */
  keep(certificates: readonly VerifiedTrustCertificate[]): void {
    const added = certificates.filter((one) => this.#known(one) === undefined);
    this.#certificates = [...this.#certificates, ...added];
  }

  /** They count no longer; they are gone from the store already. */
  drop(certificates: readonly VerifiedTrustCertificate[]): void {
    const gone = new Set(certificates.map((one) => this.#known(one)));
    this.#certificates = this.#certificates.filter((one) => !gone.has(one));
  }

  #known({ issuer, certificateId }: VerifiedTrustCertificate): VerifiedTrustCertificate | undefined {
    return this.#certificates.find((one) => one.issuer === issuer && one.certificateId === certificateId);
  }

  /** Nothing counts by this. Errors: those of `verifyTrustCertificate`; certificate_invalid for an id that another one has. */
  verify(document: Uint8Array, now: Instant): Result<VerifiedTrustCertificate> {
    const parsed = parseDocument(TRUST_CERTIFICATE, document);
    if (!parsed.ok) return parsed;
    const { issuer } = parsed.value.body;
    const own = this.roots.standing(this.#self.org, now) ?? this.#self;
    const pinned = issuer.domain === this.#self.org ? own : { org: issuer.domain, rootKey: issuer.root_key };
    const verified = verifyTrustCertificate(this.#crypto, parsed.value, { issuer: pinned, now });
    if (!verified.ok) return verified;
    const known = this.#known(verified.value);
    if (known !== undefined && !sameBytes(known.hash, verified.value.hash))
      return reject('certificate_invalid', 'another certificate with this id');
    return verified;
  }

  /** `at`: when the signing key has to be in date. Errors: those of `extendRevocations`; the chain is unchanged then. */
  addRevocation(issuer: Domain, document: Uint8Array, at: Instant): Result<RevocationChain> {
    const extended = this.extended(issuer, document, at);
    if (extended.ok) {
      this.#chains.set(issuer, extended.value);
      if (issuer === this.#self.org) this.#ownStatements.set(extended.value.sequence, document);
    }
    return extended.ok ? ok(extended.value) : extended;
  }

  /** The issuer's chain with one more statement; the board is unchanged. Errors: those of `extendRevocations`. */
  extended(issuer: Domain, document: Uint8Array, at: Instant): Result<RevocationChain> {
    return extendRevocations(this.#crypto, this.chain(issuer), document, this.trustKeys(issuer, at));
  }

  /** The chain counts from now on; it is in the store already. */
  adopt(chain: RevocationChain): void {
    this.#chains.set(chain.issuer, chain);
  }

  /** Keys that may sign trust documents of an organisation: our own, or those in the certificates with it. */
  trustKeys(domain: Domain, now: Instant): ReturnType<typeof keysOf> {
    if (domain === this.#self.org) return keysOf(this.#crypto, this.#party, 'trust', now);
    const usable = this.certificatesWith(domain).filter((one) => this.roots.isUsable(one, now));
    return usable.flatMap(({ document: { body } }) => {
      const party = body.issuer.domain === domain ? body.issuer : body.subject;
      return keysOf(this.#crypto, party, 'trust', now);
    });
  }
}

function endOf({ given, received }: { given: VerifiedTrustCertificate; received: VerifiedTrustCertificate }): number {
  return Math.min(given.notAfter, received.notAfter);
}

/** Halves of two exchanges make no pair. */
function sameExchange(one: VerifiedTrustCertificate, other: VerifiedTrustCertificate): boolean {
  return one.document.body.exchange_id === other.document.body.exchange_id;
}

/** Every rotation has taken effect by then. */
const LATEST = instant(Number.MAX_SAFE_INTEGER);

/** Of the notice that officers restored trust after a fork. */
export function forkClearedKey(peer: Domain): string {
  return `fork cleared ${peer}`;
}

function reference({ certificateId, hash }: VerifiedTrustCertificate): TrustReference {
  const id = fromHex(certificateId);
  if (id === undefined) throw new InvariantError('a certificate id is hexadecimal');
  return { certificateId: id, hash };
}

/** A stored revocation was checked when it came; its key may have been replaced since. */
function issuedAt(document: Uint8Array): Instant | undefined {
  const parsed = parseDocument(TRUST_REVOCATION, document);
  return parsed.ok ? instant(parsed.value.body.issued_at) : undefined;
}
