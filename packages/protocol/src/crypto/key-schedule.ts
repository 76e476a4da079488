import { concatBytes, zeroBytes } from '../base/index.ts';
import { hkdfExpand, hkdfExtract } from './hkdf.ts';
import type { Crypto, HashName } from './interfaces.ts';
import type { KdfLabel, KeyClass } from './labels.ts';

const MASTER_SECRET_BYTES = 32;
const KEY_BYTES = 32;
const IV_BYTES = 12;
const NO_CONTEXT = new Uint8Array(0);

/** One direction's AEAD key (32) and IV (12). Secret; zero both after use. */
export interface TrafficKeys {
  readonly key: Uint8Array;
  readonly iv: Uint8Array;
}

/** `c2s` is from who sent the first hello to who answered it, on client sessions and links alike. */
export interface ChannelKeys {
  readonly c2s: TrafficKeys;
  readonly s2c: TrafficKeys;
}

/** What two sides know after a hybrid key exchange (spec/handshake section 5). */
export interface MasterSecretInput {
  /** 16 bytes, of who sent the first hello or the offer. */
  readonly clientNonce: Uint8Array;
  readonly serverNonce: Uint8Array;
  /** X25519 secret || ML-KEM-768 secret, 64 bytes. Not zeroed here. */
  readonly sharedSecret: Uint8Array;
  readonly transcriptHash: Uint8Array;
}

/** HKDF(salt = both nonces, ikm = shared secret, info = "norc:ms:v1" || transcript hash), 32 bytes. */
export function deriveMasterSecret(crypto: Crypto, hash: HashName, input: MasterSecretInput): Uint8Array {
  const salt = concatBytes(input.clientNonce, input.serverNonce);
  const extracted = hkdfExtract(crypto, hash, salt, input.sharedSecret);
  const secret = hkdfExpand(crypto, hash, extracted, 'norc:ms:v1', input.transcriptHash, MASTER_SECRET_BYTES);
  zeroBytes(extracted);
  return secret;
}

/** The keys of one stream. The master secret is uniform already, so it is expanded only. Not zeroed here. */
export function deriveChannelKeys(
  crypto: Crypto,
  hash: HashName,
  masterSecret: Uint8Array,
  keyClass: KeyClass,
): ChannelKeys {
  const labels = CHANNEL_LABELS[keyClass];
  const derive = (label: KdfLabel, length: number) => hkdfExpand(crypto, hash, masterSecret, label, NO_CONTEXT, length);
  return {
    c2s: { key: derive(labels.c2sKey, KEY_BYTES), iv: derive(labels.c2sIv, IV_BYTES) },
    s2c: { key: derive(labels.s2cKey, KEY_BYTES), iv: derive(labels.s2cIv, IV_BYTES) },
  };
}

interface ChannelLabels {
  readonly c2sKey: KdfLabel;
  readonly s2cKey: KdfLabel;
  readonly c2sIv: KdfLabel;
  readonly s2cIv: KdfLabel;
}

const CHANNEL_LABELS: Readonly<Record<KeyClass, ChannelLabels>> = {
  control: {
    c2sKey: 'norc:tk:c2s:v1',
    s2cKey: 'norc:tk:s2c:v1',
    c2sIv: 'norc:iv:c2s:v1',
    s2cIv: 'norc:iv:s2c:v1',
  },
  interactive: {
    c2sKey: 'norc:tk:c2s:v1:interactive',
    s2cKey: 'norc:tk:s2c:v1:interactive',
    c2sIv: 'norc:iv:c2s:v1:interactive',
    s2cIv: 'norc:iv:s2c:v1:interactive',
  },
  bulk: {
    c2sKey: 'norc:tk:c2s:v1:bulk',
    s2cKey: 'norc:tk:s2c:v1:bulk',
    c2sIv: 'norc:iv:c2s:v1:bulk',
    s2cIv: 'norc:iv:s2c:v1:bulk',
  },
};
