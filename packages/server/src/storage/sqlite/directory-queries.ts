import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { type DeviceId, idFromBytes, instant, type UserAddress } from '@norc/protocol/base';
import type { DeviceRow, EnrolmentRow, UserRow } from '../port.ts';
import { idBytes } from './directory-writes.ts';
import { bytesOf, integerOf, optionalBytesOf, optionalIntegerOf, type Row, textOf } from './rows.ts';

const DEVICE = `
SELECT id, user, name, public_key, certificate, issuer_certificate, enrolled_at, revoked_at FROM device`;

export class DirectoryQueries {
  readonly #user: StatementSync;
  readonly #users: StatementSync;
  readonly #device: StatementSync;
  readonly #devicesOf: StatementSync;
  readonly #enrolment: StatementSync;
  readonly #stock: StatementSync;

  constructor(database: DatabaseSync) {
    this.#user = database.prepare('SELECT address, created_at FROM user WHERE address = ?');
    this.#users = database.prepare('SELECT address, created_at FROM user ORDER BY address');
    this.#device = database.prepare(`${DEVICE} WHERE id = ?`);
    this.#devicesOf = database.prepare(`${DEVICE} WHERE user = ? ORDER BY number`);
    this.#enrolment = database.prepare(
      'SELECT code_hash, user, expires_at, used_at, used_by FROM enrolment WHERE code_hash = ?',
    );
    this.#stock = database.prepare(`
      SELECT count(*) AS stock FROM key_package WHERE device = ? AND last_resort = 0 AND expires_at > ?`);
  }

  user(user: UserAddress): UserRow | undefined {
    const row = this.#user.get(user);
    return row === undefined ? undefined : userRow(row);
  }

  users(): UserRow[] {
    return this.#users.all().map(userRow);
  }

  device(id: DeviceId): DeviceRow | undefined {
    const row = this.#device.get(idBytes(id));
    return row === undefined ? undefined : deviceRow(row);
  }

  devicesOf(user: UserAddress): DeviceRow[] {
    return this.#devicesOf.all(user).map(deviceRow);
  }

  enrolment(
    codeHash: Uint8Array,
  ): (EnrolmentRow & { usedAt?: DeviceRow['enrolledAt']; usedBy?: DeviceId }) | undefined {
    const row = this.#enrolment.get(codeHash);
    if (row === undefined) return undefined;
    const usedAt = optionalIntegerOf(row, 'used_at');
    const usedBy = optionalBytesOf(row, 'used_by');
    return {
      codeHash: bytesOf(row, 'code_hash'),
      user: textOf(row, 'user') as UserAddress, // was one when stored
      expiresAt: instant(integerOf(row, 'expires_at')),
      ...(usedAt === undefined ? {} : { usedAt: instant(usedAt) }),
      ...(usedBy === undefined ? {} : { usedBy: idFromBytes<DeviceId>(usedBy) }),
    };
  }

  keyPackageCount(id: DeviceId, now: number): number {
    return integerOf(this.#stock.get(idBytes(id), now), 'stock');
  }
}

function userRow(row: Row): UserRow {
  return { user: textOf(row, 'address') as UserAddress, createdAt: instant(integerOf(row, 'created_at')) }; // was one when stored
}

function deviceRow(row: Row): DeviceRow {
  const revokedAt = optionalIntegerOf(row, 'revoked_at');
  return {
    deviceId: idFromBytes<DeviceId>(bytesOf(row, 'id')),
    user: textOf(row, 'user') as UserAddress, // was one when stored
    name: textOf(row, 'name'),
    publicKey: bytesOf(row, 'public_key'),
    certificate: bytesOf(row, 'certificate'),
    issuerCertificate: bytesOf(row, 'issuer_certificate'),
    enrolledAt: instant(integerOf(row, 'enrolled_at')),
    ...(revokedAt === undefined ? {} : { revokedAt: instant(revokedAt) }),
  };
}
