import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeCrypto as crypto } from '@norc/crypto/node';
import { type KeyPair, signDocumentWith } from '@norc/protocol/crypto';
import {
  draftRecoverySet,
  draftRootRotation,
  type RootLineage,
  startLineage,
  verifyRecoverySet,
  verifyRootRotation,
} from '@norc/protocol/norc-t';
import {
  mustBe,
  signTestPq,
  TEST_EPOCH,
  testKeyPair,
  testOrganisation,
  testPostQuantum,
  testPqKeyPair,
  testTrustCertificate,
} from '@norc/testkit';
import type { Answer, Asking, AskType } from '../session/ask.ts';
import { memoryStore } from '../store/index.ts';
import { ManualTime } from '../testing/manual-time.ts';
import { TrustAnchors } from './anchors.ts';
import { RootBook } from './root-book.ts';

const alpha = testOrganisation('alpha.example');
const bravo = testOrganisation('bravo.example');
const officers = ['ann', 'ben'].map((name) => testKeyPair(`officer ${name}`));
const [next, later, thief] = [testKeyPair('next'), testKeyPair('later'), testKeyPair('thief')];

const recovery = signDocumentWith(
  crypto,
  draftRecoverySet(crypto, {
    ...{ org: alpha.domain, root_key: alpha.root.publicKey, sequence: 1, threshold: 2, issued_at: TEST_EPOCH },
    officers: officers.map(({ publicKey }) => publicKey),
  }),
  alpha.root,
).bytes;
const set = mustBe(verifyRecoverySet(crypto, recovery, alpha.pinned));

function rotation(lineage: RootLineage, to: KeyPair, by: readonly KeyPair[], stolen = false): Uint8Array {
  const terms = { new_root_key: to.publicKey, issued_at: TEST_EPOCH, effective_at: TEST_EPOCH };
  let document = draftRootRotation(crypto, lineage, {
    ...terms,
    ...(stolen ? { reason: 'compromised', recovery_set: set.hash } : { reason: 'scheduled' }),
  });
  for (const signer of [to, ...by]) document = signDocumentWith(crypto, document, signer);
  return document.bytes;
}

const origin = startLineage(alpha.domain, alpha.root.publicKey);
const one = rotation(origin, next, [alpha.root]);
const after = mustBe(verifyRootRotation(crypto, origin, one, { pins: [], now: TEST_EPOCH }));
const two = rotation(after, later, [next]);

const bookOn = (store = memoryStore()) => new RootBook({ crypto, clock: new ManualTime(TEST_EPOCH), store });
const keyOf = (book: RootBook) => book.standing(alpha.pinned).rootKey;

test('[ROOT-5] a device follows its own organisation to a new root key, and keeps it over a restart', async () => {
  const store = memoryStore();
  const book = bookOn(store);
  assert.deepEqual(book.standing(alpha.pinned), alpha.pinned);
  await book.learn(alpha.pinned, { rotations: [one, two] });
  assert.deepEqual(keyOf(book), later.publicKey);
  const again = bookOn(store);
  await again.load(alpha.pinned);
  assert.deepEqual(again.standing(alpha.pinned), book.standing(alpha.pinned));
  assert.equal(again.standing(alpha.pinned).predecessors?.length, 2);
});

test('[ROOT-8] a server that makes up a rotation moves nothing', async () => {
  const store = memoryStore();
  const book = bookOn(store);
  await book.learn(alpha.pinned, {
    rotations: [rotation(origin, thief, [alpha.server]), rotation(origin, thief, [thief]), two],
  });
  assert.deepEqual(keyOf(book), alpha.root.publicKey);
  assert.equal(await store.read.meta(`roots:${alpha.domain}`), undefined);
});

test('[ROOT-14] recovery officers whom the device knew take the key back from a thief', async () => {
  const store = memoryStore();
  const book = bookOn(store);
  await book.learn(alpha.pinned, { recovery });
  await book.learn(alpha.pinned, { rotations: [rotation(origin, thief, [alpha.root])] });
  assert.deepEqual(keyOf(book), thief.publicKey);
  await book.learn(alpha.pinned, { rotations: [rotation(origin, next, officers, true)] });
  const again = bookOn(store);
  await again.load(alpha.pinned);
  for (const each of [book, again]) {
    assert.deepEqual(keyOf(each), next.publicKey);
    assert.deepEqual(each.standing(alpha.pinned).predecessors, []);
  }
});

test('[ROOT-11] without a recovery set that it knew, officers replace nothing for a device', async () => {
  const book = bookOn();
  await book.learn(alpha.pinned, { rotations: [rotation(origin, next, officers, true)], recovery });
  assert.deepEqual(keyOf(book), alpha.root.publicKey, 'a set that comes with the rotation is too late for it');
});

test('a partner with a new root key is the same partner when a rotation leads there, and forged when none does', async () => {
  const lineage = startLineage(bravo.domain, bravo.root.publicKey);
  const moved = rotation(lineage, next, [bravo.root]);
  const certificate = signDocumentWith(crypto, bravo.certificate, next);
  const renewed = { ...bravo, root: next, pinned: { org: bravo.domain, rootKey: next.publicKey }, certificate };
  for (const rotations of [[moved], []]) {
    const forged: string[] = [];
    let subject = bravo;
    const request = async <T extends AskType>(): Promise<Answer<T>> => {
      const [given, received] = [testTrustCertificate(alpha, subject), testTrustCertificate(subject, alpha)];
      const certificates = { trust_certificate: given.document.bytes, received_certificate: received.document.bytes };
      const told = subject === bravo ? {} : { rotations };
      const value = { domain: bravo.domain, level: 'basic', ...certificates, ...told };
      return { ok: true, value } as unknown as Answer<T>; // only org_request is asked here
    };
    const [store, clock] = [memoryStore(), new ManualTime(TEST_EPOCH)];
    const anchors = new TrustAnchors({
      ...{ crypto, clock, store, own: alpha.pinned, roots: new RootBook({ crypto, clock, store }) },
      session: { isReady: true, request } as unknown as Asking, // the rest is not used
      onForged: (org) => forged.push(org),
    });
    assert.ok((await anchors.pinned(bravo.domain)).ok);
    subject = renewed;
    await clock.advance(600_001, async () => {});
    const known = await anchors.pinned(bravo.domain);
    assert.equal(known.ok, rotations.length > 0);
    assert.deepEqual(forged, rotations.length > 0 ? [] : [bravo.domain]);
    if (known.ok) assert.deepEqual(known.value.rootKey, next.publicKey);
  }
});

test('[ROOT-9] a device that knows the post-quantum key follows no rotation that Ed25519 alone signed', async () => {
  const pq = testPostQuantum(alpha).root;
  const store = memoryStore();
  const book = bookOn(store);
  await book.learn(alpha.pinned, { keys: { rootKey: alpha.root.publicKey, rootPqKey: pq.publicKey } });
  await book.learn(alpha.pinned, { rotations: [one] });
  const again = bookOn(store);
  await again.load(alpha.pinned);
  await again.learn(alpha.pinned, { rotations: [one] });
  for (const each of [book, again]) assert.deepEqual(keyOf(each), alpha.root.publicKey);
  const other = testPqKeyPair('other');
  await again.learn(alpha.pinned, { keys: { rootKey: alpha.root.publicKey, rootPqKey: other.publicKey } });
  const nextPq = testPqKeyPair('next');
  const lineage = startLineage(alpha.domain, alpha.root.publicKey, pq.publicKey);
  const terms = { new_root_key: next.publicKey, new_root_pq_key: nextPq.publicKey };
  const dates = { reason: 'scheduled', issued_at: TEST_EPOCH, effective_at: TEST_EPOCH } as const;
  let document = draftRootRotation(crypto, lineage, { ...terms, ...dates });
  for (const signer of [next, alpha.root]) document = signDocumentWith(crypto, document, signer);
  for (const signer of [nextPq, pq]) document = signTestPq(document, signer);
  await again.learn(alpha.pinned, { rotations: [document.bytes] });
  assert.deepEqual(keyOf(again), next.publicKey, 'signed by the key that was pinned first');
});

test('[ROOT-9] a device learns the post-quantum keys of both organisations from the certificate of the pair', async () => {
  const [own, theirs] = [testPostQuantum(alpha), testPostQuantum(bravo)];
  const given = testTrustCertificate(alpha, bravo, { issuer: own.party, subject: theirs.party });
  const received = testTrustCertificate(bravo, alpha, { issuer: theirs.party, subject: own.party });
  const certificates = { trust_certificate: given.document.bytes, received_certificate: received.document.bytes };
  const request = async <T extends AskType>(): Promise<Answer<T>> => {
    const value = { domain: bravo.domain, level: 'basic', ...certificates };
    return { ok: true, value } as unknown as Answer<T>; // only org_request is asked here
  };
  const [store, clock] = [memoryStore(), new ManualTime(TEST_EPOCH)];
  const roots = new RootBook({ crypto, clock, store });
  const anchors = new TrustAnchors({
    ...{ crypto, clock, store, own: alpha.pinned, roots },
    session: { isReady: true, request } as unknown as Asking, // the rest is not used
    onForged: (_, detail) => assert.fail(detail),
  });
  assert.ok((await anchors.pinned(bravo.domain)).ok);
  await roots.learn(alpha.pinned, { rotations: [one] });
  await roots.learn(bravo.pinned, {
    rotations: [rotation(startLineage(bravo.domain, bravo.root.publicKey), thief, [bravo.root])],
  });
  assert.deepEqual(keyOf(roots), alpha.root.publicKey);
  assert.deepEqual(roots.standing(bravo.pinned).rootKey, bravo.root.publicKey);
});
