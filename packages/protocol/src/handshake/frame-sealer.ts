import { type MessageId, zeroBytes } from '../base/index.ts';
import type { Aead, Crypto, TrafficKeys } from '../crypto/index.ts';
import {
  beginFrame,
  FRAME_AAD_BYTES,
  FRAME_HEADER_BYTES,
  FRAME_TAG_BYTES,
  frameAad,
  frameNonce,
  withPadded,
} from '../wire/index.ts';
import type { HybridSuite } from './suites.ts';
import type { Version } from './versions.ts';

export const FRAME_HASH_BYTES = 32;
/** Overwritten by each frame; sealing one ends before the next begins. */
const aadRoom = new Uint8Array(FRAME_AAD_BYTES);

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
    const offset = this.#first ? this.#sequence : undefined;
    const frame = withPadded(body, offset, (plaintext) => this.#sealPadded(type, messageId, plaintext));
    this.#sequence += 1;
    this.#first = false;
    this.#frames += 1;
    this.#prevHash = this.#crypto.blake3(frame.subarray(FRAME_HEADER_BYTES));
    return frame;
  }

  /** Seals into the frame itself: nothing is copied twice. */
  #sealPadded(type: number, messageId: MessageId, plaintext: Uint8Array): Uint8Array {
    const header = { version: this.#version, type, messageId, sequence: this.#sequence, prevHash: this.#prevHash };
    const length = plaintext.length + FRAME_TAG_BYTES; // a frame's length counts the tag
    const frame = beginFrame(header, length);
    const place = frame.subarray(FRAME_HEADER_BYTES);
    const aad = frameAad(header, length, this.#transcriptHash, aadRoom);
    const nonce = frameNonce(this.#keys.iv, header.sequence);
    const sealed = this.#aead.seal(this.#keys.key, nonce, aad, plaintext, place);
    if (sealed !== place) place.set(sealed);
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
