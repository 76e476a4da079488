import type { Setting } from './setting.ts';

/** The shape of a file of nested tables: what may stand where, and what it is read to. */
export type Shape = Setting<unknown> | Table | Tables;
export type Fields = Readonly<Record<string, Shape>>;

/** `[name]` */
export interface Table<F extends Fields = Fields> {
  readonly kind: 'table';
  readonly fields: F;
}

/** `[[name]]`, any number of times; no two with the same `key`. */
export interface Tables<F extends Fields = Fields> {
  readonly kind: 'tables';
  readonly fields: F;
  readonly key: keyof F & string;
  readonly lengthMax: number;
}

export type ValueOf<S> =
  S extends Tables<infer F>
    ? readonly ValuesOf<F>[]
    : S extends Table<infer F>
      ? ValuesOf<F>
      : S extends Setting<infer T>
        ? T
        : never;
export type ValuesOf<F> = { readonly [K in keyof F]: ValueOf<F[K]> };

export const table = <F extends Fields>(fields: F): Table<F> => ({ kind: 'table', fields });

export const tables = <F extends Fields>(key: keyof F & string, lengthMax: number, fields: F): Tables<F> => ({
  kind: 'tables',
  ...{ fields, key, lengthMax },
});

export function isSetting(shape: Shape): shape is Setting<unknown> {
  return !('kind' in shape);
}
