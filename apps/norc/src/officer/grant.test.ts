import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeCrypto } from '@norc/crypto/node';
import { concatBytes, toBase64Url, utf8 } from '@norc/protocol/base';
import { draftDocument } from '@norc/protocol/crypto';
import {
  draftTrustCertificate,
  encodeRequestDescription,
  exchangeIdFromBytes,
  type RequestDescription,
  TRUST_CERTIFICATE,
  type TrustCertificateBody,
} from '@norc/protocol/norc-t';
import { canonicalJson } from '@norc/protocol/wire';
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
import { openGrant, openRequest } from './grant.ts';
import { ageText, evidenceRows, type FindingView, grantFacts } from './grant-words.ts';

const DAY_MS = 86_400_000;
const alpha = testOrganisation('alpha.example');
const bravo = testOrganisation('bravo.example');
const charlie = testOrganisation('charlie.example');
const impostor = testOrganisation('alpha.example', {}, 'impostor');

function draft(issuer: TestOrganisation, subject: TestOrganisation, changes: Partial<TrustCertificateBody> = {}) {
  return draftTrustCertificate({
    certificate_id: testCertificateId(`${issuer.domain} ${subject.domain}`),
    exchange_id: exchangeIdFromBytes(testBytes('exchange', 16)),
    ...{ issuer: testParty(issuer), subject: testParty(subject), level: 'classified', ...TEST_TERMS },
    ...{ not_before: TEST_EPOCH, not_after: TEST_EPOCH + 90 * DAY_MS },
    evidence: [{ kind: 'domain_proof', hash: testBytes('proof', 32), method: 'dns', checked_at: TEST_EPOCH }],
    transcript: testBytes('transcript', 32),
    ...changes,
  });
}

const text = (document: { readonly bytes: Uint8Array }) => toBase64Url(document.bytes);
const pair = (issued: { readonly bytes: Uint8Array }, counterpart: { readonly bytes: Uint8Array }) => ({
  issued: text(issued),
  counterpart: text(counterpart),
});
const refused = (error: unknown) =>
  error instanceof CommandError && error.exitCode === EXIT.badData && /Nothing was signed/.test(error.message);

test('[OFFICER-21] what is signed is computed from the documents that are shown', () => {
  const [issued, counterpart] = [draft(bravo, alpha), draft(alpha, bravo)];
  const grant = openGrant(pair(issued, counterpart), alpha.pinned, bravo.domain, 'classified');
  const expected = concatBytes(utf8('norc-t-grant-v1'), issued.signingInput, counterpart.signingInput);
  assert.deepEqual(grant.subject, nodeCrypto.blake3(expected));
  assert.deepEqual(grant.peerRootKey, bravo.root.publicKey);
  assert.equal(grant.given.issuer.domain, alpha.domain);
  assert.equal(grant.received.issuer.domain, bravo.domain);
  const lines = grantFacts(grant).flatMap(([name, value]) => [name, ...(typeof value === 'string' ? [value] : value)]);
  assert.ok(lines.includes('classified'));
  assert.ok(lines.some((line) => line.includes('message_relay')));
});

test('[OFFICER-21] a lying server gets no signature for another pair than the one that was asked about', () => {
  const [issued, counterpart] = [draft(bravo, alpha), draft(alpha, bravo)];
  const lies: readonly [string, { readonly issued: string; readonly counterpart: string }][] = [
    ['another partner', pair(draft(charlie, alpha), draft(alpha, charlie))],
    ['one direction is with another partner', pair(draft(charlie, alpha), counterpart)],
    ['the same direction twice', pair(counterpart, counterpart)],
    ['another level', pair(draft(bravo, alpha, { level: 'nato' }), draft(alpha, bravo, { level: 'nato' }))],
    ['two levels', pair(draft(bravo, alpha, { level: 'basic' }), counterpart)],
    ['another own root key', pair(draft(bravo, impostor), draft(impostor, bravo))],
    ['another own root key in one', pair(draft(bravo, impostor), counterpart)],
    ['two root keys of the partner', pair(draft(testOrganisation('bravo.example', {}, 'x'), alpha), counterpart)],
    ['a field that is not shown', pair(withField(issued), counterpart)],
    ['two recovery sets', pair(draft(bravo, alpha, { issuer: { ...testParty(bravo), recovery } }), counterpart)],
    ['no certificate', { issued: text(issued), counterpart: text(alpha.certificate) }],
    ['nonsense', { issued: text(issued), counterpart: '!' }],
  ];
  for (const [what, documents] of lies)
    assert.throws(() => openGrant(documents, alpha.pinned, bravo.domain, 'classified'), refused, what);
});

const recovery = testBytes('recovery', 32);

function withField(document: ReturnType<typeof draft>) {
  return { bytes: canonicalJson({ ...document.json, surprise: 'an unknown field' }) };
}

test('nato in one direction alone, and a recovery set, are shown', () => {
  const party = { ...testParty(bravo), recovery };
  const documents = [
    draft(bravo, alpha, { issuer: party }),
    draft(alpha, bravo, { subject: party, nato_capable: true }),
  ];
  const [issued, counterpart] = documents;
  assert.ok(issued !== undefined && counterpart !== undefined);
  const facts = new Map(grantFacts(openGrant(pair(issued, counterpart), alpha.pinned, bravo.domain)));
  assert.match(String(facts.get('Level')), /classified; you hold them to be nato-capable, they do not/);
  assert.match(String(facts.get('Their recovery')), /set [0-9a-f]{32}$/);
});

const REQUEST: RequestDescription = {
  ...{ peer: bravo.domain, level: 'classified', valid_days: 90, nato_capable: false },
  ...{ asks: TEST_TERMS, offers: TEST_TERMS },
};

test('[OFFICER-21] a request is signed for the partner and the level that were typed', () => {
  const opened = openRequest(toBase64Url(encodeRequestDescription(REQUEST)), bravo.domain, 'classified');
  const hashed = concatBytes(utf8('norc-t-request-v1'), encodeRequestDescription(REQUEST));
  assert.deepEqual(opened.subject, nodeCrypto.blake3(hashed));
  for (const changed of [
    { ...REQUEST, peer: charlie.domain },
    { ...REQUEST, level: 'nato' as const },
  ]) {
    const document = toBase64Url(encodeRequestDescription(changed));
    assert.throws(() => openRequest(document, bravo.domain, 'classified'), refused);
  }
  assert.throws(() => openRequest('e30', bravo.domain, 'classified'), refused);
});

test('what the server says was found is marked when the certificate does not name it', () => {
  const certificate = draft(alpha, bravo).body;
  const finding = (changes: Partial<FindingView>): FindingView => ({
    ...{ kind: 'domain_proof', result: 'held', method: 'dns', weight: 1, checked_at: TEST_EPOCH, detail: 'found' },
    hash: Buffer.from(testBytes('proof', 32)).toString('hex'),
    ...changes,
  });
  const rows = evidenceRows(
    [finding({}), finding({ kind: 'pki_chain' }), finding({ hash: '00' }), finding({ kind: 'x', result: 'absent' })],
    TEST_EPOCH + 5 * 60_000,
    certificate,
  );
  assert.deepEqual(
    rows.map((row) => row.at(-1)?.includes('does not name it')),
    [false, true, true, false],
  );
  assert.equal(rows[0]?.[3], '5 min');
  assert.deepEqual([0, 3 * 3_600_000, 5 * DAY_MS].map(ageText), ['now', '3 h', '5 d']);
});

test('[OFFICER-21] both root keys of both sides are compared, and one fingerprint is shown over both', () => {
  const [key, other] = [1, 2].map((byte) => new Uint8Array(1952).fill(byte)) as [Uint8Array, Uint8Array]; // two of them
  const withKey = (party: ReturnType<typeof testParty>, root_pq_key: Uint8Array | undefined) =>
    root_pq_key === undefined ? party : { ...party, root_pq_key };
  const documents = (ours: readonly (Uint8Array | undefined)[], theirs: readonly (Uint8Array | undefined)[]) => {
    const [a, b] = [testParty(alpha), testParty(bravo)];
    return pair(
      draft(bravo, alpha, { issuer: withKey(b, theirs[0]), subject: withKey(a, ours[0]) }),
      draft(alpha, bravo, { issuer: withKey(a, ours[1]), subject: withKey(b, theirs[1]) }),
    );
  };
  const pinned = { ...alpha.pinned, rootPqKey: key };
  const opened = openGrant(documents([key, key], [other, other]), pinned, bravo.domain);
  assert.deepEqual(opened.peerRootPqKey, other);
  const [title, fingerprint] = grantFacts(opened)[0] ?? [];
  const [, plain] = grantFacts(openGrant(documents([key, key], []), pinned, bravo.domain))[0] ?? [];
  assert.equal(title, 'Both root keys');
  assert.notDeepEqual(fingerprint, plain);
  const lies = [
    documents([other, key], [other, other]),
    documents([key, undefined], [other, other]),
    documents([undefined, undefined], [other, other]),
    documents([key, key], [other, key]),
    documents([key, key], [other, undefined]),
  ];
  for (const lie of lies) assert.throws(() => openGrant(lie, pinned, bravo.domain), refused);
  assert.throws(
    () => openGrant(documents([key, key], []), alpha.pinned, bravo.domain),
    refused,
    'a key that is not ours',
  );
});

test('a document of another kind in the place of a certificate is refused', () => {
  const { bytes } = draftDocument(TRUST_CERTIFICATE, draft(alpha, bravo).body);
  const text = toBase64Url(bytes.slice(0, -1));
  assert.throws(() => openGrant({ issued: text, counterpart: text }, alpha.pinned, bravo.domain), refused);
});
