import { type Certificate, CertificateChainValidationEngine } from 'pkijs';
import { strictEngine } from './algorithms.ts';
import { allowsUsage, basicConstraints, KEY_USAGE, readCertificate, type X509 } from './certificate.ts';
import { nameFault } from './names.ts';
import { policyFault } from './policies.ts';
import { usageFault } from './usages.ts';

/**
 * Path validation (RFC 5280 section 6) of a chain up to one anchor. The library (pkijs 4.0.0) finds the
 * path and checks signatures, dates, the chaining of names, basic constraints, key usage and name
 * constraints. What it was found to let pass is checked here and in the files beside this one; a path
 * holds only when both agree.
 */

export interface AnchorCertificate {
  readonly certificate: X509;
  /** One of these must be valid for the path; empty: any. */
  readonly policies: readonly string[];
  /** Purposes (extended key usage) that count beside the usual ones. */
  readonly usages?: readonly string[];
}

/** `path`: leaf first, the anchor last. `misses`: the chain does not lead to this anchor at all. */
export type PathResult =
  | { readonly ok: true; readonly path: readonly X509[] }
  | { readonly ok: false; readonly reason: string; readonly misses?: true };

/** Reads all certificates of a chain; a text says which one is unusable. */
export function readChain(ders: readonly Uint8Array[]): readonly X509[] | string {
  if (ders.length === 0) return 'there is no certificate';
  const read: X509[] = [];
  for (const [index, der] of ders.entries()) {
    const one = readCertificate(der);
    if (typeof one === 'string') return `certificate ${index + 1} of ${ders.length} ${one}`;
    read.push(one);
  }
  return read;
}

export async function validatePath(chain: readonly X509[], anchor: AnchorCertificate, now: Date): Promise<PathResult> {
  const found = await libraryPath(chain, anchor.certificate, now);
  const path = found.path ?? [];
  const own = path.length > 1 ? ownFault(path, anchor, now) : undefined;
  if (own !== undefined) return { ok: false, reason: own };
  if (found.fault === undefined && path.length > 1) return { ok: true, path };
  const misses = found.path === undefined;
  return { ok: false, reason: found.fault ?? 'the chain is too short', ...(misses ? { misses } : {}) };
}

/** What the library says, and the path that it says it about. */
async function libraryPath(
  chain: readonly X509[],
  anchor: X509,
  now: Date,
): Promise<{ readonly path?: readonly X509[]; readonly fault?: string }> {
  const path = await linkedPath(chain, anchor);
  if (path === undefined) return { fault: `the chain does not lead to ${anchor.name}` };
  const next = new Map<Certificate, Certificate>();
  for (const [index, { parsed }] of path.entries()) next.set(parsed, (path[index + 1] ?? anchor).parsed);
  const engine = new CertificateChainValidationEngine({
    trustedCerts: [anchor.parsed],
    certs: path
      .slice(0, -1)
      .map(({ parsed }) => parsed)
      .reverse(), // the library takes the last one for the leaf
    checkDate: now,
    findIssuer: async (certificate) => [next.get(certificate) ?? anchor.parsed],
  });
  const checked = await engine.verify({ passedWhenNotRevValues: true }, strictEngine);
  return checked.result ? { path } : { path, fault: `the chain is refused: ${checked.resultMessage}` };
}

/**
 * The certificates from the leaf to the anchor, each issued by the next one as sent. The library would look for
 * issuers itself, and never end when two certificates name each other as issuer.
 */
async function linkedPath(chain: readonly X509[], anchor: X509): Promise<readonly X509[] | undefined> {
  const path: X509[] = [];
  for (const [index, certificate] of chain.entries()) {
    if (path.some((one) => sameDer(one, certificate)) || sameDer(certificate, anchor)) return undefined;
    path.push(certificate);
    if (await issued(anchor, certificate)) return [...path, anchor];
    const issuer = chain[index + 1];
    if (issuer === undefined || !(await issued(issuer, certificate))) return undefined;
  }
  return undefined;
}

const sameDer = (a: X509, b: X509): boolean => Buffer.compare(a.der, b.der) === 0;

async function issued(issuer: X509, certificate: X509): Promise<boolean> {
  if (!certificate.parsed.issuer.isEqual(issuer.parsed.subject)) return false;
  return await certificate.parsed.verify(issuer.parsed, strictEngine);
}

/** Our own rules, from the leaf on: the first that is broken, with the certificate that breaks it. */
function ownFault(path: readonly X509[], anchor: AnchorCertificate, now: Date): string | undefined {
  for (const [index, certificate] of path.entries()) {
    const fault = dateFault(certificate, now) ?? (index === 0 ? leafFault(certificate) : authorityFault(path, index));
    if (fault !== undefined) return `${placeOf(path, index)} ${fault}`;
  }
  const used = usageFault(path, anchor.usages ?? []);
  if (used !== undefined) return `${placeOf(path, used.at)} ${used.fault}`;
  const named = nameFault(path);
  if (named !== undefined) return `${placeOf(path, named.at)} ${named.fault}`;
  return policyFault(path, anchor.policies);
}

/** `certificate 2 of 3 (CN …)`: the anchor counts too. */
export function placeOf(path: readonly X509[], index: number): string {
  return `certificate ${index + 1} of ${path.length} (${path[index]?.name ?? 'unknown'})`;
}

/** The library checks dates too, and does not say of which certificate. */
function dateFault({ parsed }: X509, now: Date): string | undefined {
  const [from, to] = [parsed.notBefore.value, parsed.notAfter.value];
  if (now < from) return `is not valid before ${dayOf(from)}`;
  return now > to ? `expired on ${dayOf(to)}` : undefined;
}

/** pkijs 4.0.0 does not look at what the leaf may be used for. */
function leafFault(leaf: X509): string | undefined {
  return allowsUsage(leaf, KEY_USAGE.digitalSignature, KEY_USAGE.contentCommitment)
    ? undefined
    : 'may not be used for signatures';
}

function authorityFault(path: readonly X509[], index: number): string | undefined {
  const authority = path[index];
  if (authority === undefined) return undefined;
  const constraints = basicConstraints(authority);
  if (constraints?.cA !== true) return 'may not issue certificates (basic constraints)';
  if (!allowsUsage(authority, KEY_USAGE.keyCertSign)) return 'may not issue certificates (key usage)';
  // pkijs 4.0.0 never looks at pathLenConstraint.
  const below = path.slice(1, index).filter(({ selfIssued }) => !selfIssued).length;
  const limit = constraints.pathLenConstraint;
  if (limit === undefined) return undefined;
  if (typeof limit !== 'number') return 'has an unreadable path length';
  return below > limit ? `allows ${limit} authorities below it, and has ${below}` : undefined;
}

export function dayOf(date: Date): string {
  return date.toISOString().slice(0, 10);
}
