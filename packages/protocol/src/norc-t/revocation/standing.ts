import type { Instant } from '../../base/index.ts';
import { type GrantedLevel, lowestLevel } from '../levels.ts';
import type { TrustCertificate, TrustCondition } from '../trust-certificate.ts';
import type { RevocationBody, RevocationChain } from './revocation.ts';

/** What has become of one certificate at `now`. */
export type CertificateStanding =
  | { readonly kind: 'in_force'; readonly level: GrantedLevel }
  | { readonly kind: 'not_yet_valid' | 'expired' | 'suspended' }
  | { readonly kind: 'revoked'; readonly by: 'statement' | 'condition' };

/** What an issuer said of its certificates: its chain, or what somebody without one was shown of it. */
export type SaidOf = Pick<RevocationChain, 'issuer' | 'byCertificate'>;

/**
 * Pure: dates, then the issuer's statements in their order, then conditions whose
 * deadline has passed. Statements count from their `effective_at` on [TRUST-25].
 * `others`: what else the issuer gave the subject. A condition that was agreed later counts here too:
 * what overlaps must not keep alive what the newer certificate takes away [TRUST-69].
 */
export function standingOf(
  certificate: TrustCertificate,
  chain: SaidOf | undefined,
  now: Instant,
  others: readonly TrustCertificate[] = [],
): CertificateStanding {
  const said = chain?.issuer === certificate.issuer ? summaryOf(chain, certificate, now) : NOTHING_SAID;
  if (said.revoked) return { kind: 'revoked', by: 'statement' };
  if (now < certificate.notBefore) return { kind: 'not_yet_valid' };
  if (now >= certificate.notAfter) return { kind: 'expired' };
  const later = others.filter((one) => one.notBefore >= certificate.notBefore && now >= one.notBefore);
  const overdue = [certificate, ...later].flatMap((one) => overdueOf(one, chain, now));
  if (overdue.some(({ action }) => action === 'revoke')) return { kind: 'revoked', by: 'condition' };
  if (said.suspended) return { kind: 'suspended' };
  return { kind: 'in_force', level: lowestLevel(said.level ?? certificate.level, certificate.level, ...caps(overdue)) };
}

function overdueOf(certificate: TrustCertificate, chain: SaidOf | undefined, now: Instant): readonly TrustCondition[] {
  const { met } = chain?.issuer === certificate.issuer ? summaryOf(chain, certificate, now) : NOTHING_SAID;
  return certificate.conditions.filter(({ name, deadline }) => now >= deadline && !met.has(name));
}

function caps(overdue: readonly TrustCondition[]): readonly GrantedLevel[] {
  return overdue.flatMap(({ action, level }) => (action === 'downgrade' && level !== undefined ? [level] : []));
}

interface Summary {
  readonly revoked: boolean;
  readonly suspended: boolean;
  readonly level: GrantedLevel | undefined;
  /** Names of conditions that were met. */
  readonly met: ReadonlySet<string>;
}

const NOTHING_SAID: Summary = { revoked: false, suspended: false, level: undefined, met: new Set() };

function summaryOf(chain: SaidOf, certificate: TrustCertificate, now: Instant): Summary {
  let summary = NOTHING_SAID;
  for (const statement of chain.byCertificate.get(certificate.certificateId) ?? []) {
    if (statement.effective_at <= now) summary = after(summary, statement);
  }
  return summary;
}

/** A revocation is final: nothing that follows takes it back. A downgrade never raises; `restore` lifts both others. */
function after(summary: Summary, { action, level, condition }: RevocationBody): Summary {
  switch (action) {
    case 'revoke':
      return { ...summary, revoked: true };
    case 'suspend':
      return { ...summary, suspended: true };
    case 'restore':
      return { ...summary, suspended: false, level: undefined };
    case 'downgrade':
      return level === undefined ? summary : { ...summary, level: lowestLevel(level, summary.level ?? level) };
    case 'condition_met':
      return condition === undefined ? summary : { ...summary, met: new Set([...summary.met, condition]) };
  }
}
