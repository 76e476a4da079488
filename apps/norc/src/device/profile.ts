import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { createSecretFile, type Unlock } from '@norc/client/platform/node';
import { nodeRandom } from '@norc/crypto/node';
import type { CommandInput, OptionHelp } from '../command.ts';
import { note } from '../output.ts';
import { askingOnTerminal, askNewPassphrase, askSecret, readPassphraseFile } from '../terminal/prompt.ts';

/** Where `norc client` and `norc enroll` keep a device, below the current folder. */
const DEFAULT_PROFILE = join('.norc', 'client');
const INSTEAD = '--unlock-file FILE or --passphrase-file FILE';

export const PROFILE_OPTION: OptionHelp = {
  name: 'profile',
  value: 'FOLDER',
  text: `Where this device is kept (default: NORC_PROFILE, or ${DEFAULT_PROFILE}).`,
};
/** Of every command that opens a profile. */
export const UNLOCK_OPTIONS: readonly OptionHelp[] = [
  {
    name: 'unlock-file',
    value: 'FILE',
    text: 'A secret file that opens the profile (or NORC_UNLOCK_FILE); a new profile makes it.',
  },
  { name: 'passphrase-file', value: 'FILE', text: 'A file whose first line is the passphrase, to be asked nothing.' },
];

export function profileFolder({ options }: CommandInput): string {
  return resolve(options.get('profile') ?? variable('NORC_PROFILE') ?? DEFAULT_PROFILE);
}

function secretFile({ options }: CommandInput): string | undefined {
  const file = options.get('unlock-file') ?? variable('NORC_UNLOCK_FILE');
  return file === undefined ? undefined : resolve(file);
}

function variable(name: string): string | undefined {
  const value = process.env[name];
  return value === undefined || value === '' ? undefined : value;
}

/** For a new profile: the named secret file, a passphrase from a file, or one that is typed twice. */
export async function newUnlock(input: CommandInput, folder: string): Promise<Unlock> {
  const file = secretFile(input);
  if (file !== undefined) return await unlockBySecretFile(folder, file);
  const passphraseFile = input.options.get('passphrase-file');
  if (passphraseFile !== undefined) return { passphrase: await readPassphraseFile(passphraseFile, { isNew: true }) };
  if (process.stdin.isTTY) note('A passphrase protects what this device keeps. Nobody can recover it.');
  return { passphrase: await askNewPassphrase(askingOnTerminal, INSTEAD) };
}

/** Opens with a file from now on; makes it when it is missing. */
export async function unlockBySecretFile(folder: string, file: string): Promise<Unlock> {
  if (!existsSync(file)) await createSecretFile(file, nodeRandom);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await writeFile(join(folder, NOTE_FILE), `${JSON.stringify({ secret_file: file })}\n`, { mode: 0o600 });
  return { secretFile: file };
}

/** For a profile that is there: as the command line says, as it was made, or by asking. */
export async function knownUnlock(input: CommandInput, folder: string): Promise<Unlock> {
  const file = secretFile(input) ?? (await notedSecretFile(folder));
  if (file !== undefined) return { secretFile: file };
  const passphraseFile = input.options.get('passphrase-file');
  if (passphraseFile !== undefined) return { passphrase: await readPassphraseFile(passphraseFile) };
  return { passphrase: await askSecret(askingOnTerminal, 'Passphrase:', INSTEAD) };
}

/** Where the secret file is that opens this profile, so that nobody has to say it each time. Holds no secret. */
const NOTE_FILE = 'unlock.json';

async function notedSecretFile(folder: string): Promise<string | undefined> {
  try {
    const parsed = JSON.parse(await readFile(join(folder, NOTE_FILE), 'utf8')) as { secret_file?: unknown }; // checked below
    return typeof parsed.secret_file === 'string' ? parsed.secret_file : undefined;
  } catch {
    return undefined; // none, or damaged: then the passphrase is asked for, which says what is wrong
  }
}
