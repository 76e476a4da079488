import {
  type Domain,
  type Instant,
  instant,
  type Label,
  type Permission,
  TRUST_REASONS,
  type TrustReason,
} from '@norc/protocol/base';
import {
  decideTrust,
  type TrustDecision,
  type TrustFacts,
  type TrustPolicy,
  type TrustQuestion,
} from '@norc/protocol/norc-t';
import type { TrustDecidedRow } from '../../storage/port.ts';
import { DAY_MS, parseQuestion } from './decision-counts.ts';

/** The decisions of the last days, made again under another policy [POLICY-32]. */
export interface Replay {
  /** Decisions that were recorded. */
  readonly recorded: number;
  readonly days: number;
  /** Of them, those that the facts of today do not explain any more: nothing is said about them. */
  readonly unexplained: number;
  /** Refusals for stale data, where the limit changes: how old the data was is not recorded. */
  readonly stale: number;
  readonly rows: readonly ReplayRow[];
}

export interface ReplayRow {
  readonly peer: Domain;
  readonly direction: 'outgoing' | 'incoming';
  readonly permission: Permission;
  readonly label?: Label;
  readonly count: number;
  /** What would have been. */
  readonly effect: 'refused' | 'allowed';
  /** With `refused`: why. With `allowed`: why it was refused. */
  readonly reason: TrustReason;
  readonly number: number;
}

interface ReplayFacts {
  readonly self: Domain;
  readonly now: Instant;
  readonly factsAbout: (peer: Domain) => TrustFacts;
  readonly decided: readonly TrustDecidedRow[];
}

export function replayDecisions(before: TrustPolicy, after: TrustPolicy, facts: ReplayFacts): Replay {
  const rows = new Map<string, ReplayRow>();
  const limitChanges = before.revocationAgeMillisecondsMax !== after.revocationAgeMillisecondsMax;
  let [recorded, unexplained, stale] = [0, 0, 0];
  for (const row of facts.decided) {
    recorded += row.count;
    if (row.outcome === 'stale' && limitChanges) stale += row.count;
    const again = decideAgain(before, after, facts, row);
    if (again === undefined) unexplained += row.count;
    else if (again.effect !== undefined) add(rows, again.effect);
  }
  const days = new Set(facts.decided.map(({ day }) => day)).size;
  return { recorded, days, unexplained, stale, rows: [...rows.values()].sort((a, b) => b.count - a.count) };
}

function add(rows: Map<string, ReplayRow>, row: ReplayRow): void {
  const key = [row.peer, row.direction, row.permission, row.label, row.effect, row.reason].join(' ');
  rows.set(key, { ...row, count: row.count + (rows.get(key)?.count ?? 0) });
}

/**
 * Certificates and statements hold their own times, so a day of the past can be decided
 * again. Undefined when that does not give what was recorded: then the facts have
 * changed since, and the difference would not be the policy's.
 */
function decideAgain(
  before: TrustPolicy,
  after: TrustPolicy,
  facts: ReplayFacts,
  row: TrustDecidedRow,
): { readonly effect?: ReplayRow } | undefined {
  const counted = parseQuestion(row.question);
  if (counted === undefined) return undefined;
  const base: TrustQuestion = { local: facts.self, remote: row.peer, ...counted };
  // The size is not recorded: what was too large is so again.
  const question = row.outcome === 'size' ? { ...base, bytes: Number.MAX_SAFE_INTEGER } : base;
  for (const now of momentsOf(row.day, facts.now)) {
    const known = factsAt(facts.factsAbout(row.peer), now, row.outcome);
    const was = decideTrust(question, { ...known, policy: before });
    if (outcomeOf(was) !== row.outcome) continue;
    const is = decideTrust(question, { ...known, policy: after });
    if (was.kind === is.kind) return {};
    const reason = was.kind === 'deny' ? was.reason : is.kind === 'deny' ? is.reason : undefined;
    if (reason === undefined) return {};
    const effect = is.kind === 'allow' ? 'allowed' : 'refused';
    const common = { peer: row.peer, ...counted, count: row.count };
    return { effect: { ...common, effect, reason, number: TRUST_REASONS[reason].number } };
  }
  return undefined;
}

/** The end of the day, or now; then its beginning: trust may have begun or ended in between. */
function momentsOf(day: number, now: Instant): readonly Instant[] {
  return [instant(Math.min(now, (day + 1) * DAY_MS - 1)), instant(Math.min(now, day * DAY_MS))];
}

/** How fresh the data was is not recorded: it was, unless that was the reason. */
function factsAt(known: TrustFacts, now: Instant, outcome: string): TrustFacts {
  const { heardAt: _, ...rest } = known;
  return { ...rest, now, heardAt: outcome === 'stale' ? undefined : now };
}

function outcomeOf(decision: TrustDecision): string {
  return decision.kind === 'allow' ? 'allow' : decision.reason;
}
