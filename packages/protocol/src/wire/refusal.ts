import { type ErrorName, err, ok, type Result, reject } from '../base/index.ts';

/**
 * How a decoder leaves its own recursion. Not an Error: no stack is captured, so
 * a flood of bad input costs no more than good input. Never crosses the border of
 * this folder: `received` turns it into a `Reject`.
 */
class Refusal {
  readonly code: ErrorName;
  readonly detail: string;
  constructor(code: ErrorName, detail: string) {
    this.code = code;
    this.detail = detail;
  }
}

/** Ends the decoding that runs inside `received`. `detail` names our fields and rules, never the peer's data. */
export function refuse(code: ErrorName, detail: string): never {
  throw new Refusal(code, detail);
}

/** Runs a decoder: its value, or why it refused. Anything else that is thrown is a bug and passes through. */
export function received<T>(decode: () => T): Result<T> {
  try {
    return ok(decode());
  } catch (thrown) {
    if (thrown instanceof Refusal) return err({ code: thrown.code, detail: thrown.detail });
    throw thrown;
  }
}

/** As `received`; the detail also says where in the message the decoder stood. */
export function receivedAt<T>(path: { toString(): string }, decode: () => T): Result<T> {
  const result = received(decode);
  return result.ok ? result : reject(result.error.code, `${path}: ${result.error.detail}`);
}
