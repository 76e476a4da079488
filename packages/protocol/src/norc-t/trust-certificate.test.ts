import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeCrypto } from '@norc/crypto/node';
import {
  mustBe,
  resigned,
  TEST_EPOCH,
  testBytes,
  testOrganisation,
  testParty,
  testServerEvidence,
  testTrustCertificate,
} from '@norc/testkit';
import { type ErrorName, instant, type Result } from '../base/index.ts';
import { draftDocument, parseDocument, signDocumentWith } from '../crypto/index.ts';
import { canonicalJson } from '../wire/index.ts';
import {
  draftTrustCertificate,
  keysOf,
  TRUST_CERTIFICATE,
  type TrustCertificateBody,
  verifyBy,
  verifyTrustCertificate,
} from './index.ts';

const crypto = nodeCrypto;
const alpha = testOrganisation('alpha.example');
const bravo = testOrganisation('bravo.example');
const evil = testOrganisation('evil.example');
const good = testTrustCertificate(alpha, bravo);
const expected = { issuer: alpha.pinned, now: TEST_EPOCH };
const DAY = 86_400_000;

function refused(result: Result<unknown>, code: ErrorName, detail?: RegExp): void {
  assert.equal(result.ok ? 'accepted' : result.error.code, code);
  if (detail !== undefined && !result.ok) assert.match(result.error.detail, detail);
}

/** Signed by both sides, whatever it says. */
function signedByBoth(changes: Partial<TrustCertificateBody>) {
  const draft = draftDocument(TRUST_CERTIFICATE, { ...good.document.body, ...changes });
  return signDocumentWith(crypto, signDocumentWith(crypto, draft, alpha.server), bravo.server);
}

test('a trust certificate comes back from its bytes and is checked with the issuer pinned alone', () => {
  const again = mustBe(verifyTrustCertificate(crypto, good.document.bytes, expected));
  assert.deepEqual(again.document.body, good.document.body);
  assert.deepEqual(again.subjectRootKey, bravo.root.publicKey);
  assert.deepEqual(again.issuerTlsKeys, [alpha.tlsSpkiSha256]);
});

test('[TRUST-10] issuer and subject are two organisations', () => {
  const { body } = good.document;
  refused(
    verifyTrustCertificate(crypto, signedByBoth({ subject: body.issuer }), expected),
    'certificate_invalid',
    /one org/,
  );
  assert.throws(() => draftTrustCertificate({ ...body, subject: body.issuer }), RangeError);
});

test('[TRUST-11] it ends after it begins, and lives no longer than its level allows', () => {
  const { not_before } = good.document.body;
  refused(
    verifyTrustCertificate(crypto, signedByBoth({ not_after: not_before }), expected),
    'certificate_invalid',
    /dates/,
  );
  const lives = { basic: 365, verified: 180, classified: 90, nato: 90 } as const;
  for (const [level, days] of Object.entries(lives) as ['basic', number][]) {
    const at = (life: number) => signedByBoth({ level, not_after: not_before + life });
    assert.ok(verifyTrustCertificate(crypto, at(days * DAY), expected).ok, level);
    refused(verifyTrustCertificate(crypto, at(days * DAY + 1), expected), 'certificate_invalid', /life/);
  }
});

test('[TRUST-12] conditions have names of their own, and a downgrade goes down', () => {
  const condition = { name: 'report', kind: 'report', deadline: TEST_EPOCH, action: 'revoke' } as const;
  const check = (conditions: TrustCertificateBody['conditions'], level: 'basic' | 'verified' = 'verified') =>
    verifyTrustCertificate(crypto, signedByBoth({ conditions, level }), expected);
  assert.ok(check([condition, { ...condition, name: 'other', kind: 'unknown kind' }]).ok);
  refused(check([condition, condition]), 'certificate_invalid', /one name/);
  assert.ok(check([{ ...condition, action: 'downgrade', level: 'basic' }]).ok);
  refused(check([{ ...condition, action: 'downgrade', level: 'verified' }]), 'certificate_invalid', /downgrade/);
  refused(check([{ ...condition, action: 'downgrade' }]), 'certificate_invalid', /downgrade/);
  refused(check([{ ...condition, level: 'basic' }]), 'certificate_invalid', /downgrade/);
});

test('[TRUST-13] names that this side does not know grant nothing and break nothing', () => {
  const certificate = mustBe(
    verifyTrustCertificate(crypto, signedByBoth({ permissions: ['message_relay', 'teleport'] }), expected),
  );
  assert.deepEqual([...certificate.permissions], ['message_relay']);
});

test('[TRUST-14] issuer and subject are those that are pinned', () => {
  const document = good.document;
  refused(
    verifyTrustCertificate(crypto, document, { ...expected, issuer: bravo.pinned }),
    'certificate_invalid',
    /issuer/,
  );
  const impostor = testOrganisation('alpha.example', {}, 'impostor');
  refused(
    verifyTrustCertificate(crypto, document, { ...expected, issuer: impostor.pinned }),
    'certificate_invalid',
    /issuer/,
  );
  refused(
    verifyTrustCertificate(crypto, document, { ...expected, subject: evil.pinned }),
    'certificate_invalid',
    /subject/,
  );
  const weak = { ...testParty(bravo), root_key: new Uint8Array(32) };
  refused(verifyTrustCertificate(crypto, signedByBoth({ subject: weak }), expected), 'certificate_invalid', /root key/);
});

test('[TRUST-15] both signatures are needed, each by a trust key of its side', () => {
  const draft = draftDocument(TRUST_CERTIFICATE, good.document.body);
  for (const one of [alpha, bravo]) {
    refused(verifyTrustCertificate(crypto, signDocumentWith(crypto, draft, one.server), expected), 'signature_invalid');
  }
  const foreign = signDocumentWith(crypto, signDocumentWith(crypto, draft, alpha.server), evil.server);
  refused(verifyTrustCertificate(crypto, foreign, expected), 'signature_invalid');
  const altered = resigned(good.document.bytes, alpha, { level: 'verified' });
  refused(verifyTrustCertificate(crypto, altered, expected), 'signature_invalid');
  const frontend = testOrganisation('alpha.example', { usages: ['server'] });
  refused(
    verifyTrustCertificate(crypto, signedByBoth({ issuer: testParty(frontend) }), expected),
    'certificate_expired',
    /no trust key/,
  );
});

test('[TRUST-16] the evidence ends with the server certificates behind it; newer ones prolong it', () => {
  const short = testOrganisation('bravo.example', { not_after: TEST_EPOCH + 10 * DAY });
  const document = signedByBoth({ subject: testParty(short) });
  const certificate = mustBe(verifyTrustCertificate(crypto, document, expected));
  assert.equal(certificate.notAfter, TEST_EPOCH + 10 * DAY);
  const later = { ...expected, now: instant(TEST_EPOCH + 11 * DAY) };
  refused(verifyTrustCertificate(crypto, document, later), 'certificate_expired');
  const renewed = { ...later, serverCertificates: [bravo.certificate.bytes] };
  assert.equal(mustBe(verifyTrustCertificate(crypto, document, renewed)).notAfter, good.document.body.not_after);
  const unrelated = { ...later, serverCertificates: [evil.certificate.bytes] };
  refused(verifyTrustCertificate(crypto, document, unrelated), 'certificate_expired');
});

test('[TRUST-17] a trust certificate is a document of its kind, within bounds', () => {
  refused(verifyTrustCertificate(crypto, alpha.certificate.bytes, expected), 'missing_field');
  const json = { ...good.document.json, level: 'untrusted' };
  refused(parseDocument(TRUST_CERTIFICATE, canonicalJson(json)), 'wrong_type');
  const party = testParty(alpha);
  const many = { ...party, server_certificates: Array(5).fill(alpha.certificate.bytes) };
  assert.throws(() => draftTrustCertificate({ ...good.document.body, issuer: many }), RangeError);
});

test('the trust keys of a party are those certified for trust by its root key, in date', () => {
  const mixed = {
    ...testParty(alpha),
    server_certificates: [alpha.certificate.bytes, evil.certificate.bytes, testBytes('junk', 32)],
  };
  const keys = keysOf(crypto, mixed, 'trust', TEST_EPOCH);
  assert.deepEqual(
    keys.map(({ publicKey }) => publicKey),
    [alpha.server.publicKey],
  );
  assert.deepEqual(keysOf(crypto, mixed, 'trust', instant(TEST_EPOCH + 1000 * DAY)), []);
  const note = signDocumentWith(crypto, draftDocument(TRUST_CERTIFICATE, good.document.body), alpha.server);
  assert.ok(verifyBy(crypto, note, [testServerEvidence(bravo), testServerEvidence(alpha)]).ok);
  refused(verifyBy(crypto, note, [testServerEvidence(bravo)]), 'signature_invalid');
});
