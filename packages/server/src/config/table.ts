/** A TOML table, or what is shaped like one. */
export type RawTable = Readonly<Record<string, unknown>>;

export function isTable(value: unknown): value is RawTable {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}
