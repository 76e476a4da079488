import { LIMITS, type Result, reject, sameBytes } from '@norc/protocol/base';
import {
  decodeMlsMessage,
  encodeMlsMessage,
  type GroupInfo,
  type KeyPackage,
  type MLSMessage,
  MlsError,
  type PublicMessage,
  type Welcome,
} from './library.ts';
import { OpenFault } from './suite.ts';

type Wire = MLSMessage['wireformat'];

/**
 * Strict decoding of an MLSMessage: exactly one, in its only encoding, within
 * `mlsMessageBytesMax`. The library alone accepts bytes after the end, longer lengths
 * than needed and presence octets above 1, and throws where a credential type is new
 * to it. What is returned shares no memory with `bytes`.
 *
 * Errors: limit_exceeded, malformed, trailing_bytes, not_canonical.
 */
function decodeMessage<W extends Wire>(bytes: Uint8Array, wire: W): Result<Extract<MLSMessage, { wireformat: W }>> {
  if (bytes.length > LIMITS.mlsMessageBytesMax) return reject('limit_exceeded', 'MLS message: size');
  const own = bytes.slice();
  const decoded = attempt(() => decodeMlsMessage(own, 0));
  if (decoded === undefined) return reject('malformed', 'MLS message');
  const [message, length] = decoded;
  if (length !== own.length) return reject('trailing_bytes', 'MLS message');
  if (message.wireformat !== wire) return reject('malformed', 'MLS message: wire format');
  const again = attempt(() => encodeMlsMessage(message));
  if (again === undefined) return reject('limit_exceeded', 'MLS message: too many parts');
  if (!sameBytes(again, own)) return reject('not_canonical', 'MLS message');
  return { ok: true, value: message as Extract<MLSMessage, { wireformat: W }> }; // its wire format was compared
}

/** The library's decoders throw for some malformed input, run out of stack for some, and return nothing for the rest. */
export function attempt<T>(decode: () => T | undefined): T | undefined {
  try {
    return decode();
  } catch {
    return undefined;
  }
}

export function decodePublicMessage(bytes: Uint8Array): Result<PublicMessage> {
  const message = decodeMessage(bytes, 'mls_public_message');
  return message.ok ? { ok: true, value: message.value.publicMessage } : message;
}

export function decodeWelcome(bytes: Uint8Array): Result<Welcome> {
  const message = decodeMessage(bytes, 'mls_welcome');
  return message.ok ? { ok: true, value: message.value.welcome } : message;
}

export function decodeGroupInfoMessage(bytes: Uint8Array): Result<GroupInfo> {
  const message = decodeMessage(bytes, 'mls_group_info');
  return message.ok ? { ok: true, value: message.value.groupInfo } : message;
}

export function decodeKeyPackage(bytes: Uint8Array): Result<KeyPackage> {
  const message = decodeMessage(bytes, 'mls_key_package');
  return message.ok ? { ok: true, value: message.value.keyPackage } : message;
}

export function encodePublicMessage(publicMessage: PublicMessage): Uint8Array {
  return encodeMlsMessage({ version: 'mls10', wireformat: 'mls_public_message', publicMessage });
}

export function encodeWelcome(welcome: Welcome): Uint8Array {
  return encodeMlsMessage({ version: 'mls10', wireformat: 'mls_welcome', welcome });
}

export function encodeGroupInfoMessage(groupInfo: GroupInfo): Uint8Array {
  return encodeMlsMessage({ version: 'mls10', wireformat: 'mls_group_info', groupInfo });
}

export function encodeKeyPackage(keyPackage: KeyPackage): Uint8Array {
  return encodeMlsMessage({ version: 'mls10', wireformat: 'mls_key_package', keyPackage });
}

/** As `attempt`, for what is decrypted first: undefined where that is the peer's doing. */
export async function attemptAsync<T>(open: () => Promise<T | undefined>): Promise<T | undefined> {
  try {
    return await open();
  } catch (fault) {
    if (isPeersFault(fault)) return undefined;
    throw fault;
  }
}

/** The library throws its own errors for whatever is wrong with a message; ours marks a wrong tag. */
export function isPeersFault(fault: unknown): boolean {
  return fault instanceof OpenFault || fault instanceof MlsError;
}
