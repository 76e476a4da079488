import assert from 'node:assert/strict';
import { nodeCrypto } from '@norc/crypto/node';
import {
  AUDIT_FAULTS,
  type AuditHead,
  type AuditPartyKind,
  type AuditReport,
  auditGenesis,
  auditLeafHash,
  auditPseudonym,
  auditSigner,
  decodeAuditLine,
  verifyAuditChain,
} from '@norc/protocol/audit';
import { ok, parseDomain, type Result, reject, toHex, utf8 } from '@norc/protocol/base';
import { mustBe } from '@norc/testkit';
import { auditVectors } from '../../vectors/generate/audit.ts';
import { runVectors, type VectorCase } from './harness.ts';

const crypto = nodeCrypto;

function headOf(vector: VectorCase): AuditHead {
  return { sequence: vector.number('sequence'), hash: vector.hex('hash') };
}

function verified(vector: VectorCase): AuditReport {
  const org = mustBe(parseDomain(vector.text('org')));
  const pinned = { org, rootKey: vector.hex('root_key') };
  const certificates = vector.list('server_certificates').map((one) => utf8(String(one)));
  return verifyAuditChain(
    crypto,
    vector.list('lines').map((line) => mustBe(decodeAuditLine(String(line)))),
    {
      org,
      signers: certificates.map((certificate) => mustBe(auditSigner(crypto, pinned, certificate))),
      ...(vector.has('after') ? { after: headOf(vector.object('after')) } : {}),
      ...(vector.has('contains') ? { contains: headOf(vector.object('contains')) } : {}),
    },
  );
}

function refusal(vector: VectorCase): Result<AuditReport> {
  const report = verified(vector);
  if (report.kind === 'sound') return ok(report);
  assert.deepEqual([report.sequence, report.fault], [vector.number('sequence'), vector.text('fault')]);
  return reject(AUDIT_FAULTS[report.fault], report.detail);
}

runVectors(
  'audit',
  {
    valid: {
      chain(vector) {
        const report = verified(vector);
        assert.equal(report.kind, 'sound');
        const { sequence, hash } = report.head;
        assert.deepEqual({ sequence, hash: toHex(hash) }, { ...(vector.json('head') as object) });
        assert.deepEqual(
          report.notes,
          vector.list('notes').map((note) => ({ ...(note as object) })),
        );
        if (!vector.has('genesis')) return;
        const org = mustBe(parseDomain(vector.text('org')));
        assert.equal(toHex(auditGenesis(crypto, org).hash), vector.text('genesis'));
      },
      pseudonym(vector) {
        const kind = vector.text('kind') as AuditPartyKind; // the vectors name kinds
        assert.equal(auditPseudonym(crypto, vector.hex('key'), kind, vector.text('id')), vector.text('pseudonym'));
      },
      leaf(vector) {
        assert.equal(toHex(auditLeafHash(crypto, utf8(vector.text('entry')))), vector.text('leaf_hash'));
      },
    },
    invalid: { chain: refusal },
  },
  auditVectors,
);
