import { type Result, reject } from '../base/index.ts';
import {
  bool,
  bytes,
  choice,
  decodeBody,
  encodeBody,
  fixedBytes,
  type Infer,
  list,
  messageId,
  optional,
  type Schema,
  struct,
  text,
  uint,
  userAddress,
} from '../wire/index.ts';

/**
 * What a device says to other devices, inside the encryption (spec/mls-profile section 6).
 * Always deterministic CBOR, whatever version the sessions on the way speak: it is
 * end to end. Times are milliseconds since 1970 by the sender's clock.
 */

const TEXT_BYTES_MAX = 49_152;
const NAME_BYTES_MAX = 255;
const MENTIONS_MAX = 64;
const RECEIPT_TARGETS_MAX = 256;
const CALL_PAYLOAD_BYTES_MAX = 32_768;
/** 32 bytes for each chunk of 64 KiB: a file of at most 2 GiB. */
const CHUNK_HASHES_BYTES_MAX = 1_048_576;

const common = {
  /** Chosen by the sender, random; the same as in the authenticated data. */
  message_id: messageId(),
  sent_at: uint(),
  reply_to: optional(messageId()),
  mentions: optional(list(userAddress(), MENTIONS_MAX)),
  /** Receivers erase the message then. */
  expires_at: optional(uint()),
};

function content<const K extends string, T>(kind: K, body: Schema<T>) {
  return struct({ kind: choice([kind]), ...common, body });
}

const CONTENT_SCHEMAS = {
  text: content('text', struct({ text: text(TEXT_BYTES_MAX) })),
  /** The manifest of a file whose sealed chunks lie on the servers. */
  file: content(
    'file',
    struct({
      file_id: fixedBytes(16),
      name: text(NAME_BYTES_MAX),
      media_type: text(NAME_BYTES_MAX),
      size: uint(),
      chunk_count: uint(),
      key: fixedBytes(32),
      hash: fixedBytes(32),
      chunk_hashes: bytes(CHUNK_HASHES_BYTES_MAX),
    }),
  ),
  reaction: content('reaction', struct({ target: messageId(), emoji: text(64), removed: optional(bool()) })),
  edit: content('edit', struct({ target: messageId(), text: text(TEXT_BYTES_MAX) })),
  delete: content('delete', struct({ target: messageId() })),
  /** The sender's user has read these. */
  receipt: content('receipt', struct({ targets: list(messageId(), RECEIPT_TARGETS_MAX) })),
  typing: content('typing', struct({ active: bool() })),
  call: content(
    'call',
    struct({
      call_id: fixedBytes(16),
      step: choice(['offer', 'answer', 'candidate', 'hangup']),
      payload: bytes(CALL_PAYLOAD_BYTES_MAX),
    }),
  ),
  /** About the conversation itself: servers never see its name. */
  control: content('control', struct({ action: choice(['rename', 'leave']), text: optional(text(NAME_BYTES_MAX)) })),
} as const;

export type ContentKind = keyof typeof CONTENT_SCHEMAS;
export const CONTENT_KINDS = Object.keys(CONTENT_SCHEMAS) as readonly ContentKind[]; // the keys of the table

export type ContentOf<K extends ContentKind> = Infer<(typeof CONTENT_SCHEMAS)[K]>;
/** Told apart by `kind`. */
export type MessageContent = { readonly [K in ContentKind]: ContentOf<K> }[ContentKind];

const kindOnly = struct({ kind: text(NAME_BYTES_MAX) });

/** Throws RangeError, naming the field, for a value that its schema does not allow. */
export function encodeContent(value: MessageContent): Uint8Array {
  return encodeBody(schemaOf(value.kind), value, 'cbor');
}

/**
 * Errors: `unsupported_type` for a kind that this version does not know (show that
 * something came which cannot be shown), else as `decodeBody`. Byte strings are
 * views of `encoded`.
 */
export function decodeContent(encoded: Uint8Array): Result<MessageContent> {
  const kind = decodeBody(kindOnly, encoded, 'cbor');
  if (!kind.ok) return kind;
  if (!isContentKind(kind.value.kind)) return reject('unsupported_type', 'content kind');
  return decodeBody(schemaOf(kind.value.kind), encoded, 'cbor');
}

function isContentKind(kind: string): kind is ContentKind {
  return Object.hasOwn(CONTENT_SCHEMAS, kind);
}

function schemaOf(kind: ContentKind): Schema<MessageContent> {
  return CONTENT_SCHEMAS[kind] as Schema<MessageContent>; // the schema of one member of the union
}
