import type { Packet, RareWrite } from './packet.ts';

/** Walks a packet in the order in which `PacketBuilder` wrote it. Its input is our own, so it checks nothing. */
export class PacketReader {
  readonly #buffer: Buffer<ArrayBuffer>;
  readonly #view: DataView;
  readonly #rare: readonly RareWrite[];
  #offset = 0;

  constructor(packet: Packet) {
    const { buffer, byteOffset, byteLength } = packet.bytes;
    this.#buffer = Buffer.from(buffer, byteOffset, byteLength);
    this.#view = new DataView(buffer, byteOffset, byteLength);
    this.#rare = packet.rare;
  }

  get offset(): number {
    return this.#offset;
  }

  get atEnd(): boolean {
    return this.#offset >= this.#buffer.length;
  }

  skipTo(offset: number): void {
    this.#offset = offset;
  }

  u8(): number {
    const value = this.#view.getUint8(this.#offset);
    this.#offset += 1;
    return value;
  }

  u32(): number {
    const value = this.#view.getUint32(this.#offset, true);
    this.#offset += 4;
    return value;
  }

  integer(): number {
    const value = this.#view.getFloat64(this.#offset, true);
    this.#offset += 8;
    return value;
  }

  /** A view: valid as long as the packet. */
  bytes(length: number): Uint8Array {
    const start = this.#offset;
    this.#offset += length;
    return new Uint8Array(this.#buffer.buffer, this.#buffer.byteOffset + start, length);
  }

  id(): Uint8Array {
    return this.bytes(16);
  }

  /** An id as a map key: one character for each byte. */
  key(): string {
    const start = this.#offset;
    this.#offset += 16;
    return this.#buffer.toString('latin1', start, this.#offset);
  }

  text(): string {
    const start = this.#offset + 4;
    this.#offset = start + this.#view.getUint32(this.#offset, true);
    return this.#buffer.toString('utf8', start, this.#offset);
  }

  rare(): RareWrite {
    const write = this.#rare[this.u32()];
    if (write === undefined) throw new RangeError('a packet names a write that it does not hold');
    return write;
  }
}

export function keyOf(id: Uint8Array): string {
  return Buffer.from(id.buffer, id.byteOffset, id.byteLength).toString('latin1');
}

export function idOfKey(key: string): Uint8Array {
  return Buffer.from(key, 'latin1');
}
