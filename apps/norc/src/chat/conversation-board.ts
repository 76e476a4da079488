import type { ConversationSummary, ConversationView, NorcClient } from '@norc/client';
import { type ConversationId, instant } from '@norc/protocol/base';

/** Rows that a summary looks at; more unread ones are not counted one by one. */
const SUMMARY_ROWS = 200;
const PAGE_ROWS = 100;

type Reader = Pick<NorcClient, 'conversations' | 'timeline'>;

/**
 * What the store says about every conversation, kept in memory. Only what changed is
 * read again, and changes that come while it reads are read in the next round.
 */
export class ConversationBoard {
  readonly #client: Reader;
  readonly #changed: () => void;
  readonly #fault: (fault: unknown) => void;
  readonly #dirty = new Set<ConversationId>();
  #summaries: ReadonlyMap<ConversationId, ConversationSummary> = new Map();
  #openId: ConversationId | undefined;
  #open: ConversationView | undefined;
  #rows = PAGE_ROWS;
  #round: Promise<void> | undefined;

  constructor(client: Reader, changed: () => void, fault: (fault: unknown) => void) {
    this.#client = client;
    this.#changed = changed;
    this.#fault = fault;
  }

  async load(): Promise<void> {
    this.#summaries = new Map((await this.#client.conversations()).map((one) => [one.conversationId, one]));
  }

  /** Most recent first. */
  get summaries(): readonly ConversationSummary[] {
    return [...this.#summaries.values()].sort((a, b) => b.lastTime - a.lastTime);
  }

  get open(): ConversationView | undefined {
    return this.#open;
  }

  /** Shows another conversation; resolves when it can be seen. */
  async show(id: ConversationId): Promise<void> {
    this.#openId = id;
    this.#rows = PAGE_ROWS;
    await this.touch(id);
  }

  async showOlder(): Promise<void> {
    if (this.#open === undefined || !this.#open.more) return;
    this.#rows += PAGE_ROWS;
    await this.touch(this.#open.conversationId);
  }

  /** Something about this conversation changed. Resolves when it is taken in. */
  touch(id: ConversationId): Promise<void> {
    this.#dirty.add(id);
    this.#round ??= this.#readAll().finally(() => {
      this.#round = undefined;
    });
    return this.#round;
  }

  async #readAll(): Promise<void> {
    try {
      // Events of one turn are one round.
      await new Promise((resolve) => setImmediate(resolve));
      while (this.#dirty.size > 0) {
        const ids = [...this.#dirty];
        this.#dirty.clear();
        for (const id of ids) await this.#read(id);
        this.#changed();
      }
    } catch (fault) {
      this.#fault(fault);
    }
  }

  async #read(id: ConversationId): Promise<void> {
    const isOpen = id === this.#openId;
    const view = await this.#client.timeline(id, { limit: isOpen ? Math.max(this.#rows, SUMMARY_ROWS) : SUMMARY_ROWS });
    const summaries = new Map(this.#summaries);
    if (view === undefined) summaries.delete(id);
    else summaries.set(id, summaryOf(view, summaries.get(id)));
    this.#summaries = summaries;
    if (id === this.#openId) this.#open = view;
  }
}

function summaryOf(view: ConversationView, before: ConversationSummary | undefined): ConversationSummary {
  const { conversationId, kind, title, level, standing, unread, items } = view;
  const failed = items.filter((item) => item.type === 'message' && item.state?.state === 'failed').length;
  const lastTime = (items.findLast((item) => item.type === 'message') ?? items.at(-1))?.time ?? before?.lastTime;
  return { conversationId, kind, title, level, standing, unread, failed, lastTime: lastTime ?? START };
}

/** Of a conversation in which nothing happened yet. */
const START = instant(0);
