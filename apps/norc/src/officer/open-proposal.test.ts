import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeCrypto } from '@norc/crypto/node';
import { concatBytes, type Domain, toBase64Url, utf8 } from '@norc/protocol/base';
import { draftDocument } from '@norc/protocol/crypto';
import {
  defaultPolicy,
  draftTrustCertificate,
  exchangeIdFromBytes,
  grantSubject,
  POLICY_CHANGE,
  policyDocument,
  policyHash,
  policyToBody,
  type TrustPolicy,
} from '@norc/protocol/norc-t';
import { encodeOrder, type TrustOrder } from '@norc/server';
import {
  TEST_EPOCH,
  TEST_TERMS,
  type TestOrganisation,
  testBytes,
  testCertificateId,
  testOrganisation,
  testParty,
} from '@norc/testkit';
import { CommandError, EXIT } from '../command.ts';
import { openProposal } from './open-proposal.ts';
import { openOrder, orderFacts } from './sign-order.ts';

const alpha = testOrganisation('alpha.example');
const bravo = testOrganisation('bravo.example');
const refused = (error: unknown) =>
  error instanceof CommandError && error.exitCode === EXIT.badData && /Nothing was signed/.test(error.message);

const ORDER = { peer: bravo.domain, action: 'restore', reason: 'the audit is over' } as const satisfies TrustOrder;
const EXACT: TrustOrder = {
  ...{ ...ORDER, certificates: [testCertificateId('one')], after: { sequence: 3, head: testBytes('head', 32) } },
};

const policyInForce = defaultPolicy();
function change(policy: TrustPolicy, changes: { readonly org?: Domain; readonly previous?: Uint8Array } = {}) {
  const previous = policyHash(nodeCrypto, policyInForce);
  const body = {
    org: alpha.domain,
    number: 2,
    previous,
    plan: new Uint8Array(32),
    policy: policyToBody(policy),
    ...changes,
  };
  return draftDocument(POLICY_CHANGE, body).bytes;
}

const own = { org: alpha.domain, policy: async () => policyDocument(policyInForce).json };
const open = (action: string, document: Uint8Array, peer?: Domain) => openProposal({ action, peer, document }, own);

test('[OFFICER-21] a restore is shown whole: partner, certificates, and the statement that it follows', async () => {
  const lines = (await open('trust_restore', encodeOrder(EXACT), bravo.domain)).join('\n');
  for (const part of ['bravo.example', 'give back', 'the audit is over', testCertificateId('one'), 'statement 3'])
    assert.ok(lines.includes(part), part);
});

test('[OFFICER-21] what is not understood to its last byte is not signed, whatever it is called', async () => {
  const certificate = (issuer: TestOrganisation, subject: TestOrganisation) =>
    draftTrustCertificate({
      certificate_id: testCertificateId(`${issuer.domain}`),
      exchange_id: exchangeIdFromBytes(testBytes('exchange', 16)),
      ...{ issuer: testParty(issuer), subject: testParty(subject), level: 'nato', ...TEST_TERMS },
      ...{ not_before: TEST_EPOCH, not_after: TEST_EPOCH + 86_400_000, evidence: [], transcript: new Uint8Array(32) },
    });
  const [issued, counterpart] = [certificate(alpha, bravo), certificate(bravo, alpha)];
  const grant = concatBytes(utf8('norc-t-grant-v1'), issued.signingInput, counterpart.signingInput);
  assert.deepEqual(nodeCrypto.blake3(grant), grantSubject(nodeCrypto, { issued, counterpart }));
  for (const action of [
    'trust_grant',
    'trust_restore',
    'policy_apply',
    'trust_request',
    'root_rotate',
    'trust_revoke',
  ]) {
    await assert.rejects(open(action, grant, bravo.domain), refused, action);
    await assert.rejects(open(action, grant), refused, action);
  }
  const spaced = concatBytes(encodeOrder(EXACT), utf8(' '));
  const others: readonly [string, Uint8Array, Domain | undefined][] = [
    ['another partner', encodeOrder(EXACT), testOrganisation('charlie.example').domain],
    ['no place in the chain', encodeOrder(ORDER), bravo.domain],
    ['what takes trust away', encodeOrder({ ...EXACT, action: 'revoke' }), bravo.domain],
    ['bytes behind it', spaced, bravo.domain],
    ['a policy', change(policyInForce), bravo.domain],
  ];
  for (const [what, document, peer] of others)
    await assert.rejects(open('trust_restore', document, peer), refused, what);
  await assert.rejects(open('policy_apply', encodeOrder(EXACT)), refused, 'an order');
});

test('[OFFICER-21] a policy is shown whole, and its changes are computed here', async () => {
  const blocked = new Set(Array.from({ length: 600 }, (_, i) => `blocked${i}.example` as Domain)); // well formed
  const lines = await open('policy_apply', change(defaultPolicy({ blocked, ownLevel: 'nato', levelMax: 'nato' })));
  assert.ok(lines.length > 700);
  for (const part of ['"own_level": "nato"', '"blocked599.example"'])
    assert.ok(
      lines.some((line) => line.includes(part)),
      part,
    );
  assert.ok(lines.some((line) => /LOOSENS/.test(line)));
  assert.match(lines.at(-1) ?? '', /^ {2}(LOOSENS|tightens|neutral)/, 'the changes stand next to the question');
});

test('[OFFICER-21] a policy of another organisation, or against another policy than the one in force, is not signed', async () => {
  const other = policyHash(nodeCrypto, defaultPolicy({ levelMax: 'basic' }));
  await assert.rejects(open('policy_apply', change(policyInForce, { previous: other })), refused);
  await assert.rejects(open('policy_apply', change(policyInForce, { org: bravo.domain })), refused);
});

test('[OFFICER-21] an order that the server drafted is the one that was typed', () => {
  const text = (order: TrustOrder) => toBase64Url(encodeOrder(order));
  assert.deepEqual(openOrder(text(EXACT), ORDER).document, encodeOrder(EXACT));
  for (const changed of [
    { ...EXACT, peer: testOrganisation('charlie.example').domain },
    { ...EXACT, reason: 'another' },
    { ...EXACT, action: 'revoke' as const },
    { ...EXACT, condition: 'clearance' },
  ])
    assert.throws(() => openOrder(text(changed), ORDER), refused);
  assert.throws(() => openOrder('!', ORDER), refused);
});

test('a reason that was written to look like our own lines stays one quoted line', () => {
  const facts = orderFacts({ ...ORDER, reason: 'x\n  Partner  evil.example' });
  assert.ok(facts.some(([name, value]) => name === 'Reason' && value === '“x ⏎ Partner evil.example”'));
});
