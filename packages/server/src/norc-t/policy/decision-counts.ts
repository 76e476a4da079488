import {
  type Clock,
  type Domain,
  LABELS,
  type Label,
  PERMISSIONS,
  type Permission,
  TRUST_REASONS,
  type TrustReason,
} from '@norc/protocol/base';
import type { TrustDecision, TrustQuestion } from '@norc/protocol/norc-t';
import type { Store, StoreWrite, TrustDecidedRow } from '../../storage/port.ts';

/**
 * Counts every trust decision by day, partner, question and outcome, so that a change of
 * policy can be replayed over what really happened [POLICY-32]. Kept are numbers alone: no
 * person, no conversation, no time but the day.
 */

export const DAY_MS = 86_400_000;
/** A replay looks back over this many days. */
export const REPLAY_DAYS = 30;
/** A little longer than a replay looks back, so that its first day is whole. */
const KEPT_DAYS = REPLAY_DAYS + 2;
/** Partners whose counts are in memory between two flushes; each takes some kilobytes. */
const PARTNERS_MAX = 512;
/** Organisations without any certificate, which anybody can make us ask about, on one day. */
const STRANGERS_PER_DAY_MAX = 256;

const DIRECTIONS = ['outgoing', 'incoming'] as const;
const LABEL_NAMES = Object.keys(LABELS) as Label[]; // the keys of LABELS are the labels
const OUTCOMES = ['allow', ...(Object.keys(TRUST_REASONS) as TrustReason[])] as const; // the keys are the reasons
const NO_LABEL = '-';

type Outcome = (typeof OUTCOMES)[number];
/** What was asked, without the partner and the size. */
export type CountedQuestion = Pick<TrustQuestion, 'direction' | 'permission' | 'label'>;

const OUTCOME_INDEX: Readonly<Record<string, number>> = indexOf(OUTCOMES);
const PERMISSION_INDEX = indexOf(PERMISSIONS);
const LABEL_INDEX = indexOf(LABEL_NAMES);
const LABEL_SLOTS = LABEL_NAMES.length + 1;
const QUESTIONS = DIRECTIONS.length * PERMISSIONS.length * LABEL_SLOTS;

function indexOf<T extends string>(names: readonly T[]): Readonly<Record<T, number>> {
  return Object.fromEntries(names.map((name, index) => [name, index])) as Record<T, number>; // one entry for each name
}

export interface DecisionCountDependencies {
  readonly store: Pick<Store, 'commit' | 'read'>;
  readonly clock: Clock;
  readonly onFault: (error: unknown) => void;
}

export class DecisionCounts {
  readonly #d: DecisionCountDependencies;
  /** One counter for each question and outcome; kept and zeroed, so that counting allocates nothing. */
  readonly #counters = new Map<Domain, Uint32Array>();
  readonly #strangers = new Set<Domain>();
  #day: number;
  #prunedDay = -1;
  #uncounted = 0;
  #turn: Promise<void> = Promise.resolve();

  constructor(dependencies: DecisionCountDependencies) {
    this.#d = dependencies;
    this.#day = dayOf(dependencies.clock.now());
  }

  /** Decisions that were not counted because too many organisations were asked about. */
  get uncounted(): number {
    return this.#uncounted;
  }

  /** Of the hot path: no promise, no text, no object once a partner is known. `now`: milliseconds since 1970. */
  count(question: TrustQuestion, decision: TrustDecision, now: number): void {
    if (dayOf(now) !== this.#day) this.#turnDay(dayOf(now));
    const outcome = decision.kind === 'allow' ? 'allow' : decision.reason;
    const counters = this.#counters.get(question.remote) ?? this.#begin(question.remote, outcome);
    if (counters === undefined) {
      this.#uncounted += 1;
      return;
    }
    const slot = questionSlot(question) * OUTCOMES.length + (OUTCOME_INDEX[outcome] ?? 0);
    counters[slot] = (counters[slot] ?? 0) + 1;
  }

  #begin(peer: Domain, outcome: Outcome): Uint32Array | undefined {
    if (this.#counters.size >= PARTNERS_MAX) return undefined;
    if (outcome === 'none_given') {
      // Who is asked about is up to devices: strangers must not fill the memory or the disk.
      if (!this.#strangers.has(peer) && this.#strangers.size >= STRANGERS_PER_DAY_MAX) return undefined;
      this.#strangers.add(peer);
    }
    const counters = new Uint32Array(QUESTIONS * OUTCOMES.length);
    this.#counters.set(peer, counters);
    return counters;
  }

  #turnDay(day: number): void {
    void this.flush().catch(this.#d.onFault); // takes what was counted at once, for the day that is over
    this.#day = day;
    this.#strangers.clear();
  }

  /** Every minute, and before a stop. What could not be written is counted again. */
  flush(): Promise<void> {
    const rows = this.#take();
    const mine = this.#turn.then(() => this.#write(rows));
    this.#turn = mine.catch(() => undefined); // whoever asked is told; the next one goes on
    return mine;
  }

  #take(): readonly TrustDecidedRow[] {
    const rows: TrustDecidedRow[] = [];
    for (const [peer, counters] of this.#counters) {
      let used = false;
      for (const [slot, count] of counters.entries()) {
        if (count === 0) continue;
        used = true;
        rows.push({ day: this.#day, peer, ...wordsOf(slot), count });
      }
      if (used) counters.fill(0);
      else this.#counters.delete(peer); // silent for a whole period: makes room
    }
    return rows;
  }

  async #write(rows: readonly TrustDecidedRow[]): Promise<void> {
    const today = dayOf(this.#d.clock.now());
    const prune: readonly StoreWrite[] =
      today > this.#prunedDay ? [{ op: 'trust.decided.prune', day: today - KEPT_DAYS }] : [];
    if (rows.length === 0 && prune.length === 0) return;
    try {
      await this.#d.store.commit([...rows.map((decided) => ({ op: 'trust.decided', decided }) as const), ...prune]);
      this.#prunedDay = today;
    } catch (error) {
      this.#putBack(rows);
      throw error;
    }
  }

  #putBack(rows: readonly TrustDecidedRow[]): void {
    for (const { day, peer, question, outcome, count } of rows) {
      const parsed = parseQuestion(question);
      const counters = this.#counters.get(peer) ?? this.#begin(peer, 'allow');
      const index = OUTCOME_INDEX[outcome];
      if (day !== this.#day || parsed === undefined || counters === undefined || index === undefined) {
        this.#uncounted += count;
        continue;
      }
      const slot = questionSlot(parsed) * OUTCOMES.length + index;
      counters[slot] = (counters[slot] ?? 0) + count;
    }
  }

  /** What was decided in the last `REPLAY_DAYS` days, up to now. */
  async recorded(): Promise<readonly TrustDecidedRow[]> {
    await this.flush();
    return await this.#d.store.read.trustDecided(dayOf(this.#d.clock.now()) - REPLAY_DAYS);
  }
}

export function dayOf(now: number): number {
  return Math.floor(now / DAY_MS);
}

function questionSlot({ direction, permission, label }: CountedQuestion): number {
  const way = direction === 'outgoing' ? 0 : 1;
  const place = label === undefined ? LABEL_NAMES.length : LABEL_INDEX[label];
  return (way * PERMISSIONS.length + PERMISSION_INDEX[permission]) * LABEL_SLOTS + place;
}

/** `outgoing message_relay secret`, and the outcome of the slot. */
function wordsOf(slot: number): { readonly question: string; readonly outcome: string } {
  const question = Math.floor(slot / OUTCOMES.length);
  const label = LABEL_NAMES[question % LABEL_SLOTS] ?? NO_LABEL;
  const permission = PERMISSIONS[Math.floor(question / LABEL_SLOTS) % PERMISSIONS.length];
  const direction = DIRECTIONS[Math.floor(question / LABEL_SLOTS / PERMISSIONS.length)];
  return { question: `${direction} ${permission} ${label}`, outcome: OUTCOMES[slot % OUTCOMES.length] ?? '' };
}

/** Undefined for what another version wrote and this one does not know. */
export function parseQuestion(text: string): CountedQuestion | undefined {
  const [way, what, mark] = text.split(' ');
  const direction = DIRECTIONS.find((one) => one === way);
  const permission: Permission | undefined = PERMISSIONS.find((one) => one === what);
  const label = LABEL_NAMES.find((one) => one === mark);
  if (direction === undefined || permission === undefined || (label === undefined && mark !== NO_LABEL))
    return undefined;
  return { direction, permission, ...(label === undefined ? {} : { label }) };
}
