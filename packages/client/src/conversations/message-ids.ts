import { type Instant, idFromBytes, instant, type MessageId, type Random } from '@norc/protocol/base';

const ID_BYTES = 16;
const TIME_BYTES = 6;

/**
 * A message id in the layout of UUID version 7 (RFC 9562 section 5.7): 48 bits of time,
 * then random. Ids of one device sort as they were made, which keeps indexes together;
 * nobody may conclude anything from the time in it.
 */
export function timeOrderedId(now: Instant, random: Random): MessageId {
  const bytes = random.bytes(ID_BYTES);
  let time: number = now;
  for (let i = TIME_BYTES - 1; i >= 0; i -= 1) {
    bytes[i] = time % 256;
    time = Math.floor(time / 256);
  }
  bytes[6] = 0x70 | ((bytes[6] ?? 0) & 0x0f);
  bytes[8] = 0x80 | ((bytes[8] ?? 0) & 0x3f);
  return idFromBytes(bytes);
}

/** Strictly rising times for own messages, so that they keep their order however fast they are written. */
export class RisingTime {
  #last: Instant;

  constructor(last: Instant) {
    this.#last = last;
  }

  next(now: Instant): Instant {
    this.#last = now > this.#last ? now : instant(this.#last + 1);
    return this.#last;
  }
}
