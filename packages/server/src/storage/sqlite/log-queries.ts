import type { DatabaseSync, StatementSync } from 'node:sqlite';
import {
  type ConversationId,
  type DeviceId,
  type Domain,
  idFromBytes,
  instant,
  type Label,
  type MessageId,
  type UserAddress,
} from '@norc/protocol/base';
import { type ConversationRow, type MemberOf, type MemberRow, type OutboxRow, StorageError } from '../port.ts';
import { idBytes } from './directory-writes.ts';
import { packEntries, type StoredEntry } from './entry-record.ts';
import { PRIORITIES } from './packet.ts';
import { bytesOf, integerOf, optionalIntegerOf, type Row, textOf } from './rows.ts';

const NUMBER = '(SELECT number FROM conversation WHERE id = ?1)';
const HEAD = 'COALESCE((SELECT max(seq) FROM entry WHERE conversation = c.number), c.base_seq)';
const ENTRY = 'SELECT seq, stored_at, message_id, hash, record FROM entry';
const OUTBOX = `
SELECT o.id, p.domain, o.priority, o.type, o.created_at, o.expires_at, o.body
FROM outbox o JOIN peer p ON p.number = o.peer WHERE p.domain = ?`;

/** Conversations, logs and queues. */
export class LogQueries {
  readonly #conversation: StatementSync;
  readonly #ids: StatementSync;
  readonly #shared: StatementSync;
  readonly #members: StatementSync;
  readonly #memberships: StatementSync;
  readonly #followers: StatementSync;
  readonly #behind: StatementSync;
  readonly #delivered: StatementSync;
  readonly #entries: StatementSync;
  readonly #byMessage: StatementSync;
  readonly #outbox: StatementSync;
  readonly #outboxPeers: StatementSync;
  readonly #outboxItem: StatementSync;

  constructor(database: DatabaseSync) {
    this.#conversation = database.prepare(`
      SELECT c.id, hub, label, floor, created_at, frozen, epoch, epoch_seq, view,
        COALESCE(e.seq, base_seq) AS head_seq, COALESCE(e.hash, base_hash) AS head_hash
      FROM conversation c JOIN conversation_view v ON v.conversation = c.number
      LEFT JOIN entry e ON e.conversation = c.number
        AND e.seq = (SELECT max(seq) FROM entry WHERE conversation = c.number)
      WHERE c.id = ?`);
    this.#ids = database.prepare('SELECT id FROM conversation ORDER BY number');
    this.#shared = database.prepare(`
      SELECT c.number, c.id FROM member m JOIN conversation c ON c.number = m.conversation
      WHERE m.local = 0 AND m.left_seq IS NULL AND substr(m.user, instr(m.user, '@') + 1) = ?1
      UNION SELECT number, id FROM conversation WHERE hub = ?1
      ORDER BY 1`);
    this.#members = database.prepare(`
      SELECT device, user, leaf_index, joined_seq, local FROM member
      WHERE conversation = ${NUMBER} AND left_seq IS NULL ORDER BY leaf_index`);
    this.#memberships = database.prepare(`
      SELECT c.id, m.cursor, m.joined_seq, m.left_seq, ${HEAD} AS head
      FROM member m JOIN conversation c ON c.number = m.conversation
      WHERE m.device = ? AND m.local = 1 ORDER BY m.conversation`);
    this.#followers = database.prepare(`
      SELECT p.domain, f.seq FROM follower f JOIN peer p ON p.number = f.peer
      WHERE f.conversation = ${NUMBER} ORDER BY p.domain`);
    this.#behind = database.prepare(`
      SELECT id, seq, head FROM (
        SELECT c.id, f.seq, ${HEAD} AS head
        FROM peer p JOIN lagging l ON l.peer = p.number
        JOIN follower f ON f.conversation = l.conversation AND f.peer = l.peer
        JOIN conversation c ON c.number = l.conversation
        WHERE p.domain = ?)
      WHERE seq < head`);
    this.#delivered = database.prepare(`SELECT user, seq FROM delivered WHERE conversation = ${NUMBER} ORDER BY user`);
    this.#entries = database.prepare(`${ENTRY} WHERE conversation = ${NUMBER} AND seq > ?2 ORDER BY seq LIMIT ?3`);
    this.#byMessage = database.prepare(`${ENTRY} WHERE conversation = ${NUMBER} AND message_id = ?2`);
    this.#outbox = database.prepare(`${OUTBOX} ORDER BY o.priority, o.number LIMIT ?`);
    this.#outboxPeers = database.prepare(`
      SELECT domain FROM peer p WHERE EXISTS (SELECT 1 FROM outbox WHERE peer = p.number) ORDER BY domain`);
    this.#outboxItem = database.prepare(`${OUTBOX} AND o.id = ?`);
  }

  conversation(id: ConversationId): ConversationRow | undefined {
    const row = this.#conversation.get(idBytes(id));
    return row === undefined ? undefined : conversationRow(row);
  }

  conversationIds(): ConversationId[] {
    return this.#ids.all().map((row) => idFromBytes<ConversationId>(bytesOf(row, 'id')));
  }

  conversationsWith(domain: Domain): ConversationId[] {
    return this.#shared.all(domain).map((row) => idFromBytes<ConversationId>(bytesOf(row, 'id')));
  }

  members(id: ConversationId): MemberRow[] {
    return this.#members.all(idBytes(id)).map((row) => ({
      deviceId: idFromBytes<DeviceId>(bytesOf(row, 'device')),
      user: textOf(row, 'user') as UserAddress, // was one when stored
      leafIndex: integerOf(row, 'leaf_index'),
      joinedSeq: integerOf(row, 'joined_seq'),
      local: integerOf(row, 'local') === 1,
    }));
  }

  memberships(device: DeviceId): MemberOf[] {
    return this.#memberships.all(idBytes(device)).map((row) => {
      const leftSeq = optionalIntegerOf(row, 'left_seq');
      return {
        conversationId: idFromBytes<ConversationId>(bytesOf(row, 'id')),
        cursor: integerOf(row, 'cursor'),
        joinedSeq: integerOf(row, 'joined_seq'),
        ...(leftSeq === undefined ? {} : { leftSeq }),
        headSeq: integerOf(row, 'head'),
      };
    });
  }

  followers(id: ConversationId): { peer: Domain; seq: number }[] {
    return this.#followers.all(idBytes(id)).map((row) => ({ peer: domainOf(row), seq: integerOf(row, 'seq') }));
  }

  behind(peer: Domain): { conversationId: ConversationId; seq: number; headSeq: number }[] {
    return this.#behind.all(peer).map((row) => ({
      conversationId: idFromBytes<ConversationId>(bytesOf(row, 'id')),
      seq: integerOf(row, 'seq'),
      headSeq: integerOf(row, 'head'),
    }));
  }

  delivered(id: ConversationId): { user: UserAddress; seq: number }[] {
    return this.#delivered.all(idBytes(id)).map((row) => ({
      user: textOf(row, 'user') as UserAddress, // was one when stored
      seq: integerOf(row, 'seq'),
    }));
  }

  entries(id: ConversationId, after: number, limit: number, bytesMax: number): Uint8Array<ArrayBuffer> {
    const found: StoredEntry[] = [];
    let bytes = 0;
    for (const row of this.#entries.iterate(idBytes(id), after, limit)) {
      const entry = storedEntry(row);
      bytes += entry.record.length;
      if (found.length > 0 && bytes > bytesMax) break;
      found.push(entry);
    }
    return packEntries(found);
  }

  entryByMessageId(id: ConversationId, messageId: MessageId): Uint8Array<ArrayBuffer> {
    const row = this.#byMessage.get(idBytes(id), idBytes(messageId));
    return packEntries(row === undefined ? [] : [storedEntry(row)]);
  }

  outbox(peer: Domain, limit: number): OutboxRow[] {
    return this.#outbox.all(peer, limit).map(outboxRow);
  }

  outboxPeers(): Domain[] {
    return this.#outboxPeers.all().map(domainOf);
  }

  outboxItem(peer: Domain, id: MessageId): OutboxRow | undefined {
    const row = this.#outboxItem.get(peer, idBytes(id));
    return row === undefined ? undefined : outboxRow(row);
  }
}

function domainOf(row: Row): Domain {
  return textOf(row, 'domain') as Domain; // was one when stored
}

function storedEntry(row: Row): StoredEntry {
  return {
    seq: integerOf(row, 'seq'),
    storedAt: integerOf(row, 'stored_at'),
    messageId: bytesOf(row, 'message_id'),
    hash: bytesOf(row, 'hash'),
    record: bytesOf(row, 'record'),
  };
}

const FLOORS = ['basic', 'verified', 'classified', 'nato'] as const;

function conversationRow(row: Row): ConversationRow {
  const floor = FLOORS.find((name) => name === textOf(row, 'floor'));
  if (floor === undefined) throw new StorageError('corrupt', 'a stored conversation has an unknown floor');
  return {
    conversationId: idFromBytes<ConversationId>(bytesOf(row, 'id')),
    hub: textOf(row, 'hub') as Domain, // was one when stored
    label: textOf(row, 'label') as Label, // was one when stored
    floor,
    createdAt: instant(integerOf(row, 'created_at')),
    frozen: integerOf(row, 'frozen') === 1,
    epoch: integerOf(row, 'epoch'),
    epochSeq: integerOf(row, 'epoch_seq'),
    headSeq: integerOf(row, 'head_seq'),
    headHash: bytesOf(row, 'head_hash'),
    view: bytesOf(row, 'view'),
  };
}

function outboxRow(row: Row): OutboxRow {
  const priority = PRIORITIES[integerOf(row, 'priority')];
  if (priority === undefined) throw new StorageError('corrupt', 'a stored outbox item has an unknown priority');
  return {
    id: idFromBytes<MessageId>(bytesOf(row, 'id')),
    peer: domainOf(row),
    priority,
    type: integerOf(row, 'type'),
    body: bytesOf(row, 'body'),
    createdAt: instant(integerOf(row, 'created_at')),
    expiresAt: instant(integerOf(row, 'expires_at')),
  };
}
