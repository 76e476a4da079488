import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeCrypto as crypto } from '@norc/crypto/node';
import { type Domain, type Instant, instant, MESSAGE_TYPES, toBase64Url } from '@norc/protocol/base';
import { type KeyPair, signDocumentWith } from '@norc/protocol/crypto';
import {
  defaultPolicy,
  draftRecoverySet,
  draftRootRotation,
  type Party,
  type RotationBody,
  type RotationReason,
  recoverySetOf,
  startLineage,
  type VerifiedTrustCertificate,
  verifyRecoverySet,
  verifyRootRotation,
} from '@norc/protocol/norc-t';
import {
  mustBe,
  TEST_EPOCH,
  testCertificateId,
  testKeyPair,
  testOrganisation,
  testParty,
  testPqKeyPair,
  testTrustCertificate,
} from '@norc/testkit';
import type { AuditEvent } from '../../services.ts';
import { MemoryDisk, openMemoryStore } from '../../storage/memory.ts';
import { exchangeContext } from '../exchange/exchange-context.ts';
import { certificateTrail } from '../exchange/exchange-writes.ts';
import { TrustIncidents } from '../revocation/incidents.ts';
import { TrustBoard } from '../trust-facts.ts';
import { TrustNotices } from '../trust-notices.ts';
import { recoveryPins } from './root-keys.ts';
import { RootRotations } from './root-rotations.ts';

const alpha = testOrganisation('alpha.example');
const bravo = testOrganisation('bravo.example');
const officers = ['ann', 'ben', 'cleo'].map((name) => testKeyPair(`bravo officer ${name}`));
const [next, thief] = [testKeyPair('bravo next root'), testKeyPair('thief')];
const DAY = 86_400_000;

const recovery = signDocumentWith(
  crypto,
  draftRecoverySet(crypto, {
    ...{ org: bravo.domain, root_key: bravo.root.publicKey, sequence: 1, threshold: 2, issued_at: TEST_EPOCH },
    officers: officers.map(({ publicKey }) => publicKey),
  }),
  bravo.root,
);
const set = mustBe(verifyRecoverySet(crypto, recovery.bytes, bravo.pinned));
const bravoParty: Party = { ...testParty(bravo), recovery: recovery.bytes };
const given = testTrustCertificate(alpha, bravo, { subject: bravoParty });
const received = testTrustCertificate(bravo, alpha, { issuer: bravoParty });
const origin = startLineage(bravo.domain, bravo.root.publicKey);

interface Terms {
  readonly to?: KeyPair;
  readonly by?: readonly KeyPair[];
  readonly reason?: RotationReason;
  readonly recovery?: boolean;
}

function rotation({ to = next, by = [bravo.root], reason = 'scheduled', recovery = false }: Terms = {}): Uint8Array {
  let document = draftRootRotation(crypto, origin, {
    ...{ new_root_key: to.publicKey, reason, issued_at: TEST_EPOCH, effective_at: TEST_EPOCH },
    ...(recovery ? { recovery_set: set.hash } : {}),
  } satisfies Omit<RotationBody, 'org' | 'sequence' | 'previous' | 'old_root_key'>);
  for (const signer of [to, ...by]) document = signDocumentWith(crypto, document, signer);
  return document.bytes;
}

/** Alpha's server, with what it has on disk. */
async function server(
  disk = new MemoryDisk(),
  own: {
    rotations?: readonly Uint8Array[];
    certificates?: readonly VerifiedTrustCertificate[];
    refuse?: boolean;
  } = {},
) {
  const store = openMemoryStore(disk);
  const events: AuditEvent[] = [];
  const sent: [Domain, number][] = [];
  const renewed: Domain[] = [];
  const forks: [Domain, number][] = [];
  const changed: Domain[] = [];
  const board = new TrustBoard(crypto, testParty(alpha), defaultPolicy(), () => {});
  for (const { document } of own.certificates ?? [given, received])
    mustBe(board.addCertificate(document.bytes, TEST_EPOCH));
  let now: Instant = TEST_EPOCH;
  const rotations = new RootRotations({
    ...{ self: alpha.domain, store, crypto, board, own: own.rotations ?? [] },
    clock: { now: () => now },
    audit: {
      async commit(writes, entries) {
        if (own.refuse === true) return { ok: false, conflict: 'user.add' } as const;
        await Promise.resolve(); // another caller gets its turn
        events.push(...entries);
        await store.commit(writes);
        return { ok: true };
      },
      note: () => {},
    },
    send: (peer, type) => void sent.push([peer, type]),
    renew: async (peer) => void renewed.push(peer),
    onFork: async (peer, sequence) => void forks.push([peer, sequence]),
    onTaken: (peer) => void changed.push(peer),
    onUnusable: (what, code) => assert.fail(`${what} ${code}`),
  });
  await rotations.load();
  return { rotations, board, disk, store, events, sent, renewed, forks, changed, at: (time: Instant) => (now = time) };
}

const codeOf = (result: { readonly ok: boolean; readonly error?: { readonly code: string } }) =>
  result.error?.code ?? 'ok';

test('[ROOT-19] a partner that replaced its key is known by the new one, before and after a restart', async () => {
  const first = await server();
  mustBe(await first.rotations.receive(bravo.domain, rotation()));
  assert.equal(first.events[0]?.type, 'root_rotated');
  assert.deepEqual(first.changed, [bravo.domain]);
  const again = await server(first.disk);
  for (const { board } of [first, again]) {
    assert.deepEqual(board.knownRootKey(bravo.domain), next.publicKey, 'an exchange that names it goes on');
    const pinned = board.pinned(bravo.domain, TEST_EPOCH);
    assert.deepEqual(pinned?.predecessors, [{ rootKey: bravo.root.publicKey, until: TEST_EPOCH }]);
    assert.ok(
      board.pair(bravo.domain, TEST_EPOCH) !== undefined,
      'the certificates stay in force until they are replaced',
    );
  }
});

test('[ROOT-20] after a theft trust is suspended: no certificate that names the stolen key counts', async () => {
  const { rotations, board } = await server();
  const by = officers.slice(0, 2);
  mustBe(await rotations.take(bravo.domain, rotation({ by, recovery: true, reason: 'compromised' }), 'admin'));
  assert.equal(board.pair(bravo.domain, TEST_EPOCH), undefined);
  assert.equal(board.level(bravo.domain, TEST_EPOCH), 'untrusted');
  assert.deepEqual(board.trustKeys(bravo.domain, TEST_EPOCH), [], 'nor do statements of the servers that it certified');
  assert.deepEqual(board.knownRootKey(bravo.domain), next.publicKey);
});

test('a rotation that a server key, a stranger or too few officers signed changes nothing', async () => {
  const { rotations, board, events } = await server();
  const attempts: readonly [Uint8Array, string][] = [
    [rotation({ by: [bravo.server] }), 'signature_invalid'],
    [rotation({ by: [thief] }), 'signature_invalid'],
    [rotation({ by: officers.slice(0, 1), recovery: true }), 'approval_required'],
    [rotation({ by: [officers[0] ?? thief, thief], recovery: true }), 'approval_required'],
  ];
  for (const [document, code] of attempts) assert.equal(codeOf(await rotations.receive(bravo.domain, document)), code);
  assert.deepEqual(board.knownRootKey(bravo.domain), bravo.root.publicKey);
  assert.deepEqual(events, []);
});

test('[ROOT-11] officers of a set that no certificate of ours pinned replace nothing', async () => {
  const without = await server(undefined, { certificates: [testTrustCertificate(alpha, bravo), received] });
  const document = rotation({ by: officers, recovery: true });
  assert.equal(codeOf(await without.rotations.receive(bravo.domain, document)), 'approval_required');
});

test('a peer speaks of itself alone, and a stranger has no key that could be replaced', async () => {
  const { rotations } = await server();
  assert.equal(codeOf(await rotations.receive(alpha.domain, rotation())), 'not_trusted');
  const stranger = testOrganisation('evil.example');
  assert.equal(codeOf(await rotations.receive(stranger.domain, rotation())), 'not_trusted');
});

test('[ROOT-14] the thief was first; the officers take the key back, also on disk', async () => {
  const first = await server();
  mustBe(await first.rotations.receive(bravo.domain, rotation({ to: thief })));
  assert.deepEqual(first.board.knownRootKey(bravo.domain), thief.publicKey);
  const back = rotation({ by: officers.slice(1), recovery: true, reason: 'compromised' });
  mustBe(await first.rotations.receive(bravo.domain, back));
  assert.equal(codeOf(await first.rotations.receive(bravo.domain, rotation({ to: thief }))), 'rotation_fork');
  const again = await server(first.disk);
  for (const { board } of [first, again]) assert.deepEqual(board.knownRootKey(bravo.domain), next.publicKey);
  assert.equal((await again.store.read.trustRecords('rotation')).length, 1);
});

test('a rotation that is repeated is taken once', async () => {
  const { rotations, events } = await server();
  for (let i = 0; i < 3; i += 1) mustBe(await rotations.receive(bravo.domain, rotation()));
  assert.equal(events.length, 1);
});

test('[ROOT-21] partners are told of our own rotation until a certificate names the new key', async () => {
  const own = draftRootRotation(crypto, startLineage(alpha.domain, alpha.root.publicKey), {
    ...{ new_root_key: next.publicKey, reason: 'scheduled', issued_at: TEST_EPOCH, effective_at: TEST_EPOCH },
  });
  const document = signDocumentWith(crypto, signDocumentWith(crypto, own, next), alpha.root).bytes;
  const side = await server(undefined, { rotations: [document] });
  side.board.roots.set(
    mustBe(
      verifyRootRotation(crypto, startLineage(alpha.domain, alpha.root.publicKey), document, {
        pins: [],
        now: TEST_EPOCH,
      }),
    ),
  );
  await side.rotations.poll();
  assert.deepEqual([side.sent, side.renewed], [[[bravo.domain, MESSAGE_TYPES.root_rotation]], []]);
  await side.rotations.poll();
  assert.deepEqual([side.sent.length, side.renewed], [2, [bravo.domain]], 'told before it is asked');
  const again = { ...alpha, root: next, pinned: { org: alpha.domain, rootKey: next.publicKey } };
  const certificate = signDocumentWith(crypto, alpha.certificate, next);
  const renewed = testTrustCertificate({ ...again, certificate }, bravo, { not_before: TEST_EPOCH - 1000 });
  mustBe(side.board.addCertificate(renewed.document.bytes, TEST_EPOCH));
  side.at(instant(TEST_EPOCH + DAY));
  await side.rotations.poll();
  assert.equal(side.sent.length, 2);
});

test('[ROOT-25] two rotations at once are taken one after the other: the recovery stays, in memory and on disk', async () => {
  const first = await server();
  mustBe(await first.rotations.receive(bravo.domain, rotation({ to: thief })));
  const stolen = mustBe(verifyRootRotation(crypto, origin, rotation({ to: thief }), { pins: [], now: TEST_EPOCH }));
  const again = testKeyPair('thief again');
  let onward = draftRootRotation(crypto, stolen, {
    ...{ new_root_key: again.publicKey, reason: 'scheduled', issued_at: TEST_EPOCH, effective_at: TEST_EPOCH },
  });
  for (const signer of [again, thief]) onward = signDocumentWith(crypto, onward, signer);
  const [back, lost] = await Promise.all([
    first.rotations.take(bravo.domain, rotation({ by: officers, recovery: true, reason: 'compromised' }), 'admin'),
    first.rotations.receive(bravo.domain, onward.bytes),
  ]);
  assert.deepEqual([codeOf(back), codeOf(lost)], ['ok', 'rotation_fork']);
  const restarted = await server(first.disk);
  for (const { board } of [first, restarted]) assert.deepEqual(board.knownRootKey(bravo.domain), next.publicKey);
});

test('[ROOT-25] a rotation that could not be kept is not taken', async () => {
  const { rotations, board, changed } = await server(undefined, { refuse: true });
  assert.equal(codeOf(await rotations.receive(bravo.domain, rotation())), 'internal');
  assert.deepEqual([board.knownRootKey(bravo.domain), changed], [bravo.root.publicKey, []]);
});

test('[ROOT-13] another successor of the key is a fork to tell of; what nobody signed for is not', async () => {
  const { rotations, forks } = await server();
  mustBe(await rotations.receive(bravo.domain, rotation()));
  assert.equal(codeOf(await rotations.receive(bravo.domain, rotation({ to: thief, by: [thief] }))), 'rotation_fork');
  assert.deepEqual(forks, []);
  assert.equal(codeOf(await rotations.receive(bravo.domain, rotation({ to: thief }))), 'rotation_fork');
  assert.deepEqual(forks, [[bravo.domain, 1]]);
});

test('[ROOT-2] a set settles by the clock of the server that holds it, however far back its certificate is dated', async () => {
  const evil = ['eve', 'fay'].map((name) => testKeyPair(name));
  const draft = draftRecoverySet(crypto, {
    ...{ org: bravo.domain, root_key: bravo.root.publicKey, sequence: 2, threshold: 2, issued_at: TEST_EPOCH },
    officers: evil.map(({ publicKey }) => publicKey),
  });
  const named = signDocumentWith(crypto, draft, bravo.root);
  const since = (certificate: VerifiedTrustCertificate, days: number) =>
    ({ certificate, since: instant(TEST_EPOCH + days * DAY) }) as const;
  const backdated = testTrustCertificate(alpha, bravo, {
    subject: { ...bravoParty, recovery: named.bytes },
    not_before: TEST_EPOCH - 60 * DAY,
    not_after: TEST_EPOCH + 30 * DAY,
  });
  const pins = recoveryPins(crypto, [since(backdated, 0), since(given, -10)]);
  assert.deepEqual(
    pins.map(({ set: { sequence } }) => sequence),
    [1, 2],
    'in the order in which they came',
  );
  assert.equal(recoverySetOf(origin, pins, instant(TEST_EPOCH + 29 * DAY))?.sequence, 1);
  assert.equal(recoverySetOf(origin, pins, instant(TEST_EPOCH + 30 * DAY))?.sequence, 2);
});

test('[ROOT-13] a fork of root keys is kept with both documents, and nothing of that organisation counts, also later', async () => {
  const first = await server();
  const { board, store } = first;
  const clock = { now: () => TEST_EPOCH };
  const audit = {
    commit: async (writes: Parameters<typeof store.commit>[0]) => await store.commit(writes),
    note: () => {},
  };
  const notices = new TrustNotices({ store, audit, clock });
  const incidents = new TrustIncidents({ store, audit, clock, board, notices });
  const [held, other] = [rotation(), rotation({ to: thief })];
  for (let i = 0; i < 2; i += 1) await incidents.rotationFork(bravo.domain, 1, held, other);
  assert.equal(board.level(bravo.domain, TEST_EPOCH), 'untrusted');
  const rows = await store.read.trustRecords('fork', bravo.domain);
  assert.equal(rows.length, 1);
  const kept = JSON.parse(new TextDecoder().decode(rows[0]?.document));
  assert.deepEqual(kept, { held: toBase64Url(held), other: toBase64Url(other) });
  assert.equal(incidents.of(bravo.domain).length, 1);
  const restarted = new TrustBoard(crypto, testParty(alpha), defaultPolicy(), () => {});
  await restarted.load(openMemoryStore(first.disk), TEST_EPOCH);
  assert.ok(restarted.isForked(bravo.domain));
});

test('[ROOT-2] what is kept of a certificate says since when its recovery set is pinned', async () => {
  const now = instant(TEST_EPOCH + DAY);
  const { writes } = certificateTrail([given, received], false, now);
  const records = writes.flatMap((write) => (write.op === 'trust.record.put' ? [write.record] : []));
  assert.deepEqual(
    records.map(({ kind, key, peer, at }) => [kind, key, peer, at]),
    [['recovery', given.certificateId, bravo.domain, now]],
  );
});

test('[ROOT-23] after officers replaced the keys, only an exchange that found its proof pins a post-quantum key', async () => {
  const { rotations, board, at } = await server();
  mustBe(
    await rotations.take(bravo.domain, rotation({ by: officers, recovery: true, reason: 'compromised' }), 'admin'),
  );
  const certificate = signDocumentWith(crypto, bravo.certificate, next);
  const renewed = { ...bravo, root: next, certificate, pinned: { org: bravo.domain, rootKey: next.publicKey } };
  const named = testPqKeyPair('named by officers').publicKey;
  const subject: Party = { ...testParty(renewed), root_pq_key: named };
  const pinnedNow = () =>
    exchangeContext({ crypto, clock: { now: () => TEST_EPOCH }, board, material: () => [] }, bravo.domain)
      .pinnedRootPqKey;
  const evidence = given.document.body.evidence.filter(({ kind }) => kind !== 'post_quantum_signature');
  at(TEST_EPOCH);
  const shown = testTrustCertificate(alpha, renewed, { subject, evidence, certificate_id: testCertificateId('shown') });
  mustBe(board.addCertificate(shown.document.bytes, TEST_EPOCH));
  assert.equal(pinnedNow(), undefined);
  const proof = { kind: 'post_quantum_signature', checked_at: TEST_EPOCH, hash: new Uint8Array(32) } as const;
  const proven = testTrustCertificate(alpha, renewed, {
    ...{ subject, evidence: [...evidence, proof], certificate_id: testCertificateId('proven') },
  });
  mustBe(board.addCertificate(proven.document.bytes, TEST_EPOCH));
  assert.deepEqual(pinnedNow(), named);
});
