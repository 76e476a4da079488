import { inTime } from './deadline.ts';

/** Things that come one by one, and those who wait for one of a kind. */
export class Mailbox<T> {
  readonly #items: T[] = [];
  readonly #waiting = new Set<{ readonly wants: (item: T) => boolean; readonly give: (item: T) => void }>();

  put(item: T): void {
    for (const one of this.#waiting) {
      if (!one.wants(item)) continue;
      this.#waiting.delete(one);
      one.give(item);
      return;
    }
    this.#items.push(item);
  }

  /** What came and nobody took. */
  get items(): readonly T[] {
    return this.#items;
  }

  /** Takes the first that fits, waiting for it if need be. */
  async take(what: string, wants: (item: T) => boolean): Promise<T> {
    const index = this.#items.findIndex(wants);
    const [known] = index < 0 ? [] : this.#items.splice(index, 1);
    if (known !== undefined) return known;
    return await inTime(what, new Promise<T>((give) => this.#waiting.add({ wants, give })));
  }
}
