import { open, readFile, stat } from 'node:fs/promises';
import { fromBase64Url, type Random, toBase64Url, utf8, zeroBytes } from '@norc/protocol/base';
import type { Signer } from '@norc/protocol/crypto';
import { requireLength } from './lengths.ts';
import { nodeCrypto } from './node-crypto.ts';

const SEED_BYTES = 32;
const FILE_PREFIX = 'norc-ed25519-seed-v1:';

/** A signer whose secret is in this process. It keeps its own copy of the seed. */
export interface Ed25519Signer extends Signer {
  readonly algorithm: 'ed25519';
  /** Overwrites the seed; signing afterwards throws. */
  close(): void;
}

/** @param seed the 32-byte Ed25519 seed of RFC 8032; copied, so the caller may zero it. */
export function seedSigner(seed: Uint8Array): Ed25519Signer {
  requireLength(seed, SEED_BYTES, 'an Ed25519 seed');
  const own = Uint8Array.from(seed);
  const { publicKey } = nodeCrypto.ed25519.keyPair(() => own);
  let closed = false;
  return {
    algorithm: 'ed25519',
    publicKey,
    async sign(message) {
      if (closed) throw new TypeError('the signer is closed');
      return nodeCrypto.ed25519.sign(own, message);
    },
    close() {
      closed = true;
      zeroBytes(own);
    },
  };
}

/** What is wrong with a key file, for the operator who has to mend it. */
export type KeyFileFault = 'missing' | 'not_private' | 'not_a_key' | 'exists';

/** The message names the file and what to do; never its content. */
export class KeyFileError extends Error {
  override readonly name = 'KeyFileError';
  readonly fault: KeyFileFault;
  constructor(fault: KeyFileFault, message: string, options?: ErrorOptions) {
    super(message, options);
    this.fault = fault;
  }
}

/** Makes a new key in a file that only its owner can read. Throws KeyFileError `exists` rather than overwrite one. */
export async function createSignerFile(path: string, random: Random): Promise<Ed25519Signer> {
  const seed = random.bytes(SEED_BYTES);
  const text = utf8(`${FILE_PREFIX}${toBase64Url(seed)}\n`);
  const file = await open(path, 'wx', 0o600).catch((cause: unknown) => {
    if (!hasCode(cause, 'EEXIST')) throw cause;
    throw new KeyFileError('exists', `${path} exists already; a key is never overwritten`, { cause });
  });
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  const signer = seedSigner(seed);
  zeroBytes(seed, text);
  return signer;
}

/** Opens a key file. Refuses one that other accounts of the machine can read (not checked on Windows). */
export async function openSignerFile(path: string): Promise<Ed25519Signer> {
  const status = await stat(path).catch((cause: unknown) => {
    if (!hasCode(cause, 'ENOENT')) throw cause;
    throw new KeyFileError('missing', `${path} does not exist`, { cause });
  });
  if (process.platform !== 'win32' && (status.mode & 0o077) !== 0) {
    throw new KeyFileError('not_private', `${path} is readable by others: chmod 600 it`);
  }
  const text = await readFile(path, 'utf8');
  const seed = text.startsWith(FILE_PREFIX) ? fromBase64Url(text.slice(FILE_PREFIX.length).trimEnd()) : undefined;
  if (seed?.length !== SEED_BYTES) throw new KeyFileError('not_a_key', `${path} is not a NORC key file`);
  const signer = seedSigner(seed);
  zeroBytes(seed);
  return signer;
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
