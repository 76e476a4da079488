import assert from 'node:assert/strict';
import { test } from 'node:test';
import { blake3 } from '@noble/hashes/blake3.js';
import { hkdf, expand as nobleExpand } from '@noble/hashes/hkdf.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { nodeCrypto } from '@norc/crypto/node';
import { concatBytes, toHex, utf8 } from '../base/index.ts';
import { deriveChannelKeys, deriveMasterSecret } from './key-schedule.ts';
import { KEY_CLASSES } from './labels.ts';
import { transcriptHash } from './transcript.ts';

const fill = (length: number, value: number) => new Uint8Array(length).fill(value);
const input = {
  clientNonce: fill(16, 1),
  serverNonce: fill(16, 2),
  sharedSecret: fill(64, 3),
  transcriptHash: fill(32, 4),
};

test('[HS-20] the key schedule is the one that the specification spells out, for both hashes', () => {
  for (const [name, hash] of [
    ['blake3', blake3],
    ['sha256', sha256],
  ] as const) {
    const secret = deriveMasterSecret(nodeCrypto, name, input);
    const info = concatBytes(utf8('norc:ms:v1'), input.transcriptHash);
    const salt = concatBytes(input.clientNonce, input.serverNonce);
    assert.deepEqual(secret, hkdf(hash, input.sharedSecret, salt, info, 32));
    for (const [keyClass, suffix] of [
      ['control', ''],
      ['interactive', ':interactive'],
      ['bulk', ':bulk'],
    ] as const) {
      const keys = deriveChannelKeys(nodeCrypto, name, secret, keyClass);
      for (const way of ['c2s', 's2c'] as const) {
        assert.deepEqual(keys[way].key, nobleExpand(hash, secret, utf8(`norc:tk:${way}:v1${suffix}`), 32));
        assert.deepEqual(keys[way].iv, nobleExpand(hash, secret, utf8(`norc:iv:${way}:v1${suffix}`), 12));
      }
    }
  }
});

test('[HS-20] every direction and stream has its own key and IV', () => {
  const secret = deriveMasterSecret(nodeCrypto, 'blake3', input);
  const all = KEY_CLASSES.map((keyClass) => deriveChannelKeys(nodeCrypto, 'blake3', secret, keyClass));
  const keys = all.flatMap(({ c2s, s2c }) => [c2s.key, s2c.key].map(toHex));
  const ivs = all.flatMap(({ c2s, s2c }) => [c2s.iv, s2c.iv].map(toHex));
  assert.equal(new Set(keys).size, 6);
  assert.equal(new Set(ivs).size, 6);
});

test('each input of the master secret counts', () => {
  const secret = toHex(deriveMasterSecret(nodeCrypto, 'blake3', input));
  for (const name of ['clientNonce', 'serverNonce', 'sharedSecret', 'transcriptHash'] as const) {
    const changed = { ...input, [name]: Uint8Array.from(input[name], (byte, i) => (i === 0 ? byte ^ 1 : byte)) };
    assert.notEqual(toHex(deriveMasterSecret(nodeCrypto, 'blake3', changed)), secret, name);
  }
});

test('a transcript begins with its label: the same parts under two labels are two transcripts', () => {
  const part = utf8('{}');
  assert.deepEqual(transcriptHash(nodeCrypto, 'norc-c-handshake-v1', part), blake3(utf8('norc-c-handshake-v1{}')));
  assert.notDeepEqual(
    transcriptHash(nodeCrypto, 'norc-c-handshake-v1', part),
    transcriptHash(nodeCrypto, 'norc-f-handshake-v1', part),
  );
});
