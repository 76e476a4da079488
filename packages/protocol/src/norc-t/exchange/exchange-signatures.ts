import { type Domain, type Reject, sameBytes, utf8 } from '../../base/index.ts';
import { documentHash, type SignedDocument } from '../../crypto/index.ts';
import { domainProofText } from '../evidence/domain-proof.ts';
import type { Finding } from '../evidence/findings.ts';
import { compareLevels, type GrantedLevel } from '../levels.ts';
import { type Party, verifyPostQuantum } from '../party.ts';
import type { TrustPolicy } from '../policy/policy.ts';
import type { ExchangeContext } from './exchange-types.ts';

/** The second, post-quantum signature in an exchange (spec/norc-t section 3.5). */

/** Whether an organisation that has an ML-DSA-65 key signs with it too: always where it is of weight [TRUST-47]. */
export function signsPostQuantum(policy: TrustPolicy, level: GrantedLevel): boolean {
  const asked = policy.levels[level].evidence.post_quantum_signature !== 'none';
  return asked || hasWeight(level);
}

/** Levels at which whoever has a post-quantum key signs with it, whatever the policies say [TRUST-47]. */
function hasWeight(level: GrantedLevel): boolean {
  return compareLevels(level, 'classified') >= 0;
}

/** Whether trust documents of the peer without it are refused. */
export function needsPostQuantum(policy: TrustPolicy, level: GrantedLevel): boolean {
  return policy.levels[level].evidence.post_quantum_signature === 'required';
}

/**
 * The finding about a message that the peer signed. It holds when the chain ends in a
 * post-quantum root key that its domain names, or that an earlier certificate pinned: whoever can
 * forge the classical signature could name any other.
 */
export function postQuantumFinding(
  context: ExchangeContext,
  document: SignedDocument<unknown>,
  party: Party,
  findings: readonly Finding[],
  level: GrantedLevel,
): Finding {
  const { crypto, now, policy } = context;
  const about = { kind: 'post_quantum_signature', weight: 1, checkedAt: now } as const;
  const { root_pq_key } = party;
  if (root_pq_key === undefined) {
    return { ...about, result: 'absent', detail: 'the organisation has no post-quantum root key' };
  }
  const signed = verifyPostQuantum(crypto, document, party, now);
  const hash = documentHash(crypto, document);
  if (!signed.ok) {
    // Left out is no lie: only a signature that is there and does not hold has failed.
    const result = document.signatures.some(({ algorithm }) => algorithm === 'ml-dsa-65') ? 'failed' : 'absent';
    const isAsked = policy.levels[level].evidence.post_quantum_signature !== 'none';
    const detail = result === 'absent' && !isAsked ? `not asked for at ${level}` : signed.error.detail;
    return { ...about, result, hash, detail };
  }
  if (!isPinned(context, root_pq_key, party, findings)) {
    return { ...about, result: 'failed', hash, detail: 'its domain does not name the post-quantum root key' };
  }
  const { notAfter } = signed.value;
  return { ...about, result: 'held', hash, method: 'ml-dsa-65', expiresAt: notAfter, detail: 'ML-DSA-65 signature' };
}

function isPinned(context: ExchangeContext, rootPqKey: Uint8Array, party: Party, findings: readonly Finding[]) {
  const { crypto, pinnedRootPqKey } = context;
  if (pinnedRootPqKey !== undefined) return sameBytes(pinnedRootPqKey, rootPqKey);
  const line = crypto.blake3(utf8(domainProofText(party.root_key, crypto.blake3(rootPqKey))));
  return findings.some(
    ({ kind, result, hash }) =>
      kind === 'domain_proof' && result === 'held' && hash !== undefined && sameBytes(hash, line),
  );
}

/**
 * Why documents of the peer do not do at this level; undefined when they carry what the policy requires. Where
 * an ML-DSA-65 root key of the peer is pinned and it signs with it (TRUST-47), that signature left out is one taken off [TRUST-80].
 */
export function postQuantumFault(
  { crypto, now, policy, pinnedRootPqKey }: ExchangeContext,
  documents: readonly SignedDocument<unknown>[],
  party: Party,
  level: GrantedLevel,
): Reject | undefined {
  const isPinned = pinnedRootPqKey !== undefined && hasWeight(level);
  if (!isPinned && !needsPostQuantum(policy, level)) return undefined;
  for (const document of documents) {
    const signed = verifyPostQuantum(crypto, document, party, now);
    if (!signed.ok) return { code: 'signature_invalid', detail: `${missing(party.domain)}: ${signed.error.detail}` };
  }
  return undefined;
}

/** The same of this side's own second signature, where it has the keys for it: what is kept holds those of both. */
export function ownPostQuantumFault(
  { crypto, now, policy }: ExchangeContext,
  documents: readonly SignedDocument<unknown>[],
  self: Party,
  level: GrantedLevel,
): Reject | undefined {
  if (self.root_pq_key === undefined || !needsPostQuantum(policy, level)) return undefined;
  const faults = documents.flatMap((document) => {
    const signed = verifyPostQuantum(crypto, document, self, now);
    return signed.ok ? [] : [signed.error.detail];
  });
  return faults[0] === undefined
    ? undefined
    : { code: 'signature_invalid', detail: `${missing(self.domain)}: ${faults[0]}` };
}

function missing(domain: Domain): string {
  return `post-quantum signature of ${domain}`;
}
