import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { Peers } from './followers.ts';
import type { PacketReader } from './packet-reader.ts';

/** The durable queue of each peer. */
export class OutboxWrites {
  readonly #peers: Peers;
  readonly #add: StatementSync;
  readonly #remove: StatementSync;

  constructor(database: DatabaseSync, peers: Peers) {
    this.#peers = peers;
    this.#add = database.prepare(`
      INSERT OR IGNORE INTO outbox (peer, priority, id, type, created_at, expires_at, body) VALUES (?, ?, ?, ?, ?, ?, ?)`);
    this.#remove = database.prepare('DELETE FROM outbox WHERE peer = ? AND id = ?');
  }

  /** An item whose id waits for the same peer already is not queued twice. */
  add(packet: PacketReader): void {
    const id = packet.id();
    const priority = packet.u8();
    const type = packet.integer();
    const createdAt = packet.integer();
    const expiresAt = packet.integer();
    const body = packet.bytes(packet.u32());
    this.#add.run(this.#peers.number(packet.text()), priority, id, type, createdAt, expiresAt, body);
  }

  remove(packet: PacketReader): void {
    const count = packet.u32();
    const ids: Uint8Array[] = [];
    for (let i = 0; i < count; i += 1) ids.push(packet.id());
    const peer = this.#peers.number(packet.text());
    for (const id of ids) this.#remove.run(peer, id);
  }
}
