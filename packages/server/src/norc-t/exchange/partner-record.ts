import type { Domain, Instant } from '@norc/protocol/base';
import type { PartnerRecord, RevocationBody, VerifiedTrustCertificate } from '@norc/protocol/norc-t';
import type { TrustBoard } from '../trust-facts.ts';

const DAY_MS = 86_400_000;

/**
 * What this organisation has seen of a partner itself (spec/norc-t section 3.4): the days on which
 * a certificate that we gave it was in force, and how often we had to end or suspend that.
 */
export function partnerRecord(
  board: TrustBoard,
  { self, peer, now }: { readonly self: Domain; readonly peer: Domain; readonly now: Instant },
): PartnerRecord {
  const said = board.chain(self).statements.filter(({ subject }) => subject === peer);
  const given = board.certificatesWith(peer).filter(({ issuer }) => issuer === self);
  return { incidents: incidentsIn(said), daysInForce: daysOf(given, said, now) };
}

/** Statements of one act, such as about two certificates that overlap, have one time. */
function incidentsIn(said: readonly RevocationBody[]): number {
  const ended = said.filter(({ action }) => action === 'revoke' || action === 'suspend');
  return new Set(ended.map(({ issued_at }) => issued_at)).size;
}

function daysOf(given: readonly VerifiedTrustCertificate[], said: readonly RevocationBody[], now: Instant): number {
  const spans = given
    .map((one) => ({ from: sinceWhen(one), to: Math.min(one.notAfter, now, revokedAt(one, said)) }))
    .sort((a, b) => a.from - b.from);
  let [days, counted] = [0, 0];
  for (const { from, to } of spans) {
    const start = Math.max(from, counted); // renewals overlap: no day counts twice
    if (to > start) days += to - start;
    counted = Math.max(counted, to);
  }
  return Math.floor(days / DAY_MS);
}

/** By our own clock: the partner may have chosen the dates, but not when we checked what is in a certificate of ours. */
function sinceWhen({ notBefore, document }: VerifiedTrustCertificate): number {
  return Math.max(notBefore, ...document.body.evidence.map(({ checked_at }) => checked_at));
}

function revokedAt({ certificateId }: VerifiedTrustCertificate, said: readonly RevocationBody[]): number {
  const revoked = said.find((one) => one.certificate_id === certificateId && one.action === 'revoke');
  return revoked?.effective_at ?? Number.MAX_SAFE_INTEGER;
}
