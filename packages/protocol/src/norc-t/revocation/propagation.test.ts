import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeCrypto } from '@norc/crypto/node';
import { mustBe, TEST_EPOCH, testCertificateId, testOrganisation, testServerEvidence } from '@norc/testkit';
import fc from 'fast-check';
import { signDocumentWith } from '../../crypto/index.ts';
import {
  actOf,
  actsOf,
  draftRevocation,
  emptyRevocations,
  endsTrust,
  extendRevocations,
  type RevocationBody,
  type RevocationChain,
  spreadOf,
} from '../index.ts';

const alpha = testOrganisation('alpha.example');
const bravo = testOrganisation('bravo.example');
const carol = testOrganisation('carol.example');
const keys = [testServerEvidence(alpha)];

function chainOf(
  ...statements: readonly (Partial<RevocationBody> & { readonly certificate: string })[]
): RevocationChain {
  return statements.reduce((chain, { certificate, ...changes }) => {
    const draft = draftRevocation(chain, {
      ...{ subject: bravo.domain, certificate_id: testCertificateId(certificate), action: 'revoke', reason: 'test' },
      ...{ issued_at: TEST_EPOCH, effective_at: TEST_EPOCH },
      ...changes,
    });
    const { bytes } = signDocumentWith(nodeCrypto, draft, alpha.server);
    return mustBe(extendRevocations(nodeCrypto, chain, bytes, keys));
  }, emptyRevocations(alpha.domain));
}

test('[TRUST-61] statements of one decision about several certificates are one act', () => {
  const chain = chainOf(
    { certificate: 'a' },
    { certificate: 'b' },
    { certificate: 'c', subject: carol.domain },
    { certificate: 'c', subject: carol.domain, action: 'suspend' },
    { certificate: 'a', issued_at: TEST_EPOCH + 1 },
  );
  const acts = actsOf(chain);
  assert.deepEqual(
    acts.map(({ subject, action, first, last }) => [subject, action, first, last]),
    [
      [bravo.domain, 'revoke', 1, 2],
      [carol.domain, 'revoke', 3, 3],
      [carol.domain, 'suspend', 4, 4],
      [bravo.domain, 'revoke', 5, 5],
    ],
  );
  assert.deepEqual(actOf(chain, 2), acts[0]);
  assert.equal(actOf(chain, 6), undefined);
  assert.equal(actOf(chain, 0), undefined);
});

test('the same certificate twice is two acts, whatever else is alike', () => {
  assert.equal(actsOf(chainOf({ certificate: 'a' }, { certificate: 'a' })).length, 2);
});

test('revocation and suspension end trust; the other actions do not', () => {
  assert.deepEqual((['revoke', 'suspend', 'restore', 'downgrade', 'condition_met'] as const).map(endsTrust), [
    true,
    true,
    false,
    false,
    false,
  ]);
});

test('the spread of confirmations gives figures that were measured, in order', () => {
  assert.equal(spreadOf([]), undefined);
  assert.deepEqual(spreadOf([7]), { count: 1, p50: 7, p95: 7, max: 7 });
  assert.deepEqual(spreadOf(Array.from({ length: 100 }, (_, i) => 100 - i)), {
    count: 100,
    p50: 50,
    p95: 95,
    max: 100,
  });
  fc.assert(
    fc.property(fc.array(fc.nat(), { minLength: 1, maxLength: 50 }), (all) => {
      const spread = spreadOf(all) ?? assert.fail();
      assert.ok(spread.p50 <= spread.p95 && spread.p95 <= spread.max && spread.max === Math.max(...all));
      for (const figure of [spread.p50, spread.p95]) assert.ok(all.includes(figure));
    }),
  );
});

test('[TRUST-24] [TRUST-64] an act ends trust when its last statement says so, and nothing is added to it after that', () => {
  const chain = chainOf({ certificate: 'a' }, { certificate: 'b', ends_trust: true }, { certificate: 'c' });
  const [first, second] = actsOf(chain);
  assert.deepEqual([first?.first, first?.last, first?.endsTrust], [1, 2, true]);
  assert.deepEqual([second?.first, second?.endsTrust], [3, undefined]);
  for (const sequence of [1, 2]) assert.deepEqual(actOf(chain, sequence), first);
  assert.equal(actOf(chainOf({ certificate: 'a' }), 1)?.endsTrust, undefined);
  assert.throws(() => chainOf({ certificate: 'a', action: 'suspend', ends_trust: true }), RangeError);
  assert.throws(() => chainOf({ certificate: 'a', ends_trust: false }), RangeError);
});

test('two chains that grow from one share nothing that is not in both', () => {
  const base = chainOf({ certificate: 'a' });
  const grow = (reason: string) => {
    const draft = draftRevocation(base, {
      ...{ subject: bravo.domain, certificate_id: testCertificateId('a'), action: 'suspend', reason },
      ...{ issued_at: TEST_EPOCH, effective_at: TEST_EPOCH },
    });
    return mustBe(extendRevocations(nodeCrypto, base, signDocumentWith(nodeCrypto, draft, alpha.server).bytes, keys));
  };
  const [one, other, again] = [grow('one'), grow('other'), grow('one')];
  const reasons = (chain: RevocationChain) =>
    chain.byCertificate.get(testCertificateId('a'))?.map(({ reason }) => reason);
  assert.deepEqual(reasons(base), ['test']);
  assert.deepEqual(reasons(one), ['test', 'one']);
  assert.deepEqual(reasons(other), ['test', 'other']);
  assert.deepEqual(reasons(again), ['test', 'one']);
});
