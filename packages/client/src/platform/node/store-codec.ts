import { StoreError } from '../../store/port.ts';

/** Rows as JSON with bytes in base64url: what is inside a sealed column. */
export function encodeRow(row: object): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(row, writeBytes));
}

/**
 * The caller names the type it sealed: only this store writes these columns and the
 * seal proves it, so the shape is not checked again.
 */
export function decodeRow<T>(bytes: Uint8Array): T {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes), readBytes) as T; // see above
  } catch (cause) {
    throw new StoreError('corrupt', 'The profile is damaged: a row is not readable.', { cause });
  }
}

const BYTES = '$bytes';

/** `this` holds the value before a Buffer's own toJSON changed it. */
function writeBytes(this: Readonly<Record<string, unknown>>, key: string, value: unknown): unknown {
  const original = this[key];
  if (original instanceof Uint8Array) return { [BYTES]: Buffer.from(original).toString('base64url') };
  return value;
}

function readBytes(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || !(BYTES in value)) return value;
  return Uint8Array.from(Buffer.from(String(value[BYTES]), 'base64url'));
}
