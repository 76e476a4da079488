import { AdminRefusal } from '../admin-client.ts';
import { type Command, CommandError, EXIT, positional } from '../command.ts';
import { hint, note, print, printJson, printTable } from '../output.ts';
import { adminClient, JSON_OPTION, SERVER_OPTIONS, userArgument, utcTime } from './shared.ts';

interface UserList {
  readonly users: readonly { readonly user: string; readonly created_at: number; readonly devices: number }[];
}

export const userAdd: Command = {
  words: ['user', 'add'],
  topic: 'people',
  arguments: 'NAME@DOMAIN',
  summary: 'Add a person to your organisation.',
  help: 'Adding somebody who is there already changes nothing.',
  options: SERVER_OPTIONS,
  argumentsMax: 1,
  async run(input) {
    const { user, domain } = userArgument(positional(input, 0, 'NAME@DOMAIN'));
    const client = await adminClient(input, domain);
    const { added } = await client.post<{ added: boolean }>('/users', { user });
    print(added ? `${user} was added.` : `${user} was there already.`);
    hint(`norc enroll ${user}`);
    return EXIT.ok;
  },
};

export const userList: Command = {
  words: ['user', 'list'],
  topic: 'people',
  arguments: '',
  summary: 'List the people of your organisation.',
  options: [...SERVER_OPTIONS, JSON_OPTION],
  async run(input) {
    const client = await adminClient(input);
    const { users } = await client.get<UserList>('/users');
    if (input.flags.has('json')) printJson(users);
    else if (users.length === 0) {
      note('Nobody was added yet.');
      hint('norc user add NAME@DOMAIN');
    } else
      printTable(
        ['USER', 'DEVICES', 'ADDED (UTC)'],
        users.map(({ user, devices, created_at }) => [user, String(devices), utcTime(created_at)]),
      );
    return EXIT.ok;
  },
};

/** The server does not know the user that a command is about. */
export function explainUnknownUser(user: string): (cause: unknown) => never {
  return (cause) => {
    if (!(cause instanceof AdminRefusal) || cause.code !== 'user_not_found') throw cause;
    throw new CommandError(EXIT.failure, `${user} is not in your organisation.`, `norc user add ${user}`, { cause });
  };
}
