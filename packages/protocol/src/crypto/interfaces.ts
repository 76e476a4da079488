/**
 * What protocol code asks of a cryptographic library. Implementations live in
 * packages/crypto; none is imported here. All calls are synchronous and take and
 * return raw bytes; lengths are in bytes. A wrong length from our own code is a
 * caller's fault and throws; bytes that a peer sent never make these throw:
 * `open`, `agree`, `encapsulate`, `decapsulate` return `undefined`, `verify` returns false.
 */
export interface Crypto {
  /** BLAKE3-256. */
  blake3(data: Uint8Array): Uint8Array;
  /** SHA-256 (FIPS 180-4). */
  sha256(data: Uint8Array): Uint8Array;
  /** HMAC (RFC 2104): over SHA-256, or over BLAKE3-256 with block 64 and output 32. */
  hmac(hash: HashName, key: Uint8Array, data: Uint8Array): Uint8Array;
  /** Constant-time equality of secrets or tags. Different lengths are unequal. */
  equal(a: Uint8Array, b: Uint8Array): boolean;
  readonly aead: Readonly<Record<AeadName, Aead>>;
  readonly x25519: X25519;
  readonly mlKem768: MlKem768;
  readonly ed25519: Ed25519;
  readonly mlDsa65: MlDsa65;
}

export type HashName = 'blake3' | 'sha256';
export type AeadName = 'chacha20-poly1305' | 'aes-256-gcm';

export interface Aead {
  /**
   * Key 32, nonce 12; returns ciphertext || tag(16). The caller never repeats a nonce under a key.
   * `into`, exactly that long, spares memory: an implementation may return it, filled, or other bytes.
   */
  seal(key: Uint8Array, nonce: Uint8Array, aad: Uint8Array, plaintext: Uint8Array, into?: Uint8Array): Uint8Array;
  /** `undefined` when the tag does not match or the input is shorter than a tag. */
  open(key: Uint8Array, nonce: Uint8Array, aad: Uint8Array, ciphertext: Uint8Array): Uint8Array | undefined;
}

export interface KeyPair {
  readonly publicKey: Uint8Array;
  /** The seed or scalar; secret. Zero it after use. */
  readonly privateKey: Uint8Array;
}

/** RFC 7748. Public and private keys 32, shared secret 32. */
export interface X25519 {
  keyPair(random: RandomBytes): KeyPair;
  /** `undefined` for a low-order public key (all-zero result). */
  agree(privateKey: Uint8Array, publicKey: Uint8Array): Uint8Array | undefined;
}

/** FIPS 203 ML-KEM-768. Public key 1184, seed d||z 64 as private key, ciphertext 1088, shared secret 32. */
export interface MlKem768 {
  keyPair(random: RandomBytes): KeyPair;
  /** `undefined` when the public key fails the FIPS 203 section 7.2 checks. */
  encapsulate(
    publicKey: Uint8Array,
  ): { readonly ciphertext: Uint8Array; readonly sharedSecret: Uint8Array } | undefined;
  /** Implicit rejection: a wrong ciphertext of the right length gives an unrelated secret. */
  decapsulate(privateKey: Uint8Array, ciphertext: Uint8Array): Uint8Array | undefined;
}

/** RFC 8032 Ed25519. Seed 32 as private key, public key 32, signature 64. */
export interface Ed25519 {
  keyPair(random: RandomBytes): KeyPair;
  sign(privateKey: Uint8Array, message: Uint8Array): Uint8Array;
  /** Strict: a key or an R of small order, and a non-canonical key, never verify. */
  verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean;
  /** Whether these bytes are the canonical encoding of a curve point that is not of small order. */
  isPublicKey(publicKey: Uint8Array): boolean;
}

/**
 * FIPS 204 ML-DSA-65, pure, with the empty context string. Seed 32 as private key, public
 * key 1952, signature 3309. The seed is what is kept: the expanded key of 4,032 bytes never leaves the library.
 */
export interface MlDsa65 {
  keyPair(random: RandomBytes): KeyPair;
  /** Hedged or deterministic (FIPS 204 section 3.4), as the library does; both verify alike. */
  sign(privateKey: Uint8Array, message: Uint8Array): Uint8Array;
  /** False for a key or a signature of another length; never throws for what a peer sent. */
  verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean;
  /** Its length is all that FIPS 204 asks of a public key: every string of 1952 bytes decodes to one. */
  isPublicKey(publicKey: Uint8Array): boolean;
}

export const ML_DSA_65_SEED_BYTES = 32;
export const ML_DSA_65_PUBLIC_KEY_BYTES = 1952;
export const ML_DSA_65_SIGNATURE_BYTES = 3309;

export type RandomBytes = (length: number) => Uint8Array;

/**
 * Signs on behalf of a long-lived key whose secret may be in a file, a token or a
 * remote module. `keyId` is the key's public fingerprint, never the secret.
 */
export interface Signer {
  readonly algorithm: 'ed25519' | 'ml-dsa-65';
  readonly publicKey: Uint8Array;
  sign(message: Uint8Array): Promise<Uint8Array>;
}
