import type { MessageRow } from './rows.ts';

/** Log order; own messages that are not in the log yet come last, in the order in which they were written. */
export function compareMessages(a: MessageRow, b: MessageRow): number {
  if (a.seq !== undefined && b.seq !== undefined) return a.seq - b.seq;
  if (a.seq !== undefined) return -1;
  if (b.seq !== undefined) return 1;
  if (a.sentAt !== b.sentAt) return a.sentAt - b.sentAt;
  return a.messageId < b.messageId ? -1 : 1;
}

/** Shown by itself, as against an edit, a deletion or a reaction, which change another message. */
export function isShown(row: MessageRow): boolean {
  return row.target === undefined;
}

/** Without its words, in the same place. */
export function scrubbed(row: MessageRow): MessageRow {
  return { ...row, body: { type: 'removed' } };
}
