import { type VectorFile, writeWhenRun } from './files.ts';
import { certificateVectors } from './norc-t/certificates.ts';
import { decisionVectors } from './norc-t/decisions.ts';
import { exchangeVectors } from './norc-t/exchanges.ts';
import { scoreVectors } from './norc-t/scores.ts';
import { trustVectors } from './norc-t/trust.ts';

/** Test vectors for spec/certificates and spec/norc-t. */

export const norcTVectors: readonly VectorFile[] = [
  ...certificateVectors,
  ...trustVectors,
  ...exchangeVectors,
  ...scoreVectors,
  ...decisionVectors,
];

writeWhenRun(import.meta, 'norc-t', norcTVectors);
