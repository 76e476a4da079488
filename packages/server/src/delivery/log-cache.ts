import type { ConversationId } from '@norc/protocol/base';
import type { ConversationLog } from './conversation-log.ts';

const LOGS_MAX = 10_000;

/**
 * The logs in memory; one that was used since it was last considered, or has work under
 * way, stays. Each conversation is loaded once, however many ask at the same time: two
 * logs of one conversation would race each other.
 */
export class LogCache {
  readonly #logs = new Map<ConversationId, ConversationLog>();
  readonly #loading = new Map<ConversationId, Promise<ConversationLog | undefined>>();
  readonly #load: (conversation: ConversationId) => Promise<ConversationLog | undefined>;
  readonly #max: number;

  constructor(load: (conversation: ConversationId) => Promise<ConversationLog | undefined>, max: number = LOGS_MAX) {
    this.#load = load;
    this.#max = max;
  }

  /** Without waiting, when it is in memory: the hot path. */
  peek(conversation: ConversationId): ConversationLog | undefined {
    const log = this.#logs.get(conversation);
    if (log !== undefined) log.used = true;
    return log;
  }

  async get(conversation: ConversationId): Promise<ConversationLog | undefined> {
    const log = this.peek(conversation);
    if (log !== undefined) return log;
    const loading = this.#loading.get(conversation) ?? this.#start(conversation);
    return await loading;
  }

  #start(conversation: ConversationId): Promise<ConversationLog | undefined> {
    const loading = this.#load(conversation)
      .then((log) => {
        if (log !== undefined) this.#keep(log);
        return log;
      })
      .finally(() => this.#loading.delete(conversation));
    this.#loading.set(conversation, loading);
    return loading;
  }

  /** The oldest goes; one that was used since it was last looked at counts as new once more. */
  #keep(log: ConversationLog): void {
    this.#logs.set(log.conversation, log);
    let left = 2 * this.#logs.size; // once round, and once more when all were used
    for (const [id, oldest] of this.#logs) {
      if (this.#logs.size <= this.#max || left === 0) return;
      left -= 1;
      this.#logs.delete(id);
      if (!(oldest.used || oldest.busy || oldest === log)) continue;
      oldest.used = false;
      this.#logs.set(id, oldest);
    }
  }

  inMemory(): Iterable<ConversationLog> {
    return this.#logs.values();
  }
}
