import type { SQLOutputValue } from 'node:sqlite';
import { StorageError } from '../port.ts';

export type Row = Record<string, SQLOutputValue>;

/** Columns of a STRICT table have one type, so another one means a damaged file. */
function damaged(column: string): StorageError {
  return new StorageError('corrupt', `the database is damaged: column ${column} has the wrong type`);
}

export function integerOf(row: Row | undefined, column: string): number {
  const value = row?.[column];
  if (typeof value !== 'number') throw damaged(column);
  return value;
}

export function optionalIntegerOf(row: Row, column: string): number | undefined {
  return row[column] === null ? undefined : integerOf(row, column);
}

export function textOf(row: Row | undefined, column: string): string {
  const value = row?.[column];
  if (typeof value !== 'string') throw damaged(column);
  return value;
}

export function bytesOf(row: Row | undefined, column: string): Uint8Array<ArrayBuffer> {
  const value = row?.[column];
  if (!(value instanceof Uint8Array)) throw damaged(column);
  return value;
}

export function optionalBytesOf(row: Row, column: string): Uint8Array<ArrayBuffer> | undefined {
  return row[column] === null ? undefined : bytesOf(row, column);
}
