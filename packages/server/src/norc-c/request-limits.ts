import { type Clock, fullBucket, LIMITS, type RatePolicy, type TokenBucket, takeTokens } from '@norc/protocol/base';
import type { NorcCMessage } from '@norc/protocol/norc-c';

const MINUTE_MS = 60_000;
const LOOKUPS: RatePolicy = {
  count: LIMITS.keyLookupsPerMinute,
  perMilliseconds: MINUTE_MS,
  burst: LIMITS.keyLookupsPerMinute,
};

/** Rates of one device session (PROTOCOL 7): what it may send, and how often it may look others up. */
export class RequestLimits {
  readonly #messages: RatePolicy;
  readonly #clock: Clock;
  #sent: TokenBucket;
  #lookedUp: TokenBucket;

  constructor(messages: RatePolicy, clock: Clock) {
    const now = clock.now();
    this.#messages = messages;
    this.#clock = clock;
    this.#sent = fullBucket(messages, now);
    this.#lookedUp = fullBucket(LOOKUPS, now);
  }

  /** 0 when the request may go on, else after how many milliseconds it may. */
  take(type: NorcCMessage['type']): number {
    switch (type) {
      case 'message_send':
      case 'commit_submit':
      case 'conversation_create': {
        const taken = takeTokens(this.#messages, this.#sent, this.#clock.now());
        this.#sent = taken.bucket;
        return taken.allowed ? 0 : taken.retryAfterMilliseconds;
      }
      case 'key_request':
      case 'org_request': {
        const taken = takeTokens(LOOKUPS, this.#lookedUp, this.#clock.now());
        this.#lookedUp = taken.bucket;
        return taken.allowed ? 0 : taken.retryAfterMilliseconds;
      }
      default:
        return 0;
    }
  }
}
