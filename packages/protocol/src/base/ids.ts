import { toHex } from './bytes.ts';
import { ok, type Result, reject } from './result.ts';

declare const brand: unique symbol;
type Brand<T, Name extends string> = T & { readonly [brand]: Name };

/** Milliseconds since 1970-01-01T00:00:00Z; an integer. Always passed in, never read from a clock here. */
export type Instant = Brand<number, 'Instant'>;

/** A DNS domain in lower case: names an organisation. */
export type Domain = Brand<string, 'Domain'>;

/** `local@domain` in lower case: names a user. */
export type UserAddress = Brand<string, 'UserAddress'>;

/** 16 bytes as lower-case hexadecimal. */
export type DeviceId = Brand<string, 'DeviceId'>;
export type ConversationId = Brand<string, 'ConversationId'>;
export type MessageId = Brand<string, 'MessageId'>;

export function instant(milliseconds: number): Instant {
  return milliseconds as Instant; // the one place where a number becomes an Instant
}

const DOMAIN_LENGTH_MAX = 253;
const LABEL = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?';
const DOMAIN = new RegExp(`^${LABEL}(?:\\.${LABEL})*$`);
const LOCAL_PART = /^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?$/;

export function parseDomain(text: string): Result<Domain> {
  if (text.length > DOMAIN_LENGTH_MAX || !DOMAIN.test(text)) return reject('malformed', 'domain');
  return ok(text as Domain); // checked above
}

export function parseUserAddress(text: string): Result<UserAddress> {
  const at = text.indexOf('@');
  if (at < 1 || !LOCAL_PART.test(text.slice(0, at)) || !parseDomain(text.slice(at + 1)).ok) {
    return reject('malformed', 'user address');
  }
  return ok(text as UserAddress); // checked above
}

export function domainOf(user: UserAddress): Domain {
  return user.slice(user.indexOf('@') + 1) as Domain; // a UserAddress ends in a checked domain
}

export function localPartOf(user: UserAddress): string {
  return user.slice(0, user.indexOf('@'));
}

const HEX_16 = /^[0-9a-f]{32}$/;

function parseHex16<T>(text: string, what: string): Result<T> {
  if (!HEX_16.test(text)) return reject('malformed', what);
  return ok(text as T); // checked above
}

export const parseDeviceId = (text: string): Result<DeviceId> => parseHex16(text, 'device id');
export const parseConversationId = (text: string): Result<ConversationId> => parseHex16(text, 'conversation id');
export const parseMessageId = (text: string): Result<MessageId> => parseHex16(text, 'message id');

/** An id from its 16 bytes. */
export function idFromBytes<T extends DeviceId | ConversationId | MessageId>(bytes: Uint8Array): T {
  if (bytes.length !== 16) throw new RangeError('an id has 16 bytes');
  return toHex(bytes) as T; // hexadecimal of 16 bytes
}
