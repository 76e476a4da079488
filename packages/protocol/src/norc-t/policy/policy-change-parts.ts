/** What the comparisons of policies are made of. */

export type ChangeEffect = 'loosens' | 'tightens' | 'neutral';

export interface PolicyChange {
  readonly effect: ChangeEffect;
  /** The setting, as the file names it. */
  readonly path: string;
  /** One sentence for officers. */
  readonly sentence: string;
}

export const fromTo = (before: string | number, after: string | number): string => `from ${before} to ${after}`;

interface NumberChange {
  readonly what: string;
  readonly before: number;
  readonly after: number;
  readonly unit?: string;
  /** What a higher number does; a lower one does the opposite. */
  readonly more: ChangeEffect;
}

const OPPOSITE: Readonly<Record<ChangeEffect, ChangeEffect>> = {
  loosens: 'tightens',
  tightens: 'loosens',
  neutral: 'neutral',
};

export function numberChange(path: string, change: NumberChange): readonly PolicyChange[] {
  const { what, before, after, unit, more } = change;
  if (before === after) return [];
  const effect = after > before ? more : OPPOSITE[more];
  const suffix = unit === undefined ? '' : ` ${unit}`;
  return [{ effect, path, sentence: `${what}: ${fromTo(before, after)}${suffix}.` }];
}

interface SetChange<T> {
  readonly path: (item: T) => string;
  readonly added: readonly [ChangeEffect, (item: T) => string];
  readonly removed: readonly [ChangeEffect, (item: T) => string];
}

export function setChanges<T>(before: ReadonlySet<T>, after: ReadonlySet<T>, change: SetChange<T>) {
  const tell = (items: readonly T[], [effect, sentence]: SetChange<T>['added']): readonly PolicyChange[] =>
    items.map((item) => ({ effect, path: change.path(item), sentence: sentence(item) }));
  return [
    ...tell(without(after, before), change.added),
    ...tell(without(before, after), change.removed),
  ] satisfies readonly PolicyChange[];
}

function without<T>(items: ReadonlySet<T>, others: ReadonlySet<T>): readonly T[] {
  return [...items].filter((item) => !others.has(item));
}
