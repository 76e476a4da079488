import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';

/** What is wrong with a key file, for the operator who has to mend it. */
export type KeyFileFault = 'missing' | 'not_private' | 'not_a_key' | 'exists' | 'wrong_passphrase';

/** The message names the file and what to do; never its content. */
export class KeyFileError extends Error {
  override readonly name = 'KeyFileError';
  readonly fault: KeyFileFault;
  constructor(fault: KeyFileFault, message: string, options?: ErrorOptions) {
    super(message, options);
    this.fault = fault;
  }
}

const FILE_BYTES_MAX = 4096;
const OTHERS = 0o077;

/** A new file that only its owner can read. Throws KeyFileError `exists` rather than follow a link or overwrite a file. */
export async function createPrivateFile(path: string): Promise<FileHandle> {
  return await openKeyFile(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL);
}

/**
 * The first 4096 bytes of a key file, to be zeroed by the caller. Refuses a file that others can read, that belongs to
 * somebody else, or that is a link: what is checked is what is read. Not checked on Windows.
 */
export async function readPrivateFile(path: string): Promise<Uint8Array> {
  // A pipe would block the open for ever.
  const file = await openKeyFile(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0));
  try {
    const facts = await file.stat();
    if (!facts.isFile()) throw keyFileFault('not_a_key', path, 'is not a file');
    if (process.platform !== 'win32') {
      if ((facts.mode & OTHERS) !== 0) throw keyFileFault('not_private', path, 'is readable by others: chmod 600 it');
      if (facts.uid !== process.getuid?.()) throw keyFileFault('not_private', path, 'belongs to another user');
    }
    const bytes = new Uint8Array(FILE_BYTES_MAX);
    const { bytesRead } = await file.read(bytes, 0, bytes.length, 0);
    return bytes.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

async function openKeyFile(path: string, flags: number): Promise<FileHandle> {
  try {
    return await open(path, flags, 0o600);
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
    if (code === 'ENOENT') throw keyFileFault('missing', path, 'does not exist', cause);
    if (code === 'EEXIST') throw keyFileFault('exists', path, 'exists already; a key is never overwritten', cause);
    if (code === 'ELOOP') throw keyFileFault('not_a_key', path, 'is a link', cause);
    if (code === 'EACCES' || code === 'EPERM')
      throw keyFileFault('not_private', path, 'cannot be opened by this user', cause);
    throw cause;
  }
}

export function keyFileFault(kind: KeyFileFault, path: string, what: string, cause?: unknown): KeyFileError {
  return new KeyFileError(kind, `${path} ${what}`, cause === undefined ? undefined : { cause });
}
