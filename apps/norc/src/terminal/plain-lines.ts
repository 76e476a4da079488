import { type ConversationView, en, LEVEL_CHIPS, type LineItem, MARKINGS, type MessageItem } from '@norc/client';
import type { ConversationId } from '@norc/protocol/base';
import type { ChatModel } from './chat-model.ts';
import { cleanName } from './clean.ts';
import { fit } from './width.ts';
import {
  connectionText,
  fullName,
  isEdited,
  lineTexts,
  messageText,
  reactionTexts,
  stateWord,
  type Words,
} from './words.ts';

/**
 * The chat as lines that never change once printed: for screen readers, logs and
 * pipes. A message is `HH:MM  Name (org)  text   [State]`; what happens to it later
 * is a line of its own; what NORC itself says begins with two dashes, and further
 * lines of one message with a bar, so that no text can pass for another line.
 */
export interface PlainMemory {
  readonly open?: ConversationId;
  readonly items: ReadonlyMap<string, Printed>;
  readonly unread: ReadonlyMap<ConversationId, number>;
  readonly connection: string;
  /** Number of the last one that was printed. */
  readonly alert: number;
  /** The day of the last printed message. */
  readonly day: string;
}

/** What was printed about a message. */
interface Printed {
  readonly text: string;
  readonly state: string;
  readonly reactions: string;
}

export const NOTHING_PRINTED: PlainMemory = { items: new Map(), unread: new Map(), connection: '', alert: 0, day: '' };

export interface PlainStep {
  readonly memory: PlainMemory;
  readonly lines: readonly string[];
}

const HISTORY_LINES_MAX = 20;
const EXCERPT_WIDTH = 40;

/** The lines between what was printed and what is. */
export function plainStep(memory: PlainMemory, model: ChatModel, words: Words): PlainStep {
  const connection = connectionText(model.connection);
  const lines = connection === memory.connection ? [] : [said(connection)];
  const { open, alert } = model;
  if (alert !== undefined && alert.number > memory.alert) lines.push(said(`Warning: ${alert.text}`));
  const isOther = open !== undefined && open.conversationId !== memory.open;
  const known = isOther ? new Map<string, Printed>() : memory.items;
  if (isOther) lines.push(...introduction(open));
  const day = isOther ? '' : memory.day;
  if (open !== undefined) lines.push(...itemLines(open, { known, words, isOther, day }));
  lines.push(...elsewhere(memory, model));
  return {
    memory: {
      ...(open === undefined ? {} : { open: open.conversationId }),
      items: open === undefined ? new Map() : printedOf(open, words),
      unread: new Map(model.conversations.map((one) => [one.conversationId, one.unread.count])),
      connection,
      alert: alert?.number ?? memory.alert,
      day: lastDay(open, words) ?? day,
    },
    lines,
  };
}

const said = (text: string): string => `-- ${text}`;

function introduction(open: ConversationView): readonly string[] {
  const people = open.people.map(({ name, org }) => (org === undefined ? name : `${name} (${org})`)).map(cleanName);
  const { banner } = MARKINGS[open.label];
  return [
    said(
      `${cleanName(open.title)}. ${banner}. Trust: ${LEVEL_CHIPS[open.level].word}. With ${people.join(', ') || 'nobody yet'}.`,
    ),
    ...(open.items.length === 0 ? [said(en.noMessages)] : []),
  ];
}

interface Printing {
  readonly known: ReadonlyMap<string, Printed>;
  readonly words: Words;
  readonly isOther: boolean;
  readonly day: string;
}

function itemLines(open: ConversationView, { known, words, isOther, day: dayBefore }: Printing): readonly string[] {
  const items = isOther ? open.items.slice(-HISTORY_LINES_MAX) : open.items;
  const hidden = open.items.length - items.length;
  const lines = hidden > 0 || (isOther && open.more) ? [said('Older messages are not shown.')] : [];
  let day = dayBefore;
  for (const item of items) {
    const before = known.get(item.key);
    const itsDay = words.format.day(item.time);
    if (before === undefined && itsDay !== day) lines.push(said(itsDay));
    if (before === undefined) day = itsDay;
    if (item.type === 'line') lines.push(...noticeLines(item, before, words));
    else if (before === undefined) lines.push(...messageLines(item, words));
    else lines.push(...changeLines(item, before, words));
  }
  return lines;
}

function lastDay(open: ConversationView | undefined, words: Words): string | undefined {
  const last = open?.items.at(-1);
  return last === undefined ? undefined : words.format.day(last.time);
}

function printedOf(open: ConversationView, words: Words): ReadonlyMap<string, Printed> {
  return new Map(
    open.items.map((item) => [
      item.key,
      item.type === 'line'
        ? { text: lineTexts(item, words).join(' '), state: '', reactions: '' }
        : printed(item, words),
    ]),
  );
}

function printed(item: MessageItem, words: Words): Printed {
  return { text: messageText(item), state: stateWord(item, words), reactions: reactionTexts(item, words).join('; ') };
}

function messageLines(item: MessageItem, words: Words): readonly string[] {
  const { text, state, reactions } = printed(item, words);
  const [first = '', ...rest] = text.split('\n');
  const head = `${words.format.time(item.time)}  ${fullName(words, item.user)}  ${first}`;
  const lines = [head, ...rest.map((line) => `       | ${line}`)];
  const mark = `${isEdited(item) ? ` (${en.edited})` : ''}${state === '' ? '' : `   [${state}]`}`;
  lines[lines.length - 1] += mark;
  return reactions === '' ? lines : [...lines, said(`Reactions to “${excerpt(text)}”: ${reactions}`)];
}

/** Each thing that changed, with enough of the message to know it by. */
function changeLines(item: MessageItem, before: Printed, words: Words): readonly string[] {
  const now = printed(item, words);
  const time = words.format.time(item.time);
  const lines: string[] = [];
  if (now.text !== before.text) {
    const what = item.content.type === 'deleted' ? 'deleted' : 'changed';
    const after = what === 'deleted' ? '' : `: ${now.text.replaceAll('\n', ' ')}`;
    lines.push(said(`${fullName(words, item.user)} ${what} the message of ${time}, “${excerpt(before.text)}”${after}`));
  }
  if (now.state !== before.state) lines.push(`${time}  [${now.state}]  ${excerpt(now.text)}`);
  if (now.reactions !== before.reactions) {
    lines.push(said(`Reactions to “${excerpt(now.text)}”: ${now.reactions === '' ? 'none' : now.reactions}`));
  }
  return lines;
}

function noticeLines(item: LineItem, before: Printed | undefined, words: Words): readonly string[] {
  const texts = lineTexts(item, words);
  return texts.join(' ') === before?.text ? [] : texts.map((text) => said(`${words.format.time(item.time)} ${text}`));
}

function excerpt(text: string): string {
  return fit(text.replaceAll('\n', ' '), EXCERPT_WIDTH);
}

/** Other conversations: one line when more is unread than before. */
function elsewhere(memory: PlainMemory, model: ChatModel): readonly string[] {
  return model.conversations
    .filter((one) => one.conversationId !== model.open?.conversationId)
    .filter((one) => one.unread.count > (memory.unread.get(one.conversationId) ?? 0))
    .map((one) =>
      said(`${one.unread.count} unread in ${cleanName(one.title)}. To open it: /to ${cleanName(one.title)}`),
    );
}

/** The answer to `/list`. */
export function conversationLines(model: ChatModel): readonly string[] {
  if (model.conversations.length === 0) return [said(`${en.noConversations} Start one: /new name@organisation`)];
  return model.conversations.map((one) => {
    const unread = one.unread.count === 0 ? '' : `, ${one.unread.count} unread`;
    const failed = one.failed === 0 ? '' : `, ${one.failed} not sent`;
    const isOpen = one.conversationId === model.open?.conversationId ? ', open' : '';
    return said(`${cleanName(one.title)} (${LEVEL_CHIPS[one.level].word}${unread}${failed}${isOpen})`);
  });
}
