import type { Clock, Result } from '@norc/protocol/base';
import { type ExchangeContext, type ExchangeEffect, resumeInitiator, resumeResponder } from '@norc/protocol/norc-t';
import type { ExchangeBook } from './exchange-book.ts';
import { BackOff, type CheckedFor, type EvidenceChecks } from './exchange-checks.ts';
import { type Exchange, isChecking, isOver } from './exchange-rows.ts';

/** Whether a step that asks the world waits for the answer, or leaves that to whoever comes later. */
export type WhenChecked = 'now' | 'later';

export interface RetryDependencies {
  readonly book: ExchangeBook;
  readonly checks: EvidenceChecks;
  readonly clock: Clock;
  readonly context: (exchange: Exchange) => ExchangeContext;
  readonly checkedFor: (exchange: Exchange) => CheckedFor;
  readonly isBusy: (id: string) => boolean;
  readonly inTurn: (id: string, run: () => Promise<void>) => Promise<void>;
  /** Lets deadlines pass. */
  readonly tick: (exchange: Exchange) => Promise<Result<Exchange>>;
  /** Carries out effects of a state that does not change. */
  readonly settle: (exchange: Exchange, effects: readonly ExchangeEffect[], checks: WhenChecked) => Promise<unknown>;
}

/** Asks again for what exchanges wait for: answers and messages may have been lost [TRUST-39]. */
export class ExchangeRetry {
  readonly #d: RetryDependencies;
  /** Acknowledgments that are sent again: the other side may have taken its decision back. */
  readonly #acknowledged = new BackOff();
  #running: Promise<void> | undefined;

  constructor(dependencies: RetryDependencies) {
    this.#d = dependencies;
  }

  forget(id: string): void {
    this.#acknowledged.clear(id);
  }

  /** What is sent goes out first; checks, which others can make slow, come after it. Resolves with the one that goes on, if one does. */
  run(): Promise<void> {
    this.#running ??= this.#all().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #all(): Promise<void> {
    const { book, checks, checkedFor, inTurn, isBusy } = this.#d;
    const faults: unknown[] = [];
    const each = async (id: string, run: (exchange: Exchange) => Promise<void>) => {
      if (isBusy(id)) return; // what it waits for is being done
      const turn = inTurn(id, async () => {
        const exchange = book.get(id);
        if (exchange !== undefined) await run(exchange);
      });
      await turn.catch((fault: unknown) => faults.push(fault)); // one must not keep the others waiting
    };
    for (const { id } of book.all) await each(id, (exchange) => this.#again(exchange));
    const due = book.all.filter((one) => isChecking(one) && checks.isDue(one.id));
    const ask = (who: CheckedFor) => {
      const theirs = due.filter((one) => checkedFor(one) === who);
      return checks.each(who, theirs, ({ id }) => each(id, (exchange) => this.#resume(exchange, 'now')));
    };
    await Promise.all([ask('partner'), ask('stranger')]);
    if (faults.length > 0) throw faults[0];
  }

  async #again(exchange: Exchange): Promise<void> {
    if (isOver(exchange)) return await this.#acknowledgeAgain(exchange);
    const ticked = await this.#d.tick(exchange);
    await this.#resume(ticked.ok ? ticked.value : exchange, 'later');
  }

  async #resume(exchange: Exchange, checks: WhenChecked): Promise<void> {
    if (!isOver(exchange)) await this.#d.settle(exchange, this.#effects(exchange), checks);
  }

  #effects(exchange: Exchange): readonly ExchangeEffect[] {
    const context = this.#d.context(exchange);
    const { role, state } = exchange;
    return role === 'initiator' ? resumeInitiator(context, state) : resumeResponder(context, state);
  }

  /** A responder that took its decision back says so once, and again when it hears of an acknowledgment [TRUST-82]. */
  async #acknowledgeAgain(exchange: Exchange): Promise<void> {
    const { role, state, id } = exchange;
    const now = this.#d.clock.now();
    if (role !== 'initiator' || state.phase !== 'established' || now >= state.expires_at) return;
    if (!this.#acknowledged.isDue(id, now)) return;
    this.#acknowledged.failed(id, now);
    await this.#d.settle(exchange, this.#effects(exchange), 'later');
  }
}
