import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createSignerFile, type Ed25519Signer, KeyFileError, nodeCrypto, openSignerFile } from '@norc/crypto/node';
import {
  type Clock,
  type Domain,
  fromBase64Url,
  type Instant,
  parseDomain,
  type Random,
  toBase64Url,
} from '@norc/protocol/base';
import {
  draftServerCertificate,
  rootKeyFingerprint,
  SERVER_KEY_USAGES,
  signDocument,
  type VerifiedServerCertificate,
  verifyServerCertificate,
} from '@norc/protocol/crypto';
import { createTlsIdentity, openTlsIdentity, type TlsIdentity } from '../transport/tls-identity.ts';

const DAY_MS = 86_400_000;
const SERVER_CERTIFICATE_LIFE_DAYS = 365;
/** Certificates begin a little earlier than they are made: a device whose clock is slow takes them too. */
export const CERTIFICATE_BACKDATE_MS = 3_600_000;

/** An operator's mistake about an organisation's files: says which file, and what to do. */
export class IdentityError extends Error {
  override readonly name = 'IdentityError';
}

/** Where one organisation keeps what is its own. */
export function organisationPaths(folder: string) {
  const keys = join(folder, 'keys');
  return {
    keys,
    rootKey: join(keys, 'root.key'),
    rootPublic: join(keys, 'root.pub.json'),
    serverKey: join(keys, 'server.key'),
    serverCertificate: join(keys, 'server.cert.json'),
    database: join(folder, 'norc.db'),
    adminSocket: join(folder, 'admin.sock'),
  } as const;
}

/** An organisation as its own server knows it. The root key's secret is not part of it: it can be kept elsewhere. */
export interface OrganisationIdentity {
  readonly domain: Domain;
  readonly rootKey: Uint8Array;
  /** BLAKE3-256 of the root key: what people compare. */
  readonly rootFingerprint: Uint8Array;
  readonly signer: Ed25519Signer;
  readonly certificate: VerifiedServerCertificate;
  readonly tls: TlsIdentity;
}

interface World {
  readonly clock: Clock;
  readonly random: Random;
}

/**
 * Makes the keys of a new organisation: root key, server key certified by it, TLS
 * key. Refuses to touch a folder that has any of them: keys are never overwritten.
 */
export async function initOrganisation(
  folder: string,
  domain: Domain,
  { clock, random }: World,
): Promise<OrganisationIdentity> {
  const paths = organisationPaths(folder);
  await mkdir(paths.keys, { recursive: true, mode: 0o700 });
  const root = await createSignerFile(paths.rootKey, random).catch(keysExist(folder));
  await writeFile(paths.rootPublic, rootPublicText(domain, root.publicKey), { flag: 'wx', mode: 0o644 });
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
  root.close();
  server.close();
  return await openOrganisation(folder, domain, clock.now());
}

/** Opens an organisation's keys and checks that they belong together and are in date. Throws IdentityError or KeyFileError. */
export async function openOrganisation(folder: string, domain: Domain, now: Instant): Promise<OrganisationIdentity> {
  const paths = organisationPaths(folder);
  const root = await readRootPublic(paths.rootPublic, domain);
  const signer = await openSignerFile(paths.serverKey).catch((cause: unknown) => {
    if (!(cause instanceof KeyFileError) || cause.fault !== 'missing') throw cause;
    throw new IdentityError(`${domain} has no keys in ${paths.keys}; run: norc org init ${domain}`, { cause });
  });
  const document = await readFile(paths.serverCertificate).catch((cause: unknown) => {
    throw new IdentityError(`${paths.serverCertificate} cannot be read; restore it from your backup`, { cause });
  });
  const certificate = verifyServerCertificate(nodeCrypto, Uint8Array.from(document), {
    pinned: { org: domain, rootKey: root },
    usage: 'server',
    now,
  });
  if (!certificate.ok) {
    throw new IdentityError(`${paths.serverCertificate}: ${certificate.error.detail}; see: norc doctor`);
  }
  if (toBase64Url(certificate.value.publicKey) !== toBase64Url(signer.publicKey)) {
    throw new IdentityError(`${paths.serverKey} is not the key that ${paths.serverCertificate} certifies`);
  }
  const tls = await openTlsIdentity(paths.keys);
  return {
    domain,
    rootKey: root,
    rootFingerprint: rootKeyFingerprint(nodeCrypto, root),
    signer,
    certificate: certificate.value,
    tls,
  };
}

function rootPublicText(domain: Domain, publicKey: Uint8Array): string {
  const document = { type: 'norc_root_key', algorithm: 'ed25519', domain, public_key: toBase64Url(publicKey) };
  return `${JSON.stringify(document, null, 2)}\n`;
}

async function readRootPublic(file: string, domain: Domain): Promise<Uint8Array> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new IdentityError(`no organisation in this data folder (${file} is missing); run: norc org init ${domain}`, {
      cause,
    });
  });
  const fields = parseObject(text);
  const named = typeof fields['domain'] === 'string' ? parseDomain(fields['domain']) : undefined;
  const key = typeof fields['public_key'] === 'string' ? fromBase64Url(fields['public_key']) : undefined;
  if (fields['type'] !== 'norc_root_key' || named?.ok !== true || key?.length !== 32) {
    throw new IdentityError(`${file} is damaged; restore it from your backup`);
  }
  if (named.value !== domain) {
    throw new IdentityError(`${file} belongs to ${named.value}, but the configuration says ${domain}`);
  }
  return key;
}

function parseObject(text: string): Record<string, unknown> {
  try {
    const parsed: unknown = JSON.parse(text);
    return typeof parsed === 'object' && parsed !== null ? (parsed as Record<string, unknown>) : {}; // values are checked one by one
  } catch {
    return {};
  }
}

function keysExist(folder: string): (cause: unknown) => never {
  return (cause) => {
    if (!(cause instanceof KeyFileError) || cause.fault !== 'exists') throw cause;
    throw new IdentityError(`${folder} has keys already; keys are never overwritten`, { cause });
  };
}
