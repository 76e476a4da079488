import type { ConversationId, DeviceId, Domain } from '@norc/protocol/base';
import { type ConversationState, freeze } from '@norc/protocol/norc-f';
import type { Store } from '../storage/port.ts';
import type { ConversationLog } from './conversation-log.ts';
import type { Expulsions } from './expulsion.ts';
import { inBatches, inParallel } from './in-parallel.ts';
import type { LogCache } from './log-cache.ts';

const CONVERSATIONS_PER_COMMIT = 64;
const CONVERSATIONS_AT_ONCE = 32;
/** Proposals that a failing disk kept from the log are tried again. */
const RETRY_MS = 5_000;

export interface FreezingDependencies {
  readonly self: Domain;
  readonly store: Store;
  readonly after: (delayMilliseconds: number, run: () => void) => void;
  readonly onFault: (error: unknown) => void;
}

/** Conversations that wait: for trust to come back, or for a commit that puts a revoked device out. */
export class Freezing {
  readonly #d: FreezingDependencies;
  readonly #logs: LogCache;
  readonly #expulsions: Expulsions;

  constructor(dependencies: FreezingDependencies, logs: LogCache, expulsions: Expulsions) {
    this.#d = dependencies;
    this.#logs = logs;
    this.#expulsions = expulsions;
  }

  /** Trust in `domain` is suspended. */
  freeze(domain: Domain): Promise<number> {
    return this.#change(domain, true, ({ frozen, organisations }) => !frozen && organisations.has(domain));
  }

  /** It is back: what waits for a removal, or is closed, stays as it is. */
  async thaw(domain: Domain): Promise<number> {
    const waiting = new Set<ConversationId>();
    for (const conversation of await this.#d.store.read.conversationsWith(domain)) {
      const log = await this.#logs.get(conversation);
      if (log?.state.frozen === true && (await log.group()).proposed.size > 0) waiting.add(conversation);
    }
    const ready = (state: ConversationState) =>
      state.frozen && !waiting.has(state.conversation) && this.#expulsions.mayThaw(state);
    return await this.#change(domain, false, ready);
  }

  async #change(domain: Domain, frozen: boolean, chosen: (state: ConversationState) => boolean): Promise<number> {
    const shared = await this.#d.store.read.conversationsWith(domain);
    const to = (state: ConversationState) => (frozen ? freeze(state) : { ...state, frozen });
    let count = 0;
    for (const batch of inBatches(shared, CONVERSATIONS_PER_COMMIT)) {
      const logs = await Promise.all(batch.map((conversation) => this.#logs.get(conversation)));
      const changing = logs.filter((log): log is ConversationLog => log !== undefined && chosen(log.state));
      if (changing.length === 0) continue;
      if (frozen) for (const log of changing) log.adopt(to); // at once, before it is durable
      await this.#d.store.commit(
        changing.map(({ conversation: conversationId }) => ({ op: 'conversation.freeze', conversationId, frozen })),
      );
      for (const log of changing) log.adopt(to);
      count += changing.length;
    }
    return count;
  }

  /** One of our devices was revoked: where we are the hub nothing passes from here on, and the next commit puts it out. */
  async expelDevice(device: DeviceId, grew: (log: ConversationLog) => void): Promise<number> {
    const memberships = await this.#d.store.read.memberships(device);
    const current = memberships.filter(({ leftSeq }) => leftSeq === undefined);
    const logs: ConversationLog[] = [];
    for (const batch of inBatches(current, CONVERSATIONS_PER_COMMIT)) {
      const found = await Promise.all(batch.map(({ conversationId }) => this.#logs.get(conversationId)));
      const ours = found.filter((log) => log?.state.hub === this.#d.self && log.state.members.has(device));
      logs.push(...ours.filter((log) => log !== undefined));
    }
    const frozen = logs.filter((log) => log.state.members.has(device)); // still, without a moment in between
    for (const log of frozen) log.adopt(freeze);
    for (const batch of inBatches(frozen, CONVERSATIONS_PER_COMMIT)) {
      await this.#d.store.commit(
        batch.map(({ conversation }) => ({ op: 'conversation.freeze', conversationId: conversation, frozen: true })),
      );
      for (const log of batch) log.adopt(freeze); // as in a freeze of an end of trust: it may have been read again
    }
    return await this.#proposeDevice(device, frozen, grew);
  }

  async #proposeDevice(
    device: DeviceId,
    logs: readonly ConversationLog[],
    grew: (log: ConversationLog) => void,
  ): Promise<number> {
    let count = 0;
    try {
      await inParallel(CONVERSATIONS_AT_ONCE, logs, async (log) => {
        const outcome = await this.#expulsions.proposals.propose(log, (one) => one === device, 'device_revoked');
        if (outcome === 'nobody' || outcome === 'unnamed')
          this.#d.onFault(new Error(`a revoked device stays in a conversation, which stays frozen: ${outcome}`));
        if (outcome !== 'proposed') return;
        grew(log);
        count += 1;
      });
    } catch (error) {
      this.#d.onFault(error);
      this.#d.after(RETRY_MS, () => void this.#proposeDevice(device, logs, grew));
    }
    return count;
  }
}
