import type { Domain, Instant } from '@norc/protocol/base';
import type { AuditEvent } from '../../services.ts';
import type { ConversationEffects } from '../trust-dependencies.ts';
import type { PropagationRecord } from './propagation-record.ts';
import type { RevocationProgress, ServerProgress } from './revocation-progress.ts';

/** One act of ours on its way: what is stored of it, and what is known of each server since the start. */
export interface Act {
  record: PropagationRecord;
  readonly attempts: Map<Domain, number>;
  readonly faults: Map<Domain, string>;
  readonly held: Set<Domain>;
  /** Being asked now, or a timer runs. */
  readonly busy: Set<Domain>;
  enforcing?: Promise<void>;
}

export function newAct(record: PropagationRecord): Act {
  return { record, attempts: new Map(), faults: new Map(), held: new Set(), busy: new Set() };
}

export function stateOfAct({ record }: Act, now: Instant): RevocationProgress['state'] {
  if (record.act.effectiveAt > now) return 'held';
  if (record.completedAt !== undefined) return 'enforced';
  return record.finishedAt === undefined ? 'spreading' : 'overdue';
}

export function serverProgress(
  act: Act,
  server: Pick<ServerProgress, 'peer' | 'role'>,
  confirmedAt: Instant | undefined,
): ServerProgress {
  const attempts = act.attempts.get(server.peer) ?? 0;
  if (confirmedAt === undefined) {
    const fault = act.faults.get(server.peer);
    const state = act.held.has(server.peer) ? 'held' : 'waiting';
    return { ...server, state, attempts, ...(fault === undefined ? {} : { fault }) };
  }
  const milliseconds = Math.max(0, confirmedAt - act.record.act.effectiveAt);
  return { ...server, state: 'confirmed', attempts, confirmedAt, milliseconds };
}

/** When everything is confirmed, and when the deadline comes before that. */
export function enforcedEvent(
  { record }: Act,
  {
    confirmed,
    effects,
    complete,
  }: { readonly confirmed: number; readonly effects: ConversationEffects; readonly complete: boolean },
): AuditEvent {
  return {
    ...{ type: 'revocation_enforced', actor: 'system:server', subject: `org:${record.act.subject}` },
    outcome: complete ? 'ok' : 'failed',
    detail: {
      sequence: record.act.last,
      ...{ servers: record.partners.length, confirmed },
      ...{ conversations: effects.total, removed: effects.removed },
    },
  };
}
