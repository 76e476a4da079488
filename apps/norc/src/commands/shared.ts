import { join } from 'node:path';
import { parseUserAddress } from '@norc/protocol/base';
import { organisationPaths } from '@norc/server';
import { AdminClient } from '../admin-client.ts';
import { CommandError, type CommandInput, EXIT, type OptionHelp } from '../command.ts';
import { CONFIG_OPTION, DATA_OPTION, dataFolder, organisationsIn } from '../server/settings.ts';

const ORG_OPTION: OptionHelp = {
  name: 'org',
  value: 'DOMAIN',
  text: 'Which organisation, where several live on one server.',
};

/** Options of every command that asks a running server on this machine. */
export const SERVER_OPTIONS: readonly OptionHelp[] = [DATA_OPTION, CONFIG_OPTION, ORG_OPTION];
export const JSON_OPTION: OptionHelp = { name: 'json', text: 'Print JSON.' };

/** The folder of the organisation that a command is about. `domain`: when an argument already says which. */
export async function organisationFolder(input: CommandInput, domain?: string): Promise<string> {
  const data = await dataFolder(input);
  const present = await organisationsIn(data);
  const wanted = domain ?? input.options.get('org');
  if (wanted !== undefined && present.includes(wanted)) return join(data, wanted);
  const [only] = present;
  if (only === undefined) {
    const next = 'Make one with: norc org init DOMAIN. Or name another folder with --data.';
    throw new CommandError(EXIT.unavailable, `There is no organisation in ${data}.`, next);
  }
  if (wanted !== undefined) {
    throw new CommandError(EXIT.usage, `${wanted} is not in ${data}.`, `There is: ${present.join(', ')}.`);
  }
  if (present.length === 1) return join(data, only);
  throw new CommandError(
    EXIT.usage,
    `${data} has several organisations: ${present.join(', ')}.`,
    'Name one: --org DOMAIN',
  );
}

/** The admin interface of that organisation's running server. */
export async function adminClient(input: CommandInput, domain?: string): Promise<AdminClient> {
  return adminClientOf(await organisationFolder(input, domain));
}

export function adminClientOf(organisation: string): AdminClient {
  return new AdminClient(organisationPaths(organisation).adminSocket);
}

/** A user address as it was typed. Capitals do not matter. */
export function userArgument(text: string): { readonly user: string; readonly domain: string } {
  const user = text.toLowerCase();
  if (!parseUserAddress(user).ok) {
    throw new CommandError(EXIT.usage, `'${text}' is not an address.`, 'An address looks like anna@alpha.example.');
  }
  return { user, domain: user.slice(user.indexOf('@') + 1) };
}

/** `2026-11-23 09:41` */
export function utcTime(milliseconds: number): string {
  return new Date(milliseconds).toISOString().slice(0, 16).replace('T', ' ');
}
