import { ARGON2ID_VAULT, type Argon2idCost } from '@norc/crypto/node';
import { concatBytes, fromBase64Url, type Random, toBase64Url, utf8, zeroBytes } from '@norc/protocol/base';
import type { Crypto } from '@norc/protocol/crypto';
import { StoreError } from '../../store/port.ts';
import { passphraseKey } from './vault-passphrase.ts';
import { readSecretFile } from './vault-secret-file.ts';

/**
 * Seals everything that a device keeps in a file.
 *
 * A random 32-byte master key is made once and never leaves this module; it is wrapped
 * under a passphrase (Argon2id) or an OS secret file, and the wrapped form is the
 * `VaultDocument`. Two keys are derived from it: one seals (ChaCha20-Poly1305), one
 * makes look-up tags, so that names never stand in an index.
 *
 * Nonces are 12 random bytes: with 2^32 seals under one key the chance of a repeat is
 * 2^-33, and a device that seals 100 rows a second needs 16 months for 2^32.
 *
 * Not protected: that the whole file is replaced by an older copy of itself, and the
 * number, sizes and log places of rows.
 */
export interface Vault {
  /** nonce(12) || ciphertext || tag(16), bound to its place: it opens nowhere else. */
  seal(place: Place, plaintext: Uint8Array): Uint8Array;
  /** Throws StoreError `corrupt` for anything that was not sealed here, for this place. */
  open(place: Place, sealed: Uint8Array): Uint8Array;
  /** 16 bytes that stand for `text` in an index: equal for equal texts, meaningless without the key. */
  tag(table: string, text: string): Uint8Array;
  /** Overwrites the keys. Nothing can be sealed or opened afterwards. */
  close(): void;
}

/** `key`: the row's key columns in hexadecimal, joined by a bar. */
export interface Place {
  readonly table: string;
  readonly key: string;
  readonly column: string;
}

/** What opens the vault. */
export type Unlock = { readonly passphrase: string } | { readonly secretFile: string };

/** Public part of a vault, kept beside the rows: how the master key is wrapped. Bytes are base64url. */
export interface VaultDocument {
  readonly version: 1;
  readonly wrap: { readonly method: 'argon2id'; readonly salt: string; readonly cost: Argon2idCost } | FileWrap;
  readonly wrapped: string;
}

interface FileWrap {
  readonly method: 'secret-file';
  readonly salt: string;
}

export interface VaultTools {
  readonly crypto: Crypto;
  readonly random: Random;
  /** For new wraps only; the document says what an old one took. Weaker than the default only in tests. */
  readonly cost?: Argon2idCost;
}

const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const SALT_BYTES = 16;
const TAG_BYTES = 16;

/** A new vault with a new master key. */
export async function createVault(
  tools: VaultTools,
  unlock: Unlock,
): Promise<{ document: VaultDocument; vault: Vault }> {
  const master = tools.random.bytes(KEY_BYTES);
  try {
    return { document: await wrap(tools, unlock, master), vault: vaultOf(tools, master) };
  } finally {
    zeroBytes(master);
  }
}

/** Throws StoreError `wrong_passphrase`, `permissions` or `corrupt`. */
export async function unlockVault(tools: VaultTools, document: VaultDocument, unlock: Unlock): Promise<Vault> {
  const master = await unwrap(tools, document, unlock);
  try {
    return vaultOf(tools, master);
  } finally {
    zeroBytes(master);
  }
}

/** The same master key under another passphrase or secret. The rows stay as they are. */
export async function rewrapVault(
  tools: VaultTools,
  document: VaultDocument,
  current: Unlock,
  next: Unlock,
): Promise<VaultDocument> {
  const master = await unwrap(tools, document, current);
  try {
    return await wrap(tools, next, master);
  } finally {
    zeroBytes(master);
  }
}

async function wrap(tools: VaultTools, unlock: Unlock, master: Uint8Array): Promise<VaultDocument> {
  const salt = toBase64Url(tools.random.bytes(SALT_BYTES));
  const how: VaultDocument['wrap'] =
    'passphrase' in unlock
      ? { method: 'argon2id', salt, cost: tools.cost ?? ARGON2ID_VAULT }
      : { method: 'secret-file', salt };
  const key = await wrappingKey(tools, how, unlock);
  try {
    const nonce = tools.random.bytes(NONCE_BYTES);
    const sealed = aead(tools).seal(key, nonce, wrapAad(how), master);
    return { version: 1, wrap: how, wrapped: toBase64Url(concatBytes(nonce, sealed)) };
  } finally {
    zeroBytes(key);
  }
}

async function unwrap(tools: VaultTools, document: VaultDocument, unlock: Unlock): Promise<Uint8Array> {
  const key = await wrappingKey(tools, document.wrap, unlock);
  try {
    const wrapped = fromBase64Url(document.wrapped) ?? new Uint8Array();
    const nonce = wrapped.subarray(0, NONCE_BYTES);
    const master = aead(tools).open(key, nonce, wrapAad(document.wrap), wrapped.subarray(NONCE_BYTES));
    if (master === undefined) throw wrongUnlock(document.wrap.method);
    return master;
  } finally {
    zeroBytes(key);
  }
}

function wrongUnlock(method: VaultDocument['wrap']['method']): StoreError {
  return method === 'argon2id'
    ? new StoreError('wrong_passphrase', 'The passphrase is wrong.')
    : new StoreError('wrong_passphrase', 'The secret file does not belong to this profile.');
}

/** The method and its parameters are bound in: a document changed to a cheaper method does not open. */
function wrapAad(how: VaultDocument['wrap']): Uint8Array {
  const cost = how.method === 'argon2id' ? `${how.cost.memoryKib}|${how.cost.passes}|${how.cost.lanes}` : '';
  return utf8(`norc:vault:v1|${how.method}|${how.salt}|${cost}`);
}

async function wrappingKey(tools: VaultTools, how: VaultDocument['wrap'], unlock: Unlock): Promise<Uint8Array> {
  const salt = fromBase64Url(how.salt) ?? new Uint8Array();
  if ('passphrase' in unlock) {
    if (how.method !== 'argon2id') throw new StoreError('wrong_passphrase', 'This profile is opened by a secret file.');
    return passphraseKey(unlock.passphrase, salt, how.cost);
  }
  if (how.method !== 'secret-file') throw new StoreError('wrong_passphrase', 'This profile is opened by a passphrase.');
  const secret = await readSecretFile(unlock.secretFile);
  try {
    return tools.crypto.hmac('blake3', secret, concatBytes(utf8('norc:vault:secret-file:v1'), salt));
  } finally {
    zeroBytes(secret);
  }
}

const aead = (tools: VaultTools) => tools.crypto.aead['chacha20-poly1305'];

function vaultOf(tools: VaultTools, master: Uint8Array): Vault {
  const sealKey = tools.crypto.hmac('blake3', master, utf8('norc:vault:seal:v1'));
  const tagKey = tools.crypto.hmac('blake3', master, utf8('norc:vault:tag:v1'));
  let open = true;
  const check = () => {
    if (!open) throw new StoreError('closed', 'The store is closed.');
  };
  return {
    seal(place, plaintext) {
      check();
      const nonce = tools.random.bytes(NONCE_BYTES);
      return concatBytes(nonce, aead(tools).seal(sealKey, nonce, placeAad(place), plaintext));
    },
    open(place, sealed) {
      check();
      const nonce = sealed.subarray(0, NONCE_BYTES);
      if (nonce.length < NONCE_BYTES) throw damaged();
      const plaintext = aead(tools).open(sealKey, nonce, placeAad(place), sealed.subarray(NONCE_BYTES));
      if (plaintext === undefined) throw damaged();
      return plaintext;
    },
    tag(table, text) {
      check();
      return tools.crypto.hmac('blake3', tagKey, utf8(`${table}|${text}`)).subarray(0, TAG_BYTES);
    },
    close() {
      open = false;
      zeroBytes(sealKey, tagKey);
    },
  };
}

/** Table, key and column are part of every seal, so that a row cannot be moved to another's place. */
function placeAad(place: Place): Uint8Array {
  return utf8(`norc:store:v1|${place.table}|${place.key}|${place.column}`);
}

function damaged(): StoreError {
  return new StoreError('corrupt', 'The profile is damaged: a row does not open. Restore it from a backup.');
}
