import { gcm } from '@noble/ciphers/aes.js';
import { chacha20poly1305 } from '@noble/ciphers/chacha.js';
import { ed25519, x25519 } from '@noble/curves/ed25519.js';
import { blake3 } from '@noble/hashes/blake3.js';
import { expand, hkdf } from '@noble/hashes/hkdf.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { ml_kem768 } from '@noble/post-quantum/ml-kem.js';
import { concatBytes, fromHex, toHex, utf8 } from '@norc/protocol/base';
import { canonicalJson, type JsonObject, padBody } from '@norc/protocol/wire';

/*
 * spec/handshake computed a second time, with other libraries and without the
 * project's handshake code: what the vectors say does not come from what they test.
 */

export type Suite = '0x0101' | '0x0102';
export const SUITES: readonly Suite[] = ['0x0101', '0x0102'];

/** Bytes with a name: secrets that look random and are the same in every run. */
export function named(name: string, length = 32): Uint8Array {
  return blake3(utf8(`norc vector ${name}`), { dkLen: length });
}

export const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');

export function bytesOf(hex: string): Uint8Array {
  const bytes = fromHex(hex);
  if (bytes === undefined) throw new RangeError('not hexadecimal');
  return bytes;
}

export interface Exchange {
  readonly initiatorX25519: Uint8Array;
  readonly mlKemSeed: Uint8Array;
  readonly responderX25519: Uint8Array;
  /** The randomness m of ML-KEM.Encaps (FIPS 203 section 6.2). */
  readonly mlKemMessage: Uint8Array;
}

export function exchangeOf(name: string): Exchange {
  return {
    initiatorX25519: named(`${name} initiator x25519`),
    mlKemSeed: named(`${name} ml-kem`, 64),
    responderX25519: named(`${name} responder x25519`),
    mlKemMessage: named(`${name} encapsulation`),
  };
}

/** What goes over the wire, and the secret of both halves. */
export function runExchange(exchange: Exchange) {
  const { initiatorX25519, mlKemSeed, responderX25519, mlKemMessage } = exchange;
  const kem = ml_kem768.keygen(mlKemSeed);
  const { cipherText, sharedSecret } = ml_kem768.encapsulate(kem.publicKey, mlKemMessage);
  const initiatorPub = x25519.getPublicKey(initiatorX25519);
  const classical = x25519.getSharedSecret(responderX25519, initiatorPub);
  return {
    initiatorPub,
    pqPub: kem.publicKey,
    responderPub: x25519.getPublicKey(responderX25519),
    pqCiphertext: cipherText,
    sharedSecret: concatBytes(classical, sharedSecret),
  };
}

export interface Direction {
  readonly key: Uint8Array;
  readonly iv: Uint8Array;
}

const hashOf = (suite: Suite) => (suite === '0x0101' ? blake3 : sha256);

export function masterSecret(
  suite: Suite,
  sharedSecret: Uint8Array,
  nonces: readonly [Uint8Array, Uint8Array],
  transcriptHash: Uint8Array,
): Uint8Array {
  const info = concatBytes(utf8('norc:ms:v1'), transcriptHash);
  return hkdf(hashOf(suite), sharedSecret, concatBytes(...nonces), info, 32);
}

export function direction(suite: Suite, secret: Uint8Array, way: 'c2s' | 's2c', stream: string): Direction {
  const suffix = stream === 'control' ? '' : `:${stream}`;
  return {
    key: expand(hashOf(suite), secret, utf8(`norc:tk:${way}:v1${suffix}`), 32),
    iv: expand(hashOf(suite), secret, utf8(`norc:iv:${way}:v1${suffix}`), 12),
  };
}

/** Keys of a stream, as a vector shows them. */
export function streamKeys(suite: Suite, secret: Uint8Array, stream: string): JsonObject {
  const [c2s, s2c] = [direction(suite, secret, 'c2s', stream), direction(suite, secret, 's2c', stream)];
  return { c2s_key: toHex(c2s.key), c2s_iv: toHex(c2s.iv), s2c_key: toHex(s2c.key), s2c_iv: toHex(s2c.iv) };
}

/** One direction's frames, sealed by hand. */
export class ReferenceSealer {
  readonly #suite: Suite;
  readonly #version: readonly [major: number, minor: number];
  #direction: Direction;
  #transcriptHash: Uint8Array;
  #sequence: number;
  #prevHash: Uint8Array = new Uint8Array(32);
  #first = true;

  constructor(suite: Suite, version: string, keys: Direction, transcriptHash: Uint8Array, sequence: number) {
    const [major = 0, minor = 0] = version.split('.').map(Number);
    this.#suite = suite;
    this.#version = [major, minor];
    this.#direction = keys;
    this.#transcriptHash = transcriptHash;
    this.#sequence = sequence;
  }

  /** @param plaintext instead of the padded body, for a frame that breaks the rules of padding. */
  seal(type: number, messageId: Uint8Array, body: Uint8Array, plaintext?: Uint8Array): Uint8Array {
    const text = plaintext ?? padBody(body, this.#first ? this.#sequence : undefined);
    const [major, minor] = this.#version;
    const length = uint(text.length + 16, 4);
    const sequence = uint(this.#sequence, 8);
    const nonce = concatBytes(new Uint8Array(4), sequence).map((byte, i) => byte ^ (this.#direction.iv[i] ?? 0));
    const aad = concatBytes(
      Uint8Array.of(major, minor, type),
      sequence,
      messageId,
      length,
      this.#prevHash,
      this.#transcriptHash,
    );
    const cipher = this.#suite === '0x0101' ? chacha20poly1305 : gcm;
    const ciphertext = cipher(this.#direction.key, nonce, aad).encrypt(text);
    const head = Uint8Array.of((major << 4) | minor, type);
    const frame = concatBytes(head, length, messageId, sequence, this.#prevHash, ciphertext);
    this.#sequence += 1;
    this.#first = false;
    this.#prevHash = blake3(ciphertext);
    return frame;
  }

  changeKeys(keys: Direction, transcriptHash: Uint8Array): void {
    this.#direction = keys;
    this.#transcriptHash = transcriptHash;
  }
}

function uint(value: number, length: number): Uint8Array {
  return bytesOf(value.toString(16).padStart(2 * length, '0'));
}

export function transcript(label: string, ...parts: readonly Uint8Array[]): Uint8Array {
  return blake3(concatBytes(utf8(label), ...parts));
}

export const sign = (seed: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array =>
  ed25519.sign(concatBytes(...parts), seed);

/** An organisation's root key, server key and server certificate, made by hand. */
export function organisation(domain: string, changes: JsonObject = {}) {
  const rootSeed = named(`${domain} root`);
  const serverSeed = named(`${domain} server`);
  const rootKey = ed25519.getPublicKey(rootSeed);
  const body: JsonObject = {
    type: 'server_certificate',
    version: 1,
    org: domain,
    domain,
    public_key: base64Url(ed25519.getPublicKey(serverSeed)),
    usages: ['server', 'devices', 'trust', 'audit'],
    tls_spki_sha256: [base64Url(sha256(utf8(`${domain} tls`)))],
    not_before: 1_780_000_000_000,
    not_after: 1_800_000_000_000,
    ...changes,
  };
  const signature = sign(rootSeed, utf8('norc:signed:server_certificate:v1\0'), canonicalJson(body));
  const keyId = toHex(blake3(rootKey).subarray(0, 16));
  const signatures = [{ algorithm: 'ed25519', key_id: keyId, signature: base64Url(signature) }];
  return { rootKey, serverSeed, certificate: { ...body, signatures } };
}

function base64Url(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64url');
}
