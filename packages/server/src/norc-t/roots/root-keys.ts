import { type Domain, type Instant, sameBytes } from '@norc/protocol/base';
import type { Crypto } from '@norc/protocol/crypto';
import {
  nextStandingChange,
  pinRecoverySet,
  type RecoveryPin,
  type RootLineage,
  type RootStanding,
  rootStanding,
  type VerifiedTrustCertificate,
  verifyRecoverySet,
} from '@norc/protocol/norc-t';

/** A standing, and the time in which it is the same. */
interface Known {
  readonly from: Instant;
  readonly until: Instant;
  readonly standing: RootStanding;
}

/** Root keys that were replaced: the lineage of every organisation that has one (spec/root-rotation). */
export class RootKeys {
  readonly #lineages = new Map<Domain, RootLineage>();
  /** Every decision asks. */
  readonly #standings = new Map<Domain, Known>();

  set(lineage: RootLineage): void {
    this.#lineages.set(lineage.org, lineage);
    this.#standings.delete(lineage.org);
  }

  lineage(org: Domain): RootLineage | undefined {
    return this.#lineages.get(org);
  }

  standing(org: Domain, now: Instant): RootStanding | undefined {
    const lineage = this.#lineages.get(org);
    if (lineage === undefined) return undefined;
    const known = this.#standings.get(org);
    if (known !== undefined && known.from <= now && now < known.until) return known.standing;
    const standing = rootStanding(lineage, now);
    this.#standings.set(org, { from: now, until: nextStandingChange(lineage, now), standing });
    return standing;
  }

  /** Whether neither side of a certificate has reported the key that it names as stolen [ROOT-17]. */
  isUsable(certificate: VerifiedTrustCertificate, now: Instant): boolean {
    const { issuer, issuerRootKey, subject, subjectRootKey } = certificate;
    return this.#counts(issuer, issuerRootKey, now) && this.#counts(subject, subjectRootKey, now);
  }

  #counts(org: Domain, rootKey: Uint8Array, now: Instant): boolean {
    const standing = this.standing(org, now);
    return standing === undefined || !standing.compromised.some((key) => sameBytes(key, rootKey));
  }

  /** Whether a certificate names the key that an organisation uses now, and not one that it replaced. */
  isCurrent(org: Domain, rootKey: Uint8Array, now: Instant): boolean {
    const standing = this.standing(org, now);
    return standing === undefined || sameBytes(standing.rootKey, rootKey);
  }
}

/**
 * The recovery sets of a partner in the certificates that we gave it, in the order in which this server came to
 * hold them. `since`: when it did, by its own clock; the dates of a certificate are the other side's choice [ROOT-2].
 */
export function recoveryPins(
  crypto: Crypto,
  given: readonly { readonly certificate: VerifiedTrustCertificate; readonly since: Instant }[],
): readonly RecoveryPin[] {
  let pins: readonly RecoveryPin[] = [];
  for (const { certificate, since } of [...given].sort((a, b) => a.since - b.since)) {
    const { document, subject } = certificate;
    const { recovery, root_key: rootKey } = document.body.subject;
    if (recovery === undefined) continue;
    const set = verifyRecoverySet(crypto, recovery, { org: subject, rootKey });
    const pinned = set.ok ? pinRecoverySet(pins, set.value, since) : set;
    if (pinned.ok) pins = pinned.value;
  }
  return pins;
}
