import assert from 'node:assert/strict';
import { nodeCrypto as crypto } from '@norc/crypto/node';
import { instant, parseDomain, toHex, utf8 } from '@norc/protocol/base';
import type { PinnedOrg } from '@norc/protocol/crypto';
import {
  APPROVAL_ACTIONS,
  decodeOfficerRequest,
  OFFICER_ROLES,
  verifyApproval,
  verifyOfficer,
  verifyOfficerRevocation,
} from '@norc/protocol/norc-t';
import { mustBe } from '@norc/testkit';
import { officerVectors } from '../../vectors/generate/officers.ts';
import { runVectors, type VectorCase } from './harness.ts';

const pinnedOf = (vector: VectorCase): PinnedOrg => ({
  org: mustBe(parseDomain(vector.text('org'))),
  rootKey: vector.hex('root_key'),
});

function checkCertificate(vector: VectorCase) {
  const at = instant(vector.number('at'));
  return verifyOfficer(crypto, utf8(vector.text('document')), { pinned: pinnedOf(vector), at });
}

const checkRevocation = (vector: VectorCase) =>
  verifyOfficerRevocation(crypto, utf8(vector.text('document')), pinnedOf(vector));

function checkApproval(vector: VectorCase) {
  const action = APPROVAL_ACTIONS.find((one) => one === vector.text('action'));
  const role = OFFICER_ROLES.find((one) => one === vector.text('role'));
  assert.ok(action !== undefined && role !== undefined);
  const signed = { approval: utf8(vector.text('approval')), certificate: utf8(vector.text('certificate')) };
  return verifyApproval(crypto, signed, {
    ...{ action, role, pinned: pinnedOf(vector), subject: vector.hex('subject') },
    peer: mustBe(parseDomain(vector.text('peer'))),
    now: instant(vector.number('now')),
    serverKeys: [vector.hex('server_key')],
  });
}

const checkRequest = (vector: VectorCase) => decodeOfficerRequest(crypto, vector.text('text'));

runVectors(
  'officers',
  {
    valid: {
      certificate(vector) {
        const { officerId, roles } = mustBe(checkCertificate(vector));
        assert.equal(officerId, vector.text('officer_id'));
        assert.deepEqual([...roles], vector.list('roles'));
      },
      revocation(vector) {
        const { officerId, revokedAt } = mustBe(checkRevocation(vector));
        assert.deepEqual([officerId, revokedAt], [vector.text('officer_id'), vector.number('revoked_at')]);
      },
      approval(vector) {
        const { officer, hash } = mustBe(checkApproval(vector));
        assert.deepEqual([officer.officerId, toHex(hash)], [vector.text('officer_id'), vector.text('hash')]);
      },
      request(vector) {
        assert.deepEqual(mustBe(checkRequest(vector)), vector.hex('public_key'));
      },
    },
    invalid: {
      certificate: checkCertificate,
      revocation: checkRevocation,
      approval: checkApproval,
      request: checkRequest,
    },
  },
  officerVectors,
);
