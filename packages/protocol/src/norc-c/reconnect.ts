import { type ErrorName, type Instant, isRetryable, LIMITS, nextRetry, type Random } from '../base/index.ts';

/** How a device keeps its connection (spec/norc-c section 2). */
export type Connection = Connecting | Online | Waiting | Stopped;

/** An attempt is under way. `failures`: attempts in a row that came to nothing. */
export interface Connecting {
  readonly state: 'connecting';
  readonly failures: number;
}

export interface Online {
  readonly state: 'online';
  readonly since: Instant;
  readonly failures: number;
}

export interface Waiting {
  readonly state: 'waiting';
  readonly failures: number;
  readonly retryAt: Instant;
}

/** Trying again cannot help: a person has to do something about `code`. */
export interface Stopped {
  readonly state: 'stopped';
  readonly code: ErrorName;
}

export const CONNECT: Connecting = { state: 'connecting', failures: 0 };

/** The session is ready. */
export function connected(connection: Connecting, now: Instant): Online {
  return { state: 'online', since: now, failures: connection.failures };
}

/** The connection, or the attempt, is over. `code`: what the server or we ended it with; absent when it just broke. */
export function disconnected(
  connection: Connecting | Online,
  now: Instant,
  random: Random,
  code?: ErrorName,
): Waiting | Stopped {
  if (code !== undefined && !mayReconnect(code)) return { state: 'stopped', code };
  const failures = lastedLong(connection, now) ? 0 : connection.failures;
  return { state: 'waiting', failures: failures + 1, retryAt: nextRetry(now, failures, random) };
}

/** A peer's breach of the protocol may be one bad server of several, or a bug that is gone after its restart. */
const WORTH_A_TRY: readonly ErrorName[] = ['unexpected_message', 'frame_rejected', 'auth_required', 'rekey_required'];

function mayReconnect(code: ErrorName): boolean {
  return isRetryable(code) || WORTH_A_TRY.includes(code);
}

/** A server that accepts and drops at once is not back: its failures still count. */
function lastedLong(connection: Connecting | Online, now: Instant): boolean {
  return connection.state === 'online' && now - connection.since >= LIMITS.retryDelayMillisecondsMax;
}

/** The wait is over, or the network told that it is back. */
export function reconnect(connection: Waiting): Connecting {
  return { state: 'connecting', failures: connection.failures };
}
