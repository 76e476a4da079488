import { LIMITS, ok, type Result, reject } from '../base/index.ts';

const BUCKET_MIN = 256;
/** Up to here buckets are powers of two, above it multiples of it. */
const BUCKET_STEP = 65536;
const LENGTH_BYTES = 4;
const OFFSET_BYTES = 8;
const UINT32 = 0x1_0000_0000;

/**
 * A frame's plaintext: u32 body length || body || zeros up to the bucket. The first
 * encrypted frame of a direction has the u64 sequence offset before that (spec/wire section 5).
 */
export interface OpenedBody {
  /** A view of the plaintext. */
  readonly body: Uint8Array;
  /** Of a direction's first frame: must equal the header's sequence (the channel checks it). */
  readonly sequenceOffset?: number;
}

/** The padded length of a plaintext of `length` bytes, its length field included. */
export function bucketLength(length: number): number {
  if (length > BUCKET_STEP) return Math.ceil(length / BUCKET_STEP) * BUCKET_STEP;
  let bucket = BUCKET_MIN;
  while (bucket < length) bucket *= 2;
  return bucket;
}

/** `sequenceOffset` only for the first encrypted frame of a direction. Throws RangeError above `bodyBytesMax`. */
export function padBody(body: Uint8Array, sequenceOffset?: number): Uint8Array {
  const plaintext = new Uint8Array(paddedLength(body, sequenceOffset));
  writePadded(plaintext, body, sequenceOffset);
  return plaintext;
}

/** Zeros between its uses, each of which ends before the next begins. */
const room = new Uint8Array(BUCKET_STEP);

/** `padBody` for as long as `use` runs: most frames then need no memory of their own for it. */
export function withPadded<T>(
  body: Uint8Array,
  sequenceOffset: number | undefined,
  use: (plaintext: Uint8Array) => T,
): T {
  const length = paddedLength(body, sequenceOffset);
  if (length > room.length) return use(padBody(body, sequenceOffset));
  const plaintext = room.subarray(0, length);
  try {
    writePadded(plaintext, body, sequenceOffset);
    return use(plaintext);
  } finally {
    plaintext.fill(0);
  }
}

function paddedLength(body: Uint8Array, sequenceOffset: number | undefined): number {
  if (body.length > LIMITS.bodyBytesMax) throw new RangeError('body is too large for a frame');
  return bucketLength((sequenceOffset === undefined ? 0 : OFFSET_BYTES) + LENGTH_BYTES + body.length);
}

/** `plaintext` holds zeros. */
function writePadded(plaintext: Uint8Array, body: Uint8Array, sequenceOffset: number | undefined): void {
  const lengthAt = sequenceOffset === undefined ? 0 : OFFSET_BYTES;
  const view = new DataView(plaintext.buffer, plaintext.byteOffset);
  if (sequenceOffset !== undefined) {
    if (!Number.isSafeInteger(sequenceOffset) || sequenceOffset < 0) throw new RangeError('not a sequence offset');
    view.setUint32(0, Math.floor(sequenceOffset / UINT32));
    view.setUint32(4, sequenceOffset % UINT32);
  }
  view.setUint32(lengthAt, body.length);
  plaintext.set(body, lengthAt + LENGTH_BYTES);
}

/**
 * Takes the padding off an authentic plaintext; `first` for the first encrypted frame
 * of a direction. Errors: truncated, malformed, frame_too_large, limit_exceeded,
 * not_canonical (padding that is not zero, or not the bucket of this body: it could
 * carry a hidden channel, or give away the length that padding hides).
 */
export function unpadBody(plaintext: Uint8Array, first: boolean): Result<OpenedBody> {
  const lengthAt = first ? OFFSET_BYTES : 0;
  const bodyAt = lengthAt + LENGTH_BYTES;
  if (plaintext.length < bodyAt) return reject('truncated', 'frame plaintext');
  const view = new DataView(plaintext.buffer, plaintext.byteOffset, plaintext.length);
  const length = view.getUint32(lengthAt);
  if (length > LIMITS.bodyBytesMax) return reject('frame_too_large', 'frame body');
  if (length > plaintext.length - bodyAt) return reject('truncated', 'frame body');
  if (plaintext.length !== bucketLength(bodyAt + length)) return reject('not_canonical', 'frame padding length');
  let seen = 0;
  for (let i = bodyAt + length; i < plaintext.length; i += 1) seen |= plaintext[i] as number; // inside
  if (seen !== 0) return reject('not_canonical', 'frame padding');
  const body = plaintext.subarray(bodyAt, bodyAt + length);
  if (!first) return ok({ body });
  const sequenceOffset = view.getUint32(0) * UINT32 + view.getUint32(4);
  if (sequenceOffset > Number.MAX_SAFE_INTEGER) return reject('limit_exceeded', 'sequence offset');
  return ok({ body, sequenceOffset });
}
