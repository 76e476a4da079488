import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeCrypto as crypto } from '@norc/crypto/node';
import { instant, LIMITS } from '@norc/protocol/base';
import {
  type KeyPair,
  parseDocument,
  SERVER_CERTIFICATE,
  type SignedDocument,
  signDocumentWith,
  verifyServerCertificate,
} from '@norc/protocol/crypto';
import {
  signTestBoth,
  signTestPq,
  TEST_EPOCH,
  testOrganisation,
  testPostQuantum,
  testPqKeyPair,
  testTrustCertificate,
} from '@norc/testkit';
import { canonicalJson, type JsonObject } from '../wire/index.ts';
import { domainProofPqHash, domainProofText, findDomainProof } from './evidence/domain-proof.ts';
import { checkPinnedPostQuantum, type Party, SERVER_CERTIFICATE_BYTES_MAX, verifyPostQuantum } from './party.ts';
import { draftTrustCertificate, TRUST_CERTIFICATE, type TrustCertificateBody } from './trust-certificate.ts';

const DAY_MS = 86_400_000;
const alpha = testOrganisation('alpha.example');
const bravo = testOrganisation('bravo.example');
const alphaPq = testPostQuantum(alpha);
const bravoPq = testPostQuantum(bravo);

/** A certificate of alpha for bravo, both with post-quantum keys, unsigned. */
const body: TrustCertificateBody = {
  ...testTrustCertificate(alpha, bravo).document.body,
  issuer: alphaPq.party,
  subject: bravoPq.party,
};
const draft = draftTrustCertificate(body);
const signed = signTestBoth(draft, alpha, alphaPq);
const codeOf = (document: SignedDocument<unknown>, party: Party, now = TEST_EPOCH) => {
  const result = verifyPostQuantum(crypto, document, party, now);
  return result.ok ? 'ok' : result.error.code;
};

/** As somebody on the way could leave it. */
function withSignatures<T>(
  document: SignedDocument<T>,
  change: (signatures: readonly JsonObject[]) => readonly JsonObject[],
): SignedDocument<T> {
  const signatures = change(document.json['signatures'] as readonly JsonObject[]); // of a document
  const parsed = parseDocument(document.kind, canonicalJson({ ...document.json, signatures }));
  assert.ok(parsed.ok);
  return parsed.value;
}

test('[TRUST-7] both signatures of a server certified by both root keys are two independent proofs', () => {
  const result = verifyPostQuantum(crypto, signed, alphaPq.party, TEST_EPOCH);
  assert.ok(result.ok);
  assert.deepEqual(result.value.rootPqKey, alphaPq.root.publicKey);
  assert.deepEqual(result.value.publicKey, alphaPq.server.publicKey);
  assert.equal(result.value.notAfter, alphaPq.certificate.body.not_after);
  assert.equal(codeOf(signTestBoth(signed, bravo, bravoPq), bravoPq.party), 'ok', 'and the countersignature');
});

test('[TRUST-7] a post-quantum signature that was stripped is missed', () => {
  const stripped = withSignatures(signed, (all) => all.filter((one) => one['algorithm'] === 'ed25519'));
  assert.equal(codeOf(stripped, alphaPq.party), 'signature_invalid');
});

test('[TRUST-7] a signature swapped for that of another document, or with one bit changed, does not verify', () => {
  const other = signTestBoth(
    draftTrustCertificate({ ...body, level: 'verified', not_after: body.not_before + DAY_MS }),
    alpha,
    alphaPq,
  );
  const swapped = withSignatures(signed, () => other.json['signatures'] as readonly JsonObject[]); // as above
  assert.equal(codeOf(swapped, alphaPq.party), 'signature_invalid');
});

test("[TRUST-7] another organisation's post-quantum signature is not this one's", () => {
  const foreign = signTestPq(signDocumentWith(crypto, draft, alpha.server), bravoPq.server);
  assert.equal(codeOf(foreign, alphaPq.party), 'signature_invalid');
  const relabeled = withSignatures(foreign, (all) =>
    all.map((one, i) => (i === 0 ? one : { ...one, key_id: String(signed.signatures[1]?.key_id) })),
  );
  assert.equal(codeOf(relabeled, alphaPq.party), 'signature_invalid');
});

test('[TRUST-7] a key that no certificate names signs nothing, though its owner holds the Ed25519 server key', () => {
  const own = testPqKeyPair('invented');
  assert.equal(codeOf(signTestPq(signed, own), alphaPq.party), 'ok', 'it does not spoil the true one');
  assert.equal(
    codeOf(signTestPq(signDocumentWith(crypto, draft, alpha.server), own), alphaPq.party),
    'signature_invalid',
  );
});

/** Alpha's party as whoever can forge Ed25519, but not ML-DSA-65, would show it: keys of their own, certified by `root`. */
function forgedParty(root: KeyPair): { readonly party: Party; readonly server: KeyPair } {
  const server = testPqKeyPair('forger');
  const forged = testPostQuantum(alpha, { pq_public_key: server.publicKey });
  const unsigned = withSignatures(forged.certificate, (all) => all.filter((one) => one['algorithm'] === 'ed25519'));
  const certificate = signTestPq(unsigned, root);
  return { party: { ...alphaPq.party, server_certificates: [certificate.bytes] }, server };
}

test('[CERT-15] whoever forges Ed25519 alone cannot certify a post-quantum key', () => {
  const { party, server } = forgedParty(testPqKeyPair('forger root'));
  const document = signTestPq(signDocumentWith(crypto, draft, alpha.server), server);
  assert.equal(codeOf(document, party), 'certificate_invalid');
  const certificate = parseDocument(SERVER_CERTIFICATE, party.server_certificates[0] ?? new Uint8Array());
  assert.ok(certificate.ok);
  const expected = { pinned: alpha.pinned, usage: 'trust', now: TEST_EPOCH } as const;
  assert.ok(verifyServerCertificate(crypto, certificate.value, expected).ok, 'Ed25519 alone would have believed it');
});

test('[TRUST-7] whoever forges ML-DSA-65 alone gains nothing: the certificate needs the Ed25519 root key, too', () => {
  const evil = testOrganisation('alpha.example', {}, 'evil');
  const certificate = signTestPq(testPostQuantum(evil).certificate, alphaPq.root);
  const party = { ...alphaPq.party, server_certificates: [certificate.bytes] };
  assert.equal(codeOf(signTestPq(draft, testPostQuantum(evil).server), party), 'certificate_invalid');
});

test('[TRUST-7] a certificate that is over, or has no usage trust, certifies no post-quantum key', () => {
  assert.equal(codeOf(signed, alphaPq.party, instant(alphaPq.certificate.body.not_after)), 'certificate_invalid');
  const elsewhere = testPostQuantum(alpha, { usages: ['devices'] });
  assert.equal(codeOf(signed, elsewhere.party), 'certificate_invalid');
});

test('[TRUST-8] leaving out a post-quantum root key that was pinned is a downgrade; another one is refused', () => {
  const pinned = alphaPq.root.publicKey;
  const { root_pq_key: _, ...without } = alphaPq.party;
  assert.equal(codeOf(signed, without), 'evidence_rejected');
  const outcome = (party: Party, pin: Uint8Array | undefined) => {
    const result = checkPinnedPostQuantum(party, pin);
    return result.ok ? 'ok' : result.error.code;
  };
  assert.equal(outcome(without, pinned), 'downgrade_refused');
  assert.equal(outcome({ ...without, root_pq_key: bravoPq.root.publicKey }, pinned), 'certificate_invalid');
  assert.equal(outcome(alphaPq.party, pinned), 'ok');
  assert.equal(outcome(alphaPq.party, undefined), 'ok');
  assert.equal(outcome(without, undefined), 'ok');
});

test('[TRUST-9] a domain that names a post-quantum root key proves that one and no other', () => {
  const root = alpha.root.publicKey;
  const hash = crypto.blake3(alphaPq.root.publicKey);
  const other = crypto.blake3(bravoPq.root.publicKey);
  const line = domainProofText(root, hash);
  assert.match(line, /^norc-trust=v1; root=[\w-]{43}; pq=[\w-]{43}$/);
  assert.ok(line.length < 256, 'fits one TXT string');
  assert.deepEqual(domainProofPqHash(line), hash);
  assert.equal(domainProofPqHash(domainProofText(root)), undefined);
  assert.deepEqual(findDomainProof([line], root, hash), { ok: true, value: line });
  for (const claimed of [undefined, other]) {
    const refused = findDomainProof([line, domainProofText(root)], root, claimed);
    assert.equal(!refused.ok && refused.error.code, 'evidence_rejected', 'a line beside it takes nothing back');
  }
  assert.deepEqual(findDomainProof([domainProofText(root)], root, hash), { ok: true, value: domainProofText(root) });
  const both = [domainProofText(bravo.root.publicKey, other), line];
  assert.deepEqual(findDomainProof(both, root, hash), { ok: true, value: line }, 'while a root key is being replaced');
  for (const wrong of ['; pq=', `; pq=${'A'.repeat(42)}`, `; pq=${'A'.repeat(44)}`, `; PQ=${'A'.repeat(43)}`]) {
    assert.equal(findDomainProof([domainProofText(root) + wrong], root).ok, false, wrong);
  }
});

test('two parties with post-quantum keys, the old and the new server key of each, fit one document', () => {
  const next = testPostQuantum(alpha, {}, 'next');
  const widest = (party: Party): Party => ({
    ...party,
    server_certificates: [...party.server_certificates, alpha.certificate.bytes, next.certificate.bytes],
    recovery: new Uint8Array(4096),
  });
  assert.ok(next.certificate.bytes.length < SERVER_CERTIFICATE_BYTES_MAX);
  const large = draftTrustCertificate({ ...body, issuer: widest(alphaPq.party), subject: widest(bravoPq.party) });
  const whole = signTestBoth(signTestBoth(large, alpha, alphaPq), bravo, bravoPq);
  assert.ok(parseDocument(TRUST_CERTIFICATE, whole.bytes).ok);
  // A decision carries both certificates of the pair in base64url, beside its own signatures and material.
  assert.ok((whole.bytes.length * 2 * 4) / 3 + 32_768 < LIMITS.documentBytesMax, `${whole.bytes.length} bytes`);
});
