import { ERRORS, type ErrorName } from './registry.generated.ts';

const NAMES: ReadonlyMap<number, ErrorName> = new Map(
  Object.entries(ERRORS).map(([name, { code }]) => [code, name as ErrorName]), // the keys of ERRORS are the names
);

/** The registry's name for a code that a peer sent; undefined for one that this side does not know. */
export function errorNameOf(code: number): ErrorName | undefined {
  return NAMES.get(code);
}

/** Whether the same may succeed later without anybody changing anything. */
export function isRetryable(name: ErrorName): boolean {
  return ERRORS[name].retryable;
}
