import { randomFillSync } from 'node:crypto';

const pool = new Uint8Array(4096);
let poolAt = pool.length;

/** In the layout of UUID version 7, as clients make them: 48 bits of time, then random. */
export function messageBytes(target: Uint8Array = new Uint8Array(16)): Uint8Array {
  if (poolAt === pool.length) {
    randomFillSync(pool);
    poolAt = 0;
  }
  target.set(pool.subarray(poolAt, poolAt + 16));
  poolAt += 16;
  let time = Date.now();
  for (let i = 5; i >= 0; i -= 1) {
    target[i] = time % 256;
    time = Math.floor(time / 256);
  }
  return target;
}

const COUNT_AT = 12;
const SENDER_AT = 9;

/** An id that says which device sent it (24 bits) and as its how-manieth message (32 bits). */
export function numberedId(target: Uint8Array, sender: number, count: number): Uint8Array {
  messageBytes(target);
  target[SENDER_AT] = sender >> 16;
  target[SENDER_AT + 1] = sender >> 8;
  target[SENDER_AT + 2] = sender;
  for (let i = 0; i < 4; i += 1) target[COUNT_AT + i] = count >>> (24 - 8 * i);
  return target;
}

export function senderOf(id: string): number {
  return Number.parseInt(id.slice(2 * SENDER_AT, 2 * COUNT_AT), 16);
}

export function countOf(id: string): number {
  return Number.parseInt(id.slice(2 * COUNT_AT), 16);
}
