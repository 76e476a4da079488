import { type Domain, utf8 } from '@norc/protocol/base';
import { type EvidenceQuestion, type Finding, findDomainProof, parseDomainProof } from '@norc/protocol/norc-t';
import { type EvidenceWorld, failed, held } from './world.ts';

export type DomainWorld = Pick<EvidenceWorld, 'resolver' | 'isStatic' | 'crypto' | 'clock' | 'onFault'>;

export interface DomainLines {
  readonly method: 'static' | 'dns' | 'https';
  readonly lines: readonly string[];
  /** Whether the web server was asked and gave nothing. */
  readonly webIsSilent: boolean;
}

/**
 * Where the domain speaks: the operator's own record, or else DNS, or else its web server. The web server is asked only when
 * DNS names no key at all: else whoever holds the web server would override what DNS or the operator says [EVID-1].
 * Rejects when the name service does not answer.
 */
export async function domainLines(
  { resolver, isStatic }: Pick<DomainWorld, 'resolver' | 'isStatic'>,
  domain: Domain,
): Promise<DomainLines> {
  const lines = await resolver.trustTxt(domain);
  if (isStatic(domain)) return { method: 'static', lines, webIsSilent: false };
  if (lines.some((line) => parseDomainProof(line) !== undefined)) return { method: 'dns', lines, webIsSilent: false };
  const file = await resolver.trustWellKnown(domain);
  return { method: 'https', lines: file?.split('\n') ?? [], webIsSilent: file === undefined };
}

const PLACE: Readonly<Record<DomainLines['method'], (domain: Domain) => string>> = {
  static: () => 'the configuration',
  dns: (domain) => `_norc-trust.${domain}`,
  https: (domain) => `https://${domain}/.well-known/norc-trust`,
};

/**
 * Control of the domain (spec/norc-t section 3.1, [EVID-1]). Undefined when DNS does not answer now, which says nothing
 * about the domain.
 */
export async function checkDomain(world: DomainWorld, { peer }: EvidenceQuestion): Promise<Finding | undefined> {
  const { crypto, clock, onFault } = world;
  const { domain, root_key: rootKey, root_pq_key: rootPqKey } = peer;
  const pqHash = rootPqKey === undefined ? undefined : crypto.blake3(rootPqKey);
  try {
    const { method, lines, webIsSilent } = await domainLines(world, domain);
    const proof = findDomainProof(lines, rootKey, pqHash);
    if (proof.ok) {
      const detail = `${PLACE[method](domain)} names this root key`;
      return held('domain_proof', clock.now(), detail, { method, hash: crypto.blake3(utf8(proof.value)) });
    }
    const place = { static: 'the configuration: ', dns: 'DNS: ', https: 'DNS: the domain names no root key; HTTPS: ' };
    const reason = `${place[method]}${webIsSilent ? 'no answer' : proof.error.detail}`;
    return failed('domain_proof', clock.now(), reason, { method });
  } catch (error) {
    onFault('domain_proof', error);
    return undefined;
  }
}
