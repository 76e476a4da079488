import {
  type Clock,
  type Domain,
  decodeUtf8,
  fromBase64Url,
  type Instant,
  instant,
  isRetryable,
  ok,
  type Result,
  reject,
  sameBytes,
  type TrustLevel,
  toBase64Url,
  utf8,
} from '@norc/protocol/base';
import type { Crypto, PinnedOrg } from '@norc/protocol/crypto';
import { lowestLevel, type VerifiedTrustCertificate, verifyTrustCertificate } from '@norc/protocol/norc-t';
import type { Asking, Reply } from '../session/ask.ts';
import type { ClientStore } from '../store/port.ts';
import { checkingTime } from './clock-skew.ts';

/** What this device knows of another organisation, checked by itself. */
export interface Organisation extends PinnedOrg {
  /** The lower of the two directions, as the own server says, and never above what the own certificate grants. */
  readonly level: TrustLevel;
  /** The trust certificate ends then, and with it every verdict built on it. */
  readonly notAfter: Instant;
}

export interface AnchorsOptions {
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly store: ClientStore;
  readonly session: Asking;
  /** The own organisation, pinned at enrolment. */
  readonly own: PinnedOrg;
  /** The own server sent something about `org` that does not verify, or names another root key than before. */
  readonly onForged: (org: Domain, detail: string) => void;
}

/** How long an answer is used without asking again. */
const FRESH_MS = 600_000;

interface Remembered extends Organisation {
  readonly checkedAt: Instant;
}

/**
 * The root keys that credentials are checked against. The own one was pinned at
 * enrolment. Another organisation's is believed only from a trust certificate that
 * the own organisation issued: its server can withhold one, not make one up.
 */
export class TrustAnchors {
  readonly #o: AnchorsOptions;
  readonly #known = new Map<Domain, Remembered>();
  readonly #asking = new Map<Domain, Promise<Result<Organisation>>>();

  constructor(options: AnchorsOptions) {
    this.#o = options;
  }

  get own(): PinnedOrg {
    return this.#o.own;
  }

  /**
   * The root key to check people of `org` against. Errors: not_trusted; certificate_invalid
   * and its kin for a certificate that does not verify; no_route while the server cannot be asked.
   */
  async pinned(org: Domain): Promise<Result<PinnedOrg>> {
    return org === this.#o.own.org ? ok(this.#o.own) : await this.organisation(org);
  }

  /** As `pinned`, for another organisation than the own. */
  async organisation(org: Domain): Promise<Result<Organisation>> {
    const known = await this.#recall(org);
    const now = this.#o.clock.now();
    const valid = known !== undefined && now < known.notAfter;
    if (valid && now - known.checkedAt < FRESH_MS) return ok(known);
    const asked = await this.#askOnce(org, known);
    // The server's trouble is no verdict about anybody.
    return valid && !asked.ok && isRetryable(asked.error.code) ? ok(known) : asked;
  }

  /** One question at a time for each organisation: a group of five hundred must not ask five hundred times. */
  #askOnce(org: Domain, known: Remembered | undefined): Promise<Result<Organisation>> {
    const running = this.#asking.get(org);
    if (running !== undefined) return running;
    const asking = this.#ask(org, known).finally(() => this.#asking.delete(org));
    this.#asking.set(org, asking);
    return asking;
  }

  async #ask(org: Domain, known: Remembered | undefined): Promise<Result<Organisation>> {
    const answer = await this.#o.session.request('org_request', { domain: org });
    if (!answer.ok) {
      const { fate, code, detail } = answer.error;
      return fate === 'refused' ? reject(code, detail) : reject('no_route', 'the own server cannot be asked');
    }
    if (answer.value.domain !== org) return this.#forged(org, 'answer about another organisation');
    if (answer.value.trust_certificate === undefined) return await this.#withdrawn(org);
    const certificate = this.#verify(org, answer.value, known);
    if (!certificate.ok) return this.#forged(org, certificate.error.detail);
    const level =
      answer.value.level === 'untrusted' ? 'untrusted' : grantedLevel(certificate.value, answer.value.level);
    if (level === 'untrusted') return await this.#withdrawn(org);
    const { subjectRootKey: rootKey, notAfter } = certificate.value;
    return ok(await this.#remember({ org, rootKey, level, notAfter, checkedAt: this.#o.clock.now() }));
  }

  #verify(org: Domain, body: Reply<'org_request'>, known: Remembered | undefined): Result<VerifiedTrustCertificate> {
    const { crypto, own, clock } = this.#o;
    const now = clock.now();
    const verified = verifyTrustCertificate(crypto, body.trust_certificate ?? new Uint8Array(), {
      issuer: own,
      // A root key does not change by itself: another one under the same name is somebody else.
      ...(known === undefined ? {} : { subject: { org, rootKey: known.rootKey } }),
      now,
      ...(body.issuer_certificate === undefined ? {} : { serverCertificates: [body.issuer_certificate] }),
    });
    if (!verified.ok) return verified;
    const { subject, notBefore, notAfter } = verified.value;
    if (subject !== org) return reject('certificate_invalid', 'subject of the trust certificate');
    if (checkingTime(now, notBefore) < notBefore || now >= notAfter)
      return reject('certificate_expired', 'trust certificate');
    return verified;
  }

  #forged(org: Domain, detail: string): Result<never> {
    this.#o.onForged(org, detail);
    return reject('certificate_invalid', detail);
  }

  /** No trust now. The root key stays known, so that it is the same one when trust comes back. */
  async #withdrawn(org: Domain): Promise<Result<never>> {
    const known = this.#known.get(org);
    if (known !== undefined) await this.#remember({ ...known, notAfter: instant(0) });
    return reject('not_trusted', 'organisation');
  }

  async #recall(org: Domain): Promise<Remembered | undefined> {
    const known = this.#known.get(org);
    if (known !== undefined) return known;
    const stored = await this.#o.store.read.meta(metaKey(org));
    const remembered = stored === undefined ? undefined : decode(org, stored);
    if (remembered !== undefined) this.#known.set(org, remembered);
    return remembered;
  }

  async #remember(organisation: Remembered): Promise<Organisation> {
    const before = this.#known.get(organisation.org);
    this.#known.set(organisation.org, organisation);
    if (before === undefined || !same(before, organisation)) {
      await this.#o.store.transact([{ op: 'meta.put', key: metaKey(organisation.org), value: encode(organisation) }]);
    }
    return organisation;
  }
}

function grantedLevel({ level }: VerifiedTrustCertificate, told: TrustLevel): TrustLevel {
  return lowestLevel<TrustLevel>(level, told);
}

function same(a: Organisation, b: Organisation): boolean {
  return a.level === b.level && a.notAfter === b.notAfter && sameBytes(a.rootKey, b.rootKey);
}

const metaKey = (org: Domain) => `org:${org}`;

/** Kept by this device for itself; after a restart it is asked anew, and this is what it falls back on. */
function encode({ rootKey, level, notAfter }: Organisation): Uint8Array {
  return utf8(JSON.stringify({ rootKey: toBase64Url(rootKey), level, notAfter }));
}

function decode(org: Domain, bytes: Uint8Array): Remembered {
  const value: { rootKey: string; level: TrustLevel; notAfter: number } = JSON.parse(decodeUtf8(bytes) ?? '');
  const rootKey = fromBase64Url(value.rootKey) ?? new Uint8Array();
  return { org, rootKey, level: value.level, notAfter: instant(value.notAfter), checkedAt: instant(0) };
}
