import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  domainFinding,
  type ExchangeOptions,
  NO_RECORD,
  parsedDocument,
  resigned,
  runTrustExchange,
  TEST_EPOCH,
  type TrustExchange,
  type TrustSide,
  testBytes,
  testCertificateId,
  testFinding,
  testOrganisation,
  testParty,
  testSide,
} from '@norc/testkit';
import fc from 'fast-check';
import { type ErrorName, fromBase64Url, fromHex, instant, LIMITS, toBase64Url, utf8 } from '../../base/index.ts';
import { canonicalJson, type JsonObject, type JsonValue } from '../../wire/index.ts';
import { type Finding, startResponder, stepInitiator, stepResponder } from '../index.ts';

const alphaOrg = testOrganisation('alpha.example');
const bravoOrg = testOrganisation('bravo.example');
const evilOrg = testOrganisation('evil.example');
const alpha = testSide(alphaOrg);
const bravo = testSide(bravoOrg);

type Machine = 'initiator' | 'responder';
const RECEIVER: Record<string, Machine> = {
  trust_capabilities: 'responder',
  trust_request: 'responder',
  trust_challenge: 'initiator',
  trust_response: 'responder',
  trust_decision: 'initiator',
  trust_acknowledgment: 'responder',
};

/** Replaces one message, then says how its receiver took it; no trust may come of it. */
function replaced(
  message: string,
  change: (document: Uint8Array) => Uint8Array,
  code: ErrorName,
  detail?: RegExp,
  [first, second]: readonly [TrustSide, TrustSide] = [alpha, bravo],
): TrustExchange {
  const intercept = (name: string, document: Uint8Array) => [name === message ? change(document) : document];
  const exchange = runTrustExchange(first, second, { intercept });
  const receiver = exchange[RECEIVER[message] ?? 'responder'];
  const refusal = receiver.first('refuse');
  assert.equal(refusal?.code, code, `${message}: ${refusal?.detail}`);
  if (detail !== undefined) assert.match(refusal?.detail ?? '', detail);
  assert.equal(receiver.last('keep_certificates'), undefined);
  return exchange;
}

const signer = (message: string) => (RECEIVER[message] === 'responder' ? alphaOrg : bravoOrg);

/** The honest message with other fields, signed anew by its own sender: what a dishonest sender could do. */
function altered(message: string, changes: Record<string, JsonValue>) {
  return (document: Uint8Array) => resigned(document, signer(message), changes);
}

/** The document of this name in another run. */
function captured(name: string, options: ExchangeOptions, sides: readonly [TrustSide, TrustSide] = [alpha, bravo]) {
  let found = new Uint8Array();
  runTrustExchange(...sides, {
    ...options,
    intercept: (message, document) => {
      if (message === name) found = Uint8Array.from(document);
      return [document];
    },
  });
  return found;
}

const ALL = Object.keys(RECEIVER);

test('[TRUST-31] a message that its sender did not sign is refused', () => {
  for (const message of ALL) {
    replaced(message, (document) => resigned(document, evilOrg, {}), 'signature_invalid');
    const unsigned = (document: Uint8Array) => canonicalJson({ ...parsedDocument(document), signatures: [] });
    replaced(message, unsigned, 'signature_invalid');
  }
});

test('[TRUST-31] any changed bit of any message is refused and leaves the exchange as it was', () => {
  fc.assert(
    fc.property(fc.constantFrom(...ALL), fc.nat(), fc.nat(7), (message, place, bit) => {
      const intercept = (name: string, document: Uint8Array) => {
        if (name !== message) return [document];
        const flipped = Uint8Array.from(document);
        const at = place % flipped.length;
        flipped[at] = (flipped[at] ?? 0) ^ (1 << bit);
        return [flipped, document];
      };
      const { initiator, responder } = runTrustExchange(alpha, bravo, { intercept });
      assert.equal(responder.effects.concat(initiator.effects).filter(({ kind }) => kind === 'refuse').length, 1);
      assert.deepEqual([initiator.state?.phase, responder.state?.phase], ['established', 'established']);
    }),
    { numRuns: 40 },
  );
});

test('[TRUST-32] messages of two exchanges between the same parties cannot be mixed', () => {
  for (const message of ALL.slice(1)) {
    const foreign = captured(message, { seed: 'another' });
    replaced(message, () => foreign, 'transcript_mismatch', /another exchange/);
  }
});

test('[TRUST-32] nor by giving them the number of the other exchange', () => {
  for (const message of ALL.slice(1)) {
    const foreign = captured(message, { seed: 'another' });
    replaced(
      message,
      (document) =>
        resigned(foreign, signer(message), { exchange_id: parsedDocument(document)['exchange_id'] as string }),
      'transcript_mismatch',
      /previous/,
    );
  }
});

test('[TRUST-33] a message between other parties is refused', () => {
  for (const message of ALL) {
    replaced(message, altered(message, { to: 'evil.example' }), 'forbidden');
    if (message !== 'trust_capabilities') replaced(message, altered(message, { from: 'evil.example' }), 'forbidden');
  }
  const party = partyJson(evilOrg);
  replaced('trust_challenge', (document) => resigned(document, evilOrg, { party }), 'forbidden', /domain of the party/);
});

test('[TRUST-33] a root key other than the pinned one is refused', () => {
  const context = { ...alpha.context, pinnedRootKey: evilOrg.root.publicKey };
  const { initiator } = runTrustExchange({ ...alpha, context }, bravo);
  assert.deepEqual(
    [initiator.last('refuse')?.code, initiator.state?.phase],
    ['evidence_rejected', 'awaiting_challenge'],
  );
  const wary = { ...bravo, context: { ...bravo.context, pinnedRootKey: evilOrg.root.publicKey } };
  const { responder } = runTrustExchange(alpha, wary);
  assert.deepEqual([responder.first('refuse')?.code, responder.state], ['evidence_rejected', undefined]);
});

test('[TRUST-34] a message with another history is refused', () => {
  for (const message of ALL) {
    const previous = toBase64Url(testBytes('previous', 32));
    replaced(message, altered(message, { previous }), 'transcript_mismatch', /previous/);
  }
});

test('[TRUST-35] a message from the future is refused', () => {
  for (const message of ALL) {
    replaced(
      message,
      altered(message, { sent_at: TEST_EPOCH + LIMITS.trustClockSkewMillisecondsMax + 1 }),
      'clock_skew',
    );
  }
});

test('[TRUST-36] an expired challenge or exchange is refused', () => {
  const response = captured('trust_response', {});
  const waiting = runTrustExchange(alpha, bravo, { intercept: (name, d) => (name === 'trust_response' ? [] : [d]) });
  assert.ok(waiting.responder.state?.phase === 'awaiting_response');
  const late = { ...bravo.context, now: instant(TEST_EPOCH + LIMITS.trustChallengeMillisecondsMax) };
  const step = stepResponder(late, waiting.responder.state, { kind: 'received', document: response });
  assert.deepEqual(step.effects, [{ kind: 'refuse', code: 'exchange_expired', detail: 'challenge' }]);
  const decision = captured('trust_decision', {});
  const undecided = runTrustExchange(alpha, bravo, { intercept: (name, d) => (name === 'trust_decision' ? [] : [d]) });
  assert.ok(undecided.initiator.state?.phase === 'awaiting_decision');
  const over = { ...alpha.context, now: instant(TEST_EPOCH + LIMITS.trustExchangeMillisecondsMax) };
  const decided = stepInitiator(over, undecided.initiator.state, { kind: 'received', document: decision });
  assert.deepEqual(decided.effects, [{ kind: 'refuse', code: 'exchange_expired', detail: 'trust exchange' }]);
});

test('a replayed message of an earlier step, or of a finished exchange, is refused', () => {
  const sent = ALL.map((name) => captured(name, {}));
  const done = runTrustExchange(alpha, bravo);
  for (const [index, document] of sent.entries()) {
    const receiver = done[RECEIVER[ALL[index] ?? ''] ?? 'responder'];
    const before = receiver.state;
    const answers = receiver.outbox.length;
    receiver.event({ kind: 'received', document });
    assert.equal(receiver.state, before);
    const last = ['trust_decision', 'trust_acknowledgment'].includes(ALL[index] ?? '');
    if (!last) assert.equal(receiver.last('refuse')?.code, 'unexpected_message');
    if (!last) assert.equal(receiver.outbox.length, answers);
  }
});

const unnamed = testFinding('domain_proof', TEST_EPOCH, {
  result: 'failed',
  detail: 'the domain names another root key',
});
const found = (...findings: readonly Finding[]) => ({ evidence: () => ({ findings, record: NO_RECORD }) });

test('[TRUST-40] without the domain naming exactly this root key there is no trust, and the other side is told', () => {
  for (const side of [found(unnamed), found()]) {
    const first = runTrustExchange(testSide(alphaOrg, side), bravo);
    assert.equal(first.initiator.last('ended')?.code, 'evidence_rejected');
    assert.match(first.responder.last('ended')?.detail ?? '', /^evidence_rejected: level basic lacks domain_proof: /);
    const second = runTrustExchange(alpha, testSide(bravoOrg, side));
    assert.equal(second.responder.last('ended')?.code, 'evidence_rejected');
    assert.match(second.initiator.last('ended')?.detail ?? '', /^evidence_rejected: level basic lacks domain_proof: /);
  }
});

test('[TRUST-40] what a server says about the proof of the key, or about officers, is not looked at', () => {
  const claimed = ['key_proof', 'officer_approval', 'post_quantum_signature'] as const;
  const { initiator, responder } = runTrustExchange(
    testSide(
      alphaOrg,
      found(domainFinding(testParty(bravoOrg), TEST_EPOCH), ...claimed.map((kind) => testFinding(kind, TEST_EPOCH))),
    ),
    bravo,
  );
  assert.equal(responder.state?.phase, 'established');
  assert.ok(initiator.state?.phase === 'established');
  const kinds = initiator.state.review.findings.map(({ kind, result }) => `${kind} ${result}`);
  assert.deepEqual(kinds, ['domain_proof held', 'key_proof held', 'post_quantum_signature absent']);
});

test('[TRUST-36] a response with another nonce proves nothing', () => {
  const nonce = toBase64Url(testBytes('stale', 32));
  replaced('trust_response', altered('trust_response', { nonce }), 'evidence_rejected', /nonce/);
});

test('a request with impossible terms is refused', () => {
  replaced('trust_request', altered('trust_request', { valid_days: 0 }), 'malformed');
  const same = base64Id('exchange responder');
  replaced('trust_request', altered('trust_request', { certificate_id: same }), 'malformed');
  replaced('trust_request', altered('trust_request', { level: 'untrusted' }), 'wrong_type');
  replaced('trust_request', altered('trust_request', { expires_at: TEST_EPOCH }), 'exchange_expired');
  const taken = base64Id('exchange initiator');
  replaced('trust_challenge', altered('trust_challenge', { certificate_id: taken }), 'malformed');
});

test('a blocked organisation, or one that claims our own name, does not get as far as an exchange', () => {
  const strict = testSide(bravoOrg, { policy: { blocked: new Set([alphaOrg.domain]) } });
  const { responder } = runTrustExchange(alpha, strict);
  assert.deepEqual([responder.state, responder.first('refuse')?.code], [undefined, 'not_trusted']);
  const own = captured('trust_capabilities', {});
  const fresh = { self: testParty(alphaOrg), certificateId: testCertificateId('x'), nonce: testBytes('x', 32) };
  const started = startResponder(alpha.context, fresh, own);
  assert.equal(started.ok ? '' : started.error.code, 'forbidden');
});

/** A decision whose certificates a dishonest responder wrote, properly signed by it. */
function decisionWith(part: 'issued' | 'counterpart' | 'both', changes: Record<string, JsonValue>) {
  return (document: Uint8Array) => {
    const json = parsedDocument(document);
    const edited: Record<string, JsonValue> = {};
    for (const name of ['issued', 'counterpart'] as const) {
      if (part !== name && part !== 'both') continue;
      const certificate = fromBase64Url(json[name] as string) ?? new Uint8Array();
      edited[name] = toBase64Url(resigned(certificate, bravoOrg, changes));
    }
    return resigned(document, bravoOrg, edited);
  };
}

function refusedDecision(change: (document: Uint8Array) => Uint8Array, code: ErrorName, detail: RegExp): void {
  const { initiator } = replaced('trust_decision', change, code, detail);
  assert.equal(initiator.state?.phase, 'ended');
  assert.equal(initiator.last('sign_certificates'), undefined);
}

test('[TRUST-42] a decision above the request is refused', () => {
  const above = /above/;
  for (const part of ['issued', 'counterpart', 'both'] as const) {
    refusedDecision(
      decisionWith(part, { level: 'verified', not_after: TEST_EPOCH + 86_400_000 }),
      'insufficient_trust',
      above,
    );
    refusedDecision(
      decisionWith(part, { permissions: ['message_relay', 'archive_sync'] }),
      'insufficient_trust',
      above,
    );
  }
  const limits = { message_bytes_max: 2 ** 40, messages_per_second: 1, bytes_per_second: 1 };
  refusedDecision(decisionWith('both', { limits }), 'insufficient_trust', above);
  refusedDecision(decisionWith('both', { not_after: TEST_EPOCH + 400 * 86_400_000 }), 'insufficient_trust', above);
  const condition = { name: 'audit', kind: 'report', deadline: TEST_EPOCH + 1, action: 'notify' };
  refusedDecision(decisionWith('counterpart', { conditions: [condition] }), 'insufficient_trust', /conditions/);
});

test('[TRUST-43] the initiator signs only what it would have written itself', () => {
  const mismatch = /certificate of the initiator/;
  const foreign = { kind: 'domain_proof', hash: toBase64Url(testBytes('x', 32)), checked_at: TEST_EPOCH };
  refusedDecision(decisionWith('counterpart', { evidence: [foreign] }), 'transcript_mismatch', mismatch);
  refusedDecision(decisionWith('counterpart', { subject: partyJson(evilOrg) }), 'transcript_mismatch', mismatch);
  refusedDecision(decisionWith('counterpart', { issuer: partyJson(evilOrg) }), 'transcript_mismatch', mismatch);
  refusedDecision(decisionWith('counterpart', { nato_capable: true }), 'transcript_mismatch', mismatch);
  refusedDecision(decisionWith('counterpart', { surprise: 'unknown field' }), 'transcript_mismatch', mismatch);
  refusedDecision(decisionWith('counterpart', { not_after: TEST_EPOCH + 86_400_000 }), 'transcript_mismatch', mismatch);
});

test('[TRUST-44] both certificates are of this exchange and these parties', () => {
  const wrong = { transcript: toBase64Url(testBytes('another transcript', 32)) };
  refusedDecision(decisionWith('counterpart', wrong), 'transcript_mismatch', /initiator/);
  refusedDecision(decisionWith('issued', wrong), 'transcript_mismatch', /responder/);
  refusedDecision(decisionWith('issued', { subject: partyJson(evilOrg) }), 'transcript_mismatch', /responder/);
  refusedDecision(decisionWith('issued', { nato_capable: true }), 'transcript_mismatch', /responder/);
  const unknown = { alpha_also_agrees: 'to anything' };
  refusedDecision(decisionWith('issued', unknown), 'transcript_mismatch', /responder/);
});

test('[TRUST-45] dates of a decision: not in the future, not over, not backwards', () => {
  const day = 86_400_000;
  const future = { not_before: TEST_EPOCH + LIMITS.trustClockSkewMillisecondsMax + 1, not_after: TEST_EPOCH + day };
  refusedDecision(decisionWith('both', future), 'clock_skew', /not_before/);
  const past = { not_before: TEST_EPOCH - day, not_after: TEST_EPOCH - 1 };
  refusedDecision(decisionWith('both', past), 'trust_expired', /decision/);
  const early = { not_before: TEST_EPOCH - 2 * LIMITS.trustClockSkewMillisecondsMax - 1, not_after: TEST_EPOCH + day };
  refusedDecision(decisionWith('both', early), 'clock_skew', /long before/);
  refusedDecision(
    decisionWith('both', { not_before: TEST_EPOCH + 2, not_after: TEST_EPOCH + 1 }),
    'certificate_invalid',
    /dates/,
  );
});

test('a decision without certificates, or with certificates that it did not sign, is refused', () => {
  const empty = (document: Uint8Array) => {
    const { issued: _, ...rest } = parsedDocument(document);
    return resigned(canonicalJson(rest), bravoOrg, {});
  };
  refusedDecision(empty, 'missing_field', /certificates/);
  const unsigned = (document: Uint8Array) => {
    const issued = fromBase64Url(parsedDocument(document)['issued'] as string) ?? new Uint8Array();
    return resigned(document, bravoOrg, {
      issued: toBase64Url(canonicalJson({ ...parsedDocument(issued), signatures: [] })),
    });
  };
  refusedDecision(unsigned, 'signature_invalid', /trust_certificate/);
  refusedDecision(altered('trust_decision', { issued: toBase64Url(utf8('{}')) }), 'missing_field', /./);
});

test('an acknowledgment with other certificates than the decision is refused, and a good one still counts', () => {
  const shorter = (document: Uint8Array) => {
    const issued = fromBase64Url(parsedDocument(document)['issued'] as string) ?? new Uint8Array();
    return resigned(document, alphaOrg, { issued: toBase64Url(resigned(issued, alphaOrg, { permissions: [] })) });
  };
  replaced('trust_acknowledgment', shorter, 'signature_invalid');
  const { responder } = runTrustExchange(alpha, bravo, {
    intercept: (name, document) => (name === 'trust_acknowledgment' ? [shorter(document), document] : [document]),
  });
  assert.equal(responder.state?.phase, 'established');
  const swap = (document: Uint8Array) => {
    const { issued, counterpart } = parsedDocument(document) as Record<string, string>;
    return resigned(document, alphaOrg, { issued: counterpart ?? '', counterpart: issued ?? '' });
  };
  replaced('trust_acknowledgment', swap, 'certificate_invalid');
});

test('a decision cannot come before the challenge, unless it refuses and says who does', () => {
  const waiting = runTrustExchange(alpha, bravo, { intercept: (name, d) => (name === 'trust_challenge' ? [] : [d]) });
  const previous = parsedDocument(captured('trust_challenge', {}))['previous'] ?? '';
  const early = (changes: Record<string, JsonValue>) =>
    resigned(captured('trust_decision', {}), bravoOrg, { previous, ...changes });
  const take = (document: Uint8Array) => {
    assert.ok(waiting.initiator.state !== undefined);
    return stepInitiator(alpha.context, waiting.initiator.state, { kind: 'received', document });
  };
  assert.deepEqual(
    take(early({})).effects.map((effect) => effect.kind === 'refuse' && effect.code),
    ['unexpected_message'],
  );
  const refusal = take(early({ outcome: 'refused', party: partyJson(bravoOrg) }));
  assert.equal(refusal.state.phase, 'ended');
  const forged = take(early({ outcome: 'refused', party: partyJson(evilOrg) }));
  assert.equal(forged.state.phase, 'awaiting_challenge');
});

function base64Id(name: string): string {
  return toBase64Url(fromHex(testCertificateId(name)) ?? new Uint8Array());
}

function partyJson(organisation: typeof alphaOrg): JsonObject {
  const { domain, root_key, server_certificates } = testParty(organisation);
  return {
    domain,
    root_key: toBase64Url(root_key),
    server_certificates: server_certificates.map((certificate) => toBase64Url(certificate)),
  };
}
