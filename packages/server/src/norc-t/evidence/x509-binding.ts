import { createPublicKey, type KeyObject, constants as openssl, sign, verify, X509Certificate } from 'node:crypto';
import type { Domain } from '@norc/protocol/base';
import {
  encodeX509Chain,
  X509_CERTIFICATES_MAX,
  type X509Binding,
  type X509BindingAlgorithm,
  type X509Chain,
  x509BindingInput,
} from '@norc/protocol/norc-t';
import { alternativeNames, type X509 } from './x509/certificate.ts';
import { readChain } from './x509/path.ts';

/** The leaf's key signs that this organisation root key is its organisation's [EVID-11]. */

const DNS = 2;

const ALGORITHMS: Readonly<Record<X509BindingAlgorithm, { readonly key: string; readonly hash: string | null }>> = {
  ed25519: { key: 'ed25519', hash: null },
  'ecdsa-p256-sha256': { key: 'ec prime256v1', hash: 'sha256' },
  'ecdsa-p384-sha384': { key: 'ec secp384r1', hash: 'sha384' },
  'rsa-pss-sha256': { key: 'rsa', hash: 'sha256' },
  'rsa-pkcs1-sha256': { key: 'rsa', hash: 'sha256' },
};

/** Signs with RSA where it must, in the newer way. */
const CHOICE: Readonly<Record<string, X509BindingAlgorithm>> = {
  ed25519: 'ed25519',
  'ec prime256v1': 'ecdsa-p256-sha256',
  'ec secp384r1': 'ecdsa-p384-sha384',
  rsa: 'rsa-pss-sha256',
};

function kindOf(key: KeyObject): string {
  const { namedCurve } = key.asymmetricKeyDetails ?? {};
  return [key.asymmetricKeyType ?? '', ...(namedCurve === undefined ? [] : [namedCurve])].join(' ');
}

const withPadding = (key: KeyObject, algorithm: X509BindingAlgorithm) =>
  algorithm === 'rsa-pss-sha256'
    ? { key, padding: openssl.RSA_PKCS1_PSS_PADDING, saltLength: openssl.RSA_PSS_SALTLEN_DIGEST }
    : { key };

/** Whether the leaf names the domain in its subjectAltName: itself, no pattern, no name above or below. */
export function namesDomain(leaf: X509, domain: Domain): boolean {
  return alternativeNames(leaf).some(
    ({ type, value }) => type === DNS && typeof value === 'string' && value.toLowerCase() === domain,
  );
}

/** Undefined when the leaf's key signed the binding. */
export function bindingFault(leaf: X509, { binding, algorithm, signature }: X509Chain): string | undefined {
  const { publicKey } = new X509Certificate(leaf.der); // `readCertificate` had it read already
  const { key, hash } = ALGORITHMS[algorithm];
  if (kindOf(publicKey) !== key)
    return `the binding is signed as ${algorithm}, and the key of the leaf is another kind`;
  try {
    if (verify(hash, x509BindingInput(binding), withPadding(publicKey, algorithm), signature)) return undefined;
  } catch {
    // A signature that is not even well formed: as good as a wrong one.
  }
  return 'the binding is not signed by the key of the leaf';
}

export interface BindingRequest {
  /** DER, the leaf first. */
  readonly certificates: readonly Uint8Array[];
  /** Of the leaf. */
  readonly privateKey: KeyObject;
  readonly binding: X509Binding;
  readonly crls?: readonly Uint8Array[];
  readonly ocsp?: readonly Uint8Array[];
}

/** Makes the material of kind `x509_chain`. Throws RangeError that says what does not go together. */
export function bindX509({ certificates, privateKey, binding, ...stapled }: BindingRequest): Uint8Array {
  if (certificates.length > X509_CERTIFICATES_MAX)
    throw new RangeError(`more than ${X509_CERTIFICATES_MAX} certificates`);
  const chain = readChain(certificates);
  if (typeof chain === 'string') throw new RangeError(chain);
  const [leaf] = chain;
  if (leaf === undefined || !namesDomain(leaf, binding.domain)) {
    throw new RangeError(`the first certificate does not name ${binding.domain} (subjectAltName)`);
  }
  const algorithm = CHOICE[kindOf(privateKey)];
  if (algorithm === undefined) throw new RangeError('the key is of a kind that cannot sign a binding');
  const signature = sign(ALGORITHMS[algorithm].hash, x509BindingInput(binding), withPadding(privateKey, algorithm));
  const made: X509Chain = { certificates, binding, algorithm, signature: Uint8Array.from(signature), ...stapled };
  if (
    bindingFault(leaf, made) !== undefined ||
    !createPublicKey(privateKey).equals(new X509Certificate(leaf.der).publicKey)
  )
    throw new RangeError('the key is not the one of the first certificate');
  return encodeX509Chain(made);
}
