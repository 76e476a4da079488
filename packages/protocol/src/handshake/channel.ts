import {
  err,
  type Instant,
  idFromBytes,
  LIMITS,
  MESSAGE_TYPES,
  type MessageId,
  ok,
  type Random,
  type Reject,
  type Result,
  reject,
  zeroBytes,
} from '../base/index.ts';
import type { ChannelKeys, Crypto, KeyClass } from '../crypto/index.ts';
import type { BodyEncoding } from '../wire/index.ts';
import { FrameOpener, type FrameReject, type OpenedFrame, SEQUENCE_START_MAX } from './frame-opener.ts';
import { FrameSealer } from './frame-sealer.ts';
import { AwaitRekeyAccept, acceptRekey, confirmBody, type RekeyContext, type RekeyOutcome, readStep } from './rekey.ts';
import type { HybridSuite } from './suites.ts';
import type { Version } from './versions.ts';

export interface ChannelInit {
  readonly crypto: Crypto;
  readonly random: Random;
  readonly version: Version;
  readonly suite: HybridSuite;
  /** Owned by the channel from here on, which zeroes them. */
  readonly keys: ChannelKeys;
  readonly keyClass: KeyClass;
  readonly transcriptHash: Uint8Array;
  /** `initiator` sent the first hello. Only it offers new keys. */
  readonly side: ChannelSide;
  readonly now: Instant;
}

export type ChannelSide = 'initiator' | 'responder';

export type ChannelInput =
  | ({ readonly kind: 'message' } & OpenedFrame)
  /** A step of a key exchange, handled here. `reply` goes out before any frame that is sealed after it. */
  | { readonly kind: 'rekey'; readonly reply: Uint8Array | undefined };

/** `due`: the initiator offers new keys. `overdue`: either side ends the session with `rekey_required`. */
export type KeyAge = 'fresh' | 'due' | 'overdue';

/** 2.x bodies are CBOR, 1.x bodies JSON: the one place where the version decides. */
export function bodyEncoding(version: Version): BodyEncoding {
  return version.major >= 2 ? 'cbor' : 'json';
}

type RekeyState =
  | { readonly waitsFor: 'nothing' }
  | { readonly waitsFor: 'accept'; readonly offer: AwaitRekeyAccept }
  | { readonly waitsFor: 'confirm'; readonly messageId: MessageId; readonly outcome: RekeyOutcome };

const IDLE: RekeyState = { waitsFor: 'nothing' };

/**
 * Both directions of one stream, and the change of their keys (spec/handshake sections
 * 7 and 8). After an error from `open` the channel opens nothing more; it can still
 * seal one error frame, then `close` zeroes what is left.
 */
export class SecureChannel {
  readonly version: Version;
  readonly suite: HybridSuite;
  readonly encoding: BodyEncoding;
  readonly #init: Pick<ChannelInit, 'crypto' | 'random' | 'keyClass' | 'side'>;
  readonly #sealer: FrameSealer;
  readonly #opener: FrameOpener;
  #transcriptHash: Uint8Array;
  #rekey: RekeyState = IDLE;
  #keysSince: Instant;
  #jitter: number;

  constructor(init: ChannelInit) {
    const { crypto, random, version, suite, keys, transcriptHash, side, now } = init;
    this.version = version;
    this.suite = suite;
    this.encoding = bodyEncoding(version);
    this.#init = { crypto, random, keyClass: init.keyClass, side };
    this.#transcriptHash = transcriptHash;
    this.#keysSince = now;
    this.#jitter = drawJitter(random);
    const direction = { crypto, version, suite, transcriptHash };
    const [sealKeys, openKeys] = side === 'initiator' ? [keys.c2s, keys.s2c] : [keys.s2c, keys.c2s];
    // A random start: a frame's sequence does not tell how many went before it.
    this.#sealer = new FrameSealer({ ...direction, keys: sealKeys }, drawUint24(random));
    this.#opener = new FrameOpener({ ...direction, keys: openKeys });
  }

  /** 32 bytes. New keys change it; proofs sign the one of the hellos (`HelloOutcome.transcriptHash`). */
  get transcriptHash(): Uint8Array {
    return this.#transcriptHash;
  }

  /** Frames go out in the order in which they were sealed. Throws as `FrameSealer.seal`. */
  seal(type: number, messageId: MessageId, body: Uint8Array): Uint8Array {
    if (type === MESSAGE_TYPES.session_key_exchange) throw new RangeError('the channel makes its own key exchanges');
    return this.#sealer.seal(type, messageId, body);
  }

  /** Errors: frame_rejected; and for a key exchange that is not one: unexpected_message, crypto, or the body's fault. */
  open(frame: Uint8Array, now: Instant): Result<ChannelInput, FrameReject> {
    const opened = this.#opener.open(frame);
    if (!opened.ok) return opened;
    if (opened.value.type !== MESSAGE_TYPES.session_key_exchange) return ok({ kind: 'message', ...opened.value });
    const step = this.#receiveKeyExchange(opened.value, now);
    if (!step.ok) this.#opener.close();
    return step.ok ? ok({ kind: 'rekey', reply: step.value }) : err<Reject>(step.error);
  }

  /** 60 minutes or 10,000 frames in a direction, each with 10 % jitter so that sessions do not rekey together. */
  keyAge(now: Instant): KeyAge {
    const frames = Math.max(this.#sealer.frames, this.#opener.frames) / LIMITS.rekeyFramesMax;
    const used = Math.max(frames, (now - this.#keysSince) / LIMITS.rekeyMillisecondsMax) / this.#jitter;
    if (used < 1) return 'fresh';
    return used < OVERDUE ? 'due' : 'overdue';
  }

  /** Whether the initiator has something to do now: keys are due and no exchange is under way. */
  rekeyDue(now: Instant): boolean {
    return this.#init.side === 'initiator' && this.#rekey.waitsFor === 'nothing' && this.keyAge(now) !== 'fresh';
  }

  /** The initiator's offer as a frame. Throws TypeError on the other side, or while an exchange is under way. */
  startRekey(): Uint8Array {
    if (this.#init.side !== 'initiator') throw new TypeError('only the initiator offers new keys');
    if (this.#rekey.waitsFor !== 'nothing') throw new TypeError('a key exchange is under way');
    const messageId: MessageId = idFromBytes(this.#init.random.bytes(16));
    const offer = new AwaitRekeyAccept(this.#rekeyContext(), messageId);
    this.#rekey = { waitsFor: 'accept', offer };
    return this.#sealer.seal(MESSAGE_TYPES.session_key_exchange, messageId, offer.offerBody);
  }

  /** Zeroes all keys. Sealing throws afterwards, opening refuses. */
  close(): void {
    this.#sealer.close();
    this.#opener.close();
    if (this.#rekey.waitsFor === 'accept') this.#rekey.offer.discard();
    if (this.#rekey.waitsFor === 'confirm') zeroKeys(this.#rekey.outcome.keys);
    this.#rekey = IDLE;
  }

  #receiveKeyExchange({ messageId, body }: OpenedFrame, now: Instant): Result<Uint8Array | undefined> {
    const state = this.#rekey;
    switch (state.waitsFor) {
      case 'nothing':
        if (this.#init.side === 'initiator') return reject('unexpected_message', 'session_key_exchange');
        return this.#receiveOffer(messageId, body);
      case 'accept':
        if (messageId !== state.offer.messageId) return reject('unexpected_message', 'session_key_exchange');
        return this.#receiveAccept(state.offer, body, now);
      case 'confirm':
        if (messageId !== state.messageId) return reject('unexpected_message', 'session_key_exchange');
        return this.#receiveConfirm(state.outcome, body, now);
    }
  }

  /** The accept is the last frame under our old key; the peer's keys change when its confirm is here. */
  #receiveOffer(messageId: MessageId, body: Uint8Array): Result<Uint8Array> {
    const accepted = acceptRekey(this.#rekeyContext(), body);
    if (!accepted.ok) return accepted;
    const { acceptBody, outcome } = accepted.value;
    const reply = this.#sealer.seal(MESSAGE_TYPES.session_key_exchange, messageId, acceptBody);
    this.#sealer.changeKeys(outcome.keys.s2c, outcome.transcriptHash);
    this.#rekey = { waitsFor: 'confirm', messageId, outcome };
    return ok(reply);
  }

  /** The accept was the peer's last frame under its old key; our confirm is our last. */
  #receiveAccept(offer: AwaitRekeyAccept, body: Uint8Array, now: Instant): Result<Uint8Array> {
    const outcome = offer.receive(this.#rekeyContext(), body);
    if (!outcome.ok) return outcome;
    const { keys, transcriptHash } = outcome.value;
    this.#opener.changeKeys(keys.s2c, transcriptHash);
    const type = MESSAGE_TYPES.session_key_exchange;
    const reply = this.#sealer.seal(type, offer.messageId, confirmBody(this.encoding));
    this.#sealer.changeKeys(keys.c2s, transcriptHash);
    this.#finishRekey(transcriptHash, now);
    return ok(reply);
  }

  #receiveConfirm(outcome: RekeyOutcome, body: Uint8Array, now: Instant): Result<undefined> {
    const confirm = readStep(this, body, 'confirm');
    if (!confirm.ok) return confirm;
    this.#opener.changeKeys(outcome.keys.c2s, outcome.transcriptHash);
    this.#finishRekey(outcome.transcriptHash, now);
    return ok(undefined);
  }

  #finishRekey(transcriptHash: Uint8Array, now: Instant): void {
    this.#transcriptHash = transcriptHash;
    this.#rekey = IDLE;
    this.#keysSince = now;
    this.#jitter = drawJitter(this.#init.random);
  }

  #rekeyContext(): RekeyContext {
    const { crypto, random, keyClass } = this.#init;
    const { suite, encoding } = this;
    return { crypto, random, suite, keyClass, encoding, transcriptHash: this.#transcriptHash };
  }
}

/** Times the limit: room for the frames that are under way while keys change. */
const OVERDUE = 2;
const JITTER = 0.1;

/** 0.9 to 1.1. */
function drawJitter(random: Random): number {
  return 1 - JITTER + (2 * JITTER * drawUint24(random)) / SEQUENCE_START_MAX;
}

function drawUint24(random: Random): number {
  const [a = 0, b = 0, c = 0] = random.bytes(3);
  return (a << 16) | (b << 8) | c;
}

function zeroKeys({ c2s, s2c }: ChannelKeys): void {
  zeroBytes(c2s.key, c2s.iv, s2c.key, s2c.iv);
}
