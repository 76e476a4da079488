import { nodeCrypto } from '@norc/crypto/node';
import { toHex, utf8 } from '@norc/protocol/base';
import { draftDocument, parseDocument, signDocumentWith } from '@norc/protocol/crypto';
import {
  type ApprovalBody,
  encodeOfficerRequest,
  OFFICER_APPROVAL,
  OFFICER_CERTIFICATE,
  OFFICER_LIFE_DAYS_MAX,
  type OfficerCertificateBody,
  officerIdOf,
  type SignedApproval,
} from '@norc/protocol/norc-t';
import {
  mustBe,
  TEST_EPOCH,
  type TestOfficer,
  testApproval,
  testOfficer,
  testOfficerRevocation,
  testOrganisation,
} from '@norc/testkit';
import { type VectorFile, writeWhenRun } from './files.ts';

/** Test vectors for spec/officers. */

const DAY = 86_400_000;
const alpha = testOrganisation('alpha.example');
const bravo = testOrganisation('bravo.example');
const anna = testOfficer(alpha, 'anna');
const bert = testOfficer(alpha, 'bert');
const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const pinned = { org: alpha.domain, root_key: toHex(alpha.pinned.rootKey) };

// ---- certificates and revocations ----

const CERTIFICATE_ABOUT =
  'document: an officer certificate; org and root_key: what the verifier has pinned; at: the time.';
const certificateCase = (
  name: string,
  document: Uint8Array,
  at: number = TEST_EPOCH,
  more: Readonly<Record<string, unknown>> = {},
) => ({
  ...{ name, ...pinned, at, document: textOf(document) },
  ...more,
});
const idOf = ({ officerId }: TestOfficer) => ({ officer_id: officerId });
const first = mustBe(parseDocument(OFFICER_CERTIFICATE, anna.certificate)).body;

/** Any body, as only the root key could sign it. */
function rootSigned(changes: Partial<OfficerCertificateBody>): Uint8Array {
  return signDocumentWith(nodeCrypto, draftDocument(OFFICER_CERTIFICATE, { ...first, ...changes }), alpha.root).bytes;
}

const badCertificate = (error: string, name: string, document: Uint8Array, at?: number) => ({
  ...certificateCase(name, document, at),
  error,
});
const zero = new Uint8Array(32);
const rootAsOfficer = { public_key: alpha.root.publicKey, officer_id: officerIdOf(nodeCrypto, alpha.root.publicKey) };
const smallOrder = { public_key: zero, officer_id: officerIdOf(nodeCrypto, zero) };

const badCertificates = [
  badCertificate(
    'signature_invalid',
    'signed by a server key',
    testOfficer(alpha, 'anna', {}, alpha.server).certificate,
  ),
  badCertificate('signature_invalid', 'signed by itself', testOfficer(alpha, 'anna', {}, anna.keys).certificate),
  badCertificate('certificate_invalid', 'of another organisation', testOfficer(bravo, 'anna').certificate),
  badCertificate('certificate_invalid', "another key's id", rootSigned({ officer_id: bert.officerId })),
  badCertificate('certificate_invalid', 'the root key as an officer', rootSigned(rootAsOfficer)),
  badCertificate('certificate_invalid', 'a key of small order', rootSigned(smallOrder)),
  badCertificate(
    'certificate_invalid',
    'a term that is too long',
    rootSigned({ not_after: first.not_before + OFFICER_LIFE_DAYS_MAX * DAY + 1 }),
  ),
  badCertificate('certificate_expired', 'not yet in office', anna.certificate, first.not_before - 1),
  badCertificate('certificate_expired', 'no longer in office', anna.certificate, first.not_after),
];

const REVOCATION_ABOUT = 'document: an officer revocation; org and root_key: what the verifier has pinned.';
const revocationCase = (name: string, document: Uint8Array, more: Readonly<Record<string, unknown>>) => ({
  ...{ name, ...pinned, document: textOf(document) },
  ...more,
});

// ---- approvals ----

const SUBJECT = nodeCrypto.blake3(utf8('the document'));
const WHAT = { action: 'trust_restore', peer: bravo.domain, subject: SUBJECT } as const;
const APPROVAL_ABOUT =
  'approval and certificate: as they travel; action, peer, subject and role: what is needed; org and root_key: what the verifier has pinned; server_key: of a server; now: the time.';
const approvalCase = (
  name: string,
  { approval, certificate }: SignedApproval,
  more: Readonly<Record<string, unknown>> = {},
) => ({
  ...{ name, ...pinned, action: WHAT.action, peer: WHAT.peer, subject: toHex(SUBJECT), role: 'trust', now: TEST_EPOCH },
  server_key: toHex(alpha.server.publicKey),
  approval: textOf(approval),
  certificate: textOf(certificate),
  ...more,
});
const signed = (changes: Partial<ApprovalBody> = {}, by: TestOfficer = anna) =>
  testApproval(by, { ...WHAT, ...changes });
const good = signed();
const badApproval = (
  error: string,
  name: string,
  approval: SignedApproval,
  more: Readonly<Record<string, unknown>> = {},
) => ({
  ...approvalCase(name, approval, more),
  error,
});

const serverKey = alpha.server;
const asServer: TestOfficer = {
  ...testOfficer(alpha, 'server', { publicKey: serverKey.publicKey }),
  ...{ keys: serverKey, officerId: officerIdOf(nodeCrypto, serverKey.publicKey) },
};
const recovery = testOfficer(alpha, 'anna', { roles: ['recovery'] });
const hour = 3_600_000;

const badApprovals = [
  badApproval('signature_invalid', 'signed by the server', signed({}, { ...anna, keys: serverKey })),
  badApproval('forbidden', "another officer's certificate", { ...good, certificate: bert.certificate }),
  badApproval('forbidden', 'another organisation in it', signed({ org: bravo.domain })),
  badApproval('certificate_invalid', "another organisation's officer", signed({}, testOfficer(bravo, 'berta'))),
  badApproval('forbidden', 'another action', signed({ action: 'trust_revoke' })),
  badApproval('forbidden', 'another subject', signed({ subject: nodeCrypto.blake3(utf8('another document')) })),
  badApproval('forbidden', 'another partner', good, { peer: 'charlie.example' }),
  badApproval('forbidden', 'another role', signed({}, recovery)),
  badApproval('forbidden', "a server's key, certified as an officer's", signed({}, asServer)),
  badApproval('clock_skew', 'from the future', signed({ approved_at: TEST_EPOCH + 300_001 })),
  badApproval('approval_expired', 'older than a day', good, { now: TEST_EPOCH + 24 * hour + 1 }),
  badApproval(
    'certificate_expired',
    'set back by one who left',
    signed({}, testOfficer(alpha, 'anna', { notAfter: TEST_EPOCH + hour })),
    { now: TEST_EPOCH + hour },
  ),
];

// ---- requests ----

const request = encodeOfficerRequest(nodeCrypto, anna.keys.publicKey);
const REQUEST_ABOUT = 'text: what an officer hands over.';

export const officerVectors: readonly VectorFile[] = [
  {
    outcome: 'valid',
    kind: 'certificate',
    about: `${CERTIFICATE_ABOUT} The officer is officer_id, with these roles.`,
    cases: [
      certificateCase('in office', anna.certificate, TEST_EPOCH, { ...idOf(anna), roles: ['trust'] }),
      certificateCase('a role that nobody knows', rootSigned({ roles: ['trust', 'chief'] }), first.not_before, {
        ...{ ...idOf(anna), roles: ['trust'] },
      }),
    ],
  },
  {
    outcome: 'invalid',
    kind: 'certificate',
    about: `${CERTIFICATE_ABOUT} Each is refused with the error.`,
    cases: badCertificates,
  },
  {
    outcome: 'valid',
    kind: 'revocation',
    about: `${REVOCATION_ABOUT} It puts officer_id out from revoked_at on.`,
    cases: [
      revocationCase('since a day ago', testOfficerRevocation(anna, TEST_EPOCH - DAY), {
        ...{ ...idOf(anna), revoked_at: TEST_EPOCH - DAY },
      }),
    ],
  },
  {
    outcome: 'invalid',
    kind: 'revocation',
    about: `${REVOCATION_ABOUT} Each is refused with the error.`,
    cases: [
      revocationCase('signed by a server key', testOfficerRevocation(anna, TEST_EPOCH, alpha.server), {
        error: 'signature_invalid',
      }),
      revocationCase('of another organisation', testOfficerRevocation(testOfficer(bravo, 'anna'), TEST_EPOCH), {
        error: 'certificate_invalid',
      }),
    ],
  },
  {
    outcome: 'valid',
    kind: 'approval',
    about: `${APPROVAL_ABOUT} It is of officer_id and has this hash.`,
    cases: [
      approvalCase('of exactly this', good, {
        ...idOf(anna),
        hash: toHex(nodeCrypto.blake3(mustBe(parseDocument(OFFICER_APPROVAL, good.approval)).signingInput)),
      }),
    ],
  },
  {
    outcome: 'invalid',
    kind: 'approval',
    about: `${APPROVAL_ABOUT} Each is refused with the error.`,
    cases: badApprovals,
  },
  {
    outcome: 'valid',
    kind: 'request',
    about: `${REQUEST_ABOUT} It is of public_key.`,
    cases: [
      { name: 'as it is printed', text: request, public_key: toHex(anna.keys.publicKey) },
      {
        name: 'with line ends',
        text: ` ${request.slice(0, 30)}\n${request.slice(30)}\n`,
        public_key: toHex(anna.keys.publicKey),
      },
    ],
  },
  {
    outcome: 'invalid',
    kind: 'request',
    about: `${REQUEST_ABOUT} Each is refused with the error.`,
    cases: [
      { error: 'malformed', name: 'another checksum', text: `${request.slice(0, -2)}AA` },
      { error: 'malformed', name: 'cut', text: request.slice(0, -4) },
      { error: 'malformed', name: 'another prefix', text: request.replace('norc-officer1-', 'norc1-') },
    ],
  },
];

writeWhenRun(import.meta, 'officers', officerVectors);
