import { nodeClock } from '@norc/crypto/node';
import { parseUserAddress, type UserAddress } from '@norc/protocol/base';
import { ClientPort } from '../chat/client-port.ts';
import { type Command, CommandError, type CommandInput, EXIT } from '../command.ts';
import { hasProfile } from '../device/known-device.ts';
import { connectDevice, openDevice } from '../device/open-device.ts';
import { knownUnlock, PROFILE_OPTION, profileFolder, UNLOCK_OPTIONS } from '../device/profile.ts';
import { note } from '../output.ts';
import { runChat } from '../terminal/chat.ts';
import { localTimeFormat } from '../terminal/chat-model.ts';
import { wordsFor } from '../terminal/words.ts';

export const chat: Command = {
  words: ['chat'],
  topic: 'begin',
  arguments: '',
  summary: 'Read and write messages.',
  help: `On a terminal this fills the screen; F1 or /help shows the keys and commands, /quit leaves. With --plain, or where
there is no terminal, it is one line for each thing that happens, and each line of input is a message or a command.
At the end of the input it waits until the server has everything that was written.`,
  options: [
    PROFILE_OPTION,
    ...UNLOCK_OPTIONS,
    { name: 'to', value: 'NAME@DOMAIN', text: 'Open the conversation with this person, or start it.' },
    { name: 'plain', text: 'Lines only: for screen readers, logs and programs.' },
    { name: 'bell', text: 'Ring the terminal bell when a message comes in.' },
  ],
  async run(input) {
    const folder = profileFolder(input);
    const to = addressOption(input);
    if (!hasProfile(folder)) {
      throw new CommandError(
        EXIT.cannotCreate,
        `There is no device in ${folder}.`,
        'Make it one with: norc enroll CODE',
      );
    }
    const client = await openDevice(folder, await knownUnlock(input, folder));
    const words = wordsFor(client.self.user, localTimeFormat());
    const port = await ClientPort.open({ client, clock: nodeClock, words, fault: reportFault });
    try {
      client.connect();
      const plain = input.flags.has('plain');
      if (to !== undefined) await openWith(port, client, to);
      else await openUsual(port, plain);
      const exitCode = await runChat({ port, plain, bell: input.flags.has('bell'), environment: process.env });
      const left = await port.unsent();
      if (left > 0) {
        note(
          `${left === 1 ? 'One message is' : `${left} messages are`} not sent yet. The next chat sends what is kept here.`,
        );
        return EXIT.timeout;
      }
      return exitCode === 0 ? EXIT.ok : EXIT.failure;
    } finally {
      port.close();
      await client.close();
    }
  },
};

function addressOption({ options }: CommandInput): UserAddress | undefined {
  const text = options.get('to');
  if (text === undefined) return undefined;
  const parsed = parseUserAddress(text.toLowerCase());
  if (parsed.ok) return parsed.value;
  throw new CommandError(EXIT.usage, `'${text}' is not an address.`, 'An address looks like ben@bravo.example.');
}

/** Starting a conversation needs the server; a known one opens without it. */
async function openWith(port: ClientPort, client: Parameters<typeof connectDevice>[0], to: UserAddress): Promise<void> {
  if (await port.openKnown(to)) return;
  await connectDevice(client);
  const [problem] = await port.openWith(to);
  if (problem !== undefined) throw new CommandError(EXIT.failure, problem);
}

/** Where the person most likely goes on. Lines from a program must not go to whatever is newest by chance. */
async function openUsual(port: ClientPort, plain: boolean): Promise<void> {
  const [newest, another] = port.model().conversations;
  const somebodyLooks = !plain && process.stdin.isTTY === true;
  if (newest !== undefined && (another === undefined || somebodyLooks)) await port.open(newest.conversationId);
}

function reportFault(fault: unknown): void {
  const words = fault instanceof Error ? `${fault.name}: ${fault.message}` : 'unknown fault';
  note(`norc: something failed here. ${words}`);
}
