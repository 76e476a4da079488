import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gcm } from '@noble/ciphers/aes.js';
import { chacha20poly1305 } from '@noble/ciphers/chacha.js';
import { blake3 } from '@noble/hashes/blake3.js';
import { hmac } from '@noble/hashes/hmac.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { fromHex, utf8 } from '@norc/protocol/base';
import fc from 'fast-check';
import { selfTestBlake3 } from './blake3.ts';
import { createNodeCrypto, nodeCrypto } from './node-crypto.ts';

const hex = (text: string): Uint8Array => {
  const bytes = fromHex(text.replaceAll(/\s/g, ''));
  assert.ok(bytes !== undefined);
  return bytes;
};
const pattern = (length: number) => Uint8Array.from({ length }, (_, i) => (i * 7 + 3) & 0xff);
const openssl = createNodeCrypto(undefined);

test('BLAKE3 agrees with @noble/hashes on every length to 2,000 and around the chunk and tree boundaries', () => {
  const input = pattern(70_000);
  const boundaries = [2048, 3072, 4096, 5120, 8192, 16_384, 32_768, 65_536].flatMap((n) => [n - 1, n, n + 1]);
  for (const length of [...Array(2001).keys(), ...boundaries]) {
    const data = input.subarray(0, length);
    assert.deepEqual(nodeCrypto.blake3(data), blake3(data), `${length} bytes`);
  }
});

test('BLAKE3 keeps no state between calls of different lengths', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 5000 }), { maxLength: 6 }), (inputs) => {
      for (const input of inputs) assert.deepEqual(nodeCrypto.blake3(input), blake3(input));
    }),
    { numRuns: 60 },
  );
});

test('a wrong BLAKE3 stops the program at load', () => {
  assert.throws(() => selfTestBlake3((data) => nodeCrypto.blake3(data.subarray(0, 1024))), /wrong hash for 1025 bytes/);
});

test('SHA-256 and HMAC give the published answers', () => {
  assert.deepEqual(
    nodeCrypto.sha256(utf8('abc')),
    hex('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'),
  );
  // RFC 4231 test case 2
  assert.deepEqual(
    nodeCrypto.hmac('sha256', utf8('Jefe'), utf8('what do ya want for nothing?')),
    hex('5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843'),
  );
});

test('HMAC over both hashes agrees with @noble/hashes, for keys shorter and longer than a block', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.uint8Array({ maxLength: 300 }), (key, data) => {
      assert.deepEqual(nodeCrypto.hmac('blake3', key, data), hmac(blake3, key, data));
      assert.deepEqual(nodeCrypto.hmac('sha256', key, data), hmac(sha256, key, data));
    }),
  );
});

test('equal: same bytes only, and different lengths are unequal rather than an exception', () => {
  assert.equal(nodeCrypto.equal(Uint8Array.of(1, 2), Uint8Array.of(1, 2)), true);
  assert.equal(nodeCrypto.equal(Uint8Array.of(1, 2), Uint8Array.of(1, 3)), false);
  assert.equal(nodeCrypto.equal(Uint8Array.of(1, 2), Uint8Array.of(1)), false);
});

/** RFC 8439 section 2.8.2. */
const RFC8439 = {
  key: hex('808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f'),
  nonce: hex('070000004041424344454647'),
  aad: hex('50515253c0c1c2c3c4c5c6c7'),
  plaintext: utf8(
    "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.",
  ),
  ciphertext: hex(`d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6
    3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36
    92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc
    3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecbd0600691`),
};

for (const [name, crypto] of [
  ['accelerated', nodeCrypto],
  ['OpenSSL only', openssl],
] as const) {
  test(`ChaCha20-Poly1305 (${name}) gives the answer of RFC 8439`, () => {
    const { key, nonce, aad, plaintext, ciphertext } = RFC8439;
    const aead = crypto.aead['chacha20-poly1305'];
    assert.deepEqual(aead.seal(key, nonce, aad, plaintext), ciphertext);
    assert.deepEqual(aead.open(key, nonce, aad, ciphertext), plaintext);
  });

  test(`both AEADs (${name}) agree with @noble/ciphers, and any changed bit is refused`, () => {
    const oracle = { 'chacha20-poly1305': chacha20poly1305, 'aes-256-gcm': gcm };
    fc.assert(
      fc.property(
        fc.constantFrom('chacha20-poly1305' as const, 'aes-256-gcm' as const),
        fc.uint8Array({ minLength: 32, maxLength: 32 }),
        fc.uint8Array({ minLength: 12, maxLength: 12 }),
        fc.uint8Array({ maxLength: 100 }),
        fc.uint8Array({ maxLength: 600 }),
        fc.nat(),
        (algorithm, key, nonce, aad, plaintext, position) => {
          const aead = crypto.aead[algorithm];
          const sealed = aead.seal(key, nonce, aad, plaintext);
          assert.deepEqual(sealed, Uint8Array.from(oracle[algorithm](key, nonce, aad).encrypt(plaintext)));
          assert.deepEqual(aead.open(key, nonce, aad, sealed), plaintext);
          const changed = Uint8Array.from(sealed);
          changed[position % changed.length] = (changed[position % changed.length] ?? 0) ^ (1 << (position % 8));
          assert.equal(aead.open(key, nonce, aad, changed), undefined);
          assert.equal(aead.open(key, nonce, Uint8Array.of(...aad, 0), sealed), undefined);
          assert.equal(aead.open(key, nonce, aad, sealed.subarray(0, position % sealed.length)), undefined);
        },
      ),
      { numRuns: 60 },
    );
  });

  test(`sealing into given memory (${name}) gives the same bytes, there`, () => {
    for (const aead of Object.values(crypto.aead)) {
      const [key, nonce, aad, plaintext] = [pattern(32), pattern(12), pattern(95), pattern(2048)];
      const room = new Uint8Array(100 + 2064).fill(9);
      const place = room.subarray(62, 62 + 2064);
      assert.equal(aead.seal(key, nonce, aad, plaintext, place), place);
      assert.deepEqual(Uint8Array.from(place), aead.seal(key, nonce, aad, plaintext));
      assert.deepEqual(new Set([...room.subarray(0, 62), ...room.subarray(62 + 2064)]), new Set([9]));
      for (const length of [2063, 2065]) {
        assert.throws(() => aead.seal(key, nonce, aad, plaintext, room.subarray(0, length)), RangeError);
      }
    }
  });

  test(`AES-256-GCM (${name}) gives the answer of NIST test case 16`, () => {
    const aead = crypto.aead['aes-256-gcm'];
    const key = hex('feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308');
    const plaintext = hex(`d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72
      1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39`);
    const expected = hex(`522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa
      8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b`);
    const aad = hex('feedfacedeadbeeffeedfacedeadbeefabaddad2');
    assert.deepEqual(aead.seal(key, hex('cafebabefacedbaddecaf888'), aad, plaintext), expected);
  });

  test(`an AEAD key or nonce of a wrong length (${name}) is the caller's fault`, () => {
    const empty = new Uint8Array(0);
    for (const aead of Object.values(crypto.aead)) {
      assert.throws(() => aead.seal(new Uint8Array(31), new Uint8Array(12), empty, empty), RangeError);
      assert.throws(() => aead.open(new Uint8Array(32), new Uint8Array(11), empty, new Uint8Array(16)), RangeError);
    }
  });
}
