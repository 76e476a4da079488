import { StoreError, type StoreFault } from '@norc/client';
import { KeyFileError } from '@norc/crypto/node';
import { ConfigError, IdentityError, ListenError, StorageError, TlsIdentityError } from '@norc/server';
import { AdminRefusal } from './admin-client.ts';
import { CommandError, EXIT, type ExitCode } from './command.ts';

/** What any command's failure means to a person; undefined for a fault that has no words: a bug. */
export function explainFailure(error: unknown): CommandError | undefined {
  if (error instanceof CommandError) return error;
  if (error instanceof AdminRefusal) return new CommandError(EXIT.failure, `${error.message} [${error.code}]`);
  if (error instanceof ConfigError) {
    const next = 'Correct the settings; docs/configuration.md explains each.';
    return new CommandError(EXIT.badConfig, `The server cannot start. ${sentence(error.message)}`, next);
  }
  if (error instanceof ListenError) return listenFailure(error);
  if (error instanceof StorageError) return storageFailure(error);
  if (error instanceof StoreError) return profileFailure(error);
  if (error instanceof IdentityError || error instanceof KeyFileError || error instanceof TlsIdentityError) {
    return new CommandError(EXIT.badConfig, sentence(error.message), 'norc doctor checks the keys.');
  }
  return undefined;
}

function listenFailure(error: ListenError): CommandError {
  const port = `${error.host}:${error.port}`;
  switch (error.fault) {
    case 'in_use':
      return new CommandError(
        EXIT.inUse,
        `Another program already listens on ${port}.`,
        'Stop it, or choose another port with --listen HOST:PORT (devices) or --federation HOST:PORT (servers).',
      );
    case 'not_permitted':
      return new CommandError(EXIT.noPermission, sentence(error.message));
    default:
      return new CommandError(EXIT.badConfig, sentence(error.message));
  }
}

const STORAGE: Readonly<Record<StorageError['fault'], readonly [ExitCode, string]>> = {
  locked: [EXIT.inUse, 'Is the server already running on this data folder? Stop it, or use another with --data.'],
  newer_schema: [EXIT.badData, 'Start the newer version of NORC that wrote it, or restore the backup made before.'],
  corrupt: [EXIT.badData, 'Restore the database from a backup, and look at the disk.'],
  disk_full: [EXIT.storage, 'Make room on the disk and start again. Nothing that was acknowledged is lost.'],
  io: [EXIT.storage, 'Look at the disk and at the permissions of the data folder: norc doctor'],
};

function storageFailure({ fault, message }: StorageError): CommandError {
  const [exitCode, next] = STORAGE[fault];
  return new CommandError(exitCode, sentence(message), next);
}

const PROFILE: Readonly<Record<StoreFault, readonly [ExitCode, string | undefined]>> = {
  wrong_passphrase: [
    EXIT.noPermission,
    'Try again. Without its passphrase or secret a profile cannot be opened by anybody.',
  ],
  in_use: [EXIT.inUse, 'Close NORC there, or use another profile with --profile FOLDER.'],
  newer_schema: [EXIT.badData, 'Start the newer version of NORC that wrote it.'],
  corrupt: [EXIT.badData, 'Restore the profile from a backup, or add this device again as a new one: norc enroll CODE'],
  disk_full: [EXIT.storage, 'Make room on the disk and start again.'],
  permissions: [EXIT.noPermission, undefined],
  absent: [EXIT.cannotCreate, 'Make a profile with: norc enroll CODE. Or name another with --profile FOLDER.'],
  closed: [EXIT.failure, undefined],
  io: [EXIT.storage, 'Look at the disk and at the permissions of the profile.'],
};

function profileFailure({ fault, message }: StoreError): CommandError {
  const [exitCode, next] = PROFILE[fault];
  return new CommandError(exitCode, sentence(message), next);
}

/** Capital letter and full stop: messages of the packages begin in lower case. */
function sentence(message: string): string {
  const text = message.charAt(0).toUpperCase() + message.slice(1);
  return /[.!?:)]$/.test(text) ? text : `${text}.`;
}
