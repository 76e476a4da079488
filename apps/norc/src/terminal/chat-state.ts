import type { ConversationId } from '@norc/protocol/base';
import type { LogLine } from './chat-log.ts';
import { type ChatModel, matching } from './chat-model.ts';
import { type ChatScreen, chosenRow } from './chat-screen.ts';
import { COMMANDS, type Command, isAddress, parseEntered } from './commands.ts';
import type { InputEvent, Key } from './keys.ts';
import { EMPTY_LINE, editEvent, type History, lineOf, lineText, NO_HISTORY, recall, remember } from './line-editor.ts';
import { bottomOf, scrolled } from './scroll.ts';

/** The full-screen chat between two keys. */
export interface ChatState {
  readonly screen: ChatScreen;
  readonly history: History;
  /** The conversation whose end or "New" line was last placed. */
  readonly openedId?: ConversationId;
  /** All unread messages at the last look, to notice new ones. */
  readonly unreadTotal: number;
  /** Number of the last alert that was shown. */
  readonly alert: number;
}

export type ChatEvent =
  | InputEvent
  /** Something changed in the application. */
  | { readonly type: 'model'; readonly model: ChatModel }
  /** What a command of the application says. */
  | { readonly type: 'answer'; readonly command: Command; readonly lines: readonly string[] };

/** What the application, or the terminal, is asked to do. */
export type ChatEffect =
  | { readonly do: 'send'; readonly text: string }
  | { readonly do: 'open'; readonly conversationId: ConversationId }
  | { readonly do: 'run'; readonly command: Command }
  /** The open conversation was seen to its end. */
  | { readonly do: 'seen' }
  | { readonly do: 'older' }
  | { readonly do: 'bell' }
  /** Something else wrote on the terminal: draw everything again. */
  | { readonly do: 'repaint' }
  | { readonly do: 'quit' };

/** The log as it was last drawn: what scrolling moves over. */
export interface LogLayout {
  readonly log: readonly LogLine[];
  readonly logHeight: number;
}

export interface Step {
  readonly state: ChatState;
  readonly effects: readonly ChatEffect[];
}

export function startChat(model: ChatModel): ChatState {
  return { screen: { model, line: EMPTY_LINE }, history: NO_HISTORY, unreadTotal: Number.POSITIVE_INFINITY, alert: 0 };
}

/** One key, one change: pure. */
export function chatStep(state: ChatState, event: ChatEvent, layout: LogLayout): Step {
  if (event.type === 'model') return newModel(state, event.model);
  if (event.type === 'answer') return answered(state, event.command, event.lines);
  const key = event.type === 'key' ? event.key : undefined;
  if (key === 'ctrl+c' || (key === 'ctrl+d' && state.screen.line.letters.length === 0))
    return { state, effects: [{ do: 'quit' }] };
  if (state.screen.list !== undefined) return inList(state, event, state.screen.list);
  const looked = key === undefined ? undefined : lookAround(state, key, layout);
  if (looked !== undefined) return looked;
  if (key === 'enter') return entered(state);
  if (key === 'up' || key === 'down') {
    const { history, line } = recall(state.history, state.screen.line, key === 'up' ? 1 : -1);
    return { state: { ...show(state, { line }), history }, effects: [] };
  }
  return typed(state, event);
}

type OptionalPart = 'list' | 'panel' | 'notice' | 'anchor' | 'newFrom';

function show(state: ChatState, change: Partial<ChatScreen>, ...without: readonly OptionalPart[]): ChatState {
  const screen: { -readonly [K in keyof ChatScreen]: ChatScreen[K] } = { ...state.screen };
  for (const part of without) delete screen[part];
  return { ...state, screen: { ...screen, ...change } };
}

const just = (state: ChatState, ...effects: readonly ChatEffect[]): Step => ({ state, effects });

function warn(state: ChatState, text: string): Step {
  return just(show(state, { notice: { text, warning: true } }));
}

/**
 * The line "New" stands where the user stopped reading: set when a conversation is
 * opened, or when something comes in below what is being looked at, and there until
 * the user writes or leaves. What comes in at the followed end was seen.
 */
function newModel(state: ChatState, model: ChatModel): Step {
  const { screen } = state;
  const isOther = state.openedId !== model.open?.conversationId;
  const first = model.open?.unread.firstKey;
  const isFollowing = !isOther && screen.anchor === undefined;
  const newFrom = isOther ? first : (screen.newFrom ?? (isFollowing ? undefined : first));
  const cleared = isOther ? show(state, {}, 'anchor', 'newFrom', 'panel', 'notice') : state;
  const total = model.conversations.reduce((sum, one) => sum + one.unread.count, 0);
  const { alert } = model;
  const isAlert = alert !== undefined && alert.number > state.alert;
  const told = isAlert ? { notice: { text: alert.text, warning: true } } : {};
  const next = show(cleared, { model, ...told, ...(newFrom === undefined ? {} : { newFrom }) });
  const effects: ChatEffect[] = [];
  if (total > state.unreadTotal) effects.push({ do: 'bell' });
  if (first !== undefined && next.screen.anchor === undefined) effects.push({ do: 'seen' });
  const { openedId: _before, ...rest } = next;
  const opened = model.open === undefined ? {} : { openedId: model.open.conversationId };
  return { state: { ...rest, ...opened, unreadTotal: total, alert: alert?.number ?? state.alert }, effects };
}

function answered(state: ChatState, command: Command, lines: readonly string[]): Step {
  const [first] = lines;
  if (first === undefined) return just(state);
  if (lines.length === 1) return just(show(state, { notice: { text: first, warning: false } }));
  const { summary } = COMMANDS[command.name];
  return just(show(state, { panel: { title: summary[0]?.toUpperCase() + summary.slice(1), lines, top: 0 } }));
}

function typed(state: ChatState, event: InputEvent): Step {
  const line = editEvent(state.screen.line, event);
  if (line === undefined) return just(state);
  const next = show(state, { line }, 'notice');
  if (event.type === 'paste' && event.cut) return warn(next, 'The pasted text was too long and was cut.');
  return just(next);
}

const SCROLL_ALL = 1_000_000;

/** Keys that look around without writing; `undefined` for all others. */
function lookAround(state: ChatState, key: Key, layout: LogLayout): Step | undefined {
  const page = Math.max(1, layout.logHeight - 2);
  switch (key) {
    case 'pageup':
      return scroll(state, layout, -page);
    case 'pagedown':
      return scroll(state, layout, page);
    case 'shift+up':
      return scroll(state, layout, -1);
    case 'shift+down':
      return scroll(state, layout, 1);
    case 'ctrl+home':
      return scroll(state, layout, -SCROLL_ALL);
    case 'ctrl+end':
      return atEnd(state);
    case 'end':
      return state.screen.anchor === undefined ? undefined : atEnd(state);
    case 'ctrl+k':
      return just(show(state, { list: { typed: '', index: 0 } }, 'panel'));
    case 'ctrl+n':
      return nextUnread(state);
    case 'alt+up':
    case 'alt+down':
      return neighbour(state, key === 'alt+up' ? -1 : 1);
    case 'f1':
      return help(state);
    case 'escape':
      return oneLevelBack(state);
    case 'ctrl+l':
      return just(state, { do: 'repaint' });
    default:
      return undefined;
  }
}

function oneLevelBack(state: ChatState): Step {
  if (state.screen.panel !== undefined) return just(show(state, {}, 'panel'));
  if (state.screen.notice !== undefined) return just(show(state, {}, 'notice'));
  return atEnd(state);
}

function atEnd(state: ChatState): Step {
  return just(show(state, {}, 'anchor'), { do: 'seen' });
}

function scroll(state: ChatState, { log, logHeight }: LogLayout, by: number): Step {
  const { panel } = state.screen;
  if (panel !== undefined) {
    const top = Math.max(0, Math.min(panel.lines.length - 1, panel.top + by));
    return just(show(state, { panel: { ...panel, top } }));
  }
  const anchor = scrolled(log, state.screen.anchor, logHeight, by);
  const isAtTop = bottomOf(log, anchor) <= logHeight;
  const older: readonly ChatEffect[] = by < 0 && isAtTop && state.screen.model.open?.more ? [{ do: 'older' }] : [];
  if (anchor === undefined) return { state: show(state, {}, 'anchor'), effects: by > 0 ? [{ do: 'seen' }] : older };
  return { state: show(state, { anchor }), effects: older };
}

function neighbour(state: ChatState, by: number): Step {
  const { conversations, open } = state.screen.model;
  const at = conversations.findIndex((one) => one.conversationId === open?.conversationId);
  const next = conversations[Math.max(0, Math.min(conversations.length - 1, at + by))];
  return next === undefined ? just(state) : just(state, { do: 'open', conversationId: next.conversationId });
}

function nextUnread(state: ChatState): Step {
  const next = state.screen.model.conversations.find((one) => one.unread.count > 0);
  if (next === undefined) return just(show(state, { notice: { text: 'Nothing unread.', warning: false } }));
  return just(state, { do: 'open', conversationId: next.conversationId });
}

function entered(state: ChatState): Step {
  const text = lineText(state.screen.line);
  const what = parseEntered(text);
  if (what.type === 'nothing') return just(state);
  if (what.type === 'mistake') return warn(state, what.hint);
  if (what.type === 'message' && state.screen.model.open === undefined) {
    return warn(state, 'Open a conversation first: Ctrl+K, or /to NAME.');
  }
  const cleared = show(state, { line: EMPTY_LINE }, 'notice', 'panel');
  const next = { ...cleared, history: remember(state.history, text) };
  if (what.type === 'command') return command(next, what.command);
  return just(show(next, {}, 'newFrom', 'anchor'), { do: 'send', text: what.text });
}

function command(state: ChatState, what: Command): Step {
  switch (what.name) {
    case 'quit':
      return just(state, { do: 'quit' });
    case 'help':
      return help(state);
    case 'list':
      return just(show(state, { list: { typed: '', index: 0 } }));
    case 'to': {
      const [first] = matching(state.screen.model.conversations, what.whom);
      if (first !== undefined) return just(state, { do: 'open', conversationId: first.conversationId });
      if (isAddress(what.whom)) return just(state, { do: 'run', command: { name: 'new', people: [what.whom] } });
      return warn(state, `No conversation matches “${what.whom}”. /to NAME@DOMAIN starts one.`);
    }
    default:
      return just(state, { do: 'run', command: what });
  }
}

function help(state: ChatState): Step {
  return just(show(state, { panel: { title: 'Help', lines: HELP, top: 0 } }));
}

function inList(state: ChatState, event: InputEvent, list: NonNullable<ChatScreen['list']>): Step {
  const key = event.type === 'key' ? event.key : undefined;
  if (key === 'escape' || key === 'ctrl+k') return just(show(state, {}, 'list'));
  if (key === 'enter') {
    const chosen = chosenRow(state.screen);
    const closed = show(state, {}, 'list');
    return chosen === undefined ? just(closed) : just(closed, { do: 'open', conversationId: chosen.conversationId });
  }
  const by = key === 'up' ? -1 : key === 'down' || key === 'tab' ? 1 : 0;
  if (by !== 0) {
    const last = matching(state.screen.model.conversations, list.typed).length - 1;
    return just(show(state, { list: { ...list, index: Math.max(0, Math.min(last, list.index + by)) } }));
  }
  const line = editEvent(lineOf(list.typed), event);
  return just(line === undefined ? state : show(state, { list: { typed: lineText(line), index: 0 } }));
}

const KEYS: readonly (readonly [string, string])[] = [
  ['Enter', 'send'],
  ['Alt+Enter, Ctrl+J', 'new line'],
  ['Up, Down', 'what you wrote before'],
  ['Page Up, Page Down', 'scroll; End goes back to the newest'],
  ['Ctrl+K', 'go to a conversation'],
  ['Ctrl+N', 'next unread conversation'],
  ['Alt+Up, Alt+Down', 'conversation above, below'],
  ['Ctrl+Z', 'suspend'],
  ['Ctrl+C', 'leave NORC'],
];

const HELP_COLUMN = 20;

/** Commands alone: what works in every mode. */
export const COMMAND_HELP: readonly string[] = Object.values(COMMANDS).map(
  ({ usage, summary }) => `${usage.padEnd(HELP_COLUMN)} ${summary}`,
);

const HELP: readonly string[] = [
  ...COMMAND_HELP,
  '',
  ...KEYS.map(([key, summary]) => `${key.padEnd(HELP_COLUMN)} ${summary}`),
];
