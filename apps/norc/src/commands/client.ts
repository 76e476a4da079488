import { hostname, userInfo } from 'node:os';
import { join } from 'node:path';
import { addressText, isLoopbackHost, type SessionFacts } from '@norc/client';
import { nodeCrypto } from '@norc/crypto/node';
import { parseUserAddress, toHex } from '@norc/protocol/base';
import { fingerprintText, rootKeyFingerprint } from '@norc/protocol/crypto';
import type { AdminClient } from '../admin-client.ts';
import { type Command, CommandError, type CommandInput, EXIT, type ExitCode } from '../command.ts';
import { checkCode, enrollWith } from '../device/enroll-device.ts';
import { hasProfile, type KnownDevice, readDevice } from '../device/known-device.ts';
import { connectDevice, openDevice, suiteWords } from '../device/open-device.ts';
import { type ProbeAddress, probeServer } from '../device/probe.ts';
import {
  knownUnlock,
  newUnlock,
  PROFILE_OPTION,
  profileFolder,
  UNLOCK_OPTIONS,
  unlockBySecretFile,
} from '../device/profile.ts';
import { type Fact, fingerprintLines, hint, note, print, printFacts } from '../output.ts';
import { CONFIG_OPTION, DATA_OPTION, dataFolder, organisationsIn } from '../server/settings.ts';
import { adminClientOf } from './shared.ts';

const DEFAULT_SERVER = '127.0.0.1:8080';

export const client: Command = {
  words: ['client'],
  topic: 'begin',
  arguments: '',
  summary: 'Connect to a server, show what was negotiated, and register this device.',
  help: `The server is NORC_SERVER=HOST:PORT, or ${DEFAULT_SERVER}. With a development server of your own on this machine the
device is registered by itself; elsewhere it needs a code: norc enroll USER on the server. Run again, the same device
connects again. To read and write messages with it: norc chat`,
  options: [
    { name: 'server', value: 'HOST:PORT', text: `The server (default: NORC_SERVER, or ${DEFAULT_SERVER}).` },
    { name: 'code', value: 'CODE', text: 'The enrolment code (or NORC_CODE).' },
    { name: 'name', value: 'DEVICE', text: "The device's name in lists (default: this machine's)." },
    PROFILE_OPTION,
    ...UNLOCK_OPTIONS,
    DATA_OPTION,
    CONFIG_OPTION,
  ],
  async run(input) {
    const folder = profileFolder(input);
    if (hasProfile(folder)) {
      const unlock = await knownUnlock(input, folder);
      const device = await readDevice(folder, unlock);
      if (device !== undefined) return await connectKnown(input, folder, device, unlock);
    }
    const address = serverAddress(input);
    const given = input.options.get('code') ?? variable('NORC_CODE');
    const local = given === undefined ? await localServer(input, address) : undefined;
    const code = given ?? (local === undefined ? undefined : await codeFrom(local));
    if (code === undefined) return await showProbe(address);
    checkCode(code);
    const unlock = await unlockFor(input, folder, local !== undefined);
    await enrollWith(folder, unlock, code, input.options.get('name') ?? hostname());
    return await register(folder, unlock, local !== undefined);
  },
};

function variable(name: string): string | undefined {
  const value = process.env[name];
  return value === undefined || value === '' ? undefined : value;
}

/** `HOST:PORT`, as the seed's client takes it; TLS everywhere but on this machine. */
function serverAddress({ options }: CommandInput): ProbeAddress {
  const text = options.get('server') ?? variable('NORC_SERVER') ?? DEFAULT_SERVER;
  const [, scheme, ipv6, name, port] = /^(wss?:\/\/)?(?:\[([0-9a-f:.]+)\]|([^:/[\]]+)):(\d{1,5})\/?$/i.exec(text) ?? [];
  const host = (ipv6 ?? name)?.toLowerCase();
  if (host === undefined || Number(port) < 1 || Number(port) > 65_535) {
    throw new CommandError(
      EXIT.usage,
      `'${text}' is not a server.`,
      'A server looks like 127.0.0.1:8080 (NORC_SERVER or --server).',
    );
  }
  const tls = scheme === undefined ? !isLoopbackHost(host) : scheme.toLowerCase() === 'wss://';
  return { host, port: Number(port), tls };
}

// ---- a device that is registered ----

async function connectKnown(
  input: CommandInput,
  folder: string,
  device: KnownDevice,
  unlock: Parameters<typeof openDevice>[1],
): Promise<ExitCode> {
  const asked = input.options.get('server') ?? variable('NORC_SERVER');
  const own = addressText(device.server);
  if (asked !== undefined && addressText(serverAddress(input)) !== own) {
    throw new CommandError(
      EXIT.usage,
      `The device in ${folder} belongs to ${device.user} at ${own}, not to ${asked}.`,
      'For a device at another server: --profile FOLDER',
    );
  }
  const connected = await openDevice(folder, unlock);
  try {
    const facts = await connectDevice(connected);
    print(`Connected to ${own}.`);
    printFacts(factsOf(device, facts));
    print(`already registered: ${device.user}, device ${device.deviceId} (${device.name})`);
  } finally {
    await connected.close();
  }
  hint('norc chat --to NAME@DOMAIN');
  return EXIT.ok;
}

async function register(folder: string, unlock: Parameters<typeof openDevice>[1], isLocal: boolean): Promise<ExitCode> {
  const device = await readDevice(folder, unlock);
  if (device === undefined) throw new CommandError(EXIT.failure, 'The device was not stored.', 'norc doctor');
  const connected = await openDevice(folder, unlock);
  try {
    const facts = await connectDevice(connected);
    await connected.reachable();
    print(`Connected to ${addressText(device.server)}.`);
    printFacts(factsOf(device, facts));
    print(`registered: ${device.user}, device ${device.deviceId} (${device.name})`);
  } finally {
    await connected.close();
  }
  if (isLocal) note(`This device is kept in ${folder} and opens without a passphrase: for trying things out.`);
  hint('norc chat --to NAME@DOMAIN');
  return EXIT.ok;
}

function factsOf({ domain, orgRootKey }: KnownDevice, facts: SessionFacts): readonly Fact[] {
  return [
    ['Organisation', domain],
    ['Root fingerprint', fingerprintLines(fingerprintText(rootKeyFingerprint(nodeCrypto, orgRootKey)))],
    ...sessionFacts(facts),
  ];
}

function sessionFacts({ version, suite, compatibilityMode, transcript }: SessionFacts): readonly Fact[] {
  return [
    ['Version', version],
    ['Suite', suiteWords(suite)],
    ['Transcript', transcript],
    ['Compatibility mode', compatibilityMode ? 'yes: the newest major version of one side is not spoken' : 'no'],
  ];
}

// ---- a device that is not ----

/** The development server of this account: whoever may open its admin socket may add people. */
async function localServer(
  input: CommandInput,
  address: ProbeAddress,
): Promise<{ admin: AdminClient; domain: string } | undefined> {
  if (!isLoopbackHost(address.host)) return undefined;
  const data = await dataFolder(input);
  for (const domain of await organisationsIn(data)) {
    const admin = adminClientOf(join(data, domain));
    const status = await admin.get<{ device_address: { port: number } }>('/status').catch(() => undefined);
    if (status?.device_address.port === address.port) return { admin, domain };
  }
  return undefined;
}

async function codeFrom({ admin, domain }: { readonly admin: AdminClient; readonly domain: string }): Promise<string> {
  const user = `${accountName()}@${domain}`;
  await admin.post('/users', { user });
  return (await admin.post<{ code: string }>('/enrolments', { user })).code;
}

/** This machine's account, as far as it can be an address. */
function accountName(): string {
  const name = accountOf()
    .toLowerCase()
    .replace(/[^a-z0-9._-]/g, '');
  return parseUserAddress(`${name}@dev.example`).ok ? name : 'guest';
}

function accountOf(): string {
  try {
    return userInfo().username;
  } catch {
    return ''; // an account without a name
  }
}

/** For trying things out a file beside the profile opens it; a device of somebody's own is protected by a passphrase. */
async function unlockFor(input: CommandInput, folder: string, isLocal: boolean) {
  const named =
    input.options.has('unlock-file') ||
    input.options.has('passphrase-file') ||
    variable('NORC_UNLOCK_FILE') !== undefined;
  return isLocal && !named
    ? await unlockBySecretFile(folder, join(folder, 'unlock.key'))
    : await newUnlock(input, folder);
}

async function showProbe(address: ProbeAddress): Promise<ExitCode> {
  const place = addressText(address);
  const probe = await probeServer(address);
  if (!probe.ok) throw probeFailure(place, probe.error.code);
  const { version, suite, compatibilityMode, transcriptHash, organisation, rootFingerprint } = probe.value;
  const transcript = (toHex(transcriptHash.subarray(0, 8)).match(/.{4}/g) ?? []).join(' ');
  print(`Connected to ${place}. Nothing about this device was sent.`);
  printFacts([
    ['Organisation', `${organisation} (as the server says)`],
    ['Root fingerprint', fingerprintLines(fingerprintText(rootFingerprint))],
    ...sessionFacts({ version, suite, compatibilityMode, transcript }),
  ]);
  print('not registered');
  note('To register this device, ask the administrator for a code (norc enroll USER, on the server).');
  hint('norc client --code CODE');
  return EXIT.ok;
}

function probeFailure(place: string, code: string): CommandError {
  if (code === 'no_route') {
    return new CommandError(
      EXIT.unavailable,
      `No NORC server answers at ${place}.`,
      'Start one: npm run server. Or name another: NORC_SERVER=HOST:PORT',
    );
  }
  return new CommandError(
    EXIT.failure,
    `The server at ${place} and this program cannot talk. [${code}]`,
    'Is one of them much older than the other?',
  );
}
