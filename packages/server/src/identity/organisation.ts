import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createSignerFile, type Ed25519Signer, KeyFileError, nodeCrypto, openSignerFile } from '@norc/crypto/node';
import { type Clock, type Domain, type Instant, type Random, toBase64Url } from '@norc/protocol/base';
import {
  draftServerCertificate,
  rootKeyFingerprint,
  SERVER_KEY_USAGES,
  type Signer,
  signDocument,
  type VerifiedServerCertificate,
  verifyServerCertificate,
} from '@norc/protocol/crypto';
import { domainProofText, type Party, type RootLineage, verifyRecoverySet } from '@norc/protocol/norc-t';
import { createTlsIdentity, openTlsIdentity, type TlsIdentity } from '../transport/tls-identity.ts';
import { replaceFile } from './files.ts';
import { IdentityError, organisationPaths } from './paths.ts';
import { certifyPostQuantumKey, openPostQuantum, type PostQuantumIdentity } from './post-quantum.ts';
import { readRootPublic, rootPublicText } from './root-public.ts';
import { type OwnRotation, ownLineage, readRotations } from './rotation-record.ts';

export { IdentityError, organisationPaths } from './paths.ts';
export type { PostQuantumIdentity } from './post-quantum.ts';
export type { RootPublic } from './root-public.ts';
export type { OwnRotation } from './rotation-record.ts';

const DAY_MS = 86_400_000;
const SERVER_CERTIFICATE_LIFE_DAYS = 365;
/** Certificates begin a little earlier than they are made: a device whose clock is slow takes them too. */
export const CERTIFICATE_BACKDATE_MS = 3_600_000;

/** An organisation as its own server knows it. The root key's secret is not part of it: it can be kept elsewhere. */
export interface OrganisationIdentity {
  readonly domain: Domain;
  readonly rootKey: Uint8Array;
  /** BLAKE3-256 of the root key: what people compare. */
  readonly rootFingerprint: Uint8Array;
  readonly signer: Ed25519Signer;
  readonly certificate: VerifiedServerCertificate;
  /** Absent in organisations that were made without (`upgradeOrganisation`). */
  readonly pq?: PostQuantumIdentity;
  readonly tls: TlsIdentity;
  /** Root keys that came before, and the one in use (spec/root-rotation). */
  readonly lineage: RootLineage;
  /** Canonical JSON of the rotations in `lineage`, for partners and devices that have not heard of them. */
  readonly rotations: readonly OwnRotation[];
  /** Canonical JSON of the recovery set in force, where the organisation named one. */
  readonly recovery?: Uint8Array;
}

export interface World {
  readonly clock: Clock;
  readonly random: Random;
}

/**
 * Makes the keys of a new organisation: both root keys, the server keys certified by them,
 * the TLS key. Refuses to touch a folder that has any of them: keys are never overwritten.
 */
export async function initOrganisation(
  folder: string,
  domain: Domain,
  { clock, random }: World,
): Promise<OrganisationIdentity> {
  const paths = organisationPaths(folder);
  await mkdir(paths.keys, { recursive: true, mode: 0o700 });
  const root = await createSignerFile(paths.rootKey, random).catch(keysExist(folder));
  const server = await createSignerFile(paths.serverKey, random).catch(keysExist(folder));
  const tls = await createTlsIdentity(paths.keys, domain, { clock, random });
  // Devices and other servers have clocks of their own: the first of them may be a little behind.
  const notBefore = clock.now() - CERTIFICATE_BACKDATE_MS;
  const draft = draftServerCertificate({
    org: domain,
    domain,
    public_key: server.publicKey,
    usages: [...SERVER_KEY_USAGES],
    tls_spki_sha256: [tls.spkiSha256],
    not_before: notBefore,
    not_after: notBefore + SERVER_CERTIFICATE_LIFE_DAYS * DAY_MS,
  });
  const signed = await signDocument(nodeCrypto, draft, root);
  await writeFile(paths.serverCertificate, signed.bytes, { flag: 'wx', mode: 0o644 });
  const pq = await certifyPostQuantumKey(folder, draft.body, root, random).catch(keysExist(folder));
  const text = rootPublicText(domain, { rootKey: root.publicKey, rootPqKey: pq.rootKey });
  await writeFile(paths.rootPublic, text, { flag: 'wx', mode: 0o644 });
  root.close();
  server.close();
  return await openOrganisation(folder, domain, clock.now());
}

/**
 * Adds the post-quantum keys to an organisation that has none. Needs the root key's file in
 * its place. Throws IdentityError when there are such keys, or the root key is not there.
 */
export async function upgradeOrganisation(folder: string, domain: Domain, { clock, random }: World): Promise<void> {
  const paths = organisationPaths(folder);
  const before = await openOrganisation(folder, domain, clock.now());
  closeOrganisation(before);
  if (before.pq !== undefined) throw new IdentityError(`${domain} has post-quantum keys already`);
  const root = await openRootKey(folder, before.rootKey);
  const pq = await certifyPostQuantumKey(folder, before.certificate.document.body, root, random).catch(
    keysExist(folder),
  );
  root.close();
  // Last: until the public file names the key, the organisation has none.
  await replaceFile(paths.rootPublic, rootPublicText(domain, { rootKey: before.rootKey, rootPqKey: pq.rootKey }));
}

/** The root key's secret, which an operator puts back for as long as it is needed. Throws IdentityError when it is away or another one. */
export async function openRootKey(folder: string, rootKey: Uint8Array): Promise<Ed25519Signer> {
  const file = organisationPaths(folder).rootKey;
  const root = await openSignerFile(file).catch((cause: unknown) => {
    if (!(cause instanceof KeyFileError) || cause.fault !== 'missing') throw cause;
    throw new IdentityError(`${file} is not here; put the root key back for as long as this takes`, { cause });
  });
  if (nodeCrypto.equal(root.publicKey, rootKey)) return root;
  root.close();
  throw new IdentityError(`${file} is not the root key of this organisation`);
}

/** Opens an organisation's keys and checks that they belong together and are in date. Throws IdentityError or KeyFileError. */
export async function openOrganisation(folder: string, domain: Domain, now: Instant): Promise<OrganisationIdentity> {
  const paths = organisationPaths(folder);
  const { rootKey, rootPqKey } = await readRootPublic(paths.rootPublic, domain);
  const signer = await openSignerFile(paths.serverKey).catch((cause: unknown) => {
    if (!(cause instanceof KeyFileError) || cause.fault !== 'missing') throw cause;
    throw new IdentityError(`${domain} has no keys in ${paths.keys}; run: norc org init ${domain}`, { cause });
  });
  const document = await readFile(paths.serverCertificate).catch((cause: unknown) => {
    throw new IdentityError(`${paths.serverCertificate} cannot be read; restore it from your backup`, { cause });
  });
  const pinned = { org: domain, rootKey };
  const certificate = verifyServerCertificate(nodeCrypto, Uint8Array.from(document), { pinned, usage: 'server', now });
  if (!certificate.ok) {
    throw new IdentityError(`${paths.serverCertificate}: ${certificate.error.detail}; see: norc doctor`);
  }
  if (toBase64Url(certificate.value.publicKey) !== toBase64Url(signer.publicKey)) {
    throw new IdentityError(`${paths.serverKey} is not the key that ${paths.serverCertificate} certifies`);
  }
  const pq = rootPqKey === undefined ? undefined : await openPostQuantum(folder, pinned, rootPqKey, now);
  const tls = await openTlsIdentity(paths.keys);
  const rotations = await readRotations(paths.rotations, rootKey);
  const recovery = await readRecoverySet(paths.recoverySet, pinned);
  return {
    domain,
    rootKey,
    rootFingerprint: rootKeyFingerprint(nodeCrypto, rootKey),
    signer,
    certificate: certificate.value,
    ...(pq === undefined ? {} : { pq }),
    tls,
    lineage: ownLineage(domain, rootKey, rotations),
    rotations,
    ...(recovery === undefined ? {} : { recovery }),
  };
}

/** Overwrites the secrets in memory. */
export function closeOrganisation({ signer, pq }: Pick<OrganisationIdentity, 'signer' | 'pq'>): void {
  signer.close();
  pq?.signer.close();
}

/** The organisation as its own documents of trust name it. */
export function partyOf({ domain, rootKey, certificate, pq, recovery }: OrganisationIdentity): Party {
  const certificates = [certificate, ...(pq === undefined ? [] : [pq.certificate])];
  return {
    domain,
    root_key: rootKey,
    server_certificates: certificates.map(({ document }) => document.bytes),
    ...(pq === undefined ? {} : { root_pq_key: pq.rootKey }),
    ...(recovery === undefined ? {} : { recovery }),
  };
}

/** A set that an earlier root key signed is over: the new key names its officers anew. */
async function readRecoverySet(
  file: string,
  pinned: { readonly org: Domain; readonly rootKey: Uint8Array },
): Promise<Uint8Array | undefined> {
  const bytes = await readFile(file).then(
    (read) => Uint8Array.from(read),
    () => undefined,
  );
  return bytes !== undefined && verifyRecoverySet(nodeCrypto, bytes, pinned).ok ? bytes : undefined;
}

/** Who signs this organisation's documents of trust: always Ed25519, then ML-DSA-65 where there is such a key. */
export function trustSigners({ signer, pq }: Pick<OrganisationIdentity, 'signer' | 'pq'>): readonly Signer[] {
  return pq === undefined ? [signer] : [signer, pq.signer];
}

/** The line that the domain has to publish. */
export function domainProofOf(keys: { readonly rootKey: Uint8Array; readonly rootPqKey?: Uint8Array }): string {
  return domainProofText(keys.rootKey, keys.rootPqKey === undefined ? undefined : nodeCrypto.blake3(keys.rootPqKey));
}

function keysExist(folder: string): (cause: unknown) => never {
  return (cause) => {
    if (!(cause instanceof KeyFileError) || cause.fault !== 'exists') throw cause;
    throw new IdentityError(`${folder} has keys already; keys are never overwritten`, { cause });
  };
}
