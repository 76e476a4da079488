import {
  type Clock,
  type Domain,
  type ErrorName,
  type Instant,
  instant,
  isRetryable,
  ok,
  type Reject,
  type Result,
  reject,
  TRUST_REASONS,
  type TrustReason,
} from '@norc/protocol/base';
import type { Crypto, PinnedOrg } from '@norc/protocol/crypto';
import {
  type GrantedLevel,
  lowestLevel,
  type PairStanding,
  pairStanding,
  type TrustPair,
  verifyTrustCertificate,
  verifyTrustPair,
} from '@norc/protocol/norc-t';
import type { Asking, Reply } from '../session/ask.ts';
import type { ClientStore } from '../store/port.ts';
import { checkingTime } from './clock-skew.ts';
import { decodeKnown, encodeKnown, type KnownOrganisation, knownKey, sameKnown } from './known-organisation.ts';
import type { RootBook } from './root-book.ts';

/** What the level between the own organisation and one other is, or inside the own one. */
export interface Standing {
  readonly org: Domain;
  readonly level: GrantedLevel;
  readonly natoCapable: boolean;
}

/** What this device knows of another organisation, checked by itself. */
export interface Organisation extends PinnedOrg, Standing {
  /** `level` counts until then: dates and conditions of the two certificates. */
  readonly until: Instant;
  /** The own organisation's certificate about it ends then, and with it every verdict built on it. */
  readonly notAfter: Instant;
}

/** `reason`: why nothing may pass, where the own server said so. */
export interface TrustRefusal extends Reject {
  readonly reason?: TrustReason;
}

export interface AnchorsOptions {
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly store: ClientStore;
  readonly session: Asking;
  /** The own organisation, pinned at enrolment. */
  readonly own: PinnedOrg;
  /** Root keys that were replaced since they were pinned. */
  readonly roots: RootBook;
  /** The own server sent something about `org` that does not verify, or names another root key than before. */
  readonly onForged: (org: Domain, detail: string) => void;
}

/** How long an answer is used without asking again. */
const FRESH_MS = 600_000;
/** A hub's clock may be ahead of this device's by so much. */
const SKEW_MS = 300_000;
/** A server that takes its word back while it answers is asked again this often. */
const ASKS_MAX = 3;

interface Ceiling extends Standing {
  readonly checkedAt: Instant;
}

/**
 * The root keys that credentials are checked against, and the levels that labels are. The own root
 * key was pinned at enrolment. Another organisation's is believed only from a trust certificate that
 * the own organisation issued, and a level only from both certificates of the pair [DEV-13]: the own
 * server can withhold them, or say less than they do; it cannot make them up.
 */
export class TrustAnchors {
  readonly #o: AnchorsOptions;
  readonly #known = new Map<Domain, KnownOrganisation>();
  readonly #asking = new Map<Domain, Promise<Result<Organisation, TrustRefusal>>>();
  /** How often the own server said that something changed. */
  readonly #notices = new Map<Domain, number>();
  #ceiling: Ceiling | undefined;

  constructor(options: AnchorsOptions) {
    this.#o = options;
  }

  get own(): PinnedOrg {
    return this.#o.roots.standing(this.#o.own);
  }

  /** Asks the own server whether the own root key was replaced, and what may be said inside. */
  async refreshOwn(): Promise<Result<Standing, TrustRefusal>> {
    const { own, session, roots, clock } = this.#o;
    const answer = await session.request('org_request', { domain: own.org });
    if (!answer.ok) return refusalOf(answer.error);
    await roots.learn(own, answer.value);
    const { domain, level, nato_capable: natoCapable = false } = answer.value;
    if (domain !== own.org || level === 'untrusted') return reject('insufficient_trust', 'own organisation');
    this.#ceiling = { org: own.org, level, natoCapable, checkedAt: clock.now() };
    return ok(this.#ceiling);
  }

  /**
   * The root key to check people of `org` against. Errors: not_trusted and its kin; certificate_invalid
   * for a certificate that does not verify; no_route while the server cannot be asked. Who somebody is
   * does not change while trust is merely stale.
   */
  async pinned(org: Domain): Promise<Result<PinnedOrg>> {
    if (org === this.#o.own.org) return ok(this.own);
    const found = await this.organisation(org);
    if (found.ok || !isRetryable(found.error.code)) return found;
    const known = this.#known.get(org);
    return known !== undefined && this.#o.clock.now() < known.notAfter ? ok(this.#standing(known)) : found;
  }

  /** As `pinned`, for another organisation than the own, and with the level that counts now. */
  async organisation(org: Domain): Promise<Result<Organisation, TrustRefusal>> {
    const known = await this.#recall(org);
    if (known !== undefined && this.#isFresh(known)) return ok(this.#standing(known));
    const asked = await this.#askOnce(org);
    // The server's trouble is no verdict about anybody; what it took back is not fallen back on.
    const kept = this.#known.get(org);
    const may = !asked.ok && asked.error.reason === undefined && isRetryable(asked.error.code);
    return may && kept !== undefined && this.#counts(kept) ? ok(this.#standing(kept)) : asked;
  }

  /** What may pass between the own organisation and `org`, which may be the own one. Errors: as `organisation`. */
  async standing(org: Domain): Promise<Result<Standing, TrustRefusal>> {
    if (org !== this.#o.own.org) return await this.organisation(org);
    const known = this.#freshCeiling();
    if (known !== undefined) return ok(known);
    const asked = await this.refreshOwn();
    const kept = this.#ceiling;
    return !asked.ok && isRetryable(asked.error.code) && kept !== undefined ? ok(kept) : asked;
  }

  /** As `standing`, where nobody need be asked: on the way of every message. */
  current(org: Domain): Standing | undefined {
    if (org === this.#o.own.org) return this.#freshCeiling();
    const known = this.#known.get(org);
    return known !== undefined && this.#isFresh(known) ? known : undefined;
  }

  /**
   * As `standing`, for something that `org` had ordered at `storedAt`: what came before the own
   * server said that trust was over is judged by the certificates that counted until then.
   */
  async receiving(org: Domain, storedAt: Instant): Promise<Result<Standing, TrustRefusal>> {
    const current = this.current(org);
    const found = current === undefined ? await this.standing(org) : ok(current);
    const known = this.#known.get(org);
    if (found.ok || known === undefined || this.#o.clock.now() >= known.until) return found;
    // An honest server lets nothing in while trust is stale: what it has came before.
    if (known.endedAt === undefined) return found.error.code === 'trust_stale' ? ok(known) : found;
    return storedAt <= known.endedAt + SKEW_MS ? ok(known) : found;
  }

  /** The own server says that something changed with `org`: nothing that was learned before counts until it was asked. */
  async changed(org: Domain, ended: boolean): Promise<void> {
    this.#notices.set(org, (this.#notices.get(org) ?? 0) + 1);
    const known = await this.#recall(org);
    if (known === undefined) return;
    const endedAt = ended ? { endedAt: known.endedAt ?? this.#o.clock.now() } : {};
    await this.#remember({ ...known, ...endedAt, checkedAt: instant(0), suspect: true });
  }

  #freshCeiling(): Standing | undefined {
    const known = this.#ceiling;
    return known !== undefined && this.#o.clock.now() - known.checkedAt < FRESH_MS ? known : undefined;
  }

  #isFresh(known: KnownOrganisation): boolean {
    return this.#counts(known) && this.#o.clock.now() - known.checkedAt < FRESH_MS;
  }

  #counts({ until, suspect, endedAt }: KnownOrganisation): boolean {
    return !suspect && endedAt === undefined && this.#o.clock.now() < until;
  }

  /** The root key that was pinned first, and what became of it. */
  #standing(known: KnownOrganisation): Organisation {
    return { ...known, ...this.#o.roots.standing({ org: known.org, rootKey: known.rootKey }) };
  }

  /** One question at a time for each organisation: a group of five hundred must not ask five hundred times. */
  #askOnce(org: Domain): Promise<Result<Organisation, TrustRefusal>> {
    const running = this.#asking.get(org);
    if (running !== undefined) return running;
    const asking = this.#ask(org).finally(() => this.#asking.delete(org));
    this.#asking.set(org, asking);
    return asking;
  }

  /** An answer that a notice overtook is as old as what it replaces. */
  async #ask(org: Domain): Promise<Result<Organisation, TrustRefusal>> {
    for (let asks = 1; ; asks += 1) {
      const notices = this.#notices.get(org);
      const answer = await this.#o.session.request('org_request', { domain: org });
      if (!answer.ok) return refusalOf(answer.error);
      if (this.#notices.get(org) === notices || asks === ASKS_MAX) return await this.#answered(org, answer.value);
    }
  }

  async #answered(org: Domain, told: Reply<'org_request'>): Promise<Result<Organisation, TrustRefusal>> {
    const known = this.#known.get(org);
    if (told.domain !== org) return this.#forged(org, 'answer about another organisation');
    if (told.trust_certificate === undefined) return await this.#withdrawn(org, told.reason);
    if (known !== undefined) await this.#o.roots.learn({ org, rootKey: known.rootKey }, told);
    const pair = this.#verify(org, told, known);
    if (!pair.ok) return pair.error.code === 'not_trusted' ? pair : this.#forged(org, pair.error.detail);
    const { given, received } = pair.value;
    const now = this.#o.clock.now();
    const at = checkingTime(now, given.notBefore, received.notBefore);
    if (at < given.notBefore || at < received.notBefore) return this.#forged(org, 'a certificate that has not begun');
    const standing = pairStanding(pair.value, at);
    if (!standing.ok) return standing;
    const level = lowerOf(standing.value, told);
    if (level === undefined) return await this.#withdrawn(org, told.reason);
    const rootKey = known?.rootKey ?? given.subjectRootKey;
    await this.#learnKeys({ org, rootKey }, given.document.body);
    const { notAfter } = given;
    return ok(await this.#remember({ org, rootKey, notAfter, ...level, checkedAt: now, suspect: false }));
  }

  /** What a certificate that the own organisation signed, and that holds, says of the root keys of both. */
  async #learnKeys(first: PinnedOrg, { issuer, subject }: TrustPair['given']['document']['body']): Promise<void> {
    const { roots, own } = this.#o;
    const { recovery } = subject;
    const keys = ({ root_key: rootKey, root_pq_key: rootPqKey }: typeof subject) => ({ rootKey, rootPqKey });
    await roots.learn(first, { keys: keys(subject), ...(recovery === undefined ? {} : { recovery }) });
    await roots.learn(own, { keys: keys(issuer) });
  }

  #verify(org: Domain, told: Reply<'org_request'>, known: KnownOrganisation | undefined): Result<TrustPair> {
    const { crypto, clock, roots } = this.#o;
    const { trust_certificate: given = NOTHING, received_certificate: received, issuer_certificate: newest } = told;
    const serverCertificates = newest === undefined ? [] : [newest];
    // A root key does not change by itself: another one that no rotation leads to is somebody else.
    const pinned = known === undefined ? undefined : roots.standing({ org, rootKey: known.rootKey });
    const { own } = this;
    const now = clock.now();
    if (received === undefined) {
      const subject = pinned === undefined ? {} : { subject: pinned };
      const genuine = verifyTrustCertificate(crypto, given, { issuer: own, now, serverCertificates, ...subject });
      return genuine.ok ? reject('not_trusted', 'one direction is not shown') : genuine;
    }
    const { statements = [] } = told;
    const expected = { own, other: org, now, ...(pinned === undefined ? {} : { pinned }) };
    return verifyTrustPair(crypto, { given, received, serverCertificates, statements }, expected);
  }

  #forged(org: Domain, detail: string): Result<never> {
    this.#o.onForged(org, detail);
    return reject('certificate_invalid', detail);
  }

  /** No trust now. The root key stays known, so that it is the same one when trust comes back. */
  async #withdrawn(org: Domain, number: number | undefined): Promise<Result<never, TrustRefusal>> {
    const refused = untrusted(number);
    const known = this.#known.get(org);
    if (known === undefined) return refused;
    if (isRetryable(refused.error.code)) await this.#remember({ ...known, checkedAt: instant(0), suspect: true });
    else await this.#remember({ ...known, endedAt: known.endedAt ?? this.#o.clock.now() });
    return refused;
  }

  async #recall(org: Domain): Promise<KnownOrganisation | undefined> {
    const known = this.#known.get(org);
    if (known !== undefined) return known;
    const stored = await this.#o.store.read.meta(knownKey(org));
    const remembered = stored === undefined ? undefined : decodeKnown(org, stored);
    if (remembered !== undefined) {
      await this.#o.roots.load({ org, rootKey: remembered.rootKey });
      this.#known.set(org, remembered);
    }
    return remembered;
  }

  async #remember(organisation: KnownOrganisation): Promise<Organisation> {
    const before = this.#known.get(organisation.org);
    this.#known.set(organisation.org, organisation);
    if (before === undefined || !sameKnown(before, organisation)) {
      const value = encodeKnown(organisation);
      await this.#o.store.transact([{ op: 'meta.put', key: knownKey(organisation.org), value }]);
    }
    return this.#standing(organisation);
  }
}

const NOTHING = new Uint8Array(0);

/** The server's word can only lower what the certificates say. */
function lowerOf(
  { level, natoCapable, until }: PairStanding,
  told: Pick<Reply<'org_request'>, 'level' | 'nato_capable'>,
): PairStanding | undefined {
  if (told.level === 'untrusted') return undefined;
  return { level: lowestLevel(level, told.level), natoCapable: natoCapable && told.nato_capable === true, until };
}

function refusalOf({ fate, code, detail }: { readonly fate: string } & Reject): Result<never, TrustRefusal> {
  return fate === 'refused' ? reject(code, detail) : reject('no_route', 'the own server cannot be asked');
}

const REASONS = new Map(
  Object.values(TRUST_REASONS).map(({ number, name, code }) => [number as number, { name, code }]),
);

function untrusted(number: number | undefined): { readonly ok: false; readonly error: TrustRefusal } {
  const reason = REASONS.get(number ?? 0);
  const code: ErrorName = reason?.code ?? 'not_trusted';
  return {
    ok: false,
    error: { code, detail: 'organisation', ...(reason === undefined ? {} : { reason: reason.name }) },
  };
}
