import {
  type ConversationRow,
  conversationSummary,
  conversationView,
  type EntryContent,
  type Mark,
  type TimelineEntry,
} from '@norc/client';
import {
  type ConversationId,
  type DeviceId,
  type Instant,
  idFromBytes,
  instant,
  type Label,
  type MessageId,
  type TrustLevel,
  type UserAddress,
} from '@norc/protocol/base';
import { type ChatModel, type Connection, localTimeFormat } from './chat-model.ts';
import type { Look } from './chat-screen.ts';
import type { Palette } from './style.ts';
import { wordsFor } from './words.ts';

/** A conversation for tests of the terminal, told in words. */

export const ANNA = 'anna@alpha.example' as UserAddress; // well-formed
export const BRUNO = 'bruno@bravo.example' as UserAddress; // well-formed
export const CARLA = 'carla@alpha.example' as UserAddress; // well-formed

const START = Date.UTC(2026, 10, 23, 9, 0);
export const minute = (n: number): Instant => instant(START + n * 60_000);
const id = <T extends DeviceId | ConversationId | MessageId>(n: number): T =>
  idFromBytes<T>(Uint8Array.from({ length: 16 }, (_, i) => (i === 15 ? n : 1)));

export const PALETTE: Palette = { color: true, trueColor: false, unicode: true };
export const LOOK: Look = { words: wordsFor(ANNA, localTimeFormat('en-GB', 'UTC')), palette: PALETTE };

export class Talk {
  readonly entries: TimelineEntry[] = [];
  readonly marks: Mark[] = [];
  readSeq = 1000;
  label: Label = 'unclassified';
  level: TrustLevel = 'basic';
  more = false;
  standing: ConversationRow['standing'] = 'open';
  readonly #number: number;
  readonly #title: string | undefined;
  readonly #people: readonly UserAddress[];

  constructor(number: number, title?: string, people: readonly UserAddress[] = [ANNA, BRUNO]) {
    this.#number = number;
    this.#title = title;
    this.#people = people;
  }

  get conversationId(): ConversationId {
    return id(this.#number);
  }

  /** Ordered by the hub, one minute after the last. */
  say(user: UserAddress, what: string | EntryContent): TimelineEntry {
    const n = this.entries.length + 1;
    const entry = this.#entry(user, what, n);
    this.entries.push({ ...entry, seq: n });
    return { ...entry, seq: n };
  }

  /** By Anna, not ordered yet. */
  write(text: string, state: TimelineEntry['state'] = { state: 'sending' }): TimelineEntry {
    const entry = { ...this.#entry(ANNA, text, this.entries.length + 1), state };
    this.entries.push(entry);
    return entry;
  }

  #entry(user: UserAddress, what: string | EntryContent, n: number) {
    const content: EntryContent = typeof what === 'string' ? { type: 'text', text: what, mentions: [] } : what;
    const sender = id<DeviceId>(200 + [ANNA, BRUNO, CARLA].indexOf(user));
    return { sender, user, messageId: id<MessageId>(n), sentAt: minute(n), content };
  }

  get #input() {
    const conversation: ConversationRow = {
      conversationId: this.conversationId,
      kind: this.#people.length > 2 ? 'group' : 'direct',
      ...(this.#title === undefined ? {} : { title: this.#title }),
      participants: this.#people,
      hub: 'alpha.example' as ConversationRow['hub'], // well-formed
      label: this.label,
      level: this.level,
      createdAt: minute(0),
      standing: this.standing,
      cursorSeq: 0,
      cursorHash: new Uint8Array(),
      readSeq: this.readSeq,
    };
    return { conversation, self: ANNA, marks: this.marks, entries: this.entries, more: this.more, now: minute(10_000) };
  }

  get view() {
    return conversationView(this.#input);
  }

  get summary() {
    return conversationSummary(this.#input);
  }
}

export function modelOf(
  talks: readonly Talk[],
  open?: Talk,
  connection: Connection = { state: 'connected', detail: '2.0 hybrid' },
): ChatModel {
  return {
    self: ANNA,
    conversations: talks.map((talk) => talk.summary),
    ...(open === undefined ? {} : { open: open.view }),
    connection,
  };
}
