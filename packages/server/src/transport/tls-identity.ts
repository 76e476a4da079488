import { createHash, createPrivateKey, generateKeyPairSync, sign, X509Certificate } from 'node:crypto';
import { link, mkdir, open, readFile, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { type Clock, type Domain, type Random, toHex, utf8 } from '@norc/protocol/base';
import { bitString, der, integer, objectId, octetString, sequence, setOf, time, utf8String } from './der.ts';
import { errorCode, TlsIdentityError } from './errors.ts';

/**
 * A server's TLS key with a certificate that it signed itself. Peers pin the key by
 * its hash, which the organisation root key vouches for in the server certificate;
 * nobody is asked to believe the X.509 certificate (spec/transport section 2).
 */
export interface TlsIdentity {
  readonly keyPem: string;
  readonly certPem: string;
  /** SHA-256 of the SubjectPublicKeyInfo in DER: 32 bytes. */
  readonly spkiSha256: Uint8Array;
}

interface World {
  readonly clock: Clock;
  readonly random: Random;
}

const DAY_MS = 86_400_000;
/** A peer whose clock is behind ours must not find the certificate "not yet valid". */
const BACKDATE_MS = DAY_MS;
/** Some TLS stacks look at the dates even of a pinned certificate. The trust certificate sets the key's real life. */
const LIFE_MS = 3650 * DAY_MS;

const OID = {
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  commonName: '2.5.4.3',
  basicConstraints: '2.5.29.19',
  keyUsage: '2.5.29.15',
  extendedKeyUsage: '2.5.29.37',
  subjectAltName: '2.5.29.17',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
} as const;

/** A new ECDSA P-256 key and its certificate for `domain`, valid from a day before now for ten years. Stores nothing. */
export function generateTlsIdentity(domain: Domain, { clock, random }: World): TlsIdentity {
  const now = clock.now();
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const serial = random.bytes(16);
  const body = certificateBody(domain, spki, serial, now - BACKDATE_MS, now + LIFE_MS);
  const signature = sign('sha256', body, privateKey);
  const certificate = sequence(body, sequence(objectId(OID.ecdsaWithSha256)), bitString(signature));
  return {
    keyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    certPem: new X509Certificate(certificate).toString(),
    spkiSha256: sha256(spki),
  };
}

/** TBSCertificate of RFC 5280 section 4.1, version 3. */
function certificateBody(
  domain: Domain,
  spki: Uint8Array,
  serial: Uint8Array,
  notBefore: number,
  notAfter: number,
): Uint8Array {
  // The common name holds at most 64 characters, a domain up to 253: the domain is in subjectAltName.
  const name = sequence(setOf(sequence(objectId(OID.commonName), utf8String('NORC server'))));
  return sequence(
    der(0xa0, integer(Uint8Array.of(2))),
    integer(serial),
    sequence(objectId(OID.ecdsaWithSha256)),
    name,
    sequence(time(notBefore), time(notAfter)),
    name,
    spki,
    der(0xa3, sequence(...extensions(domain))),
  );
}

function extensions(domain: Domain): Uint8Array[] {
  const critical = Uint8Array.of(0x01, 0x01, 0xff);
  const digitalSignature = bitString(Uint8Array.of(0x80), 7);
  return [
    sequence(objectId(OID.basicConstraints), critical, octetString(sequence())),
    sequence(objectId(OID.keyUsage), critical, octetString(digitalSignature)),
    sequence(objectId(OID.extendedKeyUsage), octetString(sequence(objectId(OID.serverAuth), objectId(OID.clientAuth)))),
    sequence(objectId(OID.subjectAltName), octetString(sequence(der(0x82, utf8(domain))))),
  ];
}

/** SHA-256 of a certificate's SubjectPublicKeyInfo: what peers pin. 32 bytes. */
export function spkiSha256(certificate: X509Certificate): Uint8Array {
  return sha256(certificate.publicKey.export({ type: 'spki', format: 'der' }));
}

function sha256(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHash('sha256').update(bytes).digest());
}

/** Where an organisation's folder of keys has its TLS identity. */
export function tlsIdentityFile(folder: string): string {
  return join(folder, 'tls.pem');
}

/**
 * Makes an identity and stores it in `folder` (made if need be) as one file that only
 * its owner can read: a crash never leaves a key without its certificate. Throws
 * TlsIdentityError when there is one already: a key that peers have pinned is never overwritten.
 */
export async function createTlsIdentity(folder: string, domain: Domain, world: World): Promise<TlsIdentity> {
  const identity = generateTlsIdentity(domain, world);
  const file = tlsIdentityFile(folder);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const temporary = `${file}.${toHex(world.random.bytes(6))}.new`;
  const handle = await open(temporary, 'wx', 0o600);
  try {
    await handle.writeFile(identity.keyPem + identity.certPem);
    await handle.sync();
  } finally {
    await handle.close();
  }
  try {
    await link(temporary, file); // unlike a rename, this fails where a file already is
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error;
    throw new TlsIdentityError(`${file} exists already and is not overwritten`);
  } finally {
    await unlink(temporary);
  }
  await syncFolder(folder);
  return identity;
}

/** Makes the new name itself durable. Windows has no such call and needs none. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Reads what `createTlsIdentity` stored. Throws TlsIdentityError when it is missing, others may read it, or it is no key with its certificate. */
export async function openTlsIdentity(folder: string): Promise<TlsIdentity> {
  const file = tlsIdentityFile(folder);
  const { mode } = await stat(file).catch((error: unknown) => {
    if (errorCode(error) !== 'ENOENT') throw error;
    throw new TlsIdentityError(`${file} is missing; restore it from your backup`);
  });
  if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
    throw new TlsIdentityError(`${file} can be read by others; run: chmod 600 ${file}`);
  }
  const text = await readFile(file, 'utf8');
  const keyPem = pemBlock(text, 'PRIVATE KEY');
  const certPem = pemBlock(text, 'CERTIFICATE');
  if (keyPem === undefined || certPem === undefined) {
    throw new TlsIdentityError(`${file} does not hold a private key and a certificate in PEM`);
  }
  return { keyPem, certPem, spkiSha256: checkedSpki(file, keyPem, certPem) };
}

/** Throws TlsIdentityError unless the key belongs to the (first) certificate. `file` only names the place in the message. */
export function checkedSpki(file: string, keyPem: string, certPem: string): Uint8Array {
  try {
    const certificate = new X509Certificate(certPem);
    if (certificate.checkPrivateKey(createPrivateKey(keyPem))) return spkiSha256(certificate);
  } catch {
    // The parser's message may quote the key: it is not passed on.
    throw new TlsIdentityError(`${file} holds a key or a certificate that cannot be read as PEM`);
  }
  throw new TlsIdentityError(`${file}: the private key does not belong to the certificate`);
}

function pemBlock(text: string, label: string): string | undefined {
  return new RegExp(`-----BEGIN ${label}-----[A-Za-z0-9+/=\\s]+-----END ${label}-----\\n?`).exec(text)?.[0];
}
