import {
  type ClientReject,
  type ConversationView,
  en,
  LEVEL_CHIPS,
  type MemberView,
  type MessageItem,
  type NorcClient,
  safetyNumberGroups,
} from '@norc/client';
import { type ConversationId, domainOf, parseUserAddress, type Result, type UserAddress } from '@norc/protocol/base';
import type { Command } from '../terminal/commands.ts';
import type { Words } from '../terminal/words.ts';

type Lines = readonly string[];

const NOTHING_OPEN: Lines = ['Open a conversation first: /list shows them, /new ADDRESS starts one.'];

/** What the commands of a chat do on a device, and what they say. The terminal cleans every line. */
export class ChatActions {
  readonly #client: NorcClient;
  readonly #words: Words;
  readonly #show: (id: ConversationId) => Promise<void>;
  readonly #arrived: (user: UserAddress) => Promise<boolean>;

  /** `arrived`: whether a conversation with exactly this person is here, or comes in within a moment; it is open then. */
  constructor(
    client: NorcClient,
    words: Words,
    show: (id: ConversationId) => Promise<void>,
    arrived: (user: UserAddress) => Promise<boolean>,
  ) {
    this.#client = client;
    this.#words = words;
    this.#show = show;
    this.#arrived = arrived;
  }

  async run(command: Command, open: ConversationView | undefined): Promise<Lines> {
    if (command.name === 'new') return await this.#withPeople(command.people, (users) => this.#start(users));
    if (open === undefined) return NOTHING_OPEN;
    switch (command.name) {
      case 'add':
        return await this.#withPeople(command.people, (users) => this.#add(open, users));
      case 'remove':
        return await this.#withPeople(command.people, (users) => this.#remove(open, users));
      case 'title':
        return this.#said(await this.#client.rename(open.conversationId, command.title));
      case 'members':
        return await this.#members(open);
      case 'info':
        return await this.#info(open);
      case 'read':
        await this.#client.markRead(open.conversationId, Math.max(0, ...open.items.map(({ seq }) => seq ?? 0)));
        return [];
      case 'retry':
        return await this.#retry(open);
      default:
        return await this.#onMessage(command, open);
    }
  }

  /** What refers to a message: to the last one by somebody else, or to the last own one. */
  async #onMessage(command: Command, { conversationId, items }: ConversationView): Promise<Lines> {
    const sent = items.filter((item): item is MessageItem => item.type === 'message' && item.seq !== undefined);
    const theirs = sent.findLast(({ own }) => !own);
    const own = sent.findLast(({ own: mine, content }) => mine && content.type === 'text');
    switch (command.name) {
      case 'reply':
        if (theirs === undefined) return ['There is no message by somebody else to answer.'];
        return this.#said(await this.#client.send(conversationId, command.text, { replyTo: theirs.messageId }));
      case 'react': {
        if (theirs === undefined) return ['There is no message by somebody else to react to.'];
        const removed = theirs.reactions.some(({ emoji, mine }) => mine && emoji === command.emoji);
        return this.#said(await this.#client.react(conversationId, theirs.messageId, command.emoji, removed));
      }
      case 'edit':
        if (own === undefined) return ['There is no message of yours to change.'];
        return this.#said(await this.#client.edit(conversationId, own.messageId, command.text));
      case 'delete':
        if (own === undefined) return ['There is no message of yours to delete.'];
        return this.#said(await this.#client.deleteMessage(conversationId, own.messageId));
      default:
        return [];
    }
  }

  async #retry({ conversationId, items }: ConversationView): Promise<Lines> {
    const failed = items.filter(
      (item): item is MessageItem => item.type === 'message' && item.state?.state === 'failed',
    );
    if (failed.length === 0) return ['Everything was sent.'];
    for (const { messageId } of failed) {
      const lines = this.#said(await this.#client.resend(conversationId, messageId));
      if (lines.length > 0) return lines;
    }
    return [];
  }

  // ---- people ----

  /** With one person: the conversation that there is, and a new one where there is none. */
  async openWith(user: UserAddress): Promise<Lines> {
    return (await this.#arrived(user)) ? [] : await this.#begin([user]);
  }

  async #start(users: readonly UserAddress[]): Promise<Lines> {
    const [only, another] = users;
    return only !== undefined && another === undefined ? await this.openWith(only) : await this.#begin(users);
  }

  /** False when there is no conversation with exactly this person yet. */
  async openKnown(user: UserAddress): Promise<boolean> {
    for (const { conversationId, kind, standing } of await this.#client.conversations()) {
      if (kind !== 'direct' || standing === 'left' || standing === 'closed') continue;
      const view = await this.#client.timeline(conversationId, { limit: 1 });
      const [only, another] = view?.people ?? [];
      if (only?.user !== user || another !== undefined) continue;
      await this.#show(conversationId);
      return true;
    }
    return false;
  }

  async #begin(users: readonly UserAddress[]): Promise<Lines> {
    const created = await this.#client.createConversation({ users });
    if (!created.ok) return this.#said(created);
    await this.#show(created.value);
    return [];
  }

  async #add({ conversationId }: ConversationView, users: readonly UserAddress[]): Promise<Lines> {
    return this.#said(await this.#client.addParticipants(conversationId, users));
  }

  async #remove({ conversationId, people }: ConversationView, users: readonly UserAddress[]): Promise<Lines> {
    const stranger = users.find((user) => !people.some((person) => person.user === user));
    if (stranger !== undefined) return [`${stranger} is not in this conversation. /members shows who is.`];
    for (const user of users) {
      const lines = this.#said(await this.#client.removeParticipant(conversationId, user));
      if (lines.length > 0) return lines;
    }
    return [];
  }

  /** A bare name is one of the own organisation. */
  async #withPeople(typed: readonly string[], act: (users: readonly UserAddress[]) => Promise<Lines>): Promise<Lines> {
    const users: UserAddress[] = [];
    for (const text of typed) {
      const parsed = parseUserAddress((text.includes('@') ? text : `${text}@${this.#client.self.org}`).toLowerCase());
      if (!parsed.ok) return [`“${text}” is not an address. One looks like ben@bravo.example.`];
      if (parsed.value === this.#client.self.user) return ['That is you.'];
      users.push(parsed.value);
    }
    return await act(users);
  }

  // ---- about the conversation ----

  async #members({ conversationId }: ConversationView): Promise<Lines> {
    return (await this.#client.members(conversationId)).map(memberLine);
  }

  async #info(open: ConversationView): Promise<Lines> {
    const members = await this.#client.members(open.conversationId);
    const devices = members.reduce((sum, member) => sum + member.devices.length, 0);
    const { self } = this.#client;
    const others = open.people.map(({ user }) => user);
    const organisations = [...new Set(others.map(domainOf))].filter((org) => org !== self.org);
    return [
      `${en.encryptedTo(devices)}, with keys that are safe from quantum computers. No server can read it.`,
      ...organisations.map((org) => `Trust with ${org}: ${LEVEL_CHIPS[open.level].word}. ${en.level(open.level, org)}`),
      ...(organisations.length === 0 ? [`Everybody here is in your organisation, ${self.org}.`] : []),
      ...this.#sessionLines(),
      ...(await this.#safetyLines(others)),
    ];
  }

  #sessionLines(): Lines {
    const { status } = this.#client;
    if (status.state !== 'ready') return [];
    const { version, suite, transcript, compatibilityMode } = status.facts;
    const mode = compatibilityMode ? ' (compatibility mode: the server or this program is older than the other)' : '';
    return [`Connection to your server: version ${version}${mode}, ${suite}, transcript ${transcript}.`];
  }

  async #safetyLines(users: readonly UserAddress[]): Promise<Lines> {
    const lines: string[] = [];
    for (const user of users) {
      const number = await this.#client.safetyNumber(user);
      if (number === undefined) continue;
      const groups = safetyNumberGroups(number);
      lines.push(`Safety number with ${user}: compare it in person or on a call, not here.`);
      for (let i = 0; i < groups.length; i += GROUPS_ON_LINE)
        lines.push(`  ${groups.slice(i, i + GROUPS_ON_LINE).join(' ')}`);
    }
    return lines;
  }

  /** Nothing when it went well: the conversation itself shows what happened. */
  #said(outcome: Result<unknown, ClientReject>): Lines {
    return outcome.ok ? [] : [en.problem(outcome.error.problem, this.#words.context)];
  }
}

const GROUPS_ON_LINE = 6;

function memberLine({ user, devices }: MemberView): string {
  const count = devices.length === 1 ? 'one device' : `${devices.length} devices`;
  return `${user}  ${count}${devices.some(({ own }) => own) ? ', this one among them' : ''}`;
}
