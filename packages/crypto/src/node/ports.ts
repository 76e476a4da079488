import { randomFillSync } from 'node:crypto';
import { type Clock, instant, type Random } from '@norc/protocol/base';

/** The operating system's generator, by OpenSSL's. */
export const nodeRandom: Random = {
  bytes(length) {
    return randomFillSync(new Uint8Array(length));
  },
};

export const nodeClock: Clock = {
  now: () => instant(Date.now()),
};
