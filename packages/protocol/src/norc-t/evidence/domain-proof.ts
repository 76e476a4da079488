import { fromBase64Url, ok, type Result, reject, sameBytes, toBase64Url } from '../../base/index.ts';

/** Control of a domain (spec/norc-t section 3.1): the domain itself names the organisation root key. */

/** Name of the TXT record, before the domain. */
export const DOMAIN_PROOF_TXT_PREFIX = '_norc-trust.';
export const DOMAIN_PROOF_PATH = '/.well-known/norc-trust';
const PROOF = /^norc-trust=v1; root=([A-Za-z0-9_-]{43})(?:; pq=([A-Za-z0-9_-]{43}))?$/;
const LINES_MAX = 64;
const LINE_LENGTH_MAX = 512;

/**
 * What an organisation publishes, in DNS or over HTTPS. `rootPqKeyHash`: BLAKE3 of its
 * ML-DSA-65 root key, which itself is too long for a TXT record.
 */
export function domainProofText(rootKey: Uint8Array, rootPqKeyHash?: Uint8Array): string {
  const pq = rootPqKeyHash === undefined ? '' : `; pq=${toBase64Url(rootPqKeyHash)}`;
  return `norc-trust=v1; root=${toBase64Url(rootKey)}${pq}`;
}

/** The root key that one line names; undefined for lines that are something else. */
export function parseDomainProof(line: string): Uint8Array | undefined {
  return parseLine(line)?.rootKey;
}

/** BLAKE3 of the post-quantum root key that a line names; undefined when it names none. */
export function domainProofPqHash(line: string): Uint8Array | undefined {
  return parseLine(line)?.pqHash;
}

/**
 * Looks for `rootKey` among the TXT strings, or the lines of the well-known file. Several
 * keys may be named while a root key is being replaced. Gives the line that proves it.
 *
 * `rootPqKeyHash`: of the post-quantum root key that the organisation claims. A line that
 * names one proves that one and no other, and nothing for an organisation that claims
 * none: whoever leaves the key out would undo the second signature [TRUST-9]. A line that names
 * none proves the root key alone (`domainProofPqHash` tells).
 * Errors: evidence_rejected.
 */
export function findDomainProof(
  lines: readonly string[],
  rootKey: Uint8Array,
  rootPqKeyHash?: Uint8Array,
): Result<string> {
  const proofs = lines.slice(0, LINES_MAX).flatMap((line) => parseLine(line) ?? []);
  const mine = proofs.filter((proof) => sameBytes(proof.rootKey, rootKey));
  const named = mine.filter(({ pqHash }) => pqHash !== undefined);
  if (named.length > 0) {
    const proof = named.find(({ pqHash }) => rootPqKeyHash !== undefined && sameBytes(pqHash ?? NONE, rootPqKeyHash));
    if (proof !== undefined) return ok(proof.text);
    return reject('evidence_rejected', 'the domain names another post-quantum root key');
  }
  if (mine[0] !== undefined) return ok(mine[0].text);
  return reject(
    'evidence_rejected',
    proofs.length === 0 ? 'the domain names no root key' : 'the domain names another root key',
  );
}

const NONE = new Uint8Array();

interface ProofLine {
  readonly text: string;
  readonly rootKey: Uint8Array;
  readonly pqHash: Uint8Array | undefined;
}

function parseLine(line: string): ProofLine | undefined {
  const text = line.trim();
  const [, root, pq] = (line.length > LINE_LENGTH_MAX ? null : PROOF.exec(text)) ?? [];
  const rootKey = root === undefined ? undefined : fromBase64Url(root);
  const pqHash = pq === undefined ? undefined : fromBase64Url(pq);
  if (rootKey === undefined || (pq !== undefined && pqHash === undefined)) return undefined;
  return { text, rootKey, pqHash };
}
