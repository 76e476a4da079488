import { utf8 } from '../base/index.ts';

/*
 * Every label that NORC's own cryptography uses, in one place, so that no two uses
 * can share one and none can be made up where it is used (spec/handshake section 5).
 * A new use gets a new label here. Inside MLS the labels of RFC 9420 stay.
 */

/** A link's three streams have their own keys; `control` uses the labels without a class. */
export const KEY_CLASSES = ['control', 'interactive', 'bulk'] as const;
export type KeyClass = (typeof KEY_CLASSES)[number];

/** `info` of HKDF: always begins with `norc:`. */
export const KDF_LABELS = [
  'norc:ms:v1',
  'norc:tk:c2s:v1',
  'norc:tk:s2c:v1',
  'norc:iv:c2s:v1',
  'norc:iv:s2c:v1',
  'norc:tk:c2s:v1:interactive',
  'norc:tk:s2c:v1:interactive',
  'norc:iv:c2s:v1:interactive',
  'norc:iv:s2c:v1:interactive',
  'norc:tk:c2s:v1:bulk',
  'norc:tk:s2c:v1:bulk',
  'norc:iv:c2s:v1:bulk',
  'norc:iv:s2c:v1:bulk',
] as const;
export type KdfLabel = (typeof KDF_LABELS)[number];

/** First bytes of what is hashed into a transcript. */
export const TRANSCRIPT_LABELS = [
  'norc-c-handshake-v1',
  'norc-f-handshake-v1',
  'norc-rekey-v1',
  'norc-t-exchange-v1',
] as const;
export type TranscriptLabel = (typeof TRANSCRIPT_LABELS)[number];

/** First bytes of what a handshake signature is over: who signs, in which role. */
export const PROOF_LABELS = [
  'norc-c-server-v1',
  'norc-c-device-v1',
  'norc-c-register-v1',
  'norc-f-server-v1',
  'norc-f-client-v1',
] as const;
export type ProofLabel = (typeof PROOF_LABELS)[number];

/** First bytes of what is hashed into a conversation's log. */
export const LOG_LABELS = ['norc-log-genesis-v1', 'norc-log-v1', 'norc-receipt-conversation-v1'] as const;
export type LogLabel = (typeof LOG_LABELS)[number];

const encoded = new Map<string, Uint8Array>();

/** The label's bytes. Callers concatenate them and never write to them. */
export function labelBytes(label: KdfLabel | TranscriptLabel | ProofLabel | LogLabel): Uint8Array {
  const known = encoded.get(label);
  if (known !== undefined) return known;
  const bytes = utf8(label);
  encoded.set(label, bytes);
  return bytes;
}
