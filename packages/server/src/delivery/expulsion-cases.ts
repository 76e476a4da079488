import { type ConversationId, type Domain, domainOf, instant } from '@norc/protocol/base';
import type { ConversationState, LinkedEntry, RevocationReceiptBody } from '@norc/protocol/norc-f';
import type { Closure, ExpulsionProgress, TrustEnd } from '../services.ts';
import type { StoreWrite } from '../storage/port.ts';
import type { ConversationLog } from './conversation-log.ts';
import type { SignedReceipt } from './receipts.ts';

/** One conversation that an end of trust concerns. */
export interface Case {
  readonly end: Ended;
  /** The signed `body`; empty before the first one is signed. */
  receipt: Uint8Array;
  /** Known once it was looked at since the start: a receipt names only a pseudonym. */
  conversation?: ConversationId;
  body: RevocationReceiptBody;
}

export interface Ended {
  readonly end: TrustEnd;
  readonly cases: Map<string, Case>;
  pending: number;
  removing: Promise<void>;
  /** Calls about the same end run one after the other. */
  running: Promise<unknown>;
}

export interface ExpulsionPort {
  /** The log has entries that nobody was told of. */
  readonly grew: (log: ConversationLog) => void;
  readonly closed: (log: ConversationLog, closure: Closure) => void;
}

/** What a server has to do about one conversation. `wait`: a third organisation's hub has to act. */
export interface Role {
  readonly act: 'remove' | 'close' | 'wait';
  readonly expelled: Domain;
}

export interface Step {
  readonly log: ConversationLog;
  readonly act: Role['act'];
  readonly one: Case;
  readonly isNew: boolean;
}

/** Receipts that a commit completes. */
export interface Settled {
  readonly writes: readonly StoreWrite[];
  /** After they are durable. */
  readonly confirm: () => void;
}

export type Settling = (
  before: ConversationState,
  after: ConversationState,
  entry: LinkedEntry,
) => Promise<Settled> | undefined;

export function finish(one: Case, receipt: SignedReceipt | undefined): void {
  if (receipt === undefined || !isPending(one)) return;
  one.body = receipt.body;
  one.receipt = receipt.document;
  one.end.pending -= 1;
}

export function keyOf(issuer: Domain, subject: Domain, sequence: number): string {
  return `${issuer}.${subject}.${sequence}`;
}

export function isPending({ body }: Case): boolean {
  return body.outcome === 'pending';
}

/** Whether what was known of it still holds: one that was closed and is open again begins anew. */
export function goesOn(one: Case, log: ConversationLog): boolean {
  return isPending(one) || (one.body.outcome === 'closed' && log.state.frozen);
}

/**
 * Whom a commit put out, where that is what the end asks for: those who had to go, or the other party, where the hub of a
 * third organisation found that one to be in the wrong. A hub's own organisation may have had no members at all.
 */
export function goneOf(one: Case, before: ConversationState, after: ConversationState): Domain | undefined {
  const { expelled, issuer, subject, hub } = one.body;
  if (!after.organisations.has(expelled)) return expelled;
  const other = expelled === issuer ? subject : issuer;
  return other !== hub && before.organisations.has(other) && !after.organisations.has(other) ? other : undefined;
}

export function devicesOf({ members }: ConversationState, domain: Domain): number {
  let count = 0;
  for (const { user } of members.values()) if (domainOf(user) === domain) count += 1;
  return count;
}

export function progressOf({ end, cases, pending: open }: Ended): ExpulsionProgress {
  let [startedAt, completedAt, removed, closed] = [Number.POSITIVE_INFINITY, 0, 0, 0];
  const pending: ConversationId[] = [];
  for (const { body, conversation } of cases.values()) {
    startedAt = Math.min(startedAt, body.frozen_at);
    completedAt = Math.max(completedAt, body.removed_at ?? 0);
    if (body.outcome === 'removed') removed += 1;
    else if (body.outcome === 'closed') closed += 1;
    else if (conversation !== undefined) pending.push(conversation);
  }
  const base = {
    ...end,
    startedAt: instant(Number.isFinite(startedAt) ? startedAt : 0),
    conversations: cases.size,
    removed,
    closed,
    pending,
  };
  return open > 0 || cases.size === 0 ? base : { ...base, completedAt: instant(completedAt) };
}
