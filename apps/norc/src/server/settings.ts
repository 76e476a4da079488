import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseDomain } from '@norc/protocol/base';
import { CONFIG_FILE_DEFAULT, loadConfig, organisationPaths, type ServerConfig } from '@norc/server';
import { CommandError, type CommandInput, EXIT, type OptionHelp } from '../command.ts';

/** A server without a configuration: for trying things out on this machine. */
const DEVELOPMENT_DATA = join('.norc', 'server');
const DEVELOPMENT_DOMAIN = 'dev.example';

export const CONFIG_OPTION: OptionHelp = {
  name: 'config',
  value: 'FILE',
  text: `The server's configuration (default: ${CONFIG_FILE_DEFAULT} here, if there is one).`,
};
export const DATA_OPTION: OptionHelp = {
  name: 'data',
  value: 'FOLDER',
  text: `The server's data folder (default: as configured; without a configuration ${DEVELOPMENT_DATA}).`,
};

export interface ServerSettings {
  readonly config: ServerConfig;
  /** No configuration file and no domains from the environment: what is missing may be made. */
  readonly development: boolean;
}

/** Reads all settings: defaults, file, environment, command line. Throws ConfigError, CommandError. */
export async function serverSettings(input: CommandInput): Promise<ServerSettings> {
  const { options } = input;
  const folder = process.cwd();
  const file = options.get('config');
  const configured =
    file !== undefined || existsSync(join(folder, CONFIG_FILE_DEFAULT)) || isSet('NORC_ORGANISATION_DOMAINS');
  const config = await loadConfig({
    ...(file === undefined ? {} : { file }),
    folder,
    environment: process.env,
    ...(configured ? {} : { fallbacks: await developmentSettings(input) }),
    overrides: overridesOf(input),
  });
  return { config, development: !configured };
}

const isSet = (variable: string): boolean => (process.env[variable] ?? '') !== '';

/** Nobody reaches a development server from outside, so it does not listen for other servers unless it is told to. */
async function developmentSettings({ options }: CommandInput) {
  const data = resolve(options.get('data') ?? process.env['NORC_ORGANISATION_DATA'] ?? DEVELOPMENT_DATA);
  const present = await organisationsIn(data);
  return {
    organisation: { domains: present.length > 0 ? present : [DEVELOPMENT_DOMAIN], data },
    federation: { enabled: false },
    log: { file: join(data, 'server.log') },
  };
}

function overridesOf({ options }: CommandInput) {
  const data = options.get('data');
  const domain = options.get('domain');
  const listen = endpointOption(options.get('listen'), 'listen');
  const federation = endpointOption(options.get('federation'), 'federation');
  const organisation = {
    ...(data === undefined ? {} : { data }),
    ...(domain === undefined ? {} : { domains: [domain] }),
  };
  return {
    ...(Object.keys(organisation).length === 0 ? {} : { organisation }),
    ...(listen === undefined ? {} : { listen }),
    ...(federation === undefined ? {} : { federation: { enabled: true, ...federation } }),
  };
}

/** `HOST:PORT`, `[ADDRESS]:PORT` or `PORT` alone. What the parts may be is the configuration's to say. */
function endpointOption(text: string | undefined, name: string) {
  if (text === undefined) return undefined;
  const [, address, host, port] = /^(?:\[([0-9a-f:.]+)\]:|([^:[\]]+):)?(\d{1,5})$/i.exec(text) ?? [];
  if (port === undefined) {
    throw new CommandError(EXIT.usage, `--${name} is not HOST:PORT.`, `For example: --${name} 127.0.0.1:8080`);
  }
  const named = address ?? host;
  return { ...(named === undefined ? {} : { host: named }), port: Number(port) };
}

/** The data folder that a command means. The configuration is read only where the command line does not say it. */
export async function dataFolder(input: CommandInput): Promise<string> {
  const data = input.options.get('data');
  return data === undefined ? (await serverSettings(input)).config.organisation.data : resolve(data);
}

/** Domains of the organisations whose keys are in a data folder. */
export async function organisationsIn(data: string): Promise<readonly string[]> {
  const entries = await readdir(data, { withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => entry.isDirectory() && parseDomain(entry.name).ok)
    .map((entry) => entry.name)
    .filter((name) => existsSync(organisationPaths(join(data, name)).rootPublic))
    .sort();
}
