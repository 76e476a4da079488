import { parseDeviceId } from '@norc/protocol/base';
import { type Command, CommandError, EXIT, positional } from '../command.ts';
import { hint, note, print, printJson, printTable } from '../output.ts';
import { adminClient, JSON_OPTION, SERVER_OPTIONS, userArgument, utcTime } from './shared.ts';
import { explainUnknownUser } from './user.ts';

interface DeviceView {
  readonly device_id: string;
  readonly name: string;
  readonly enrolled_at: number;
  readonly revoked_at?: number;
}

export const deviceList: Command = {
  words: ['device', 'list'],
  topic: 'people',
  arguments: 'NAME@DOMAIN',
  summary: "List a person's devices.",
  options: [...SERVER_OPTIONS, JSON_OPTION],
  argumentsMax: 1,
  async run(input) {
    const { user, domain } = userArgument(positional(input, 0, 'NAME@DOMAIN'));
    const client = await adminClient(input, domain);
    const { devices } = await client
      .get<{ devices: readonly DeviceView[] }>('/devices', { user })
      .catch(explainUnknownUser(user));
    if (input.flags.has('json')) printJson(devices);
    else if (devices.length === 0) {
      note(`${user} has no devices.`);
      hint(`norc enroll ${user}`);
    } else
      printTable(
        ['DEVICE', 'NAME', 'STATE', 'SINCE (UTC)'],
        devices.map(({ device_id, name, enrolled_at, revoked_at }) => [
          device_id,
          name,
          revoked_at === undefined ? 'active' : 'revoked',
          utcTime(revoked_at ?? enrolled_at),
        ]),
      );
    return EXIT.ok;
  },
};

export const deviceRevoke: Command = {
  words: ['device', 'revoke'],
  topic: 'people',
  arguments: 'DEVICE',
  summary: 'Put a device out: its sessions end, it gets no new messages.',
  help: 'DEVICE is the id that norc device list shows. This cannot be undone; the person adds the device again as a new one.',
  options: [...SERVER_OPTIONS, { name: 'yes', text: 'You mean it. Nothing happens without it.' }],
  argumentsMax: 1,
  async run(input) {
    const text = positional(input, 0, 'DEVICE').toLowerCase().replaceAll('-', '');
    const id = parseDeviceId(text);
    if (!id.ok) throw new CommandError(EXIT.usage, `'${text}' is not a device id.`, 'norc device list NAME@DOMAIN');
    if (!input.flags.has('yes')) {
      throw new CommandError(
        EXIT.usage,
        'This puts the device out for good.',
        `If you mean it: norc device revoke ${text} --yes`,
      );
    }
    const client = await adminClient(input);
    const { user } = await client.post<{ user: string }>('/devices/revoke', { device_id: id.value });
    print(`The device of ${user} is out.`);
    return EXIT.ok;
  },
};
