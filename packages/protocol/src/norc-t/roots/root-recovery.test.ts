import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeCrypto as crypto } from '@norc/crypto/node';
import { type Instant, instant, parseDomain, type Result, toHex, utf8 } from '../../base/index.ts';
import {
  draftDocument,
  draftServerCertificate,
  type KeyPair,
  SERVER_CERTIFICATE,
  type SignedDocument,
  signDocumentPostQuantumWith,
  signDocumentWith,
  verifyServerCertificate,
} from '../../crypto/index.ts';
import { draftOfficerRevocation, officerIdOf, verifyOfficerRevocation } from '../officers/officers.ts';
import {
  draftRecoverySet,
  pinRecoverySet,
  type RecoveryPin,
  type RecoverySet,
  verifyRecoverySet,
} from './recovery-set.ts';
import {
  draftRootRotation,
  forkOf,
  ROTATION_BYTES_MAX,
  ROTATIONS_PER_YEAR_MAX,
  type RootLineage,
  type RotationBody,
  recoverySetOf,
  rootStanding,
  startLineage,
  verifyRootRotation,
} from './root-rotation.ts';

/** What a thief of the root key, or officers who left, try with rotations and recovery sets. */

const DAY = 86_400_000;
const NOW = instant(1_790_000_000_000);
const at = (days: number): Instant => instant(NOW + days * DAY);
const org = must(parseDomain('alpha.example'));
const keys = (name: string): KeyPair => crypto.ed25519.keyPair(() => crypto.blake3(utf8(`recovery ${name}`)));
const pqKeys = (name: string): KeyPair => crypto.mlDsa65.keyPair(() => crypto.blake3(utf8(`recovery pq ${name}`)));
const [K0, K1, K2, thief] = [keys('K0'), keys('K1'), keys('K2'), keys('thief')];
const [ann, ben] = [keys('ann'), keys('ben')];
const evil = [keys('eve'), keys('fay')];
const origin = startLineage(org, K0.publicKey);

function must<T>(result: Result<T>): T {
  assert.ok(result.ok, result.ok ? '' : `${result.error.code}: ${result.error.detail}`);
  return result.value;
}

const codeOf = (result: Result<unknown>) => (result.ok ? 'accepted' : result.error.code);

function setOf(root: KeyPair, sequence: number, officers: readonly KeyPair[]): RecoverySet {
  const body = { org, root_key: root.publicKey, sequence, threshold: 2, issued_at: NOW };
  const draft = draftRecoverySet(crypto, { ...body, officers: officers.map(({ publicKey }) => publicKey) });
  const signed = signDocumentWith(crypto, draft, root);
  return must(verifyRecoverySet(crypto, signed.bytes, { org, rootKey: root.publicKey }));
}

const own = setOf(K0, 1, [ann, ben]);
const thiefs = setOf(K0, 2, evil);

type Terms = Partial<Omit<RotationBody, 'org'>>;

function rotation(lineage: RootLineage, to: KeyPair, by: readonly KeyPair[], terms: Terms = {}) {
  let document: SignedDocument<RotationBody> = draftRootRotation(crypto, lineage, {
    ...{ new_root_key: to.publicKey, reason: 'scheduled', issued_at: NOW, effective_at: NOW },
    ...terms,
  });
  for (const signer of [to, ...by]) document = signDocumentWith(crypto, document, signer);
  return document;
}

function byOfficers(lineage: RootLineage, to: KeyPair, officers: readonly KeyPair[], when: Instant, set = own) {
  const terms = { reason: 'compromised', recovery_set: set.hash, issued_at: when, effective_at: when } as const;
  return rotation(lineage, to, officers, terms).bytes;
}

const pinsOf = (...pinned: readonly (readonly [RecoverySet, number])[]): readonly RecoveryPin[] =>
  pinned.reduce<readonly RecoveryPin[]>((pins, [set, day]) => must(pinRecoverySet(pins, set, at(day))), []);

const take = (lineage: RootLineage, document: Uint8Array, pins: readonly RecoveryPin[], now: Instant) =>
  verifyRootRotation(crypto, lineage, document, { pins, now });

const current = (lineage: RootLineage, now: Instant) => toHex(rootStanding(lineage, now).rootKey);

test('[ROOT-14] a set that the thief named before the owner rotated never settles: a month later it takes nothing back', () => {
  for (const effective of [at(0), at(0.5)]) {
    const stolen = { reason: 'compromised', issued_at: at(1), effective_at: effective } as const;
    const replaced = must(
      take(origin, rotation(origin, K1, [K0], stolen).bytes, pinsOf([own, -100], [thiefs, 0]), at(1)),
    );
    // The owner's new set has the number of the thief's: of another key, it is no fork [ROOT-3].
    const pins = pinsOf([own, -100], [thiefs, 0], [setOf(K1, 2, [ann, ben]), 2]);
    for (const day of [2, 31, 33, 300]) {
      const attack = byOfficers(origin, thief, evil, at(day), thiefs);
      assert.equal(codeOf(take(replaced, attack, pins, at(day))), 'approval_required', `day ${day}`);
      const onward = byOfficers(replaced, thief, evil, at(day), thiefs);
      assert.equal(codeOf(take(replaced, onward, pins, at(day))), 'approval_required', `day ${day}, onward`);
    }
    assert.deepEqual(recoverySetOf(replaced, pins, at(31))?.hash, own.hash, 'meanwhile the officers of before count');
    assert.ok(take(replaced, byOfficers(replaced, K2, [ann, ben], at(31)), pins, at(31)).ok);
    assert.equal(recoverySetOf(replaced, pins, at(32))?.sequence, 2, 'then those whom the new key named');
  }
});

test('[ROOT-14] the date that a thief gives for the theft does not put out the officers who count', () => {
  const backdated = { reason: 'compromised', effective_at: at(-365) } as const;
  for (const since of [-400, -100, -10]) {
    const pins = pinsOf([own, since]);
    const stolen = must(take(origin, rotation(origin, thief, [K0], backdated).bytes, pins, NOW));
    const back = must(take(stolen, byOfficers(origin, K1, [ann, ben], at(1)), pins, at(1)));
    assert.equal(current(back, at(1)), toHex(K1.publicKey), `pinned on day ${since}`);
  }
});

test('[ROOT-4] the first set of a key that came by rotation settles too: a thief names no officers at once', () => {
  for (const pins of [pinsOf([own, -100]), pinsOf()]) {
    const moved = must(
      take(origin, rotation(origin, thief, [K0], { reason: 'compromised', effective_at: at(-365) }).bytes, pins, NOW),
    );
    const named = setOf(thief, 1, evil);
    const shown = must(pinRecoverySet(pins, named, NOW));
    const onward = byOfficers(moved, K2, evil, at(1), named);
    assert.equal(codeOf(take(moved, onward, shown, at(1))), 'approval_required');
  }
});

test('[ROOT-14] officers of a key that was replaced by plan do not rewind it years later', () => {
  const pins = pinsOf([own, 0]);
  const first = must(take(origin, rotation(origin, K1, [K0]).bytes, pins, NOW));
  const year = { issued_at: at(365), effective_at: at(365) };
  const lineage = must(take(first, rotation(first, K2, [K1], year).bytes, pins, at(365)));
  assert.equal(codeOf(take(lineage, byOfficers(origin, thief, [ann, ben], at(366)), pins, at(366))), 'rotation_fork');
  assert.equal(codeOf(take(lineage, byOfficers(origin, thief, [ann, ben], at(900)), pins, at(900))), 'rotation_fork');
  assert.equal(recoverySetOf(first, pins, at(365))?.sequence, 1, 'for a year they count for the key that followed');
  assert.equal(recoverySetOf(first, pins, at(366)), undefined);
  assert.ok(
    take(first, byOfficers(origin, K2, [ann, ben], at(364)), pins, at(364)).ok,
    'within a year a theft is taken back',
  );
});

test('[ROOT-3] numbers of sets are compared under one root key', () => {
  const other = setOf(K1, 1, [ann, ben]);
  const pins = pinsOf([thiefs, 0], [other, 1]);
  assert.equal(pins.length, 2);
  assert.equal(codeOf(pinRecoverySet(pins, setOf(K0, 1, [ann, ben]), NOW)), 'downgrade_refused');
  assert.equal(codeOf(pinRecoverySet(pins, setOf(K1, 1, evil), NOW)), 'rotation_fork');
});

test('[ROOT-23] officers, who sign with Ed25519 alone, do not move the post-quantum pin: it is cleared', () => {
  const [oldPq, newPq, laterPq] = [pqKeys('old'), pqKeys('new'), pqKeys('later')];
  const lineage = startLineage(org, K0.publicKey, oldPq.publicKey);
  const pins = pinsOf([own, -100]);
  const terms = { reason: 'lost', recovery_set: own.hash, new_root_pq_key: newPq.publicKey } as const;
  const recovered = signDocumentPostQuantumWith(crypto, rotation(lineage, K1, [ann, ben], terms), newPq);
  const after = must(take(lineage, recovered.bytes, pins, NOW));
  assert.deepEqual(rootStanding(after, NOW).rootKey, K1.publicKey);
  assert.equal(rootStanding(after, NOW).rootPqKey, undefined);
  const without = rotation(lineage, K1, [ann, ben], { reason: 'lost', recovery_set: own.hash });
  assert.equal(codeOf(take(lineage, without.bytes, pins, NOW)), 'downgrade_refused');
  // Nor does a later rotation make a pin of what was never proven, or leave the algorithm out.
  const next = rotation(after, K2, [K1], { new_root_pq_key: laterPq.publicKey });
  const moved = must(take(after, signDocumentPostQuantumWith(crypto, next, laterPq).bytes, pins, NOW));
  assert.equal(rootStanding(moved, NOW).rootPqKey, undefined);
  assert.equal(codeOf(take(after, rotation(after, K2, [K1]).bytes, pins, NOW)), 'downgrade_refused');
});

test('[CERT-16] a server certificate lives for 398 days at most, and a replaced root key certifies nothing after that', () => {
  const body = {
    ...{ org, domain: org, public_key: keys('server').publicKey, tls_spki_sha256: [] },
    usages: ['trust'],
    not_before: NOW - DAY,
  };
  const check = (lineage: RootLineage, days: number, now: Instant) => {
    const draft = draftDocument(SERVER_CERTIFICATE, { ...body, not_after: body.not_before + days * DAY });
    const certificate = signDocumentWith(crypto, draft, K0);
    return codeOf(
      verifyServerCertificate(crypto, certificate, { pinned: rootStanding(lineage, now), usage: 'trust', now }),
    );
  };
  const lineage = must(take(origin, rotation(origin, K1, [K0]).bytes, [], NOW));
  for (const one of [origin, lineage]) {
    assert.equal(check(one, 398, at(10)), 'accepted');
    assert.equal(check(one, 399, at(10)), 'certificate_invalid');
  }
  assert.throws(() => draftServerCertificate({ ...body, not_after: body.not_before + 399 * DAY }), RangeError);
  assert.equal(rootStanding(lineage, at(397)).predecessors.length, 1);
  assert.deepEqual(rootStanding(lineage, at(399)).predecessors, []);
  assert.deepEqual(rootStanding(lineage, at(399)).former, [K0.publicKey]);
  assert.equal(check(lineage, 100 * 365, at(3650)), 'certificate_invalid');
});

test('[ROOT-24] a rotation brings no officer back: a stored revocation counts under every key there was', () => {
  const body = { officer_id: officerIdOf(crypto, ann.publicKey), org, reason: 'left', revoked_at: NOW };
  const revocation = signDocumentWith(crypto, draftOfficerRevocation(body), K0).bytes;
  for (const [reason, later] of [
    ['compromised', 0],
    ['scheduled', 0],
    ['scheduled', 500],
  ] as const) {
    const lineage = must(take(origin, rotation(origin, K1, [K0], { reason }).bytes, [], NOW));
    const standing = rootStanding(lineage, at(later));
    assert.equal(codeOf(verifyOfficerRevocation(crypto, revocation, standing, { stored: true })), 'accepted');
    const fresh = reason === 'scheduled' && later === 0 ? 'accepted' : 'signature_invalid';
    assert.equal(codeOf(verifyOfficerRevocation(crypto, revocation, standing)), fresh, 'one that is new');
  }
});

test('[ROOT-22] four rotations of a kind in a year, and none that is padded', () => {
  let lineage = origin;
  for (let i = 1; i <= ROTATIONS_PER_YEAR_MAX; i += 1) {
    const old = i === 1 ? K0 : keys(`link ${i - 1}`);
    lineage = must(take(lineage, rotation(lineage, keys(`link ${i}`), [old]).bytes, [], NOW));
  }
  const last = keys(`link ${ROTATIONS_PER_YEAR_MAX}`);
  assert.throws(() => rotation(lineage, K2, [last], { issued_at: at(364), effective_at: at(364) }), RangeError);
  const later = rotation(lineage, K2, [last], { issued_at: at(365), effective_at: at(365) });
  assert.ok(take(lineage, later.bytes, [], at(365)).ok);
  const pins = pinsOf([own, -100]);
  assert.ok(take(lineage, byOfficers(lineage, K2, [ann, ben], NOW), pins, NOW).ok, 'what officers do is counted apart');
  const padded = new Uint8Array(ROTATION_BYTES_MAX + 1);
  assert.equal(codeOf(take(origin, padded, [], NOW)), 'limit_exceeded');
});

test('[ROOT-17] the standing of a long lineage is linear', () => {
  const steps = Array.from({ length: 20_000 }, (_, i) => ({
    ...{
      sequence: i + 1,
      hash: new Uint8Array(32),
      rootKey: Uint8Array.of(i >> 8, i),
      by: 'old_key',
      reason: 'scheduled',
    },
    ...{ effectiveAt: NOW, takenAt: NOW },
  }));
  const long = { ...origin, steps } as unknown as RootLineage; // made here, to be long
  const before = performance.now();
  assert.equal(rootStanding(long, NOW).predecessors.length, steps.length);
  assert.ok(performance.now() - before < 500, 'quadratic work takes seconds');
});

test('[ROOT-13] two successors of one key, each rightly signed, are a fork; a forgery and a replay are none', () => {
  const pins = pinsOf([own, -100]);
  const first = rotation(origin, K1, [K0]).bytes;
  const held = must(take(origin, first, pins, NOW));
  assert.deepEqual(forkOf(crypto, held, rotation(origin, K2, [K0]).bytes, pins)?.document.bytes, first);
  assert.equal(forkOf(crypto, held, first, pins), undefined);
  assert.equal(forkOf(crypto, held, rotation(origin, thief, [thief]).bytes, pins), undefined, 'signed by nobody');
  const recovered = must(take(held, byOfficers(origin, K2, [ann, ben], at(1)), pins, at(1)));
  assert.equal(forkOf(crypto, recovered, first, pins), undefined, 'put out by officers, and shown again');
  assert.ok(forkOf(crypto, recovered, byOfficers(origin, thief, [ann, ben], at(2)), pins) !== undefined);
});
