import { randomFillSync } from 'node:crypto';
import { type Clock, instant, type Random } from '@norc/protocol/base';

/** Ids and nonces are this short; keys are longer and never lie here. */
const POOLED_BYTES_MAX = 16;
const pool = new Uint8Array(1024);
let poolAt = pool.length;

/** The operating system's generator, by OpenSSL's. */
export const nodeRandom: Random = {
  bytes(length) {
    return length <= POOLED_BYTES_MAX ? pooled(length) : randomFillSync(new Uint8Array(length));
  },
};

/** A call of the generator costs more than the few bytes that a frame's id needs. */
function pooled(length: number): Uint8Array {
  if (poolAt + length > pool.length) {
    randomFillSync(pool);
    poolAt = 0;
  }
  const bytes = pool.slice(poolAt, poolAt + length);
  pool.fill(0, poolAt, poolAt + length);
  poolAt += length;
  return bytes;
}

export const nodeClock: Clock = {
  now: () => instant(Date.now()),
};
