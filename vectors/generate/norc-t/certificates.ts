import { nodeCrypto } from '@norc/crypto/node';
import { type Instant, instant, LIMITS, toHex } from '@norc/protocol/base';
import {
  DEVICE_CERTIFICATE,
  documentHash,
  draftDocument,
  parseDocument,
  type ServerCertificateBody,
  type SignedDocument,
  signDocumentWith,
} from '@norc/protocol/crypto';
import { canonicalJson, type JsonObject } from '@norc/protocol/wire';
import { mustBe, TEST_EPOCH, type TestOrganisation, testDevice, testKeyPair, testOrganisation } from '@norc/testkit';
import type { VectorFile } from '../files.ts';

/** Cases of spec/certificates. */

export const alpha = testOrganisation('alpha.example');
export const bravo = testOrganisation('bravo.example');
export const evil = testOrganisation('evil.example');
export const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
export const DAY = 86_400_000;

/** The document with other fields, its signatures as they were. */
export function edited(document: SignedDocument<unknown>, changes: Readonly<Record<string, unknown>>): string {
  return textOf(canonicalJson({ ...document.json, ...changes } as JsonObject)); // the changes are JSON
}

const pinned = (org: TestOrganisation) => ({ org: org.domain, root_key: toHex(org.root.publicKey) });

const SERVER_ABOUT =
  'document: a server certificate; org and root_key: what the verifier has pinned; usage: what the key is to be used for; ' +
  'now: the time of the check. hash: BLAKE3 of the signing input; root_seed signs the document anew.';

const server = (
  name: string,
  document: string,
  more: { usage?: string; now?: Instant; by?: TestOrganisation } & Record<string, unknown> = {},
) => {
  const { usage = 'devices', now = TEST_EPOCH, by = alpha, ...rest } = more;
  return { name, ...pinned(by), usage, now, document, ...rest };
};

const validServer = (name: string, org: TestOrganisation, more = {}) =>
  server(name, textOf(org.certificate.bytes), {
    by: org,
    root_seed: toHex(org.root.privateKey),
    signing_input: toHex(org.certificate.signingInput),
    hash: toHex(documentHash(nodeCrypto, org.certificate)),
    ...more,
  });

const wide = signDocumentWith(nodeCrypto, alpha.certificate, bravo.root);
const postQuantum = canonicalJson({
  ...alpha.certificate.json,
  signatures: [
    { algorithm: 'ml-dsa-65', key_id: '0'.repeat(32), signature: 'AAAA' },
    ...(alpha.certificate.json['signatures'] as JsonObject[]), // a document has its list of signatures
  ],
});

const SERVER_VALID: VectorFile = {
  outcome: 'valid',
  kind: 'server-certificate',
  about: SERVER_ABOUT,
  cases: [
    validServer('a certificate for every usage', alpha),
    validServer(
      'only for links, with a usage of a later version',
      testOrganisation('alpha.example', { usages: ['server', 'future'] }),
      {
        usage: 'server',
      },
    ),
    validServer(
      'two TLS keys',
      testOrganisation('bravo.example', { tls_spki_sha256: [bravo.tlsSpkiSha256, alpha.tlsSpkiSha256] }),
    ),
    validServer('at the first moment', alpha, { now: instant(alpha.certificate.body.not_before) }),
    validServer('at the last moment', alpha, { now: instant(alpha.certificate.body.not_after - 1) }),
    server('a second signature by somebody else', textOf(wide.bytes)),
    server('a signature of an algorithm that the verifier does not know', textOf(postQuantum)),
  ],
};

const [signature] = alpha.certificate.json['signatures'] as JsonObject[]; // as above

const serverWith = (changes: Partial<ServerCertificateBody>) => {
  const draft = draftDocument(alpha.certificate.kind, { ...alpha.certificate.body, ...changes });
  return textOf(signDocumentWith(nodeCrypto, draft, alpha.root).bytes);
};
const good = textOf(alpha.certificate.bytes);

const SERVER_INVALID: VectorFile = {
  outcome: 'invalid',
  kind: 'server-certificate',
  about: `${SERVER_ABOUT} Each is refused with the error.`,
  cases: [
    server('white space', good.replace('{', '{ '), { error: 'not_canonical' }),
    server('keys in another order', `{"version":1,${good.slice(1, -',"version":1}'.length)}}`, {
      error: 'not_canonical',
    }),
    server('a key twice', good.replace('"org":', '"org":"alpha.example","org":'), { error: 'duplicate_key' }),
    server('another type of document', edited(alpha.certificate, { type: 'device_certificate' }), {
      error: 'malformed',
    }),
    server('a later version', edited(alpha.certificate, { version: 2 }), { error: 'malformed' }),
    server('two signatures by one key', edited(alpha.certificate, { signatures: [signature, signature] }), {
      error: 'malformed',
    }),
    server('nine signatures', edited(alpha.certificate, { signatures: Array(9).fill(signature) }), {
      error: 'limit_exceeded',
    }),
    server('no signature', edited(alpha.certificate, { signatures: [] }), { error: 'certificate_invalid' }),
    server('no list of signatures', good.replace(/"signatures":\[.*\],/, ''), { error: 'missing_field' }),
    server('over the size of a document', edited(alpha.certificate, { more: 'x'.repeat(LIMITS.documentBytesMax) }), {
      error: 'limit_exceeded',
    }),
    server('a time that is a text', edited(alpha.certificate, { not_after: '2030' }), { error: 'wrong_type' }),
    server('padded base64', edited(alpha.certificate, { public_key: `${alpha.certificate.json['public_key']}=` }), {
      error: 'wrong_type',
    }),
    server('a changed field', edited(alpha.certificate, { not_after: alpha.certificate.body.not_after + 1 }), {
      error: 'certificate_invalid',
    }),
    server('a field added to the signed ones', edited(alpha.certificate, { note: 'x' }), {
      error: 'certificate_invalid',
    }),
    server('signed by another root key', textOf(testOrganisation('alpha.example', {}, 'impostor').certificate.bytes), {
      error: 'certificate_invalid',
    }),
    server('of another organisation', textOf(bravo.certificate.bytes), { error: 'certificate_invalid' }),
    server('a server outside the organisation', serverWith({ domain: evil.domain }), { error: 'certificate_invalid' }),
    server('a key of small order', serverWith({ public_key: new Uint8Array(32) }), { error: 'certificate_invalid' }),
    server('for another usage', serverWith({ usages: ['server'] }), { error: 'certificate_invalid' }),
    server('ends before it begins', serverWith({ not_after: alpha.certificate.body.not_before }), {
      error: 'certificate_invalid',
    }),
    server('not valid yet', good, {
      now: instant(alpha.certificate.body.not_before - 1),
      error: 'certificate_expired',
    }),
    server('over', good, { now: instant(alpha.certificate.body.not_after), error: 'certificate_expired' }),
  ].map((one) => ({ error: 'malformed', ...one })),
};

const DEVICE_ABOUT =
  'certificate and issuer: the chain of a device; org and root_key: what the verifier has pinned; now: the time of the check.';

const ann = testDevice(alpha, 'ann', 'laptop');
const attested = testDevice(alpha, 'ann', 'phone', { attestation: Uint8Array.of(1, 2, 3) });

const device = (
  name: string,
  chain: { certificate: Uint8Array; issuer: Uint8Array },
  more: Record<string, unknown> = {},
) => ({
  name,
  ...pinned(alpha),
  now: TEST_EPOCH,
  certificate: textOf(chain.certificate),
  issuer: textOf(chain.issuer),
  ...more,
});

const validDevice = (name: string, one: typeof ann) => {
  const document = mustBe(parseDocument(DEVICE_CERTIFICATE, one.chain.certificate));
  const said = { user: one.user, device_id: one.deviceId, public_key: toHex(one.keys.publicKey) };
  return device(name, one.chain, { ...said, hash: toHex(documentHash(nodeCrypto, document)) });
};

const DEVICE_VALID: VectorFile = {
  outcome: 'valid',
  kind: 'device-certificate',
  about: `${DEVICE_ABOUT} user, device_id and public_key: what the chain proves; hash: of the device certificate.`,
  cases: [validDevice('a laptop', ann), validDevice('a phone with an attestation', attested)],
};

const deviceBody = mustBe(parseDocument(DEVICE_CERTIFICATE, ann.chain.certificate)).body;
const deviceWith = (changes: Record<string, unknown>, by = alpha.server) => {
  const draft = draftDocument(DEVICE_CERTIFICATE, { ...deviceBody, ...changes });
  return { ...ann.chain, certificate: signDocumentWith(nodeCrypto, draft, by).bytes };
};
const frontend = testOrganisation('alpha.example', { usages: ['server', 'trust', 'audit'] });
const closing = testOrganisation('alpha.example', { not_after: TEST_EPOCH + DAY });

const DEVICE_INVALID: VectorFile = {
  outcome: 'invalid',
  kind: 'device-certificate',
  about: `${DEVICE_ABOUT} Each is refused with the error.`,
  cases: [
    {
      ...device('signed by a key that nobody certified', deviceWith({}, testKeyPair('rogue'))),
      error: 'certificate_invalid',
    },
    { ...device('signed by the root key itself', deviceWith({}, alpha.root)), error: 'certificate_invalid' },
    {
      ...device('issued by a key without the usage', { ...ann.chain, issuer: frontend.certificate.bytes }),
      error: 'certificate_invalid',
    },
    {
      ...device('issuer of another organisation', { ...ann.chain, issuer: bravo.certificate.bytes }),
      error: 'certificate_invalid',
    },
    {
      ...device('a user of another organisation', deviceWith({ user: 'ann@bravo.example' })),
      error: 'certificate_invalid',
    },
    {
      ...device('a user of a subdomain', deviceWith({ user: 'ann@norc.alpha.example' })),
      error: 'certificate_invalid',
    },
    {
      ...device(
        'an organisation other than the issuer',
        deviceWith({ org: 'bravo.example', user: 'ann@bravo.example' }),
      ),
      error: 'certificate_invalid',
    },
    {
      ...device('a life of more than 365 days', deviceWith({ not_after: TEST_EPOCH + 365 * DAY + 1 })),
      error: 'certificate_invalid',
    },
    {
      ...device('a device key of small order', deviceWith({ public_key: new Uint8Array(32) })),
      error: 'certificate_invalid',
    },
    { ...device('not valid yet', deviceWith({ not_before: TEST_EPOCH + 1 })), error: 'certificate_expired' },
    { ...device('over', ann.chain, { now: TEST_EPOCH + 365 * DAY }), error: 'certificate_expired' },
    {
      ...device('issuer is over', { ...ann.chain, issuer: closing.certificate.bytes }, { now: TEST_EPOCH + DAY }),
      error: 'certificate_expired',
    },
    {
      ...device('a server certificate in its place', { ...ann.chain, certificate: ann.chain.issuer }),
      error: 'missing_field',
    },
  ],
};

export const certificateVectors: readonly VectorFile[] = [SERVER_VALID, SERVER_INVALID, DEVICE_VALID, DEVICE_INVALID];
