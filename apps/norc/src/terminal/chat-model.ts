import type { ConversationSummary, ConversationView } from '@norc/client';
import type { ConversationId, Instant, Label, UserAddress } from '@norc/protocol/base';
import type { Command } from './commands.ts';

/** What a chat shows: facts only. Words are made by the client's catalogue, their place by the renderers. */
export interface ChatModel {
  readonly self: UserAddress;
  /** Most recent first. */
  readonly conversations: readonly ConversationSummary[];
  readonly open?: ConversationView;
  readonly connection: Connection;
  /** The last thing that a person must know and that is no message; `number` rises with each. */
  readonly alert?: { readonly number: number; readonly text: string };
  /** Marking while no conversation is open: the highest that this account may see. */
  readonly ceiling?: Label;
}

export type Connection =
  | { readonly state: 'connecting' }
  /** `detail`: negotiated version and suite, in words. */
  | { readonly state: 'connected'; readonly detail: string }
  | { readonly state: 'offline'; readonly retrySeconds?: number }
  /** The server has put this device out, or another error that waiting does not mend. */
  | { readonly state: 'stopped'; readonly reason: string };

/** What a chat needs of the application. The renderers and the keyboard know nothing else. */
export interface ChatPort {
  model(): ChatModel;
  /** Called after every change; `model` then gives the new one. Returns how to stop. */
  subscribe(listener: () => void): () => void;
  /** Resolves when it is stored. */
  send(text: string): Promise<void>;
  /** Resolves when `model` has it. */
  open(conversationId: ConversationId): Promise<void>;
  /** The open conversation was seen to its end. */
  seen(): void;
  /** Loads older messages of the open conversation. */
  older(): void;
  /** Everything but `help`, `quit`, `list` and `to`, which the chat does itself. Lines to show, in words. */
  run(command: Command): Promise<readonly string[]>;
  /** Everything that was written is with the server, or cannot go there now. */
  settled(): Promise<void>;
}

/** How times are shown; a parameter, so that a screen is a pure function. */
export interface TimeFormat {
  /** `09:41` */
  time(at: Instant): string;
  /** `Monday, 23 November` */
  day(at: Instant): string;
}

/** In the zone and language of the environment. */
export function localTimeFormat(language?: string, timeZone?: string): TimeFormat {
  const zone = timeZone === undefined ? {} : { timeZone };
  const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', hourCycle: 'h23', ...zone });
  const date = new Intl.DateTimeFormat(language ?? 'en-GB', {
    weekday: 'long',
    day: 'numeric',
    month: 'long',
    ...zone,
  });
  return { time: (at) => clock.format(at), day: (at) => date.format(at) };
}

/** Conversations whose title or people match what was typed: whole first, then beginnings, then parts. */
export function matching(conversations: readonly ConversationSummary[], typed: string): readonly ConversationSummary[] {
  const wanted = typed.trim().toLowerCase();
  if (wanted === '') return conversations;
  const rank = ({ title }: ConversationSummary): number => {
    const name = title.toLowerCase();
    if (name === wanted) return 0;
    if (name.startsWith(wanted)) return 1;
    return name.includes(wanted) ? 2 : 3;
  };
  return conversations.filter((one) => rank(one) < 3).sort((a, b) => rank(a) - rank(b));
}
