import { nodeCrypto } from '@norc/crypto/node';
import {
  type DeviceId,
  type Domain,
  type Instant,
  idFromBytes,
  instant,
  parseDomain,
  parseUserAddress,
  type Result,
  type UserAddress,
  utf8,
} from '@norc/protocol/base';
import {
  type DeviceCertificateBody,
  type DeviceCertificateChain,
  draftDeviceCertificate,
  draftServerCertificate,
  type KeyPair,
  type PinnedOrg,
  type ServerCertificateBody,
  type ServerKeyUsage,
  type SignedDocument,
  signDocumentWith,
  type VerifiedServerCertificate,
  verifyServerCertificate,
} from '@norc/protocol/crypto';

const crypto = nodeCrypto;
const DAY_MS = 86_400_000;

/** When the tests' world begins. */
export const TEST_EPOCH: Instant = instant(1_790_000_000_000);

/** An organisation with its keys, all derived from its domain: the same in every run. */
export interface TestOrganisation {
  readonly domain: Domain;
  readonly root: KeyPair;
  readonly server: KeyPair;
  readonly pinned: PinnedOrg;
  readonly tlsSpkiSha256: Uint8Array;
  readonly certificate: SignedDocument<ServerCertificateBody>;
}

export function testKeyPair(name: string): KeyPair {
  return crypto.ed25519.keyPair(() => crypto.blake3(utf8(`test key ${name}`)));
}

export function mustBe<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(`${result.error.code}: ${result.error.detail}`);
  return result.value;
}

/** `keys`: another name gives an impostor with the same domain and other keys. */
export function testOrganisation(
  domain: string,
  changes: Partial<ServerCertificateBody> = {},
  keys: string = domain,
): TestOrganisation {
  const org = mustBe(parseDomain(domain));
  const root = testKeyPair(`${keys} root`);
  const server = testKeyPair(`${keys} server`);
  const tlsSpkiSha256 = crypto.sha256(utf8(`${domain} tls`));
  const draft = draftServerCertificate({
    org,
    domain: org,
    public_key: server.publicKey,
    usages: ['server', 'devices', 'trust', 'audit'],
    tls_spki_sha256: [tlsSpkiSha256],
    not_before: TEST_EPOCH - DAY_MS,
    not_after: TEST_EPOCH + 397 * DAY_MS,
    ...changes,
  });
  const certificate = signDocumentWith(crypto, draft, root);
  return { domain: org, root, server, pinned: { org, rootKey: root.publicKey }, tlsSpkiSha256, certificate };
}

/** The evidence that a peer gets about an organisation's server key. */
export function testServerEvidence(
  organisation: TestOrganisation,
  usage: ServerKeyUsage = 'trust',
  now: Instant = TEST_EPOCH,
): VerifiedServerCertificate {
  const { certificate, pinned } = organisation;
  return mustBe(verifyServerCertificate(crypto, certificate, { pinned, usage, now }));
}

export interface TestDevice {
  readonly deviceId: DeviceId;
  readonly user: UserAddress;
  readonly keys: KeyPair;
  readonly chain: DeviceCertificateChain;
}

export function testDevice(
  organisation: TestOrganisation,
  localPart: string,
  device: string,
  changes: Partial<DeviceCertificateBody> = {},
): TestDevice {
  const user = mustBe(parseUserAddress(`${localPart}@${organisation.domain}`));
  const keys = testKeyPair(`${user} ${device}`);
  const deviceId: DeviceId = idFromBytes(crypto.blake3(utf8(`${user} ${device}`)).slice(0, 16));
  const draft = draftDeviceCertificate({
    device_id: deviceId,
    user,
    org: organisation.domain,
    public_key: keys.publicKey,
    not_before: TEST_EPOCH,
    not_after: TEST_EPOCH + 365 * DAY_MS,
    ...changes,
  });
  const certificate = signDocumentWith(crypto, draft, organisation.server).bytes;
  return { deviceId, user, keys, chain: { certificate, issuer: organisation.certificate.bytes } };
}
