import { type Instant, InvariantError, toHex } from '@norc/protocol/base';
import { type Crypto, documentHash, parseDocument } from '@norc/protocol/crypto';
import {
  type ExchangeEffect,
  encodeEvidenceRecord,
  encodeSignedApproval,
  type Finding,
  findingsOf,
  OFFICER_APPROVAL,
  parseExchangeId,
  type Review,
  type SignedApproval,
  scoreOf,
  type TrustPolicy,
  type VerifiedTrustCertificate,
} from '@norc/protocol/norc-t';
import type { AuditEvent } from '../../services.ts';
import type { StoreWrite, TrustRecordRow } from '../../storage/port.ts';
import { type Exchange, reviewOf } from './exchange-rows.ts';

/** What of a step of an exchange is kept besides its state, and what is written into the audit log about it. */
export interface ExchangeTrail {
  readonly writes: readonly StoreWrite[];
  readonly events: readonly AuditEvent[];
}

const NOTHING: ExchangeTrail = { writes: [], events: [] };

export function join(...trails: readonly ExchangeTrail[]): ExchangeTrail {
  return { writes: trails.flatMap(({ writes }) => writes), events: trails.flatMap(({ events }) => events) };
}

export interface TrailQuestion {
  readonly crypto: Crypto;
  readonly policy: TrustPolicy;
  readonly now: Instant;
}

/** New findings become a record of kind `evidence`, key `EXCHANGE:SIDE`, and an audit entry for each piece that was checked. */
export function evidenceTrail(question: TrailQuestion, before: Exchange | undefined, after: Exchange): ExchangeTrail {
  const review = reviewOf(after);
  const known = before === undefined ? undefined : reviewOf(before);
  if (review === undefined || review.findings.length === 0 || known?.checked_at === review.checked_at) return NOTHING;
  const { peer, role } = after;
  const record: TrustRecordRow = {
    ...{ kind: 'evidence', key: evidenceKey(after), peer, at: question.now },
    document: encodeEvidenceRecord({
      ...{ exchange_id: mustBeId(after.id), side: role, peer, level: review.level, findings: review.findings },
      ...{ incidents: review.incidents, days_in_force: review.days_in_force, score: scoreOf(question, review).total },
    }),
  };
  const checked = findingsOf(review).filter(({ result }) => result !== 'absent'); // nothing shown, nothing checked
  const events = checked.map((finding) => findingEvent(after, finding));
  return { writes: [{ op: 'trust.record.put', record }], events };
}

export function evidenceKey({ id, role }: Pick<Exchange, 'id' | 'role'>): string {
  return `${id}:${role}`;
}

function mustBeId(id: string) {
  const parsed = parseExchangeId(id);
  if (!parsed.ok) throw new InvariantError('id of a stored exchange');
  return parsed.value;
}

function findingEvent({ id, peer }: Exchange, { kind, result, method, weight }: Finding): AuditEvent {
  return {
    ...{ type: 'trust_evidence_checked', actor: `exchange:${id}`, subject: `org:${peer}` },
    outcome: result === 'held' ? 'ok' : 'failed',
    detail: { kind, result, weight: Math.round(weight * 100), ...(method === undefined ? {} : { method }) },
  };
}

/** Every signed approval behind a pair of certificates that is complete: kind `approval`, key the hash of the approval. */
export function approvalTrail({ crypto, now }: TrailQuestion, { peer }: Exchange, review: Review): ExchangeTrail {
  const own = review.approvals.flatMap(({ signed }) => signed ?? []);
  const asked = review.requested === undefined ? [] : [review.requested];
  const writes = [...asked, ...own, ...review.theirs].map(
    (approval): StoreWrite => ({
      op: 'trust.record.put',
      record: {
        kind: 'approval',
        key: approvalKey(crypto, approval),
        peer,
        at: now,
        document: encodeSignedApproval(approval),
      },
    }),
  );
  return { writes, events: [] };
}

function approvalKey(crypto: Crypto, { approval }: SignedApproval): string {
  const parsed = parseDocument(OFFICER_APPROVAL, approval);
  if (!parsed.ok) throw new InvariantError('a checked approval does not parse');
  return toHex(documentHash(crypto, parsed.value));
}

/** Both certificates of a finished exchange. `renewed`: trust with the partner was in force before. */
export function certificateTrail(
  certificates: readonly VerifiedTrustCertificate[],
  renewed: boolean,
  now: Instant,
): ExchangeTrail {
  const kept = certificates.map(
    ({ certificateId, issuer, subject, notAfter, document: { bytes: document } }): StoreWrite => ({
      op: 'trust.certificate.put',
      certificate: { certificateId, issuer, subject, notAfter, document },
    }),
  );
  return {
    writes: [...kept, ...certificates.flatMap((one) => recoveryWrites(one, now))],
    events: certificates.map(({ certificateId, issuer, subject, level }) => ({
      ...{ type: renewed ? 'trust_renewed' : 'trust_established', actor: `org:${issuer}`, subject: `org:${subject}` },
      outcome: 'ok',
      detail: { level, certificate_id: certificateId },
    })),
  };
}

/** Since when a recovery set is pinned, by our own clock: a partner chooses the dates of its certificates [ROOT-2]. */
function recoveryWrites({ certificateId, subject, document }: VerifiedTrustCertificate, now: Instant): StoreWrite[] {
  const { recovery } = document.body.subject;
  if (recovery === undefined) return [];
  const record = { kind: 'recovery', key: certificateId, peer: subject, at: now, document: recovery } as const;
  return [{ op: 'trust.record.put', record }];
}

/** Certificates that the other side took back; the audit log tells when they came and went. */
export function dropTrail(certificates: readonly VerifiedTrustCertificate[]): ExchangeTrail {
  return {
    writes: certificates.map(({ issuer, certificateId }) => ({
      op: 'trust.certificate.delete',
      issuer,
      certificateId,
    })),
    events: [],
  };
}

/** A peer asked for something: what came before that is not written down. */
export function requestTrail(before: Exchange | undefined, { id, peer, state }: Exchange): ExchangeTrail {
  if (before?.state.phase !== 'awaiting_request' || state.phase === 'awaiting_request') return NOTHING;
  const about = { actor: `org:${peer}`, subject: `exchange:${id}`, outcome: 'ok' } as const;
  return { writes: [], events: [{ type: 'trust_request_received', ...about }] };
}

/** What only the audit log keeps of an effect. */
export function effectTrail({ id, peer }: Exchange, effects: readonly ExchangeEffect[]): ExchangeTrail {
  const events = effects.flatMap((effect): readonly AuditEvent[] => {
    if (effect.kind === 'ended') {
      const about = { actor: `org:${peer}`, subject: `exchange:${id}`, detail: { code: effect.code } };
      return [{ type: 'trust_exchange_failed', outcome: 'refused', ...about }];
    }
    if (effect.kind !== 'approvals_void') return [];
    const detail = { code: 'approval_expired', why: effect.why, approvals: effect.count };
    return [{ type: 'approval_refused', actor: `exchange:${id}`, subject: `org:${peer}`, outcome: 'refused', detail }];
  });
  return { writes: [], events };
}
