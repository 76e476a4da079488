import assert from 'node:assert/strict';
import { nodeCrypto as crypto } from '@norc/crypto/node';
import { type Domain, instant, ok, parseDomain, type Result, toHex, utf8 } from '@norc/protocol/base';
import { parseDocument } from '@norc/protocol/crypto';
import {
  decodeParty,
  type RecoverySet,
  type RootLineage,
  rootStanding,
  startLineage,
  TRUST_CERTIFICATE,
  verifyPostQuantum,
  verifyRecoverySet,
  verifyRootRotation,
} from '@norc/protocol/norc-t';
import { mustBe } from '@norc/testkit';
import { rootKeyVectors } from '../../vectors/generate/root-keys.ts';
import { runVectors, type VectorCase } from './harness.ts';

const nowOf = (vector: VectorCase) => instant(vector.number('now'));
const orgOf = (vector: VectorCase): Domain => mustBe(parseDomain(vector.text('org')));

function checkSet(vector: VectorCase, field = 'document'): Result<RecoverySet> {
  return verifyRecoverySet(crypto, utf8(vector.text(field)), { org: orgOf(vector), rootKey: vector.hex('root_key') });
}

function checkPostQuantum(vector: VectorCase) {
  const document = mustBe(parseDocument(TRUST_CERTIFICATE, utf8(vector.text('document'))));
  return verifyPostQuantum(crypto, document, mustBe(decodeParty(utf8(vector.text('party')))), nowOf(vector));
}

/** Each of them in turn; the first refusal ends it, and must be that of the last. */
function checkRotations(vector: VectorCase): Result<RootLineage> {
  const pins = vector.has('recovery_set')
    ? [{ set: mustBe(checkSet(vector, 'recovery_set')), since: instant(nowOf(vector) - 400 * 86_400_000) }]
    : [];
  const rotations = vector.list('rotations').map(String);
  let lineage = startLineage(
    orgOf(vector),
    vector.hex('root_key'),
    ...(vector.has('root_pq_key') ? [vector.hex('root_pq_key')] : []),
  );
  for (const [index, rotation] of rotations.entries()) {
    const taken = verifyRootRotation(crypto, lineage, utf8(rotation), { pins, now: nowOf(vector) });
    if (!taken.ok) {
      assert.equal(index, rotations.length - 1, `${taken.error.code}: those before the last are sound`);
      return taken;
    }
    lineage = taken.value;
  }
  return ok(lineage);
}

runVectors(
  'root-keys',
  {
    valid: {
      'root-rotation'(vector) {
        const { rootKey, predecessors, compromised } = rootStanding(mustBe(checkRotations(vector)), nowOf(vector));
        assert.equal(toHex(rootKey), vector.text('current'));
        assert.deepEqual(
          predecessors.map((one) => toHex(one.rootKey)),
          vector.list('predecessors'),
        );
        assert.deepEqual(compromised.map(toHex), vector.list('compromised'));
      },
      'recovery-set'(vector) {
        const set = mustBe(checkSet(vector));
        assert.equal(set.threshold, vector.number('threshold'));
        assert.deepEqual(set.officers.map(toHex), vector.list('officers'));
        assert.equal(toHex(set.hash), vector.text('hash'));
      },
      'post-quantum'(vector) {
        assert.equal(toHex(mustBe(checkPostQuantum(vector)).rootPqKey), vector.text('root_pq_key'));
      },
    },
    invalid: { 'root-rotation': checkRotations, 'recovery-set': checkSet, 'post-quantum': checkPostQuantum },
  },
  rootKeyVectors,
);
