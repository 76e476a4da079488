import assert from 'node:assert/strict';
import { randomBytes, X509Certificate } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Domain, instant } from '@norc/protocol/base';
import { TlsIdentityError } from './errors.ts';
import {
  createTlsIdentity,
  generateTlsIdentity,
  openTlsIdentity,
  spkiSha256,
  tlsIdentityFile,
} from './tls-identity.ts';

const ALPHA = 'alpha.example' as Domain; // a domain as parseDomain gives it
const NOW = instant(Date.UTC(2026, 10, 23, 12, 0, 0));
const random = { bytes: (length: number) => Uint8Array.from(randomBytes(length)) };
const WORLD = { clock: { now: () => NOW }, random };
let folder = '';

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'norc-tls-'));
});
after(() => rm(folder, { recursive: true }));

test('a certificate names its domain, signs itself, and has the dates it was asked for', () => {
  const identity = generateTlsIdentity(ALPHA, WORLD);
  const certificate = new X509Certificate(identity.certPem);
  assert.equal(certificate.checkHost('alpha.example'), 'alpha.example');
  assert.equal(certificate.checkHost('bravo.example'), undefined);
  assert.equal(certificate.verify(certificate.publicKey), true);
  assert.equal(certificate.ca, false);
  assert.equal(certificate.validFromDate.getTime(), NOW - 86_400_000);
  assert.equal(certificate.validToDate.getUTCFullYear(), 2036);
  assert.deepEqual(certificate.keyUsage, ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']);
  assert.equal(certificate.publicKey.asymmetricKeyDetails?.namedCurve, 'prime256v1');
  assert.deepEqual(identity.spkiSha256, spkiSha256(certificate));
});

test('dates from 2050 on and domains of 253 characters give certificates that are read back', () => {
  const label = 'a'.repeat(61);
  const domain = `${label}.${label}.${label}.${label}.x.yz` as Domain; // 4 * 62 + 5 characters
  assert.equal(domain.length, 252);
  const certificate = new X509Certificate(
    generateTlsIdentity(domain, { clock: { now: () => instant(Date.UTC(2049, 0, 1)) }, random }).certPem,
  );
  assert.equal(certificate.validToDate.getUTCFullYear(), 2058);
  assert.equal(certificate.checkHost(domain), domain);
});

test('two identities never share a key or a serial number', () => {
  const [one, two] = [generateTlsIdentity(ALPHA, WORLD), generateTlsIdentity(ALPHA, WORLD)];
  assert.notDeepEqual(one.spkiSha256, two.spkiSha256);
  assert.notEqual(new X509Certificate(one.certPem).serialNumber, new X509Certificate(two.certPem).serialNumber);
});

test('an identity is kept in one file of its owner, and found again', async () => {
  const keys = join(folder, 'made', 'keys');
  const made = await createTlsIdentity(keys, ALPHA, WORLD);
  assert.equal((await stat(tlsIdentityFile(keys))).mode & 0o777, 0o600);
  assert.deepEqual(await openTlsIdentity(keys), made);
  assert.deepEqual(await readdir(keys), ['tls.pem'], 'nothing else is left behind');
});

test('a stored key is never overwritten', async () => {
  const keys = join(folder, 'kept');
  await createTlsIdentity(keys, ALPHA, WORLD);
  const text = await readFile(tlsIdentityFile(keys), 'utf8');
  await assert.rejects(createTlsIdentity(keys, ALPHA, WORLD), TlsIdentityError);
  assert.equal(await readFile(tlsIdentityFile(keys), 'utf8'), text);
  assert.deepEqual(await readdir(keys), ['tls.pem']);
});

test('a key file that is missing or that others may read is refused with the remedy', async () => {
  const keys = join(folder, 'open');
  await createTlsIdentity(keys, ALPHA, WORLD);
  await chmod(tlsIdentityFile(keys), 0o640);
  await assert.rejects(openTlsIdentity(keys), { name: 'TlsIdentityError', message: /chmod 600/ });
  await assert.rejects(openTlsIdentity(join(folder, 'none')), { name: 'TlsIdentityError', message: /backup/ });
});

test('a damaged file is named without a byte of the key', async () => {
  const keys = join(folder, 'damaged');
  await mkdir(keys);
  const file = tlsIdentityFile(keys);
  const [one, two] = [generateTlsIdentity(ALPHA, WORLD), generateTlsIdentity(ALPHA, WORLD)];
  const keyLine = one.keyPem.split('\n')[1] ?? '';
  const damaged = [
    one.keyPem,
    one.certPem,
    one.keyPem + two.certPem,
    one.keyPem.replace(keyLine, keyLine.slice(0, 20)) + one.certPem,
    one.keyPem + one.certPem.replaceAll('M', 'N'),
    '',
  ];
  for (const text of damaged) {
    await writeFile(file, text, { mode: 0o600 });
    await assert.rejects(openTlsIdentity(keys), (error: unknown) => {
      assert.ok(error instanceof TlsIdentityError && error.message.includes(file));
      assert.ok(!error.message.includes(keyLine.slice(0, 16)) && error.cause === undefined);
      return true;
    });
  }
});
