import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeCrypto } from '@norc/crypto/node';
import { concatBytes, instant, toHex, utf8 } from '../base/index.ts';
import {
  deviceProofInput,
  federationClientProofInput,
  federationServerProofInput,
  registrationProofInput,
  serverProofInput,
} from './proofs.ts';

const hash = new Uint8Array(32).fill(1);
const challenge = new Uint8Array(32).fill(2);
const time = instant(1_790_000_000_123);

const inputs = {
  server: serverProofInput(hash),
  device: deviceProofInput(hash, challenge, time),
  registration: registrationProofInput(hash, challenge, time),
  federationServer: federationServerProofInput(hash),
  federationClient: federationClientProofInput(hash),
};

test('[HS-21] proofs are what the specification spells out', () => {
  const timestamp = Uint8Array.from([0, 0, 0x01, 0xa0, 0xc4, 0x50, 0x6c, 0x7b]);
  assert.equal(BigInt(`0x${toHex(timestamp)}`), BigInt(time));
  assert.deepEqual(inputs.device, concatBytes(utf8('norc-c-device-v1'), hash, challenge, timestamp));
  assert.deepEqual(inputs.registration, concatBytes(utf8('norc-c-register-v1'), hash, challenge, timestamp));
  assert.deepEqual(inputs.server, concatBytes(utf8('norc-c-server-v1'), hash));
  assert.deepEqual(inputs.federationServer, concatBytes(utf8('norc-f-server-v1'), hash));
  assert.deepEqual(inputs.federationClient, concatBytes(utf8('norc-f-client-v1'), hash));
});

test('[HS-21] a signature made for one proof verifies as no other', () => {
  const keys = nodeCrypto.ed25519.keyPair(() => new Uint8Array(32).fill(3));
  for (const [made, input] of Object.entries(inputs)) {
    const signature = nodeCrypto.ed25519.sign(keys.privateKey, input);
    for (const [claimed, other] of Object.entries(inputs)) {
      assert.equal(nodeCrypto.ed25519.verify(keys.publicKey, other, signature), made === claimed);
    }
  }
});

test('[HS-21] another channel, challenge or time is another proof', () => {
  const changed = new Uint8Array(32).fill(9);
  for (const other of [
    deviceProofInput(changed, challenge, time),
    deviceProofInput(hash, changed, time),
    deviceProofInput(hash, challenge, instant(time + 1)),
  ]) {
    assert.notDeepEqual(other, inputs.device);
  }
});

test('lengths are fixed: a challenge or hash of another length is our own fault', () => {
  assert.throws(() => deviceProofInput(hash, challenge.subarray(1), time), RangeError);
  assert.throws(() => serverProofInput(hash.subarray(1)), RangeError);
  assert.throws(() => deviceProofInput(hash, challenge, instant(-1)), RangeError);
});
