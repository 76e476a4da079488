import { concatBytes, ok, type Random, type Result, reject, zeroBytes } from '../base/index.ts';
import type { Crypto, KeyPair } from '../crypto/index.ts';

/*
 * The hybrid key exchange of a hello and of a rekey: X25519 and ML-KEM-768 side by
 * side. An attacker has to break both; if either half fails, all of it does [HS-13].
 */

export const HELLO_NONCE_BYTES = 16;
export const EPHEMERAL_PUB_BYTES = 32;
export const PQ_PUB_BYTES = 1184;
export const PQ_CIPHERTEXT_BYTES = 1088;

/** What the side that goes first sends. */
export interface HybridOffer {
  readonly ephemeralPub: Uint8Array;
  readonly pqPub: Uint8Array;
}

/** What the other side answers. */
export interface HybridAnswer {
  readonly ephemeralPub: Uint8Array;
  readonly pqCiphertext: Uint8Array;
}

/** The secrets behind one offer: used once, then zeroed. */
export class HybridOfferKeys {
  readonly offer: HybridOffer;
  readonly #crypto: Crypto;
  readonly #x25519: KeyPair;
  readonly #mlKem: KeyPair;

  constructor(crypto: Crypto, random: Random) {
    const bytes = (length: number) => random.bytes(length);
    this.#crypto = crypto;
    this.#x25519 = crypto.x25519.keyPair(bytes);
    this.#mlKem = crypto.mlKem768.keyPair(bytes);
    this.offer = { ephemeralPub: this.#x25519.publicKey, pqPub: this.#mlKem.publicKey };
  }

  /** X25519 secret || ML-KEM secret (64 bytes), and the end of the keys. Errors: crypto. */
  agree(answer: HybridAnswer): Result<Uint8Array> {
    const classical = this.#crypto.x25519.agree(this.#x25519.privateKey, answer.ephemeralPub);
    const postQuantum = this.#crypto.mlKem768.decapsulate(this.#mlKem.privateKey, answer.pqCiphertext);
    this.discard();
    return combine(classical, postQuantum);
  }

  discard(): void {
    zeroBytes(this.#x25519.privateKey, this.#mlKem.privateKey);
  }
}

/** Errors: crypto, for a low-order X25519 key or an ML-KEM key that is not one. */
export function answerHybridOffer(
  crypto: Crypto,
  random: Random,
  offer: HybridOffer,
): Result<{ readonly answer: HybridAnswer; readonly sharedSecret: Uint8Array }> {
  const own = crypto.x25519.keyPair((length) => random.bytes(length));
  const classical = crypto.x25519.agree(own.privateKey, offer.ephemeralPub);
  zeroBytes(own.privateKey);
  const encapsulated = crypto.mlKem768.encapsulate(offer.pqPub);
  const sharedSecret = combine(classical, encapsulated?.sharedSecret);
  if (!sharedSecret.ok || encapsulated === undefined) return reject('crypto', 'hybrid key exchange');
  const answer = { ephemeralPub: own.publicKey, pqCiphertext: encapsulated.ciphertext };
  return ok({ answer, sharedSecret: sharedSecret.value });
}

/** Which half failed is not said: the answer is the same. */
function combine(classical: Uint8Array | undefined, postQuantum: Uint8Array | undefined): Result<Uint8Array> {
  const sharedSecret =
    classical === undefined || postQuantum === undefined ? undefined : concatBytes(classical, postQuantum);
  zeroBytes(classical ?? NOTHING, postQuantum ?? NOTHING);
  return sharedSecret === undefined ? reject('crypto', 'hybrid key exchange') : ok(sharedSecret);
}

const NOTHING = new Uint8Array(0);
