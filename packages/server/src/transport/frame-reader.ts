/** What a link's byte stream may break: the link then ends with cause `protocol`. */
export type FramingFault = 'empty_frame' | 'frame_too_large';

export const LENGTH_BYTES = 4;
const FIRST_BUFFER_BYTES = 64 * 1024;

/**
 * Cuts a byte stream into frames, each behind its length (u32, big-endian).
 * Memory follows what has really arrived, never what a length announces: a peer that
 * promises 4 MiB on every stream and sends nothing costs nothing.
 */
export class FrameReader {
  readonly #frameBytesMax: () => number;
  readonly #frame: (frame: Uint8Array) => void;
  readonly #header = new Uint8Array(LENGTH_BYTES);
  #headerFill = 0;
  /** Length of the frame being collected; 0 between frames. */
  #length = 0;
  #partial: Uint8Array<ArrayBuffer> = new Uint8Array();
  #fill = 0;

  /** `frameBytesMax` is asked at each frame: a peer may earn more. */
  constructor(frameBytesMax: () => number, frame: (frame: Uint8Array) => void) {
    this.#frameBytesMax = frameBytesMax;
    this.#frame = frame;
  }

  /** Takes bytes as they come and calls back with each frame that is complete. Nothing may be fed after a fault. */
  feed(chunk: Uint8Array): FramingFault | undefined {
    let at = 0;
    while (at < chunk.length) {
      if (this.#length === 0) {
        const header = this.#readHeader(chunk, at);
        if (header.fault !== undefined) return header.fault;
        at = header.next;
      } else {
        at = this.#readBody(chunk, at);
      }
    }
    return undefined;
  }

  #readHeader(chunk: Uint8Array, start: number): { readonly next: number; readonly fault?: FramingFault } {
    let at = start;
    while (this.#headerFill < LENGTH_BYTES && at < chunk.length) {
      this.#header[this.#headerFill] = chunk[at] ?? 0;
      this.#headerFill += 1;
      at += 1;
    }
    if (this.#headerFill < LENGTH_BYTES) return { next: at };
    this.#headerFill = 0;
    const length = new DataView(this.#header.buffer).getUint32(0);
    if (length === 0) return { next: at, fault: 'empty_frame' };
    if (length > this.#frameBytesMax()) return { next: at, fault: 'frame_too_large' };
    this.#length = length;
    return { next: at };
  }

  #readBody(chunk: Uint8Array, start: number): number {
    const missing = this.#length - this.#fill;
    const end = Math.min(chunk.length, start + missing);
    const whole = this.#fill === 0 && end - start === missing;
    if (whole) {
      this.#length = 0;
      // A plain view: a Buffer's `slice` shares memory where a Uint8Array's copies.
      this.#frame(new Uint8Array(chunk.buffer, chunk.byteOffset + start, missing));
      return end;
    }
    this.#collect(chunk.subarray(start, end));
    if (this.#fill === this.#length) this.#deliverPartial();
    return end;
  }

  #collect(part: Uint8Array): void {
    const needed = this.#fill + part.length;
    if (needed > this.#partial.length) {
      const doubled = Math.max(2 * this.#partial.length, FIRST_BUFFER_BYTES, needed);
      const grown = new Uint8Array(Math.min(this.#length, doubled));
      grown.set(this.#partial.subarray(0, this.#fill));
      this.#partial = grown;
    }
    this.#partial.set(part, this.#fill);
    this.#fill = needed;
  }

  #deliverPartial(): void {
    const frame = this.#partial.subarray(0, this.#length);
    this.#partial = new Uint8Array();
    this.#fill = 0;
    this.#length = 0;
    this.#frame(frame);
  }
}

/** Frames behind their lengths, as one buffer: one buffer is one write. */
export function joinFrames(frames: readonly Uint8Array[]): Buffer {
  let total = 0;
  for (const frame of frames) total += LENGTH_BYTES + frame.length;
  const joined = Buffer.allocUnsafe(total);
  let at = 0;
  for (const frame of frames) {
    at = joined.writeUInt32BE(frame.length, at);
    joined.set(frame, at);
    at += frame.length;
  }
  return joined;
}
