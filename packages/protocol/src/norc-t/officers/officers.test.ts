import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeCrypto } from '@norc/crypto/node';
import {
  mustBe,
  TEST_EPOCH,
  type TestOfficer,
  testApproval,
  testKeyPair,
  testOfficer,
  testOfficerRevocation,
  testOrganisation,
} from '@norc/testkit';
import fc from 'fast-check';
import { type Domain, type Instant, instant, type Result, utf8 } from '../../base/index.ts';
import { draftDocument, parseDocument, signDocumentWith } from '../../crypto/index.ts';
import { decodeOfficerRequest, encodeOfficerRequest } from './officer-request.ts';
import {
  APPROVAL_ACTIONS,
  APPROVAL_AGE_MS_MAX,
  type ApprovalAction,
  distinctOfficers,
  draftApproval,
  draftOfficerCertificate,
  type ExpectedApproval,
  OFFICER_CERTIFICATE,
  OFFICER_LIFE_DAYS_MAX,
  type OfficerCertificateBody,
  officerIdOf,
  openOfficer,
  type SignedApproval,
  verifyApproval,
  verifyOfficer,
  verifyOfficerRevocation,
} from './officers.ts';

const crypto = nodeCrypto;
const DAY_MS = 86_400_000;
const alpha = testOrganisation('alpha.example');
const bravo = testOrganisation('bravo.example');
const CHARLIE = 'charlie.example' as Domain; // well formed
const anna = testOfficer(alpha, 'anna');
const SUBJECT = crypto.blake3(utf8('the pair of certificates'));

const codeOf = (result: Result<unknown>) => (result.ok ? 'ok' : result.error.code);
const at = (offset: number): Instant => instant(TEST_EPOCH + offset);
const officerCode = (certificate: Uint8Array, when = TEST_EPOCH) =>
  codeOf(verifyOfficer(crypto, certificate, { pinned: alpha.pinned, at: when }));

const EXPECTED: ExpectedApproval = {
  ...{ pinned: alpha.pinned, action: 'trust_grant', peer: bravo.domain, subject: SUBJECT, now: TEST_EPOCH },
};
const GRANT = { action: 'trust_grant', peer: bravo.domain, subject: SUBJECT } as const;
const approvalCode = (approval: SignedApproval, changes: Partial<ExpectedApproval> = {}) =>
  codeOf(verifyApproval(crypto, approval, { ...EXPECTED, ...changes }));

/** A certificate with any body, as only the root key could sign it. */
function rootSigned(changes: Partial<OfficerCertificateBody>): Uint8Array {
  const { body } = mustBe(parseDocument(OFFICER_CERTIFICATE, anna.certificate));
  return signDocumentWith(crypto, draftDocument(OFFICER_CERTIFICATE, { ...body, ...changes }), alpha.root).bytes;
}

test('[OFFICER-1] only the root key of the own organisation makes an officer', () => {
  assert.equal(officerCode(anna.certificate), 'ok');
  assert.equal(officerCode(testOfficer(alpha, 'anna', {}, alpha.server).certificate), 'signature_invalid');
  assert.equal(officerCode(testOfficer(alpha, 'anna', {}, anna.keys).certificate), 'signature_invalid');
  assert.equal(officerCode(testOfficer(bravo, 'anna').certificate), 'certificate_invalid');
  const namesAlpha = testOfficer(bravo, 'anna', { org: alpha.domain });
  assert.equal(officerCode(namesAlpha.certificate), 'signature_invalid');
  const unsigned = draftOfficerCertificate(crypto, { ...NEW, publicKey: anna.keys.publicKey });
  assert.equal(officerCode(unsigned.bytes), 'signature_invalid');
  assert.notEqual(officerCode(testOfficerRevocation(anna, TEST_EPOCH)), 'ok');
});

const NEW = {
  org: alpha.domain,
  publicKey: anna.keys.publicKey,
  roles: ['trust'],
  notBefore: TEST_EPOCH,
  notAfter: TEST_EPOCH + DAY_MS,
} as const;

test('[OFFICER-2] one key is one officer: the id follows from the key', () => {
  assert.equal(anna.officerId, officerIdOf(crypto, anna.keys.publicKey));
  const other = testOfficer(alpha, 'bert');
  assert.equal(officerCode(rootSigned({ officer_id: other.officerId })), 'certificate_invalid');
});

test('[OFFICER-3] neither the root key nor an unusable key is an officer', () => {
  const { publicKey } = alpha.root;
  const root = { public_key: publicKey, officer_id: officerIdOf(crypto, publicKey) };
  assert.equal(officerCode(rootSigned(root)), 'certificate_invalid');
  const zero = new Uint8Array(32);
  const small = { public_key: zero, officer_id: officerIdOf(crypto, zero) };
  assert.equal(officerCode(rootSigned(small)), 'certificate_invalid');
  assert.throws(() => draftOfficerCertificate(crypto, { ...NEW, publicKey: zero }), RangeError);
});

test('[OFFICER-4] an officer is in office from not_before until before not_after, for three years at most', () => {
  const certificate = rootSigned({ not_before: TEST_EPOCH, not_after: TEST_EPOCH + DAY_MS });
  assert.equal(officerCode(certificate, at(-1)), 'certificate_expired');
  assert.equal(officerCode(certificate, at(0)), 'ok');
  assert.equal(officerCode(certificate, at(DAY_MS - 1)), 'ok');
  assert.equal(officerCode(certificate, at(DAY_MS)), 'certificate_expired');
  assert.ok(openOfficer(crypto, certificate, alpha.pinned).ok, 'for lists, whatever the date');
  const long = { not_before: TEST_EPOCH, not_after: TEST_EPOCH + OFFICER_LIFE_DAYS_MAX * DAY_MS + 1 };
  assert.equal(officerCode(rootSigned(long)), 'certificate_invalid');
  assert.equal(officerCode(rootSigned({ not_after: TEST_EPOCH, not_before: TEST_EPOCH })), 'certificate_invalid');
  assert.throws(() => draftOfficerCertificate(crypto, { ...NEW, notAfter: long.not_after }), RangeError);
  assert.throws(() => draftOfficerCertificate(crypto, { ...NEW, roles: [] }), RangeError);
});

test('[OFFICER-5] only the root key revokes an officer', () => {
  const code = (revocation: Uint8Array) => codeOf(verifyOfficerRevocation(crypto, revocation, alpha.pinned));
  const revocation = testOfficerRevocation(anna, TEST_EPOCH - DAY_MS);
  const verified = verifyOfficerRevocation(crypto, revocation, alpha.pinned);
  assert.ok(verified.ok);
  assert.deepEqual(
    [verified.value.officerId, verified.value.revokedAt],
    [anna.officerId, TEST_EPOCH - DAY_MS],
    'the time may lie before now: what was signed since is void',
  );
  assert.equal(code(testOfficerRevocation(anna, TEST_EPOCH, alpha.server)), 'signature_invalid');
  assert.equal(code(testOfficerRevocation(anna, TEST_EPOCH, anna.keys)), 'signature_invalid');
  assert.equal(code(testOfficerRevocation(testOfficer(bravo, 'anna'), TEST_EPOCH)), 'certificate_invalid');
  assert.notEqual(code(anna.certificate), 'ok');
});

test('[OFFICER-6] an approval is signed by the key of the certificate beside it', () => {
  const bert = testOfficer(alpha, 'bert');
  const given = testApproval(anna, GRANT);
  assert.equal(approvalCode(given), 'ok');
  assert.equal(approvalCode({ ...given, certificate: bert.certificate }), 'forbidden');
  const inHerName = testApproval({ ...bert, officerId: anna.officerId }, GRANT);
  assert.equal(approvalCode({ ...inHerName, certificate: anna.certificate }), 'signature_invalid');
  assert.equal(approvalCode(inHerName), 'forbidden');
  for (const keys of [alpha.server, alpha.root, testKeyPair('mallory')]) {
    assert.equal(approvalCode(testApproval({ ...anna, keys }, GRANT)), 'signature_invalid');
  }
  const unsigned = draftApproval({ org: alpha.domain, officer_id: anna.officerId, approved_at: TEST_EPOCH, ...GRANT });
  assert.equal(approvalCode({ ...given, approval: unsigned.bytes }), 'signature_invalid');
});

test('[OFFICER-6] an officer of another organisation approves nothing here', () => {
  const other = testOfficer(bravo, 'berta');
  assert.equal(approvalCode(testApproval(other, GRANT)), 'certificate_invalid');
  assert.equal(approvalCode(testApproval(other, { ...GRANT, org: alpha.domain })), 'certificate_invalid');
  assert.equal(approvalCode(testApproval(anna, { ...GRANT, org: bravo.domain })), 'forbidden');
});

test('[OFFICER-7] who signs says when: it counts only for an officer who is also in office now', () => {
  const short = testOfficer(alpha, 'anna', { notAfter: TEST_EPOCH + 60_000 });
  const given = testApproval(short, GRANT);
  assert.equal(approvalCode(given), 'ok');
  assert.equal(approvalCode(given, { now: at(60_000) }), 'certificate_expired', 'backdated after the end');
  const before = testApproval(short, { ...GRANT, approved_at: TEST_EPOCH - 2 * DAY_MS });
  assert.equal(approvalCode(before), 'certificate_expired', 'before the beginning');
  const ahead = testApproval(anna, { ...GRANT, approved_at: TEST_EPOCH + 300_001 });
  assert.equal(approvalCode(ahead), 'clock_skew');
  assert.equal(approvalCode(ahead, { now: at(1) }), 'ok');
});

test('[OFFICER-3] [OFFICER-8] a certified server key and another role approve nothing', () => {
  const recovery = testOfficer(alpha, 'anna', { roles: ['recovery'] });
  const given = testApproval(recovery, GRANT);
  assert.equal(approvalCode(given), 'forbidden');
  assert.equal(approvalCode(given, { role: 'recovery' }), 'ok');
  assert.equal(approvalCode(testApproval(anna, GRANT), { role: 'recovery' }), 'forbidden');
  assert.equal(approvalCode(testApproval(anna, GRANT), { serverKeys: [anna.keys.publicKey] }), 'forbidden');
});

test('[OFFICER-9] an approval counts for one action, one partner and one exact subject', () => {
  const actions = fc.constantFrom(...APPROVAL_ACTIONS);
  const peers = fc.constantFrom(undefined, bravo.domain, CHARLIE);
  const subjects = fc.constantFrom(SUBJECT, crypto.blake3(utf8('another')), new Uint8Array(32));
  const what = fc.record({ action: actions, peer: peers, subject: subjects });
  fc.assert(
    fc.property(what, what, (signed, needed) => {
      const { peer, ...rest } = signed;
      const given = testApproval(anna, { ...rest, ...(peer === undefined ? {} : { peer }) });
      const { peer: _, ...unnamed } = EXPECTED;
      const named = needed.peer === undefined ? {} : { peer: needed.peer };
      const expected = { ...unnamed, action: needed.action, subject: needed.subject, ...named };
      const same = signed.action === needed.action && peer === needed.peer && signed.subject === needed.subject;
      assert.equal(codeOf(verifyApproval(crypto, given, expected)), same ? 'ok' : 'forbidden');
    }),
    { numRuns: 60 },
  );
});

test('[OFFICER-10] an old approval is void, whatever its caller forgot to say', () => {
  const given = testApproval(anna, GRANT);
  assert.equal(approvalCode(given, { now: at(APPROVAL_AGE_MS_MAX) }), 'ok');
  assert.equal(approvalCode(given, { now: at(APPROVAL_AGE_MS_MAX + 1) }), 'approval_expired');
  assert.equal(approvalCode(given, { now: at(1001), ageMillisecondsMax: 1000 }), 'approval_expired');
});

test('[OFFICER-11] of any approvals, each officer counts once and the one who asked not at all', () => {
  const officers = ['anna', 'bert', 'cleo', 'dora'].map((name) => testOfficer(alpha, name));
  const sign = (officer: TestOfficer, offset: number) => {
    const verified = verifyApproval(
      crypto,
      testApproval(officer, { ...GRANT, approved_at: TEST_EPOCH - offset }),
      EXPECTED,
    );
    assert.ok(verified.ok);
    return verified.value;
  };
  const signatures = fc.array(fc.tuple(fc.nat(3), fc.nat(1000)), { maxLength: 8 });
  fc.assert(
    fc.property(signatures, fc.option(fc.nat(3)), (who, asked) => {
      const given = who.map(([index, offset]) => sign(officers[index] as TestOfficer, offset)); // nat(3) is an index
      const requester = asked === null ? undefined : officers[asked]?.officerId;
      const people = new Set(who.map(([index]) => index).filter((index) => index !== asked));
      assert.equal(distinctOfficers(given, requester).size, people.size);
    }),
    { numRuns: 30 },
  );
});

test('a changed byte of an approval or of its certificate never verifies', () => {
  const given = testApproval(anna, GRANT);
  const flip = fc.record({ part: fc.constantFrom('approval', 'certificate'), place: fc.nat(2000), bit: fc.nat(7) });
  fc.assert(
    fc.property(flip, ({ part, place, bit }) => {
      const key = part as keyof SignedApproval; // one of its two fields
      const bytes = Uint8Array.from(given[key]);
      const index = place % bytes.length;
      bytes[index] = (bytes[index] ?? 0) ^ (1 << bit);
      assert.notEqual(approvalCode({ ...given, [key]: bytes }), 'ok');
    }),
    { numRuns: 200 },
  );
});

test('any action can be drafted, and its approval survives parsing', () => {
  for (const action of APPROVAL_ACTIONS satisfies readonly ApprovalAction[]) {
    const { peer: _, ...expected } = { ...EXPECTED, action };
    assert.equal(codeOf(verifyApproval(crypto, testApproval(anna, { action, subject: SUBJECT }), expected)), 'ok');
  }
});

test('[OFFICER-22] a request of an officer survives copying, and notices a slip', () => {
  const { publicKey } = anna.keys;
  const text = encodeOfficerRequest(crypto, publicKey);
  for (const pasted of [
    text,
    ` ${text.slice(0, 20)}\n${text.slice(20)} `,
    Buffer.from(publicKey).toString('base64url'),
  ]) {
    const decoded = decodeOfficerRequest(crypto, pasted);
    assert.ok(decoded.ok);
    assert.deepEqual(decoded.value, publicKey);
  }
  for (let i = 0; i < text.length; i += 1) {
    const slip = `${text.slice(0, i)}${text[i] === 'x' ? 'y' : 'x'}${text.slice(i + 1)}`;
    assert.equal(codeOf(decodeOfficerRequest(crypto, slip)), 'malformed', `at ${i}`);
  }
  for (const nonsense of ['', 'norc-officer1-', text.slice(0, -1), `${text}A`, 'anna.key'])
    assert.equal(codeOf(decodeOfficerRequest(crypto, nonsense)), 'malformed');
});
