import { type Command, type CommandInput, EXIT, type ExitCode, positional } from '../command.ts';
import { enrollDevice } from '../device/enroll-device.ts';
import { PROFILE_OPTION, UNLOCK_OPTIONS } from '../device/profile.ts';
import { note, print, printJson } from '../output.ts';
import { adminClient, JSON_OPTION, SERVER_OPTIONS, userArgument, utcTime } from './shared.ts';
import { explainUnknownUser } from './user.ts';

export const enroll: Command = {
  words: ['enroll'],
  topic: 'people',
  arguments: 'USER|CODE',
  summary: 'Make a one-time code for a person (server), or use one (device).',
  help: `On the server:  norc enroll anna@alpha.example   prints a code for one new device of that person.
On the device:  norc enroll norc1-…               makes this device theirs.

The code carries the server's address and the fingerprint of the organisation's root key, so the first connection
already knows whom to expect. It works once. Until then it is a secret: hand it over on a way that you trust.`,
  options: [
    ...SERVER_OPTIONS,
    JSON_OPTION,
    PROFILE_OPTION,
    ...UNLOCK_OPTIONS,
    { name: 'name', value: 'DEVICE', text: "The device's name in lists (default: this machine's)." },
  ],
  argumentsMax: 64, // a code that was copied over several lines comes in parts
  async run(input) {
    const text = positional(input, 0, 'USER or CODE');
    if (text.includes('@')) return await issueCode(input, text);
    return await enrollDevice(input, input.positionals.join(''));
  },
};

async function issueCode(input: CommandInput, text: string): Promise<ExitCode> {
  const { user, domain } = userArgument(text);
  const client = await adminClient(input, domain);
  const issued = await client
    .post<{ code: string; expires_at: number }>('/enrolments', { user })
    .catch(explainUnknownUser(user));
  if (input.flags.has('json')) {
    printJson({ user, ...issued });
    return EXIT.ok;
  }
  note(`One new device of ${user}, until ${utcTime(issued.expires_at)} UTC. On that device:`);
  print(`npx norc enroll ${issued.code}`);
  note('The code works once. Until then it is a secret.');
  return EXIT.ok;
}
