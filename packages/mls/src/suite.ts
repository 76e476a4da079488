import { InvariantError } from '@norc/protocol/base';
import type { AeadName, HashName, RandomBytes } from '@norc/protocol/crypto';
import type { CiphersuiteImpl, CiphersuiteName, PrivateKey, PublicKey } from './library.ts';
import { MLS_SUITE_ID } from './profile.ts';
import { createHkdf } from './provider/hkdf.ts';
import { AES_256_GCM_ID, CHACHA20_POLY1305_ID, createHpke } from './provider/hpke.ts';
import type { Kem, MlsProvider } from './provider/provider.ts';

/** A cipher suite: the library's form of it, and what we call directly. */
export interface MlsSuite {
  readonly name: CiphersuiteName;
  readonly impl: CiphersuiteImpl;
  readonly kem: Kem;
  readonly random: RandomBytes;
  hash(data: Uint8Array): Uint8Array;
  equal(a: Uint8Array, b: Uint8Array): boolean;
}

export interface SuiteChoice {
  readonly id: number;
  /** The library's own name; by default the number, which it puts on the wire as it is. */
  readonly name?: string;
  readonly kem: Kem;
  readonly hash: HashName;
  readonly aead: AeadName;
}

/** A peer's HPKE ciphertext or AEAD tag is wrong. Caught where peers' bytes are processed. */
export class OpenFault extends Error {
  override readonly name = 'OpenFault';
}

/** Suite 0xF101 (spec/mls-profile section 2). */
export function createNorcSuite(provider: MlsProvider): MlsSuite {
  return createSuite(provider, { id: MLS_SUITE_ID, kem: provider.xWing, hash: 'blake3', aead: 'chacha20-poly1305' });
}

/** Any suite over the provider's algorithms with 32-byte hashes and keys, and Ed25519. */
export function createSuite(provider: MlsProvider, choice: SuiteChoice): MlsSuite {
  const { crypto, random } = provider;
  const { kem } = choice;
  const kdf = createHkdf(crypto, choice.hash);
  const aead = crypto.aead[choice.aead];
  const aeadId = choice.aead === 'aes-256-gcm' ? AES_256_GCM_ID : CHACHA20_POLY1305_ID;
  const hpke = createHpke({ kem, kdf, aead: { id: aeadId, ...aead } });
  const digest = choice.hash === 'blake3' ? crypto.blake3 : crypto.sha256;
  const name = (choice.name ?? String(choice.id)) as CiphersuiteName; // an open enumeration in the library's codec
  const impl: CiphersuiteImpl = {
    name,
    hash: {
      digest: async (data) => digest(data),
      mac: async (key, data) => crypto.hmac(choice.hash, key, data),
      verifyMac: async (key, mac, data) => crypto.equal(mac, crypto.hmac(choice.hash, key, data)),
    },
    kdf: {
      extract: async (salt, ikm) => kdf.extract(salt, ikm),
      expand: async (prk, info, length) => kdf.expand(prk, info, length),
      size: kdf.hashBytes,
    },
    signature: {
      sign: async (signKey, message) => crypto.ed25519.sign(signKey, message),
      verify: async (publicKey, message, signature) => crypto.ed25519.verify(publicKey, message, signature),
      async keygen() {
        const pair = crypto.ed25519.keyPair(random);
        return { signKey: pair.privateKey, publicKey: pair.publicKey };
      },
    },
    hpke: {
      keyLength: 32,
      nonceLength: 12,
      async seal(publicKey, plaintext, info, aad = NOTHING) {
        const sealed = hpke.seal(rawKey(publicKey), info, aad, plaintext, random);
        if (sealed === undefined) throw new OpenFault('public key');
        return { enc: sealed.encapsulation, ct: sealed.ciphertext };
      },
      async open(privateKey, kemOutput, ciphertext, info, aad = NOTHING) {
        return opened(hpke.open(rawKey(privateKey), kemOutput, info, aad, ciphertext));
      },
      importPrivateKey: async (bytes) => privateKeyOf(bytes),
      importPublicKey: async (bytes) => publicKeyOf(bytes),
      exportPublicKey: async (key) => rawKey(key),
      exportPrivateKey: async (key) => rawKey(key),
      encryptAead: async (key, nonce, aad, plaintext) => aead.seal(key, nonce, aad ?? NOTHING, plaintext),
      decryptAead: async (key, nonce, aad, ciphertext) => opened(aead.open(key, nonce, aad ?? NOTHING, ciphertext)),
      deriveKeyPair: async (ikm) => keyObjects(kem.derive(ikm)),
      generateKeyPair: async () => keyObjects(kem.generate(random)),
      exportSecret: noExternalInit,
      importSecret: noExternalInit,
    },
    rng: { randomBytes: random },
  };
  return { name, impl, kem, random, hash: digest, equal: crypto.equal };
}

const NOTHING = new Uint8Array(0);

function opened(plaintext: Uint8Array | undefined): Uint8Array {
  if (plaintext === undefined) throw new OpenFault('ciphertext');
  return plaintext;
}

/** Only external commits use these, and the profile has none (spec/mls-profile rule MLS-19). */
async function noExternalInit(): Promise<never> {
  throw new InvariantError('external commits are not part of the profile');
}

/** The library treats keys as opaque and hands them back: ours are the raw bytes. */
function privateKeyOf(bytes: Uint8Array): PrivateKey {
  return bytes as unknown as PrivateKey;
}

function publicKeyOf(bytes: Uint8Array): PublicKey {
  return bytes as unknown as PublicKey;
}

function rawKey(key: PrivateKey | PublicKey): Uint8Array {
  return key as unknown as Uint8Array;
}

function keyObjects(pair: { readonly publicKey: Uint8Array; readonly privateKey: Uint8Array }) {
  return { publicKey: publicKeyOf(pair.publicKey), privateKey: privateKeyOf(pair.privateKey) };
}
