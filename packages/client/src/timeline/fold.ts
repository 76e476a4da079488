import type { Instant, MessageId, UserAddress } from '@norc/protocol/base';
import type { Mark } from '../store/rows.ts';
import {
  type ChangeContent,
  compareEntries,
  entryKey,
  isChange,
  isShownEntry,
  type ShownContent,
  type ShownEntry,
  type TimelineEntry,
} from './entries.ts';
import type { LineItem, MessageContentView, MessageItem, QuoteView, ReactionView, TimelineItem } from './items.ts';
import { messageState } from './states.ts';

export interface FoldContext {
  readonly self: UserAddress;
  /** Everybody in the conversation, this user included. */
  readonly participants: readonly UserAddress[];
  readonly marks: readonly Mark[];
  readonly now: Instant;
}

/**
 * The timeline of a set of entries. It depends on what the entries are, never on
 * the order in which they came: whatever way a device was synchronised, its user
 * sees the same as everybody else.
 *
 * Rules: log order, own unordered messages last. Only the author's user edits or
 * deletes; a deletion is final; of several edits the last counts. Of a user's
 * reactions with one emoji the last counts. A change counts only after what it changes.
 */
export function foldTimeline(entries: readonly TimelineEntry[], context: FoldContext): readonly TimelineItem[] {
  const ordered = [...entries].sort(compareEntries);
  const shown = ordered.filter(isShownEntry);
  const changes = changesByKey(ordered, shown);
  const byId = groupById(shown);
  const items: TimelineItem[] = [];
  for (const entry of shown) {
    const item = itemOf(entry, changes.get(entryKey(entry)) ?? [], byId, context);
    const merged = item === undefined ? undefined : mergeLines(items.at(-1), item);
    if (merged !== undefined) items[items.length - 1] = merged;
    else if (item !== undefined) items.push(item);
  }
  return items;
}

interface Change {
  readonly entry: TimelineEntry;
  readonly content: ChangeContent;
}

function changesByKey(
  ordered: readonly TimelineEntry[],
  shown: readonly TimelineEntry[],
): ReadonlyMap<string, readonly Change[]> {
  const byId = groupById(shown);
  const changes = new Map<string, Change[]>();
  for (const entry of ordered) {
    if (!isChange(entry.content)) continue;
    const target = targetOf(entry, entry.content, byId);
    if (target === undefined) continue;
    const key = entryKey(target);
    const list = changes.get(key) ?? [];
    list.push({ entry, content: entry.content });
    changes.set(key, list);
  }
  return changes;
}

/** Somebody who takes another's message id must not have the changes meant for it: authorship is part of the match. */
function targetOf(
  entry: TimelineEntry,
  content: ChangeContent,
  byId: ReadonlyMap<MessageId, readonly TimelineEntry[]>,
): TimelineEntry | undefined {
  const candidates = byId.get(content.target) ?? [];
  const target =
    content.type === 'reaction' ? candidates[0] : candidates.find((candidate) => candidate.user === entry.user);
  return target !== undefined && compareEntries(target, entry) < 0 ? target : undefined;
}

function groupById(shown: readonly TimelineEntry[]): ReadonlyMap<MessageId, readonly TimelineEntry[]> {
  return Map.groupBy(shown, (entry) => entry.messageId);
}

function itemOf(
  entry: ShownEntry,
  changes: readonly Change[],
  byId: ReadonlyMap<MessageId, readonly TimelineEntry[]>,
  context: FoldContext,
): TimelineItem | undefined {
  const { content } = entry;
  if (content.type === 'problem') return lineItem(entry, { line: 'problem', problem: content.problem });
  if (content.type === 'notices') return lineItem(entry, { line: 'notices', notices: content.notices });
  const deleted = changes.some((change) => change.content.type === 'delete');
  if (!deleted && isOver(content, context.now)) return undefined;
  return messageItem(entry, deleted ? { type: 'deleted' } : edited(content, changes), changes, byId, context);
}

/** Its time is over, or the store scrubbed it because of that. */
function isOver(content: ShownContent, now: Instant): boolean {
  if (content.type === 'removed') return true;
  return 'expiresAt' in content && content.expiresAt !== undefined && content.expiresAt <= now;
}

function edited(content: ShownContent, changes: readonly Change[]): MessageContentView {
  switch (content.type) {
    case 'text': {
      const last = changes.findLast((change) => change.content.type === 'edit')?.content;
      return last?.type === 'edit'
        ? { type: 'text', text: last.text, edited: true }
        : { type: 'text', text: content.text, edited: false };
    }
    case 'file':
      return { type: 'file', name: content.name, bytes: content.bytes };
    case 'call':
      return { type: 'call' };
    default:
      return { type: 'unknown' };
  }
}

function messageItem(
  entry: TimelineEntry,
  content: MessageContentView,
  changes: readonly Change[],
  byId: ReadonlyMap<MessageId, readonly TimelineEntry[]>,
  context: FoldContext,
): MessageItem {
  const own = entry.user === context.self;
  const others = context.participants.filter((user) => user !== entry.user);
  const alive = content.type !== 'deleted';
  const around = alive && 'mentions' in entry.content ? entry.content : undefined;
  return {
    type: 'message',
    key: entryKey(entry),
    messageId: entry.messageId,
    ...(entry.seq === undefined ? {} : { seq: entry.seq }),
    user: entry.user,
    device: entry.sender,
    own,
    time: entry.sentAt,
    content,
    mentionsMe: around?.mentions.includes(context.self) ?? false,
    ...(around?.replyTo === undefined ? {} : { replyTo: quoteOf(around.replyTo, byId) }),
    reactions: alive ? reactionsOf(changes, context.self) : [],
    ...(own ? { state: messageState(entry, context.marks, others) } : {}),
  };
}

/** Who wrote what is answered. Its words are looked up by the interface, which has the item if it is on this page. */
function quoteOf(messageId: MessageId, byId: ReadonlyMap<MessageId, readonly TimelineEntry[]>): QuoteView {
  const quoted = byId.get(messageId)?.[0];
  return quoted === undefined ? { messageId } : { messageId, key: entryKey(quoted), user: quoted.user };
}

function reactionsOf(changes: readonly Change[], self: UserAddress): readonly ReactionView[] {
  const latest = new Map<string, { emoji: string; user: UserAddress; remove: boolean }>();
  for (const { entry, content } of changes) {
    if (content.type !== 'reaction') continue;
    latest.set(`${entry.user}|${content.emoji}`, { emoji: content.emoji, user: entry.user, remove: content.remove });
  }
  const kept = [...latest.values()].filter((reaction) => !reaction.remove);
  return [...Map.groupBy(kept, (reaction) => reaction.emoji)]
    .map(([emoji, list]) => ({
      emoji,
      users: list.map((reaction) => reaction.user).sort(),
      mine: list.some((reaction) => reaction.user === self),
    }))
    .sort((a, b) => (a.emoji < b.emoji ? -1 : 1));
}

type LineContent = Pick<LineItem, 'line'> & Record<string, unknown>;

function lineItem<L extends LineContent>(entry: TimelineEntry, line: L) {
  return {
    type: 'line' as const,
    key: entryKey(entry),
    ...(entry.seq === undefined ? {} : { seq: entry.seq }),
    user: entry.user,
    time: entry.sentAt,
    ...line,
  };
}

/** Neighbouring lines that say the same become one: a device that joins late sees one quiet line, not a hundred. */
function mergeLines(last: TimelineItem | undefined, next: TimelineItem): TimelineItem | undefined {
  if (last?.type !== 'line' || next.type !== 'line') return undefined;
  if (last.line !== 'problem' || next.line !== 'problem') return undefined;
  if (last.problem.cause === 'key.before_join' && next.problem.cause === 'key.before_join') return last;
  if (last.problem.cause === 'key.waiting' && next.problem.cause === 'key.waiting') {
    if (last.problem.user !== next.problem.user) return undefined;
    return { ...last, problem: { ...last.problem, count: last.problem.count + next.problem.count } };
  }
  return undefined;
}
