import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { sameBytes } from '@norc/protocol/base';
import type {
  AuditRow,
  TrustCertificateRow,
  TrustDecidedRow,
  TrustExchangeRow,
  TrustRecordRow,
  TrustRevocationRow,
} from '../port.ts';
import { bytesOf, integerOf } from './rows.ts';

/** Trust documents, the audit log and named values. Conditional writes return whether they took effect. */
export class TrustWrites {
  readonly #exchange: StatementSync;
  readonly #exchangeDelete: StatementSync;
  readonly #certificate: StatementSync;
  readonly #certificateDelete: StatementSync;
  readonly #revocation: StatementSync;
  readonly #heard: StatementSync;
  readonly #record: StatementSync;
  readonly #recordDelete: StatementSync;
  readonly #decided: StatementSync;
  readonly #decidedPrune: StatementSync;
  readonly #auditHead: StatementSync;
  readonly #audit: StatementSync;
  readonly #meta: StatementSync;

  constructor(database: DatabaseSync) {
    this.#exchange = database.prepare(`
      INSERT INTO trust_exchange (id, peer, role, state, document, updated_at) VALUES (?, ?, ?, ?, ?, ?)
      ON CONFLICT (id) DO UPDATE SET peer = excluded.peer, role = excluded.role, state = excluded.state,
        document = excluded.document, updated_at = excluded.updated_at`);
    this.#certificate = database.prepare(`
      INSERT INTO trust_certificate (id, issuer, subject, not_after, document) VALUES (?, ?, ?, ?, ?)
      ON CONFLICT (issuer, id) DO UPDATE SET subject = excluded.subject,
        not_after = excluded.not_after, document = excluded.document`);
    this.#exchangeDelete = database.prepare('DELETE FROM trust_exchange WHERE id = ?');
    this.#certificateDelete = database.prepare('DELETE FROM trust_certificate WHERE issuer = ? AND id = ?');
    this.#revocation = database.prepare(`
      INSERT INTO trust_revocation (issuer, sequence, subject, document)
      SELECT ?1, ?2, ?3, ?4
      WHERE ?2 = 1 + COALESCE((SELECT max(sequence) FROM trust_revocation WHERE issuer = ?1), 0)`);
    this.#heard = database.prepare(`
      INSERT INTO trust_heard (peer, at) VALUES (?, ?) ON CONFLICT DO UPDATE SET at = excluded.at`);
    this.#record = database.prepare(`
      INSERT INTO trust_record (kind, key, peer, at, document) VALUES (?, ?, ?, ?, ?)
      ON CONFLICT DO UPDATE SET peer = excluded.peer, at = excluded.at, document = excluded.document`);
    this.#recordDelete = database.prepare('DELETE FROM trust_record WHERE kind = ? AND key = ?');
    this.#decided = database.prepare(`
      INSERT INTO trust_decided (day, peer, question, outcome, count) VALUES (?, ?, ?, ?, ?)
      ON CONFLICT DO UPDATE SET count = count + excluded.count`);
    this.#decidedPrune = database.prepare('DELETE FROM trust_decided WHERE day < ?');
    this.#auditHead = database.prepare('SELECT sequence, hash FROM audit ORDER BY sequence DESC LIMIT 1');
    this.#audit = database.prepare(`
      INSERT INTO audit (sequence, time, type, previous_hash, hash, entry, signature) VALUES (?, ?, ?, ?, ?, ?, ?)`);
    this.#meta = database.prepare(`
      INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value`);
  }

  putExchange(exchange: TrustExchangeRow): void {
    const { exchangeId, peer, role, state, document, updatedAt } = exchange;
    this.#exchange.run(exchangeId, peer, role, state, document, updatedAt);
  }

  deleteExchange(exchangeId: string): void {
    this.#exchangeDelete.run(exchangeId);
  }

  deleteCertificate(issuer: string, certificateId: string): void {
    this.#certificateDelete.run(issuer, certificateId);
  }

  putCertificate(certificate: TrustCertificateRow): void {
    const { certificateId, issuer, subject, notAfter, document } = certificate;
    this.#certificate.run(certificateId, issuer, subject, notAfter, document);
  }

  addRevocation(revocation: TrustRevocationRow): boolean {
    const { issuer, sequence, subject, document } = revocation;
    return this.#revocation.run(issuer, sequence, subject, document).changes !== 0;
  }

  heard(peer: string, at: number): void {
    this.#heard.run(peer, at);
  }

  putRecord({ kind, key, peer, at, document }: TrustRecordRow): void {
    this.#record.run(kind, key, peer ?? null, at, document);
  }

  deleteRecord(kind: string, key: string): void {
    this.#recordDelete.run(kind, key);
  }

  decided({ day, peer, question, outcome, count }: TrustDecidedRow): void {
    this.#decided.run(day, peer, question, outcome, count);
  }

  pruneDecided(day: number): void {
    this.#decidedPrune.run(day);
  }

  appendAudit(entry: AuditRow): boolean {
    const head = this.#auditHead.get();
    const expected = head === undefined ? 1 : integerOf(head, 'sequence') + 1;
    if (entry.sequence !== expected) return false;
    if (head !== undefined && !sameBytes(bytesOf(head, 'hash'), entry.previousHash)) return false;
    this.#audit.run(
      entry.sequence,
      entry.time,
      entry.type,
      entry.previousHash,
      entry.hash,
      entry.entry,
      entry.signature,
    );
    return true;
  }

  putMeta(key: string, value: Uint8Array): void {
    this.#meta.run(key, value);
  }
}
