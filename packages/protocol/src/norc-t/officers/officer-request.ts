import { concatBytes, fromBase64Url, ok, type Result, reject, sameBytes, toBase64Url, utf8 } from '../../base/index.ts';
import type { Crypto } from '../../crypto/index.ts';

/**
 * What an officer hands to whoever holds the root key (spec/officers section 2): the
 * public key, with a checksum, so that a slip of copying is noticed. It is no secret;
 * that it is the right one is told by the fingerprint, over another channel.
 */
const PREFIX = 'norc-officer1-';
const KEY_BYTES = 32;
const CHECKSUM_BYTES = 4;

/** Throws RangeError when the key has another length than 32 bytes. */
export function encodeOfficerRequest(crypto: Crypto, publicKey: Uint8Array): string {
  if (publicKey.length !== KEY_BYTES) throw new RangeError('an officer key has 32 bytes');
  return `${PREFIX}${toBase64Url(concatBytes(publicKey, checksum(crypto, publicKey)))}`;
}

/** The public key of a request, or of its base64url alone. Errors: malformed. */
export function decodeOfficerRequest(crypto: Crypto, text: string): Result<Uint8Array> {
  const compact = text.replace(/\s+/g, '');
  const bytes = fromBase64Url(compact.startsWith(PREFIX) ? compact.slice(PREFIX.length) : compact);
  const length = compact.startsWith(PREFIX) ? KEY_BYTES + CHECKSUM_BYTES : KEY_BYTES;
  if (bytes?.length !== length) return reject('malformed', 'request of an officer');
  const publicKey = bytes.slice(0, KEY_BYTES);
  if (length > KEY_BYTES && !sameBytes(bytes.subarray(KEY_BYTES), checksum(crypto, publicKey)))
    return reject('malformed', 'checksum of the request');
  return crypto.ed25519.isPublicKey(publicKey) ? ok(publicKey) : reject('malformed', 'key of the request');
}

function checksum(crypto: Crypto, publicKey: Uint8Array): Uint8Array {
  return crypto.blake3(concatBytes(utf8(PREFIX), publicKey)).subarray(0, CHECKSUM_BYTES);
}
