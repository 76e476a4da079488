import { resolve } from 'node:path';
import { type Ed25519Signer, KeyFileError, openSealedSigner, openSignerFile } from '@norc/crypto/node';
import { CommandError, type CommandInput, EXIT, type OptionHelp } from '../command.ts';
import { type Asking, askingOnTerminal, askNewPassphrase, askSecret, readPassphraseFile } from '../terminal/prompt.ts';

/** Keys of people: an officer's own, sealed with a passphrase, and the organisation's root key. */

const INSTEAD = '--passphrase-file FILE';

export const PASSPHRASE_OPTION: OptionHelp = {
  name: 'passphrase-file',
  value: 'FILE',
  text: 'A file whose first line is the passphrase, to be asked nothing.',
};
/** Of every command that an officer may sign. */
export const OFFICER_OPTIONS: readonly OptionHelp[] = [
  { name: 'officer', value: 'KEY', text: 'Your officer key: what you do here is signed with it.' },
  PASSPHRASE_OPTION,
];

/** Where an officer's key is, and what opens it. The passphrase is never an argument or a variable. */
export interface OfficerKeySource {
  readonly keyFile: string;
  /** Asked for on the terminal when absent. */
  readonly passphraseFile?: string;
  readonly asking?: Asking;
}

/** The key that a command line names with `--officer`, or nothing. */
export function officerSource({ options }: CommandInput): OfficerKeySource | undefined {
  const file = options.get('officer');
  const passphraseFile = options.get('passphrase-file');
  if (file === undefined) return undefined;
  return { keyFile: resolve(file), ...(passphraseFile === undefined ? {} : { passphraseFile }) };
}

/** As `officerSource`, for a command that cannot do without. */
export function requiredOfficerSource(input: CommandInput, command: string): OfficerKeySource {
  const source = officerSource(input);
  if (source !== undefined) return source;
  throw new CommandError(EXIT.usage, 'This is signed with an officer key.', `${command} --officer KEY`);
}

/** Opens an officer's key; the caller closes it. */
export async function openOfficerKey({ keyFile, passphraseFile, asking }: OfficerKeySource): Promise<Ed25519Signer> {
  const passphrase =
    passphraseFile === undefined
      ? await askSecret(asking ?? askingOnTerminal, `Passphrase of ${keyFile}:`, INSTEAD)
      : await readPassphraseFile(passphraseFile);
  return await openSealedSigner(keyFile, passphrase).catch(explainKeyFile);
}

export async function newPassphrase({ options }: CommandInput): Promise<string> {
  const file = options.get('passphrase-file');
  return file === undefined
    ? await askNewPassphrase(askingOnTerminal, INSTEAD)
    : await readPassphraseFile(file, { isNew: true });
}

/** Opens the root key of an organisation; the caller closes it. */
export async function openRootKey(file: string, publicKey: Uint8Array | undefined): Promise<Ed25519Signer> {
  const signer = await openSignerFile(file).catch((cause: unknown) => {
    if (!(cause instanceof KeyFileError) || cause.fault !== 'missing') throw explainedKeyFile(cause);
    const next = 'Fetch it from where it is kept, and name it: --root-key FILE';
    throw new CommandError(EXIT.unavailable, `The root key is not in ${file}.`, next, { cause });
  });
  if (publicKey === undefined || Buffer.from(publicKey).equals(signer.publicKey)) return signer;
  signer.close();
  throw new CommandError(EXIT.badData, `${file} is not the root key of this organisation.`, 'norc org show');
}

/** What is wrong with a key file is the matter of whoever holds it, not of the server. */
export function explainKeyFile(cause: unknown): never {
  throw explainedKeyFile(cause);
}

function explainedKeyFile(cause: unknown): unknown {
  if (!(cause instanceof KeyFileError)) return cause;
  const sentence = `${cause.message}.`;
  switch (cause.fault) {
    case 'wrong_passphrase':
      return new CommandError(EXIT.noPermission, sentence, 'Try again. Nobody can open it without.', { cause });
    case 'not_private':
      return new CommandError(EXIT.noPermission, sentence, undefined, { cause });
    case 'exists':
      return new CommandError(EXIT.cannotCreate, sentence, 'Name another file with --out FILE.', { cause });
    case 'missing':
      return new CommandError(EXIT.unavailable, sentence, 'norc officer init makes an officer key.', { cause });
    case 'not_a_key':
      return new CommandError(EXIT.badData, sentence, undefined, { cause });
  }
}
