import { fromBase64Url, type Random, toBase64Url, utf8, zeroBytes } from '@norc/protocol/base';
import type { Signer } from '@norc/protocol/crypto';
import { forgetExpandedKey } from './ed25519.ts';
import { createPrivateFile, keyFileFault, readPrivateFile } from './key-file.ts';
import { requireLength } from './lengths.ts';
import { nodeCrypto } from './node-crypto.ts';
import { forgetPrivateKey } from './private-keys.ts';

export { KeyFileError, type KeyFileFault } from './key-file.ts';

/** Of both algorithms. */
const SEED_BYTES = 32;

type Algorithm = Signer['algorithm'];
const FILE_PREFIXES = {
  ed25519: 'norc-ed25519-seed-v1:',
  'ml-dsa-65': 'norc-ml-dsa-65-seed-v1:',
} as const satisfies Record<Algorithm, string>;

/** A signer whose secret is in this process. It keeps its own copy of the seed. */
export interface SeedSigner<A extends Algorithm = Algorithm> extends Signer {
  readonly algorithm: A;
  /** Overwrites the seed and what was made of it; signing afterwards throws. */
  close(): void;
}
export type Ed25519Signer = SeedSigner<'ed25519'>;
export type MlDsa65Signer = SeedSigner<'ml-dsa-65'>;

/** @param seed the 32-byte Ed25519 seed of RFC 8032; copied, so the caller may zero it. */
export function seedSigner(seed: Uint8Array): Ed25519Signer {
  return signerOf('ed25519', seed);
}

/** @param seed the 32-byte seed of FIPS 204 (xi); copied, so the caller may zero it. */
export function mlDsa65Signer(seed: Uint8Array): MlDsa65Signer {
  return signerOf('ml-dsa-65', seed);
}

function signerOf<A extends Algorithm>(algorithm: A, seed: Uint8Array): SeedSigner<A> {
  requireLength(seed, SEED_BYTES, 'a seed');
  const signatures = algorithm === 'ed25519' ? nodeCrypto.ed25519 : nodeCrypto.mlDsa65;
  const own = Uint8Array.from(seed);
  const { publicKey } = signatures.keyPair(() => own);
  let closed = false;
  return {
    algorithm,
    publicKey,
    async sign(message) {
      if (closed) throw new TypeError('the signer is closed');
      return signatures.sign(own, message);
    },
    close() {
      closed = true;
      forgetExpandedKey(own);
      forgetPrivateKey(own);
      zeroBytes(own);
    },
  };
}

/** Makes a new key in a file that only its owner can read. Throws KeyFileError `exists` rather than overwrite one. */
export async function createSignerFile(path: string, random: Random): Promise<Ed25519Signer> {
  return await createFile('ed25519', path, random);
}

/** As `createSignerFile`, for an ML-DSA-65 key. */
export async function createMlDsa65File(path: string, random: Random): Promise<MlDsa65Signer> {
  return await createFile('ml-dsa-65', path, random);
}

async function createFile<A extends Algorithm>(algorithm: A, path: string, random: Random): Promise<SeedSigner<A>> {
  const seed = random.bytes(SEED_BYTES);
  const text = utf8(`${FILE_PREFIXES[algorithm]}${toBase64Url(seed)}\n`);
  const file = await createPrivateFile(path);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  const signer = signerOf(algorithm, seed);
  zeroBytes(seed, text);
  return signer;
}

/**
 * Opens a key file. Refuses one that other accounts of the machine can read, that belongs to
 * another account, or that is a link (not checked on Windows).
 */
export async function openSignerFile(path: string): Promise<Ed25519Signer> {
  return await openFile('ed25519', path);
}

/** As `openSignerFile`, for an ML-DSA-65 key. A key of the other algorithm is `not_a_key` here. */
export async function openMlDsa65File(path: string): Promise<MlDsa65Signer> {
  return await openFile('ml-dsa-65', path);
}

async function openFile<A extends Algorithm>(algorithm: A, path: string): Promise<SeedSigner<A>> {
  const bytes = await readPrivateFile(path);
  const text = new TextDecoder().decode(bytes);
  zeroBytes(bytes);
  const prefix = FILE_PREFIXES[algorithm];
  const seed = text.startsWith(prefix) ? fromBase64Url(text.slice(prefix.length).trimEnd()) : undefined;
  if (seed?.length !== SEED_BYTES) throw keyFileFault('not_a_key', path, `is not a NORC key file (${algorithm})`);
  const signer = signerOf(algorithm, seed);
  zeroBytes(seed);
  return signer;
}
