import { fromBase64Url, ok, type Result, reject, sameBytes, toBase64Url } from '../base/index.ts';

/** Control of a domain (spec/norc-t section 3.1): the domain itself names the organisation root key. */

/** Name of the TXT record, before the domain. */
export const DOMAIN_PROOF_TXT_PREFIX = '_norc-trust.';
export const DOMAIN_PROOF_PATH = '/.well-known/norc-trust';
const PROOF = /^norc-trust=v1; root=([A-Za-z0-9_-]{43})$/;
const LINES_MAX = 64;
const LINE_LENGTH_MAX = 512;

/** What an organisation publishes, in DNS or over HTTPS. */
export function domainProofText(rootKey: Uint8Array): string {
  return `norc-trust=v1; root=${toBase64Url(rootKey)}`;
}

/** The root key that one line names; undefined for lines that are something else. */
export function parseDomainProof(line: string): Uint8Array | undefined {
  const key = line.length > LINE_LENGTH_MAX ? undefined : PROOF.exec(line.trim())?.[1];
  return key === undefined ? undefined : fromBase64Url(key);
}

/**
 * Looks for `rootKey` among the TXT strings, or the lines of the well-known file. Several
 * keys may be named while a root key is being replaced. Gives the line that proves it.
 * Errors: evidence_rejected.
 */
export function findDomainProof(lines: readonly string[], rootKey: Uint8Array): Result<string> {
  let named = 0;
  for (const line of lines.slice(0, LINES_MAX)) {
    const key = parseDomainProof(line);
    if (key === undefined) continue;
    if (sameBytes(key, rootKey)) return ok(line.trim());
    named += 1;
  }
  return reject(
    'evidence_rejected',
    named === 0 ? 'the domain names no root key' : 'the domain names another root key',
  );
}
