import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeCrypto as crypto } from '@norc/crypto/node';
import fc from 'fast-check';
import { type Instant, instant, parseDomain, type Result, toHex, utf8 } from '../../base/index.ts';
import {
  draftDocument,
  draftServerCertificate,
  type KeyPair,
  parseDocument,
  type SignedDocument,
  signDocumentPostQuantumWith,
  signDocumentWith,
  verifyServerCertificate,
} from '../../crypto/index.ts';
import {
  draftRecoverySet,
  pinRecoverySet,
  RECOVERY_CHANGE_DAYS,
  RECOVERY_SET,
  type RecoveryPin,
  type RecoverySetBody,
  recoverySetAt,
  verifyRecoverySet,
} from './recovery-set.ts';
import {
  draftRootRotation,
  ROOT_ROTATION,
  type RootLineage,
  type RotationBody,
  rootStanding,
  startLineage,
  verifyRootRotation,
} from './root-rotation.ts';

const DAY = 86_400_000;
const NOW = instant(1_790_000_000_000);
const at = (days: number): Instant => instant(NOW + days * DAY);
const org = domainOf('alpha.example');
const keys = (name: string): KeyPair => crypto.ed25519.keyPair(() => crypto.blake3(utf8(`rotation ${name}`)));
const pqKeys = (name: string): KeyPair => crypto.mlDsa65.keyPair(() => crypto.blake3(utf8(`rotation pq ${name}`)));
const [first, second, third, thief] = [keys('first'), keys('second'), keys('third'), keys('thief')];
const officers = ['ann', 'ben', 'cleo', 'dan'].map(keys);
const [ann, ben] = officers as [KeyPair, KeyPair];

function domainOf(text: string) {
  const parsed = parseDomain(text);
  assert.ok(parsed.ok);
  return parsed.value;
}

function setOf(changes: Partial<RecoverySetBody> = {}, root: KeyPair = first): Uint8Array {
  const body: RecoverySetBody = {
    org,
    root_key: root.publicKey,
    sequence: 1,
    threshold: 2,
    officers: officers.map(({ publicKey }) => publicKey),
    issued_at: NOW,
    ...changes,
  };
  return signDocumentWith(crypto, draftDocument(RECOVERY_SET, body), root).bytes;
}

const checkSet = (bytes: Uint8Array, root: KeyPair = first) =>
  verifyRecoverySet(crypto, bytes, { org, rootKey: root.publicKey });
const recovery = must(checkSet(setOf()));
const origin = startLineage(org, first.publicKey);

type Terms = Partial<Omit<RotationBody, 'org'>>;

/** Signed by whoever is named, whether that is allowed or not. */
function rotation(lineage: RootLineage, to: KeyPair, by: readonly KeyPair[], terms: Terms = {}): Uint8Array {
  const last = lineage.steps.at(-1);
  const body: RotationBody = {
    org,
    sequence: lineage.steps.length + 1,
    previous: last?.hash ?? new Uint8Array(32),
    old_root_key: (last ?? lineage.first).rootKey,
    new_root_key: to.publicKey,
    reason: 'scheduled',
    issued_at: NOW,
    effective_at: NOW,
    ...terms,
  };
  let signed: SignedDocument<RotationBody> = draftDocument(ROOT_ROTATION, body);
  for (const signer of by) signed = signDocumentWith(crypto, signed, signer);
  return signed.bytes;
}

const recovered = (lineage: RootLineage, to: KeyPair, by: readonly KeyPair[], terms: Terms = {}) =>
  rotation(lineage, to, by, { recovery_set: recovery.hash, reason: 'compromised', ...terms });

const SETTLED: readonly RecoveryPin[] = [{ set: recovery, since: at(-400) }];
const take = (
  lineage: RootLineage,
  document: Uint8Array,
  { pins = SETTLED, now = NOW }: { pins?: readonly RecoveryPin[]; now?: Instant } = {},
) => verifyRootRotation(crypto, lineage, document, { pins, now });

function must<T>(result: Result<T>): T {
  assert.ok(result.ok, result.ok ? '' : `${result.error.code}: ${result.error.detail}`);
  return result.value;
}

function refused(result: Result<unknown>, code: string): void {
  assert.equal(result.ok ? 'accepted' : result.error.code, code, result.ok ? '' : result.error.detail);
}

const current = (lineage: RootLineage, now = NOW) => toHex(rootStanding(lineage, now).rootKey);

test('[ROOT-5] a rotation signed by the new and the old key moves the root key, and the old one keeps what it certified', () => {
  const lineage = must(take(origin, rotation(origin, second, [second, first])));
  const standing = rootStanding(lineage, NOW);
  assert.deepEqual(standing.rootKey, second.publicKey);
  assert.deepEqual(standing.predecessors, [{ rootKey: first.publicKey, until: NOW }]);
  assert.deepEqual(standing.compromised, []);
  const again = must(take(lineage, rotation(lineage, third, [third, second])));
  assert.equal(current(again), toHex(third.publicKey));
  assert.equal(rootStanding(again, NOW).predecessors.length, 2);
});

test('[ROOT-5] the draft of a rotation follows the lineage, and names what no verifier would take', () => {
  const lineage = must(take(origin, rotation(origin, second, [second, first])));
  const terms = { new_root_key: third.publicKey, reason: 'scheduled', issued_at: NOW, effective_at: at(1) } as const;
  const draft = draftRootRotation(crypto, lineage, terms);
  const signed = signDocumentWith(crypto, signDocumentWith(crypto, draft, third), second);
  assert.equal(must(take(lineage, signed.bytes)).steps.length, 2);
  assert.throws(() => draftRootRotation(crypto, lineage, { ...terms, effective_at: at(91) }), RangeError);
  assert.throws(() => draftRootRotation(crypto, lineage, { ...terms, new_root_key: first.publicKey }), RangeError);
});

test('[ROOT-8] a rotation needs both: the new key proves that somebody holds it, the old one that they may', () => {
  refused(take(origin, rotation(origin, second, [second])), 'signature_invalid');
  refused(take(origin, rotation(origin, second, [first])), 'signature_invalid');
  refused(take(origin, rotation(origin, second, [])), 'signature_invalid');
  refused(take(origin, rotation(origin, second, [thief, first])), 'signature_invalid');
});

test('[ROOT-8] a server key that the root key certified cannot replace it', () => {
  const server = keys('server');
  refused(take(origin, rotation(origin, second, [second, server])), 'signature_invalid');
  refused(take(origin, rotation(origin, server, [server, server])), 'signature_invalid');
});

test('[ROOT-9] where there was a post-quantum root key, old and new sign with both algorithms', () => {
  const [oldPq, newPq] = [pqKeys('old'), pqKeys('new')];
  const lineage = startLineage(org, first.publicKey, oldPq.publicKey);
  const terms = { new_root_pq_key: newPq.publicKey };
  const sign = (classical: readonly KeyPair[], pq: readonly KeyPair[], more: Terms = terms) => {
    let document = must(parseDocument(ROOT_ROTATION, rotation(lineage, second, classical, more)));
    for (const signer of pq) document = signDocumentPostQuantumWith(crypto, document, signer);
    return document.bytes;
  };
  const done = must(take(lineage, sign([second, first], [newPq, oldPq])));
  assert.deepEqual(rootStanding(done, NOW).rootPqKey, newPq.publicKey);
  refused(take(lineage, sign([second, first], [newPq])), 'signature_invalid');
  refused(take(lineage, sign([second, first], [oldPq])), 'signature_invalid');
  refused(take(lineage, sign([second, first], [newPq, pqKeys('thief')])), 'signature_invalid');
  refused(take(lineage, sign([second], [newPq, oldPq])), 'signature_invalid');
  refused(take(lineage, sign([second, first], [oldPq], {})), 'downgrade_refused');
  const byOfficers = sign([second, ann, ben], [newPq], { ...terms, recovery_set: recovery.hash });
  assert.equal(must(take(lineage, byOfficers)).steps.at(-1)?.by, 'recovery');
});

test('[ROOT-10] enough different officers of the pinned set replace a key that is lost', () => {
  const lineage = must(take(origin, recovered(origin, second, [second, ann, ben], { reason: 'lost' })));
  assert.equal(lineage.steps[0]?.by, 'recovery');
  assert.deepEqual(rootStanding(lineage, NOW).predecessors, [{ rootKey: first.publicKey, until: NOW }]);
  assert.ok(take(origin, recovered(origin, second, [second, ...officers])).ok, 'more than enough');
});

test('[ROOT-10] one officer is not two, and a stranger is none', () => {
  refused(take(origin, recovered(origin, second, [second, ann])), 'approval_required');
  refused(take(origin, recovered(origin, second, [second, ann, thief])), 'approval_required');
  refused(take(origin, recovered(origin, second, [ann, ben])), 'signature_invalid');
  const once = must(parseDocument(ROOT_ROTATION, recovered(origin, second, [second, ann])));
  const twice = signDocumentWith(crypto, once, ann);
  refused(take(origin, twice.bytes), 'approval_required');
});

test('[ROOT-1] a recovery set names nobody twice', () => {
  refused(checkSet(setOf({ officers: [ann.publicKey, ann.publicKey] })), 'certificate_invalid');
  refused(checkSet(setOf({ threshold: 0 })), 'certificate_invalid');
  refused(checkSet(setOf({ threshold: 5 })), 'certificate_invalid');
  refused(checkSet(setOf({ officers: [ann.publicKey, first.publicKey] })), 'certificate_invalid');
  refused(checkSet(setOf({ officers: [ann.publicKey, new Uint8Array(32)] })), 'certificate_invalid');
  refused(checkSet(setOf({ sequence: 0 })), 'certificate_invalid');
  assert.throws(() => draftRecoverySet(crypto, { ...recovery.document.body, threshold: 5 }), RangeError);
});

test('[ROOT-2] a recovery set counts under the root key that is pinned, and that signed it', () => {
  refused(checkSet(setOf({}, thief)), 'certificate_invalid');
  refused(checkSet(setOf({ org: domainOf('bravo.example') })), 'certificate_invalid');
  const forged = signDocumentWith(crypto, draftDocument(RECOVERY_SET, recovery.document.body), thief);
  refused(checkSet(forged.bytes), 'signature_invalid');
});

test('[ROOT-11] officers of a set that was never pinned replace nothing', () => {
  const own = [keys('eve'), keys('fay')] as const;
  const evil = must(checkSet(setOf({ sequence: 2, officers: own.map(({ publicKey }) => publicKey) })));
  const document = rotation(origin, thief, [thief, ...own], { recovery_set: evil.hash, reason: 'lost' });
  refused(take(origin, document), 'approval_required');
  refused(take(origin, document, { pins: [] }), 'approval_required');
  refused(take(origin, recovered(origin, second, [second, ann, ben]), { pins: [] }), 'approval_required');
});

test('[ROOT-11] a newer set of the same officers, which a partner has not settled for yet, is no obstacle', () => {
  const newer = must(
    checkSet(setOf({ sequence: 2, officers: officers.slice(0, 3).map(({ publicKey }) => publicKey) })),
  );
  const named = { recovery_set: newer.hash, reason: 'lost' } as const;
  assert.ok(take(origin, rotation(origin, second, [second, ann, ben], named)).ok);
  refused(take(origin, rotation(origin, second, [second, ann], named)), 'approval_required');
});

test('[ROOT-4] a thief of the root key cannot at once replace the officers who would take it back', () => {
  const own = [keys('eve'), keys('fay')] as const;
  const evil = must(checkSet(setOf({ sequence: 2, officers: own.map(({ publicKey }) => publicKey) })));
  const pins: readonly RecoveryPin[] = must(pinRecoverySet([{ set: recovery, since: at(-400) }], evil, NOW));
  assert.equal(recoverySetAt(pins, at(RECOVERY_CHANGE_DAYS - 1)), recovery);
  assert.equal(recoverySetAt(pins, at(RECOVERY_CHANGE_DAYS)), evil);
  assert.equal(recoverySetAt([{ set: recovery, since: NOW }], NOW), recovery, 'the first counts at once');
  assert.equal(recoverySetAt([], NOW), undefined);
});

test('[ROOT-3] sets are numbered: an older one, or another of one number, is refused', () => {
  const next = must(checkSet(setOf({ sequence: 2, threshold: 3 })));
  const pins = must(pinRecoverySet([{ set: next, since: NOW }], next, at(1)));
  assert.equal(pins[0]?.since, NOW, 'shown again it keeps its place');
  refused(pinRecoverySet(pins, recovery, NOW), 'downgrade_refused');
  refused(pinRecoverySet(pins, must(checkSet(setOf({ sequence: 2 }))), NOW), 'rotation_fork');
});

test('[ROOT-12] the numbers rise by one: a gap is asked for, a repetition changes nothing, an older one takes nothing back', () => {
  const one = rotation(origin, second, [second, first]);
  const lineage = must(take(origin, one));
  const two = rotation(lineage, third, [third, second]);
  refused(take(origin, two), 'rotation_gap');
  const done = must(take(lineage, two));
  assert.equal(must(take(done, two)), done);
  assert.equal(must(take(done, one)), done, 'a replayed older rotation');
  assert.equal(current(done), toHex(third.publicKey));
});

test('[ROOT-12] whoever pinned a later key follows from there, and passes over what was before', () => {
  const one = rotation(origin, second, [second, first]);
  const two = rotation(must(take(origin, one)), third, [third, second]);
  const newcomer = startLineage(org, second.publicKey);
  assert.equal(must(take(newcomer, one)), newcomer);
  const moved = must(take(newcomer, two));
  assert.equal(current(moved), toHex(third.publicKey));
  assert.equal(must(take(moved, one)), moved);
  const four = rotation(moved, keys('fourth'), [keys('fourth'), third]);
  assert.equal(moved.steps.length, 1);
  refused(take(moved, four), 'rotation_fork');
  assert.ok(take(moved, rotation(moved, keys('fourth'), [keys('fourth'), third], { sequence: 3 })).ok);
});

test('[ROOT-14] a thief who takes a high number is put out as well', () => {
  const stolen = must(take(origin, rotation(origin, thief, [thief, first], { sequence: 99 })));
  const back = must(take(stolen, recovered(origin, second, [second, ann, ben])));
  assert.equal(current(back), toHex(second.publicKey));
  refused(take(back, rotation(origin, thief, [thief, first], { sequence: 99 })), 'rotation_fork');
});

test('[ROOT-13] two rotations of one number are a fork, and the first that was taken stays', () => {
  const lineage = must(take(origin, rotation(origin, second, [second, first])));
  refused(take(lineage, rotation(origin, third, [third, first])), 'rotation_fork');
  refused(
    take(lineage, rotation(lineage, third, [third, second], { previous: new Uint8Array(32).fill(1) })),
    'rotation_fork',
  );
  const byOfficers = must(take(origin, recovered(origin, second, [second, ann, ben])));
  refused(take(byOfficers, recovered(origin, third, [third, ann, ben])), 'rotation_fork');
});

test('[ROOT-14] officers take back what the thief of the root key did first, however far it went', () => {
  const stolen = must(take(origin, rotation(origin, thief, [thief, first])));
  const further = must(take(stolen, rotation(stolen, keys('thief 2'), [keys('thief 2'), thief])));
  for (const lineage of [stolen, further]) {
    const back = must(take(lineage, recovered(origin, second, [second, ann, ben])));
    assert.equal(back.steps.length, 1);
    assert.equal(current(back), toHex(second.publicKey));
    assert.deepEqual(rootStanding(back, NOW).compromised, [first.publicKey]);
    refused(take(back, rotation(origin, thief, [thief, first])), 'rotation_fork');
    refused(take(back, rotation(stolen, third, [third, thief])), 'rotation_fork');
    refused(take(back, rotation(back, thief, [thief, first], { old_root_key: first.publicKey })), 'rotation_fork');
    refused(take(back, rotation(back, thief, [thief, first])), 'signature_invalid');
  }
});

test('[ROOT-6] a rotation is of one organisation, and of the key that is pinned', () => {
  const other = startLineage(domainOf('bravo.example'), first.publicKey);
  refused(take(other, rotation(origin, second, [second, first])), 'certificate_invalid');
  const elsewhere = startLineage(org, third.publicKey);
  refused(take(elsewhere, rotation(origin, second, [second, first])), 'certificate_invalid');
});

test('[ROOT-7] the new key is a key, and one that was never in use', () => {
  const weak = { publicKey: new Uint8Array(32), privateKey: first.privateKey };
  refused(take(origin, rotation(origin, weak, [first])), 'malformed');
  refused(take(origin, rotation(origin, first, [first])), 'malformed');
  const lineage = must(take(origin, rotation(origin, second, [second, first])));
  refused(take(lineage, rotation(lineage, first, [first, second])), 'malformed');
});

test('[ROOT-15] its dates: not from the future, effective within 90 days, in the past only after a theft', () => {
  const sign = (terms: Terms) => rotation(origin, second, [second, first], terms);
  refused(take(origin, sign({ issued_at: at(1), effective_at: at(1) })), 'clock_skew');
  assert.ok(take(origin, sign({ issued_at: NOW + 299_000, effective_at: at(1) })).ok);
  refused(take(origin, sign({ effective_at: at(91) })), 'malformed');
  refused(take(origin, sign({ effective_at: at(-1) })), 'malformed');
  assert.ok(take(origin, sign({ effective_at: at(-300), reason: 'compromised' })).ok);
  refused(take(origin, sign({ effective_at: at(-366), reason: 'compromised' })), 'malformed');
  const lineage = must(take(origin, sign({ effective_at: at(10) })));
  refused(take(lineage, rotation(lineage, third, [third, second], { effective_at: at(9) })), 'malformed');
});

test('[ROOT-16] until it takes effect the old key counts', () => {
  const lineage = must(take(origin, rotation(origin, second, [second, first], { effective_at: at(10) })));
  assert.equal(current(lineage, instant(at(10) - 1)), toHex(first.publicKey));
  assert.equal(current(lineage, at(10)), toHex(second.publicKey));
});

function certificate(root: KeyPair, notBefore: Instant) {
  const draft = draftServerCertificate({
    ...{ org, domain: org, public_key: keys('server').publicKey, usages: ['trust'], tls_spki_sha256: [] },
    not_before: notBefore,
    not_after: notBefore + 365 * DAY,
  });
  return signDocumentWith(crypto, draft, root);
}

const certified = (
  lineage: RootLineage,
  document: SignedDocument<never> | ReturnType<typeof certificate>,
  now: Instant,
) => {
  const checked = verifyServerCertificate(crypto, document.bytes, {
    pinned: rootStanding(lineage, now),
    usage: 'trust',
    now,
  });
  return checked.ok;
};

test('[ROOT-17] after a rotation, what the old key certified before counts on, and what it certifies later does not', () => {
  const lineage = must(take(origin, rotation(origin, second, [second, first])));
  assert.equal(certified(lineage, certificate(first, at(-10)), at(1)), true);
  assert.equal(certified(lineage, certificate(first, at(0)), at(1)), false);
  assert.equal(certified(lineage, certificate(second, at(0)), at(1)), true);
  assert.equal(certified(lineage, certificate(thief, at(-10)), at(1)), false);
  const both = signDocumentWith(crypto, certificate(first, at(-10)), second);
  assert.equal(certified(origin, both, at(1)), true, 'who has not heard of it takes the same certificate');
  assert.equal(certified(lineage, both, at(1)), true);
});

test('[ROOT-17] after a theft nothing of the old key counts, however it is dated', () => {
  const lineage = must(take(origin, recovered(origin, second, [second, ann, ben])));
  assert.equal(certified(lineage, certificate(first, at(-10)), at(1)), false);
  assert.equal(certified(lineage, certificate(second, at(0)), at(1)), true);
});

test('[ROOT-12] whatever order rotations arrive in, and however often, the lineage is the same', () => {
  const chain: Uint8Array[] = [];
  let done = origin;
  for (let i = 1; i <= 4; i += 1) {
    const old = i === 1 ? first : keys(`link ${i - 1}`);
    chain.push(rotation(done, keys(`link ${i}`), [keys(`link ${i}`), old]));
    done = must(take(done, chain[i - 1] ?? new Uint8Array()));
  }
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 12 }), (order) => {
      let lineage = origin;
      for (const index of [...order, 0, 1, 2, 3]) {
        const taken = take(lineage, chain[index] ?? new Uint8Array());
        if (taken.ok) lineage = taken.value;
        else assert.equal(taken.error.code, 'rotation_gap');
      }
      assert.equal(current(lineage), current(done));
    }),
    { numRuns: 20 },
  );
});
