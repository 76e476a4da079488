import type { ConversationId, DeviceId, Instant, MessageId, UserAddress } from '@norc/protocol/base';
import type { EntryRow, LogAppend, MemberRow, OutboxRow, StoreWrite } from '../port.ts';
import { recordBytesMax, writeRecord } from './entry-record.ts';
import { HASH_BYTES_MAX } from './limits.ts';

/*
 * The way from a caller to the writer thread. Frequent writes are packed into one
 * buffer, which moves between threads without a copy; rare ones ride beside it as
 * objects. A packet is one SQLite transaction of many callers' transactions:
 *
 *   packet      = *transaction
 *   transaction = length u32 (of what follows) | savepoint u8 | *write
 *   write       = opcode u8 | fields
 *
 * Little-endian; seq, epoch and times are f64 (safe integers); ids are 16 bytes.
 */

export const OPCODE = {
  logAppend: 1,
  cursorAdvance: 2,
  deliveredAdvance: 3,
  followerAdvance: 4,
  outboxAdd: 5,
  outboxRemove: 6,
  rare: 7,
} as const;

export const PRIORITIES = ['control', 'interactive', 'bulk'] as const;

type PackedOp =
  | 'log.append'
  | 'cursor.advance'
  | 'delivered.advance'
  | 'follower.advance'
  | 'outbox.add'
  | 'outbox.remove';

type Packed<Op extends PackedOp> = Extract<StoreWrite, { readonly op: Op }>;

/** Internal to this store: taking key packages is a write that has a result. */
export interface ClaimWrite {
  readonly op: 'keyPackages.claim';
  readonly user: UserAddress;
  readonly now: Instant;
}

export type RareWrite = Exclude<StoreWrite, { readonly op: PackedOp }> | ClaimWrite;

export type PackableWrite = StoreWrite | ClaimWrite;

export interface Packet {
  /** The packed transactions fill this view; its whole buffer belongs to the packet. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly rare: readonly RareWrite[];
}

const INITIAL_BYTES = 64 * 1024;
const TRANSACTION_HEADER_BYTES = 5;
const NO_EXPECTED_COMMIT = 0;
const HAS_COMMIT = 1;
const HAS_VIEW = 2;

/** Packs transactions one after the other. A transaction that cannot be packed throws and leaves no trace. */
export class PacketBuilder {
  #buffer: Buffer<ArrayBuffer>;
  #view: DataView;
  #offset = 0;
  #rare: RareWrite[] = [];

  /** `recycled`: a buffer that came back from the writer, or none. */
  constructor(recycled?: ArrayBuffer) {
    this.#buffer = recycled === undefined ? Buffer.allocUnsafeSlow(INITIAL_BYTES) : Buffer.from(recycled);
    this.#view = new DataView(this.#buffer.buffer);
  }

  get byteLength(): number {
    return this.#offset;
  }

  packet(): Packet {
    return { bytes: new Uint8Array(this.#buffer.buffer, 0, this.#offset), rare: this.#rare };
  }

  /** Throws RangeError when a value has no stored form: that is the caller's fault. */
  add(writes: readonly PackableWrite[]): void {
    const start = this.#offset;
    const rareCount = this.#rare.length;
    try {
      this.#reserve(TRANSACTION_HEADER_BYTES);
      this.#offset += TRANSACTION_HEADER_BYTES;
      for (const write of writes) this.#write(write);
      this.#view.setUint32(start, this.#offset - start - 4, true);
      this.#view.setUint8(start + 4, needsSavepoint(writes) ? 1 : 0);
    } catch (error) {
      this.#offset = start;
      this.#rare.length = rareCount;
      throw error;
    }
  }

  #write(write: PackableWrite): void {
    switch (write.op) {
      case 'log.append':
        this.#logAppend(write);
        break;
      case 'cursor.advance':
        this.#cursorAdvance(write);
        break;
      case 'delivered.advance':
        this.#deliveredAdvance(write);
        break;
      case 'follower.advance':
        this.#followerAdvance(write);
        break;
      case 'outbox.add':
        this.#outboxAdd(write.item);
        break;
      case 'outbox.remove':
        this.#outboxRemove(write);
        break;
      default:
        this.#reserve(5);
        this.#u8(OPCODE.rare);
        this.#u32(this.#rare.length);
        this.#rare.push(ownBytes(write));
    }
  }

  #logAppend(write: LogAppend): void {
    checkAppend(write);
    this.#reserve(64);
    this.#u8(OPCODE.logAppend);
    this.#id(write.conversationId);
    this.#integer(write.expectedHeadSeq);
    this.#u32(write.entries.length);
    for (const entry of write.entries) this.#entry(entry);
    if (write.commit !== undefined) this.#commit(write.commit, commitSeqOf(write.entries));
    else if (write.view !== undefined) this.#groupView(write.view);
    else this.#u8(NO_EXPECTED_COMMIT);
  }

  #groupView(view: Uint8Array): void {
    this.#reserve(8 + view.length);
    this.#u8(HAS_VIEW);
    this.#u32(view.length);
    this.#bytes(view);
  }

  #entry(entry: EntryRow): void {
    this.#reserve(32 + HASH_BYTES_MAX + recordBytesMax(entry));
    this.#integer(entry.storedAt);
    this.#id(entry.messageId);
    if (entry.hash.length > HASH_BYTES_MAX) throw new RangeError('an entry hash is too long');
    this.#u8(entry.hash.length);
    this.#bytes(entry.hash);
    const start = this.#offset + 4;
    const end = writeRecord(this.#buffer, this.#view, start, entry);
    this.#u32(end - start);
    this.#offset = end;
  }

  #commit(commit: NonNullable<LogAppend['commit']>, commitSeq: number): void {
    this.#reserve(64 + commit.view.length);
    this.#u8(HAS_COMMIT);
    this.#integer(commit.expectedEpoch);
    this.#integer(commit.epoch);
    this.#integer(commitSeq);
    this.#u32(commit.view.length);
    this.#bytes(commit.view);
    this.#u32(commit.removed.length);
    this.#reserve(16 * commit.removed.length + 8);
    for (const device of commit.removed) this.#id(device);
    this.#u32(commit.added.length);
    for (const member of commit.added) this.#member(member);
  }

  #member(member: MemberRow): void {
    this.#reserve(64);
    this.#id(member.deviceId);
    this.#integer(member.leafIndex);
    this.#integer(member.joinedSeq);
    this.#u8(member.local ? 1 : 0);
    this.#text(member.user);
  }

  #cursorAdvance(write: Packed<'cursor.advance'>): void {
    this.#reserve(48);
    this.#u8(OPCODE.cursorAdvance);
    this.#id(write.conversationId);
    this.#id(write.deviceId);
    this.#integer(write.seq);
  }

  #deliveredAdvance(write: Packed<'delivered.advance'>): void {
    this.#reserve(32);
    this.#u8(OPCODE.deliveredAdvance);
    this.#id(write.conversationId);
    this.#integer(write.seq);
    this.#text(write.user);
  }

  #followerAdvance(write: Packed<'follower.advance'>): void {
    this.#reserve(32);
    this.#u8(OPCODE.followerAdvance);
    this.#id(write.conversationId);
    this.#integer(write.seq);
    this.#text(write.peer);
  }

  #outboxAdd(item: OutboxRow): void {
    this.#reserve(64 + item.body.length);
    this.#u8(OPCODE.outboxAdd);
    this.#id(item.id);
    this.#u8(PRIORITIES.indexOf(item.priority));
    this.#integer(item.type);
    this.#integer(item.createdAt);
    this.#integer(item.expiresAt);
    this.#u32(item.body.length);
    this.#bytes(item.body);
    this.#text(item.peer);
  }

  #outboxRemove(write: Packed<'outbox.remove'>): void {
    this.#reserve(8 + 16 * write.ids.length);
    this.#u8(OPCODE.outboxRemove);
    this.#u32(write.ids.length);
    for (const id of write.ids) this.#id(id);
    this.#text(write.peer);
  }

  #reserve(bytes: number): void {
    const needed = this.#offset + bytes;
    if (needed <= this.#buffer.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.#buffer.length));
    grown.set(this.#buffer.subarray(0, this.#offset));
    this.#buffer = grown;
    this.#view = new DataView(grown.buffer);
  }

  #u8(value: number): void {
    this.#view.setUint8(this.#offset, value);
    this.#offset += 1;
  }

  #u32(value: number): void {
    this.#view.setUint32(this.#offset, value, true);
    this.#offset += 4;
  }

  #integer(value: number): void {
    if (!Number.isSafeInteger(value)) throw new RangeError('a number to store is not a safe integer');
    this.#view.setFloat64(this.#offset, value, true);
    this.#offset += 8;
  }

  #bytes(bytes: Uint8Array): void {
    this.#buffer.set(bytes, this.#offset);
    this.#offset += bytes.length;
  }

  #id(id: ConversationId | DeviceId | MessageId): void {
    if (id.length !== 32 || this.#buffer.write(id, this.#offset, 16, 'hex') !== 16) {
      throw new RangeError('an id to store is not 16 bytes in hexadecimal');
    }
    this.#offset += 16;
  }

  /** Reserves for itself: texts are short, but their UTF-8 length is not known before. */
  #text(text: string): void {
    this.#reserve(8 + 3 * text.length);
    const length = this.#buffer.write(text, this.#offset + 4, 'utf8');
    this.#u32(length);
    this.#offset += length;
  }
}

/**
 * A transaction needs its own SAVEPOINT when one of its writes can fail after an
 * earlier statement of it has changed something. The frequent ones check first and
 * then write, and so go without.
 */
function needsSavepoint(writes: readonly PackableWrite[]): boolean {
  for (let i = 0; i < writes.length; i += 1) {
    const write = writes[i] as PackableWrite; // i < length
    if (write.op === 'log.append') {
      if (i > 0 || write.entries.length > 1) return true;
    } else if (!HARMLESS.has(write.op)) return true;
  }
  return false;
}

const HARMLESS: ReadonlySet<PackableWrite['op']> = new Set<PackedOp>([
  'cursor.advance',
  'delivered.advance',
  'follower.advance',
  'outbox.add',
  'outbox.remove',
]);

function checkAppend(write: LogAppend): void {
  if (write.commit !== undefined && write.view !== undefined) throw new RangeError('log.append: two group views');
  if (write.entries.length === 0) throw new RangeError('log.append without entries');
  let seq = write.expectedHeadSeq;
  for (const entry of write.entries) {
    seq += 1;
    if (entry.seq !== seq) throw new RangeError('log.append: entries are not consecutive after the expected head');
  }
}

/** A device that a commit removes reads up to that commit. */
function commitSeqOf(entries: readonly EntryRow[]): number {
  const commit = entries.findLast((entry) => entry.kind === 'commit') ?? entries.at(-1);
  return commit?.seq ?? 0;
}

/**
 * A copy whose byte strings own their buffers: cloning a view for another thread
 * copies the whole buffer behind it, which for a pooled one is somebody else's data.
 */
function ownBytes<T extends RareWrite>(write: T): T {
  return own(write) as T; // own() keeps the shape
}

function own(value: unknown): unknown {
  if (value instanceof Uint8Array) return new Uint8Array(value);
  if (Array.isArray(value)) return value.map(own);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, own(part)]));
}
