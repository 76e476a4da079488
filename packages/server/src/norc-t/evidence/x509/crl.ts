import { CertificateRevocationList, type Extension, IssuingDistributionPoint, type RevokedCertificate } from 'pkijs';
import { signatureFault, strictEngine } from './algorithms.ts';
import { allowsUsage, basicConstraints, crlAddresses, KEY_USAGE, urisOf, type X509 } from './certificate.ts';
import { timeFault } from './times.ts';

/**
 * Certificate revocation lists (RFC 5280 section 5). The library parses and checks the signature; its own chain
 * engine is not asked about revocation, since it takes lists from the future, lists that cover only part of the
 * certificates or reasons, and delta lists for whole ones.
 */

/**
 * What one source says of one certificate. `unusable` lists say nothing; `why` is for people. `saidAt`: when
 * the source knew it. `responder`: who signed, when its own revocation must be asked about first.
 */
export type Word =
  | { readonly kind: 'good'; readonly saidAt: Date; readonly responder?: X509 }
  | { readonly kind: 'revoked'; readonly at: Date; readonly reason: string }
  | { readonly kind: 'unusable'; readonly why: string };

const unusable = (why: string): Word => ({ kind: 'unusable', why });

const OID = { reasonCode: '2.5.29.21', issuingDistributionPoint: '2.5.29.28' } as const;
const REASONS = [
  'unspecified',
  'keyCompromise',
  'cACompromise',
  'affiliationChanged',
  'superseded',
  'cessationOfOperation',
  'certificateHold',
  'unknown',
  'removeFromCRL',
  'privilegeWithdrawn',
  'aACompromise',
] as const;

/** A name for a CRLReason of RFC 5280 section 5.3.1. */
export const reasonText = (code: number): string => REASONS[code] ?? 'unknown';

/** What a list says of `certificate`, which `issuer` issued. */
export async function readCrl(
  der: Uint8Array,
  { certificate, issuer, now }: { readonly certificate: X509; readonly issuer: X509; readonly now: Date },
): Promise<Word> {
  const list = parseCrl(der);
  if (list === undefined) return unusable('a revocation list cannot be read');
  const time = timeFaultOf(der);
  if (time !== undefined) return unusable(`a revocation list has a date that is none (${time})`);
  const fault = await listFault(list, issuer, now);
  if (fault !== undefined) return unusable(fault);
  const entry = list.revokedCertificates?.find((one) => one.userCertificate.isEqual(certificate.parsed.serialNumber));
  // A critical extension of an entry may say that the entry is of another issuer (section 5.3.3).
  if (list.revokedCertificates?.some(({ crlEntryExtensions }) => hasCritical(crlEntryExtensions?.extensions))) {
    return unusable('a revocation list has entries that are not understood');
  }
  const scope = scopeFault(list, certificate);
  if (scope === 'reasons') {
    return entry === undefined ? unusable('a revocation list covers only some reasons') : revoked(entry);
  }
  if (scope !== undefined) return unusable(scope);
  if (entry !== undefined) return revoked(entry);
  return { kind: 'good', saidAt: list.thisUpdate.value };
}

/** As `timeFault`; a text too for what is not DER. */
export function timeFaultOf(der: Uint8Array): string | undefined {
  try {
    return timeFault(der);
  } catch {
    return 'not in DER';
  }
}

function parseCrl(der: Uint8Array): CertificateRevocationList | undefined {
  try {
    return CertificateRevocationList.fromBER(Uint8Array.from(der));
  } catch {
    return undefined;
  }
}

async function listFault(list: CertificateRevocationList, issuer: X509, now: Date): Promise<string | undefined> {
  if (!list.issuer.isEqual(issuer.parsed.subject)) return 'a revocation list is by another issuer';
  if (!allowsUsage(issuer, KEY_USAGE.crlSign)) return `${issuer.name} may not sign revocation lists`;
  const algorithm = signatureFault(list.signatureAlgorithm);
  if (algorithm !== undefined) return `a revocation list ${algorithm}`;
  const extensions = list.crlExtensions?.extensions ?? [];
  // Among them the mark of a delta list, which the library takes for a whole one.
  const unknown = extensions.find(({ critical, extnID }) => critical && extnID !== OID.issuingDistributionPoint);
  if (unknown !== undefined) return `a revocation list has the critical extension ${unknown.extnID}`;
  const signed = await list.verify({ issuerCertificate: issuer.parsed }, strictEngine).catch(() => false);
  if (!signed) return 'a revocation list has a wrong signature';
  if (list.thisUpdate.value > now) return 'a revocation list is from the future';
  if (list.nextUpdate === undefined || list.nextUpdate.value <= now) return 'a revocation list is out of date';
  return undefined;
}

const hasCritical = (extensions: readonly Extension[] | undefined): boolean =>
  extensions?.some(({ critical }) => critical) === true;

/** Which certificates the list is about (section 5.2.5). `reasons`: about this one, but not for every reason. */
function scopeFault(list: CertificateRevocationList, certificate: X509): 'reasons' | string | undefined {
  const extension = list.crlExtensions?.extensions.find(({ extnID }) => extnID === OID.issuingDistributionPoint);
  if (extension === undefined) return undefined;
  const scope: unknown = extension.parsedValue;
  if (!(scope instanceof IssuingDistributionPoint) || 'parsingError' in scope)
    return 'a revocation list has an unreadable scope';
  const isAuthority = basicConstraints(certificate)?.cA === true;
  if (scope.indirectCRL) return 'a revocation list is for several issuers';
  if (scope.onlyContainsAttributeCerts) return 'a revocation list is for attribute certificates';
  if (scope.onlyContainsUserCerts && isAuthority) return 'a revocation list is for end users only';
  if (scope.onlyContainsCACerts && !isAuthority) return 'a revocation list is for authorities only';
  const { distributionPoint } = scope;
  if (distributionPoint !== undefined) {
    const parts = Array.isArray(distributionPoint) ? urisOf(distributionPoint) : [];
    const own = crlAddresses(certificate);
    if (!parts.some((part) => own.includes(part))) return 'a revocation list is for another part of the certificates';
  }
  return scope.onlySomeReasons === undefined ? undefined : 'reasons';
}

function revoked(entry: RevokedCertificate): Word {
  const extension = entry.crlEntryExtensions?.extensions.find(({ extnID }) => extnID === OID.reasonCode);
  const value = extension?.parsedValue as { readonly valueBlock?: { readonly valueDec?: number } } | undefined; // an ENUMERATED of the library
  return { kind: 'revoked', at: entry.revocationDate.value, reason: reasonText(value?.valueBlock?.valueDec ?? 0) };
}
