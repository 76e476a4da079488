import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeCrypto } from '@norc/crypto/node';
import {
  domainFinding,
  type ExchangeOptions,
  mustBe,
  officerAsks,
  officersSign,
  parsedDocument,
  runTrustExchange,
  signTestPq,
  TEST_TERMS,
  type TrustExchange,
  type TrustSide,
  testOfficer,
  testOrganisation,
  testParty,
  testPostQuantum,
  testSide,
  trueEvidence,
} from '@norc/testkit';
import { toBase64Url } from '../../base/index.ts';
import { parseDocument, signDocumentWith } from '../../crypto/index.ts';
import { canonicalJson, type JsonObject, type JsonValue } from '../../wire/index.ts';
import { findingsOf, TRUST_CERTIFICATE, TRUST_MESSAGES, type TrustMessageName } from '../index.ts';

const alphaOrg = testOrganisation('alpha.example');
const bravoOrg = testOrganisation('bravo.example');
const [alphaPq, bravoPq] = [testPostQuantum(alphaOrg), testPostQuantum(bravoOrg)];
const officersOf = (org: typeof alphaOrg) => ['first', 'second'].map((name) => testOfficer(org, name));
const alpha = testSide(alphaOrg, { pq: alphaPq, ...officersSign(officersOf(alphaOrg)) });
const bravo = testSide(bravoOrg, { pq: bravoPq, ...officersSign(officersOf(bravoOrg)) });
const asker = testOfficer(alphaOrg, 'asker');

const run = (one: TrustSide, other: TrustSide, options: ExchangeOptions = {}) =>
  runTrustExchange(one, other, {
    ...officerAsks(asker, one, other, { request: { level: 'nato', validDays: 90 } }),
    ...options,
  });
const phases = ({ initiator, responder }: TrustExchange) => [initiator.state?.phase, responder.state?.phase];

/** Drops a signature, or puts another key's in its place, and leaves the others. */
function resignedPq(document: Uint8Array, keys?: { readonly publicKey: Uint8Array; readonly privateKey: Uint8Array }) {
  const json = parsedDocument(document);
  const signatures = (json['signatures'] as JsonObject[]).filter(({ algorithm }) => algorithm !== 'ml-dsa-65');
  const stripped = canonicalJson({ ...json, signatures });
  if (keys === undefined) return stripped;
  const { type } = json as { type: TrustMessageName | 'trust_certificate' };
  const kind = type === 'trust_certificate' ? TRUST_CERTIFICATE : TRUST_MESSAGES[type];
  return signTestPq(mustBe(parseDocument<unknown>(kind, stripped)), keys).bytes;
}

test('[TRUST-47] at nato every trust document carries both signatures, and both sides find so', () => {
  const exchange = run(alpha, bravo);
  assert.deepEqual(phases(exchange), ['established', 'established']);
  for (const { state } of [exchange.initiator, exchange.responder]) {
    assert.ok(state?.phase === 'established');
    const found = findingsOf(state.review).find(({ kind }) => kind === 'post_quantum_signature');
    assert.deepEqual([found?.result, found?.method], ['held', 'ml-dsa-65']);
  }
  const { given } = exchange.initiator.last('keep_certificates') ?? assert.fail();
  const algorithms = (parsedDocument(given)['signatures'] as JsonObject[]).map(({ algorithm }) => algorithm);
  assert.deepEqual(algorithms.sort(), ['ed25519', 'ed25519', 'ml-dsa-65', 'ml-dsa-65']);
});

test('[TRUST-47] without post-quantum keys there is no nato; at classified they are not asked for', () => {
  const { pq: _, ...plain } = bravo;
  const refused = run(alpha, plain);
  const lacks = /lacks post_quantum_signature: the organisation has no post-quantum root key/;
  assert.match(refused.initiator.last('ended')?.detail ?? '', lacks);
  const options = officerAsks(asker, alpha, plain, { request: { validDays: 90 } });
  assert.deepEqual(phases(runTrustExchange(alpha, plain, options)), ['established', 'established']);
});

test('[TRUST-47] a message whose second signature was stripped, or made by another key, is no evidence', () => {
  const other = testPostQuantum(bravoOrg, {}, 'evil.example').server;
  for (const keys of [undefined, other]) {
    for (const message of ['trust_challenge', 'trust_response']) {
      const intercept = (name: string, document: Uint8Array) => [
        name === message ? resignedPq(document, keys) : document,
      ];
      const exchange = run(alpha, bravo, { intercept });
      const receiver = message === 'trust_challenge' ? exchange.initiator : exchange.responder;
      assert.match(receiver.last('ended')?.detail ?? '', /lacks post_quantum_signature: post-quantum signature of/);
    }
  }
});

/** Certificates of a message with other post-quantum signatures, in a message that its sender signs anew. */
function certificatesWith(document: Uint8Array, side: TrustSide, keys?: Parameters<typeof resignedPq>[1]) {
  const json = parsedDocument(document);
  const changed: Record<string, JsonValue> = {};
  for (const name of ['issued', 'counterpart'] as const) {
    changed[name] = toBase64Url(resignedPq(Buffer.from(String(json[name]), 'base64url'), keys));
  }
  const kind = TRUST_MESSAGES[json['type'] as TrustMessageName];
  const unsigned = canonicalJson({ ...json, ...changed, signatures: [] });
  return signDocumentWith(nodeCrypto, mustBe(parseDocument<unknown>(kind, unsigned)), side.organisation.server).bytes;
}

test('[TRUST-47] certificates without the second signature, or with that of another key, are not taken', () => {
  const other = testPostQuantum(alphaOrg, {}, 'evil.example').server;
  for (const keys of [undefined, other]) {
    const inDecision = run(alpha, bravo, {
      intercept: (name, document) => [name === 'trust_decision' ? certificatesWith(document, bravo, keys) : document],
    });
    assert.match(inDecision.initiator.first('refuse')?.detail ?? '', /^post-quantum signature of bravo.example/);
    assert.equal(inDecision.initiator.last('sign_certificates'), undefined);
    const inAcknowledgment = run(alpha, bravo, {
      intercept: (name, document) => [
        name === 'trust_acknowledgment' ? certificatesWith(document, alpha, keys) : document,
      ],
    });
    assert.match(inAcknowledgment.responder.last('refuse')?.detail ?? '', /^post-quantum signature of alpha.example/);
    assert.equal(inAcknowledgment.responder.last('keep_certificates'), undefined);
  }
});

test('[TRUST-80] at classified no second signature can be taken off where the post-quantum root key is pinned', () => {
  const keys = { [bravoOrg.domain]: bravoPq, [alphaOrg.domain]: alphaPq };
  const knows = (side: TrustSide, peer: typeof alphaOrg): TrustSide => ({
    ...side,
    context: {
      ...side.context,
      pinnedRootKey: peer.root.publicKey,
      pinnedRootPqKey: keys[peer.domain]?.root.publicKey ?? assert.fail(),
    },
  });
  const [ours, theirs] = [knows(alpha, bravoOrg), knows(bravo, alphaOrg)];
  const options = officerAsks(asker, ours, theirs, { request: { validDays: 90 } });
  assert.deepEqual(phases(runTrustExchange(ours, theirs, options)), ['established', 'established']);
  const strip = (message: string, side: TrustSide) => (name: string, document: Uint8Array) => [
    name === message ? certificatesWith(document, side) : document,
  ];
  const decided = runTrustExchange(ours, theirs, { ...options, intercept: strip('trust_decision', bravo) });
  assert.match(decided.initiator.first('refuse')?.detail ?? '', /^post-quantum signature of bravo.example/);
  assert.equal(decided.initiator.last('keep_certificates'), undefined);
  const taken = runTrustExchange(ours, theirs, { ...options, intercept: strip('trust_acknowledgment', alpha) });
  assert.match(taken.responder.last('refuse')?.detail ?? '', /^post-quantum signature of alpha.example/);
  assert.equal(taken.responder.last('keep_certificates'), undefined);
  const unpinned = runTrustExchange(alpha, bravo, { ...options, intercept: strip('trust_decision', bravo) });
  assert.ok(unpinned.initiator.last('keep_certificates') !== undefined, 'the policy alone asks for none');
});

test('[TRUST-47] a post-quantum root key that neither the domain nor an earlier certificate names proves nothing', () => {
  const unnamed: TrustSide = {
    ...alpha,
    evidence: (question, now) => {
      const { findings, record } = trueEvidence(question, now);
      const plain = domainFinding(testParty(bravoOrg), now);
      return { findings: findings.map((one) => (one.kind === 'domain_proof' ? plain : one)), record };
    },
  };
  assert.match(run(unnamed, bravo).initiator.last('ended')?.detail ?? '', /its domain does not name the post-quantum/);
  const pinned = { ...unnamed, context: { ...alpha.context, pinnedRootPqKey: bravoPq.root.publicKey } };
  assert.deepEqual(phases(run(pinned, bravo)), ['established', 'established']);
});

test('[TRUST-33] a post-quantum root key that is pinned is not left out or replaced without a word', () => {
  const { pq: _, ...plain } = bravo;
  const pinned = { ...alpha, context: { ...alpha.context, pinnedRootPqKey: bravoPq.root.publicKey } };
  const basic = { request: { asks: TEST_TERMS } };
  assert.equal(runTrustExchange(pinned, plain, basic).initiator.last('refuse')?.code, 'downgrade_refused');
  const replaced = { ...bravo, pq: testPostQuantum(bravoOrg, {}, 'evil.example') };
  assert.equal(runTrustExchange(pinned, replaced, basic).initiator.last('refuse')?.code, 'certificate_invalid');
  assert.deepEqual(phases(runTrustExchange(pinned, bravo, basic)), ['established', 'established']);
});
