import type { EvidenceKind } from '@norc/protocol/base';
import { type Finding, type PartnerRecord, trustScore } from '@norc/protocol/norc-t';
import { TEST_EPOCH, testFinding } from '@norc/testkit';
import type { VectorFile } from '../files.ts';

/** Cases of spec/norc-t section 3.4: the score. */

type Held = readonly [kind: EvidenceKind, perMille: number, method?: string];

function scoreCase(name: string, held: readonly Held[], record: PartnerRecord) {
  const findings = held.map(([kind, perMille, method]): Finding => {
    const changes = { weight: perMille / 1000, ...(method === undefined ? {} : { method }) };
    return testFinding(kind, TEST_EPOCH, changes);
  });
  const { total, parts } = trustScore(findings, record);
  return {
    name,
    held: held.map(([kind, weight_per_mille, method]) => ({
      ...{ kind, weight_per_mille },
      ...(method === undefined ? {} : { method }),
    })),
    incidents: record.incidents,
    days_in_force: record.daysInForce,
    total,
    parts: Object.fromEntries(parts.map(({ name: part, points }) => [part, points])),
  };
}

const nothing = { incidents: 0, daysInForce: 0 };
const domain: Held = ['domain_proof', 1000];

export const scoreVectors: readonly VectorFile[] = [
  {
    outcome: 'valid',
    kind: 'score',
    about:
      'held: findings that hold, with their weight in thousandths; parts: the points of each part; total: their sum.',
    cases: [
      scoreCase('nothing', [], nothing),
      scoreCase('a domain', [domain], nothing),
      scoreCase('an X.509 identity', [domain, ['organisation_identity', 1000, 'x509']], nothing),
      scoreCase('documents', [domain, ['organisation_identity', 1000, 'documents']], nothing),
      scoreCase('a chain whose revocation is not known', [domain, ['pki_chain', 500]], nothing),
      scoreCase('the best of two chains', [domain, ['pki_chain', 500], ['pki_chain', 900]], nothing),
      scoreCase('two incidents', [domain], { incidents: 2, daysInForce: 0 }),
      scoreCase('more incidents than points', [domain], { incidents: 9, daysInForce: 0 }),
      scoreCase('a hundred days', [domain], { incidents: 0, daysInForce: 100 }),
      scoreCase('ten years', [domain], { incidents: 0, daysInForce: 3650 }),
      scoreCase(
        'recommended over one hop and over two',
        [domain, ['recommendation', 950], ['recommendation', 903]],
        nothing,
      ),
      scoreCase(
        'everything',
        [domain, ['organisation_identity', 1000, 'x509'], ['pki_chain', 1000], ['compliance', 1000]],
        { incidents: 0, daysInForce: 365 },
      ),
    ],
  },
];
