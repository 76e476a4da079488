import { concatBytes, LIMITS, ok, type Result, reject, toBase64Url, toHex, utf8 } from '../base/index.ts';
import {
  bytes,
  canonicalJson,
  decodeBody,
  encodeBody,
  type Infer,
  type JsonObject,
  list,
  parseJson,
  type Schema,
  struct,
  text,
  uint,
} from '../wire/index.ts';
import type { Crypto, KeyPair, MlDsa65, Signer } from './interfaces.ts';

/**
 * Signed documents (spec/certificates section 1): certificates, trust documents,
 * revocations. They are canonical JSON whatever the session's version, so that a
 * person and any language can verify them. Fields are encoded as in a 1.2 body.
 */

declare const verified: unique symbol;

/** Evidence: a value that only a verification returns (STYLE 2). There is no other way to make one. */
export type Verified<T> = T & { readonly [verified]: true };

/** Above ML-DSA-65 (3,309) and its larger siblings. */
export const SIGNATURE_BYTES_MAX = 5120;
const TYPE_BYTES_MAX = 64;
const ALGORITHM_BYTES_MAX = 32;
const KEY_ID_BYTES = 16;
const VERSION_MAX = 65535;

const signatureSchema = struct({
  /** `ed25519`, `ml-dsa-65`, or one that this side does not know. */
  algorithm: text(ALGORITHM_BYTES_MAX),
  /** Hexadecimal of the first 16 bytes of BLAKE3(public key). */
  key_id: text(2 * KEY_ID_BYTES),
  signature: bytes(SIGNATURE_BYTES_MAX),
});
export type DocumentSignature = Infer<typeof signatureSchema>;

const envelopeSchema = struct({
  type: text(TYPE_BYTES_MAX),
  version: uint(VERSION_MAX),
  signatures: list(signatureSchema, LIMITS.documentSignaturesMax),
});
type Envelope = Infer<typeof envelopeSchema>;

/** A kind of document: its name and what it says besides `type`, `version` and `signatures`. */
export interface DocumentKind<T> {
  readonly type: string;
  readonly version: number;
  readonly body: Schema<T>;
  readonly whole: Schema<T & Envelope>;
}

export function documentKind<T>(type: string, version: number, body: Schema<T>): DocumentKind<T> {
  if (body.kind !== 'struct' || envelopeSchema.kind !== 'struct') throw new TypeError('a document is a struct');
  const taken = Object.keys(envelopeSchema.fields).filter((name) => Object.hasOwn(body.fields, name));
  if (taken.length > 0) throw new TypeError(`${type}: ${taken.join(', ')} belongs to every document`);
  const whole = { kind: 'struct', fields: { ...body.fields, ...envelopeSchema.fields } } as const;
  return { type, version, body, whole };
}

/** A well-formed document. That it parsed says nothing about who wrote it. */
export interface SignedDocument<T> {
  readonly kind: DocumentKind<T>;
  readonly body: T;
  readonly signatures: readonly DocumentSignature[];
  /** The document as it travels, with fields that this side may not know. */
  readonly json: JsonObject;
  /** Canonical form of `json`: what is stored and sent. */
  readonly bytes: Uint8Array;
  /** What every signature is over. */
  readonly signingInput: Uint8Array;
}

export type VerifiedDocument<T> = Verified<SignedDocument<T>>;

/** A document that nobody has signed yet. Throws RangeError when the body is not one of this kind. */
export function draftDocument<T>(kind: DocumentKind<T>, body: T): SignedDocument<T> {
  const encoded = parseJson(encodeBody(kind.body, body, 'json'), { bytesMax: LIMITS.documentBytesMax });
  if (!encoded.ok) throw new RangeError(`document is too large: ${encoded.error.detail}`);
  const fields = encoded.value as JsonObject; // a document's schema is a struct
  return fromParts(kind, body, { ...fields, type: kind.type, version: kind.version }, [], []);
}

/** Adds one signature. A second one by the same key replaces the first. */
export async function signDocument<T>(
  crypto: Crypto,
  document: SignedDocument<T>,
  signer: Signer,
): Promise<SignedDocument<T>> {
  const signature = await signer.sign(document.signingInput);
  return withSignature(document, { algorithm: signer.algorithm, key_id: keyId(crypto, signer.publicKey), signature });
}

/** Adds a signature by each of these keys, in this order: Ed25519 first, then ML-DSA-65 where there is one. */
export async function signDocumentByAll<T>(
  crypto: Crypto,
  document: SignedDocument<T>,
  signers: readonly Signer[],
): Promise<SignedDocument<T>> {
  let signed = document;
  for (const signer of signers) signed = await signDocument(crypto, signed, signer);
  return signed;
}

/** As `signDocument`, with an Ed25519 key that is in memory. */
export function signDocumentWith<T>(crypto: Crypto, document: SignedDocument<T>, keys: KeyPair): SignedDocument<T> {
  const signature = crypto.ed25519.sign(keys.privateKey, document.signingInput);
  return withSignature(document, { algorithm: 'ed25519', key_id: keyId(crypto, keys.publicKey), signature });
}

/** As `signDocumentWith`, with an ML-DSA-65 seed. `signatures`: who signs, where it is not `crypto`. */
export function signDocumentPostQuantumWith<T>(
  crypto: Crypto,
  document: SignedDocument<T>,
  keys: KeyPair,
  signatures: MlDsa65 = crypto.mlDsa65,
): SignedDocument<T> {
  const signature = signatures.sign(keys.privateKey, document.signingInput);
  return withSignature(document, { algorithm: 'ml-dsa-65', key_id: keyId(crypto, keys.publicKey), signature });
}

/**
 * Strict: canonical form only, of this type and version, within `documentBytesMax`.
 * Unknown fields are kept, since the signatures cover them [CERT-3].
 * Errors: those of `parseJson` and `decodeBody`; malformed for another type.
 */
export function parseDocument<T>(kind: DocumentKind<T>, input: Uint8Array): Result<SignedDocument<T>> {
  const parsed = parseJson(input, { bytesMax: LIMITS.documentBytesMax, requireCanonical: true });
  if (!parsed.ok) return parsed;
  const decoded = decodeBody(kind.whole, input, 'json');
  if (!decoded.ok) return decoded;
  const { type, version, signatures, ...body } = decoded.value;
  if (type !== kind.type || version !== kind.version) return reject('malformed', 'document type');
  if (repeatsKey(signatures)) return reject('malformed', 'two signatures by one key');
  const json = parsed.value as JsonObject; // the schema is a struct
  const signingInput = signingInputOf(kind, json);
  return ok({ kind, body: body as unknown as T, signatures, json, bytes: input, signingInput }); // T & Envelope less the envelope
}

/** A document that came inside a JSON message. Its canonical form is what was signed. */
export function parseDocumentJson<T>(kind: DocumentKind<T>, json: JsonObject): Result<SignedDocument<T>> {
  return parseDocument(kind, canonicalJson(json));
}

/** The `type` of a document that may be of several kinds; nothing else is checked. */
export function documentType(input: Uint8Array): Result<string> {
  const parsed = parseJson(input, { bytesMax: LIMITS.documentBytesMax, requireCanonical: true });
  if (!parsed.ok) return parsed;
  const envelope = decodeBody(envelopeSchema, input, 'json');
  return envelope.ok ? ok(envelope.value.type) : envelope;
}

/**
 * Checks the signature of one key. Signatures by other keys and of unknown
 * algorithms are ignored; one valid Ed25519 signature by `publicKey` is required [CERT-5].
 * Errors: signature_invalid.
 */
export function verifyDocument<T>(
  crypto: Crypto,
  document: SignedDocument<T>,
  publicKey: Uint8Array,
): Result<VerifiedDocument<T>> {
  const signed = checkSignature(crypto, document, 'ed25519', publicKey);
  return signed.ok ? ok(document as VerifiedDocument<T>) : signed; // the one place where this evidence is made
}

/**
 * Checks the ML-DSA-65 signature of one key [CERT-14]. It stands beside the Ed25519
 * signature and never in its place, so it gives no `VerifiedDocument`.
 * Errors: signature_invalid.
 */
export function checkPostQuantumSignature(
  crypto: Crypto,
  document: SignedDocument<unknown>,
  publicKey: Uint8Array,
): Result<undefined> {
  return checkSignature(crypto, document, 'ml-dsa-65', publicKey);
}

function checkSignature(
  crypto: Crypto,
  document: SignedDocument<unknown>,
  algorithm: Signer['algorithm'],
  publicKey: Uint8Array,
): Result<undefined> {
  const id = keyId(crypto, publicKey);
  const entry = document.signatures.find((one) => one.algorithm === algorithm && one.key_id === id);
  if (entry === undefined) return reject('signature_invalid', `no ${algorithm} signature by the expected key`);
  const signatures = algorithm === 'ed25519' ? crypto.ed25519 : crypto.mlDsa65;
  if (signatures.verify(publicKey, document.signingInput, entry.signature)) return ok(undefined);
  return reject('signature_invalid', `${algorithm} signature of ${document.kind.type}`);
}

/**
 * What names a document: BLAKE3 of what its signatures are over. It does not change
 * when a signature is added, so a certificate keeps its hash when it is countersigned.
 */
export function documentHash(crypto: Crypto, document: SignedDocument<unknown>): Uint8Array {
  return crypto.blake3(document.signingInput);
}

/** Hexadecimal of the first 16 bytes of BLAKE3(public key): finds a key, proves nothing. */
export function keyId(crypto: Crypto, publicKey: Uint8Array): string {
  return toHex(crypto.blake3(publicKey).subarray(0, KEY_ID_BYTES));
}

/** With one signature that somebody else made; whether it verifies is for its reader to check. */
export function addSignature<T>(document: SignedDocument<T>, signature: DocumentSignature): SignedDocument<T> {
  return withSignature(document, signature);
}

function withSignature<T>(document: SignedDocument<T>, added: DocumentSignature): SignedDocument<T> {
  const kept = document.signatures.map((one, index) => ({ one, index })).filter(({ one }) => !sameKey(one, added));
  if (kept.length >= LIMITS.documentSignaturesMax) throw new RangeError('too many signatures');
  const raw = document.json['signatures'] as readonly JsonObject[]; // both ways of making a document check it
  const signatures = [...kept.map(({ one }) => one), added];
  const rawSignatures = [...kept.map(({ index }) => raw[index] as JsonObject), signatureToJson(added)]; // same length
  return fromParts(document.kind, document.body, document.json, signatures, rawSignatures);
}

function fromParts<T>(
  kind: DocumentKind<T>,
  body: T,
  fields: JsonObject,
  signatures: readonly DocumentSignature[],
  rawSignatures: readonly JsonObject[],
): SignedDocument<T> {
  const json = { ...fields, signatures: rawSignatures };
  const encoded = canonicalJson(json);
  if (encoded.length > LIMITS.documentBytesMax) throw new RangeError('document is too large');
  return { kind, body, signatures, json, bytes: encoded, signingInput: signingInputOf(kind, json) };
}

/** The label keeps a signature on one kind of document from meaning anything on another [CERT-4]. */
function signingInputOf(kind: DocumentKind<unknown>, json: JsonObject): Uint8Array {
  const { signatures: _, ...unsigned } = json;
  return concatBytes(utf8(`norc:signed:${kind.type}:v${kind.version}`), Uint8Array.of(0), canonicalJson(unsigned));
}

function signatureToJson({ algorithm, key_id, signature }: DocumentSignature): JsonObject {
  return { algorithm, key_id, signature: toBase64Url(signature) };
}

function sameKey(a: DocumentSignature, b: DocumentSignature): boolean {
  return a.algorithm === b.algorithm && a.key_id === b.key_id;
}

function repeatsKey(signatures: readonly DocumentSignature[]): boolean {
  return signatures.some((one, index) => signatures.slice(0, index).some((other) => sameKey(one, other)));
}
