import { randomBytes } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * Whole or not at all, and on the disk when this returns: a crash leaves the old file or the new one. The name
 * on the way is random and new, so that a link that somebody laid there is not followed.
 */
export async function replaceFile(file: string, content: string | Uint8Array): Promise<void> {
  const beside = `${file}.${randomBytes(8).toString('hex')}.new`;
  const handle = await open(beside, 'wx', 0o644);
  try {
    await handle.writeFile(content);
    await handle.sync();
  } finally {
    await handle.close();
  }
  try {
    await rename(beside, file);
  } catch (cause) {
    await rm(beside);
    throw cause;
  }
  await syncFolder(dirname(file));
}

/** What was renamed or removed in a folder is so after a power cut too. Windows has no such call. */
export async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
