import type { DeviceId, Label, MessageId, UserAddress } from '@norc/protocol/base';
import { instant } from '@norc/protocol/base';
import { type EntryKind, type EntryRow, StorageError } from '../port.ts';
import { HASH_BYTES_MAX } from './limits.ts';

/*
 * A log entry's `record` column: what SQL never looks at, in one byte string that the
 * writer stores and the reader returns as it is. Little-endian.
 *
 *   record = version u8 (1) | kind u8 | sender 16 | epoch f64 | welcome length u32 | body length u32
 *          | user length u16 | label length u8 | welcome hash length u8
 *          | user | label | welcome hash | welcome | body
 */

const RECORD_VERSION = 1;
const FIXED_BYTES = 38;

const KINDS: readonly EntryKind[] = ['commit', 'proposal', 'application'];

/** An upper bound: the texts' UTF-8 length is not known before. */
export function recordBytesMax(entry: EntryRow): number {
  const texts = 3 * (entry.senderUser.length + entry.label.length);
  return FIXED_BYTES + texts + HASH_BYTES_MAX + entry.welcome.length + entry.body.length;
}

/** Writes at `offset`, where `recordBytesMax` bytes are free; returns the end. */
export function writeRecord(buffer: Buffer, view: DataView, offset: number, entry: EntryRow): number {
  if (!Number.isSafeInteger(entry.epoch)) throw new RangeError('an epoch to store is not a safe integer');
  view.setUint8(offset, RECORD_VERSION);
  view.setUint8(offset + 1, KINDS.indexOf(entry.kind));
  if (entry.sender.length !== 32 || buffer.write(entry.sender, offset + 2, 16, 'hex') !== 16) {
    throw new RangeError('an id to store is not 16 bytes in hexadecimal');
  }
  view.setFloat64(offset + 18, entry.epoch, true);
  view.setUint32(offset + 26, entry.welcome.length, true);
  view.setUint32(offset + 30, entry.body.length, true);
  let end = offset + FIXED_BYTES;
  const userLength = buffer.write(entry.senderUser, end, 'utf8');
  view.setUint16(offset + 34, userLength, true);
  end += userLength;
  const labelLength = buffer.write(entry.label, end, 'utf8');
  view.setUint8(offset + 36, labelLength);
  end += labelLength;
  if (entry.welcomeHash.length > HASH_BYTES_MAX) throw new RangeError('a Welcome hash is too long');
  view.setUint8(offset + 37, entry.welcomeHash.length);
  buffer.set(entry.welcomeHash, end);
  end += entry.welcomeHash.length;
  buffer.set(entry.welcome, end);
  end += entry.welcome.length;
  buffer.set(entry.body, end);
  return end + entry.body.length;
}

/** One row of `entry` as the database returns it. */
export interface StoredEntry {
  readonly seq: number;
  readonly storedAt: number;
  readonly messageId: Uint8Array;
  readonly hash: Uint8Array;
  readonly record: Uint8Array;
}

/*
 * Entries on their way from the reader thread: one buffer for one answer.
 *
 *   entries = *( seq f64 | stored at f64 | message id 16 | hash length u8 | hash | record length u32 | record )
 */
const ROW_BYTES = 37;

export function packEntries(rows: readonly StoredEntry[]): Uint8Array<ArrayBuffer> {
  let length = 0;
  for (const row of rows) length += ROW_BYTES + row.hash.length + row.record.length;
  const packed = new Uint8Array(length);
  const view = new DataView(packed.buffer);
  let offset = 0;
  for (const row of rows) {
    view.setFloat64(offset, row.seq, true);
    view.setFloat64(offset + 8, row.storedAt, true);
    packed.set(row.messageId, offset + 16);
    view.setUint8(offset + 32, row.hash.length);
    packed.set(row.hash, offset + 33);
    offset += 33 + row.hash.length;
    view.setUint32(offset, row.record.length, true);
    packed.set(row.record, offset + 4);
    offset += 4 + row.record.length;
  }
  return packed;
}

/** The entries of one answer. Their byte strings are views of `packed`, which nothing else uses. */
export function unpackEntries(packed: Uint8Array<ArrayBuffer>): EntryRow[] {
  const buffer = Buffer.from(packed.buffer, packed.byteOffset, packed.byteLength);
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
  const entries: EntryRow[] = [];
  let offset = 0;
  while (offset < packed.length) {
    const hashEnd = offset + 33 + view.getUint8(offset + 32);
    const end = hashEnd + 4 + view.getUint32(hashEnd, true);
    entries.push({
      seq: view.getFloat64(offset, true),
      messageId: buffer.toString('hex', offset + 16, offset + 32) as MessageId, // 16 bytes from the store
      hash: packed.subarray(offset + 33, hashEnd),
      storedAt: instant(view.getFloat64(offset + 8, true)),
      ...readRecord(buffer, packed, view, hashEnd + 4, end),
    });
    offset = end;
  }
  return entries;
}

type Recorded = Omit<EntryRow, 'seq' | 'messageId' | 'hash' | 'storedAt'>;

function readRecord(buffer: Buffer, packed: Uint8Array, view: DataView, offset: number, end: number): Recorded {
  if (end - offset < FIXED_BYTES) throw new StorageError('corrupt', 'a stored log entry is damaged');
  const kind = KINDS[view.getUint8(offset + 1)];
  const user = offset + FIXED_BYTES;
  const label = user + view.getUint16(offset + 34, true);
  const welcomeHash = label + view.getUint8(offset + 36);
  const welcome = welcomeHash + view.getUint8(offset + 37);
  const body = welcome + view.getUint32(offset + 26, true);
  const sound = view.getUint8(offset) === RECORD_VERSION && body + view.getUint32(offset + 30, true) === end;
  if (kind === undefined || !sound) throw new StorageError('corrupt', 'a stored log entry is damaged');
  return {
    kind,
    sender: buffer.toString('hex', offset + 2, offset + 18) as DeviceId, // 16 bytes from the store
    senderUser: buffer.toString('utf8', user, label) as UserAddress, // was one when stored
    epoch: view.getFloat64(offset + 18, true),
    label: buffer.toString('utf8', label, welcomeHash) as Label, // was one when stored
    welcomeHash: packed.subarray(welcomeHash, welcome),
    welcome: packed.subarray(welcome, body),
    body: packed.subarray(body, end),
  };
}
