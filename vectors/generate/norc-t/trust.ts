import { nodeCrypto } from '@norc/crypto/node';
import { instant, toHex, utf8 } from '@norc/protocol/base';
import { draftDocument, type SignedDocument, signDocumentWith } from '@norc/protocol/crypto';
import {
  draftRevocation,
  emptyRevocations,
  extendRevocations,
  type RevocationBody,
  type RevocationChain,
  TRUST_CERTIFICATE,
  TRUST_REVOCATION,
  type TrustCertificateBody,
  type VerifiedTrustCertificate,
} from '@norc/protocol/norc-t';
import {
  mustBe,
  TEST_EPOCH,
  type TestOrganisation,
  testCertificateId,
  testOrganisation,
  testParty,
  testServerEvidence,
  testTrustCertificate,
} from '@norc/testkit';
import type { VectorFile } from '../files.ts';
import { alpha, bravo, DAY, edited, evil, textOf } from './certificates.ts';

/** Cases of spec/norc-t sections 4 and 6: trust certificates and revocations. */

export const given = testTrustCertificate(alpha, bravo);

const TRUST_ABOUT =
  'document: a trust certificate, complete in itself; issuer and issuer_root_key: what the verifier has pinned; ' +
  'subject_root_key, where it is there: pinned likewise; now: the time at which server certificates must be in date.';

function trust(name: string, document: SignedDocument<unknown> | string, more: Record<string, unknown> = {}) {
  const text = typeof document === 'string' ? document : textOf(document.bytes);
  return {
    name,
    issuer: alpha.domain,
    issuer_root_key: toHex(alpha.root.publicKey),
    now: TEST_EPOCH,
    document: text,
    ...more,
  };
}

function validTrust(name: string, certificate: VerifiedTrustCertificate, more: Record<string, unknown> = {}) {
  return trust(name, certificate.document, {
    subject: certificate.subject,
    named_root_key: toHex(certificate.subjectRootKey),
    level: certificate.level,
    permissions: [...certificate.permissions],
    not_after: certificate.notAfter,
    hash: toHex(certificate.hash),
    ...more,
  });
}

const short = testOrganisation('bravo.example', { not_after: TEST_EPOCH + 10 * DAY });
const condition = { name: 'report', kind: 'report', deadline: TEST_EPOCH + DAY, action: 'revoke' } as const;

const TRUST_VALID: VectorFile = {
  outcome: 'valid',
  kind: 'trust-certificate',
  about: `${TRUST_ABOUT} The rest is what the certificate proves; not_after: the end with its server certificates.`,
  cases: [
    validTrust('basic', given),
    validTrust(
      'verified, with conditions',
      testTrustCertificate(alpha, bravo, {
        level: 'verified',
        conditions: [condition, { ...condition, name: 'clearance', action: 'downgrade', level: 'basic' }],
      }),
    ),
    validTrust(
      'a permission of a later version grants nothing',
      testTrustCertificate(alpha, bravo, { permissions: ['presence', 'teleport'] }),
    ),
    validTrust('the end of a server certificate is the end', testTrustCertificate(alpha, short)),
    validTrust('the subject pinned too', given, { subject_root_key: toHex(bravo.root.publicKey) }),
  ],
};

function signedByBoth(changes: Partial<TrustCertificateBody>, first = alpha, second = bravo) {
  const draft = draftDocument(TRUST_CERTIFICATE, { ...given.document.body, ...changes });
  return signDocumentWith(nodeCrypto, signDocumentWith(nodeCrypto, draft, first.server), second.server);
}
const unsigned = draftDocument(TRUST_CERTIFICATE, given.document.body);
const frontend = testOrganisation('alpha.example', { usages: ['server'] });
const weakParty = { ...testParty(bravo), root_key: new Uint8Array(32) };

const TRUST_INVALID: VectorFile = {
  outcome: 'invalid',
  kind: 'trust-certificate',
  about: `${TRUST_ABOUT} Each is refused with the error.`,
  cases: [
    { ...trust('no signature', unsigned), error: 'signature_invalid' },
    {
      ...trust('signed by the issuer alone', signDocumentWith(nodeCrypto, unsigned, alpha.server)),
      error: 'signature_invalid',
    },
    {
      ...trust('signed by the subject alone', signDocumentWith(nodeCrypto, unsigned, bravo.server)),
      error: 'signature_invalid',
    },
    { ...trust('countersigned by somebody else', signedByBoth({}, alpha, evil)), error: 'signature_invalid' },
    {
      ...trust('a level raised after signing', edited(given.document, { level: 'verified' })),
      error: 'signature_invalid',
    },
    { ...trust('another issuer', testTrustCertificate(bravo, alpha).document), error: 'certificate_invalid' },
    {
      ...trust('the issuer with another root key', given.document, { issuer_root_key: toHex(evil.root.publicKey) }),
      error: 'certificate_invalid',
    },
    {
      ...trust('the subject with another root key', given.document, { subject_root_key: toHex(evil.root.publicKey) }),
      error: 'certificate_invalid',
    },
    { ...trust('a root key of small order', signedByBoth({ subject: weakParty })), error: 'certificate_invalid' },
    {
      ...trust('trust in oneself', signedByBoth({ subject: testParty(alpha) }, alpha, alpha)),
      error: 'certificate_invalid',
    },
    { ...trust('ends before it begins', signedByBoth({ not_after: TEST_EPOCH })), error: 'certificate_invalid' },
    {
      ...trust('basic for 366 days', signedByBoth({ not_after: TEST_EPOCH + 366 * DAY })),
      error: 'certificate_invalid',
    },
    {
      ...trust('classified for 91 days', signedByBoth({ level: 'classified', not_after: TEST_EPOCH + 91 * DAY })),
      error: 'certificate_invalid',
    },
    {
      ...trust('two conditions of one name', signedByBoth({ conditions: [condition, condition] })),
      error: 'certificate_invalid',
    },
    {
      ...trust(
        'a downgrade to the same level',
        signedByBoth({ conditions: [{ ...condition, action: 'downgrade', level: 'basic' }] }),
      ),
      error: 'certificate_invalid',
    },
    {
      ...trust('the issuer has no trust key', signedByBoth({ issuer: testParty(frontend) })),
      error: 'certificate_expired',
    },
    {
      ...trust('a server certificate is over', testTrustCertificate(alpha, short).document, {
        now: TEST_EPOCH + 10 * DAY,
      }),
      error: 'certificate_expired',
    },
    { ...trust('a level that is none', edited(given.document, { level: 'untrusted' })), error: 'wrong_type' },
    {
      ...trust('a certificate for a device', edited(given.document, { type: 'device_certificate' })),
      error: 'malformed',
    },
  ],
};

const REVOCATION_ABOUT =
  'statements: the chain of one issuer from its first statement; issuer_certificate: of the key that signs; root_key: pinned.';

type Statement = Omit<RevocationBody, 'issuer' | 'sequence' | 'previous'>;
const about = (action: RevocationBody['action'], more: Partial<RevocationBody> = {}): Statement => ({
  subject: bravo.domain,
  certificate_id: testCertificateId('revoked'),
  action,
  reason: 'the contract ended',
  issued_at: TEST_EPOCH,
  effective_at: TEST_EPOCH,
  ...more,
});

export function chainOf(issuer: TestOrganisation, statements: readonly Statement[]) {
  const texts: string[] = [];
  const heads: string[] = [];
  let chain: RevocationChain = emptyRevocations(issuer.domain);
  for (const statement of statements) {
    const { bytes } = signDocumentWith(nodeCrypto, draftRevocation(chain, statement), issuer.server);
    chain = mustBe(extendRevocations(nodeCrypto, chain, bytes, [testServerEvidence(issuer)]));
    texts.push(textOf(bytes));
    heads.push(toHex(chain.head));
  }
  return { texts, heads, chain };
}

const base = {
  issuer: alpha.domain,
  root_key: toHex(alpha.root.publicKey),
  issuer_certificate: textOf(alpha.certificate.bytes),
  now: TEST_EPOCH,
};
const every = [
  about('suspend'),
  about('restore'),
  about('downgrade', { level: 'basic' }),
  about('condition_met', { condition: 'report' }),
  about('revoke', { effective_at: instant(TEST_EPOCH + DAY) }),
];
const whole = chainOf(alpha, every);

const REVOCATION_VALID: VectorFile = {
  outcome: 'valid',
  kind: 'revocations',
  about: `${REVOCATION_ABOUT} heads: the hash of the chain after each statement.`,
  cases: [
    { name: 'one of every action', ...base, statements: whole.texts, heads: whole.heads },
    {
      name: 'a statement that arrives twice changes nothing',
      ...base,
      statements: [whole.texts[0], whole.texts[0]],
      heads: [whole.heads[0], whole.heads[0]],
    },
  ],
};

const other = chainOf(alpha, [about('revoke', { reason: 'another history' }), about('revoke')]);
const statementWith = (changes: Record<string, unknown>, by = alpha) => {
  const draft = draftDocument(TRUST_REVOCATION, {
    ...about('revoke'),
    issuer: alpha.domain,
    sequence: 1,
    previous: new Uint8Array(32),
    ...changes,
  });
  return textOf(signDocumentWith(nodeCrypto, draft, by.server).bytes);
};

const REVOCATION_INVALID: VectorFile = {
  outcome: 'invalid',
  kind: 'revocations',
  about: `${REVOCATION_ABOUT} The last statement is refused with the error; those before it are sound.`,
  cases: [
    { name: 'a gap', ...base, statements: [whole.texts[0], whole.texts[2]], error: 'revocation_gap' },
    { name: 'it does not begin with the first', ...base, statements: [whole.texts[1]], error: 'revocation_gap' },
    {
      name: 'a second first statement',
      ...base,
      statements: [whole.texts[0], other.texts[0]],
      error: 'revocation_fork',
    },
    {
      name: 'a second statement after another first',
      ...base,
      statements: [whole.texts[0], other.texts[1]],
      error: 'revocation_fork',
    },
    { name: 'signed by somebody else', ...base, statements: [statementWith({}, evil)], error: 'signature_invalid' },
    {
      name: 'a reason changed after signing',
      ...base,
      statements: [(whole.texts[0] ?? '').replace('ended', 'began')],
      error: 'signature_invalid',
    },
    {
      name: 'of another issuer',
      ...base,
      statements: [statementWith({ issuer: bravo.domain, subject: alpha.domain })],
      error: 'certificate_invalid',
    },
    { name: 'sequence 0', ...base, statements: [statementWith({ sequence: 0 })], error: 'malformed' },
    {
      name: 'about the issuer itself',
      ...base,
      statements: [statementWith({ subject: alpha.domain })],
      error: 'malformed',
    },
    {
      name: 'a downgrade without a level',
      ...base,
      statements: [statementWith({ action: 'downgrade' })],
      error: 'malformed',
    },
    {
      name: 'a level without a downgrade',
      ...base,
      statements: [statementWith({ level: 'basic' })],
      error: 'malformed',
    },
    {
      name: 'a condition met without its name',
      ...base,
      statements: [statementWith({ action: 'condition_met' })],
      error: 'malformed',
    },
    {
      name: 'an action that is none',
      ...base,
      statements: [(whole.texts[0] ?? '').replace('"suspend"', '"forgive"')],
      error: 'wrong_type',
    },
  ],
};

const line = 'norc-trust=v1; root=';
const PROOF_ABOUT =
  'lines: TXT strings of _norc-trust.DOMAIN, or lines of the well-known file; root_key: what they must name.';
const rootText = Buffer.from(alpha.root.publicKey).toString('base64url');
const otherText = Buffer.from(bravo.root.publicKey).toString('base64url');
const rootKey = toHex(alpha.root.publicKey);
const hashOf = (text: string) => toHex(nodeCrypto.blake3(utf8(text)));

const PROOF: readonly VectorFile[] = [
  {
    outcome: 'valid',
    kind: 'domain-proof',
    about: `${PROOF_ABOUT} hash: of the line that names it, as evidence carries it.`,
    cases: [
      { name: 'one line', lines: [`${line}${rootText}`], root_key: rootKey, hash: hashOf(`${line}${rootText}`) },
      {
        name: 'beside another key and other records',
        lines: ['v=spf1 -all', `${line}${otherText}`, ` ${line}${rootText}\r`],
        root_key: rootKey,
        hash: hashOf(`${line}${rootText}`),
      },
    ],
  },
  {
    outcome: 'invalid',
    kind: 'domain-proof',
    about: `${PROOF_ABOUT} None does.`,
    cases: [
      { name: 'no lines', lines: [], root_key: rootKey, error: 'evidence_rejected' },
      { name: 'another key', lines: [`${line}${otherText}`], root_key: rootKey, error: 'evidence_rejected' },
      {
        name: 'another version',
        lines: [`norc-trust=v2; root=${rootText}`],
        root_key: rootKey,
        error: 'evidence_rejected',
      },
      { name: 'padded', lines: [`${line}${rootText}=`], root_key: rootKey, error: 'evidence_rejected' },
      { name: 'something after it', lines: [`${line}${rootText}; x=y`], root_key: rootKey, error: 'evidence_rejected' },
    ],
  },
];

export const trustVectors: readonly VectorFile[] = [
  TRUST_VALID,
  TRUST_INVALID,
  REVOCATION_VALID,
  REVOCATION_INVALID,
  ...PROOF,
];
