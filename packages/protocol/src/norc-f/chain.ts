import { err, ok, type Reject, type Result, sameBytes } from '../base/index.ts';
import type { Crypto } from '../crypto/index.ts';
import { headAfter, type LinkedEntry, type LogEntry, type LogHead, verifyEntry } from './log.ts';

/**
 * Following a log by its hashes alone (spec/norc-f section 4): what followers do
 * before they look into entries, and all that a device needs.
 */

/** Hashes of entries that this side holds, by sequence; as many as were not dropped yet. */
export type HeldHashes = ReadonlyMap<number, Uint8Array>;

/** Proof that a hub showed two histories: what is held, and what it sent in its place. */
export interface ForkEvidence {
  readonly head: LogHead;
  /** Hash held at the offered entry's place; absent when it extends the head wrongly. */
  readonly heldHash?: Uint8Array;
  readonly offered: LogEntry;
}

export type ChainFailure =
  /** Ask again for what follows `after`. */
  | { readonly code: 'log_gap'; readonly after: number }
  | { readonly code: 'log_fork'; readonly evidence: ForkEvidence }
  | Reject;

export interface Chain {
  /** New entries, in order, each extending the one before. */
  readonly linked: readonly LinkedEntry[];
  /** Entries that were held already; they change nothing. */
  readonly duplicates: number;
  readonly head: LogHead;
  /** Why the rest was not taken. What was linked before it is good. */
  readonly failure?: ChainFailure;
}

/** Links what a hub or server sent onto `head`. Repeats of held entries are passed over; another entry in their place is a fork. */
export function linkEntries(crypto: Crypto, head: LogHead, offered: readonly LogEntry[], held: HeldHashes): Chain {
  const linked: LinkedEntry[] = [];
  let duplicates = 0;
  let last = head;
  for (const entry of offered) {
    const outcome = linkOne(crypto, last, entry, held);
    if (!outcome.ok) return { linked, duplicates, head: last, failure: outcome.error };
    if (outcome.value === 'duplicate') {
      duplicates += 1;
      continue;
    }
    linked.push(outcome.value);
    last = headAfter(last, outcome.value);
  }
  return { linked, duplicates, head: last };
}

function linkOne(
  crypto: Crypto,
  head: LogHead,
  entry: LogEntry,
  held: HeldHashes,
): Result<LinkedEntry | 'duplicate', ChainFailure> {
  if (entry.seq <= head.seq) return repeated(head, entry, held);
  const verified = verifyEntry(crypto, head, entry);
  if (verified.ok) return ok(verified.value);
  if (verified.error.code === 'log_gap') return err({ code: 'log_gap', after: head.seq });
  if (verified.error.code === 'log_fork') return err({ code: 'log_fork', evidence: { head, offered: entry } });
  return err(verified.error);
}

/** A hash that was dropped cannot be compared; the entry changes nothing, since nothing at or before the head is applied. */
function repeated(head: LogHead, entry: LogEntry, held: HeldHashes): Result<'duplicate', ChainFailure> {
  const heldHash = entry.seq === head.seq ? head.hash : held.get(entry.seq);
  if (heldHash === undefined || sameBytes(heldHash, entry.hash)) return ok('duplicate');
  return err({ code: 'log_fork', evidence: { head, heldHash, offered: entry } });
}
