import { type Instant, instant, type MessageId, type UserAddress } from '@norc/protocol/base';
import { decodeContent, type MessageContent } from '@norc/protocol/norc-c';
import type { ClientWrite } from '../store/port.ts';
import type { ConversationDetails, MessageKey, MessageRow, RowBody } from '../store/rows.ts';
import type { Notice } from './notices.ts';

/** An application entry of the log after MLS opened it: everything here is authenticated by its sender's device. */
export interface OpenedEntry extends MessageKey {
  readonly user: UserAddress;
  readonly seq: number;
  /** When the hub stored it: stands in for the sender's time where the content gives none. */
  readonly storedAt: Instant;
  readonly content: Uint8Array;
}

export interface TakeInContext {
  readonly self: UserAddress;
  readonly conversation: ConversationDetails;
  /** What the store holds about each of `targetsOf`: `read.messagesAbout`. */
  readonly targets: readonly MessageRow[];
}

/** The messages that an opened content refers to, to be looked up before `takeIn`. */
export function targetsOf(content: Uint8Array): readonly MessageId[] {
  const decoded = decodeContent(content);
  if (!decoded.ok) return [];
  const { value } = decoded;
  if (value.kind === 'receipt') return value.body.targets;
  return value.kind === 'delete' || value.kind === 'edit' ? [value.body.target] : [];
}

/**
 * What an opened entry changes, as store writes: to be committed in one transaction
 * with the group after opening it and the cursor. Pure, and the same on every device.
 */
export function takeIn(entry: OpenedEntry, context: TakeInContext): readonly ClientWrite[] {
  const decoded = decodeContent(entry.content);
  if (!decoded.ok) {
    // A kind of a later version is kept, so that a later program can show it.
    const isNewer = decoded.error.code === 'unsupported_type';
    return [add(entry, isNewer ? { type: 'content', content: entry.content } : TAMPERED, entry.storedAt)];
  }
  const content = decoded.value;
  // The id outside is what servers and receipts use; a content that claims another would be two messages at once.
  if (content.message_id !== entry.messageId) return [add(entry, TAMPERED, entry.storedAt)];
  return writesFor(entry, content, context);
}

const TAMPERED: RowBody = { type: 'problem', problem: { cause: 'key.tampered' } };

function writesFor(entry: OpenedEntry, content: MessageContent, context: TakeInContext): readonly ClientWrite[] {
  const stored = () => messageWrite(entry, content, entry.content);
  switch (content.kind) {
    case 'text':
    case 'file':
    case 'reaction':
      return [stored()];
    case 'edit':
      return isRemoved(entry, content.body.target, context) ? [] : [stored()];
    case 'delete':
      return [stored(), ...scrubs(entry, context)];
    case 'receipt':
      return readMarks(entry, context);
    case 'call':
      return content.body.step === 'offer' ? [stored()] : [];
    case 'typing':
      return [];
    case 'control':
      return control(entry, content.body, instant(content.sent_at), context);
  }
}

/** The row of a message: of a received one with its place, of an own new one with its state. */
export function messageWrite(
  at: MessageKey & Pick<MessageRow, 'user' | 'seq' | 'state'>,
  content: MessageContent,
  encoded: Uint8Array,
): ClientWrite {
  const { conversationId, sender, messageId, user, seq, state } = at;
  const target = 'target' in content.body ? content.body.target : undefined;
  const message: MessageRow = {
    conversationId,
    sender,
    messageId,
    user,
    ...(seq === undefined ? {} : { seq }),
    ...(state === undefined ? {} : { state }),
    ...(target === undefined ? {} : { target }),
    sentAt: instant(content.sent_at),
    body: { type: 'content', content: encoded },
  };
  return { op: 'message.add', message };
}

function add(entry: OpenedEntry, body: RowBody, sentAt: Instant): ClientWrite {
  const { conversationId, sender, messageId, user, seq } = entry;
  return { op: 'message.add', message: { conversationId, sender, messageId, user, seq, sentAt, body } };
}

/**
 * Only the author's user deletes: a deletion by anybody else is kept as a row that
 * changes nothing. The words of the message's edits go with it.
 */
function scrubs(entry: OpenedEntry, context: TakeInContext): readonly ClientWrite[] {
  return context.targets
    .filter((row) => row.user === entry.user && row.seq !== undefined && row.seq < entry.seq)
    .filter((row) => row.target === undefined || isEdit(row))
    .map((row) => ({ op: 'message.scrub', key: keyOf(row) }));
}

function isEdit({ body }: MessageRow): boolean {
  const content = body.type === 'content' ? decodeContent(body.content) : undefined;
  return content?.ok === true && content.value.kind === 'edit';
}

/** New words for a message that is gone are not kept. */
function isRemoved(entry: OpenedEntry, target: MessageId, context: TakeInContext): boolean {
  return context.targets.some(
    (row) => row.messageId === target && row.user === entry.user && row.body.type === 'removed',
  );
}

function keyOf({ conversationId, sender, messageId }: MessageKey): MessageKey {
  return { conversationId, sender, messageId };
}

/** A receipt means "read up to here". Read on another own device, it moves this user's own marker. */
function readMarks(entry: OpenedEntry, context: TakeInContext): readonly ClientWrite[] {
  const shown = context.targets.filter((row) => row.target === undefined);
  const seq = Math.max(0, ...shown.map((row) => row.seq ?? 0).filter((target) => target < entry.seq));
  if (seq === 0) return [];
  const { conversationId, user } = entry;
  if (user === context.self) return [{ op: 'readMarker.advance', conversationId, seq }];
  return [{ op: 'mark.advance', conversationId, mark: { user, mark: 'read', seq } }];
}

type ControlBody = Extract<MessageContent, { kind: 'control' }>['body'];

function control(
  entry: OpenedEntry,
  body: ControlBody,
  sentAt: Instant,
  { conversation }: TakeInContext,
): readonly ClientWrite[] {
  const line = (notice: Notice) => add(entry, { type: 'notices', notices: [notice] }, sentAt);
  if (body.action === 'leave') return [line({ notice: 'left', user: entry.user })];
  const title = body.text ?? '';
  return [
    line({ notice: 'renamed', by: entry.user, title }),
    { op: 'conversation.put', conversation: { ...conversation, title } },
  ];
}
