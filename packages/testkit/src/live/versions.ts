import { test } from 'node:test';

/** Versions of one test run: what alpha's and bravo's servers speak, and what devices offer. */
export interface VersionPair {
  readonly name: string;
  readonly first: readonly string[];
  readonly second: readonly string[];
  /** What the two agree on. */
  readonly negotiated: string;
}

/** `2.0` speaks both, as it does in life; `1.2` is the older program. */
const LISTS = { '2.0': ['2.0', '1.2'], '1.2': ['1.2'] } as const;
type Generation = keyof typeof LISTS;

const PAIRS: readonly (readonly [Generation, Generation])[] = [
  ['2.0', '2.0'],
  ['2.0', '1.2'],
  ['1.2', '2.0'],
  ['1.2', '1.2'],
];

/** The version matrix: one test for each pair. */
export function forEachVersionPair(name: string, run: (pair: VersionPair) => Promise<void>): void {
  for (const [first, second] of PAIRS) {
    const negotiated = first === '2.0' && second === '2.0' ? '2.0' : '1.2';
    const pair = { name: `${first}-${second}`, first: LISTS[first], second: LISTS[second], negotiated };
    test(`${name} [${pair.name}]`, () => run(pair));
  }
}
