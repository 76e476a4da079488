import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { type Domain, type Instant, instant } from '@norc/protocol/base';
import type {
  AuditRow,
  TrustCertificateRow,
  TrustDecidedRow,
  TrustExchangeRow,
  TrustRecordKind,
  TrustRecordRow,
  TrustRevocationRow,
} from '../port.ts';
import { bytesOf, integerOf, type Row, textOf } from './rows.ts';

const EXCHANGE = 'SELECT id, peer, role, state, document, updated_at FROM trust_exchange';
const RECORD = 'SELECT kind, key, peer, at, document FROM trust_record';

export class TrustQueries {
  readonly #exchanges: StatementSync;
  readonly #exchange: StatementSync;
  readonly #certificates: StatementSync;
  readonly #revocations: StatementSync;
  readonly #heard: StatementSync;
  readonly #records: StatementSync;
  readonly #record: StatementSync;
  readonly #decided: StatementSync;
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
    this.#records = database.prepare(`${RECORD} WHERE kind = ?1 AND (?2 IS NULL OR peer = ?2) ORDER BY at, key`);
    this.#record = database.prepare(`${RECORD} WHERE kind = ? AND key = ?`);
    this.#decided = database.prepare(`
      SELECT day, peer, question, outcome, count FROM trust_decided WHERE day >= ? ORDER BY day, peer, question, outcome`);
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

  records(kind: TrustRecordKind, peer?: Domain): TrustRecordRow[] {
    return this.#records.all(kind, peer ?? null).map(recordRow);
  }

  record(kind: TrustRecordKind, key: string): TrustRecordRow | undefined {
    const row = this.#record.get(kind, key);
    return row === undefined ? undefined : recordRow(row);
  }

  decided(day: number): TrustDecidedRow[] {
    return this.#decided.all(day).map((row) => ({
      day: integerOf(row, 'day'),
      peer: domain(row, 'peer'),
      question: textOf(row, 'question'),
      outcome: textOf(row, 'outcome'),
      count: integerOf(row, 'count'),
    }));
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

function recordRow(row: Row): TrustRecordRow {
  return {
    kind: textOf(row, 'kind') as TrustRecordKind, // was one when stored
    key: textOf(row, 'key'),
    ...(row['peer'] === null ? {} : { peer: domain(row, 'peer') }),
    at: instant(integerOf(row, 'at')),
    document: bytesOf(row, 'document'),
  };
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
