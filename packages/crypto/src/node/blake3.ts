import { fromHex, InvariantError, sameBytes } from '@norc/protocol/base';
import { hash } from 'blake3-jit';

export const BLAKE3_BYTES = 32;
const HMAC_BLOCK_BYTES = 64;
const INNER_PAD = 0x36;
const OUTER_PAD = 0x5c;

/** BLAKE3-256. */
export function blake3(data: Uint8Array): Uint8Array {
  return hash(data, BLAKE3_BYTES);
}

/**
 * HMAC (RFC 2104) over BLAKE3-256 with its 64-byte block: the `hmac(blake3, …)` that
 * common libraries compute. Not BLAKE3's own keyed mode, which HKDF (RFC 5869) cannot use.
 */
export function hmacBlake3(key: Uint8Array, data: Uint8Array): Uint8Array {
  const blockKey = key.length > HMAC_BLOCK_BYTES ? blake3(key) : key;
  const inner = new Uint8Array(HMAC_BLOCK_BYTES + data.length).fill(INNER_PAD, 0, HMAC_BLOCK_BYTES);
  const outer = new Uint8Array(HMAC_BLOCK_BYTES + BLAKE3_BYTES).fill(OUTER_PAD, 0, HMAC_BLOCK_BYTES);
  for (let i = 0; i < blockKey.length; i += 1) {
    const byte = blockKey[i] as number; // i < blockKey.length
    inner[i] = byte ^ INNER_PAD;
    outer[i] = byte ^ OUTER_PAD;
  }
  inner.set(data, HMAC_BLOCK_BYTES);
  const innerHash = blake3(inner);
  outer.set(innerHash, HMAC_BLOCK_BYTES);
  const tag = blake3(outer);
  inner.fill(0);
  outer.fill(0);
  return tag;
}

/** First 32 bytes of the published BLAKE3 test vectors: input byte i is i mod 251. */
const KNOWN_ANSWERS: readonly (readonly [length: number, digest: string])[] = [
  [0, 'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262'],
  [1, '2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213'],
  [1024, '42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7'],
  [1025, 'd00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444'],
  [8192, 'aae792484c8efe4f19e2ca7d371d8c467ffb10748d8a5a1ae579948f718a2a63'],
  [31744, '62b6960e1a44bcc1eb1a611a8d6235b6b4b78f32e7abc4fb4c6cdcce94895c47'],
  [102400, 'bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085'],
];

/**
 * The library compiles WebAssembly when it runs, by what the processor offers. A
 * wrong hash would corrupt every log and transcript silently: so it proves itself
 * once, at load, over the lengths where its code paths change.
 */
export function selfTestBlake3(digest: (data: Uint8Array) => Uint8Array = blake3): void {
  for (const [length, expected] of KNOWN_ANSWERS) {
    const input = Uint8Array.from({ length }, (_, i) => i % 251);
    const known = fromHex(expected);
    if (known === undefined || !sameBytes(digest(input), known)) {
      throw new InvariantError(`BLAKE3 gives a wrong hash for ${length} bytes on this machine`);
    }
  }
}

selfTestBlake3();
