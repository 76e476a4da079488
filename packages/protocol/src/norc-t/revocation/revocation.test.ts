import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeCrypto } from '@norc/crypto/node';
import {
  mustBe,
  parsedDocument,
  resigned,
  TEST_EPOCH,
  testBytes,
  testCertificateId,
  testOrganisation,
  testServerEvidence,
} from '@norc/testkit';
import fc from 'fast-check';
import { type ErrorName, instant, LIMITS, type Result, toBase64Url } from '../../base/index.ts';
import { signDocumentWith } from '../../crypto/index.ts';
import { canonicalJson, decodeBody, encodeBody, type JsonValue } from '../../wire/index.ts';
import {
  checkRevocationAck,
  compareStatus,
  draftRevocation,
  draftRevocationAck,
  emptyRevocations,
  extendRevocations,
  isStale,
  missingOf,
  type RevocationChain,
  type TrustStatusBody,
  trustMessageSchema,
} from '../index.ts';

const crypto = nodeCrypto;
const alpha = testOrganisation('alpha.example');
const bravo = testOrganisation('bravo.example');
const keys = [testServerEvidence(alpha)];
const empty = emptyRevocations(alpha.domain);

function refused(result: Result<unknown>, code: ErrorName): void {
  assert.equal(result.ok ? 'accepted' : result.error.code, code);
}

function statement(
  chain: RevocationChain,
  name: string,
  action: 'revoke' | 'suspend' | 'restore' = 'revoke',
): Uint8Array {
  const draft = draftRevocation(chain, {
    subject: bravo.domain,
    certificate_id: testCertificateId(name),
    action,
    reason: 'test',
    issued_at: TEST_EPOCH,
    effective_at: TEST_EPOCH,
  });
  return signDocumentWith(crypto, draft, alpha.server).bytes;
}

const extend = (chain: RevocationChain, bytes: Uint8Array) => extendRevocations(crypto, chain, bytes, keys);

/** `length` statements, and the chain after each; chains[0] is empty. */
function history(length: number, name = 'c'): { statements: Uint8Array[]; chains: RevocationChain[] } {
  const statements: Uint8Array[] = [];
  const chains: RevocationChain[] = [empty];
  for (let i = 0; i < length; i += 1) {
    const chain = chains[i] ?? empty;
    const next = statement(chain, `${name}${i}`);
    statements.push(next);
    chains.push(mustBe(extend(chain, next)));
  }
  return { statements, chains };
}

test('[TRUST-20] statements are numbered from 1 and chained by hash', () => {
  const { chains } = history(3);
  const last = chains[3] ?? empty;
  assert.equal(last.sequence, 3);
  assert.deepEqual(
    last.statements.map(({ sequence }) => sequence),
    [1, 2, 3],
  );
  assert.deepEqual(last.statements[0]?.previous, new Uint8Array(32));
  assert.deepEqual(last.statements[2]?.previous, last.hashes[1]);
  assert.deepEqual(last.head, last.hashes[2]);
});

test('[TRUST-21] only a trust key of the issuer writes its chain', () => {
  const [first = new Uint8Array()] = history(1).statements;
  refused(extendRevocations(crypto, empty, first, [testServerEvidence(bravo)]), 'certificate_invalid');
  refused(extendRevocations(crypto, empty, first, []), 'certificate_invalid');
  refused(extend(empty, resigned(first, bravo, {})), 'signature_invalid');
  refused(extend(emptyRevocations(bravo.domain), first), 'certificate_invalid');
  const frontend = testOrganisation('alpha.example', { usages: ['server'] });
  refused(extendRevocations(crypto, empty, first, [testServerEvidence(frontend, 'server')]), 'certificate_invalid');
  refused(extend(empty, canonicalJson({ ...parsedDocument(first), reason: 'other' })), 'signature_invalid');
});

test('[TRUST-22] a gap is named, and filled by what is missing', () => {
  const { statements, chains } = history(3);
  const [first = new Uint8Array(), second = new Uint8Array(), third = new Uint8Array()] = statements;
  refused(extend(empty, second), 'revocation_gap');
  refused(extend(chains[1] ?? empty, third), 'revocation_gap');
  assert.equal(mustBe(extend(mustBe(extend(mustBe(extend(empty, first)), second)), third)).sequence, 3);
});

test('[TRUST-23] a second history is a fork; a repetition changes nothing', () => {
  const { statements, chains } = history(3);
  const whole = chains[3] ?? empty;
  for (const repeated of statements) assert.equal(mustBe(extend(whole, repeated)), whole);
  const other = history(2, 'other').statements;
  refused(extend(whole, other[0] ?? new Uint8Array()), 'revocation_fork');
  refused(extend(chains[1] ?? empty, other[1] ?? new Uint8Array()), 'revocation_fork');
  const zero = resigned(statements[0] ?? new Uint8Array(), alpha, { sequence: 0 });
  refused(extend(whole, zero), 'malformed');
});

test('[TRUST-24] a statement says what its action needs, and no more', () => {
  const [first = new Uint8Array()] = history(1).statements;
  const check = (changes: Record<string, JsonValue>) => extend(empty, resigned(first, alpha, changes));
  refused(check({ action: 'downgrade' }), 'malformed');
  refused(check({ level: 'basic' }), 'malformed');
  refused(check({ action: 'condition_met' }), 'malformed');
  refused(check({ condition: 'report' }), 'malformed');
  refused(check({ subject: 'alpha.example' }), 'malformed');
  refused(check({ action: 'forgive' }), 'wrong_type');
  assert.ok(check({ action: 'downgrade', level: 'basic' }).ok);
  const wrong = {
    subject: bravo.domain,
    certificate_id: testCertificateId('x'),
    reason: '',
    issued_at: 0,
    effective_at: 0,
  };
  assert.throws(() => draftRevocation(empty, { ...wrong, action: 'downgrade' }), RangeError);
});

test('[TRUST-22] any order of arrival gives the same chain', () => {
  const { statements, chains } = history(6);
  const whole = chains[6] ?? empty;
  const anyOrder = fc.shuffledSubarray([0, 1, 2, 3, 4, 5, 0, 3], { minLength: 8 });
  fc.assert(
    fc.property(anyOrder, (order) => {
      let chain: RevocationChain = empty;
      const held = new Set<Uint8Array>();
      for (const index of order) {
        held.add(statements[index] ?? new Uint8Array());
        for (const waiting of [...held, ...held, ...held, ...held, ...held, ...held]) {
          const extended = extend(chain, waiting);
          if (extended.ok) chain = extended.value;
          else assert.equal(extended.error.code, 'revocation_gap');
        }
      }
      assert.deepEqual(chain.head, whole.head);
    }),
    { numRuns: 5 },
  );
});

function status(changes: Partial<TrustStatusBody>): TrustStatusBody {
  const zeros = new Uint8Array(32);
  const none = { sequence: 0, head: zeros, known_sequence: 0, known_head: zeros };
  return { issuer: alpha.domain, to: bravo.domain, ...none, sent_at: TEST_EPOCH, ...changes };
}

test('[TRUST-26] a status confirms the chain, shows that something is missing, or shows a fork', () => {
  const { chains } = history(3);
  const [, one = empty, , three = empty] = chains;
  const told = (chain: RevocationChain) => status({ sequence: chain.sequence, head: chain.head });
  assert.equal(compareStatus(three, told(three)), 'current');
  assert.equal(compareStatus(empty, told(empty)), 'current');
  assert.equal(compareStatus(one, told(three)), 'behind');
  assert.equal(compareStatus(three, told(one)), 'older');
  assert.equal(compareStatus(three, status({ sequence: 3, head: testBytes('x', 32) })), 'fork');
  assert.equal(compareStatus(three, status({ sequence: 0, head: testBytes('x', 32) })), 'fork');
  assert.equal(compareStatus(three, told(history(3, 'other').chains[2] ?? empty)), 'fork');
});

test('[TRUST-27] a status says which of our statements its sender lacks', () => {
  const { chains } = history(3);
  const [, one = empty, , three = empty] = chains;
  const knows = (chain: RevocationChain) => status({ known_sequence: chain.sequence, known_head: chain.head });
  assert.deepEqual(mustBe(missingOf(three, knows(one))), [2, 3]);
  assert.deepEqual(mustBe(missingOf(three, knows(three))), []);
  assert.deepEqual(mustBe(missingOf(three, status({}))), [1, 2, 3]);
  refused(missingOf(one, knows(three)), 'revocation_fork');
  refused(missingOf(three, knows(history(1, 'other').chains[1] ?? empty)), 'revocation_fork');
});

test('[TRUST-28] what was never confirmed, or too long ago, is stale', () => {
  const max = LIMITS.revocationAgeMillisecondsMax;
  assert.ok(isStale(undefined, TEST_EPOCH, max));
  assert.ok(!isStale(TEST_EPOCH, instant(TEST_EPOCH + max), max));
  assert.ok(isStale(TEST_EPOCH, instant(TEST_EPOCH + max + 1), max));
});

test('[TRUST-29] an acknowledgment is about one statement that its issuer made', () => {
  const { chains } = history(2);
  const chain = chains[2] ?? empty;
  const said = { by: bravo.domain, receivedAt: TEST_EPOCH, enforcedAt: instant(TEST_EPOCH + 5) };
  const { body } = draftRevocationAck(chain, 2, said);
  assert.deepEqual([body.sequence, body.enforced_at], [2, TEST_EPOCH + 5]);
  assert.ok(checkRevocationAck(chain, body).ok);
  refused(checkRevocationAck(chains[1] ?? empty, body), 'revocation_gap');
  refused(checkRevocationAck(history(2, 'other').chains[2] ?? empty, body), 'revocation_fork');
  refused(checkRevocationAck(emptyRevocations(bravo.domain), body), 'revocation_gap');
  assert.throws(() => draftRevocationAck(chain, 3, said), RangeError);
});

test('[TRUST-60] a signed document travels unchanged in both encodings', () => {
  const [document = new Uint8Array()] = history(1).statements;
  for (const encoding of ['cbor', 'json'] as const) {
    const body = { document, certificate: alpha.certificate.bytes };
    assert.deepEqual(decodeBody(trustMessageSchema, encodeBody(trustMessageSchema, body, encoding), encoding), {
      ok: true,
      value: body,
    });
  }
});

test('a statement carries its reason and its numbers as they were signed', () => {
  const [first = new Uint8Array()] = history(1).statements;
  const json = parsedDocument(first);
  assert.equal(json['previous'], toBase64Url(new Uint8Array(32)));
  assert.equal(json['sequence'], 1);
});
