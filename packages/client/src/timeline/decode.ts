import { instant } from '@norc/protocol/base';
import { decodeContent, type MessageContent } from '@norc/protocol/norc-c';
import type { MessageRow } from '../store/rows.ts';
import type { EntryContent, Surroundings, TimelineEntry } from './entries.ts';

/** Stored rows as entries of a timeline. Content of a later version becomes `unknown`, and is shown when this program can. */
export function entriesOf(rows: readonly MessageRow[]): readonly TimelineEntry[] {
  return rows.map((row) => {
    const { sender, messageId, user, seq, sentAt, state } = row;
    return {
      sender,
      messageId,
      user,
      ...(seq === undefined ? {} : { seq }),
      sentAt,
      ...(state === undefined ? {} : { state }),
      content: contentOf(row),
    };
  });
}

function contentOf({ body }: MessageRow): EntryContent {
  if (body.type !== 'content') return body;
  const content = decodeContent(body.content);
  return content.ok ? entryContent(content.value) : { type: 'unknown' };
}

function entryContent(content: MessageContent): EntryContent {
  switch (content.kind) {
    case 'text':
      return { type: 'text', text: content.body.text, ...surroundings(content) };
    case 'file':
      return { type: 'file', name: content.body.name, bytes: content.body.size, ...surroundings(content) };
    case 'edit':
      return { type: 'edit', target: content.body.target, text: content.body.text };
    case 'delete':
      return { type: 'delete', target: content.body.target };
    case 'reaction':
      return {
        type: 'reaction',
        target: content.body.target,
        emoji: content.body.emoji,
        remove: content.body.removed ?? false,
      };
    case 'call':
      return { type: 'call' };
    case 'receipt':
    case 'typing':
    case 'control':
      return { type: 'unknown' }; // never stored as rows: see take-in.ts
  }
}

function surroundings(content: MessageContent): Surroundings {
  return {
    ...(content.reply_to === undefined ? {} : { replyTo: content.reply_to }),
    mentions: content.mentions ?? [],
    ...(content.expires_at === undefined ? {} : { expiresAt: instant(content.expires_at) }),
  };
}
