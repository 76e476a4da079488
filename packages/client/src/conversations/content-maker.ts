import { type Instant, instant, type MessageId, type UserAddress } from '@norc/protocol/base';
import type { MessageContent } from '@norc/protocol/norc-c';
import type { EngineContext } from './context.ts';
import { RisingTime, timeOrderedId } from './message-ids.ts';

export interface TextOptions {
  readonly replyTo?: MessageId;
  readonly mentions?: readonly UserAddress[];
  /** Receivers erase it then. */
  readonly expiresAt?: Instant;
}

/** Makes what this device says: ids, and times that rise strictly, also past what waits since before a clock was set back. */
export class ContentMaker {
  readonly #ctx: EngineContext;
  readonly #time: RisingTime;

  private constructor(ctx: EngineContext, last: Instant) {
    this.#ctx = ctx;
    this.#time = new RisingTime(last);
  }

  static async open(ctx: EngineContext): Promise<ContentMaker> {
    const waiting = await ctx.store.read.outgoing();
    return new ContentMaker(ctx, instant(Math.max(0, ...waiting.map(({ createdAt }) => createdAt))));
  }

  text(text: string, { replyTo, mentions, expiresAt }: TextOptions): MessageContent {
    return {
      kind: 'text',
      ...this.#head(),
      ...(replyTo === undefined ? {} : { reply_to: replyTo }),
      ...(mentions === undefined || mentions.length === 0 ? {} : { mentions }),
      ...(expiresAt === undefined ? {} : { expires_at: expiresAt }),
      body: { text },
    };
  }

  edit(target: MessageId, text: string): MessageContent {
    return { kind: 'edit', ...this.#head(), body: { target, text } };
  }

  delete(target: MessageId): MessageContent {
    return { kind: 'delete', ...this.#head(), body: { target } };
  }

  reaction(target: MessageId, emoji: string, removed: boolean): MessageContent {
    return { kind: 'reaction', ...this.#head(), body: removed ? { target, emoji, removed } : { target, emoji } };
  }

  /** Read up to this message. */
  receipt(target: MessageId): MessageContent {
    return { kind: 'receipt', ...this.#head(), body: { targets: [target] } };
  }

  control(action: 'rename' | 'leave', text?: string): MessageContent {
    return { kind: 'control', ...this.#head(), body: text === undefined ? { action } : { action, text } };
  }

  #head() {
    const sentAt = this.#time.next(this.#ctx.clock.now());
    return { message_id: timeOrderedId(sentAt, this.#ctx.random), sent_at: sentAt };
  }
}
