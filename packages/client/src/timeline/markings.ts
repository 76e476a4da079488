import type { Label, TrustLevel } from '@norc/protocol/base';

/**
 * How labels and levels are shown. The words decide; colors and glyphs help. A marking
 * is always made from the label, never typed by a person.
 */
export interface Marking {
  /** For the bars at the top and the bottom. */
  readonly banner: string;
  /** For a single message: `(S)`. */
  readonly portion: string;
  /** Which of the reserved marking colors. */
  readonly tone: MarkingTone;
}

export type MarkingTone = 'unclassified' | 'controlled' | 'restricted' | 'confidential' | 'secret' | 'top_secret';

export const MARKINGS: Readonly<Record<Label, Marking>> = {
  unclassified: { banner: 'UNCLASSIFIED', portion: 'U', tone: 'unclassified' },
  official_use_only: { banner: 'OFFICIAL USE ONLY', portion: 'OUO', tone: 'controlled' },
  nato_restricted: { banner: 'NATO RESTRICTED', portion: 'NR', tone: 'restricted' },
  confidential: { banner: 'CONFIDENTIAL', portion: 'C', tone: 'confidential' },
  nato_confidential: { banner: 'NATO CONFIDENTIAL', portion: 'NC', tone: 'confidential' },
  secret: { banner: 'SECRET', portion: 'S', tone: 'secret' },
  nato_secret: { banner: 'NATO SECRET', portion: 'NS', tone: 'secret' },
  top_secret: { banner: 'TOP SECRET', portion: 'TS', tone: 'top_secret' },
};

/** The chip of a trust level: rising bars, their ASCII form, and the word, which always stands beside them. */
export interface LevelChip {
  readonly word: string;
  readonly bar: string;
  readonly ascii: string;
}

export const LEVEL_CHIPS: Readonly<Record<TrustLevel, LevelChip>> = {
  untrusted: { word: 'Not connected', bar: '✕', ascii: 'x' },
  basic: { word: 'Basic', bar: '▁', ascii: '1' },
  verified: { word: 'Verified', bar: '▃', ascii: '2' },
  classified: { word: 'Classified', bar: '▅', ascii: '3' },
  nato: { word: 'NATO', bar: '▇', ascii: '4' },
};
