/**
 * Outcome of an operation whose failure is the peer's doing. A failure that is
 * the caller's fault, or a broken dependency, is thrown instead (spec/conventions).
 */
export type Result<T, E = Reject> = Ok<T> | Err<E>;

export interface Ok<T> {
  readonly ok: true;
  readonly value: T;
}

export interface Err<E> {
  readonly ok: false;
  readonly error: E;
}

/** Why something received was refused. `detail` names fields and rules; never user data or secrets. */
export interface Reject {
  readonly code: ErrorName;
  readonly detail: string;
}

import type { ErrorName } from './registry.generated.ts';

export function ok<T>(value: T): Ok<T> {
  return { ok: true, value };
}

export function err<E>(error: E): Err<E> {
  return { ok: false, error };
}

export function reject(code: ErrorName, detail: string): Err<Reject> {
  return { ok: false, error: { code, detail } };
}

/** Our own bug: an impossible state. The operation stops; nothing continues on a guess. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError';
}

export function invariant(condition: boolean, what: string): asserts condition {
  if (!condition) throw new InvariantError(what);
}
