import { type Instant, instant, LIMITS } from '@norc/protocol/base';
import type { KeyPackageRow, KeyPackageStock } from '../store/rows.ts';
import type { EngineContext } from './context.ts';

const DAY_MS = 86_400_000;
const LIFE_MS = LIMITS.keyPackageDaysMax * DAY_MS;
/** A last-resort package is replaced this long before its end. */
const RENEW_MS = 3 * DAY_MS;
/** A Welcome may come late: secrets are kept for this long after the package's end. */
const LATE_MS = LIFE_MS;
/** Live one-time packages that are held, as a multiple of those that the server should have. */
const HELD_TIMES_MAX = 2;

/**
 * Keeps KeyPackages on the server, so that people can be reached while they are
 * offline. A one-time package is published at most once, even if its answer was lost:
 * one that were handed out twice would let the second inviter down.
 */
export class KeyStock {
  readonly #ctx: EngineContext;
  #checking: Promise<void> = Promise.resolve();
  #isChecking = false;

  constructor(ctx: EngineContext) {
    this.#ctx = ctx;
  }

  /** `count`: one-time packages that the server has. Undefined: only the last resort is looked after. */
  check(count: number | undefined): Promise<void> {
    this.#checking = this.#checking
      .then(async () => {
        this.#isChecking = true;
        await this.#check(count);
      })
      .catch(this.#ctx.fault)
      .finally(() => {
        this.#isChecking = false;
      });
    return this.#checking;
  }

  /** Pushed by the server. What it counted while packages are on their way is known to be wrong. */
  async counted(count: number): Promise<void> {
    if (!this.#isChecking) await this.check(count);
  }

  async #check(count: number | undefined): Promise<void> {
    await this.#forgetOld();
    const stock = await this.#ctx.store.read.keyPackages();
    const { keyPackages } = this.#ctx.policy;
    const low = count !== undefined && count < Math.min(LIMITS.keyPackagesLow, keyPackages);
    const missing = low ? Math.min(keyPackages - count, this.#room(stock)) : 0;
    const lastResort = stock.some((row) => this.#isGoodLastResort(row));
    if (missing > 0 || !lastResort) await this.#publish(missing, !lastResort, stock);
  }

  /** A server that says again and again that it has none must not fill the disk. */
  #room(stock: readonly KeyPackageStock[]): number {
    const live = stock.filter((row) => !row.lastResort && row.usedAt === undefined && row.expiresAt > this.#now());
    const unpublished = live.filter((row) => !row.published).length;
    return Math.max(0, HELD_TIMES_MAX * this.#ctx.policy.keyPackages - live.length) + unpublished;
  }

  #isGoodLastResort({ lastResort, published, usedAt, expiresAt }: KeyPackageStock): boolean {
    return lastResort && published && usedAt === undefined && expiresAt - RENEW_MS > this.#now();
  }

  /** Its private keys could still open what was recorded: they go as soon as no honest Welcome can need them. */
  async #forgetOld(): Promise<void> {
    const stock = await this.#ctx.store.read.keyPackages();
    const refs = stock.filter((row) => row.expiresAt + LATE_MS < this.#now()).map(({ ref }) => ref);
    if (refs.length > 0) await this.#ctx.store.transact([{ op: 'keyPackages.delete', refs }]);
  }

  async #publish(missing: number, lastResort: boolean, stock: readonly KeyPackageStock[]): Promise<void> {
    const unpublished = stock.filter((row) => !row.published && row.expiresAt > this.#now());
    const once = await this.#gather(missing, false, unpublished);
    const last = (await this.#gather(lastResort ? 1 : 0, true, unpublished))[0];
    const refs = once.map(({ ref }) => ref);
    await this.#ctx.store.transact([{ op: 'keyPackages.published', refs }]);
    const packages = once.map(({ publicPackage }) => publicPackage);
    const answer = await this.#ctx.session.request('key_publish', {
      packages,
      ...(last === undefined ? {} : { last_resort: last.publicPackage }),
    });
    if (answer.ok && last !== undefined) {
      await this.#ctx.store.transact([{ op: 'keyPackages.published', refs: [last.ref] }]);
    }
  }

  /** Those that were made and not published before a crash, and new ones. */
  async #gather(count: number, lastResort: boolean, unpublished: readonly KeyPackageStock[]): Promise<KeyPackageRow[]> {
    const rows: KeyPackageRow[] = [];
    for (const { ref } of unpublished.filter((row) => row.lastResort === lastResort).slice(0, count)) {
      const row = await this.#ctx.store.read.keyPackage(ref);
      if (row !== undefined) rows.push(row);
    }
    const made: KeyPackageRow[] = [];
    while (rows.length + made.length < count) made.push(await this.#make(lastResort));
    if (made.length > 0) await this.#ctx.store.transact([{ op: 'keyPackages.add', packages: made }]);
    return [...rows, ...made];
  }

  async #make(lastResort: boolean): Promise<KeyPackageRow> {
    const { mls, identity } = this.#ctx;
    const createdAt = this.#now();
    const made = await mls.createKeyPackage({ identity, lastResort });
    return {
      ref: made.ref,
      lastResort,
      published: false,
      createdAt,
      expiresAt: instant(createdAt + LIFE_MS),
      publicPackage: made.keyPackage,
      privatePackage: made.secret,
    };
  }

  #now(): Instant {
    return this.#ctx.deviceClock.now();
  }
}
