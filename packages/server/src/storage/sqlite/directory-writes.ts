import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { type DeviceId, fromHex, idFromBytes, instant } from '@norc/protocol/base';
import type { ClaimedKeyPackage, DeviceRow, EnrolmentRow, KeyPackageRow, StoreWrite, UserRow } from '../port.ts';
import type { ClaimWrite } from './packet.ts';
import { bytesOf, integerOf } from './rows.ts';

type KeyPackagesAdd = Extract<StoreWrite, { readonly op: 'keyPackages.add' }>;
type EnrolmentUse = Extract<StoreWrite, { readonly op: 'enrolment.use' }>;

/** Bytes of an id, for a column. */
export function idBytes(id: string): Uint8Array {
  const bytes = fromHex(id);
  if (bytes === undefined || bytes.length !== 16) throw new RangeError('an id to store is not 16 bytes in hexadecimal');
  return bytes;
}

/** Users, enrolment codes, devices and their key packages. Conditional writes return whether they took effect. */
export class DirectoryWrites {
  readonly #user: StatementSync;
  readonly #enrolment: StatementSync;
  readonly #useEnrolment: StatementSync;
  readonly #device: StatementSync;
  readonly #revoke: StatementSync;
  readonly #package: StatementSync;
  readonly #dropLastResort: StatementSync;
  readonly #dropPackages: StatementSync;

  constructor(database: DatabaseSync) {
    this.#user = database.prepare(`
      INSERT INTO user (address, created_at) VALUES (?, ?) ON CONFLICT (address) DO NOTHING`);
    this.#enrolment = database.prepare(`
      INSERT INTO enrolment (code_hash, user, expires_at) VALUES (?, ?, ?) ON CONFLICT (code_hash) DO NOTHING`);
    this.#useEnrolment = database.prepare(`
      UPDATE enrolment SET used_at = ?1, used_by = ?2 WHERE code_hash = ?3 AND used_at IS NULL AND expires_at > ?1`);
    this.#device = database.prepare(`
      INSERT INTO device
        (id, user, name, public_key, certificate, issuer_certificate, enrolled_at, revoked_at)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`);
    this.#revoke = database.prepare('UPDATE device SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL');
    this.#package = database.prepare(`
      INSERT INTO key_package (device, last_resort, expires_at, ref, bytes) VALUES (?, ?, ?, ?, ?)
      ON CONFLICT (device, ref) DO NOTHING`);
    this.#dropLastResort = database.prepare('DELETE FROM key_package WHERE device = ? AND last_resort = 1');
    this.#dropPackages = database.prepare('DELETE FROM key_package WHERE device = ?');
  }

  addUser(user: UserRow): void {
    this.#user.run(user.user, user.createdAt);
  }

  addEnrolment(enrolment: EnrolmentRow): void {
    this.#enrolment.run(enrolment.codeHash, enrolment.user, enrolment.expiresAt);
  }

  useEnrolment(write: EnrolmentUse): boolean {
    return this.#useEnrolment.run(write.usedAt, idBytes(write.deviceId), write.codeHash).changes !== 0;
  }

  addDevice(device: DeviceRow): boolean {
    const { changes } = this.#device.run(
      idBytes(device.deviceId),
      device.user,
      device.name,
      device.publicKey,
      device.certificate,
      device.issuerCertificate,
      device.enrolledAt,
      device.revokedAt ?? null,
    );
    return changes !== 0;
  }

  /** The first revocation's time stays. */
  revokeDevice(deviceId: DeviceId, revokedAt: number): void {
    this.#revoke.run(revokedAt, idBytes(deviceId));
  }

  addKeyPackages(write: KeyPackagesAdd): void {
    const device = idBytes(write.deviceId);
    for (const one of write.packages) this.#addKeyPackage(device, one);
  }

  dropKeyPackages(deviceId: DeviceId): void {
    this.#dropPackages.run(idBytes(deviceId));
  }

  #addKeyPackage(device: Uint8Array, one: KeyPackageRow): void {
    if (one.lastResort) this.#dropLastResort.run(device);
    this.#package.run(device, one.lastResort ? 1 : 0, one.expiresAt, one.ref, one.bytes);
  }
}

/** Takes key packages of a user's devices: a one-time one is gone with the transaction that hands it out. */
export class KeyPackageClaims {
  readonly #devices: StatementSync;
  readonly #dropExpired: StatementSync;
  readonly #next: StatementSync;
  readonly #count: StatementSync;
  readonly #drop: StatementSync;

  constructor(database: DatabaseSync) {
    this.#devices = database.prepare('SELECT id FROM device WHERE user = ? AND revoked_at IS NULL ORDER BY number');
    this.#dropExpired = database.prepare('DELETE FROM key_package WHERE device = ? AND expires_at <= ?');
    this.#next = database.prepare(`
      SELECT number, last_resort, expires_at, ref, bytes FROM key_package
      WHERE device = ? ORDER BY last_resort, number LIMIT 1`);
    this.#count = database.prepare('SELECT count(*) AS left FROM key_package WHERE device = ? AND last_resort = 0');
    this.#drop = database.prepare('DELETE FROM key_package WHERE number = ?');
  }

  claim(write: ClaimWrite): ClaimedKeyPackage[] {
    const claimed: ClaimedKeyPackage[] = [];
    for (const row of this.#devices.all(write.user)) {
      const one = this.#claimOf(bytesOf(row, 'id'), write.now);
      if (one !== undefined) claimed.push(one);
    }
    return claimed;
  }

  #claimOf(device: Uint8Array, now: number): ClaimedKeyPackage | undefined {
    this.#dropExpired.run(device, now);
    const row = this.#next.get(device);
    if (row === undefined) return undefined;
    const lastResort = integerOf(row, 'last_resort') === 1;
    if (!lastResort) this.#drop.run(integerOf(row, 'number'));
    return {
      deviceId: idFromBytes<DeviceId>(device),
      bytes: bytesOf(row, 'bytes'),
      ref: bytesOf(row, 'ref'),
      lastResort,
      expiresAt: instant(integerOf(row, 'expires_at')),
      left: integerOf(this.#count.get(device), 'left'),
    };
  }
}
