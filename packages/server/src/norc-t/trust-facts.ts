import { type Domain, fromHex, type Instant, InvariantError, instant, ok, type Result } from '@norc/protocol/base';
import { type Crypto, type PinnedOrg, parseDocument } from '@norc/protocol/crypto';
import type { TrustReference } from '@norc/protocol/handshake';
import {
  decideTrust,
  emptyRevocations,
  extendRevocations,
  type GrantedLevel,
  keysOf,
  type Party,
  pairLevel,
  type RevocationChain,
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
  readonly #heard = new Map<Domain, Instant>();
  /** Issuers of whose stored revocations one cannot be checked any more: without it nothing of theirs counts. */
  readonly #unreadable = new Set<Domain>();
  readonly #onUnusable: (what: string, code: string) => void;

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
    for (const { issuer, document } of await store.read.trustRevocations()) {
      const extended = this.addRevocation(issuer, document, issuedAt(document) ?? now);
      if (extended.ok) continue;
      this.#onUnusable('revocation', extended.error.code);
      this.#unreadable.add(issuer);
    }
    for (const peer of this.peers()) {
      const heard = await store.read.trustHeard(peer);
      if (heard !== undefined) this.#heard.set(peer, heard);
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

  #facts(peer: Domain, now: Instant): TrustFacts {
    return {
      certificates: this.#certificates.filter((one) => !this.#unreadable.has(one.issuer)),
      revocations: [...this.#chains.values()],
      heardAt: this.#heard.get(peer),
      policy: this.#policy,
      now,
    };
  }

  /**
   * The pair in force with a peer, staleness aside: a link to a peer that was not heard
   * for long is how it is heard again. Where renewals overlap, the pair that ends last.
   */
  pair(
    peer: Domain,
    now: Instant,
  ): { readonly given: VerifiedTrustCertificate; readonly received: VerifiedTrustCertificate } | undefined {
    if (this.#policy.blocked.has(peer) || this.#unreadable.has(peer)) return undefined;
    const given = this.#inForce(this.#self.org, peer, now)[0];
    const received = this.#inForce(peer, this.#self.org, now)[0];
    return given === undefined || received === undefined ? undefined : { given, received };
  }

  /** Certificates that we gave a peer and that are in force: all of them end when trust ends. */
  givenInForce(peer: Domain, now: Instant): readonly VerifiedTrustCertificate[] {
    return this.#inForce(this.#self.org, peer, now);
  }

  #inForce(issuer: Domain, subject: Domain, now: Instant): readonly VerifiedTrustCertificate[] {
    const chain = this.#chains.get(issuer);
    return this.#certificates
      .filter(
        (one) => one.issuer === issuer && one.subject === subject && standingOf(one, chain, now).kind === 'in_force',
      )
      .sort((a, b) => b.notAfter - a.notAfter);
  }

  certificatesWith(peer: Domain): readonly VerifiedTrustCertificate[] {
    return this.#certificates.filter((one) => one.issuer === peer || one.subject === peer);
  }

  rootKey(domain: Domain, now: Instant): Uint8Array | undefined {
    if (domain === this.#self.org) return this.#self.rootKey;
    return this.pair(domain, now)?.given.subjectRootKey;
  }

  /** The root key that any certificate ever named for this peer: another one later is not taken without a word. */
  knownRootKey(peer: Domain): Uint8Array | undefined {
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

  heardAt(peer: Domain): Instant | undefined {
    return this.#heard.get(peer);
  }

  heard(peer: Domain, at: Instant): void {
    this.#heard.set(peer, at);
  }

  /** Errors: those of `verifyTrustCertificate`. */
  addCertificate(document: Uint8Array, now: Instant): Result<VerifiedTrustCertificate> {
    const parsed = parseDocument(TRUST_CERTIFICATE, document);
    if (!parsed.ok) return parsed;
    const { issuer } = parsed.value.body;
    const pinned = issuer.domain === this.#self.org ? this.#self : { org: issuer.domain, rootKey: issuer.root_key };
    const verified = verifyTrustCertificate(this.#crypto, parsed.value, { issuer: pinned, now });
    if (!verified.ok) return verified;
    const known = this.#certificates.some(
      (one) => one.issuer === verified.value.issuer && one.certificateId === verified.value.certificateId,
    );
    if (!known) this.#certificates = [...this.#certificates, verified.value];
    return verified;
  }

  /** `at`: when the signing key has to be in date. Errors: those of `extendRevocations`; the chain is unchanged then. */
  addRevocation(issuer: Domain, document: Uint8Array, at: Instant): Result<RevocationChain> {
    const extended = this.extended(issuer, document, at);
    if (extended.ok) this.#chains.set(issuer, extended.value);
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
    return this.certificatesWith(domain).flatMap(({ document: { body } }) => {
      const party = body.issuer.domain === domain ? body.issuer : body.subject;
      return keysOf(this.#crypto, party, 'trust', now);
    });
  }
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
