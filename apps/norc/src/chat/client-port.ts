import type { ConversationView, NorcClient } from '@norc/client';
import type { Clock, ConversationId, UserAddress } from '@norc/protocol/base';
import { inTime } from '../device/open-device.ts';
import type { ChatModel, ChatPort } from '../terminal/chat-model.ts';
import type { Command } from '../terminal/commands.ts';
import type { Words } from '../terminal/words.ts';
import { ChatActions } from './chat-actions.ts';
import { connectionOf } from './connection.ts';
import { ConversationBoard } from './conversation-board.ts';
import { warningText } from './warnings.ts';

export interface ClientPortOptions {
  readonly client: NorcClient;
  readonly clock: Clock;
  readonly words: Words;
  /** A dependency or this program failed while the chat runs. */
  readonly fault: (fault: unknown) => void;
}

/** The chat's port on a real device. */
export class ClientPort implements ChatPort {
  readonly #options: ClientPortOptions;
  readonly #board: ConversationBoard;
  readonly #actions: ChatActions;
  readonly #listeners = new Set<() => void>();
  readonly #stops: (() => void)[];
  #alert: ChatModel['alert'];

  private constructor(options: ClientPortOptions) {
    const { client, words, fault } = options;
    this.#options = options;
    this.#board = new ConversationBoard(client, () => this.#tell(), fault);
    this.#actions = new ChatActions(
      client,
      words,
      (id) => this.#board.show(id),
      (user) => this.#until(() => this.openKnown(user), ARRIVAL_MS_MAX),
    );
    const touch = ({ conversationId }: { readonly conversationId: ConversationId }) =>
      void this.#board.touch(conversationId);
    this.#stops = [
      client.on('state', () => this.#tell()),
      client.on('message', touch),
      client.on('conversation', touch),
      client.on('delivery', touch),
      client.on('notice', touch),
      client.on('fault', fault),
      client.on('trust', ({ text }) => this.#warn(text)),
      client.on('warning', (warning) => this.#warn(warningText(warning, words.context))),
    ];
  }

  static async open(options: ClientPortOptions): Promise<ClientPort> {
    const port = new ClientPort(options);
    await port.#board.load();
    return port;
  }

  close(): void {
    for (const stop of this.#stops) stop();
  }

  model(): ChatModel {
    const { client, clock, words } = this.#options;
    const { open, summaries } = this.#board;
    return {
      self: client.self.user,
      conversations: summaries,
      ...(open === undefined ? {} : { open }),
      connection: connectionOf(client.status, clock.now(), words.context),
      ...(this.#alert === undefined ? {} : { alert: this.#alert }),
    };
  }

  #warn(text: string): void {
    this.#alert = { number: (this.#alert?.number ?? 0) + 1, text };
    this.#tell();
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }

  open(conversationId: ConversationId): Promise<void> {
    return this.#board.show(conversationId);
  }

  /** The conversation with exactly this person, made when there is none. Lines to show when that is refused. */
  openWith(user: UserAddress): Promise<readonly string[]> {
    return this.#actions.openWith(user);
  }

  openKnown(user: UserAddress): Promise<boolean> {
    return this.#actions.openKnown(user);
  }

  older(): void {
    void this.#board.showOlder();
  }

  seen(): void {
    const { open } = this.#board;
    const seq = open === undefined ? 0 : lastSeq(open);
    if (open === undefined || seq === 0) return;
    const { conversationId } = open;
    void this.#options.client
      .markRead(conversationId, seq)
      .then(() => this.#board.touch(conversationId))
      .catch(this.#options.fault);
  }

  /** A refusal shows in the conversation itself: it is over, or paused, and says so. */
  async send(text: string): Promise<void> {
    const { open } = this.#board;
    if (open === undefined) return;
    await this.#options.client.send(open.conversationId, text);
    await this.#board.touch(open.conversationId);
  }

  run(command: Command): Promise<readonly string[]> {
    return this.#actions.run(command, this.#board.open);
  }

  /** Own messages that the own server does not have yet; they are stored here and leave with the next connection. */
  async unsent(): Promise<number> {
    let count = 0;
    for (const { conversationId } of this.#board.summaries) {
      const view = await this.#options.client.timeline(conversationId);
      count += view?.items.filter((item) => item.type === 'message' && item.state?.state === 'sending').length ?? 0;
    }
    return count;
  }

  /** Waits for the server's answers, but not for a server that does not come. */
  async settled(): Promise<void> {
    await this.#until(async () => (await this.unsent()) === 0, SETTLE_MS_MAX);
  }

  /** Looks now and after each change; false when it does not come true in time. */
  async #until(holds: () => Promise<boolean>, millisecondsMax: number): Promise<boolean> {
    const { promise, resolve, reject } = Promise.withResolvers<true>();
    const look = async () => {
      if (await holds()) resolve(true);
    };
    const stop = this.subscribe(() => void look().catch(reject));
    try {
      await look();
      return (await inTime(promise, millisecondsMax)) ?? false;
    } finally {
      stop();
    }
  }
}

const SETTLE_MS_MAX = 10_000;
/** A conversation that the other side began comes within a moment of the connection. */
const ARRIVAL_MS_MAX = 750;

function lastSeq({ items }: ConversationView): number {
  return items.reduce((last, { seq }) => Math.max(last, seq ?? 0), 0);
}
