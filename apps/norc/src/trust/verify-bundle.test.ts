import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeCrypto } from '@norc/crypto/node';
import { toBase64Url, utf8 } from '@norc/protocol/base';
import { documentHash, draftDocument, parseDocument, signDocumentWith } from '@norc/protocol/crypto';
import {
  draftRevocation,
  draftRevocationAck,
  emptyRevocations,
  extendRevocations,
  TRUST_REVOCATION,
  TRUST_STATUS,
} from '@norc/protocol/norc-t';
import { mustBe, TEST_EPOCH, testOrganisation, testServerEvidence, testTrustCertificate } from '@norc/testkit';
import { type BundleFile, verifyBundle } from './verify-bundle.ts';

const alpha = testOrganisation('alpha.example');
const bravo = testOrganisation('bravo.example');
const carol = testOrganisation('carol.example');

function bundle(): BundleFile[] {
  const given = testTrustCertificate(alpha, bravo);
  const draft = draftRevocation(emptyRevocations(alpha.domain), {
    ...{ subject: bravo.domain, certificate_id: given.certificateId, action: 'revoke', reason: 'test' },
    ...{ issued_at: TEST_EPOCH, effective_at: TEST_EPOCH },
  });
  const statement = signDocumentWith(nodeCrypto, draft, alpha.server).bytes;
  const keys = [testServerEvidence(alpha)];
  const chain = mustBe(extendRevocations(nodeCrypto, emptyRevocations(alpha.domain), statement, keys));
  const said = { by: carol.domain, receivedAt: TEST_EPOCH, enforcedAt: TEST_EPOCH };
  const ack = signDocumentWith(nodeCrypto, draftRevocationAck(chain, 1, said), carol.server).bytes;
  const orgs = [alpha, bravo, carol];
  const roots = orgs.map(({ domain, root }) => ({ domain, root_key: toBase64Url(root.publicKey) }));
  return [
    { path: 'bundle.json', bytes: utf8(JSON.stringify({ self: alpha.domain, peer: bravo.domain, roots })) },
    ...orgs.map(({ domain, certificate }) => ({ path: `servers/${domain}.json`, bytes: certificate.bytes })),
    { path: 'certificates/given.json', bytes: given.document.bytes },
    { path: 'chains/alpha.example/000001.json', bytes: statement },
    { path: 'acks/by-carol.json', bytes: ack },
  ];
}

test('an export holds without a server, up to the root keys that it names', () => {
  const report = verifyBundle(bundle());
  assert.equal(report.bad, undefined);
  assert.deepEqual(report.checked, { servers: 3, certificates: 1, chains: 1, acks: 1 });
  assert.deepEqual(
    report.roots.map(({ org }) => org),
    [alpha.domain, bravo.domain, carol.domain],
  );
});

test('the first file that somebody changed is named', () => {
  for (const { path } of bundle().slice(1)) {
    const files = bundle().map((file) => {
      if (file.path !== path) return file;
      const text = new TextDecoder().decode(file.bytes);
      const at = text.lastIndexOf('"signature":"') + 20;
      return { path, bytes: utf8(`${text.slice(0, at)}${text[at] === 'A' ? 'B' : 'A'}${text.slice(at + 1)}`) };
    });
    assert.equal(verifyBundle(files).bad?.path, path);
  }
});

test('what is missing, out of place or of another root key does not hold', () => {
  const without = (path: string) => verifyBundle(bundle().filter((file) => file.path !== path));
  assert.equal(without('bundle.json').bad?.path, 'bundle.json');
  assert.equal(without('servers/carol.example.json').bad?.path, 'acks/by-carol.json');
  assert.equal(without('chains/alpha.example/000001.json').bad?.path, 'acks/by-carol.json');
  assert.equal(verifyBundle([...bundle(), { path: 'more.json', bytes: utf8('{}') }]).bad?.path, 'more.json');
  const [, ...rest] = bundle();
  const roots = [alpha, bravo, carol].map(({ domain }) => ({ domain, root_key: toBase64Url(bravo.root.publicKey) }));
  const other = verifyBundle([{ path: 'bundle.json', bytes: utf8(JSON.stringify({ roots })) }, ...rest]);
  assert.equal(other.bad?.path, 'servers/alpha.example.json');
});

test('a second history is proven by what its issuer signed, and by nothing less', () => {
  const given = testTrustCertificate(alpha, bravo);
  const draft = draftRevocation(emptyRevocations(alpha.domain), {
    ...{ subject: bravo.domain, certificate_id: given.certificateId, action: 'suspend', reason: 'another story' },
    ...{ issued_at: TEST_EPOCH, effective_at: TEST_EPOCH },
  });
  const other = signDocumentWith(nodeCrypto, draft, alpha.server);
  const held = bundle().find(({ path }) => path.startsWith('chains/'))?.bytes ?? assert.fail('chain');
  const status = (head: Uint8Array, by = alpha) => {
    const chains = { head, sequence: 1, known_head: new Uint8Array(32), known_sequence: 0 };
    const body = { issuer: alpha.domain, to: bravo.domain, ...chains, sent_at: TEST_EPOCH };
    return signDocumentWith(nodeCrypto, draftDocument(TRUST_STATUS, body), by.server).bytes;
  };
  const why = (document: Uint8Array) => {
    const text = JSON.stringify({ held: toBase64Url(held), other: toBase64Url(document) });
    return verifyBundle([...bundle(), { path: 'forks/alpha.example-1.json', bytes: utf8(text) }]).bad?.why;
  };
  assert.equal(why(other.bytes), undefined);
  assert.equal(why(status(documentHash(nodeCrypto, other))), undefined);
  const none = /there are not two histories/;
  assert.match(why(held) ?? '', none);
  assert.match(why(status(documentHash(nodeCrypto, mustBe(parseDocument(TRUST_REVOCATION, held))))) ?? '', none);
  assert.match(why(signDocumentWith(nodeCrypto, draft, bravo.server).bytes) ?? '', /signature_invalid/);
  assert.match(why(status(documentHash(nodeCrypto, other), bravo)) ?? '', /signature_invalid/);
});
