import { type MessageId, ok, type Random, type Result, reject, zeroBytes } from '../base/index.ts';
import {
  type ChannelKeys,
  type Crypto,
  deriveChannelKeys,
  deriveMasterSecret,
  type KeyClass,
  transcriptHash,
} from '../crypto/index.ts';
import {
  type BodyEncoding,
  choice,
  decodeBody,
  encodeBody,
  fixedBytes,
  type Infer,
  optional,
  struct,
} from '../wire/index.ts';
import {
  answerHybridOffer,
  EPHEMERAL_PUB_BYTES,
  HELLO_NONCE_BYTES,
  HybridOfferKeys,
  PQ_CIPHERTEXT_BYTES,
  PQ_PUB_BYTES,
} from './hybrid.ts';
import type { HybridSuite } from './suites.ts';

/** Body of `session_key_exchange` (spec/handshake section 8). Which fields there must be depends on `step`. */
export const sessionKeyExchange = struct({
  step: choice(['offer', 'accept', 'confirm']),
  nonce: optional(fixedBytes(HELLO_NONCE_BYTES)),
  ephemeral_pub: optional(fixedBytes(EPHEMERAL_PUB_BYTES)),
  pq_pub: optional(fixedBytes(PQ_PUB_BYTES)),
  pq_ciphertext: optional(fixedBytes(PQ_CIPHERTEXT_BYTES)),
});
export type SessionKeyExchange = Infer<typeof sessionKeyExchange>;

/** What one key exchange inside a channel needs to know about the channel. */
export interface RekeyContext {
  readonly crypto: Crypto;
  readonly random: Random;
  readonly suite: HybridSuite;
  readonly keyClass: KeyClass;
  readonly encoding: BodyEncoding;
  /** The channel's present one. */
  readonly transcriptHash: Uint8Array;
}

/** Fresh keys of both directions, and the transcript hash that goes with them. */
export interface RekeyOutcome {
  readonly keys: ChannelKeys;
  readonly transcriptHash: Uint8Array;
}

/** The initiator's state after its offer: waits for the accept. */
export class AwaitRekeyAccept {
  /** Of the offer, and so of the accept and the confirm. */
  readonly messageId: MessageId;
  readonly offerBody: Uint8Array;
  readonly #keys: HybridOfferKeys;
  readonly #nonce: Uint8Array;

  constructor(context: RekeyContext, messageId: MessageId) {
    this.messageId = messageId;
    this.#keys = new HybridOfferKeys(context.crypto, context.random);
    this.#nonce = context.random.bytes(HELLO_NONCE_BYTES);
    const { ephemeralPub, pqPub } = this.#keys.offer;
    this.offerBody = encodeBody(
      sessionKeyExchange,
      { step: 'offer', nonce: this.#nonce, ephemeral_pub: ephemeralPub, pq_pub: pqPub },
      context.encoding,
    );
  }

  /** Errors: unexpected_message, missing_field, crypto, and those of `decodeBody`. */
  receive(context: RekeyContext, body: Uint8Array): Result<RekeyOutcome> {
    const accept = readStep(context, body, 'accept');
    if (!accept.ok) return accept;
    const { nonce, ephemeral_pub: ephemeralPub, pq_ciphertext: pqCiphertext } = accept.value;
    if (nonce === undefined || ephemeralPub === undefined || pqCiphertext === undefined) {
      return reject('missing_field', 'session_key_exchange accept');
    }
    const shared = this.#keys.agree({ ephemeralPub, pqCiphertext });
    if (!shared.ok) return shared;
    return ok(derive(context, [this.offerBody, body], [this.#nonce, nonce], shared.value));
  }

  discard(): void {
    this.#keys.discard();
  }
}

/** The acceptor's whole part. Errors: as `AwaitRekeyAccept.receive`. */
export function acceptRekey(
  context: RekeyContext,
  offerBody: Uint8Array,
): Result<{ readonly acceptBody: Uint8Array; readonly outcome: RekeyOutcome }> {
  const offer = readStep(context, offerBody, 'offer');
  if (!offer.ok) return offer;
  const { nonce, ephemeral_pub: ephemeralPub, pq_pub: pqPub } = offer.value;
  if (nonce === undefined || ephemeralPub === undefined || pqPub === undefined) {
    return reject('missing_field', 'session_key_exchange offer');
  }
  const answered = answerHybridOffer(context.crypto, context.random, { ephemeralPub, pqPub });
  if (!answered.ok) return answered;
  const { answer, sharedSecret } = answered.value;
  const ownNonce = context.random.bytes(HELLO_NONCE_BYTES);
  const acceptBody = encodeBody(
    sessionKeyExchange,
    { step: 'accept', nonce: ownNonce, ephemeral_pub: answer.ephemeralPub, pq_ciphertext: answer.pqCiphertext },
    context.encoding,
  );
  const outcome = derive(context, [offerBody, acceptBody], [nonce, ownNonce], sharedSecret);
  return ok({ acceptBody, outcome });
}

export function confirmBody(encoding: BodyEncoding): Uint8Array {
  return encodeBody(sessionKeyExchange, { step: 'confirm' }, encoding);
}

/** Errors: unexpected_message for another step, and those of `decodeBody`. */
export function readStep(
  context: Pick<RekeyContext, 'encoding'>,
  body: Uint8Array,
  step: SessionKeyExchange['step'],
): Result<SessionKeyExchange> {
  const decoded = decodeBody(sessionKeyExchange, body, context.encoding);
  if (decoded.ok && decoded.value.step !== step) return reject('unexpected_message', 'session_key_exchange step');
  return decoded;
}

/** th' covers th and both bodies as they were sent; then as after a hello. */
function derive(
  context: RekeyContext,
  [offer, accept]: readonly [Uint8Array, Uint8Array],
  [clientNonce, serverNonce]: readonly [Uint8Array, Uint8Array],
  sharedSecret: Uint8Array,
): RekeyOutcome {
  const { crypto, suite, keyClass } = context;
  const next = transcriptHash(crypto, 'norc-rekey-v1', context.transcriptHash, offer, accept);
  const input = { clientNonce, serverNonce, sharedSecret, transcriptHash: next };
  const masterSecret = deriveMasterSecret(crypto, suite.hash, input);
  const keys = deriveChannelKeys(crypto, suite.hash, masterSecret, keyClass);
  zeroBytes(sharedSecret, masterSecret);
  return { keys, transcriptHash: next };
}
