import { en, type LineItem, type MessageItem, type TextContext } from '@norc/client';
import { domainOf, localPartOf, type UserAddress } from '@norc/protocol/base';
import type { Connection, TimeFormat } from './chat-model.ts';
import { clean, cleanName } from './clean.ts';

/** The sentences of the catalogue, with this terminal's names and times. Everything that comes out of here is clean. */
export interface Words {
  readonly self: UserAddress;
  readonly format: TimeFormat;
  readonly context: TextContext;
}

export function wordsFor(self: UserAddress, format: TimeFormat): Words {
  const name = (user: UserAddress) => (user === self ? en.you : cleanName(localPartOf(user)));
  return { self, format, context: { name, time: format.time } };
}

/** `anna`, or `bruno (bravo.example)` for another organisation, or `You`. */
export function fullName({ self, context }: Words, user: UserAddress): string {
  const name = context.name(user);
  return domainOf(user) === domainOf(self) ? name : `${name} (${domainOf(user)})`;
}

/** What a message says, on as many lines as it has. */
export function messageText({ content }: MessageItem): string {
  switch (content.type) {
    case 'text':
      return clean(content.text);
    case 'file':
      return `[file] ${cleanName(content.name)}, ${en.bytes(content.bytes)}`;
    case 'call':
      return `[${en.call}]`;
    case 'deleted':
      return en.deleted;
    case 'unknown':
      return en.unknownKind;
  }
}

export function isEdited({ content }: MessageItem): boolean {
  return content.type === 'text' && content.edited;
}

/** One sentence for each thing that a line of the conversation itself says. */
export function lineTexts(item: LineItem, { context }: Words): readonly string[] {
  if (item.line === 'problem') return [clean(en.problem(item.problem, context))];
  return item.notices.map((notice) => clean(en.notice(notice, context)));
}

export function stateWord(item: MessageItem, { context }: Words): string {
  return item.state === undefined ? '' : en.state(item.state, context);
}

/** `👍 2: anna, You` */
export function reactionTexts(item: MessageItem, { context }: Words): readonly string[] {
  return item.reactions.map(({ emoji, users }) => {
    const names = users.map(context.name).join(', ');
    return `${cleanName(emoji)} ${users.length}: ${names}`;
  });
}

export function connectionText(connection: Connection): string {
  switch (connection.state) {
    case 'connecting':
      return 'Connecting';
    case 'connected':
      return `Connected, ${connection.detail}`;
    case 'offline':
      return connection.retrySeconds === undefined ? 'Offline' : `Offline, next try in ${connection.retrySeconds} s`;
    case 'stopped':
      return `Stopped: ${connection.reason}`;
  }
}
