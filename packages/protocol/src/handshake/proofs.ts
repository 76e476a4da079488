import { concatBytes, type Instant } from '../base/index.ts';
import { labelBytes, type ProofLabel, TRANSCRIPT_HASH_BYTES } from '../crypto/index.ts';

/*
 * What handshake signatures are over (spec/handshake section 6). Each begins with a
 * label of its own and holds the transcript hash, so a signature proves one role in
 * one channel: it can be neither relayed into another channel nor passed off as
 * another kind of proof.
 */

const UINT32 = 0x1_0000_0000;
export const CHALLENGE_BYTES = 32;

/** The server that answers a client's hello. */
export function serverProofInput(transcriptHash: Uint8Array): Uint8Array {
  return proofInput('norc-c-server-v1', transcriptHash);
}

/** The server that answers another server's hello. */
export function federationServerProofInput(transcriptHash: Uint8Array): Uint8Array {
  return proofInput('norc-f-server-v1', transcriptHash);
}

/** The server that dialed, in its first encrypted frame. */
export function federationClientProofInput(transcriptHash: Uint8Array): Uint8Array {
  return proofInput('norc-f-client-v1', transcriptHash);
}

/**
 * A registered device proves its key: label || transcript hash || challenge || u64 timestamp.
 *
 * @param challenge the 32 bytes of this session's `auth_request`.
 */
export function deviceProofInput(transcriptHash: Uint8Array, challenge: Uint8Array, timestamp: Instant): Uint8Array {
  return channelProofInput('norc-c-device-v1', transcriptHash, challenge, timestamp);
}

/** A new device proves that it holds the key it registers. As `deviceProofInput`, with a label of its own. */
export function registrationProofInput(
  transcriptHash: Uint8Array,
  challenge: Uint8Array,
  timestamp: Instant,
): Uint8Array {
  return channelProofInput('norc-c-register-v1', transcriptHash, challenge, timestamp);
}

function channelProofInput(
  label: ProofLabel,
  transcriptHash: Uint8Array,
  challenge: Uint8Array,
  timestamp: Instant,
): Uint8Array {
  // Fixed lengths: what is signed can be read in one way only.
  if (challenge.length !== CHALLENGE_BYTES) throw new RangeError(`a challenge has ${CHALLENGE_BYTES} bytes`);
  return proofInput(label, transcriptHash, challenge, uint64(timestamp));
}

export function proofInput(label: ProofLabel, transcriptHash: Uint8Array, ...rest: readonly Uint8Array[]): Uint8Array {
  if (transcriptHash.length !== TRANSCRIPT_HASH_BYTES) throw new RangeError('a transcript hash has 32 bytes');
  return concatBytes(labelBytes(label), transcriptHash, ...rest);
}

function uint64(value: number): Uint8Array {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError('not an unsigned integer below 2^53');
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, Math.floor(value / UINT32));
  view.setUint32(4, value % UINT32);
  return bytes;
}
