import { type Domain, type Instant, ok, type Result } from '@norc/protocol/base';
import { type Crypto, type SignedDocument, type Signer, signDocumentByAll } from '@norc/protocol/crypto';
import { signsPostQuantum, type VerifiedTrustCertificate } from '@norc/protocol/norc-t';
import type { TrustBoard } from '../trust-facts.ts';
import { type CertificateChange, type Exchange, reviewOf } from './exchange-rows.ts';
import {
  approvalTrail,
  certificateTrail,
  dropTrail,
  type ExchangeTrail,
  join,
  type TrailQuestion,
} from './exchange-writes.ts';

/*
 * Certificates that an exchange brings or takes away: checked first, then stored, and only then do they count.
 */

/** Both of them. Errors: those of `TrustBoard.verify`. */
export function verifyChange(
  board: TrustBoard,
  change: CertificateChange | undefined,
  now: Instant,
): Result<readonly VerifiedTrustCertificate[]> {
  const verified: VerifiedTrustCertificate[] = [];
  for (const document of change === undefined ? [] : [change.given, change.received]) {
    const one = board.verify(document, now);
    if (!one.ok) return one;
    verified.push(one.value);
  }
  return ok(verified);
}

/** What is stored and logged with it. */
export function changeTrail(
  board: TrustBoard,
  question: TrailQuestion,
  exchange: Exchange,
  change: CertificateChange | undefined,
  certificates: readonly VerifiedTrustCertificate[],
): ExchangeTrail {
  if (change === undefined) return join();
  if (change.kind === 'drop_certificates') return dropTrail(certificates);
  const { peer } = exchange;
  const renewed = board.pair(peer, question.now) !== undefined;
  const review = reviewOf(exchange);
  const heard: ExchangeTrail = { writes: [{ op: 'trust.heard', peer, at: question.now }], events: [] };
  const approvals = review === undefined ? [] : [approvalTrail(question, exchange, review)];
  return join(certificateTrail(certificates, renewed, question.now), heard, ...approvals);
}

/** It is stored. */
export function countChange(
  board: TrustBoard,
  peer: Domain,
  change: CertificateChange | undefined,
  certificates: readonly VerifiedTrustCertificate[],
  now: Instant,
): void {
  if (change?.kind === 'drop_certificates') board.drop(certificates);
  if (change?.kind !== 'keep_certificates') return;
  board.keep(certificates);
  board.heard(peer, now);
}

/** With the second key too where that is of weight, or where the policy asks others for it. */
export async function signedFor<T>(
  {
    crypto,
    board,
    signers,
  }: { readonly crypto: Crypto; readonly board: TrustBoard; readonly signers: readonly Signer[] },
  exchange: Exchange,
  draft: SignedDocument<T>,
): Promise<SignedDocument<T>> {
  const level = reviewOf(exchange)?.level;
  const all = level !== undefined && signsPostQuantum(board.policy, level);
  return await signDocumentByAll(crypto, draft, all ? signers : signers.slice(0, 1));
}
