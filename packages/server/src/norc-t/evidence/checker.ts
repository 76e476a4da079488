import type { EvidenceQuestion, Finding } from '@norc/protocol/norc-t';
import { checkDocuments } from './documents.ts';
import { checkDomain } from './domain.ts';
import { checkAttestations, checkCompliance, checkRecommendations } from './statements.ts';
import type { EvidenceWorld } from './world.ts';
import { checkX509 } from './x509.ts';

export interface EvidenceChecker {
  /**
   * Everything that can be found out about a partner now, held or not, one or more findings for each
   * kind. Undefined: the name service does not answer now, which says nothing about the partner: ask again.
   */
  check(question: EvidenceQuestion): Promise<readonly Finding[] | undefined>;
}

/** Checks of evidence about partners (spec/evidence). The proof of the key, officers and second signatures belong to the exchange. */
export function createEvidenceChecker(world: EvidenceWorld): EvidenceChecker {
  return {
    async check(question) {
      const domain = await checkDomain(world, question);
      if (domain === undefined) return undefined;
      const [identity, ...pki] = await checkX509(world, question);
      return [
        domain,
        ...identities(identity, checkDocuments(world, question)),
        ...pki,
        ...checkAttestations(world, question),
        ...checkRecommendations(world, question),
        ...checkCompliance(world, question),
      ];
    },
  };
}

/** The identity of an organisation is shown by a chain or by documents: what was not tried is not held against it. */
function identities(chain: Finding | undefined, documents: Finding): readonly Finding[] {
  const both = [...(chain === undefined ? [] : [chain]), documents];
  const tried = both.filter(({ result }) => result !== 'absent');
  return tried.length > 0 ? tried : [{ ...documents, detail: 'neither an X.509 chain nor a document was sent' }];
}
