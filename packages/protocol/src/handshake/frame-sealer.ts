import { type MessageId, zeroBytes } from '../base/index.ts';
import type { Aead, Crypto, TrafficKeys } from '../crypto/index.ts';
import { encodeFrame, frameAad, frameNonce, padBody } from '../wire/index.ts';
import type { HybridSuite } from './suites.ts';
import type { Version } from './versions.ts';

export const FRAME_HASH_BYTES = 32;
/** `length` of a frame counts the ciphertext with its tag. */
const TAG_BYTES = 16;

/** Both directions begin with one of these and change their keys on the way. */
export interface DirectionInit {
  readonly crypto: Crypto;
  readonly version: Version;
  readonly suite: HybridSuite;
  /** Owned by the direction from here on, which zeroes them. */
  readonly keys: TrafficKeys;
  readonly transcriptHash: Uint8Array;
}

/**
 * Seals one direction's frames in order (spec/handshake section 7, spec/wire section 4).
 * Mutable, and meant to be: a sequence number that could be read twice would be a
 * nonce used twice. Frames go out in the order in which they were sealed.
 */
export class FrameSealer {
  readonly #crypto: Crypto;
  readonly #aead: Aead;
  readonly #version: Version;
  #keys: TrafficKeys;
  #transcriptHash: Uint8Array;
  #sequence: number;
  #prevHash: Uint8Array = new Uint8Array(FRAME_HASH_BYTES);
  #first = true;
  #open = true;
  #frames = 0;

  /** @param sequence the random offset at which the direction begins, 0 to 2^24 - 1. */
  constructor(init: DirectionInit, sequence: number) {
    this.#crypto = init.crypto;
    this.#aead = init.crypto.aead[init.suite.aead];
    this.#version = init.version;
    this.#keys = init.keys;
    this.#transcriptHash = init.transcriptHash;
    this.#sequence = sequence;
  }

  /** Sealed under the present keys. */
  get frames(): number {
    return this.#frames;
  }

  /** Throws RangeError for a body over `bodyBytesMax`, TypeError after `close`. */
  seal(type: number, messageId: MessageId, body: Uint8Array): Uint8Array {
    if (!this.#open) throw new TypeError('the channel is closed');
    const sequence = this.#sequence;
    const plaintext = padBody(body, this.#first ? sequence : undefined);
    const header = { version: this.#version, type, messageId, sequence, prevHash: this.#prevHash };
    const aad = frameAad(header, plaintext.length + TAG_BYTES, this.#transcriptHash);
    const ciphertext = this.#aead.seal(this.#keys.key, frameNonce(this.#keys.iv, sequence), aad, plaintext);
    const frame = encodeFrame(header, ciphertext);
    this.#sequence += 1;
    this.#first = false;
    this.#frames += 1;
    this.#prevHash = this.#crypto.blake3(ciphertext);
    return frame;
  }

  /** The next frame is the first under these keys; sequence and hash chain go on. */
  changeKeys(keys: TrafficKeys, transcriptHash: Uint8Array): void {
    zeroBytes(this.#keys.key, this.#keys.iv);
    this.#keys = keys;
    this.#transcriptHash = transcriptHash;
    this.#frames = 0;
  }

  close(): void {
    this.#open = false;
    zeroBytes(this.#keys.key, this.#keys.iv);
  }
}
