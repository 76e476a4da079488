import { link, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { KeyFileError, openMlDsa65File, openSignerFile, type SeedSigner } from '@norc/crypto/node';
import { sameBytes } from '@norc/protocol/base';
import { syncFolder } from './files.ts';
import { IdentityError, organisationPaths } from './paths.ts';

/** Where the secrets of root keys lie: those in use, those to come, and those that were replaced. */

/** The root keys that `root.pub.json` names. */
export interface InUse {
  readonly rootKey: Uint8Array;
  readonly rootPqKey: Uint8Array | undefined;
  /** Of the rotation that led here. */
  readonly sequence: number;
}

/** Where the root keys that the rotation of this number replaced are left. */
export function oldRootKeyFiles(folder: string, sequence: number) {
  const { keys } = organisationPaths(folder);
  return {
    rootKey: join(keys, `root-${sequence}-old.key`),
    rootPqKey: join(keys, `root-pq-${sequence}-old.key`),
  } as const;
}

/**
 * Secrets go where their names say, once the public file names the new keys: `root.key` is the one in use. Each
 * file moves by itself, and only when it holds what belongs there.
 */
export async function tidy(folder: string, { rootKey, rootPqKey, sequence }: InUse): Promise<void> {
  const paths = organisationPaths(folder);
  const old = oldRootKeyFiles(folder, sequence);
  if (rootPqKey !== undefined) {
    const keyOf = (file: string) => publicKeyIn(() => openMlDsa65File(file));
    await moveKey({ next: paths.nextRootPqKey, to: paths.rootPqKey, old: old.rootPqKey }, rootPqKey, keyOf);
  }
  const keyOf = (file: string) => publicKeyIn(() => openSignerFile(file));
  await moveKey({ next: paths.nextRootKey, to: paths.rootKey, old: old.rootKey }, rootKey, keyOf);
  await syncFolder(paths.keys);
}

async function moveKey(
  { next, to, old }: { readonly next: string; readonly to: string; readonly old: string },
  inUse: Uint8Array,
  keyOf: (file: string) => Promise<Uint8Array | undefined>,
): Promise<void> {
  const [coming, there] = [await keyOf(next), await keyOf(to)];
  if (coming === undefined || !sameBytes(coming, inUse)) return;
  if (there !== undefined && !sameBytes(there, inUse)) await setAside(to, old, there, keyOf);
  await rename(next, to);
}

/** Never over another file: an old root key that is lost here may be the only copy. */
async function setAside(
  file: string,
  old: string,
  key: Uint8Array,
  keyOf: (file: string) => Promise<Uint8Array | undefined>,
): Promise<void> {
  const kept = await keyOf(old);
  if (kept !== undefined && !sameBytes(kept, key))
    throw new IdentityError(`${old} holds another key; move it away, then do this again`);
  if (kept === undefined) await link(file, old);
}

async function publicKeyIn(open: () => Promise<SeedSigner>): Promise<Uint8Array | undefined> {
  const signer = await present(open);
  signer?.close();
  return signer?.publicKey;
}

/** Undefined for a file that is not there. */
export async function present<T>(open: () => Promise<T>): Promise<T | undefined> {
  try {
    return await open();
  } catch (error) {
    if (error instanceof KeyFileError && error.fault === 'missing') return undefined;
    throw error;
  }
}
