import {
  type DeviceId,
  type Domain,
  domainOf,
  type Instant,
  instant,
  LEVELS,
  ok,
  type Result,
  reject,
  toHex,
  type UserAddress,
} from '../base/index.ts';
import {
  bytes,
  deviceId,
  domain,
  fixedBytes,
  type Infer,
  list,
  optional,
  struct,
  text,
  uint,
  userAddress,
} from '../wire/index.ts';
import { type Crypto, ML_DSA_65_PUBLIC_KEY_BYTES } from './interfaces.ts';
import {
  checkPostQuantumSignature,
  type DocumentKind,
  documentHash,
  documentKind,
  draftDocument,
  parseDocument,
  type SignedDocument,
  type Verified,
  verifyDocument,
} from './signed-document.ts';

/**
 * The certificates inside one organisation (spec/certificates section 2): its root
 * key certifies server keys, and a server key with usage `devices` certifies devices.
 * They are not X.509.
 */

/** What a server key may sign. */
export const SERVER_KEY_USAGES = ['server', 'devices', 'trust', 'audit'] as const;
export type ServerKeyUsage = (typeof SERVER_KEY_USAGES)[number];

const USAGES_MAX = 16;
const USAGE_BYTES_MAX = 32;
/** TLS keys of one server at a time: the one in use, its successor, and room for a cluster. */
export const TLS_KEYS_MAX = 8;
const ATTESTATION_BYTES_MAX = 16384;
const DAY_MS = 86_400_000;
const CLOCK_SKEW_MS = 300_000;
/** A year, with room to renew [CERT-16]. What a replaced root key certified is over by then. */
export const SERVER_CERTIFICATE_LIFE_MS_MAX: number = 398 * DAY_MS;

const serverCertificateSchema = struct({
  /** The organisation. */
  org: domain(),
  /** The server's own DNS name: the organisation's domain or a name below it. */
  domain: domain(),
  /** Ed25519. */
  public_key: fixedBytes(32),
  /** Names that this side does not know are ignored. */
  usages: list(text(USAGE_BYTES_MAX), USAGES_MAX),
  /** SHA-256 of the SubjectPublicKeyInfo of each TLS key that the server may present. */
  tls_spki_sha256: list(fixedBytes(32), TLS_KEYS_MAX),
  not_before: uint(),
  not_after: uint(),
  /** ML-DSA-65, beside `public_key`. A certificate that has it also carries an ML-DSA-65 signature by the organisation's post-quantum root key. */
  pq_public_key: optional(fixedBytes(ML_DSA_65_PUBLIC_KEY_BYTES)),
});
export type ServerCertificateBody = Infer<typeof serverCertificateSchema>;
export const SERVER_CERTIFICATE: DocumentKind<ServerCertificateBody> = documentKind(
  'server_certificate',
  1,
  serverCertificateSchema,
);

const deviceCertificateSchema = struct({
  device_id: deviceId(),
  user: userAddress(),
  /** The organisation that the user belongs to. */
  org: domain(),
  /** Ed25519. */
  public_key: fixedBytes(32),
  not_before: uint(),
  not_after: uint(),
  /** A statement by the device's platform; opaque here. */
  attestation: optional(bytes(ATTESTATION_BYTES_MAX)),
});
export type DeviceCertificateBody = Infer<typeof deviceCertificateSchema>;
export const DEVICE_CERTIFICATE: DocumentKind<DeviceCertificateBody> = documentKind(
  'device_certificate',
  1,
  deviceCertificateSchema,
);

/** An organisation as the verifier already knows it. Both fields are pinned: by enrolment, or by a trust certificate. */
export interface PinnedOrg {
  readonly org: Domain;
  /** Ed25519, 32 bytes. */
  readonly rootKey: Uint8Array;
  /** Root keys that this one replaced, where what they certified still counts (spec/root-rotation). */
  readonly predecessors?: readonly PredecessorKey[];
  /** Root keys that certify nothing any more. What was taken back under them stays taken back: they only narrow. */
  readonly former?: readonly Uint8Array[];
}

export interface PredecessorKey {
  readonly rootKey: Uint8Array;
  /** What it certified from then on counts for nothing. */
  readonly until: Instant;
}

/** The keys that may have certified something for an organisation, the one that counts now first. */
export function rootKeysOf({ rootKey, predecessors = [] }: PinnedOrg): readonly Uint8Array[] {
  return [rootKey, ...predecessors.map((one) => one.rootKey)];
}

/** Evidence that the organisation's root key certified a server key. Made by `verifyServerCertificate` alone. */
export type VerifiedServerCertificate = Verified<ServerCertificate>;
/** Evidence that the organisation certified a device, through [device certificate, server certificate]. */
export type VerifiedDeviceCertificate = Verified<DeviceCertificate>;

export interface ServerCertificate {
  readonly org: Domain;
  readonly domain: Domain;
  readonly rootKey: Uint8Array;
  readonly publicKey: Uint8Array;
  /** ML-DSA-65; that the root key named it says nothing about the post-quantum root key (`verifyPostQuantumKey`). */
  readonly pqPublicKey?: Uint8Array;
  readonly usages: ReadonlySet<ServerKeyUsage>;
  readonly tlsSpkiSha256: readonly Uint8Array[];
  readonly notBefore: Instant;
  readonly notAfter: Instant;
  /** `documentHash` of the certificate. */
  readonly hash: Uint8Array;
  readonly document: SignedDocument<ServerCertificateBody>;
}

export interface DeviceCertificate {
  readonly deviceId: DeviceId;
  readonly user: UserAddress;
  readonly org: Domain;
  readonly rootKey: Uint8Array;
  readonly publicKey: Uint8Array;
  readonly notBefore: Instant;
  /** Of the device certificate. The chain ends earlier when `issuer.notAfter` is earlier. */
  readonly notAfter: Instant;
  readonly attestation?: Uint8Array;
  readonly issuer: VerifiedServerCertificate;
  readonly hash: Uint8Array;
  readonly document: SignedDocument<DeviceCertificateBody>;
}

/** Unsigned; sign it with the organisation root key (`signDocument`). */
export function draftServerCertificate(body: ServerCertificateBody): SignedDocument<ServerCertificateBody> {
  if (body.usages.length === 0) throw new RangeError('a server certificate needs a usage');
  if (body.not_after <= body.not_before) throw new RangeError('a certificate ends after it begins');
  if (livesTooLong(body)) throw new RangeError('a server certificate lives for at most 398 days');
  if (!isWithin(body.domain, body.org)) throw new RangeError('a server is named within its organisation');
  return draftDocument(SERVER_CERTIFICATE, body);
}

/** Unsigned; sign it with a server key that has the usage `devices`. */
export function draftDeviceCertificate(body: DeviceCertificateBody): SignedDocument<DeviceCertificateBody> {
  const fault = deviceBodyFault(body);
  if (fault !== undefined) throw new RangeError(fault);
  return draftDocument(DEVICE_CERTIFICATE, body);
}

/**
 * Checks one server certificate against the pinned root key [CERT-6] to [CERT-9].
 * Errors: certificate_invalid, certificate_expired (also not yet valid), and those of parsing.
 */
export function verifyServerCertificate(
  crypto: Crypto,
  certificate: Uint8Array | SignedDocument<ServerCertificateBody>,
  expected: { readonly pinned: PinnedOrg; readonly usage: ServerKeyUsage; readonly now: Instant },
): Result<VerifiedServerCertificate> {
  const parsed = certificate instanceof Uint8Array ? parseDocument(SERVER_CERTIFICATE, certificate) : ok(certificate);
  if (!parsed.ok) return parsed;
  const { body } = parsed.value;
  if (body.org !== expected.pinned.org) return reject('certificate_invalid', 'organisation of the server certificate');
  if (!isWithin(body.domain, body.org)) return reject('certificate_invalid', 'domain of the server certificate');
  if (!crypto.ed25519.isPublicKey(body.public_key)) return reject('certificate_invalid', 'server key');
  const rootKey = signingRootKey(crypto, parsed.value, expected.pinned);
  if (rootKey === undefined)
    return reject('certificate_invalid', 'server certificate is not signed by the pinned root key');
  if (!body.usages.includes(expected.usage)) return reject('certificate_invalid', `usage ${expected.usage}`);
  if (livesTooLong(body)) return reject('certificate_invalid', 'life of the server certificate');
  const dates = checkDates(body, expected.now, 'server certificate');
  if (!dates.ok) return dates;
  return ok(serverEvidence(crypto, parsed.value, rootKey));
}

/**
 * The ML-DSA-65 key of a server certificate, when the organisation's post-quantum root
 * key signed the certificate too [CERT-15].
 * Errors: certificate_invalid (no such key, or not signed by this root key).
 */
export function verifyPostQuantumKey(
  crypto: Crypto,
  certificate: VerifiedServerCertificate,
  rootPqKey: Uint8Array,
): Result<Uint8Array> {
  const { pqPublicKey, document } = certificate;
  if (pqPublicKey === undefined) return reject('certificate_invalid', 'the server certificate has no post-quantum key');
  const signed = checkPostQuantumSignature(crypto, document, rootPqKey);
  if (signed.ok) return ok(pqPublicKey);
  return reject('certificate_invalid', 'server certificate is not signed by the post-quantum root key');
}

/**
 * Checks a device's chain: the device certificate, and the server certificate of its
 * issuer, up to the pinned root key [CERT-10] to [CERT-13].
 * Errors: certificate_invalid, certificate_expired (also not yet valid), and those of parsing.
 */
export function verifyDeviceCertificate(
  crypto: Crypto,
  chain: DeviceCertificateChain,
  expected: { readonly pinned: PinnedOrg; readonly now: Instant },
): Result<VerifiedDeviceCertificate> {
  const issuer = verifyServerCertificate(crypto, chain.issuer, { ...expected, usage: 'devices' });
  if (!issuer.ok) return issuer;
  const parsed = parseDocument(DEVICE_CERTIFICATE, chain.certificate);
  if (!parsed.ok) return parsed;
  const { body } = parsed.value;
  if (body.org !== issuer.value.org) return reject('certificate_invalid', 'organisation of the device certificate');
  const fault = deviceBodyFault(body);
  if (fault !== undefined) return reject('certificate_invalid', fault);
  if (!crypto.ed25519.isPublicKey(body.public_key)) return reject('certificate_invalid', 'device key');
  const signed = verifyDocument(crypto, parsed.value, issuer.value.publicKey);
  if (!signed.ok) return reject('certificate_invalid', 'device certificate is not signed by its issuer');
  const dates = checkDates(body, expected.now, 'device certificate');
  if (!dates.ok) return dates;
  return ok(deviceEvidence(crypto, signed.value, issuer.value));
}

/** Canonical JSON of both certificates, as they travel and are stored. */
export interface DeviceCertificateChain {
  readonly certificate: Uint8Array;
  readonly issuer: Uint8Array;
}

/** What a person compares, and what an enrolment code carries: BLAKE3-256 of the organisation root key. */
export function rootKeyFingerprint(crypto: Crypto, rootKey: Uint8Array): Uint8Array {
  return crypto.blake3(rootKey);
}

/** Hexadecimal in groups of four, for people: `5f1c 09ab …`. */
export function fingerprintText(fingerprint: Uint8Array): string {
  return (toHex(fingerprint).match(/.{1,4}/g) ?? []).join(' ');
}

interface Dates {
  readonly not_before: number;
  readonly not_after: number;
}

function signingRootKey(
  crypto: Crypto,
  document: SignedDocument<ServerCertificateBody>,
  { rootKey, predecessors = [] }: PinnedOrg,
): Uint8Array | undefined {
  if (verifyDocument(crypto, document, rootKey).ok) return rootKey;
  const earlier = predecessors.filter(({ until }) => document.body.not_before < until);
  return earlier.find((one) => verifyDocument(crypto, document, one.rootKey).ok)?.rootKey;
}

function livesTooLong({ not_before, not_after }: Dates): boolean {
  return not_after - not_before > SERVER_CERTIFICATE_LIFE_MS_MAX + CLOCK_SKEW_MS;
}

/** Valid from `not_before` on, and before `not_after`. */
function checkDates(body: Dates, now: Instant, what: string): Result<undefined> {
  if (body.not_after <= body.not_before) return reject('certificate_invalid', `dates of the ${what}`);
  if (now < body.not_before) return reject('certificate_expired', `${what} is not valid yet`);
  if (now >= body.not_after) return reject('certificate_expired', what);
  return ok(undefined);
}

function deviceBodyFault(body: DeviceCertificateBody): string | undefined {
  if (domainOf(body.user) !== body.org) return 'user of the device certificate belongs to another organisation';
  if (body.not_after <= body.not_before) return 'dates of the device certificate';
  if (body.not_after - body.not_before > LEVELS.basic.deviceLifeDaysMax * DAY_MS)
    return 'life of the device certificate';
  return undefined;
}

function isWithin(name: Domain, org: Domain): boolean {
  return name === org || name.endsWith(`.${org}`);
}

function serverEvidence(
  crypto: Crypto,
  document: SignedDocument<ServerCertificateBody>,
  rootKey: Uint8Array,
): VerifiedServerCertificate {
  const { body } = document;
  const certificate: ServerCertificate = {
    org: body.org,
    domain: body.domain,
    rootKey,
    publicKey: body.public_key,
    ...(body.pq_public_key === undefined ? {} : { pqPublicKey: body.pq_public_key }),
    usages: new Set(SERVER_KEY_USAGES.filter((usage) => body.usages.includes(usage))),
    tlsSpkiSha256: body.tls_spki_sha256,
    notBefore: instant(body.not_before),
    notAfter: instant(body.not_after),
    hash: documentHash(crypto, document),
    document,
  };
  return certificate as VerifiedServerCertificate; // its caller has just checked everything that this evidence says
}

function deviceEvidence(
  crypto: Crypto,
  document: SignedDocument<DeviceCertificateBody>,
  issuer: VerifiedServerCertificate,
): VerifiedDeviceCertificate {
  const { body } = document;
  const certificate: DeviceCertificate = {
    deviceId: body.device_id,
    user: body.user,
    org: body.org,
    rootKey: issuer.rootKey,
    publicKey: body.public_key,
    notBefore: instant(body.not_before),
    notAfter: instant(body.not_after),
    ...(body.attestation === undefined ? {} : { attestation: body.attestation }),
    issuer,
    hash: documentHash(crypto, document),
    document,
  };
  return certificate as VerifiedDeviceCertificate; // as above
}
