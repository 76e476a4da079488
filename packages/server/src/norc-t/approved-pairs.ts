import { EVIDENCE, type Instant, instant, invariant } from '@norc/protocol/base';
import { type Crypto, parseDocument, SERVER_CERTIFICATE } from '@norc/protocol/crypto';
import {
  decodeSignedApproval,
  grantSubject,
  needsSignedApprovals,
  OFFICER_APPROVAL,
  type OfficerId,
  type Party,
  type TrustPolicy,
  type VerifiedTrustCertificate,
  verifyApproval,
} from '@norc/protocol/norc-t';
import type { Store } from '../storage/port.ts';

/** What one exchange left in the store: both certificates, or one where the other is missing or no longer verifies. */
export interface StoredPair {
  readonly certificates: readonly VerifiedTrustCertificate[];
}

/** Different officers of each side. A policy that asks for more of them than before does not undo what was granted. */
const OFFICERS = 2;

/** Those that need officers' approvals and whose approvals are not in the store. */
export async function unapprovedPairs(
  crypto: Crypto,
  policy: TrustPolicy,
  certificates: readonly VerifiedTrustCertificate[],
  store: Pick<Store, 'read'>,
): Promise<readonly StoredPair[]> {
  const pairs = pairsOf(certificates).filter((pair) => needsOfficers(policy, pair));
  if (pairs.length === 0) return [];
  const approvals = (await store.read.trustRecords('approval')).map(({ document }) => document);
  return pairs.filter((pair) => !isApproved(crypto, policy, pair, approvals));
}

function pairsOf(certificates: readonly VerifiedTrustCertificate[]): readonly StoredPair[] {
  const byExchange = Map.groupBy(certificates, ({ document }) => document.body.exchange_id);
  return [...byExchange.values()].map((own) => ({ certificates: own }));
}

/** By the registry and by the policy of now: what was granted before a policy became stricter stays. */
function needsOfficers(policy: TrustPolicy, { certificates }: StoredPair): boolean {
  return certificates.some(
    ({ level }) => EVIDENCE.officer_approval[level] === 'required' && needsSignedApprovals(policy, level),
  );
}

/**
 * Whether the approvals in the store are of enough different officers of both sides for exactly this pair [TRUST-86]. Whether they
 * were in office was checked when they came, and is checked here for the day on which each signed.
 */
function isApproved(
  crypto: Crypto,
  policy: TrustPolicy,
  { certificates }: StoredPair,
  approvals: readonly Uint8Array[],
): boolean {
  const [one, other, third] = certificates;
  if (one === undefined || other === undefined || third !== undefined || one.issuer !== other.subject) return false;
  return [
    [one, other],
    [other, one],
  ].some(([issued, counterpart]) => {
    invariant(issued !== undefined && counterpart !== undefined, 'both of a pair');
    const subject = grantSubject(crypto, { issued: issued.document, counterpart: counterpart.document });
    return [issued, counterpart].every(({ document: { body } }) => {
      const officers = approvals.flatMap((approval) => officerOf(crypto, approval, body.issuer, body.subject, subject));
      return new Set(officers).size >= Math.min(OFFICERS, Math.max(1, policy.levels[issued.level].approvals));
    });
  });
}

function officerOf(
  crypto: Crypto,
  document: Uint8Array,
  party: Party,
  peer: Party,
  subject: Uint8Array,
): readonly OfficerId[] {
  const approval = decodeSignedApproval(document);
  const at = approval.ok ? signedAt(approval.value.approval) : undefined;
  if (!approval.ok || at === undefined) return [];
  const verified = verifyApproval(crypto, approval.value, {
    ...{ pinned: { org: party.domain, rootKey: party.root_key }, peer: peer.domain, now: at },
    ...{ action: 'trust_grant', role: 'trust', subject, serverKeys: serverKeysOf(party) },
  });
  return verified.ok ? [verified.value.officer.officerId] : [];
}

function signedAt(approval: Uint8Array): Instant | undefined {
  const parsed = parseDocument(OFFICER_APPROVAL, approval);
  return parsed.ok ? instant(parsed.value.body.approved_at) : undefined;
}

function serverKeysOf({ server_certificates }: Party): readonly Uint8Array[] {
  return server_certificates.flatMap((certificate) => {
    const parsed = parseDocument(SERVER_CERTIFICATE, certificate);
    return parsed.ok ? [parsed.value.body.public_key] : [];
  });
}
