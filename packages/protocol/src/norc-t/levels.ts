import { LABELS, type Label, LEVELS, type TrustLevel } from '../base/index.ts';

/** A level that a trust certificate can state. */
export type GrantedLevel = Exclude<TrustLevel, 'untrusted'>;
export const GRANTED_LEVELS = ['basic', 'verified', 'classified', 'nato'] as const satisfies readonly GrantedLevel[];

/** Negative when `a` is lower than `b`, zero when equal, positive when higher. */
export function compareLevels(a: TrustLevel, b: TrustLevel): number {
  return LEVELS[a].rank - LEVELS[b].rank;
}

export function atLeast(level: TrustLevel, least: TrustLevel): boolean {
  return compareLevels(level, least) >= 0;
}

/** The level that counts between organisations is the lowest of those that are held [TRUST-1]. */
export function lowestLevel<L extends TrustLevel>(first: L, ...others: readonly L[]): L {
  return others.reduce((lowest, level) => (compareLevels(level, lowest) < 0 ? level : lowest), first);
}

/** The least level that may carry a label. */
export function levelForLabel(label: Label): GrantedLevel {
  return LABELS[label].level;
}

/** Whether a pair of organisations at `level` may exchange `label`; nato labels need both to be nato-capable [TRUST-2]. */
export function labelAllowed(label: Label, level: TrustLevel, natoCapable: boolean): boolean {
  return atLeast(level, levelForLabel(label)) && (natoCapable || !LABELS[label].nato);
}

/** Whether a conversation that carries `from` may change to `to`: raised, never lowered [TRUST-3]. */
export function mayRelabel(from: Label, to: Label): boolean {
  return LABELS[to].order >= LABELS[from].order;
}
