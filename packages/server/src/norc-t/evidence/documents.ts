import { sameBytes } from '@norc/protocol/base';
import { type EvidenceQuestion, type Finding, MATERIAL } from '@norc/protocol/norc-t';
import { absent, type EvidenceWorld, failed, held } from './world.ts';

/** The partner named the hash and did not send the document: it knows which one is meant, and may not have it. */
const HASH_ONLY_WEIGHT = 0.5;
const HASH_BYTES = 32;

/** Documents that the policy names for the partner's domain, as themselves or by their hash [EVID-20]. */
export function checkDocuments({ crypto, clock, policy }: EvidenceWorld, question: EvidenceQuestion): Finding {
  const kind = 'organisation_identity';
  const now = clock.now();
  const expected = policy().documents.get(question.peer.domain) ?? [];
  const offered = question.material.flatMap(({ kind: name, data }) => {
    if (name === MATERIAL.document) return [{ hash: crypto.blake3(data), whole: true }];
    return name === MATERIAL.documentHash && data.length === HASH_BYTES ? [{ hash: data, whole: false }] : [];
  });
  const [first] = offered;
  if (first === undefined) return absent(kind, now, 'no document was sent');
  const method = 'documents';
  if (expected.length === 0) {
    return failed(kind, now, 'the policy names no document of this organisation', { method, hash: first.hash });
  }
  const matching = offered.filter(({ hash }) => expected.some((one) => sameBytes(one, hash)));
  const best = matching.find(({ whole }) => whole) ?? matching[0];
  if (best === undefined)
    return failed(kind, now, 'no document is one that the policy names', { method, hash: first.hash });
  return best.whole
    ? held(kind, now, 'a document is the one that the policy names', { method, hash: best.hash })
    : held(kind, now, 'the hash of a document is the one that the policy names; the document was not sent', {
        ...{ method, hash: best.hash, weight: HASH_ONLY_WEIGHT },
      });
}
