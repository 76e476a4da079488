import { en, type MessageItem, type MessageState, plainContext } from '@norc/client';
import type { ConversationId, MessageId, UserAddress } from '@norc/protocol/base';
import type { AdminClient } from '../admin-client.ts';
import type { DemoDevice } from './devices.ts';
import { durationText, type Stage, timed } from './stage.ts';
import { expect } from './wait.ts';
import { messageIn, textOf, watch } from './watch.ts';

export interface Cast {
  readonly annaPhone: DemoDevice;
  readonly annaLaptop: DemoDevice;
  readonly benLaptop: DemoDevice;
}

const QUESTION = 'Good morning Ben. The pumps leave our depot on Thursday. Can you take them in?';
const ANSWER = 'Yes. Gate 4, any time from eight. Ask for Carla.';
const THANKS = 'Thank you. The driver knows.';

export interface Played {
  readonly conversation: ConversationId;
  readonly first: { readonly text: string; readonly seq: number; readonly readBy: string };
}

/** The script: three messages across the border, each followed from writing to reading. `hub`: anna's own server. */
export async function playConversation(stage: Stage, cast: Cast, hub: AdminClient): Promise<Played> {
  const { annaPhone, annaLaptop, benLaptop } = cast;
  const conversation = await beginConversation(stage, annaPhone, benLaptop.client.self.user);
  await Promise.all([joined(annaLaptop, conversation), joined(benLaptop, conversation)]);
  stage.say("It is there on ben's laptop and on anna's second device.");

  stage.blank();
  const say = (parts: Parts, text: string) => exchange({ stage, hub, conversation }, parts, text);
  const first = await say({ from: annaPhone, reader: benLaptop, also: annaLaptop }, QUESTION);
  await say({ from: benLaptop, reader: annaPhone, also: annaLaptop }, ANSWER);
  await say({ from: annaLaptop, reader: benLaptop, also: annaPhone }, THANKS);
  return { conversation, first: { text: QUESTION, seq: first.seq ?? 0, readBy: nameOf(benLaptop) } };
}

async function beginConversation(stage: Stage, { client }: DemoDevice, ben: UserAddress): Promise<ConversationId> {
  const { value: created, ms } = await timed(() => client.createConversation({ users: [ben] }));
  const context = plainContext(client.self.user, String);
  expect(created.ok, created.ok ? '' : `The conversation was refused: ${en.problem(created.error.problem, context)}`);
  const members = await client.members(created.value);
  const devices = members.reduce((sum, member) => sum + member.devices.length, 0);
  expect(devices === 3, `The group has ${devices} devices, not 3.`);
  stage.say(`anna starts a conversation with ben: an MLS group of ${devices} devices`, ms);
  stage.say('MLS as in RFC 9420, suite 0xF101: X-Wing, BLAKE3, ChaCha20-Poly1305, Ed25519');
  return created.value;
}

function joined({ client, name }: DemoDevice, conversation: ConversationId): Promise<true> {
  const otherwise = `The conversation did not come to ${client.self.user}'s ${name}.`;
  return watch(client, conversation, () => true as const, otherwise);
}

interface Parts {
  readonly from: DemoDevice;
  readonly reader: DemoDevice;
  /** Sees it too, since it is a device of one of the two. */
  readonly also: DemoDevice;
}

interface Setting {
  readonly stage: Stage;
  readonly hub: AdminClient;
  readonly conversation: ConversationId;
}

/** One message: written, ordered, delivered, read; the writer's device shows each of it. */
async function exchange({ stage, hub, conversation: id }: Setting, parts: Parts, text: string): Promise<MessageItem> {
  const { from, reader, also } = parts;
  const begin = performance.now();
  const sent = await from.client.send(id, text);
  expect(sent.ok, 'The message was refused.');
  const messageId = sent.value;
  stage.quote(nameOf(from), `“${text}”`);
  const shows = async (states: readonly MessageState['state'][]) => {
    await watchState(from, id, messageId, states);
    return durationText(performance.now() - begin);
  };
  const [ordered, delivered, received] = await Promise.all([
    shows(['sent', 'delivered', 'read']),
    shows(['delivered', 'read']),
    arrived(reader, id, messageId, text),
    arrived(also, id, messageId, text),
  ]);
  await reader.client.markRead(id, received.seq ?? 0);
  const read = await shows(['read']);
  const { epoch } = await hub.get<{ epoch: number }>('/entry', { conversation: id, seq: received.seq ?? 0 });
  stage.say(`epoch ${epoch}, sent ${ordered}, delivered ${delivered}, read by ${nameOf(reader)} ${read}`);
  return received;
}

function arrived(device: DemoDevice, id: ConversationId, messageId: MessageId, text: string): Promise<MessageItem> {
  const find = (view: Parameters<typeof messageIn>[0]) => {
    const item = messageIn(view, messageId);
    return item?.seq !== undefined && textOf(item) === text ? item : undefined;
  };
  return watch(device.client, id, find, `The message did not come to ${nameOf(device)}, or came with other words.`);
}

/** Until the writer's device shows one of these states. */
function watchState(
  from: DemoDevice,
  id: ConversationId,
  messageId: MessageId,
  states: readonly MessageState['state'][],
) {
  const find = (view: Parameters<typeof messageIn>[0]) => {
    const state = messageIn(view, messageId)?.state?.state;
    return state !== undefined && states.includes(state) ? state : undefined;
  };
  return watch(from.client, id, find, `${nameOf(from)} does not show the message as ${states[0]}.`);
}

/** `anna (phone)` */
function nameOf({ client, name }: DemoDevice): string {
  return `${client.self.user.split('@')[0]} (${name})`;
}
