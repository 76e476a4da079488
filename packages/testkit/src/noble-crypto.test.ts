import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeCrypto } from '@norc/crypto/node';
import { utf8 } from '@norc/protocol/base';
import { nobleCrypto, seededRandom } from './noble-crypto.ts';

test('one seed gives one run: keys, encapsulation and all', () => {
  const run = () => {
    const random = seededRandom('run');
    const crypto = nobleCrypto(random);
    const { publicKey } = crypto.mlKem768.keyPair((n) => random.bytes(n));
    return crypto.mlKem768.encapsulate(publicKey);
  };
  assert.deepEqual(run(), run());
  assert.notDeepEqual(seededRandom('a').bytes(16), seededRandom('b').bytes(16));
});

test('the portable provider and the native one agree, in both directions', () => {
  const random = seededRandom('agree');
  const bytes = (n: number) => random.bytes(n);
  const noble = nobleCrypto(random);
  for (const [one, other] of [
    [noble, nodeCrypto],
    [nodeCrypto, noble],
  ] as const) {
    const a = one.x25519.keyPair(bytes);
    const b = other.x25519.keyPair(bytes);
    assert.deepEqual(one.x25519.agree(a.privateKey, b.publicKey), other.x25519.agree(b.privateKey, a.publicKey));
    const kem = one.mlKem768.keyPair(bytes);
    const sent = other.mlKem768.encapsulate(kem.publicKey);
    assert.ok(sent !== undefined);
    assert.deepEqual(one.mlKem768.decapsulate(kem.privateKey, sent.ciphertext), sent.sharedSecret);
    const signer = one.ed25519.keyPair(bytes);
    const signature = one.ed25519.sign(signer.privateKey, utf8('m'));
    assert.equal(other.ed25519.verify(signer.publicKey, utf8('m'), signature), true);
    const second = one.mlDsa65.keyPair(bytes);
    const statement = one.mlDsa65.sign(second.privateKey, utf8('m'));
    assert.equal(other.mlDsa65.verify(second.publicKey, utf8('m'), statement), true);
    assert.equal(other.mlDsa65.verify(second.publicKey, utf8('n'), statement), false);
    for (const algorithm of ['chacha20-poly1305', 'aes-256-gcm'] as const) {
      const [key, nonce, aad, text] = [bytes(32), bytes(12), bytes(95), bytes(300)];
      const sealed = one.aead[algorithm].seal(key, nonce, aad, text);
      assert.deepEqual(Uint8Array.from(other.aead[algorithm].open(key, nonce, aad, sealed) ?? []), text);
    }
  }
});

test('the portable provider answers bad input from a peer as the native one does', () => {
  const random = seededRandom('bad');
  for (const crypto of [nobleCrypto(random), nodeCrypto]) {
    const { privateKey } = crypto.x25519.keyPair((n) => random.bytes(n));
    assert.equal(crypto.x25519.agree(privateKey, new Uint8Array(32)), undefined);
    assert.equal(crypto.mlKem768.encapsulate(new Uint8Array(1184).fill(255)), undefined);
    const kem = crypto.mlKem768.keyPair((n) => random.bytes(n));
    assert.equal(crypto.mlKem768.decapsulate(kem.privateKey, new Uint8Array(1087)), undefined);
    assert.equal(crypto.ed25519.isPublicKey(new Uint8Array(32)), false);
    for (const [key, signature] of [
      [1952, 3309],
      [1951, 3309],
      [1952, 0],
    ] as const) {
      const bad = crypto.mlDsa65.verify(new Uint8Array(key).fill(255), utf8('m'), new Uint8Array(signature).fill(255));
      assert.equal(bad, false);
    }
    assert.equal(crypto.mlDsa65.isPublicKey(new Uint8Array(1953)), false);
    assert.equal(crypto.ed25519.verify(new Uint8Array(32), utf8('m'), new Uint8Array(64)), false);
    assert.equal(
      crypto.aead['aes-256-gcm'].open(new Uint8Array(32), new Uint8Array(12), utf8(''), utf8('x')),
      undefined,
    );
  }
});
