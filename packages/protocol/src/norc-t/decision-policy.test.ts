import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TEST_EPOCH, testOrganisation, testTrustCertificate } from '@norc/testkit';
import fc from 'fast-check';
import { PERMISSIONS } from '../base/index.ts';
import { decideTrust, defaultPolicy, type TrustDecision, type TrustLimits, type TrustQuestion } from './index.ts';

const alpha = testOrganisation('alpha.example');
const bravo = testOrganisation('bravo.example');
const NUMBERS = ['message_bytes_max', 'messages_per_second', 'bytes_per_second'] as const;

const anyLimits = fc.record({
  message_bytes_max: fc.integer({ min: 1, max: 4000 }),
  messages_per_second: fc.integer({ min: 1, max: 100 }),
  bytes_per_second: fc.integer({ min: 1, max: 4000 }),
});
const anyTerms = fc.record({ permissions: fc.subarray([...PERMISSIONS]), limits: anyLimits });
const anyQuestion = fc.record({
  ...{ local: fc.constant(alpha.domain), remote: fc.constant(bravo.domain) },
  direction: fc.constantFrom('outgoing' as const, 'incoming' as const),
  permission: fc.constantFrom(...PERMISSIONS),
  bytes: fc.integer({ min: 0, max: 4000 }),
});

function decided(
  question: TrustQuestion,
  granted: { permissions: (typeof PERMISSIONS)[number][]; limits: TrustLimits },
  policy: typeof granted,
): TrustDecision {
  const certificates = [testTrustCertificate(alpha, bravo, granted), testTrustCertificate(bravo, alpha, granted)];
  return decideTrust(question, {
    ...{ certificates, revocations: [], heardAt: TEST_EPOCH, now: TEST_EPOCH },
    policy: defaultPolicy(policy),
  });
}

test('[TRUST-54] what others may do here is no more than the policy lets them, whatever was granted before', () => {
  const limits = { message_bytes_max: 2000, messages_per_second: 50, bytes_per_second: 2000 };
  const granted = { permissions: [...PERMISSIONS], limits };
  const question = {
    ...{ local: alpha.domain, remote: bravo.domain, permission: 'message_relay' as const, bytes: 1500 },
  };
  const narrow = {
    permissions: granted.permissions,
    limits: { ...limits, message_bytes_max: 1000, bytes_per_second: 9000 },
  };
  const incoming = decided({ ...question, direction: 'incoming' }, granted, narrow);
  assert.equal(incoming.kind === 'deny' ? incoming.reason : '', 'size');
  const smaller = decided({ ...question, direction: 'incoming', bytes: 1000 }, granted, narrow);
  assert.ok(smaller.kind === 'allow');
  assert.deepEqual(smaller.pair?.limits, { ...limits, message_bytes_max: 1000 });
  const outgoing = decided({ ...question, direction: 'outgoing' }, granted, narrow);
  assert.ok(outgoing.kind === 'allow', 'what the partner lets us do is its own matter');
  assert.deepEqual(outgoing.pair?.limits, limits);
  const none = decided({ ...question, direction: 'incoming' }, granted, { permissions: [], limits });
  assert.equal(none.kind === 'deny' ? none.reason : '', 'permission');
});

test('[TRUST-54] fewer permissions and lower limits in the policy never widen a decision', () => {
  fc.assert(
    fc.property(anyQuestion, anyTerms, anyTerms, anyTerms, (question, granted, a, b) => {
      const least = (name: (typeof NUMBERS)[number]) => Math.min(a.limits[name], b.limits[name]);
      const tighter = {
        permissions: a.permissions.filter((one) => b.permissions.includes(one)),
        limits: {
          message_bytes_max: least('message_bytes_max'),
          messages_per_second: least('messages_per_second'),
          bytes_per_second: least('bytes_per_second'),
        },
      };
      const [before, after] = [decided(question, granted, a), decided(question, granted, tighter)];
      if (after.kind === 'deny') return;
      assert.ok(before.kind === 'allow');
      for (const name of NUMBERS) assert.ok((after.pair?.limits[name] ?? 0) <= (before.pair?.limits[name] ?? 0));
    }),
    { numRuns: 60 },
  );
});
