import { constants } from 'node:fs';
import { type FileHandle, mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Random } from '@norc/protocol/base';
import { StoreError } from '../../store/port.ts';

const SECRET_BYTES = 32;
const OTHERS = 0o077;

/** Makes the secret that opens a profile without a passphrase: 32 random bytes that only this user can read. */
export async function createSecretFile(path: string, random: Random): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const file = await openFile(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL);
  try {
    await file.writeFile(random.bytes(SECRET_BYTES));
    await file.sync();
  } finally {
    await file.close();
  }
}

/**
 * Refuses a file that other users can read, that belongs to somebody else or that is a
 * link: it would open the profile for more people than its owner. On Windows, where
 * modes say nothing, the profile folder's access list is what protects it.
 */
export async function readSecretFile(path: string): Promise<Uint8Array> {
  const file = await openFile(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0));
  try {
    const facts = await file.stat();
    if (!facts.isFile()) throw refused(path, 'is not a file');
    if (process.platform !== 'win32') {
      if ((facts.mode & OTHERS) !== 0) throw refused(path, 'can be read by others: run `chmod 600` on it');
      if (facts.uid !== process.getuid?.()) throw refused(path, 'belongs to another user');
    }
    return await readExactly(file, path);
  } finally {
    await file.close();
  }
}

async function readExactly(file: FileHandle, path: string): Promise<Uint8Array> {
  const bytes = new Uint8Array(SECRET_BYTES + 1);
  const { bytesRead } = await file.read(bytes, 0, bytes.length, 0);
  if (bytesRead !== SECRET_BYTES) throw refused(path, `does not hold ${SECRET_BYTES} bytes`);
  return bytes.slice(0, SECRET_BYTES);
}

async function openFile(path: string, flags: number): Promise<FileHandle> {
  try {
    return await open(path, flags, 0o600);
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
    if (code === 'ENOENT') throw new StoreError('absent', `The secret file ${path} does not exist.`, { cause });
    if (code === 'EEXIST') throw refused(path, 'exists already');
    if (code === 'ELOOP') throw refused(path, 'is a link');
    if (code === 'EACCES' || code === 'EPERM') throw refused(path, 'cannot be opened by this user');
    throw new StoreError('io', `The secret file ${path} cannot be opened.`, { cause });
  }
}

function refused(path: string, why: string): StoreError {
  return new StoreError('permissions', `The secret file ${path} ${why}.`);
}
