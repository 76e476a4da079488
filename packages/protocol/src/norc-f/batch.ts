import type { MessageId, Result } from '../base/index.ts';
import { ok } from '../base/index.ts';
import type { Crypto } from '../crypto/index.ts';
import type { ConversationState, GroupChange } from './conversation.ts';
import { type AppendDecision, type AppendFacts, decideAppend, type OrderedBefore, type Submission } from './hub.ts';
import type { LinkedEntry } from './log.ts';

/** Several submissions decided together, to be stored in one transaction (spec/norc-f section 3). */

export interface BatchItem {
  readonly submission: Submission;
  readonly facts: AppendFacts;
}

export interface Batch {
  /** After all of it. */
  readonly state: ConversationState;
  /** To append, in order. */
  readonly entries: readonly LinkedEntry[];
  /** Present when the last entry is a commit. */
  readonly change?: GroupChange;
  /** One for each of the first items. Fewer than there are items when a commit ended the batch. */
  readonly decisions: readonly Result<AppendDecision>[];
}

/**
 * Decides items in order, each after what the ones before it changed; a refused one
 * changes nothing. A commit that is ordered ends the batch, since the facts of what
 * follows were found out for the group before it: decide the rest anew.
 */
export function decideBatch(crypto: Crypto, before: ConversationState, items: readonly BatchItem[]): Batch {
  const entries: LinkedEntry[] = [];
  const decisions: Result<AppendDecision>[] = [];
  const here = new Map<MessageId, OrderedBefore>();
  let state = before;
  for (const { submission, facts } of items) {
    const decision = decideAppend(crypto, state, submission, withOrdered(facts, here.get(submission.messageId)));
    decisions.push(decision);
    if (!decision.ok || decision.value.outcome !== 'ordered') continue;
    const { entry, change } = decision.value;
    state = decision.value.state;
    entries.push(entry);
    here.set(entry.messageId, entry);
    if (change !== undefined) return { state, entries, change, decisions };
  }
  return { state, entries, decisions };
}

function withOrdered(facts: AppendFacts, ordered: OrderedBefore | undefined): AppendFacts {
  return ordered === undefined ? facts : { ...facts, ordered };
}

export interface Bundle {
  readonly state: ConversationState;
  readonly entries: readonly LinkedEntry[];
  readonly change?: GroupChange;
}

/**
 * A commit and the message sealed after it, ordered as one or refused as one: how
 * levels with one message per epoch send. The facts of the message are those that
 * hold after the commit. A repeated commit id makes the whole bundle a duplicate.
 */
export function decideBundle(
  crypto: Crypto,
  before: ConversationState,
  commit: BatchItem,
  message: BatchItem,
): Result<Bundle | { readonly outcome: 'duplicate'; readonly seq: number }> {
  const first = decideAppend(crypto, before, commit.submission, commit.facts);
  if (!first.ok) return first;
  if (first.value.outcome === 'duplicate') return ok(first.value);
  const second = decideAppend(crypto, first.value.state, message.submission, message.facts);
  if (!second.ok) return second;
  if (second.value.outcome === 'duplicate') throw new RangeError('a new commit with an old message');
  const entries = [first.value.entry, second.value.entry];
  const { change } = first.value;
  return ok(
    change === undefined ? { state: second.value.state, entries } : { state: second.value.state, entries, change },
  );
}
