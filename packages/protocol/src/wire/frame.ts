import { idFromBytes, invariant, LIMITS, type MessageId, ok, type Result, reject, writeHex } from '../base/index.ts';

/**
 * Frames as bytes (spec/wire section 4). Sealing, sequence numbers and the hash
 * chain belong to the channel; nothing here knows a key.
 */
export interface FrameHeader {
  readonly version: { readonly major: number; readonly minor: number };
  /** A code of the message type registry; also one that this side does not know. */
  readonly type: number;
  readonly messageId: MessageId;
  /** 0 to 2^53 - 1. */
  readonly sequence: number;
  /** BLAKE3-256 of the previous frame's ciphertext in this direction, 32 bytes. */
  readonly prevHash: Uint8Array;
}

export interface Frame {
  readonly header: FrameHeader;
  /** With its tag. Of a decoded frame: a view of the input. */
  readonly ciphertext: Uint8Array;
}

export const FRAME_HEADER_BYTES = 62;
export const FRAME_AAD_BYTES = 95;
export const FRAME_NONCE_BYTES = 12;
export const FRAME_TAG_BYTES = 16;
const HASH_BYTES = 32;
const UINT32 = 0x1_0000_0000;
const NIBBLE_MAX = 15;

const VERSION_AT = 0;
const TYPE_AT = 1;
const LENGTH_AT = 2;
const MESSAGE_ID_AT = 6;
const SEQUENCE_AT = 22;
const PREV_HASH_AT = 30;

/** The whole frame. Throws RangeError for a header that has no form or a frame above the limit. */
export function encodeFrame(header: FrameHeader, ciphertext: Uint8Array): Uint8Array {
  const frame = beginFrame(header, ciphertext.length);
  frame.set(ciphertext, FRAME_HEADER_BYTES);
  return frame;
}

/** A frame with its header, and zeros from FRAME_HEADER_BYTES on where its ciphertext goes. Throws as `encodeFrame`. */
export function beginFrame(header: FrameHeader, ciphertextLength: number): Uint8Array {
  const length = FRAME_HEADER_BYTES + ciphertextLength;
  if (ciphertextLength < FRAME_TAG_BYTES) throw new RangeError('ciphertext is shorter than its tag');
  if (length > LIMITS.frameBytesMax) throw new RangeError('frame is too large');
  checkHeader(header);
  const frame = new Uint8Array(length);
  frame[VERSION_AT] = (header.version.major << 4) | header.version.minor;
  frame[TYPE_AT] = header.type;
  writeUint32(frame, LENGTH_AT, ciphertextLength);
  writeMessageId(frame, MESSAGE_ID_AT, header.messageId);
  writeUint64(frame, SEQUENCE_AT, header.sequence);
  frame.set(header.prevHash, PREV_HASH_AT);
  return frame;
}

/**
 * Splits one whole frame; nothing in it is authentic yet.
 * Errors: truncated, trailing_bytes, frame_too_large, limit_exceeded (sequence above 2^53 - 1).
 */
export function decodeFrame(bytes: Uint8Array): Result<Frame> {
  if (bytes.length > LIMITS.frameBytesMax) return reject('frame_too_large', 'frame');
  if (bytes.length < FRAME_HEADER_BYTES + FRAME_TAG_BYTES) return reject('truncated', 'frame');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const length = view.getUint32(LENGTH_AT);
  const present = bytes.length - FRAME_HEADER_BYTES;
  if (length > LIMITS.frameBytesMax - FRAME_HEADER_BYTES) return reject('frame_too_large', 'frame length');
  if (length > present) return reject('truncated', 'frame ciphertext');
  if (length < present) return reject('trailing_bytes', 'after the frame');
  const sequence = readUint64(view, SEQUENCE_AT);
  if (sequence > Number.MAX_SAFE_INTEGER) return reject('limit_exceeded', 'frame sequence');
  const version = view.getUint8(VERSION_AT);
  return ok({
    header: {
      version: { major: version >> 4, minor: version & NIBBLE_MAX },
      type: view.getUint8(TYPE_AT),
      messageId: idFromBytes<MessageId>(bytes.subarray(MESSAGE_ID_AT, SEQUENCE_AT)),
      sequence,
      prevHash: bytes.subarray(PREV_HASH_AT, FRAME_HEADER_BYTES),
    },
    ciphertext: bytes.subarray(FRAME_HEADER_BYTES),
  });
}

/**
 * What the tag also protects, 95 bytes: major, minor, type, sequence, message id,
 * ciphertext length (with its tag), previous hash, transcript hash (32 bytes).
 * `aad`: memory for it, all of which is overwritten.
 */
export function frameAad(
  header: FrameHeader,
  ciphertextLength: number,
  transcriptHash: Uint8Array,
  aad: Uint8Array = new Uint8Array(FRAME_AAD_BYTES),
): Uint8Array {
  checkHeader(header);
  if (transcriptHash.length !== HASH_BYTES) throw new RangeError('a transcript hash has 32 bytes');
  if (aad.length !== FRAME_AAD_BYTES) throw new RangeError('additional data has 95 bytes');
  aad[0] = header.version.major;
  aad[1] = header.version.minor;
  aad[2] = header.type;
  writeUint64(aad, 3, header.sequence);
  writeMessageId(aad, 11, header.messageId);
  writeUint32(aad, 27, ciphertextLength);
  aad.set(header.prevHash, 31);
  aad.set(transcriptHash, 63);
  return aad;
}

/** 4 zero bytes || sequence, XORed with the direction's IV (12 bytes). */
export function frameNonce(iv: Uint8Array, sequence: number): Uint8Array {
  if (iv.length !== FRAME_NONCE_BYTES) throw new RangeError('an IV has 12 bytes');
  checkSequence(sequence);
  const nonce = new Uint8Array(FRAME_NONCE_BYTES);
  writeUint64(nonce, 4, sequence);
  for (let i = 0; i < FRAME_NONCE_BYTES; i += 1) nonce[i] = (nonce[i] ?? 0) ^ (iv[i] ?? 0);
  return nonce;
}

function checkHeader(header: FrameHeader): void {
  const { major, minor } = header.version;
  if (!isUint(major, NIBBLE_MAX) || !isUint(minor, NIBBLE_MAX)) throw new RangeError('version does not fit a nibble');
  if (!isUint(header.type, 0xff)) throw new RangeError('type is not a byte');
  if (header.prevHash.length !== HASH_BYTES) throw new RangeError('a previous hash has 32 bytes');
  checkSequence(header.sequence);
}

function checkSequence(sequence: number): void {
  if (!isUint(sequence, Number.MAX_SAFE_INTEGER)) throw new RangeError('sequence is not an unsigned integer');
}

function isUint(value: number, max: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= max;
}

function writeMessageId(target: Uint8Array, at: number, id: MessageId): void {
  invariant(id.length === 32 && writeHex(id, target, at), 'a message id is 32 hexadecimal digits');
}

function writeUint32(target: Uint8Array, at: number, value: number): void {
  for (let i = 0; i < 4; i += 1) target[at + i] = value >>> (24 - 8 * i);
}

function writeUint64(target: Uint8Array, at: number, value: number): void {
  writeUint32(target, at, Math.floor(value / UINT32));
  writeUint32(target, at + 4, value % UINT32);
}

/** Above 2^53 the result is not exact, but it is still above 2^53. */
function readUint64(view: DataView, at: number): number {
  return view.getUint32(at) * UINT32 + view.getUint32(at + 4);
}
