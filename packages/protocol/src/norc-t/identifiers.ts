import { ok, type Result, reject, toHex } from '../base/index.ts';
import type { Schema } from '../wire/index.ts';

declare const brand: unique symbol;

/** 16 random bytes as lower-case hexadecimal, chosen by the issuer. */
export type CertificateId = string & { readonly [brand]: 'CertificateId' };
/** 16 random bytes as lower-case hexadecimal, chosen by the initiator. */
export type ExchangeId = string & { readonly [brand]: 'ExchangeId' };

/** Hexadecimal of the first 16 bytes of BLAKE3(public key) (`officerIdOf`): an officer without a name. */
export type OfficerId = string & { readonly [brand]: 'OfficerId' };

export const officerId = (): Schema<OfficerId> => ({ kind: 'id' });
export const certificateId = (): Schema<CertificateId> => ({ kind: 'id' });
export const exchangeId = (): Schema<ExchangeId> => ({ kind: 'id' });

const HEX_16 = /^[0-9a-f]{32}$/;

export function parseCertificateId(text: string): Result<CertificateId> {
  return HEX_16.test(text) ? ok(text as CertificateId) : reject('malformed', 'certificate id'); // checked here
}

export function parseExchangeId(text: string): Result<ExchangeId> {
  return HEX_16.test(text) ? ok(text as ExchangeId) : reject('malformed', 'exchange id'); // checked here
}

export function parseOfficerId(text: string): Result<OfficerId> {
  return HEX_16.test(text) ? ok(text as OfficerId) : reject('malformed', 'officer id'); // checked here
}

export function officerIdFromBytes(bytes: Uint8Array): OfficerId {
  return idText(bytes) as OfficerId; // hexadecimal of 16 bytes
}

export function certificateIdFromBytes(bytes: Uint8Array): CertificateId {
  return idText(bytes) as CertificateId; // hexadecimal of 16 bytes
}

export function exchangeIdFromBytes(bytes: Uint8Array): ExchangeId {
  return idText(bytes) as ExchangeId; // hexadecimal of 16 bytes
}

function idText(bytes: Uint8Array): string {
  if (bytes.length !== 16) throw new RangeError('an id has 16 bytes');
  return toHex(bytes);
}
