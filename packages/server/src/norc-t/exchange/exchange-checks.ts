import type { Clock, Instant } from '@norc/protocol/base';
import type { EvidenceQuestion, Finding } from '@norc/protocol/norc-t';
import type { Timers } from '../../transport/timers.ts';

/*
 * Checks of evidence ask the world: names, files, lists of revoked certificates. Whoever is asked about decides how
 * long that takes, so few of them run at a time, strangers' apart from partners', and each has an end.
 */

const AT_ONCE = { partner: 8, stranger: 4 } as const;
const CHECK_MS_MAX = 60_000;
const MINUTE_MS = 60_000;
const WAIT_MS_MAX = 60 * MINUTE_MS;
const DOUBLINGS_MAX = 6;

export type CheckedFor = keyof typeof AT_ONCE;

/** When to try again what did not work: at once, then after 1, 2, 4 … 60 minutes. */
export class BackOff {
  readonly #tries = new Map<string, { readonly count: number; readonly next: number }>();

  isDue(id: string, now: Instant): boolean {
    return now >= (this.#tries.get(id)?.next ?? 0);
  }

  failed(id: string, now: Instant): void {
    const count = (this.#tries.get(id)?.count ?? 0) + 1;
    const wait = count === 1 ? 0 : Math.min(WAIT_MS_MAX, MINUTE_MS * 2 ** Math.min(count - 2, DOUBLINGS_MAX));
    this.#tries.set(id, { count, next: now + wait });
  }

  clear(id: string): void {
    this.#tries.delete(id);
  }
}

export interface CheckDependencies {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly checkEvidence: (question: EvidenceQuestion) => Promise<readonly Finding[] | undefined>;
}

export class EvidenceChecks {
  readonly #d: CheckDependencies;
  readonly #running = { partner: 0, stranger: 0 };
  readonly #backOff = new BackOff();

  constructor(dependencies: CheckDependencies) {
    this.#d = dependencies;
  }

  isDue(id: string): boolean {
    return this.#backOff.isDue(id, this.#d.clock.now());
  }

  forget(id: string): void {
    this.#backOff.clear(id);
  }

  /** `undefined`: no answer now, or no room to ask; it is to be asked again. */
  async check(id: string, who: CheckedFor, question: EvidenceQuestion): Promise<readonly Finding[] | undefined> {
    if (this.#running[who] >= AT_ONCE[who]) return undefined;
    this.#running[who] += 1;
    try {
      const findings = await this.#inTime(this.#d.checkEvidence(question));
      if (findings === undefined) this.#backOff.failed(id, this.#d.clock.now());
      else this.#backOff.clear(id);
      return findings;
    } finally {
      this.#running[who] -= 1;
    }
  }

  async #inTime<T>(answer: Promise<T>): Promise<T | undefined> {
    const late = Promise.withResolvers<undefined>();
    const cancel = this.#d.timers.after(CHECK_MS_MAX, () => late.resolve(undefined));
    try {
      return await Promise.race([answer, late.promise]);
    } finally {
      cancel();
    }
  }

  /** Runs `one` for all, as many at a time as may be asked about. */
  async each<T>(who: CheckedFor, all: readonly T[], one: (item: T) => Promise<void>): Promise<void> {
    const waiting = [...all];
    const work = async () => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) await one(next);
    };
    await Promise.all(Array.from({ length: AT_ONCE[who] }, work));
  }
}
