import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { AdminClient } from '../admin-client.ts';
import { type CommandInput, type OptionHelp } from '../command.ts';

/** Where a server without a configuration file keeps its data, below the current folder. */
export const DEVELOPMENT_DATA = join('.norc', 'server');

export const DATA_OPTION: OptionHelp = {
  name: 'data',
  value: 'FOLDER',
  text: `The server's data folder (default: NORC_DATA, or ${DEVELOPMENT_DATA}).`,
};
export const JSON_OPTION: OptionHelp = { name: 'json', text: 'Print JSON.' };

/** The data folder that a command means. */
export function dataFolder(input: CommandInput): string {
  return resolve(input.options.get('data') ?? process.env['NORC_DATA'] ?? DEVELOPMENT_DATA);
}

export function adminClient(input: CommandInput): AdminClient {
  return new AdminClient(join(dataFolder(input), 'admin.sock'));
}

export function hasServerData(folder: string): boolean {
  return existsSync(join(folder, 'keys', 'root.pub.json'));
}

export function localTime(milliseconds: number): string {
  return new Date(milliseconds).toISOString().slice(0, 16).replace('T', ' ');
}
