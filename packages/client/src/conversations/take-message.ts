import { parseAuthenticatedData, parseProposalData, peekMessage, type Received } from '@norc/mls';
import { type ErrorName, idFromBytes, type MessageId, sameBytes } from '@norc/protocol/base';
import { decodeContent, encodeContent, type MessageContent } from '@norc/protocol/norc-c';
import type { LogEntry } from '@norc/protocol/norc-f';
import type { ClientWrite } from '../store/port.ts';
import type { ConversationDetails, ConversationRow, MessageKey, MessageRow, OutgoingRow } from '../store/rows.ts';
import type { Problem } from '../timeline/causes.ts';
import { takeIn, targetsOf } from '../timeline/take-in.ts';
import { type LevelRefusal, refuseReceived } from '../trust/level-check.ts';
import type { Batch } from './batch.ts';
import type { Cell } from './cell.ts';
import type { EngineContext } from './context.ts';
import { mayOpenLater } from './dispositions.ts';

/** `blocked`: it opens later, when the server can be asked for what is missing; nothing was changed. */
export type Taken = 'taken' | 'blocked';

/** Follow-ups of what the log said, carried out after it is stored. */
export interface LogHooks {
  /** Somebody said that they leave: their devices have to be removed by somebody else. */
  readonly leaving: (user: MessageRow['user']) => void;
  readonly membersChanged: () => void;
  /** A proposal waits for somebody's commit. */
  readonly proposed: () => void;
  /** A commit of ours let somebody in, who does not know the conversation's title: what tells them goes into the batch. */
  readonly welcomed: (batch: Batch) => void;
  /** This device was let in by one of its KeyPackages. */
  readonly joined: () => void;
}

/** An application entry, its place in the log verified. Whatever cannot be opened becomes a row that says why. */
export async function takeMessage(
  ctx: EngineContext,
  cell: Cell,
  entry: LogEntry,
  batch: Batch,
  hooks: LogHooks,
): Promise<Taken> {
  if (entry.sender === ctx.self.deviceId) {
    await takeOwnMessage(ctx, cell, entry, batch, hooks);
    return 'taken';
  }
  const { group } = cell;
  if (group === undefined || !group.active) return addProblem(cell, entry, batch, { cause: 'key.before_join' });
  // The hub's word for what this is: the engine must not be given a commit as a message.
  if (!isWhatItSays(cell, entry)) return addProblem(cell, entry, batch, { cause: 'key.tampered' });
  const refused = await refuseReceived(ctx.anchors, ctx.self.org, entry, group.settings.level);
  if (refused !== undefined && mayOpenLater(refused.code)) return 'blocked';
  const received = await group.receive(entry.body);
  if (!received.ok && mayOpenLater(received.error.code)) return 'blocked';
  batch.groupChanged('ratchets'); // also a message that was refused may have used up a key
  if (!received.ok) return addProblem(cell, entry, batch, problemOf(received.error.code, entry));
  // Opened all the same: its key is erased, and only its true sender can have it withheld.
  if (refused !== undefined && isFrom(entry, received.value)) return withhold(ctx, cell, entry, batch, refused);
  if (received.value.kind !== 'application' || !isSentAsTold(cell, batch, entry, received.value)) {
    return addProblem(cell, entry, batch, { cause: 'key.tampered' });
  }
  await addContent(ctx, cell, entry, received.value.content, batch, hooks);
  return 'taken';
}

/** What servers and devices both read in the clear, and what the log says of it, are one thing. */
export function isWhatItSays(cell: Cell, entry: LogEntry): boolean {
  const peeked = peekMessage(entry.body);
  if (!peeked.ok) return false;
  const { contentType, conversation, epoch, authenticatedData } = peeked.value;
  if (contentType !== entry.kind || conversation !== cell.id || epoch !== entry.epoch) return false;
  const isOfHub = peeked.value.wire === 'public' && peeked.value.senderLeaf === undefined;
  if (contentType === 'proposal' && !isOfHub) return true; // a member's carries no envelope
  const data = isOfHub ? parseProposalData(authenticatedData) : parseAuthenticatedData(authenticatedData);
  return data.ok && data.value.messageId === entry.messageId && data.value.label === entry.label;
}

/** [DEV-15] Its label is above what its sender's organisation, or ours, may have: nobody sees what it says. */
function withhold(
  ctx: EngineContext,
  cell: Cell,
  entry: LogEntry,
  batch: Batch,
  { org, problem: why }: LevelRefusal,
): Taken {
  const { senderUser: user, label } = entry;
  const level = 'level' in why && why.level !== undefined ? { level: why.level } : {};
  const problem = { cause: 'trust.withheld', user, org, label, ...level } as const;
  ctx.emit({ type: 'warning', warning: 'message_withheld', problem, conversationId: cell.id });
  return addProblem(cell, entry, batch, problem);
}

function isFrom(entry: LogEntry, received: Received): boolean {
  return received.kind === 'application' && received.sender.identity.deviceId === entry.sender;
}

/** Who signed it inside MLS is whom the log names, under the conversation's label. */
function isSentAsTold(
  cell: Cell,
  batch: Batch,
  entry: LogEntry,
  received: Extract<Received, { kind: 'application' }>,
): boolean {
  const { deviceId, user } = received.sender.identity;
  const { label } = received.authenticatedData;
  return deviceId === entry.sender && user === entry.senderUser && label === detailsIn(cell, batch)?.label;
}

function problemOf(code: ErrorName, { senderUser: user }: LogEntry): Problem {
  switch (code) {
    case 'epoch_stale':
      return { cause: 'key.before_join' };
    case 'log_gap':
      return { cause: 'key.waiting', user, count: 1 };
    case 'credential_invalid':
      return { cause: 'key.sender_unapproved', user };
    case 'unsupported_type':
      return { cause: 'version.mismatch' };
    default:
      return { cause: 'key.tampered' };
  }
}

/**
 * What a line about the group is kept under. By its place in the log, since a member that
 * gave its commit the id of a message it had sent before would otherwise not be seen doing it.
 */
export function lineId({ hash }: LogEntry): MessageId {
  return idFromBytes(hash.subarray(0, 16));
}

export function addProblem(cell: Cell, entry: LogEntry, batch: Batch, problem: Problem): 'taken' {
  const { sender, senderUser: user, seq, storedAt: sentAt } = entry;
  const messageId = entry.kind === 'application' ? entry.messageId : lineId(entry);
  const body = { type: 'problem', problem } as const;
  const message = { conversationId: cell.id, sender, messageId, user, seq, sentAt, body };
  batch.writes.push({ op: 'message.add', message });
  return 'taken';
}

async function addContent(
  ctx: EngineContext,
  cell: Cell,
  entry: LogEntry,
  content: MessageContent,
  batch: Batch,
  hooks: LogHooks,
): Promise<void> {
  const conversation = detailsIn(cell, batch);
  if (conversation === undefined || repeatsTitle(content, conversation)) return;
  const { sender, messageId, senderUser: user, seq, storedAt } = entry;
  const encoded = encodeContent(content);
  const targets = await rowsAbout(ctx, cell, batch, targetsOf(encoded));
  const opened = { conversationId: cell.id, sender, messageId, user, seq, storedAt, content: encoded };
  batch.writes.push(...takeIn(opened, { self: ctx.self.user, conversation, targets }));
  if (content.kind !== 'control' || content.body.action !== 'leave') return;
  if (user === ctx.self.user) {
    batch.writes.push({ op: 'conversation.put', conversation: { ...conversation, standing: 'left' } });
  } else batch.after.push(() => hooks.leaving(user));
}

/** Said again for those who have just joined; for everybody else it is no news. */
function repeatsTitle(content: MessageContent, { title }: ConversationDetails): boolean {
  return content.kind === 'control' && content.body.action === 'rename' && (content.body.text ?? '') === (title ?? '');
}

/**
 * An own message has its place: by an echo, or by its acknowledgment. What it says is
 * taken from the store, since MLS cannot open what this device sealed.
 */
export async function takeOwnMessage(
  ctx: EngineContext,
  cell: Cell,
  entry: LogEntry,
  batch: Batch,
  hooks: LogHooks,
): Promise<void> {
  const { messageId, seq } = entry;
  const key: MessageKey = { conversationId: cell.id, sender: ctx.self.deviceId, messageId };
  const item = cell.outgoing.find(({ id }) => id === messageId);
  const row = await ctx.store.read.message(key);
  cell.underWay.delete(messageId);
  if (item === undefined && row === undefined) {
    addProblem(cell, { ...entry, senderUser: ctx.self.user }, batch, { cause: 'device.storage_lost' });
    return;
  }
  if (!isWhatWasSent(cell, entry, item)) {
    refuseForged(ctx, cell, entry, batch, row === undefined ? undefined : key);
    if (item !== undefined) batch.writes.push({ op: 'outgoing.delete', id: messageId });
    return;
  }
  if (row !== undefined) batch.writes.push({ op: 'message.order', key, seq });
  const content = contentOf(item, row);
  if (content !== undefined) {
    await addContent(ctx, cell, { ...entry, senderUser: ctx.self.user }, content, batch, hooks);
  }
  if (item !== undefined) batch.writes.push({ op: 'outgoing.delete', id: messageId });
}

/**
 * The others open the entry's bytes; this device can only compare them. A message that was
 * sealed again for a later epoch may have been ordered as it was before.
 */
function isWhatWasSent(cell: Cell, entry: LogEntry, item: OutgoingRow | undefined): boolean {
  if (!isWhatItSays(cell, entry)) return false;
  const sealed = item?.sealed;
  if (item === undefined || sealed === undefined) return item === undefined;
  if (entry.epoch === sealed.epoch) return sameBytes(entry.body, sealed.bytes);
  return entry.epoch < sealed.epoch && item.attempts > 1;
}

/** Under an id of this device the hub ordered something else: nobody can read there what was written. */
function refuseForged(
  ctx: EngineContext,
  cell: Cell,
  entry: LogEntry,
  batch: Batch,
  key: MessageKey | undefined,
): void {
  const problem = { cause: 'key.tampered' } as const;
  ctx.emit({ type: 'warning', warning: 'message_forged', problem, conversationId: cell.id });
  if (key === undefined) addProblem(cell, { ...entry, senderUser: ctx.self.user }, batch, problem);
  else batch.writes.push({ op: 'message.state', key, state: { state: 'failed', problem } });
}

function contentOf(item: OutgoingRow | undefined, row: MessageRow | undefined): MessageContent | undefined {
  const fromRow = row?.body.type === 'content' ? row.body.content : undefined;
  const encoded = item?.intent.type === 'message' ? item.intent.content : fromRow;
  const content = encoded === undefined ? undefined : decodeContent(encoded);
  return content?.ok === true ? content.value : undefined;
}

/** What describes the conversation, with what this batch is about to change. */
export function detailsIn(cell: Cell, batch: Batch): ConversationDetails | undefined {
  const changed = batch.writes.findLast((write) => write.op === 'conversation.put');
  return changed?.conversation ?? (cell.row === undefined ? undefined : detailsOf(cell.row));
}

export function detailsOf(row: ConversationRow): ConversationDetails {
  const { cursorSeq: _seq, cursorHash: _hash, readSeq: _read, ...details } = row;
  return details;
}

/** As `read.messagesAbout`, with what this batch is about to add and scrub. */
async function rowsAbout(
  ctx: EngineContext,
  cell: Cell,
  batch: Batch,
  ids: readonly MessageId[],
): Promise<readonly MessageRow[]> {
  const rows: MessageRow[] = [];
  for (const id of ids) rows.push(...(await ctx.store.read.messagesAbout(cell.id, id)));
  const wanted = new Set(ids);
  for (const write of batch.writes) {
    if (write.op !== 'message.add') continue;
    const { messageId, target } = write.message;
    if (wanted.has(messageId) || (target !== undefined && wanted.has(target))) rows.push(write.message);
  }
  return rows.map((row) => asScrubbed(row, batch.writes));
}

function asScrubbed(row: MessageRow, writes: readonly ClientWrite[]): MessageRow {
  const scrubbed = writes.some(
    (write) => write.op === 'message.scrub' && write.key.messageId === row.messageId && write.key.sender === row.sender,
  );
  return scrubbed ? { ...row, body: { type: 'removed' } } : row;
}
