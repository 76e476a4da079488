import {
  type ConversationId,
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

const VERSION = 1;
const ID_BYTES = 16;

const labelBytes = new Map<Label, Uint8Array>();
for (const label of Object.keys(LABELS) as Label[]) labelBytes.set(label, utf8(label)); // the keys of LABELS are the labels

/** `u8 version = 1 || opaque label<V> || conversation (16) || message id (16)`: one encoding per value. */
export function encodeAuthenticatedData(data: AuthenticatedData): Uint8Array {
  const label = labelBytes.get(data.label);
  if (label === undefined) throw new RangeError('not a label');
  return new TlsWriter(64)
    .uint8(VERSION)
    .vector(label)
    .fixed(idBytes(data.conversation))
    .fixed(idBytes(data.messageId))
    .finish();
}

/** Errors: truncated, trailing_bytes, not_canonical, malformed, label_not_allowed (a label that is not known). */
export function parseAuthenticatedData(bytes: Uint8Array): Result<AuthenticatedData> {
  const parts = readAll(bytes, 'authenticated data', readParts);
  if (!parts.ok) return parts;
  const label = knownLabel(parts.value.label);
  if (label === undefined) return reject('label_not_allowed', 'authenticated data: unknown label');
  return {
    ok: true,
    value: {
      label,
      conversation: idFromBytes(parts.value.conversation),
      messageId: idFromBytes(parts.value.messageId),
    },
  };
}

function readParts(reader: TlsReader) {
  if (reader.uint8() !== VERSION) throw new TlsFault('malformed', 'version');
  return { label: reader.vector(), conversation: reader.fixed(ID_BYTES), messageId: reader.fixed(ID_BYTES) };
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
