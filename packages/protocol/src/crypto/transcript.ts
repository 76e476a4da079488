import { concatBytes } from '../base/index.ts';
import type { Crypto } from './interfaces.ts';
import { labelBytes, type TranscriptLabel } from './labels.ts';

export const TRANSCRIPT_HASH_BYTES = 32;

/**
 * BLAKE3-256(label || parts in order), in every suite. The parts are canonical
 * encodings that end by themselves (JSON objects, CBOR maps) or have a fixed length,
 * so their concatenation is read in one way only.
 */
export function transcriptHash(crypto: Crypto, label: TranscriptLabel, ...parts: readonly Uint8Array[]): Uint8Array {
  return crypto.blake3(concatBytes(labelBytes(label), ...parts));
}
