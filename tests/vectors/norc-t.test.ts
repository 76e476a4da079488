import assert from 'node:assert/strict';
import { nodeCrypto } from '@norc/crypto/node';
import {
  type Domain,
  type EvidenceKind,
  instant,
  ok,
  parseDomain,
  type Result,
  toHex,
  utf8,
} from '@norc/protocol/base';
import {
  documentHash,
  type PinnedOrg,
  parseDocument,
  type ServerKeyUsage,
  signDocumentWith,
  verifyDeviceCertificate,
  verifyServerCertificate,
} from '@norc/protocol/crypto';
import {
  decideTrust,
  defaultPolicy,
  emptyRevocations,
  explainDecision,
  extendRevocations,
  extendTranscript,
  findDomainProof,
  grantSubject,
  type RevocationChain,
  requestDescription,
  requestSubject,
  storedPair,
  TRANSCRIPT_START,
  TRUST_CERTIFICATE,
  TRUST_MESSAGES,
  type TrustMessageName,
  type TrustQuestion,
  trustScore,
  verifyTrustCertificate,
} from '@norc/protocol/norc-t';
import {
  mustBe,
  runTrustExchange,
  TEST_EPOCH,
  testFinding,
  testOrganisation,
  testServerEvidence,
  testTrustRequest,
} from '@norc/testkit';
import { setupOf } from '../../vectors/generate/norc-t/exchange-setups.ts';
import { norcTVectors } from '../../vectors/generate/norc-t.ts';
import { runVectors, VectorCase } from './harness.ts';

const crypto = nodeCrypto;
const alpha = testOrganisation('alpha.example');
const bravo = testOrganisation('bravo.example');

const orgOf = (text: string): Domain => mustBe(parseDomain(text));
const nowOf = (vector: VectorCase) => instant(vector.number('now'));
const textOf = (bytes: Uint8Array | undefined) => new TextDecoder().decode(bytes);

function pinnedOf(vector: VectorCase): PinnedOrg {
  return { org: orgOf(vector.text('org')), rootKey: vector.hex('root_key') };
}

function checkServer(vector: VectorCase) {
  const usage = vector.text('usage') as ServerKeyUsage; // the vectors name usages
  const expected = { pinned: pinnedOf(vector), usage, now: nowOf(vector) };
  return verifyServerCertificate(crypto, utf8(vector.text('document')), expected);
}

function checkDevice(vector: VectorCase) {
  const chain = { certificate: utf8(vector.text('certificate')), issuer: utf8(vector.text('issuer')) };
  return verifyDeviceCertificate(crypto, chain, { pinned: pinnedOf(vector), now: nowOf(vector) });
}

function checkTrust(vector: VectorCase) {
  const issuer = { org: orgOf(vector.text('issuer')), rootKey: vector.hex('issuer_root_key') };
  const subject = vector.has('subject_root_key')
    ? { subject: { org: orgOf('bravo.example'), rootKey: vector.hex('subject_root_key') } }
    : {};
  return verifyTrustCertificate(crypto, utf8(vector.text('document')), { issuer, ...subject, now: nowOf(vector) });
}

/** Every statement into the chain; the chain after each, or the first refusal. */
function chainsOf(issuer: Domain, statements: readonly unknown[], keys: ReturnType<typeof testServerEvidence>[]) {
  const chains: RevocationChain[] = [];
  let chain = emptyRevocations(issuer);
  for (const statement of statements) {
    const extended = extendRevocations(crypto, chain, utf8(String(statement)), keys);
    if (!extended.ok) return extended;
    chain = extended.value;
    chains.push(chain);
  }
  return ok(chains);
}

function checkRevocations(vector: VectorCase): Result<readonly RevocationChain[]> {
  const pinned = { org: orgOf(vector.text('issuer')), rootKey: vector.hex('root_key') };
  const expected = { pinned, usage: 'trust', now: nowOf(vector) } as const;
  const key = mustBe(verifyServerCertificate(crypto, utf8(vector.text('issuer_certificate')), expected));
  const statements = vector.list('statements');
  const before = chainsOf(pinned.org, statements.slice(0, -1), [key]);
  assert.ok(before.ok, 'the statements before the last are sound');
  return chainsOf(pinned.org, statements, [key]);
}

function replayed(vector: VectorCase): Result<undefined> {
  const message = vector.text('message');
  const bad = utf8(vector.text('document'));
  let crossed = 0;
  const { first, second, options } = setupOf(vector.text('level'));
  const { initiator, responder } = runTrustExchange(first, second, {
    ...options,
    intercept: (name, document) => {
      if (name === message) return [bad];
      crossed += 1;
      return [document];
    },
  });
  assert.ok(crossed >= vector.number('before'));
  const receiver = vector.text('receiver') === 'initiator' ? initiator : responder;
  const refusal = receiver.first('refuse') ?? receiver.first('ended');
  assert.equal(receiver.last('keep_certificates'), undefined);
  return refusal === undefined ? ok(undefined) : { ok: false, error: refusal };
}

function checkExchange(vector: VectorCase): void {
  const documents: string[] = [];
  const { first, second, options } = setupOf(vector.text('level'));
  const { initiator, responder } = runTrustExchange(first, second, {
    ...options,
    intercept: (_, document) => {
      documents.push(textOf(document));
      return [document];
    },
  });
  const messages = vector.list('messages').map((one) => new VectorCase(one, 'message'));
  assert.deepEqual(
    documents,
    messages.map((one) => one.text('document')),
  );
  let hash: Uint8Array = TRANSCRIPT_START;
  const transcripts = messages.map((one) => {
    const kind = TRUST_MESSAGES[one.text('message') as TrustMessageName]; // the vectors name messages
    const document = mustBe(parseDocument<unknown>(kind, utf8(one.text('document'))));
    hash = extendTranscript(crypto, hash, document);
    return toHex(hash);
  });
  assert.deepEqual(transcripts, vector.list('transcripts'));
  assert.equal(textOf(initiator.last('keep_certificates')?.given), vector.text('by_initiator'));
  assert.equal(textOf(responder.last('keep_certificates')?.given), vector.text('by_responder'));
  const request = requestSubject(crypto, requestDescription(testTrustRequest(first, second, options)));
  assert.equal(toHex(request), vector.text('request_subject'));
  const pair = storedPair({
    issued: utf8(vector.text('by_responder')),
    counterpart: utf8(vector.text('by_initiator')),
  });
  assert.equal(toHex(grantSubject(crypto, pair)), vector.text('grant_subject'));
}

function checkScore(vector: VectorCase): void {
  const findings = vector.list('held').map((value) => {
    const one = new VectorCase(value, 'held');
    const kind = one.text('kind') as EvidenceKind; // the vectors name kinds
    const method = one.has('method') ? { method: one.text('method') } : {};
    return testFinding(kind, TEST_EPOCH, { weight: one.number('weight_per_mille') / 1000, ...method });
  });
  const record = { incidents: vector.number('incidents'), daysInForce: vector.number('days_in_force') };
  const { total, parts } = trustScore(findings, record);
  assert.equal(total, vector.number('total'));
  for (const { name, points } of parts)
    assert.equal(points, new VectorCase(vector.json('parts'), 'parts').number(name), name);
}

function checkDecision(vector: VectorCase): void {
  const now = nowOf(vector);
  const certificates = vector.list('certificates').map((value) => {
    const one = new VectorCase(value, 'certificate');
    const document = mustBe(parseDocument(TRUST_CERTIFICATE, utf8(one.text('document'))));
    const issuer = { org: document.body.issuer.domain, rootKey: one.hex('issuer_root_key') };
    return mustBe(verifyTrustCertificate(crypto, document, { issuer, now }));
  });
  const revocations = vector.list('revocations').flatMap((value) => {
    const one = new VectorCase(value, 'revocations');
    const organisation = one.text('issuer') === 'alpha.example' ? alpha : bravo;
    const chains = mustBe(chainsOf(organisation.domain, one.list('statements'), [testServerEvidence(organisation)]));
    return chains.slice(-1);
  });
  const question = vector.json('question') as unknown as TrustQuestion; // the vectors hold questions as they are
  const policy = defaultPolicy({ blocked: new Set(vector.list('blocked').map((name) => orgOf(String(name)))) });
  const heardAt = vector.has('heard_at') ? instant(vector.number('heard_at')) : undefined;
  const decision = decideTrust(question, { certificates, revocations, heardAt, policy, now });
  assert.equal(decision.kind, vector.text('decision'));
  if (decision.kind === 'allow') assert.equal(decision.level, vector.text('level'));
  else assert.deepEqual([decision.reason, decision.code], [vector.text('reason'), vector.text('code')]);
  assert.equal(explainDecision(question, decision), vector.text('explanation'));
}

runVectors(
  'norc-t',
  {
    valid: {
      'server-certificate'(vector) {
        const certificate = mustBe(checkServer(vector));
        if (!vector.has('root_seed')) return;
        assert.equal(toHex(certificate.hash), vector.text('hash'));
        assert.equal(toHex(certificate.document.signingInput), vector.text('signing_input'));
        const keys = { publicKey: vector.hex('root_key'), privateKey: vector.hex('root_seed') };
        assert.equal(textOf(signDocumentWith(crypto, certificate.document, keys).bytes), vector.text('document'));
      },
      'device-certificate'(vector) {
        const device = mustBe(checkDevice(vector));
        assert.deepEqual([device.user, device.deviceId], [vector.text('user'), vector.text('device_id')]);
        assert.deepEqual(device.publicKey, vector.hex('public_key'));
        assert.equal(toHex(documentHash(crypto, device.document)), vector.text('hash'));
      },
      'trust-certificate'(vector) {
        const certificate = mustBe(checkTrust(vector));
        assert.equal(certificate.subject, vector.text('subject'));
        assert.deepEqual(certificate.subjectRootKey, vector.hex('named_root_key'));
        assert.equal(certificate.level, vector.text('level'));
        assert.deepEqual([...certificate.permissions], vector.list('permissions'));
        assert.equal(certificate.notAfter, vector.number('not_after'));
        assert.equal(toHex(certificate.hash), vector.text('hash'));
      },
      revocations(vector) {
        assert.deepEqual(
          mustBe(checkRevocations(vector)).map(({ head }) => toHex(head)),
          vector.list('heads'),
        );
      },
      exchange: checkExchange,
      score: checkScore,
      decision: checkDecision,
      'domain-proof'(vector) {
        const line = mustBe(findDomainProof(vector.list('lines').map(String), vector.hex('root_key')));
        assert.equal(toHex(crypto.blake3(utf8(line))), vector.text('hash'));
      },
    },
    invalid: {
      'server-certificate': checkServer,
      'device-certificate': checkDevice,
      'trust-certificate': checkTrust,
      revocations: checkRevocations,
      exchange: replayed,
      'domain-proof': (vector) => findDomainProof(vector.list('lines').map(String), vector.hex('root_key')),
    },
  },
  norcTVectors,
);
