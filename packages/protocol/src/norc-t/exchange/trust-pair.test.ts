import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeCrypto as crypto } from '@norc/crypto/node';
import { mustBe, resigned, TEST_EPOCH, testOrganisation, testTrustCertificate } from '@norc/testkit';
import fc from 'fast-check';
import { instant, LABELS, type Label, type Result } from '../../base/index.ts';
import {
  atLeast,
  GRANTED_LEVELS,
  type GrantedLevel,
  labelAllowed,
  pairStanding,
  type TrustCertificateBody,
  verifyTrustPair,
} from '../index.ts';

const alpha = testOrganisation('alpha.example');
const bravo = testOrganisation('bravo.example');
const echo = testOrganisation('echo.example');
const expected = { own: alpha.pinned, other: bravo.domain, now: TEST_EPOCH };
const DAY = 86_400_000;

const bytesOf = (issuer: typeof alpha, subject: typeof alpha, changes: Partial<TrustCertificateBody> = {}) =>
  testTrustCertificate(issuer, subject, changes).document.bytes;

const codeOf = (result: Result<unknown>) => (result.ok ? 'accepted' : result.error.code);

test('[DEV-13] a pair is both directions, each signed by both sides, between the same two root keys', () => {
  const [given, received] = [bytesOf(alpha, bravo), bytesOf(bravo, alpha)];
  const pair = mustBe(verifyTrustPair(crypto, { given, received }, expected));
  assert.deepEqual([pair.given.subject, pair.received.issuer], [bravo.domain, bravo.domain]);
  for (const [told, code] of [
    [{ given: received, received: given }, 'certificate_invalid'],
    [{ given, received: given }, 'certificate_invalid'],
    [{ given: bytesOf(alpha, echo), received }, 'certificate_invalid'],
    [{ given, received: bytesOf(echo, alpha) }, 'certificate_invalid'],
    [{ given, received: bytesOf(bravo, echo) }, 'certificate_invalid'],
    [{ given, received: resigned(received, echo, {}) }, 'signature_invalid'],
    [{ given: resigned(given, echo, {}), received }, 'signature_invalid'],
  ] as const) {
    assert.equal(codeOf(verifyTrustPair(crypto, told, expected)), code);
  }
  const pinned = { org: bravo.domain, rootKey: echo.root.publicKey };
  assert.equal(codeOf(verifyTrustPair(crypto, { given, received }, { ...expected, pinned })), 'certificate_invalid');
});

test('[DEV-13] dates and conditions of either direction count, each at its moment', () => {
  const lapse = {
    name: 'audit',
    kind: 'audit',
    deadline: TEST_EPOCH + DAY,
    action: 'downgrade',
    level: 'basic',
  } as const;
  const ends = { name: 'end', kind: 'audit', deadline: TEST_EPOCH + 2 * DAY, action: 'revoke' } as const;
  const told = {
    given: bytesOf(alpha, bravo, { level: 'classified', conditions: [ends] }),
    received: bytesOf(bravo, alpha, { level: 'verified', conditions: [lapse], nato_capable: true }),
  };
  const pair = mustBe(verifyTrustPair(crypto, told, expected));
  const at = (days: number) => pairStanding(pair, instant(TEST_EPOCH + days * DAY));
  const now = mustBe(at(0));
  assert.deepEqual([now.level, now.natoCapable, now.until], ['verified', false, TEST_EPOCH + DAY]);
  const later = mustBe(at(1));
  assert.deepEqual([later.level, later.until], ['basic', TEST_EPOCH + 2 * DAY]);
  assert.equal(codeOf(at(2)), 'trust_revoked');
  const plain = mustBe(
    verifyTrustPair(crypto, { given: bytesOf(alpha, bravo), received: bytesOf(bravo, alpha) }, expected),
  );
  assert.equal(codeOf(pairStanding(plain, instant(TEST_EPOCH + 90 * DAY))), 'trust_expired');
  assert.equal(codeOf(pairStanding(plain, instant(TEST_EPOCH - 1))), 'trust_expired');
});

test('[TRUST-1] [TRUST-2] a pair carries what the lower direction carries, and nato labels only where both may', () => {
  const levels = fc.constantFrom(...GRANTED_LEVELS);
  const pairs = new Map<string, ReturnType<typeof standingOf>>();
  const standingOf = (given: GrantedLevel, received: GrantedLevel, nato: readonly [boolean, boolean]) => {
    const told = {
      given: bytesOf(alpha, bravo, { level: given, nato_capable: nato[0] }),
      received: bytesOf(bravo, alpha, { level: received, nato_capable: nato[1] }),
    };
    return mustBe(pairStanding(mustBe(verifyTrustPair(crypto, told, expected)), TEST_EPOCH));
  };
  const labels = fc.constantFrom(...(Object.keys(LABELS) as Label[])); // the keys of LABELS are the labels
  fc.assert(
    fc.property(levels, levels, fc.boolean(), fc.boolean(), labels, (given, received, one, other, label) => {
      const name = `${given} ${received} ${one} ${other}`;
      const standing = pairs.get(name) ?? standingOf(given, received, [one, other]);
      pairs.set(name, standing);
      const lower = atLeast(given, received) ? received : given;
      assert.equal(standing.level, lower);
      assert.equal(labelAllowed(label, standing.level, standing.natoCapable), labelAllowed(label, lower, one && other));
    }),
    { numRuns: 40 },
  );
});
