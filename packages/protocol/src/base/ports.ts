import type { Instant } from './ids.ts';

/** The only source of time for protocol code. */
export interface Clock {
  now(): Instant;
}

/** The only source of randomness for protocol code: uniform, unpredictable bytes (deterministic in a simulation). */
export interface Random {
  bytes(length: number): Uint8Array;
}
