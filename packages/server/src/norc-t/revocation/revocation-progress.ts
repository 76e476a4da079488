import type { Domain, Instant } from '@norc/protocol/base';
import type { RevocationAct, Spread } from '@norc/protocol/norc-t';
import type { ConversationEffects } from '../trust-dependencies.ts';

/** One organisation that has to confirm an act. */
export interface ServerProgress {
  readonly peer: Domain;
  /** The subject may be hostile: it is told, and not waited for. */
  readonly role: 'partner' | 'subject';
  readonly state: 'waiting' | 'held' | 'confirmed';
  /** Our time at which its signed acknowledgment was here. */
  readonly confirmedAt?: Instant;
  /** From when the act was to be in force. */
  readonly milliseconds?: number;
  readonly attempts: number;
  /** Why the last attempt failed. */
  readonly fault?: string;
}

/** How far an act of ours got (spec/norc-t section 6). */
export interface RevocationProgress {
  readonly act: RevocationAct;
  readonly state: 'held' | 'spreading' | 'enforced' | 'overdue';
  readonly deadlineAt: Instant;
  readonly refusedAt?: Instant;
  readonly linksCutAt?: Instant;
  readonly enforcedAt?: Instant;
  readonly toldAt?: Instant;
  readonly sessionsTold?: number;
  readonly conversations: ConversationEffects;
  readonly servers: readonly ServerProgress[];
  /** Everything was confirmed, or the deadline had come. */
  readonly finishedAt?: Instant;
  readonly inTime?: boolean;
  /** Everything was confirmed, in time or late. */
  readonly completedAt?: Instant;
  /** Over the acknowledgments and removals of this act. */
  readonly spread?: Spread;
}

/** Of partners' acknowledgments and of removals, in milliseconds from when the act was to be in force. */
export function durationsOf(
  { effectiveAt }: RevocationAct,
  servers: readonly ServerProgress[],
  { conversations }: ConversationEffects,
): readonly number[] {
  const acks = servers.flatMap(({ role, milliseconds }) =>
    role === 'partner' && milliseconds !== undefined ? [milliseconds] : [],
  );
  const removals = conversations.flatMap(({ removedAt }) =>
    removedAt === undefined ? [] : [Math.max(0, removedAt - effectiveAt)],
  );
  return [...acks, ...removals];
}
