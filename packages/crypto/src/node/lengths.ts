/** Our own code gave a key, nonce or seed of a wrong length: the caller's fault. */
export function requireLength(bytes: Uint8Array, length: number, what: string): void {
  if (bytes.length !== length) throw new RangeError(`${what} has ${length} bytes, not ${bytes.length}`);
}

/** A plain `Uint8Array` over the same memory: `Buffer` differs in `slice` and in deep equality. */
export function plainBytes(buffer: Uint8Array): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}
