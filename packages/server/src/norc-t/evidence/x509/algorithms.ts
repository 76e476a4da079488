import { createPublicKey, type KeyObject, constants as openssl, verify } from 'node:crypto';
import { type AlgorithmIdentifier, CryptoEngine, type ICryptoEngine, type PublicKeyInfo, RSASSAPSSParams } from 'pkijs';

/**
 * Which algorithms count in X.509, and their checks. Used by the library as its engine, so that each
 * signature that it looks at (certificates, revocation lists, OCSP responses) goes through here.
 */

type Hash = 'sha256' | 'sha384' | 'sha512';
type Scheme =
  | { readonly kind: 'rsa' | 'ecdsa'; readonly hash: Hash }
  | { readonly kind: 'rsa-pss'; readonly hash: Hash; readonly saltLength: number }
  | { readonly kind: 'ed25519' };

const SCHEMES: Readonly<Record<string, Scheme>> = {
  '1.2.840.113549.1.1.11': { kind: 'rsa', hash: 'sha256' },
  '1.2.840.113549.1.1.12': { kind: 'rsa', hash: 'sha384' },
  '1.2.840.113549.1.1.13': { kind: 'rsa', hash: 'sha512' },
  '1.2.840.10045.4.3.2': { kind: 'ecdsa', hash: 'sha256' },
  '1.2.840.10045.4.3.3': { kind: 'ecdsa', hash: 'sha384' },
  '1.2.840.10045.4.3.4': { kind: 'ecdsa', hash: 'sha512' },
  '1.3.101.112': { kind: 'ed25519' },
};
const RSA_PSS = '1.2.840.113549.1.1.10';
const MGF1 = '1.2.840.113549.1.1.8';
const HASHES: Readonly<Record<string, Hash>> = {
  '2.16.840.1.101.3.4.2.1': 'sha256',
  '2.16.840.1.101.3.4.2.2': 'sha384',
  '2.16.840.1.101.3.4.2.3': 'sha512',
};
/** Only to say what is wrong. */
const WEAK: Readonly<Record<string, string>> = {
  '1.2.840.113549.1.1.4': 'MD5',
  '1.2.840.113549.1.1.5': 'SHA-1',
  '1.2.840.10045.4.1': 'SHA-1',
  '1.3.14.3.2.29': 'SHA-1',
};

const RSA_BITS_MIN = 2048;
/** Above, checking one signature costs too much. */
const RSA_BITS_MAX = 8192;
const CURVES: ReadonlySet<string> = new Set(['prime256v1', 'secp384r1', 'secp521r1']);

/** Undefined when signatures by this algorithm count. */
export function signatureFault(algorithm: AlgorithmIdentifier): string | undefined {
  if (schemeOf(algorithm) !== undefined) return undefined;
  const weak = WEAK[algorithm.algorithmId];
  if (weak !== undefined) return `is signed with ${weak}, which is broken`;
  return algorithm.algorithmId === RSA_PSS
    ? 'is signed with RSA-PSS over a weak or unknown hash'
    : `is signed with an unknown algorithm (${algorithm.algorithmId})`;
}

/** Undefined when keys of this kind and length count. */
export function keyFault(info: PublicKeyInfo): string | undefined {
  const key = keyOf(info);
  if (key === undefined) return 'has a key that cannot be read';
  const { modulusLength = 0, namedCurve = '' } = key.asymmetricKeyDetails ?? {};
  switch (key.asymmetricKeyType) {
    case 'rsa':
    case 'rsa-pss':
      if (modulusLength < RSA_BITS_MIN) return `has an RSA key of only ${modulusLength} bits`;
      return modulusLength > RSA_BITS_MAX ? `has an RSA key of ${modulusLength} bits, which is too long` : undefined;
    case 'ec':
      return CURVES.has(namedCurve) ? undefined : 'has a key on an unknown curve';
    case 'ed25519':
      return undefined;
    default:
      return 'has a key of an unknown kind';
  }
}

function keyOf(info: PublicKeyInfo): KeyObject | undefined {
  try {
    return createPublicKey({ key: Buffer.from(info.toSchema().toBER()), format: 'der', type: 'spki' });
  } catch {
    return undefined;
  }
}

function schemeOf(algorithm: AlgorithmIdentifier): Scheme | undefined {
  return algorithm.algorithmId === RSA_PSS ? pssScheme(algorithm) : SCHEMES[algorithm.algorithmId];
}

function pssScheme(algorithm: AlgorithmIdentifier): Scheme | undefined {
  try {
    const parameters = new RSASSAPSSParams({ schema: algorithm.algorithmParams });
    const hash = HASHES[parameters.hashAlgorithm.algorithmId];
    const { algorithmId, algorithmParams } = parameters.maskGenAlgorithm;
    const [maskHash] = algorithmParams?.valueBlock?.value ?? [];
    const sameHash = maskHash?.valueBlock?.toString() === parameters.hashAlgorithm.algorithmId;
    if (hash === undefined || algorithmId !== MGF1 || !sameHash) return undefined;
    return { kind: 'rsa-pss', hash, saltLength: parameters.saltLength };
  } catch {
    return undefined;
  }
}

/**
 * The library's engine with our own check of signatures: pkijs 4.0.0 takes SHA-1 and RSA keys of any length,
 * and knows no Ed25519.
 */
class StrictEngine extends CryptoEngine {
  override async verifyWithPublicKey(
    data: ArrayBuffer | ArrayBufferView,
    signature: { readonly valueBlock: { readonly valueHexView: Uint8Array } },
    info: PublicKeyInfo,
    algorithm: AlgorithmIdentifier,
  ): Promise<boolean> {
    const scheme = schemeOf(algorithm);
    const key = keyOf(info);
    if (scheme === undefined || key === undefined || keyFault(info) !== undefined) return false;
    return verifyScheme(scheme, key, toBytes(data), signature.valueBlock.valueHexView);
  }
}

function verifyScheme(scheme: Scheme, key: KeyObject, data: Uint8Array, signature: Uint8Array): boolean {
  const type = key.asymmetricKeyType;
  try {
    switch (scheme.kind) {
      case 'ed25519':
        return type === 'ed25519' && verify(null, data, key, signature);
      case 'ecdsa':
        return type === 'ec' && verify(scheme.hash, data, key, signature);
      case 'rsa':
        return type === 'rsa' && verify(scheme.hash, data, key, signature);
      case 'rsa-pss': {
        const padding = openssl.RSA_PKCS1_PSS_PADDING;
        const { hash, saltLength } = scheme;
        return (type === 'rsa' || type === 'rsa-pss') && verify(hash, data, { key, padding, saltLength }, signature);
      }
    }
  } catch {
    return false; // OpenSSL throws for signatures that are not even well formed
  }
}

function toBytes(data: ArrayBuffer | ArrayBufferView): Uint8Array {
  return data instanceof ArrayBuffer
    ? new Uint8Array(data)
    : new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

// Node's types name WebCrypto operations that the library neither has nor calls.
export const strictEngine = new StrictEngine({ crypto: globalThis.crypto, name: 'norc' }) as unknown as ICryptoEngine;
