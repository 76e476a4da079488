import { X509Certificate } from 'node:crypto';
import {
  type BasicConstraints,
  Certificate,
  type CertificatePolicies,
  type CRLDistributionPoints,
  type Extension,
  type ExtKeyUsage,
  type GeneralName,
  type InfoAccess,
  type NameConstraints,
  type PolicyConstraints,
  type PolicyMappings,
} from 'pkijs';
import { keyFault, signatureFault } from './algorithms.ts';
import { timeFault } from './times.ts';

/**
 * One certificate as the library reads it, with our own look at its form. The library
 * (pkijs 4.0.0) parses; what it lets pass and RFC 5280 does not is refused here.
 */
export interface X509 {
  readonly der: Uint8Array;
  readonly parsed: Certificate;
  /** For people: the common name, or else the last part of the subject. */
  readonly name: string;
  readonly selfIssued: boolean;
}

const OID = {
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  nameConstraints: '2.5.29.30',
  crlDistributionPoints: '2.5.29.31',
  certificatePolicies: '2.5.29.32',
  policyMappings: '2.5.29.33',
  policyConstraints: '2.5.29.36',
  extKeyUsage: '2.5.29.37',
  inhibitAnyPolicy: '2.5.29.54',
  authorityInfoAccess: '1.3.6.1.5.5.7.1.1',
} as const;

/** Extensions whose meaning is respected: by the library, or by the rules beside this file. */
const UNDERSTOOD: ReadonlySet<string> = new Set(Object.values(OID));
const COMMON_NAME = '2.5.4.3';
const NAME_LENGTH_MAX = 80;

/** Reads one certificate; a text says what is wrong with its form. */
export function readCertificate(der: Uint8Array): X509 | string {
  let parsed: Certificate;
  let time: string | undefined;
  try {
    // Two parsers that must both take it: what only the more lenient one reads is refused. OpenSSL reads DER;
    // pkijs 4.0.0 reads BER too, and neither minds what follows the certificate.
    if (!sameLength(new X509Certificate(der).raw, der)) return 'is followed by other bytes';
    parsed = Certificate.fromBER(Uint8Array.from(der));
    time = timeFault(der);
  } catch {
    return 'is not an X.509 certificate in DER';
  }
  if (time !== undefined) return `has a date that is none (${time})`;
  const fault = formFault(parsed);
  if (fault !== undefined) return fault;
  return { der, parsed, name: nameOf(parsed), selfIssued: parsed.subject.isEqual(parsed.issuer) };
}

function sameLength(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length;
}

function formFault(parsed: Certificate): string | undefined {
  const extensions = parsed.extensions ?? [];
  // pkijs 4.0.0 does not compare the two (RFC 5280 section 4.1.1.2); one of them is outside the signature.
  if (!sameAlgorithm(parsed)) return 'names two different signature algorithms';
  // pkijs 4.0.0 ignores the count of unused bits: the same certificate would have several forms.
  if (parsed.signatureValue.valueBlock.unusedBits !== 0) return 'has a signature that is not whole bytes';
  const ids = extensions.map(({ extnID }) => extnID);
  // pkijs 4.0.0 takes an extension that comes twice, and mostly looks at the last one (RFC 5280 section 4.2).
  const twice = ids.find((id, index) => ids.indexOf(id) !== index);
  if (twice !== undefined) return `has the extension ${twice} twice`;
  for (const extension of extensions) {
    // pkijs 4.0.0 reads a malformed extension as an empty one: broken name constraints would constrain nothing.
    if (isMalformed(extension)) return `has a malformed extension ${extension.extnID}`;
    // pkijs 4.0.0 refuses an unknown critical extension only when it is not ASN.1 at all, and never looks at the leaf's.
    if (extension.critical && !UNDERSTOOD.has(extension.extnID)) {
      return `has the critical extension ${extension.extnID}, which is not understood`;
    }
  }
  // pkijs 4.0.0 knows no weak algorithms.
  return signatureFault(parsed.signatureAlgorithm) ?? keyFault(parsed.subjectPublicKeyInfo);
}

function sameAlgorithm({ signature, signatureAlgorithm }: Certificate): boolean {
  const [inner, outer] = [signature, signatureAlgorithm].map((one) =>
    Buffer.from(one.toSchema().toBER()).toString('hex'),
  );
  return inner === outer;
}

function isMalformed(extension: Extension): boolean {
  const value: unknown = extension.parsedValue;
  if (value === undefined || value === null) return UNDERSTOOD.has(extension.extnID);
  return typeof value === 'object' && 'parsingError' in value && value.parsingError !== undefined;
}

function nameOf({ subject }: Certificate): string {
  const parts = subject.typesAndValues;
  const part = parts.find(({ type }) => type === COMMON_NAME) ?? parts.at(-1);
  const text: unknown = part?.value.valueBlock.value;
  return typeof text === 'string' && text !== '' ? `CN ${text.slice(0, NAME_LENGTH_MAX)}` : 'without a name';
}

function extensionOf<T>({ parsed }: X509, id: string): T | undefined {
  const found = parsed.extensions?.find(({ extnID }) => extnID === id);
  return found?.parsedValue as T | undefined; // the library has one class for each of these, and `formFault` refuses what did not parse
}

export const basicConstraints = (one: X509): BasicConstraints | undefined => extensionOf(one, OID.basicConstraints);
export const nameConstraints = (one: X509): NameConstraints | undefined => extensionOf(one, OID.nameConstraints);
export const certificatePolicies = (one: X509): CertificatePolicies | undefined =>
  extensionOf(one, OID.certificatePolicies);
export const policyMappings = (one: X509): PolicyMappings | undefined => extensionOf(one, OID.policyMappings);
export const policyConstraints = (one: X509): PolicyConstraints | undefined => extensionOf(one, OID.policyConstraints);

/** Undefined when absent. */
export function inhibitAnyPolicy(one: X509): number | undefined {
  return extensionOf<{ readonly valueBlock: { readonly valueDec: number } }>(one, OID.inhibitAnyPolicy)?.valueBlock
    .valueDec;
}

export function alternativeNames(one: X509): readonly GeneralName[] {
  return extensionOf<{ readonly altNames: readonly GeneralName[] }>(one, OID.subjectAltName)?.altNames ?? [];
}

export function extendedKeyUsages(one: X509): readonly string[] {
  return extensionOf<ExtKeyUsage>(one, OID.extKeyUsage)?.keyPurposes ?? [];
}

const OCSP_NO_CHECK = '1.3.6.1.5.5.7.48.1.5';

/** Whether its issuer says that nobody need ask about the revocation of this OCSP responder (RFC 6960 section 4.2.2.2.1). */
export function needsNoCheck({ parsed }: X509): boolean {
  return parsed.extensions?.some(({ extnID }) => extnID === OCSP_NO_CHECK) === true;
}

/** Bits of RFC 5280 section 4.2.1.3. */
export const KEY_USAGE = { digitalSignature: 0, contentCommitment: 1, keyCertSign: 5, crlSign: 6 } as const;

/** Whether the key may be used so; a certificate without the extension allows everything. */
export function allowsUsage(one: X509, ...bits: readonly number[]): boolean {
  const usage = extensionOf<{ readonly valueBlock: { readonly valueHexView: Uint8Array } }>(one, OID.keyUsage);
  if (usage === undefined) return true;
  const view = usage.valueBlock.valueHexView;
  return bits.some((bit) => ((view[bit >> 3] ?? 0) & (0x80 >> (bit & 7))) !== 0);
}

const URI = 6;

/** Addresses of revocation lists that this certificate names. */
export function crlAddresses(one: X509): readonly string[] {
  const points = extensionOf<CRLDistributionPoints>(one, OID.crlDistributionPoints)?.distributionPoints ?? [];
  // Points of single reasons, and lists of other issuers, are not used.
  return points
    .filter(({ reasons, cRLIssuer }) => reasons === undefined && cRLIssuer === undefined)
    .flatMap(({ distributionPoint }) => (Array.isArray(distributionPoint) ? urisOf(distributionPoint) : []));
}

const OCSP = '1.3.6.1.5.5.7.48.1';

export function ocspAddresses(one: X509): readonly string[] {
  const descriptions = extensionOf<InfoAccess>(one, OID.authorityInfoAccess)?.accessDescriptions ?? [];
  return urisOf(descriptions.filter(({ accessMethod }) => accessMethod === OCSP).map((one) => one.accessLocation));
}

export function urisOf(names: readonly GeneralName[]): readonly string[] {
  return names.filter(({ type }) => type === URI).flatMap(({ value }) => (typeof value === 'string' ? [value] : []));
}
