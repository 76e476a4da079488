import {
  type ConversationId,
  decodeUtf8,
  fromHex,
  idFromBytes,
  LABELS,
  type Label,
  type MessageId,
  type Result,
  reject,
  sameBytes,
  utf8,
} from '@norc/protocol/base';
import { readAll, TlsFault, type TlsReader, TlsWriter } from './tls.ts';

/**
 * What a message says outside its encryption, in MLS' authenticated_data: servers
 * enforce it and cannot change it (spec/mls-profile section 5).
 */
export interface AuthenticatedData {
  readonly label: Label;
  readonly conversation: ConversationId;
  readonly messageId: MessageId;
}

/** Why a hub proposes to remove a member. Every member and server reads it; the hub's signature covers it. */
export const REMOVAL_CAUSES = ['trust_revoked', 'trust_expired', 'trust_ended', 'device_revoked'] as const;
export type RemovalCause = (typeof REMOVAL_CAUSES)[number];

/** What the hub's own proposal says in the clear: the envelope of a message, and why. */
export interface ProposalData extends AuthenticatedData {
  readonly cause: RemovalCause;
}

const VERSION = 1;
const PROPOSAL_VERSION = 2;
const ID_BYTES = 16;

const labelBytes = new Map<Label, Uint8Array>();
for (const label of Object.keys(LABELS) as Label[]) labelBytes.set(label, utf8(label)); // the keys of LABELS are the labels

/** `u8 version = 1 || opaque label<V> || conversation (16) || message id (16)`: one encoding per value. */
export function encodeAuthenticatedData(data: AuthenticatedData): Uint8Array {
  return writeParts(VERSION, data).finish();
}

/** `u8 version = 2 || label, conversation, message id as above || opaque cause<V>`. */
export function encodeProposalData(data: ProposalData): Uint8Array {
  return writeParts(PROPOSAL_VERSION, data).vector(utf8(data.cause)).finish();
}

function writeParts(version: number, data: AuthenticatedData): TlsWriter {
  const label = labelBytes.get(data.label);
  if (label === undefined) throw new RangeError('not a label');
  return new TlsWriter(64)
    .uint8(version)
    .vector(label)
    .fixed(idBytes(data.conversation))
    .fixed(idBytes(data.messageId));
}

/** Errors: truncated, trailing_bytes, not_canonical, malformed, label_not_allowed (a label that is not known). */
export function parseAuthenticatedData(bytes: Uint8Array): Result<AuthenticatedData> {
  const parts = readAll(bytes, 'authenticated data', (reader) => readParts(reader, VERSION));
  return parts.ok ? known(parts.value) : parts;
}

/** Of the hub's proposals. Errors: as for messages; malformed for a cause that is not known. */
export function parseProposalData(bytes: Uint8Array): Result<ProposalData> {
  const parts = readAll(bytes, 'authenticated data', (reader) => ({
    envelope: readParts(reader, PROPOSAL_VERSION),
    cause: reader.vector(),
  }));
  if (!parts.ok) return parts;
  const text = decodeUtf8(parts.value.cause);
  const cause = REMOVAL_CAUSES.find((one) => one === text);
  if (cause === undefined) return reject('malformed', 'authenticated data: unknown cause');
  const envelope = known(parts.value.envelope);
  return envelope.ok ? { ok: true, value: { ...envelope.value, cause } } : envelope;
}

function readParts(reader: TlsReader, version: number) {
  if (reader.uint8() !== version) throw new TlsFault('malformed', 'version');
  return { label: reader.vector(), conversation: reader.fixed(ID_BYTES), messageId: reader.fixed(ID_BYTES) };
}

function known(parts: ReturnType<typeof readParts>): Result<AuthenticatedData> {
  const label = knownLabel(parts.label);
  if (label === undefined) return reject('label_not_allowed', 'authenticated data: unknown label');
  const { conversation, messageId } = parts;
  return { ok: true, value: { label, conversation: idFromBytes(conversation), messageId: idFromBytes(messageId) } };
}

function knownLabel(bytes: Uint8Array): Label | undefined {
  for (const [label, encoded] of labelBytes) if (sameBytes(encoded, bytes)) return label;
  return undefined;
}

export function idBytes(id: ConversationId | MessageId): Uint8Array {
  const bytes = fromHex(id);
  if (bytes === undefined || bytes.length !== ID_BYTES) throw new RangeError('an id has 16 bytes');
  return bytes;
}
