import {
  type Clock,
  concatBytes,
  type DeviceId,
  type Domain,
  domainOf,
  type Instant,
  instant,
  LEVELS,
  LIMITS,
  ok,
  type Random,
  type Result,
  reject,
  sameBytes,
  type UserAddress,
  utf8,
} from '@norc/protocol/base';
import { type Crypto, draftDeviceCertificate, type Signer, signDocument } from '@norc/protocol/crypto';
import { CERTIFICATE_BACKDATE_MS } from '../identity/organisation.ts';
import type {
  Audit,
  AuditEvent,
  AuthenticatedDevice,
  ClaimedPackage,
  Directory,
  RegisteredDevice,
  RegistrationRequest,
} from '../services.ts';
import type { DeviceRow, KeyPackageRow, Store } from '../storage/port.ts';

const DAY_MS = 86_400_000;
const ENROLMENT_LIFE_MS = DAY_MS;
const ENROLMENT_SECRET_BYTES = 16;
const CODE_LABEL = utf8('norc-enrolment-secret-v1');

/** What a verified KeyPackage says, for the directory. */
export interface KeyPackageFacts {
  readonly deviceId: DeviceId;
  readonly user: UserAddress;
  readonly notAfter: Instant;
  readonly lastResort: boolean;
}

export interface DirectoryDependencies {
  readonly domain: Domain;
  readonly store: Store;
  readonly audit: Audit;
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly random: Random;
  /** Server key with usage `devices`, and its certificate as canonical JSON. */
  readonly issuer: Signer;
  readonly issuerCertificate: { readonly document: Uint8Array; readonly notAfter: Instant };
  /** Strict check of a KeyPackage against our own root key (packages/mls). */
  readonly verifyKeyPackage: (keyPackage: Uint8Array) => Promise<Result<KeyPackageFacts>>;
}

/** Users, devices and KeyPackages of one organisation. */
export function createDirectory(dependencies: DirectoryDependencies): Directory {
  return new DirectoryService(dependencies);
}

class DirectoryService implements Directory {
  readonly #d: DirectoryDependencies;
  readonly #listeners: ((user: UserAddress, revoked: DeviceId | undefined) => void)[] = [];

  constructor(dependencies: DirectoryDependencies) {
    this.#d = dependencies;
  }

  async addUser(user: UserAddress, actor: string): Promise<Result<{ readonly added: boolean }>> {
    if (domainOf(user) !== this.#d.domain) return reject('forbidden', 'the user belongs to another organisation');
    if ((await this.#d.store.read.user(user)) !== undefined) return ok({ added: false });
    const write = { op: 'user.add', user: { user, createdAt: this.#d.clock.now() } } as const;
    const outcome = await this.#d.audit.commit([write], [event('user_added', actor, `user:${user}`, 'ok')]);
    return ok({ added: outcome.ok });
  }

  async createEnrolment(
    user: UserAddress,
    actor: string,
  ): Promise<Result<{ readonly secret: Uint8Array; readonly expiresAt: Instant }>> {
    if ((await this.#d.store.read.user(user)) === undefined) return reject('user_not_found', 'user');
    const secret = this.#d.random.bytes(ENROLMENT_SECRET_BYTES);
    const expiresAt = instant(this.#d.clock.now() + ENROLMENT_LIFE_MS);
    const write = { op: 'enrolment.add', enrolment: { codeHash: this.#codeHash(secret), user, expiresAt } } as const;
    const outcome = await this.#d.audit.commit([write], [event('enrolment_created', actor, `user:${user}`, 'ok')]);
    return outcome.ok ? ok({ secret, expiresAt }) : reject('internal', 'enrolment code');
  }

  async register(request: RegistrationRequest): Promise<Result<RegisteredDevice>> {
    const codeHash = this.#codeHash(request.secret);
    const enrolment = await this.#d.store.read.enrolment(codeHash);
    if (enrolment === undefined || enrolment.user !== request.user) return this.#refuseCode(request);
    if (enrolment.usedAt !== undefined) return this.#repeated(request, enrolment.usedBy);
    const now = this.#d.clock.now();
    if (now >= enrolment.expiresAt) return this.#refuseCode(request);
    const device = await this.#certify(request, now);
    const outcome = await this.#d.audit.commit(
      [
        { op: 'enrolment.use', codeHash, usedAt: now, deviceId: request.deviceId },
        { op: 'device.add', device },
      ],
      [event('device_registered', `user:${request.user}`, `device:${request.deviceId}`, 'ok')],
    );
    if (!outcome.ok) return this.#refuseCode(request);
    this.#tell(request.user, undefined);
    return ok({ status: 'registered', certificate: device.certificate, issuerCertificate: device.issuerCertificate });
  }

  /** A device that lost the answer asks again with the same code and key, and gets the same answer. */
  async #repeated(request: RegistrationRequest, usedBy: DeviceId | undefined): Promise<Result<RegisteredDevice>> {
    const device = usedBy === request.deviceId ? await this.#d.store.read.device(request.deviceId) : undefined;
    const same =
      device !== undefined && device.revokedAt === undefined && sameBytes(device.publicKey, request.publicKey);
    if (!same) return this.#refuseCode(request);
    const { certificate, issuerCertificate } = device;
    return ok({ status: 'already_registered', certificate, issuerCertificate });
  }

  /** Wrong, used, expired, or for somebody else: one answer, so that codes and users cannot be told apart. */
  #refuseCode(request: RegistrationRequest): Result<never> {
    this.#d.audit.note(event('enrolment_refused', `user:${request.user}`, `device:${request.deviceId}`, 'refused'));
    return reject('enrolment_invalid', 'enrolment code');
  }

  async #certify(request: RegistrationRequest, now: Instant): Promise<DeviceRow> {
    const { deviceId, user, name, publicKey } = request;
    const life = LEVELS.basic.deviceLifeDaysMax * DAY_MS;
    const notBefore = now - CERTIFICATE_BACKDATE_MS;
    const draft = draftDeviceCertificate({
      device_id: deviceId,
      user,
      org: this.#d.domain,
      public_key: publicKey,
      not_before: notBefore,
      not_after: Math.min(notBefore + life, this.#d.issuerCertificate.notAfter),
    });
    const signed = await signDocument(this.#d.crypto, draft, this.#d.issuer);
    const issuerCertificate = this.#d.issuerCertificate.document;
    return { deviceId, user, name, publicKey, certificate: signed.bytes, issuerCertificate, enrolledAt: now };
  }

  device(deviceId: DeviceId): Promise<DeviceRow | undefined> {
    return this.#d.store.read.device(deviceId);
  }

  devicesOf(user: UserAddress): Promise<readonly DeviceRow[]> {
    return this.#d.store.read.devicesOf(user);
  }

  async revokeDevice(deviceId: DeviceId, actor: string): Promise<Result<{ readonly user: UserAddress }>> {
    const device = await this.#d.store.read.device(deviceId);
    if (device === undefined || device.revokedAt !== undefined) return reject('forbidden', 'device');
    const outcome = await this.#d.audit.commit(
      [
        { op: 'device.revoke', deviceId, revokedAt: this.#d.clock.now() },
        { op: 'keyPackages.drop', deviceId },
      ],
      [event('device_revoked', actor, `device:${deviceId}`, 'ok')],
    );
    if (!outcome.ok) return reject('internal', 'device');
    this.#tell(device.user, deviceId);
    return ok({ user: device.user });
  }

  async publishKeyPackages(
    device: AuthenticatedDevice,
    packages: readonly Uint8Array[],
    lastResort: Uint8Array | undefined,
  ): Promise<Result<{ readonly stock: number }>> {
    const stock = await this.keyStock(device.deviceId);
    if (stock + packages.length > LIMITS.keyPackagesPerDeviceMax)
      return reject('limit_exceeded', 'KeyPackages of a device');
    const rows: KeyPackageRow[] = [];
    for (const bytes of lastResort === undefined ? packages : [...packages, lastResort]) {
      const row = await this.#checked(device, bytes, bytes === lastResort);
      if (!row.ok) return row;
      rows.push(row.value);
    }
    await this.#d.store.commit([{ op: 'keyPackages.add', deviceId: device.deviceId, packages: rows }]);
    return ok({ stock: await this.keyStock(device.deviceId) });
  }

  /** A device publishes for itself alone: nobody can plant a package under another device's name. */
  async #checked(device: AuthenticatedDevice, bytes: Uint8Array, lastResort: boolean): Promise<Result<KeyPackageRow>> {
    const facts = await this.#d.verifyKeyPackage(bytes);
    if (!facts.ok) return facts;
    const own = facts.value.deviceId === device.deviceId && facts.value.user === device.user;
    if (!own) return reject('credential_invalid', 'KeyPackage of another device');
    if (facts.value.lastResort !== lastResort) return reject('malformed', 'last-resort mark of the KeyPackage');
    const latest = this.#d.clock.now() + (LIMITS.keyPackageDaysMax + 1) * DAY_MS;
    if (!lastResort && facts.value.notAfter > latest) return reject('limit_exceeded', 'KeyPackage lifetime');
    return ok({ bytes, ref: this.#d.crypto.blake3(bytes), lastResort, expiresAt: facts.value.notAfter });
  }

  keyStock(deviceId: DeviceId): Promise<number> {
    return this.#d.store.read.keyPackageCount(deviceId, this.#d.clock.now());
  }

  async claimKeyPackages(users: readonly UserAddress[], requester: UserAddress): Promise<readonly ClaimedPackage[]> {
    const claimed: ClaimedPackage[] = [];
    const now = this.#d.clock.now();
    for (const user of new Set(users)) {
      const packages = await this.#d.store.read.claimKeyPackages(user, now);
      for (const { deviceId, bytes } of packages) claimed.push({ user, deviceId, keyPackage: bytes });
      if (packages.length > 0)
        this.#d.audit.note(event('key_packages_claimed', `user:${requester}`, `user:${user}`, 'ok'));
    }
    return claimed;
  }

  onDevicesChanged(listener: (user: UserAddress, revoked: DeviceId | undefined) => void): void {
    this.#listeners.push(listener);
  }

  #tell(user: UserAddress, revoked: DeviceId | undefined): void {
    for (const listener of this.#listeners) listener(user, revoked);
  }

  #codeHash(secret: Uint8Array): Uint8Array {
    return this.#d.crypto.blake3(concatBytes(CODE_LABEL, secret));
  }
}

function event(type: AuditEvent['type'], actor: string, subject: string, outcome: AuditEvent['outcome']): AuditEvent {
  return { type, actor, subject, outcome };
}
