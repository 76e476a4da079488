import { readFile, writeFile } from 'node:fs/promises';
import {
  createMlDsa65File,
  type Ed25519Signer,
  KeyFileError,
  type MlDsa65Signer,
  nodeCrypto,
  openMlDsa65File,
} from '@norc/crypto/node';
import type { Domain, Instant, Random } from '@norc/protocol/base';
import {
  draftServerCertificate,
  type ServerCertificateBody,
  signDocumentByAll,
  type VerifiedServerCertificate,
  verifyPostQuantumKey,
  verifyServerCertificate,
} from '@norc/protocol/crypto';
import { IdentityError, organisationPaths } from './paths.ts';

/**
 * The post-quantum half of an organisation's keys (spec/certificates section 2). Its certificate is
 * apart from the server certificate: it names the same Ed25519 server key with the usage
 * `trust` alone, and is shown where trust documents are checked. Hellos and the chains of
 * devices carry the other one, which is a tenth of its size.
 */
export interface PostQuantumIdentity {
  /** ML-DSA-65, 1952 bytes. */
  readonly rootKey: Uint8Array;
  readonly signer: MlDsa65Signer;
  readonly certificate: VerifiedServerCertificate;
}

/**
 * Makes the server's ML-DSA-65 key and has both root keys certify it, with the dates of the
 * server certificate. Gives the certificate's canonical JSON.
 */
export async function certifyPostQuantumKey(
  folder: string,
  server: ServerCertificateBody,
  root: Ed25519Signer,
  random: Random,
): Promise<{ readonly rootKey: Uint8Array; readonly certificate: Uint8Array }> {
  const paths = organisationPaths(folder);
  const rootPq = await createMlDsa65File(paths.rootPqKey, random);
  const serverPq = await createMlDsa65File(paths.serverPqKey, random);
  const draft = draftServerCertificate({ ...server, usages: ['trust'], pq_public_key: serverPq.publicKey });
  const signed = await signDocumentByAll(nodeCrypto, draft, [root, rootPq]);
  await writeFile(paths.serverPqCertificate, signed.bytes, { flag: 'wx', mode: 0o644 });
  rootPq.close();
  serverPq.close();
  return { rootKey: rootPq.publicKey, certificate: signed.bytes };
}

/** Opens the post-quantum keys and checks that they belong together. Throws IdentityError or KeyFileError. */
export async function openPostQuantum(
  folder: string,
  pinned: { readonly org: Domain; readonly rootKey: Uint8Array },
  rootPqKey: Uint8Array,
  now: Instant,
): Promise<PostQuantumIdentity> {
  const paths = organisationPaths(folder);
  const signer = await openMlDsa65File(paths.serverPqKey).catch((cause: unknown) => {
    if (!(cause instanceof KeyFileError) || cause.fault !== 'missing') throw cause;
    throw new IdentityError(`${paths.serverPqKey} is missing; restore it from your backup`, { cause });
  });
  const bytes = await readFile(paths.serverPqCertificate).catch((cause: unknown) => {
    throw new IdentityError(`${paths.serverPqCertificate} cannot be read; restore it from your backup`, { cause });
  });
  const certificate = verifyServerCertificate(nodeCrypto, Uint8Array.from(bytes), { pinned, usage: 'trust', now });
  if (!certificate.ok) throw new IdentityError(`${paths.serverPqCertificate}: ${certificate.error.detail}`);
  const key = verifyPostQuantumKey(nodeCrypto, certificate.value, rootPqKey);
  if (!key.ok) throw new IdentityError(`${paths.serverPqCertificate}: ${key.error.detail}`);
  if (!nodeCrypto.equal(key.value, signer.publicKey)) {
    throw new IdentityError(`${paths.serverPqKey} is not the key that ${paths.serverPqCertificate} certifies`);
  }
  return { rootKey: rootPqKey, signer, certificate: certificate.value };
}
