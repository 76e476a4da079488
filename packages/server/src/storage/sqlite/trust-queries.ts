import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { type Domain, type Instant, instant } from '@norc/protocol/base';
import type { AuditRow, TrustCertificateRow, TrustExchangeRow, TrustRevocationRow } from '../port.ts';
import { bytesOf, integerOf, type Row, textOf } from './rows.ts';

const EXCHANGE = 'SELECT id, peer, role, state, document, updated_at FROM trust_exchange';

export class TrustQueries {
  readonly #exchanges: StatementSync;
  readonly #exchange: StatementSync;
  readonly #certificates: StatementSync;
  readonly #revocations: StatementSync;
  readonly #heard: StatementSync;
  readonly #auditHead: StatementSync;
  readonly #audit: StatementSync;
  readonly #meta: StatementSync;

  constructor(database: DatabaseSync) {
    this.#exchanges = database.prepare(`${EXCHANGE} ORDER BY updated_at, id`);
    this.#exchange = database.prepare(`${EXCHANGE} WHERE id = ?`);
    this.#certificates = database.prepare(
      'SELECT id, issuer, subject, not_after, document FROM trust_certificate ORDER BY issuer, id',
    );
    this.#revocations = database.prepare(
      'SELECT issuer, sequence, subject, document FROM trust_revocation ORDER BY issuer, sequence',
    );
    this.#heard = database.prepare('SELECT at FROM trust_heard WHERE peer = ?');
    this.#auditHead = database.prepare('SELECT sequence, hash FROM audit ORDER BY sequence DESC LIMIT 1');
    this.#audit = database.prepare(`
      SELECT sequence, time, type, previous_hash, hash, entry, signature FROM audit
      WHERE sequence > ? ORDER BY sequence LIMIT ?`);
    this.#meta = database.prepare('SELECT value FROM meta WHERE key = ?');
  }

  exchanges(): TrustExchangeRow[] {
    return this.#exchanges.all().map(exchangeRow);
  }

  exchange(id: string): TrustExchangeRow | undefined {
    const row = this.#exchange.get(id);
    return row === undefined ? undefined : exchangeRow(row);
  }

  certificates(): TrustCertificateRow[] {
    return this.#certificates.all().map((row) => ({
      certificateId: textOf(row, 'id'),
      issuer: domain(row, 'issuer'),
      subject: domain(row, 'subject'),
      notAfter: instant(integerOf(row, 'not_after')),
      document: bytesOf(row, 'document'),
    }));
  }

  revocations(): TrustRevocationRow[] {
    return this.#revocations.all().map((row) => ({
      issuer: domain(row, 'issuer'),
      subject: domain(row, 'subject'),
      sequence: integerOf(row, 'sequence'),
      document: bytesOf(row, 'document'),
    }));
  }

  heard(peer: Domain): Instant | undefined {
    const row = this.#heard.get(peer);
    return row === undefined ? undefined : instant(integerOf(row, 'at'));
  }

  auditHead(): { sequence: number; hash: Uint8Array } | undefined {
    const row = this.#auditHead.get();
    return row === undefined ? undefined : { sequence: integerOf(row, 'sequence'), hash: bytesOf(row, 'hash') };
  }

  auditEntries(after: number, limit: number): AuditRow[] {
    return this.#audit.all(after, limit).map((row) => ({
      sequence: integerOf(row, 'sequence'),
      time: instant(integerOf(row, 'time')),
      type: textOf(row, 'type'),
      previousHash: bytesOf(row, 'previous_hash'),
      hash: bytesOf(row, 'hash'),
      entry: bytesOf(row, 'entry'),
      signature: bytesOf(row, 'signature'),
    }));
  }

  meta(key: string): Uint8Array | undefined {
    const row = this.#meta.get(key);
    return row === undefined ? undefined : bytesOf(row, 'value');
  }
}

function domain(row: Row, column: string): Domain {
  return textOf(row, column) as Domain; // was one when stored
}

function exchangeRow(row: Row): TrustExchangeRow {
  return {
    exchangeId: textOf(row, 'id'),
    peer: domain(row, 'peer'),
    role: textOf(row, 'role') === 'initiator' ? 'initiator' : 'responder',
    state: textOf(row, 'state'),
    document: bytesOf(row, 'document'),
    updatedAt: instant(integerOf(row, 'updated_at')),
  };
}
