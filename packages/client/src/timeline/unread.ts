import type { TimelineItem } from './items.ts';

export interface Unread {
  readonly count: number;
  readonly mentions: number;
  /** The first unread item: where the line "New" goes. */
  readonly firstKey?: string;
}

/**
 * The only place where unread is computed, for lists, badges and lines alike: messages
 * by others, after the read marker, that say something. Lines, reactions, edits,
 * deleted and expired messages never count, so every badge can be read away.
 */
export function unreadOf(items: readonly TimelineItem[], readSeq: number): Unread {
  const unread = items.filter(
    (item) => item.type === 'message' && !item.own && (item.seq ?? 0) > readSeq && saysSomething(item.content.type),
  );
  const mentions = unread.filter((item) => item.type === 'message' && item.mentionsMe).length;
  const first = unread[0];
  return { count: unread.length, mentions, ...(first === undefined ? {} : { firstKey: first.key }) };
}

function saysSomething(type: string): boolean {
  return type === 'text' || type === 'file' || type === 'unknown';
}
