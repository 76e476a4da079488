import { errorNameOf, type Instant, type MessageId, type Random } from '@norc/protocol/base';
import { type NorcCBody, type NorcCMessage, OpenRequests } from '@norc/protocol/norc-c';
import type { ReceivedMessage } from '@norc/protocol/wire';
import { type Answer, type AskType, failure, type OpenAsk } from './ask.ts';
import { newMessageId } from './session-link.ts';

/** Requests that wait for room. Engines bound what they have under way, so more is a loop of our own. */
const WAITING_MAX = 1024;
/** A server may not silence a device for longer by one word. */
const RETRY_AFTER_MS_MAX = 3_600_000;

/** How a received message was disposed of. */
export type Sorted = 'reply' | 'push' | 'late' | 'unexpected';

/** The requests of one ready connection: bounded in number and time, sorted from pushes. */
export class AskQueue {
  readonly #open = new OpenRequests<OpenAsk>();
  readonly #waiting: OpenAsk[] = [];
  readonly #random: Random;
  readonly #send: (ask: OpenAsk) => 'sent' | 'closed' | 'too_large';

  constructor(random: Random, send: (ask: OpenAsk) => 'sent' | 'closed' | 'too_large') {
    this.#random = random;
    this.#send = send;
  }

  /** When `expire` is due. */
  get nextDeadline(): Instant | undefined {
    return this.#open.nextDeadline;
  }

  ask<T extends AskType>(type: T, body: NorcCBody<T>, now: Instant, done: (answer: Answer<T>) => void): void {
    const ask = {
      id: newMessageId(this.#random),
      message: { type, body } as NorcCMessage, // the body of this very type
      done: done as OpenAsk['done'], // `arrived` passes on only what may answer this type
    };
    if (this.#open.hasRoom) this.#start(ask, now);
    else if (this.#waiting.length < WAITING_MAX) this.#waiting.push(ask);
    else done(failure('unsent', { code: 'queue_full', detail: 'requests of this session' }));
  }

  /** Whether the server is there: the answer is a pong. */
  ping(now: Instant, answered: () => void): void {
    if (!this.#open.hasRoom) return;
    const ping = { id: newMessageId(this.#random), message: { type: 'ping', body: {} }, done: answered } as const;
    this.#start(ping, now);
  }

  #start(ask: OpenAsk, now: Instant): void {
    this.#open.add(ask.id, ask.message.type, now, ask);
    const outcome = this.#send(ask);
    if (outcome === 'sent') return;
    this.#open.arrived(ask.id, 'error'); // closes it
    const code = outcome === 'closed' ? 'no_route' : 'limit_exceeded';
    ask.done(failure(outcome === 'closed' ? 'unsent' : 'refused', { code, detail: ask.message.type }));
  }

  arrived(id: MessageId, message: ReceivedMessage<NorcCMessage>, now: Instant): Sorted {
    const arrival = this.#open.arrived(id, message.type);
    if (arrival.is !== 'reply') return arrival.is;
    answer(arrival.request.context, message);
    this.#fill(now);
    return 'reply';
  }

  expire(now: Instant): void {
    for (const { context } of this.#open.expire(now))
      context.done(failure('lost', { code: 'no_route', detail: 'timeout' }));
    this.#fill(now);
  }

  /** The connection ended. */
  close(): void {
    const waiting = this.#waiting.splice(0);
    for (const { context } of this.#open.close())
      context.done(failure('lost', { code: 'no_route', detail: 'session' }));
    for (const ask of waiting) ask.done(failure('unsent', { code: 'no_route', detail: 'session' }));
  }

  #fill(now: Instant): void {
    while (this.#open.hasRoom) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#start(next, now);
    }
  }
}

function answer({ done }: OpenAsk, message: ReceivedMessage<NorcCMessage>): void {
  if (message.type !== 'error') {
    done({ ok: true, value: message.body });
    return;
  }
  const { code, retry_after_ms: asked } = message.body;
  const retryAfter = asked === undefined ? undefined : Math.min(asked, RETRY_AFTER_MS_MAX);
  done(failure('refused', { code: errorNameOf(code) ?? 'internal', detail: 'said by the server' }, retryAfter));
}
