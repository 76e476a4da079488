import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { ClaimedKeyPackage, StorageError, StoreWrite } from '../port.ts';
import { ConversationWrites } from './conversation-writes.ts';
import { Conversations } from './conversations.ts';
import { DirectoryWrites, idBytes, KeyPackageClaims } from './directory-writes.ts';
import { isConstraint, isFatal, storageErrorOf } from './faults.ts';
import { Followers, Peers } from './followers.ts';
import { LogWrites } from './log-writes.ts';
import { OutboxWrites } from './outbox-writes.ts';
import { OPCODE, type Packet, type RareWrite } from './packet.ts';
import { PacketReader } from './packet-reader.ts';
import { TrustWrites } from './trust-writes.ts';

/** What became of a transaction that did not simply take effect, by its place in the packet. */
export type TransactionReport = { readonly transaction: number } & (
  | { readonly kind: 'conflict'; readonly op: StoreWrite['op']; readonly index: number }
  | { readonly kind: 'claimed'; readonly packages: readonly ClaimedKeyPackage[] }
  /** A value that the tables refuse. The caller's fault; nothing of it was kept. */
  | { readonly kind: 'misuse'; readonly message: string }
);

/**
 * Every write of the store on one connection, without a thread or a promise. A packet
 * is one transaction: when `run` returns, all of it is on disk except the callers'
 * transactions that the reports name; when it throws, nothing is.
 */
export class SqliteCore {
  readonly #database: DatabaseSync;
  readonly #file: string;
  readonly #conversations: Conversations;
  readonly #peers: Peers;
  readonly #followers: Followers;
  readonly #log: LogWrites;
  readonly #outbox: OutboxWrites;
  readonly #directory: DirectoryWrites;
  readonly #claims: KeyPackageClaims;
  readonly #conversationWrites: ConversationWrites;
  readonly #trust: TrustWrites;
  readonly #begin: StatementSync;
  readonly #commit: StatementSync;
  readonly #savepoint: StatementSync;
  readonly #release: StatementSync;
  readonly #undo: StatementSync;
  #dead: StorageError | undefined;

  /** `file`: for messages to the operator. */
  constructor(database: DatabaseSync, file: string) {
    this.#database = database;
    this.#file = file;
    this.#conversations = new Conversations(database);
    this.#peers = new Peers(database);
    this.#followers = new Followers(database, this.#conversations);
    this.#log = new LogWrites(database, this.#conversations, this.#followers);
    this.#outbox = new OutboxWrites(database, this.#peers);
    this.#directory = new DirectoryWrites(database);
    this.#claims = new KeyPackageClaims(database);
    this.#conversationWrites = new ConversationWrites(database, this.#log.members);
    this.#trust = new TrustWrites(database);
    this.#begin = database.prepare('BEGIN IMMEDIATE');
    this.#commit = database.prepare('COMMIT');
    this.#savepoint = database.prepare('SAVEPOINT caller');
    this.#release = database.prepare('RELEASE caller');
    this.#undo = database.prepare('ROLLBACK TO caller');
    this.#followers.sweepAll();
  }

  /** Throws StorageError. After `io` or `corrupt` it refuses everything: what the disk holds is unknown. */
  run(packet: Packet): TransactionReport[] {
    if (this.#dead !== undefined) throw this.#dead;
    try {
      this.#begin.run();
      const reports = this.#transactions(new PacketReader(packet));
      this.#followers.sweepWhenDue();
      this.#commit.run();
      return reports;
    } catch (error) {
      this.#abandon();
      throw this.#known(error);
    }
  }

  #known(error: unknown): unknown {
    const known = storageErrorOf(error, this.#file);
    if (known !== undefined && isFatal(known.fault)) this.#dead = known;
    return known ?? error;
  }

  #abandon(): void {
    this.#conversations.clear();
    this.#peers.clear();
    try {
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
    } catch (error) {
      this.#dead = storageErrorOf(error, this.#file) ?? this.#dead;
    }
  }

  #transactions(packet: PacketReader): TransactionReport[] {
    const reports: TransactionReport[] = [];
    for (let transaction = 0; !packet.atEnd; transaction += 1) {
      const length = packet.u32();
      const end = packet.offset + length;
      const report =
        packet.u8() === 1 ? this.#guarded(packet, end, transaction) : this.#writes(packet, end, transaction);
      if (report !== undefined) reports.push(report);
      if (report === undefined || report.kind === 'claimed') this.#conversations.keep();
      else this.#conversations.undo();
      packet.skipTo(end);
    }
    return reports;
  }

  #guarded(packet: PacketReader, end: number, transaction: number): TransactionReport | undefined {
    this.#savepoint.run();
    const report = this.#caught(packet, end, transaction);
    if (report !== undefined && report.kind !== 'claimed') {
      this.#undo.run();
      this.#peers.clear();
    }
    this.#release.run();
    return report;
  }

  /** Wrong values must not take the other callers' transactions with them. */
  #caught(packet: PacketReader, end: number, transaction: number): TransactionReport | undefined {
    try {
      return this.#writes(packet, end, transaction);
    } catch (error) {
      if (error instanceof RangeError || error instanceof TypeError || isConstraint(error)) {
        return { transaction, kind: 'misuse', message: error instanceof Error ? error.message : '' };
      }
      throw error;
    }
  }

  #writes(packet: PacketReader, end: number, transaction: number): TransactionReport | undefined {
    for (let index = 0; packet.offset < end; index += 1) {
      const opcode = packet.u8();
      if (opcode === OPCODE.rare) {
        const write = packet.rare();
        if (write.op === 'keyPackages.claim') {
          return { transaction, kind: 'claimed', packages: this.#claims.claim(write) };
        }
        if (!this.#rare(write)) return { transaction, kind: 'conflict', op: write.op, index };
      } else if (!this.#frequent(opcode, packet)) {
        return { transaction, kind: 'conflict', op: 'log.append', index }; // the only one that can
      }
    }
    return undefined;
  }

  #frequent(opcode: number, packet: PacketReader): boolean {
    switch (opcode) {
      case OPCODE.logAppend:
        return this.#log.append(packet);
      case OPCODE.cursorAdvance:
        this.#log.advanceCursor(packet);
        return true;
      case OPCODE.deliveredAdvance:
        this.#log.advanceDelivered(packet);
        return true;
      case OPCODE.followerAdvance:
        this.#advanceFollower(packet);
        return true;
      case OPCODE.outboxAdd:
        this.#outbox.add(packet);
        return true;
      case OPCODE.outboxRemove:
        this.#outbox.remove(packet);
        return true;
      default:
        throw new RangeError('a packet holds an unknown write');
    }
  }

  #advanceFollower(packet: PacketReader): void {
    const key = packet.key();
    const seq = packet.integer();
    this.#followers.advance(key, this.#peers.number(packet.text()), seq);
  }

  /** Returns false on a conflict. */
  #rare(write: Exclude<RareWrite, { readonly op: 'keyPackages.claim' }>): boolean {
    switch (write.op) {
      case 'enrolment.use':
        return this.#directory.useEnrolment(write);
      case 'device.add':
        return this.#directory.addDevice(write.device);
      case 'conversation.create':
        return this.#conversationWrites.create(write.conversation, write.members);
      case 'follower.add':
        return this.#followers.add(idBytes(write.conversationId), this.#peers.number(write.peer), write.seq);
      case 'trust.revocation.add':
        return this.#trust.addRevocation(write.revocation);
      case 'audit.append':
        return this.#trust.appendAudit(write.entry);
      default:
        this.#unconditional(write);
        return true;
    }
  }

  #unconditional(write: Unconditional): void {
    switch (write.op) {
      case 'user.add':
        this.#directory.addUser(write.user);
        break;
      case 'enrolment.add':
        this.#directory.addEnrolment(write.enrolment);
        break;
      case 'device.revoke':
        this.#directory.revokeDevice(write.deviceId, write.revokedAt);
        break;
      case 'keyPackages.add':
        this.#directory.addKeyPackages(write);
        break;
      case 'keyPackages.drop':
        this.#directory.dropKeyPackages(write.deviceId);
        break;
      case 'conversation.freeze':
        this.#conversationWrites.freeze(write.conversationId, write.frozen);
        break;
      case 'follower.remove':
        this.#followers.remove(idBytes(write.conversationId), this.#peers.number(write.peer));
        break;
      case 'log.prune':
        this.#log.prune(idBytes(write.conversationId), write.before);
        break;
      case 'trust.exchange.put':
        this.#trust.putExchange(write.exchange);
        break;
      case 'trust.exchange.delete':
        this.#trust.deleteExchange(write.exchangeId);
        break;
      case 'trust.certificate.delete':
        this.#trust.deleteCertificate(write.issuer, write.certificateId);
        break;
      case 'trust.certificate.put':
        this.#trust.putCertificate(write.certificate);
        break;
      case 'trust.heard':
        this.#trust.heard(write.peer, write.at);
        break;
      case 'trust.record.put':
        this.#trust.putRecord(write.record);
        break;
      case 'trust.record.delete':
        this.#trust.deleteRecord(write.kind, write.key);
        break;
      case 'trust.decided':
        this.#trust.decided(write.decided);
        break;
      case 'trust.decided.prune':
        this.#trust.pruneDecided(write.day);
        break;
      case 'meta.put':
        this.#trust.putMeta(write.key, write.value);
        break;
    }
  }
}

type Unconditional = Exclude<
  RareWrite,
  {
    readonly op:
      | 'keyPackages.claim'
      | 'enrolment.use'
      | 'device.add'
      | 'conversation.create'
      | 'follower.add'
      | 'trust.revocation.add'
      | 'audit.append';
  }
>;
