import { concatBytes, fromBase64Url, type Random, sameBytes, toBase64Url, utf8, zeroBytes } from '@norc/protocol/base';
import { ARGON2ID_VAULT, type Argon2idCost, argon2id } from './argon2.ts';
import { createPrivateFile, keyFileFault, readPrivateFile } from './key-file.ts';
import { nodeCrypto } from './node-crypto.ts';
import { type Ed25519Signer, seedSigner } from './signer.ts';

/**
 * An Ed25519 key in a file that opens with a passphrase only (spec/officers section 3): its
 * seed is sealed with ChaCha20-Poly1305 under a key that Argon2id makes of the passphrase.
 * What is public stands beside it in the clear, bound into the seal, so that a changed
 * public key or a cheaper cost does not open.
 *
 * Not protected: guessing the passphrase at the pace that Argon2id allows, by whoever
 * has the file; and a machine that reads the keyboard or the memory.
 */

const TYPE = 'norc_sealed_key';
const VERSION = 1;
const SEED_BYTES = 32;
const KEY_BYTES = 32;
const SALT_BYTES = 16;
const NONCE_BYTES = 12;

interface SealedKey {
  readonly publicKey: Uint8Array;
  readonly salt: Uint8Array;
  readonly cost: Argon2idCost;
  /** nonce(12) || ciphertext(32) || tag(16) */
  readonly sealed: Uint8Array;
}

/**
 * Makes a new key in a file that only its owner can read. The caller closes the signer.
 * Throws KeyFileError `exists` rather than overwrite a file. `cost` is weaker only in tests.
 */
export async function createSealedSigner(
  path: string,
  passphrase: string,
  { random, cost = ARGON2ID_VAULT }: { readonly random: Random; readonly cost?: Argon2idCost },
): Promise<Ed25519Signer> {
  const file = await createPrivateFile(path);
  try {
    const seed = random.bytes(SEED_BYTES);
    const signer = seedSigner(seed);
    const salt = random.bytes(SALT_BYTES);
    const nonce = random.bytes(NONCE_BYTES);
    const parts = { publicKey: signer.publicKey, salt, cost };
    const key = await passphraseKey(passphrase, parts);
    const sealed = nodeCrypto.aead['chacha20-poly1305'].seal(key, nonce, aad(parts), seed);
    zeroBytes(seed, key);
    await file.writeFile(fileText({ ...parts, sealed: concatBytes(nonce, sealed) }));
    await file.sync();
    return signer;
  } finally {
    await file.close();
  }
}

/**
 * Opens a key. The caller closes the signer. Throws KeyFileError `wrong_passphrase`, `missing`, `not_private`,
 * `not_a_key`. `costMin`: a file that costs less to guess is refused; lower only in tests.
 */
export async function openSealedSigner(
  path: string,
  passphrase: string,
  { costMin = ARGON2ID_VAULT }: { readonly costMin?: Argon2idCost } = {},
): Promise<Ed25519Signer> {
  const key = await readSealed(path);
  if (isCheaper(key.cost, costMin)) throw keyFileFault('not_a_key', path, 'is sealed too weakly: make a new key');
  const wrapping = await passphraseKey(passphrase, key).catch((cause: unknown) => {
    if (!(cause instanceof RangeError)) throw cause;
    throw keyFileFault('not_a_key', path, 'is damaged: its passphrase settings are out of range', cause);
  });
  const nonce = key.sealed.subarray(0, NONCE_BYTES);
  const sealed = key.sealed.subarray(NONCE_BYTES);
  const seed = nodeCrypto.aead['chacha20-poly1305'].open(wrapping, nonce, aad(key), sealed);
  zeroBytes(wrapping);
  if (seed?.length !== SEED_BYTES) throw keyFileFault('wrong_passphrase', path, 'does not open with this passphrase');
  const signer = seedSigner(seed);
  zeroBytes(seed);
  if (sameBytes(signer.publicKey, key.publicKey)) return signer;
  signer.close();
  throw keyFileFault('not_a_key', path, 'is damaged: its two halves differ');
}

function isCheaper({ memoryKib, passes, lanes }: Argon2idCost, min: Argon2idCost): boolean {
  return memoryKib < min.memoryKib || passes < min.passes || lanes < min.lanes;
}

/** Whose key it is, without the passphrase. What the file says is bound to the key when it is opened. */
export async function sealedPublicKey(path: string): Promise<Uint8Array> {
  return (await readSealed(path)).publicKey;
}

/** The same words typed on another keyboard open the key (NFKC). */
async function passphraseKey(
  passphrase: string,
  { salt, cost }: Pick<SealedKey, 'salt' | 'cost'>,
): Promise<Uint8Array> {
  const message = utf8(passphrase.toWellFormed().normalize('NFKC'));
  try {
    return await argon2id(message, salt, cost, KEY_BYTES);
  } finally {
    zeroBytes(message);
  }
}

function aad({ publicKey, salt, cost }: Omit<SealedKey, 'sealed'>): Uint8Array {
  const { memoryKib, passes, lanes } = cost;
  const parts = ['norc:sealed-key:v1', 'ed25519', toBase64Url(publicKey), toBase64Url(salt), memoryKib, passes, lanes];
  return utf8(parts.join('|'));
}

function fileText({ publicKey, salt, cost, sealed }: SealedKey): string {
  const { memoryKib: memory_kib, passes, lanes } = cost;
  const kdf = { name: 'argon2id', salt: toBase64Url(salt), memory_kib, passes, lanes };
  const key = { algorithm: 'ed25519', public_key: toBase64Url(publicKey), kdf, sealed: toBase64Url(sealed) };
  return `${JSON.stringify({ type: TYPE, version: VERSION, ...key }, null, 2)}\n`;
}

async function readSealed(path: string): Promise<SealedKey> {
  const key = parseSealed(new TextDecoder().decode(await readPrivateFile(path)));
  if (key === undefined) throw keyFileFault('not_a_key', path, 'is not a sealed NORC key file');
  return key;
}

function parseSealed(text: string): SealedKey | undefined {
  const fields = objectOf(text);
  const kdf = recordOf(fields['kdf']);
  const [publicKey, salt, sealed] = [fields['public_key'], kdf['salt'], fields['sealed']].map(bytesOf);
  const [memoryKib, passes, lanes] = [kdf['memory_kib'], kdf['passes'], kdf['lanes']];
  if (fields['type'] !== TYPE || fields['version'] !== VERSION || fields['algorithm'] !== 'ed25519') return undefined;
  if (kdf['name'] !== 'argon2id' || publicKey?.length !== KEY_BYTES || salt?.length !== SALT_BYTES) return undefined;
  if (sealed === undefined || sealed.length < NONCE_BYTES) return undefined;
  if (typeof memoryKib !== 'number' || typeof passes !== 'number' || typeof lanes !== 'number') return undefined;
  return { publicKey, salt, sealed, cost: { memoryKib, passes, lanes } };
}

function objectOf(text: string): Record<string, unknown> {
  try {
    return recordOf(JSON.parse(text));
  } catch {
    return {};
  }
}

function recordOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}; // values are checked one by one
}

function bytesOf(value: unknown): Uint8Array | undefined {
  return typeof value === 'string' ? fromBase64Url(value) : undefined;
}
