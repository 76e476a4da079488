import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeCrypto } from '@norc/crypto/node';
import { mustBe, TEST_EPOCH, testDevice, testKeyPair, testOrganisation } from '@norc/testkit';
import { type ErrorName, type Instant, instant, parseDomain, type Result } from '../base/index.ts';
import {
  type DeviceCertificateChain,
  draftDeviceCertificate,
  draftDocument,
  draftServerCertificate,
  fingerprintText,
  type PinnedOrg,
  parseDocument,
  rootKeyFingerprint,
  SERVER_CERTIFICATE,
  type ServerCertificateBody,
  type ServerKeyUsage,
  signDocumentWith,
  verifyDeviceCertificate,
  verifyServerCertificate,
} from './index.ts';

const crypto = nodeCrypto;
const alpha = testOrganisation('alpha.example');
const bravo = testOrganisation('bravo.example');
const laptop = testDevice(alpha, 'ann', 'laptop');
const DAY = 86_400_000;

function refused(result: Result<unknown>, code: ErrorName, detail?: RegExp): void {
  assert.equal(result.ok ? 'accepted' : result.error.code, code);
  if (detail !== undefined && !result.ok) assert.match(result.error.detail, detail);
}

function checkServer(
  certificate = alpha.certificate,
  usage: ServerKeyUsage = 'devices',
  now: Instant = TEST_EPOCH,
  pinned: PinnedOrg = alpha.pinned,
): ReturnType<typeof verifyServerCertificate> {
  return verifyServerCertificate(crypto, certificate, { pinned, usage, now });
}

function checkDevice(
  chain: DeviceCertificateChain,
  now: Instant = TEST_EPOCH,
  pinned: PinnedOrg = alpha.pinned,
): ReturnType<typeof verifyDeviceCertificate> {
  return verifyDeviceCertificate(crypto, chain, { pinned, now });
}

test('a device certificate chains to the pinned root key and gives what it says', () => {
  const device = mustBe(checkDevice(laptop.chain));
  assert.equal(device.user, 'ann@alpha.example');
  assert.equal(device.deviceId, laptop.deviceId);
  assert.equal(device.org, 'alpha.example');
  assert.deepEqual(device.publicKey, laptop.keys.publicKey);
  assert.deepEqual(device.rootKey, alpha.root.publicKey);
  assert.deepEqual(device.issuer.publicKey, alpha.server.publicKey);
  assert.deepEqual([...device.issuer.usages], ['server', 'devices', 'trust', 'audit']);
  assert.deepEqual(device.issuer.tlsSpkiSha256, [alpha.tlsSpkiSha256]);
});

test('[CERT-6] another organisation, or another root key of the same name, is refused', () => {
  refused(checkServer(alpha.certificate, 'devices', TEST_EPOCH, bravo.pinned), 'certificate_invalid', /organisation/);
  const impostor = { org: alpha.domain, rootKey: bravo.root.publicKey };
  refused(checkServer(alpha.certificate, 'devices', TEST_EPOCH, impostor), 'certificate_invalid', /root key/);
  refused(checkDevice(laptop.chain, TEST_EPOCH, impostor), 'certificate_invalid', /root key/);
});

test('[CERT-6] a root key of small order certifies nothing', () => {
  const weak = { org: alpha.domain, rootKey: Uint8Array.from([1, ...new Uint8Array(31)]) };
  const forged = { ...alpha.certificate, signatures: [] };
  const signed = signDocumentWith(crypto, forged, { publicKey: weak.rootKey, privateKey: alpha.root.privateKey });
  refused(checkServer(signed, 'devices', TEST_EPOCH, weak), 'certificate_invalid');
});

test('[CERT-7] a server certificate names a server of its organisation and a usable key', () => {
  const elsewhere = mustBe(parseDomain('alpha.example.evil.example'));
  const body = { ...alpha.certificate.body, domain: elsewhere };
  const lie = signDocumentWith(crypto, draftDocument(SERVER_CERTIFICATE, body), alpha.root);
  refused(checkServer(lie), 'certificate_invalid', /domain/);
  assert.throws(() => draftServerCertificate(body), RangeError);
  const below = testOrganisation('alpha.example', { domain: mustBe(parseDomain('norc.alpha.example')) });
  assert.ok(checkServer(below.certificate).ok);
  const weak = testOrganisation('alpha.example', { public_key: new Uint8Array(32) });
  refused(checkServer(weak.certificate), 'certificate_invalid', /server key/);
});

test('[CERT-8] a key is good only for the usages that the root key gave it', () => {
  const frontend = testOrganisation('alpha.example', { usages: ['server', 'future_usage'] });
  assert.ok(checkServer(frontend.certificate, 'server').ok);
  refused(checkServer(frontend.certificate, 'trust'), 'certificate_invalid', /usage trust/);
  const device = testDevice(frontend, 'ann', 'laptop');
  refused(checkDevice(device.chain), 'certificate_invalid', /usage devices/);
});

test('[CERT-9] a certificate is good from not_before on and before not_after', () => {
  const { not_before, not_after } = alpha.certificate.body;
  const at = (now: number) => checkServer(alpha.certificate, 'devices', instant(now));
  refused(at(not_before - 1), 'certificate_expired', /not valid yet/);
  assert.ok(at(not_before).ok);
  assert.ok(at(not_after - 1).ok);
  refused(at(not_after), 'certificate_expired');
  const backwards = { ...alpha.certificate.body, not_after: not_before };
  const odd = signDocumentWith(crypto, draftDocument(SERVER_CERTIFICATE, backwards), alpha.root);
  refused(checkServer(odd), 'certificate_invalid', /dates/);
});

test('[CERT-10] a device certificate is signed by the key of its issuer', () => {
  const rogue = { ...alpha, server: testKeyPair('rogue') };
  refused(checkDevice(testDevice(rogue, 'ann', 'laptop').chain), 'certificate_invalid', /issuer/);
  const swapped = { certificate: laptop.chain.certificate, issuer: bravo.certificate.bytes };
  refused(checkDevice(swapped), 'certificate_invalid');
  refused(checkDevice({ certificate: laptop.chain.issuer, issuer: laptop.chain.issuer }), 'missing_field');
});

test('[CERT-11] an organisation certifies its own users only', () => {
  const foreign = draftDeviceCertificate(mustBe(checkDevice(testDevice(alpha, 'bob', 'phone').chain)).document.body);
  assert.throws(() => draftDeviceCertificate({ ...foreign.body, org: bravo.domain }), RangeError);
  const stolen = signDocumentWith(crypto, testDeviceOf('ann@bravo.example', bravo.domain), alpha.server);
  refused(checkDevice({ ...laptop.chain, certificate: stolen.bytes }), 'certificate_invalid', /organisation/);
  const mixed = signDocumentWith(crypto, testDeviceOf('ann@bravo.example', alpha.domain), alpha.server);
  refused(checkDevice({ ...laptop.chain, certificate: mixed.bytes }), 'certificate_invalid', /user/);
});

test('[CERT-12] a device certificate lives 365 days at most and names a usable key', () => {
  assert.throws(() => testDevice(alpha, 'ann', 'laptop', { not_after: TEST_EPOCH + 365 * DAY + 1 }), RangeError);
  const weak = testDevice(alpha, 'ann', 'laptop', { public_key: new Uint8Array(32) });
  refused(checkDevice(weak.chain), 'certificate_invalid', /device key/);
});

test('[CERT-13] every certificate of the chain must be in date', () => {
  const short = testDevice(alpha, 'ann', 'laptop', { not_after: TEST_EPOCH + DAY });
  assert.ok(checkDevice(short.chain, instant(TEST_EPOCH + DAY - 1)).ok);
  refused(checkDevice(short.chain, instant(TEST_EPOCH + DAY)), 'certificate_expired', /device/);
  refused(checkDevice(short.chain, instant(TEST_EPOCH - 1)), 'certificate_expired', /device/);
  const closing = testOrganisation('alpha.example', { not_after: TEST_EPOCH + DAY });
  const long = testDevice(closing, 'ann', 'laptop');
  refused(checkDevice(long.chain, instant(TEST_EPOCH + DAY)), 'certificate_expired', /server/);
});

test('an attestation is carried, signed and opaque', () => {
  const attestation = Uint8Array.of(1, 2, 3);
  const device = mustBe(checkDevice(testDevice(alpha, 'ann', 'laptop', { attestation }).chain));
  assert.deepEqual(device.attestation, attestation);
  assert.equal(mustBe(checkDevice(laptop.chain)).attestation, undefined);
});

test('fingerprints are shown in groups of four', () => {
  const shown = fingerprintText(rootKeyFingerprint(crypto, alpha.root.publicKey));
  assert.match(shown, /^([0-9a-f]{4} ){15}[0-9a-f]{4}$/);
});

test('a server certificate survives storage', () => {
  const again = mustBe(parseDocument(SERVER_CERTIFICATE, alpha.certificate.bytes));
  const body: ServerCertificateBody = again.body;
  assert.deepEqual(body, alpha.certificate.body);
});

function testDeviceOf(user: string, org: string) {
  const { document } = mustBe(checkDevice(laptop.chain));
  return draftDocument(document.kind, { ...document.body, ...({ user, org } as object) });
}
