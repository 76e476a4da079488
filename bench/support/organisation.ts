import { nodeClock, nodeCrypto, nodeRandom } from '@norc/crypto/node';
import type { OwnIdentity } from '@norc/mls';
import {
  type DeviceId,
  type Domain,
  domainOf,
  idFromBytes,
  parseDomain,
  parseUserAddress,
  type Result,
  type UserAddress,
} from '@norc/protocol/base';
import {
  draftDeviceCertificate,
  draftServerCertificate,
  type KeyPair,
  type ServerCertificateBody,
  type SignedDocument,
  signDocumentWith,
} from '@norc/protocol/crypto';

const DAY_MS = 86_400_000;

/** A device's identity as the load generator holds it. */
export interface BenchDevice {
  readonly deviceId: DeviceId;
  readonly user: UserAddress;
  readonly keys: KeyPair;
}

export function must<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(`${result.error.code}: ${result.error.detail}`);
  return result.value;
}

export function benchDomain(text: string): Domain {
  return must(parseDomain(text));
}

export function benchDevice(domain: Domain, number: number): BenchDevice {
  const user = must(parseUserAddress(`user${number}@${domain}`));
  const keys = nodeCrypto.ed25519.keyPair((length) => nodeRandom.bytes(length));
  return { deviceId: idFromBytes<DeviceId>(nodeRandom.bytes(16)), user, keys };
}

/** The MLS side of a device, with its certificate and its issuer's. */
export function ownIdentity({ keys }: BenchDevice, certificates: readonly Uint8Array[]): OwnIdentity {
  return { certificates, signPrivateKey: keys.privateKey, publicKey: keys.publicKey };
}

/** An organisation that lives in one process, for questions that need no server. */
export class BenchOrganisation {
  readonly domain: Domain;
  readonly root: KeyPair;
  readonly server: KeyPair;
  readonly certificate: SignedDocument<ServerCertificateBody>;

  constructor(name: string) {
    const random = (length: number) => nodeRandom.bytes(length);
    const now = nodeClock.now();
    this.domain = benchDomain(name);
    this.root = nodeCrypto.ed25519.keyPair(random);
    this.server = nodeCrypto.ed25519.keyPair(random);
    const draft = draftServerCertificate({
      org: this.domain,
      domain: this.domain,
      public_key: this.server.publicKey,
      usages: ['server', 'devices', 'trust', 'audit'],
      tls_spki_sha256: [nodeRandom.bytes(32)],
      not_before: now - DAY_MS,
      not_after: now + 365 * DAY_MS,
    });
    this.certificate = signDocumentWith(nodeCrypto, draft, this.root);
  }

  /** The device certificate, then its issuer's. */
  certify({ deviceId, user, keys }: BenchDevice): readonly Uint8Array[] {
    const now = nodeClock.now();
    const draft = draftDeviceCertificate({
      device_id: deviceId,
      user,
      org: domainOf(user),
      public_key: keys.publicKey,
      not_before: now - DAY_MS,
      not_after: now + 300 * DAY_MS,
    });
    return [signDocumentWith(nodeCrypto, draft, this.server).bytes, this.certificate.bytes];
  }
}
