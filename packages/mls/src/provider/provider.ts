import type { Crypto, KeyPair, RandomBytes } from '@norc/protocol/crypto';

/**
 * The algorithms below MLS. A browser provider is a second implementation of this
 * interface and nothing else: the engine, HPKE and the key schedule run over it.
 */
export interface MlsProvider {
  readonly crypto: Crypto;
  readonly random: RandomBytes;
  /** The KEM of suite 0xF101. */
  readonly xWing: Kem;
}

/**
 * A key encapsulation mechanism as HPKE (RFC 9180 section 4) wants it. Keys are raw
 * bytes. Bytes that a peer sent never make a call throw; a wrong length of our own does.
 */
export interface Kem {
  /** HPKE KEM identifier. */
  readonly id: number;
  readonly publicKeyBytes: number;
  readonly privateKeyBytes: number;
  readonly encapsulationBytes: number;
  generate(random: RandomBytes): KeyPair;
  /** RFC 9180 `DeriveKeyPair`. */
  derive(ikm: Uint8Array): KeyPair;
  publicKeyOf(privateKey: Uint8Array): Uint8Array;
  /** Whether `encapsulate` takes it. Cheaper than doing it. */
  isPublicKey(key: Uint8Array): boolean;
  /** `undefined` when the public key is not valid. */
  encapsulate(publicKey: Uint8Array, random: RandomBytes): Encapsulation | undefined;
  /** `undefined` when the encapsulation is malformed. A wrong one of the right form gives an unrelated secret. */
  decapsulate(privateKey: Uint8Array, encapsulation: Uint8Array): Uint8Array | undefined;
  /** Overwrites the private key and whatever was kept with it. */
  erase(privateKey: Uint8Array): void;
}

export interface Encapsulation {
  readonly encapsulation: Uint8Array;
  readonly sharedSecret: Uint8Array;
}
