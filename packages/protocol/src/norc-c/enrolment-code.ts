import {
  concatBytes,
  decodeUtf8,
  err,
  ok,
  parseDomain,
  parseUserAddress,
  type Reject,
  type Result,
  sameBytes,
  type UserAddress,
  utf8,
} from '../base/index.ts';
import type { Crypto } from '../crypto/index.ts';

/**
 * The one-time enrolment code (spec/enrolment-code): what a new device needs so that
 * its first connection already knows whom to expect. A person pastes it, types it or
 * hears it read aloud.
 */
export interface EnrolmentCode {
  /** 16 random bytes; secret until spent. The server keeps only its BLAKE3. */
  readonly secret: Uint8Array;
  readonly user: UserAddress;
  readonly server: EnrolmentServer;
  /** BLAKE3-256 of the organisation root public key. */
  readonly rootFingerprint: Uint8Array;
}

export interface EnrolmentServer {
  /** A domain name, or an IPv4 or IPv6 address without brackets, in lower case. */
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
}

/** `reason` is for the person who typed it: each one is another sentence. */
export interface EnrolmentCodeReject extends Reject {
  readonly reason: EnrolmentCodeFault;
}

export type EnrolmentCodeFault =
  /** Does not begin like an enrolment code. */
  | 'not_a_code'
  /** A form of the code that this program does not know: the program is too old. */
  | 'newer'
  /** A character that no code contains. */
  | 'character'
  /** The checksum does not match: something is mistyped, missing or doubled. */
  | 'mistyped'
  /** Genuine checksum, impossible contents. */
  | 'contents';

type Hash = Pick<Crypto, 'blake3'>;

const CHECKSUM_LABEL = utf8('norc-enrolment-v1');
const SECRET_BYTES = 16;
const FINGERPRINT_BYTES = 32;
const CHECKSUM_BYTES = 4;
/** Secret, fingerprint, flags, port, length of the user address, length of the host. */
const FIXED_BYTES = SECRET_BYTES + FINGERPRINT_BYTES + 1 + 2 + 2 + 1;
const HOST_BYTES_MAX = 253;
const TEXT_LENGTH_MAX = 2048;
const FLAG_TLS = 1;

/** Crockford's base32: no i, l, o (read as 1, 1, 0) and no u. */
const DIGITS = '0123456789abcdefghjkmnpqrstvwxyz';
const GROUP_LENGTH = 5;
const PREFIX = 'norc1';
const FOLDED_PREFIX = 'n0rc';

/** `norc1-` and groups of five letters and digits. Throws RangeError for a code that could not be decoded. */
export function encodeEnrolmentCode(crypto: Hash, code: EnrolmentCode): string {
  const user = utf8(code.user);
  const host = utf8(code.server.host);
  const payload = concatBytes(
    code.secret,
    code.rootFingerprint,
    Uint8Array.of(code.server.tls ? FLAG_TLS : 0, code.server.port >> 8, code.server.port & 0xff),
    Uint8Array.of(user.length >> 8, user.length & 0xff),
    user,
    Uint8Array.of(host.length),
    host,
  );
  const decoded = decodePayload(payload);
  if (decoded === undefined || decoded.server.port !== code.server.port || code.secret.length !== SECRET_BYTES) {
    throw new RangeError(
      'an enrolment code needs a secret of 16 bytes, a fingerprint of 32, a user, a host and a port',
    );
  }
  const digits = toBase32(concatBytes(payload, checksum(crypto, payload)));
  return [PREFIX, ...(digits.match(new RegExp(`.{1,${GROUP_LENGTH}}`, 'g')) ?? [])].join('-');
}

/** Takes what a person typed: case, spaces, line ends and dashes do not matter, nor do o for 0 and i or l for 1. */
export function decodeEnrolmentCode(crypto: Hash, text: string): Result<EnrolmentCode, EnrolmentCodeReject> {
  if (text.length > TEXT_LENGTH_MAX) return refuse('malformed', 'not_a_code');
  const typed = fold(text);
  if (!typed.startsWith(FOLDED_PREFIX) || !/^[0-9]$/.test(typed.charAt(FOLDED_PREFIX.length))) {
    return refuse('malformed', 'not_a_code');
  }
  if (typed.charAt(FOLDED_PREFIX.length) !== '1') return refuse('enrolment_invalid', 'newer');
  const digits = typed.slice(FOLDED_PREFIX.length + 1);
  if (![...digits].every((digit) => DIGITS.includes(digit))) return refuse('malformed', 'character');
  const bytes = fromBase32(digits);
  if (bytes === undefined || bytes.length <= CHECKSUM_BYTES) return refuse('enrolment_invalid', 'mistyped');
  const payload = bytes.subarray(0, -CHECKSUM_BYTES);
  if (!sameBytes(bytes.subarray(-CHECKSUM_BYTES), checksum(crypto, payload))) {
    return refuse('enrolment_invalid', 'mistyped');
  }
  const code = decodePayload(payload);
  return code === undefined ? refuse('malformed', 'contents') : ok(code);
}

function refuse(code: Reject['code'], reason: EnrolmentCodeFault): Result<never, EnrolmentCodeReject> {
  return err({ code, detail: `enrolment code: ${reason}`, reason });
}

/** White space, hyphens and dashes of every kind, and characters that take no room: what copying adds. */
const SEPARATORS = /[\s\u00ad\u200b-\u200f\u2010-\u2015\u2060\u2212\ufe58\ufe63\uff0d\ufeff-]/g;

function fold(text: string): string {
  return text.replace(SEPARATORS, '').toLowerCase().replaceAll('o', '0').replace(/[il]/g, '1');
}

function checksum(crypto: Hash, payload: Uint8Array): Uint8Array {
  return crypto.blake3(concatBytes(CHECKSUM_LABEL, payload)).subarray(0, CHECKSUM_BYTES);
}

function decodePayload(payload: Uint8Array): EnrolmentCode | undefined {
  if (payload.length < FIXED_BYTES) return undefined;
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  let at = SECRET_BYTES + FINGERPRINT_BYTES;
  const flags = view.getUint8(at);
  const port = view.getUint16(at + 1);
  const userLength = view.getUint16(at + 3);
  at += 5;
  if (at + userLength + 1 > payload.length) return undefined;
  const user = parseUserAddress(decodeUtf8(payload, at, at + userLength) ?? '');
  at += userLength;
  const hostLength = view.getUint8(at);
  if (at + 1 + hostLength !== payload.length) return undefined;
  const host = decodeUtf8(payload, at + 1, payload.length) ?? '';
  if (flags > FLAG_TLS || port === 0 || !user.ok || !isHost(host)) return undefined;
  return {
    secret: payload.slice(0, SECRET_BYTES),
    rootFingerprint: payload.slice(SECRET_BYTES, SECRET_BYTES + FINGERPRINT_BYTES),
    user: user.value,
    server: { host, port, tls: flags === FLAG_TLS },
  };
}

const IPV6 = /^[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7}$/;

function isHost(host: string): boolean {
  return host.length <= HOST_BYTES_MAX && (IPV6.test(host) || parseDomain(host).ok);
}

/** Five bits a digit, most significant first; the last digit's free bits are zero. */
function toBase32(bytes: Uint8Array): string {
  let text = '';
  let accumulator = 0;
  let bits = 0;
  for (const byte of bytes) {
    accumulator = ((accumulator << 8) | byte) & 0xfff;
    for (bits += 8; bits >= 5; bits -= 5) text += DIGITS.charAt((accumulator >> (bits - 5)) & 31);
  }
  return bits === 0 ? text : text + DIGITS.charAt((accumulator << (5 - bits)) & 31);
}

/** `undefined` for a length that no bytes give, or free bits that are not zero. */
function fromBase32(digits: string): Uint8Array | undefined {
  const bytes = new Uint8Array(Math.floor((digits.length * 5) / 8));
  let accumulator = 0;
  let bits = 0;
  let offset = 0;
  for (const digit of digits) {
    accumulator = ((accumulator << 5) | DIGITS.indexOf(digit)) & 0xfff;
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      bytes[offset] = (accumulator >> bits) & 0xff;
      offset += 1;
    }
  }
  return bits < 5 && (accumulator & ((1 << bits) - 1)) === 0 ? bytes : undefined;
}
