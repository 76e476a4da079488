import { fromHex } from '../base/index.ts';

/**
 * Checks of values that we are about to send. A failure is our own fault: RangeError.
 * The codec that runs them adds the field's name.
 */

export const DOMAIN_BYTES_MAX = 253;
export const USER_BYTES_MAX = 64 + 1 + DOMAIN_BYTES_MAX;

export function checkBytes(value: unknown, lengthMin: number, lengthMax: number): Uint8Array {
  if (!(value instanceof Uint8Array)) throw new RangeError('not a byte string');
  if (value.length < lengthMin || value.length > lengthMax) throw new RangeError('byte string of a wrong length');
  return value;
}

/** The 16 bytes of an id in its memory form, lower-case hexadecimal. */
export function checkId(value: unknown): Uint8Array {
  const bytes = typeof value === 'string' && value.length === 32 ? fromHex(value) : undefined;
  if (bytes === undefined) throw new RangeError('not an id');
  return bytes;
}

export function checkText(value: unknown): string {
  if (typeof value !== 'string') throw new RangeError('not a text');
  return value;
}

export function checkUint(value: unknown, max: number): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    throw new RangeError('not an unsigned integer');
  }
  if (value > max) throw new RangeError('number is too large');
  return value;
}

export function checkChoice(value: unknown, values: readonly string[]): string {
  if (typeof value !== 'string' || !values.includes(value)) throw new RangeError('not one of the values');
  return value;
}

export function checkList(value: unknown, lengthMax: number): readonly unknown[] {
  if (!Array.isArray(value)) throw new RangeError('not a list');
  if (value.length > lengthMax) throw new RangeError('list is too long');
  return value;
}

export function checkStruct(value: unknown): Readonly<Record<string, unknown>> {
  if (!isRecord(value)) throw new RangeError('not a struct');
  return value;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
}
