import { type Command, EXIT, positional } from '../command.ts';
import { hint, printJson, printTable } from '../terminal/output.ts';
import { adminClient, DATA_OPTION, JSON_OPTION, localTime } from './shared.ts';

interface UserList {
  readonly users: readonly { readonly user: string; readonly created_at: number; readonly devices: number }[];
}

export const userAdd: Command = {
  words: ['user', 'add'],
  arguments: 'NAME@DOMAIN',
  summary: 'Add a person to your organisation.',
  options: [DATA_OPTION],
  async run(input) {
    const user = positional(input, 0, 'NAME@DOMAIN');
    const { added } = await adminClient(input).post<{ added: boolean }>('/users', { user });
    process.stdout.write(added ? `${user} was added.\n` : `${user} was there already.\n`);
    hint(`norc enroll ${user}`);
    return EXIT.ok;
  },
};

export const userList: Command = {
  words: ['user', 'list'],
  arguments: '',
  summary: 'List the people of your organisation.',
  options: [DATA_OPTION, JSON_OPTION],
  async run(input) {
    const { users } = await adminClient(input).get<UserList>('/users');
    if (input.flags.has('json')) printJson(users);
    else if (users.length === 0) hint('norc user add NAME@DOMAIN');
    else
      printTable(
        ['USER', 'DEVICES', 'ADDED (UTC)'],
        users.map(({ user, devices, created_at }) => [user, String(devices), localTime(created_at)]),
      );
    return EXIT.ok;
  },
};
