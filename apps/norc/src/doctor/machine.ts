import { createSecureContext } from 'node:tls';
import { nodeCryptoIsAccelerated, selfTestBlake3 } from '@norc/crypto/node';
import { type Finding, fail, ok, warn } from './finding.ts';

const NODE_MAJOR_MIN = 26;
const TLS_GROUP = 'X25519MLKEM768';
const REINSTALL = 'Install the exact dependencies again: npm ci';

/** Node.js, its OpenSSL and the libraries: what every command needs. */
export function checkMachine(): readonly Finding[] {
  return [checkNode(), checkTls(), checkBlake3(), checkAcceleration()];
}

function checkNode(): Finding {
  const { node } = process.versions;
  const detail = `Node.js ${node}, ${process.platform}-${process.arch}`;
  const isNew = Number(node.split('.')[0]) >= NODE_MAJOR_MIN;
  if (isNew) return ok('Node.js', detail);
  return fail('Node.js', detail, `Use npm run norc or npx norc: they start the locked Node.js ${NODE_MAJOR_MIN}.`);
}

/** Without the group no connection would be safe from a quantum computer, so there is none without it. */
function checkTls(): Finding {
  const detail = `OpenSSL ${process.versions.openssl}, TLS 1.3 with ${TLS_GROUP}`;
  try {
    createSecureContext({ ecdhCurve: TLS_GROUP, minVersion: 'TLSv1.3' });
    return ok('TLS', detail);
  } catch {
    return fail(
      'TLS',
      `OpenSSL ${process.versions.openssl} has no ${TLS_GROUP}`,
      'Use the locked Node.js: npx norc doctor',
    );
  }
}

function checkBlake3(): Finding {
  try {
    selfTestBlake3();
    return ok('BLAKE3', 'gives the published test values');
  } catch {
    return fail('BLAKE3', 'gives wrong values on this machine', REINSTALL);
  }
}

function checkAcceleration(): Finding {
  if (nodeCryptoIsAccelerated) return ok('libsodium', 'in use');
  return warn('libsodium', 'not there: everything works, with more work for each message', REINSTALL);
}
