import { type Domain, type Instant, TRUST_REASONS } from '@norc/protocol/base';
import { parseDocument } from '@norc/protocol/crypto';
import type { NorcCBody } from '@norc/protocol/norc-c';
import { decideTrust, TRUST_REVOCATION, type VerifiedTrustCertificate } from '@norc/protocol/norc-t';
import type { Store } from '../storage/port.ts';
import type { TrustBoard } from './trust-facts.ts';

type Told = Omit<NorcCBody<'org_response'>, 'rotations' | 'recovery'>;

const STATEMENTS_MAX = 32;

/**
 * What a device of ours is told about an organisation, so that it need not believe us: the pair
 * of certificates by which we decide, or the number of the reason why nothing may pass.
 */
export async function describeToDevice(
  { board, store, self, issuerCertificate }: Answering,
  domain: Domain,
  now: Instant,
): Promise<Told> {
  const question = { local: self, remote: domain, direction: 'outgoing', permission: 'message_relay' } as const;
  const decision = decideTrust(question, board.factsAbout(domain, now));
  if (decision.kind === 'deny' && decision.reason !== 'permission') {
    return { domain, level: 'untrusted', reason: TRUST_REASONS[decision.reason].number };
  }
  if (domain === self) return { domain, ...levelOf(decision) };
  const pair = pairOf(board, self, domain, now, decision.kind === 'allow' ? decision.pair : undefined);
  if (pair === undefined) return { domain, level: 'untrusted' };
  const statements = await metStatements(store, [pair.given, pair.received]);
  return {
    ...{ domain, ...(decision.kind === 'allow' ? levelOf(decision) : { level: board.level(domain, now) }) },
    trust_certificate: pair.given.document.bytes,
    received_certificate: pair.received.document.bytes,
    ...(issuerCertificate === undefined ? {} : { issuer_certificate: issuerCertificate }),
    ...(statements.length === 0 ? {} : { statements }),
  };
}

interface Answering {
  readonly board: TrustBoard;
  readonly store: Store;
  readonly self: Domain;
  /** Our newest server certificate. */
  readonly issuerCertificate: Uint8Array | undefined;
}

function levelOf(decision: ReturnType<typeof decideTrust>): Pick<Told, 'level' | 'nato_capable'> {
  if (decision.kind === 'deny') return { level: 'untrusted' };
  return { level: decision.level, ...(decision.natoCapable ? { nato_capable: true } : {}) };
}

interface Pair {
  readonly given: VerifiedTrustCertificate;
  readonly received: VerifiedTrustCertificate;
}

/** The pair that was decided by: where a higher level replaces a lower one, not the one that ends last. */
function pairOf(
  board: TrustBoard,
  self: Domain,
  domain: Domain,
  now: Instant,
  decided: { readonly given: string; readonly received: string } | undefined,
): Pair | undefined {
  const all = board.certificatesWith(domain);
  const given = all.find((one) => one.issuer === self && one.certificateId === decided?.given);
  const received = all.find((one) => one.issuer === domain && one.certificateId === decided?.received);
  return given === undefined || received === undefined ? board.pair(domain, now) : { given, received };
}

/** Without these, a device would take a condition that was met for one that was not. */
async function metStatements(
  store: Store,
  certificates: readonly VerifiedTrustCertificate[],
): Promise<readonly Uint8Array[]> {
  if (certificates.every(({ conditions }) => conditions.length === 0)) return [];
  const rows = await store.read.trustRevocations();
  return rows
    .filter(({ issuer, document }) => {
      const parsed = parseDocument(TRUST_REVOCATION, document);
      if (!parsed.ok || parsed.value.body.action !== 'condition_met') return false;
      const { certificate_id } = parsed.value.body;
      return certificates.some((one) => one.issuer === issuer && one.certificateId === certificate_id);
    })
    .map(({ document }) => document)
    .slice(-STATEMENTS_MAX);
}
