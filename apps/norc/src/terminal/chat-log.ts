import { type ConversationView, en, type LineItem, MARKINGS, type MessageItem, type TimelineItem } from '@norc/client';
import { domainOf } from '@norc/protocol/base';
import { cleanName } from './clean.ts';
import { PLAIN, type Style } from './style.ts';
import { fit, textWidth, wrap } from './width.ts';
import { isEdited, lineTexts, messageText, reactionTexts, stateWord, type Words } from './words.ts';

export interface Span {
  readonly text: string;
  readonly style: Style;
}

/** One line of the log, and the item that it belongs to. */
export interface LogLine {
  readonly key: string;
  readonly spans: readonly Span[];
}

const DIM: Style = { dim: true };
const NAME: Style = { bold: true };
const OWN_NAME: Style = { bold: true, fg: 'cyan' };
const WARNING: Style = { bold: true, fg: 'yellow' };
const FAILED: Style = { bold: true, fg: 'red' };
const MENTION: Style = { fg: 'yellow', bold: true };

/** Under the first letter after the time. */
const INDENT = 6;
const QUOTE_WIDTH_MAX = 60;

/** The whole log at a width, top to bottom. `newFrom`: the first item that was unread when the conversation was opened. */
export function logLines(view: ConversationView, width: number, words: Words, newFrom?: string): readonly LogLine[] {
  const lines: LogLine[] = [];
  const byKey = new Map(view.items.map((item) => [item.key, item]));
  if (view.more) lines.push(centered('older', en.olderMessages, width, DIM));
  let day = '';
  for (const [index, item] of view.items.entries()) {
    const itsDay = words.format.day(item.time);
    if (itsDay !== day) lines.push(centered(item.key, itsDay, width, DIM));
    day = itsDay;
    if (item.key === newFrom) lines.push(centered(item.key, en.newMessages, width, WARNING));
    const ofItem =
      item.type === 'line'
        ? noticeLines(item, width, words)
        : messageLines(item, { view, width, words, byKey, stateShown: showsState(view.items, index, words) });
    lines.push(...ofItem.map((spans) => ({ key: item.key, spans })));
  }
  return lines;
}

function centered(key: string, text: string, width: number, style: Style): LogLine {
  const label = fit(` ${text} `, width - 4);
  const side = Math.max(2, Math.floor((width - textWidth(label)) / 2));
  const rest = Math.max(0, width - side - textWidth(label));
  return { key, spans: [{ text: `${'─'.repeat(side)}${label}${'─'.repeat(rest)}`, style }] };
}

/** A state is a word once for a run of own messages that share it, and always where something is not in order. */
function showsState(items: readonly TimelineItem[], index: number, words: Words): boolean {
  const item = items[index];
  if (item?.type !== 'message' || item.state === undefined) return false;
  if (item.state.state === 'sending' || item.state.state === 'failed') return true;
  const next = items.slice(index + 1).find((later) => later.type === 'message' && later.own);
  return next?.type !== 'message' || stateWord(next, words) !== stateWord(item, words);
}

interface MessagePlace {
  readonly view: ConversationView;
  readonly width: number;
  readonly words: Words;
  readonly byKey: ReadonlyMap<string, TimelineItem>;
  readonly stateShown: boolean;
}

type Lines = readonly (readonly Span[])[];

function messageLines(item: MessageItem, place: MessagePlace): Lines {
  const { width, words, view } = place;
  const head = headSpans(item, words, MARKINGS[view.label].portion);
  const lines = [...textLines(item, head, place)];
  const suffix = suffixSpans(item, place);
  if (suffix.length > 0) appendSuffix(lines, suffix, width);
  for (const text of reactionTexts(item, words))
    lines.push([indent(), { text: fit(text, width - INDENT), style: DIM }]);
  if (item.state?.state === 'failed') {
    const reason = `! ${stateWord(item, words)} Type /retry to send it again.`;
    for (const text of wrap(reason, width - INDENT)) lines.push([indent(), { text, style: FAILED }]);
  }
  if (isHeldBack(item)) {
    for (const text of wrap(stateWord(item, words), width - INDENT)) lines.push([indent(), { text, style: DIM }]);
  }
  return lines;
}

/** It waits for something that takes a sentence to say. */
function isHeldBack({ state }: MessageItem): boolean {
  return state?.state === 'sending' && state.waits !== undefined;
}

/** The words behind the head; behind a quotation they begin on their own line. */
function textLines(item: MessageItem, head: readonly Span[], place: MessagePlace): Lines {
  const headWidth = head.reduce((sum, span) => sum + textWidth(span.text), 0);
  const style = textStyle(item);
  const quote = quoteText(item, place);
  if (quote !== undefined) {
    const room = Math.max(0, Math.min(QUOTE_WIDTH_MAX, place.width - headWidth));
    const words = wrap(messageText(item), place.width - INDENT);
    return [[...head, { text: fit(quote, room), style: DIM }], ...words.map((text) => [indent(), { text, style }])];
  }
  const [first = '', ...rest] = wrapAfter(messageText(item), headWidth, place.width);
  return [[...head, { text: first, style }], ...rest.map((text) => [indent(), { text, style }])];
}

const indent = (): Span => ({ text: ' '.repeat(INDENT), style: PLAIN });

function headSpans(item: MessageItem, { self, context, format }: Words, portion: string): readonly Span[] {
  const org = domainOf(item.user);
  return [
    { text: `${format.time(item.time)} `, style: DIM },
    { text: context.name(item.user), style: item.own ? OWN_NAME : NAME },
    ...(org === domainOf(self) ? [] : [{ text: ` (${cleanName(org)})`, style: DIM }]),
    { text: ` (${portion}) `, style: DIM },
  ];
}

function textStyle(item: MessageItem): Style {
  if (item.content.type === 'deleted' || item.content.type === 'unknown') return DIM;
  if (item.state?.state === 'sending') return DIM;
  return item.mentionsMe && !item.own ? MENTION : PLAIN;
}

/** Words after a head of `headWidth` cells: the first line is shorter by it, the others hang under the time. */
function wrapAfter(text: string, headWidth: number, width: number): readonly string[] {
  const inner = Math.max(8, width - INDENT);
  const taken = headWidth - INDENT - 1;
  // A head that leaves no room for words stands alone.
  if (taken > inner - 8) return ['', ...wrap(text, inner)];
  const [first = '', ...rest] = wrap(`${'_'.repeat(Math.max(0, taken))} ${text}`, inner);
  return [first.slice(Math.max(0, taken) + 1), ...rest];
}

function quoteText(item: MessageItem, { byKey, words }: MessagePlace): string | undefined {
  if (item.replyTo === undefined) return undefined;
  const quoted = item.replyTo.key === undefined ? undefined : byKey.get(item.replyTo.key);
  if (quoted?.type !== 'message') return '↪ an earlier message';
  return `↪ ${words.context.name(quoted.user)}: ${messageText(quoted).replaceAll('\n', ' ')}`;
}

function suffixSpans(item: MessageItem, { stateShown, words }: MessagePlace): readonly Span[] {
  const marks = [
    ...(isEdited(item) ? [`(${en.edited})`] : []),
    ...(stateShown && item.state?.state !== 'failed' && !isHeldBack(item) ? [`[${stateWord(item, words)}]`] : []),
  ];
  return marks.map((text) => ({ text: `  ${text}`, style: DIM }));
}

/** At the end of the last line if it fits, otherwise on a line of its own. */
function appendSuffix(lines: (readonly Span[])[], suffix: readonly Span[], width: number): void {
  const last = lines.at(-1) ?? [];
  const used = [...last, ...suffix].reduce((sum, span) => sum + textWidth(span.text), 0);
  if (used <= width) lines[lines.length - 1] = [...last, ...suffix];
  else lines.push([{ text: ' '.repeat(INDENT - 2), style: PLAIN }, ...suffix]);
}

/** Lines that ask for attention. */
const ALERTS: ReadonlySet<string> = new Set([
  'person_changed',
  'paused',
  'below_floor',
  'organisation_removed',
  'closed',
]);

function noticeLines(item: LineItem, width: number, words: Words): Lines {
  const isWarning =
    item.line === 'problem'
      ? item.problem.cause !== 'key.before_join'
      : item.notices.some(({ notice }) => ALERTS.has(notice));
  const style = isWarning ? WARNING : DIM;
  return lineTexts(item, words).flatMap((text) =>
    wrap(`${isWarning ? '!' : '·'} ${text}`, width - INDENT).map((line) => [indent(), { text: line, style }]),
  );
}
