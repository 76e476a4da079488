import assert from 'node:assert/strict';
import { nodeCrypto } from '@norc/crypto/node';
import { toHex } from '@norc/protocol/base';
import { decodeEnrolmentCode, encodeEnrolmentCode } from '@norc/protocol/norc-c';
import { enrolmentVectors } from '../../vectors/generate/enrolment.ts';
import { runVectors } from './harness.ts';

function decode(text: string) {
  const result = decodeEnrolmentCode(nodeCrypto, text);
  assert.ok(result.ok, 'the code was refused');
  return result.value;
}

runVectors(
  'enrolment',
  {
    valid: {
      code(vector) {
        const code = decode(vector.text('code'));
        assert.equal(encodeEnrolmentCode(nodeCrypto, code), vector.text('code'));
        assert.deepEqual(
          [toHex(code.secret), toHex(code.rootFingerprint), code.user, code.server],
          [
            vector.text('secret'),
            vector.text('root_fingerprint'),
            vector.text('user'),
            { host: vector.text('host'), port: vector.number('port'), tls: vector.bool('tls') },
          ],
        );
      },
      spelling(vector) {
        assert.deepEqual(decode(vector.text('typed')), decode(vector.text('code')));
      },
    },
    invalid: {
      code(vector) {
        const result = decodeEnrolmentCode(nodeCrypto, vector.text('code'));
        if (!result.ok) assert.equal(result.error.reason, vector.text('reason'));
        return result;
      },
    },
  },
  enrolmentVectors,
);
