import { concatBytes, type Result, utf8 } from '../../base/index.ts';
import {
  bytes,
  choice,
  decodeBody,
  domain,
  encodeBody,
  fixedBytes,
  type Infer,
  list,
  optional,
  struct,
  uint,
} from '../../wire/index.ts';

/**
 * An X.509 chain as evidence (spec/evidence section 3): the certificates, and a binding
 * that the leaf's key signed, without which anybody could show somebody else's chain.
 */

/** Leaf, authorities, and the anchor where a sender adds it. */
export const X509_CERTIFICATES_MAX = 8;
export const X509_CERTIFICATE_BYTES_MAX = 8192;
const SIGNATURE_BYTES_MAX = 1024;
const STAPLED_MAX = 8;
const STAPLED_BYTES_MAX = 16384;

/** How a leaf's key signs. ECDSA signatures are in DER. PSS salts are as long as the hash. */
export const X509_BINDING_ALGORITHMS = [
  'ed25519',
  'ecdsa-p256-sha256',
  'ecdsa-p384-sha384',
  'rsa-pss-sha256',
  'rsa-pkcs1-sha256',
] as const;
export type X509BindingAlgorithm = (typeof X509_BINDING_ALGORITHMS)[number];

const bindingSchema = struct({
  domain: domain(),
  /** The organisation root key that the owner of the leaf vouches for. */
  root_key: fixedBytes(32),
  not_after: uint(),
});
export type X509Binding = Infer<typeof bindingSchema>;

const chainSchema = struct({
  /** DER, the leaf first, each issued by the next. */
  certificates: list(bytes(X509_CERTIFICATE_BYTES_MAX), X509_CERTIFICATES_MAX),
  binding: bindingSchema,
  algorithm: choice(X509_BINDING_ALGORITHMS),
  /** By the leaf's key over `x509BindingInput`. */
  signature: bytes(SIGNATURE_BYTES_MAX),
  /** DER, to save the other side from fetching them. */
  crls: optional(list(bytes(STAPLED_BYTES_MAX), STAPLED_MAX)),
  /** DER `OCSPResponse`. */
  ocsp: optional(list(bytes(STAPLED_BYTES_MAX), STAPLED_MAX)),
});
export type X509Chain = Infer<typeof chainSchema>;

const BINDING_LABEL = utf8('norc-x509-binding-v1');

/** What the leaf's key signs [EVID-11]. */
export function x509BindingInput(binding: X509Binding): Uint8Array {
  return concatBytes(BINDING_LABEL, encodeBody(bindingSchema, binding, 'json'));
}

/** Canonical JSON: the material of kind `x509_chain`. */
export function encodeX509Chain(chain: X509Chain): Uint8Array {
  return encodeBody(chainSchema, chain, 'json');
}

/** Errors: those of `decodeBody`. */
export function decodeX509Chain(material: Uint8Array): Result<X509Chain> {
  return decodeBody(chainSchema, material, 'json');
}
