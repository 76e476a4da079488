import { type Err, type MessageId, ok, type Reject, type Result, sameBytes, zeroBytes } from '../base/index.ts';
import type { Aead, Crypto, TrafficKeys } from '../crypto/index.ts';
import { decodeFrame, FRAME_AAD_BYTES, type Frame, frameAad, frameNonce, unpadBody } from '../wire/index.ts';
import { type DirectionInit, FRAME_HASH_BYTES } from './frame-sealer.ts';
import { compareVersions, type Version } from './versions.ts';

/**
 * Why a frame was refused: for our metrics and the audit log only. The peer, and so
 * whoever changed the frame on its way, learns `frame_rejected` and no more [CH-5].
 */
export type FrameFault = 'header' | 'version' | 'sequence' | 'prev_hash' | 'tag' | 'plaintext' | 'closed';

export interface FrameReject extends Reject {
  readonly fault?: FrameFault;
}

export interface OpenedFrame {
  /** A code of the message type registry; also one that this side does not know. */
  readonly type: number;
  readonly messageId: MessageId;
  readonly body: Uint8Array;
}

/** Sequences begin below this (spec/handshake section 7). */
export const SEQUENCE_START_MAX = 2 ** 24 - 1;

/** Overwritten by each frame; opening one ends before the next begins. */
const aadRoom = new Uint8Array(FRAME_AAD_BYTES);

/** Opens one direction's frames. The first frame that is refused ends it: nothing opens afterwards. */
export class FrameOpener {
  readonly #crypto: Crypto;
  readonly #aead: Aead;
  readonly #version: Version;
  #keys: TrafficKeys;
  #transcriptHash: Uint8Array;
  /** `undefined` until the first frame has said, and proved, where the peer begins. */
  #sequence: number | undefined;
  #prevHash: Uint8Array = new Uint8Array(FRAME_HASH_BYTES);
  #open = true;
  #frames = 0;

  constructor(init: DirectionInit) {
    this.#crypto = init.crypto;
    this.#aead = init.crypto.aead[init.suite.aead];
    this.#version = init.version;
    this.#keys = init.keys;
    this.#transcriptHash = init.transcriptHash;
  }

  /** Opened under the present keys. */
  get frames(): number {
    return this.#frames;
  }

  /** Errors: frame_rejected. */
  open(bytes: Uint8Array): Result<OpenedFrame, FrameReject> {
    if (!this.#open) return rejectFrame('closed');
    const decoded = decodeFrame(bytes);
    if (!decoded.ok) return this.#refuse('header');
    const frame = decoded.value;
    const { header, ciphertext } = frame;
    const fault = this.#placeFault(frame);
    if (fault !== undefined) return this.#refuse(fault);
    const aad = frameAad(header, ciphertext.length, this.#transcriptHash, aadRoom);
    const plaintext = this.#aead.open(this.#keys.key, frameNonce(this.#keys.iv, header.sequence), aad, ciphertext);
    if (plaintext === undefined) return this.#refuse('tag');
    const first = this.#sequence === undefined;
    const opened = unpadBody(plaintext, first);
    if (!opened.ok || (first && opened.value.sequenceOffset !== header.sequence)) return this.#refuse('plaintext');
    this.#sequence = header.sequence + 1;
    this.#frames += 1;
    this.#prevHash = this.#crypto.blake3(ciphertext);
    return ok({ type: header.type, messageId: header.messageId, body: opened.value.body });
  }

  /** The next frame must be the peer's first under these keys. */
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

  /** Whether the header says that this frame comes next. Still unauthentic. */
  #placeFault({ header }: Frame): FrameFault | undefined {
    if (compareVersions(header.version, this.#version) !== 0) return 'version';
    const inPlace =
      this.#sequence === undefined ? header.sequence <= SEQUENCE_START_MAX : header.sequence === this.#sequence;
    if (!inPlace) return 'sequence';
    return sameBytes(header.prevHash, this.#prevHash) ? undefined : 'prev_hash';
  }

  #refuse(fault: FrameFault): Err<FrameReject> {
    this.close();
    return rejectFrame(fault);
  }
}

function rejectFrame(fault: FrameFault): Err<FrameReject> {
  return { ok: false, error: { code: 'frame_rejected', detail: 'frame', fault } };
}
