import type { DeviceId, Instant, MessageId, UserAddress } from '@norc/protocol/base';
import type { OwnState } from '../store/rows.ts';
import type { Problem } from './causes.ts';
import type { Notice } from './notices.ts';

/** One stored row with its content decoded: what a timeline is folded from. */
export interface TimelineEntry {
  readonly sender: DeviceId;
  readonly messageId: MessageId;
  readonly user: UserAddress;
  /** Absent: an own message that the hub has not ordered. */
  readonly seq?: number;
  readonly sentAt: Instant;
  readonly state?: OwnState;
  readonly content: EntryContent;
}

export type EntryContent = ShownContent | ChangeContent;

/** Shown as an item of its own. Text is as its author wrote it: untrusted. */
export type ShownContent =
  | ({ readonly type: 'text'; readonly text: string } & Surroundings)
  | ({ readonly type: 'file'; readonly name: string; readonly bytes: number } & Surroundings)
  | { readonly type: 'call' }
  | { readonly type: 'problem'; readonly problem: Problem }
  | { readonly type: 'notices'; readonly notices: readonly Notice[] }
  /** The store has scrubbed it: deleted, or its time is over. */
  | { readonly type: 'removed' }
  /** A kind that this program is too old for. */
  | { readonly type: 'unknown' };

export interface Surroundings {
  readonly replyTo?: MessageId;
  readonly mentions: readonly UserAddress[];
  readonly expiresAt?: Instant;
}

/** Changes another message, and is not shown by itself. */
export type ChangeContent =
  | { readonly type: 'edit'; readonly target: MessageId; readonly text: string }
  | { readonly type: 'delete'; readonly target: MessageId }
  | { readonly type: 'reaction'; readonly target: MessageId; readonly emoji: string; readonly remove: boolean };

export function isChange(content: EntryContent): content is ChangeContent {
  return 'target' in content;
}

export interface ShownEntry extends TimelineEntry {
  readonly content: ShownContent;
}

export function isShownEntry(entry: TimelineEntry): entry is ShownEntry {
  return !isChange(entry.content);
}

/** The order of store/order.ts: the log's, then own unordered ones as they were written. */
export function compareEntries(a: TimelineEntry, b: TimelineEntry): number {
  if (a.seq !== undefined && b.seq !== undefined) return a.seq - b.seq;
  if (a.seq !== undefined) return -1;
  if (b.seq !== undefined) return 1;
  if (a.sentAt !== b.sentAt) return a.sentAt - b.sentAt;
  return a.messageId < b.messageId ? -1 : 1;
}

export function entryKey(entry: Pick<TimelineEntry, 'sender' | 'messageId'>): string {
  return `${entry.sender}|${entry.messageId}`;
}
