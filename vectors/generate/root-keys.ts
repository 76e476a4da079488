import { nodeCrypto } from '@norc/crypto/node';
import { toHex } from '@norc/protocol/base';
import {
  draftDocument,
  type KeyPair,
  parseDocument,
  type SignedDocument,
  signDocumentWith,
} from '@norc/protocol/crypto';
import {
  draftTrustCertificate,
  encodeParty,
  RECOVERY_SET,
  type RecoverySetBody,
  ROOT_ROTATION,
  type RotationBody,
} from '@norc/protocol/norc-t';
import { canonicalJson, type JsonObject } from '@norc/protocol/wire';
import {
  mustBe,
  signTestBoth,
  signTestPq,
  TEST_EPOCH,
  testKeyPair,
  testOrganisation,
  testPostQuantum,
  testPqKeyPair,
  testTrustCertificate,
} from '@norc/testkit';
import { type VectorFile, writeWhenRun } from './files.ts';

/** Test vectors for spec/root-rotation, and for the second signature of spec/norc-t section 1. */

const DAY = 86_400_000;
const alpha = testOrganisation('alpha.example');
const bravo = testOrganisation('bravo.example');
const alphaPq = testPostQuantum(alpha);
const bravoPq = testPostQuantum(bravo);
const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

// ---- recovery sets ----

const officers = ['ann', 'ben', 'cleo'].map((name) => testKeyPair(`alpha.example officer ${name}`));
const [ann, ben] = officers as [KeyPair, KeyPair, KeyPair]; // made of three names
const [next, later, thief] = ['next root', 'later root', 'thief'].map((name) =>
  testKeyPair(`alpha.example ${name}`),
) as [KeyPair, KeyPair, KeyPair]; // as above

function recoverySet(
  changes: Partial<RecoverySetBody> = {},
  by: KeyPair = alpha.root,
): SignedDocument<RecoverySetBody> {
  const body: RecoverySetBody = {
    org: alpha.domain,
    root_key: alpha.root.publicKey,
    sequence: 1,
    threshold: 2,
    officers: officers.map(({ publicKey }) => publicKey),
    issued_at: TEST_EPOCH - DAY,
    ...changes,
  };
  return signDocumentWith(nodeCrypto, draftDocument(RECOVERY_SET, body), by);
}
const set = recoverySet();
const setHash = nodeCrypto.blake3(set.signingInput);

const SET_ABOUT = 'document: a recovery set; org and root_key: what the verifier has pinned.';
const setCase = (name: string, document: SignedDocument<unknown>, more: Record<string, unknown> = {}) => ({
  name,
  org: alpha.domain,
  root_key: toHex(alpha.root.publicKey),
  document: textOf(document.bytes),
  ...more,
});
const validSet = (name: string, document: SignedDocument<RecoverySetBody>) =>
  setCase(name, document, {
    threshold: document.body.threshold,
    officers: document.body.officers.map(toHex),
    hash: toHex(nodeCrypto.blake3(document.signingInput)),
  });

const SETS: readonly VectorFile[] = [
  {
    outcome: 'valid',
    kind: 'recovery-set',
    about: `${SET_ABOUT} The rest is what it says; hash: BLAKE3 of the signing input.`,
    cases: [
      validSet('two of three', set),
      validSet('one of one', recoverySet({ threshold: 1, officers: [ann.publicKey] })),
    ],
  },
  {
    outcome: 'invalid',
    kind: 'recovery-set',
    about: `${SET_ABOUT} Each is refused with the error.`,
    cases: [
      setCase('one officer twice', recoverySet({ officers: [ann.publicKey, ann.publicKey] }), {
        error: 'certificate_invalid',
      }),
      setCase('nobody is needed', recoverySet({ threshold: 0 }), { error: 'certificate_invalid' }),
      setCase('more are needed than there are', recoverySet({ threshold: 4 }), { error: 'certificate_invalid' }),
      setCase('the root key among them', recoverySet({ officers: [ann.publicKey, alpha.root.publicKey] }), {
        error: 'certificate_invalid',
      }),
      setCase('a key of small order', recoverySet({ officers: [ann.publicKey, new Uint8Array(32)] }), {
        error: 'certificate_invalid',
      }),
      setCase('sequence 0', recoverySet({ sequence: 0 }), { error: 'certificate_invalid' }),
      setCase('under another root key', recoverySet({ root_key: thief.publicKey }, thief), {
        error: 'certificate_invalid',
      }),
      setCase('of another organisation', recoverySet({ org: bravo.domain }), { error: 'certificate_invalid' }),
      setCase('signed by somebody else', recoverySet({}, thief), { error: 'signature_invalid' }),
    ].map((one) => ({ error: 'malformed', ...one })),
  },
];

// ---- rotations ----

const ZEROS = new Uint8Array(32);

function rotation(
  to: KeyPair,
  by: readonly KeyPair[],
  terms: Partial<RotationBody> = {},
): SignedDocument<RotationBody> {
  const body: RotationBody = {
    org: alpha.domain,
    sequence: 1,
    previous: ZEROS,
    old_root_key: alpha.root.publicKey,
    new_root_key: to.publicKey,
    reason: 'scheduled',
    issued_at: TEST_EPOCH,
    effective_at: TEST_EPOCH,
    ...terms,
  };
  let document = draftDocument(ROOT_ROTATION, body);
  for (const signer of by) document = signDocumentWith(nodeCrypto, document, signer);
  return document;
}
const recovered = (to: KeyPair, by: readonly KeyPair[], terms: Partial<RotationBody> = {}) =>
  rotation(to, by, { recovery_set: setHash, reason: 'compromised', effective_at: TEST_EPOCH - DAY, ...terms });

const byOfficers = recovered(next, [next, ann, ben]);
const planned = rotation(next, [next, alpha.root]);
const plannedHash = nodeCrypto.blake3(planned.signingInput);
const second = rotation(later, [later, next], { sequence: 2, previous: plannedHash, old_root_key: next.publicKey });
const stolen = rotation(thief, [thief, alpha.root]);
const pqTerms = { new_root_pq_key: testPqKeyPair('alpha.example next root').publicKey };
const withPq = (by: readonly KeyPair[], terms: Partial<RotationBody> = pqTerms) => {
  let document = rotation(next, [next, alpha.root], terms);
  for (const signer of by) document = signTestPq(document, signer);
  return document;
};
const [oldPq, nextPq] = [alphaPq.root, testPqKeyPair('alpha.example next root')];

const ROTATION_ABOUT =
  'rotations: in the order in which they arrive; org, root_key and root_pq_key (where it is there): what the verifier had pinned; ' +
  'recovery_set (where it is there): the set that it pinned 400 days ago; now: the time.';
const rotations = (
  name: string,
  documents: readonly SignedDocument<unknown>[],
  more: Record<string, unknown> = {},
) => ({
  name,
  org: alpha.domain,
  root_key: toHex(alpha.root.publicKey),
  now: TEST_EPOCH,
  recovery_set: textOf(set.bytes),
  rotations: documents.map(({ bytes }) => textOf(bytes)),
  ...more,
});
function withoutSet({ recovery_set: _set, ...rest }: ReturnType<typeof rotations>) {
  return rest;
}
const pinnedPq = { root_pq_key: toHex(oldPq.publicKey) };
const counts = (key: KeyPair, predecessors: readonly KeyPair[], compromised: readonly KeyPair[] = []) => ({
  current: toHex(key.publicKey),
  predecessors: predecessors.map(({ publicKey }) => toHex(publicKey)),
  compromised: compromised.map(({ publicKey }) => toHex(publicKey)),
});
const refusals = (
  error: string,
  cases: readonly (readonly [string, ...SignedDocument<unknown>[]])[],
  more: Record<string, unknown> = {},
) => cases.map(([name, ...documents]) => ({ ...rotations(name, documents, more), error }));

const ROTATIONS: readonly VectorFile[] = [
  {
    outcome: 'valid',
    kind: 'root-rotation',
    about: `${ROTATION_ABOUT} All are taken. current, predecessors, compromised: the root keys as they count then.`,
    cases: [
      rotations('by recovery officers, after a theft', [byOfficers], counts(next, [], [alpha.root])),
      rotations('by the old key', [planned], counts(next, [alpha.root])),
      rotations('twice', [planned, second], counts(later, [alpha.root, next])),
      rotations(
        'repeated, and an older one again',
        [planned, second, second, planned],
        counts(later, [alpha.root, next]),
      ),
      rotations(
        'lost',
        [recovered(next, [next, ann, ben], { reason: 'lost', effective_at: TEST_EPOCH })],
        counts(next, [alpha.root]),
      ),
      rotations('officers take the place of the thief', [stolen, byOfficers], counts(next, [], [alpha.root])),
      rotations(
        'not in effect yet',
        [rotation(next, [next, alpha.root], { effective_at: TEST_EPOCH + DAY })],
        counts(alpha.root, []),
      ),
      rotations('with post-quantum keys', [withPq([nextPq, oldPq])], { ...pinnedPq, ...counts(next, [alpha.root]) }),
      rotations(
        'the officers of another set in force',
        [recovered(next, [next, ann, ben], { recovery_set: ZEROS })],
        counts(next, [], [alpha.root]),
      ),
    ],
  },
  {
    outcome: 'invalid',
    kind: 'root-rotation',
    about: `${ROTATION_ABOUT} The last is refused with the error; those before it are sound.`,
    cases: [
      ...refusals('signature_invalid', [
        ['not signed by the new key', rotation(next, [alpha.root])],
        ['not signed by the old key', rotation(next, [next])],
        ['signed by a server key', rotation(next, [next, alpha.server])],
        ['signed by officers, without saying so', rotation(next, [next, ann, ben])],
      ]),
      ...refusals('approval_required', [
        ['one officer of two', recovered(next, [next, ann])],
        ['one officer and a stranger', recovered(next, [next, ann, thief])],
        ['the old key in place of the officers', recovered(next, [next, alpha.root])],
      ]),
      { ...withoutSet(rotations('no set was pinned', [byOfficers])), error: 'approval_required' },
      ...refusals('rotation_gap', [['the first is missing', second]]),
      ...refusals('rotation_fork', [
        ['another first one', planned, stolen],
        [
          'another one before it',
          planned,
          rotation(later, [later, next], { sequence: 2, old_root_key: next.publicKey }),
        ],
        ['the thief after the officers', byOfficers, stolen],
        ['officers twice', byOfficers, recovered(later, [later, ann, ben])],
      ]),
      ...refusals('certificate_invalid', [
        ['of another organisation', rotation(next, [next, alpha.root], { org: bravo.domain })],
        ['of another old key', rotation(next, [next, thief], { old_root_key: thief.publicKey })],
      ]),
      ...refusals('malformed', [
        ['a new key of small order', rotation({ ...next, publicKey: ZEROS }, [alpha.root])],
        [
          'back to a key that was in use',
          planned,
          rotation(alpha.root, [alpha.root, next], {
            sequence: 2,
            previous: plannedHash,
            old_root_key: next.publicKey,
          }),
        ],
        ['in effect after 91 days', rotation(next, [next, alpha.root], { effective_at: TEST_EPOCH + 91 * DAY })],
        ['in effect before it was issued', rotation(next, [next, alpha.root], { effective_at: TEST_EPOCH - 1 })],
        [
          'a theft of more than a year ago',
          recovered(next, [next, ann, ben], { effective_at: TEST_EPOCH - 366 * DAY }),
        ],
        ['sequence 0', rotation(next, [next, alpha.root], { sequence: 0 })],
      ]),
      ...refusals('clock_skew', [
        [
          'from the future',
          rotation(next, [next, alpha.root], { issued_at: TEST_EPOCH + DAY, effective_at: TEST_EPOCH + DAY }),
        ],
      ]),
      ...refusals('downgrade_refused', [['without a post-quantum key', withPq([oldPq], {})]], pinnedPq),
      ...refusals(
        'signature_invalid',
        [
          ['the old post-quantum key did not sign', withPq([nextPq])],
          ['the new post-quantum key did not sign', withPq([oldPq])],
        ],
        pinnedPq,
      ),
    ],
  },
];

// ---- the second signature ----

const draft = draftTrustCertificate({
  ...testTrustCertificate(alpha, bravo).document.body,
  issuer: alphaPq.party,
  subject: bravoPq.party,
});
const signed = signTestBoth(draft, alpha, alphaPq);

function stripped<T>(document: SignedDocument<T>, algorithm: string): SignedDocument<T> {
  const signatures = document.json['signatures'] as readonly JsonObject[]; // a document has its list of signatures
  const kept = signatures.filter((one) => one['algorithm'] !== algorithm);
  return mustBe(parseDocument(document.kind, canonicalJson({ ...document.json, signatures: kept })));
}

const PQ_ABOUT =
  'document: a trust certificate; party: the organisation whose second signature is asked for, as canonical JSON; now: the time.';
const pqCase = (
  name: string,
  document: SignedDocument<unknown>,
  party = alphaPq.party,
  more: Record<string, unknown> = {},
) => ({
  name,
  now: TEST_EPOCH,
  party: textOf(encodeParty(party)),
  document: textOf(document.bytes),
  ...more,
});
const uncertified = testPqKeyPair('nobody');
const { root_pq_key: _, ...withoutRoot } = alphaPq.party;
const onlyEd25519 = { ...alphaPq.party, server_certificates: [stripped(alphaPq.certificate, 'ml-dsa-65').bytes] };
const onlyMlDsa = { ...alphaPq.party, server_certificates: [stripped(alphaPq.certificate, 'ed25519').bytes] };

const POST_QUANTUM: readonly VectorFile[] = [
  {
    outcome: 'valid',
    kind: 'post-quantum',
    about: `${PQ_ABOUT} root_pq_key: where the chain ends.`,
    cases: [
      pqCase('signed by the issuer', signed, alphaPq.party, { root_pq_key: toHex(alphaPq.root.publicKey) }),
      pqCase('and by the subject', signTestBoth(signed, bravo, bravoPq), bravoPq.party, {
        root_pq_key: toHex(bravoPq.root.publicKey),
      }),
    ],
  },
  {
    outcome: 'invalid',
    kind: 'post-quantum',
    about: `${PQ_ABOUT} Each is refused with the error.`,
    cases: [
      { ...pqCase('stripped', stripped(signed, 'ml-dsa-65')), error: 'signature_invalid' },
      { ...pqCase('of another organisation', signTestPq(draft, bravoPq.server)), error: 'signature_invalid' },
      { ...pqCase('by a key that is certified nowhere', signTestPq(draft, uncertified)), error: 'signature_invalid' },
      { ...pqCase('no root key shown', signed, withoutRoot), error: 'evidence_rejected' },
      { ...pqCase('the certificate without the ML-DSA-65 root', signed, onlyEd25519), error: 'certificate_invalid' },
      { ...pqCase('the certificate without the Ed25519 root', signed, onlyMlDsa), error: 'certificate_invalid' },
      {
        ...pqCase('another root key', signed, { ...alphaPq.party, root_pq_key: bravoPq.root.publicKey }),
        error: 'certificate_invalid',
      },
    ],
  },
];

export const rootKeyVectors: readonly VectorFile[] = [...ROTATIONS, ...SETS, ...POST_QUANTUM];

writeWhenRun(import.meta, 'root-keys', rootKeyVectors);
